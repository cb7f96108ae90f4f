fine:
  test.nop
not fine:
  - test.nop: [
