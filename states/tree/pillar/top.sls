# An example pillar. Copy it to the master's pillar_roots and put real secrets there.
base:
  '*':
    - state_ring
  'ehr:dolphin':
    - match: grain
    - dolphin
