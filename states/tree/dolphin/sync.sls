# One sync job per table, read as the login that dolphin.login makes.
{% from 'dolphin/map.jinja' import dolphin with context %}

include:
  - dolphin.login

{% for table, columns in dolphin.jobs.items() %}
main_oms.{{ table }}:
  mssql_sync.present:
    - database: {{ dolphin.database | json }}
    - table: dbo.{{ table }}
    {%- if columns != 'all' %}
    - columns: {{ columns | json }}
    {%- endif %}
    - cursor: rowversion
    {%- if dolphin.ehr_version %}
    - ehr_version: {{ dolphin.ehr_version | json }}
    {%- endif %}
    - interval: {{ dolphin.interval }}
    - user: {{ dolphin.login | json }}
    - password: {{ dolphin.password | json }}
    - allow_plain: {{ dolphin.allow_plain }}
    - require:
      - id: dolphin_access
{% endfor %}
