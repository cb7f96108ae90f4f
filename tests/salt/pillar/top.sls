base:
  '*':
    - common
  # A case that needs secrets of its own writes them to a file named for its minion.
  'sql-*':
    - {{ grains['id'] }}
