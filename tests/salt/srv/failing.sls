goes wrong:
  test.fail_without_changes

never runs:
  test.nop:
    - require:
      - test: goes wrong

cleans up:
  test.succeed_with_changes:
    - onfail:
      - test: goes wrong

unmoved:
  test.nop:
    - onchanges:
      - test: never runs
