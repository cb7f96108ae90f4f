# Which minion gets which states. The practice's EHR decides: set the grain `ehr` in the minion's configuration,
#   grains:
#     ehr: dolphin
#
# A new tree goes to a ring of the fleet first: its environment (`canary`) replaces `base` for minions whose bucket, the head
# of the SHA-256 of their id modulo 100, is below the percentage in the pillar `state_ring`. `master-sim tree promote` sets
# it, `master-sim tree watch` takes it back when states or writes fail in the ring. This file is the same in both trees.
{%- set ring = pillar.get('state_ring', {}) %}
{%- set bucket = (grains['id'] | sha256)[:8] | int(0, 16) % 100 %}
{{ ring['saltenv'] if bucket < ring.get('percent', 0) else 'base' }}:
  'ehr:dolphin':
    - match: grain
    - dolphin
  'os_family:Windows':
    - match: grain
    - agent.windows
