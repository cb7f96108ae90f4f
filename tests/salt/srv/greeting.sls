say hello:
  test.succeed_with_changes:
    - name: hello from {{ grains['practice'] }}
