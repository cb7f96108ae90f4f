# Rendering takes a while, and a state run that renders is a state run in progress.
{% set slept = salt['test.sleep'](20) %}
waited a while:
  test.nop
