{% set root = pillar['root'] %}
folder note:
  file.managed:
    - name: {{ root }}/note.txt
    - contents: |
        {{ pillar['greeting'] }} to {{ grains['practice'] }}
        chairs: {{ pillar['chairs'] }}
    - mode: '0640'

from the master:
  file.managed:
    - name: {{ root }}/templated.txt
    - source: salt://files/templated.txt
    - template: jinja
    - require:
      - file: folder note

calm:
  test.nop:
    - onchanges:
      - file: from the master

changed:
  test.succeed_with_changes:
    - require_in:
      - test: last

last:
  test.succeed_without_changes:
    - order: last
