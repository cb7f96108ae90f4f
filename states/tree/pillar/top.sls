# An example pillar. Copy it to the master's pillar_roots and put real secrets there.
base:
  'ehr:dolphin':
    - match: grain
    - dolphin
