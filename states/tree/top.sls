# Which minion gets which states. The practice's EHR decides: set the grain `ehr` in the minion's configuration,
#   grains:
#     ehr: dolphin
base:
  'ehr:dolphin':
    - match: grain
    - dolphin
