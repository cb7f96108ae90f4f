# Writes into OrthoTrac (SYNTHETIC schema): a new archwire, with the old one kept in the history table in the same
# transaction.
{% from 'agent/write_access.jinja' import write_access, writes_as with context %}
{%- set database = salt['pillar.get']('orthotrac:database', 'OrthoTrac') %}
{{ write_access('orthotrac', database) }}

orthotrac.change_archwire:
  mssql_write.present:
    {{- writes_as('orthotrac', database) }}
    - parameters:
        visit: {type: int, min: 1}
        patient: char(10)
        from: varchar(20)
        to: {type: varchar(20), min_length: 1}
        note: {type: nvarchar(400), nullable: True, default: null}
    - preconditions:
      - table: dbo.Visit
        where: {VisitNo: visit, PatCode: patient}
        expect: {Archwire: from}
    - statements:
      - insert: dbo.VisitHistory
        values: {VisitNo: visit, Archwire: from, ReplacedOn: {now: local}}
      - update: dbo.Visit
        set: {Archwire: to, Note: note}
        where: {VisitNo: visit, PatCode: patient}
    - read_back:
        table: dbo.Visit
        columns: [VisitNo, Archwire, Stamp]
        keys: [VisitNo]
        where: {VisitNo: visit}
    - entity: {visit: visit}
    - clear: [VisitNo, Stamp]
