needs a value:
  test.configurable_test_state:
    - changes: False
    - result: {{ pillar['nobody_set_this'] }}
