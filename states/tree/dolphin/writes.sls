# Writes into Dolphin Management (SYNTHETIC schema): confirm, move and book an appointment, record a payment, change how a
# patient is reached. Not part of `dolphin`: a practice that wants nothing written does not apply this file.
# The integrator submits:  salt <minion> mssql_write.submit dolphin.confirm_appointment request=<id> params='{…}'
{% from 'agent/write_access.jinja' import write_access, writes_as with context %}
{%- set database = salt['pillar.get']('dolphin:database', 'Main_OMS') %}
{{ write_access('dolphin', database) }}

dolphin.confirm_appointment:
  mssql_write.present:
    {{- writes_as('dolphin', database) }}
    - parameters:
        appointment_id: {type: int, min: 1}
    - preconditions:
      - table: dbo.Appointment
        where: {AppointmentID: appointment_id}
        expect: {Status: {value: Scheduled}}
    - statements:
      - update: dbo.Appointment
        set: {Status: {value: Confirmed}}
        where: {AppointmentID: appointment_id}
    - read_back:
        table: dbo.Appointment
        columns: [AppointmentID, Status, RowVer]
        keys: [AppointmentID]
        where: {AppointmentID: appointment_id}
    - entity: {appointment: appointment_id}
    - clear: [AppointmentID, RowVer]
    - expires: 86400

# `rowver` is the row's version as the synchronized row had it: who moved it meanwhile is not overwritten.
dolphin.move_appointment:
  mssql_write.present:
    {{- writes_as('dolphin', database) }}
    - parameters:
        appointment_id: {type: int, min: 1}
        starts: datetime
        minutes: {type: int, min: 5, max: 480}
        chair: {type: int, min: 1}
        rowver: rowversion
    - preconditions:
      - table: dbo.Appointment
        where: {AppointmentID: appointment_id}
        expect: {RowVer: rowver}
      - table: dbo.Appointment
        where: {ChairID: chair, StartTime: starts, AppointmentID: {ne: appointment_id}, Status: {ne: {value: Cancelled}}}
        absent: True
    - statements:
      - update: dbo.Appointment
        set: {StartTime: starts, LengthMinutes: minutes, ChairID: chair}
        where: {AppointmentID: appointment_id}
    - read_back:
        table: dbo.Appointment
        columns: [AppointmentID, StartTime, ChairID, RowVer]
        keys: [AppointmentID]
        where: {AppointmentID: appointment_id}
    - entity: {appointment: appointment_id}
    - clear: [AppointmentID, RowVer]
    - expires: 3600

dolphin.book_appointment:
  mssql_write.present:
    {{- writes_as('dolphin', database) }}
    - parameters:
        patient_id: {type: int, min: 1}
        provider_id: {type: int, min: 1}
        chair: {type: int, min: 1}
        starts: datetime
        minutes: {type: int, min: 5, max: 480, default: 30}
        reason: {type: nvarchar(100), nullable: True, default: null}
        note: {type: nvarchar(2000), nullable: True, default: null}
    - preconditions:
      - table: dbo.Patient
        where: {PatientID: patient_id}
        expect: {Active: {value: True}}
      - table: dbo.Appointment
        where: {ChairID: chair, StartTime: starts, Status: {ne: {value: Cancelled}}}
        absent: True
    - statements:
      - insert: dbo.Appointment
        label: appointment
        values:
          PatientID: patient_id
          ProviderID: provider_id
          ChairID: chair
          StartTime: starts
          LengthMinutes: minutes
          Status: {value: Scheduled}
          Reason: reason
          Note: note
          Fee: {value: '0.00'}
          CreatedAt: {now: local}
    - read_back:
        table: dbo.Appointment
        columns: [AppointmentID, PatientID, StartTime, ChairID, RowVer]
        keys: [AppointmentID]
        where: {AppointmentID: {key_of: appointment}}
    - entity: {chair: [chair, starts]}
    - clear: [AppointmentID, RowVer]
    - expires: 3600

dolphin.record_payment:
  mssql_write.present:
    {{- writes_as('dolphin', database) }}
    - parameters:
        patient_id: {type: int, min: 1}
        amount: {type: money, min: '0.01', max: '100000'}
        method: {type: varchar(12), values: [Cash, Card, Check, Insurance]}
    - statements:
      - insert: dbo.Payment
        label: payment
        values: {PatientID: patient_id, Amount: amount, Method: method, PaidAt: {now: local}}
    - read_back:
        table: dbo.Payment
        columns: [PaymentID, PatientID, Amount]
        keys: [PaymentID]
        where: {PaymentID: {key_of: payment}}
    - entity: {patient: patient_id}
    - clear: [PaymentID]

dolphin.change_contact:
  mssql_write.present:
    {{- writes_as('dolphin', database) }}
    - parameters:
        patient_id: {type: int, min: 1}
        email: {type: nvarchar(120), nullable: True}
        phone: {type: varchar(24), nullable: True}
        rowver: rowversion
    - preconditions:
      - table: dbo.Patient
        where: {PatientID: patient_id}
        expect: {RowVer: rowver}
    - statements:
      - update: dbo.Patient
        set: {Email: email, Phone: phone, UpdatedAt: {now: local}}
        where: {PatientID: patient_id}
    - read_back:
        table: dbo.Patient
        columns: [PatientID, RowVer]
        keys: [PatientID]
        where: {PatientID: patient_id}
    - entity: {patient: patient_id}
    - clear: [PatientID, RowVer]
