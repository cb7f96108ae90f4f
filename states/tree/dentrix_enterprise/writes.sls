# Writes into Dentrix Enterprise (SYNTHETIC schema): book an appointment, change its status. Keys are numbers that the
# writer takes (no IDENTITY) beside the number of the originating database; there is no rowversion, so a change is
# guarded by the values that the row had when it was read.
{% from 'agent/write_access.jinja' import write_access, writes_as with context %}
{%- set database = salt['pillar.get']('dentrix_enterprise:database', 'Dentrix') %}
{{ write_access('dentrix_enterprise', database) }}

dentrix_enterprise.book_appointment:
  mssql_write.present:
    {{- writes_as('dentrix_enterprise', database) }}
    - parameters:
        patient: {type: int, min: 1}
        patient_db: {type: int, default: 1}
        provider: {type: int, min: 1}
        day: datetime
        hour: {type: smallint, min: 0, max: 23}
        minute: {type: smallint, min: 0, max: 59}
        minutes: {type: int, min: 5, max: 480}
        reason: varchar(60)
        note: {type: nvarchar(2000), nullable: True, default: null}
    - preconditions:
      - table: dbo.DDB_APPT_BASE
        where: {PRPROVID: provider, APPTDATE: day, TIME_HOUR: hour, TIME_MINUTE: minute}
        absent: True
    - statements:
      - insert: dbo.DDB_APPT_BASE
        label: appointment
        values:
          APPTID: {next: True}
          APPTDB: {value: 1}
          PATID: patient
          PATDB: patient_db
          PRPROVID: provider
          PRPROVDB: {value: 1}
          APPTDATE: day
          TIME_HOUR: hour
          TIME_MINUTE: minute
          APPTLEN: minutes
          APPTREASON: reason
          STATUS: {value: 0}
          NOTE: note
          DDB_LAST_MOD: {now: local}
    - read_back:
        table: dbo.DDB_APPT_BASE
        columns: [APPTID, APPTDB, APPTDATE, TIME_HOUR, TIME_MINUTE, DDB_LAST_MOD]
        keys: [APPTID, APPTDB]
        where: {APPTID: {key_of: appointment}, APPTDB: {value: 1}}
    - entity: {provider: provider}
    - clear: [APPTID, APPTDB]
    - expires: 3600

dentrix_enterprise.set_status:
  mssql_write.present:
    {{- writes_as('dentrix_enterprise', database) }}
    - parameters:
        appointment: {type: int, min: 1}
        appointment_db: {type: int, default: 1}
        status: {type: smallint, min: 0, max: 9}
        last_mod: {type: datetime, nullable: True}
    - preconditions:
      - table: dbo.DDB_APPT_BASE
        where: {APPTID: appointment, APPTDB: appointment_db}
        expect: {DDB_LAST_MOD: last_mod}
    - statements:
      - update: dbo.DDB_APPT_BASE
        set: {STATUS: status, DDB_LAST_MOD: {now: local}}
        where: {APPTID: appointment, APPTDB: appointment_db}
    - read_back:
        table: dbo.DDB_APPT_BASE
        columns: [APPTID, APPTDB, STATUS, DDB_LAST_MOD]
        keys: [APPTID, APPTDB]
        where: {APPTID: appointment, APPTDB: appointment_db}
    - entity: {appointment: [appointment, appointment_db]}
    - clear: [APPTID, APPTDB, DDB_LAST_MOD]
