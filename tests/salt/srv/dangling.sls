leans on nothing:
  test.nop:
    - require:
      - test: nobody
