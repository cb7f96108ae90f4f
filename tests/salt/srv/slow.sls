wait a while:
  module.run:
    - test.sleep:
      - length: 15
