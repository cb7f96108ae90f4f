# Dentrix Enterprise: the login, its user in the EHR's database, and exactly the permissions that the jobs and writes of this run need.
# Runs with the admin credential of the pillar (mssql.user, mssql.password); nothing of it is kept on the minion.
# Pillar, under dentrix_enterprise: password; login, database, access and rotation when they differ from what stands here.
{% from 'agent/access.jinja' import access, turn_of with context %}
{% set base = salt['pillar.get']('dentrix_enterprise:login', 'nexhealth_sync') %}
{{ access('dentrix_enterprise', {
  'database': salt['pillar.get']('dentrix_enterprise:database', 'Dentrix'),
  'login': turn_of(base, salt['pillar.get']('dentrix_enterprise:rotation', none)),
  'password': pillar['dentrix_enterprise']['password'],
  'access': salt['pillar.get']('dentrix_enterprise:access', 'derived'),
}) }}
