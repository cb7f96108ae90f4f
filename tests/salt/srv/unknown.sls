who knows:
  nosuch.present:
    - name: anything

known module:
  test.nosuch
