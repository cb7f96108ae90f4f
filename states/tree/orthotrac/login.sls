# OrthoTrac: the login, its user in the EHR's database, and exactly the permissions that the jobs and writes of this run need.
# Runs with the admin credential of the pillar (mssql.user, mssql.password); nothing of it is kept on the minion.
# Pillar, under orthotrac: password; login, database, access and rotation when they differ from what stands here.
{% from 'agent/access.jinja' import access, turn_of with context %}
{% set base = salt['pillar.get']('orthotrac:login', 'nexhealth_sync') %}
{{ access('orthotrac', {
  'database': salt['pillar.get']('orthotrac:database', 'OrthoTrac'),
  'login': turn_of(base, salt['pillar.get']('orthotrac:rotation', none)),
  'password': pillar['orthotrac']['password'],
  'access': salt['pillar.get']('orthotrac:access', 'derived'),
}) }}
