# Ends the login that worked before the last change of dolphin:rotation in the pillar.
{% from 'dolphin/map.jinja' import dolphin with context %}
{% from 'agent/access.jinja' import rotation with context %}

include:
  - dolphin.sync

{{ rotation('dolphin', dolphin) }}
