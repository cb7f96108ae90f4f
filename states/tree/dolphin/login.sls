# The login, its user in the EHR's database, and SELECT on exactly the columns that the jobs read.
# Runs with the admin credential of the pillar (mssql.user, mssql.password); nothing of it is kept on the minion.
{% from 'dolphin/map.jinja' import dolphin with context %}

dolphin_login:
  mssql_login.present:
    - name: {{ dolphin.login | json }}
    - password: {{ dolphin.password | json }}
    - options:
      - CHECK_POLICY=OFF
      - DEFAULT_DATABASE=[{{ dolphin.database }}]

dolphin_user:
  mssql_user.present:
    - name: {{ dolphin.login | json }}
    - login: {{ dolphin.login | json }}
    - database: {{ dolphin.database | json }}
    - require:
      - mssql_login: dolphin_login

{% for table, columns in dolphin.jobs.items() %}
dolphin_grant_{{ table }}:
  mssql_grant.present:
    - user: {{ dolphin.login | json }}
    - database: {{ dolphin.database | json }}
    - object: dbo.{{ table }}
    - permissions:
      - SELECT
    {%- if columns != 'all' %}
    - columns: {{ columns | json }}
    {%- endif %}
    - require:
      - mssql_user: dolphin_user
{% endfor %}
