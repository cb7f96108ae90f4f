# The login, its user in the EHR's database, and exactly the permissions that the jobs and writes of this run need.
# Runs with the admin credential of the pillar (mssql.user, mssql.password); nothing of it is kept on the minion.
{% from 'dolphin/map.jinja' import dolphin with context %}
{% from 'agent/access.jinja' import access with context %}
{{ access('dolphin', dolphin) }}
