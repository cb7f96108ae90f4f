//! Definitions to test with, and those that are refused.

use states::{Map, Value};

use super::*;
use crate::mssql::arguments::OptionSources;
use crate::write::definition::{Shape, TableShape};

/// The arguments of a write that moves an appointment.
pub(in crate::write) const RESCHEDULE: &str = "
database: Main_OMS
parameters:
  appointment_id: {type: int, min: 1}
  starts: datetime
  note: {type: nvarchar(100), nullable: true, default: null}
  rowver: rowversion
preconditions:
  - table: dbo.Appointment
    where: {AppointmentID: appointment_id}
    expect: {Status: {value: Scheduled}, RowVer: rowver}
statements:
  - update: dbo.Appointment
    set: {StartTime: starts, Note: note}
    where: {AppointmentID: appointment_id}
read_back:
  table: dbo.Appointment
  columns: [AppointmentID, StartTime, RowVer]
  keys: [AppointmentID]
  where: {AppointmentID: appointment_id}
idempotent: {ledger: ledger}
entity: {appointment: appointment_id}
clear: [AppointmentID, StartTime, RowVer]
";

/// The arguments as data.
pub(in crate::write) fn arguments(text: &str) -> Map {
    states::yaml::load(text).unwrap().as_map().cloned().unwrap()
}

/// Reads a definition without options and pillar.
pub(in crate::write) fn read(args: &Map) -> Result<WriteSpec, WriteError> {
    let (opts, pillar) = (Map::new(), Value::Nil);
    WriteSpec::read("w", &OptionSources { arguments: args, opts: &opts, pillar: &pillar, taken: &[] })
}

/// A write that moves an appointment.
pub(in crate::write) fn reschedule() -> WriteSpec {
    read(&arguments(RESCHEDULE)).unwrap()
}

/// The same after its table was looked at.
pub(in crate::write) fn shaped(spec: WriteSpec) -> WriteSpec {
    let columns = [
        ("AppointmentID", "int"),
        ("StartTime", "datetime"),
        ("Status", "nvarchar(20)"),
        ("Note", "nvarchar(max)"),
        ("RowVer", "rowversion"),
        ("Code", "varchar(10)"),
        ("CreatedAt", "datetime2(3)"),
    ];
    let shape = TableShape {
        table: "dbo.Appointment".to_owned(),
        key: vec!["AppointmentID".to_owned()],
        columns: columns.map(|(name, sql_type)| (name.to_owned(), sql_type.to_owned())).to_vec(),
        collations: Vec::new(),
    };
    WriteSpec { shape: Shape { tables: vec![shape] }, ..spec }
}

/// What is said of the definition with some arguments replaced.
fn said(changes: &str) -> String {
    let mut args = arguments(RESCHEDULE);
    args.extend(arguments(changes));
    read(&args).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_definition_without_anything_that_makes_it_happen_once_is_refused() {
    assert!(matches!(read(&arguments("database: d")), Err(WriteError::NotIdempotent)));
    for wrong in ["idempotent: {}", "idempotent: yes", "idempotent: {ledger: a, external_id: b}"] {
        assert!(
            said(wrong).contains("how it happens only once") || said(wrong).contains("idempotent"),
            "{wrong}"
        );
    }
    assert_eq!(said("idempotent: {ledger: other}"), "accepted");
}

#[test]
fn an_external_id_must_be_written_by_the_first_insert() {
    let external = "idempotent: {external_id: Code}";
    assert!(said(external).contains("a column that the first statement, an insert, sets: Code"));
    let insert = "
idempotent: {external_id: Code}
statements:
  - insert: dbo.Appointment
    values: {Code: {request: true}, StartTime: starts}
read_back: {table: dbo.Appointment, columns: [AppointmentID, StartTime, RowVer], where: {Code: {request: true}}}
";
    assert_eq!(said(insert), "accepted");
    let by_key = insert.replace("{Code: {request: true}}}", "{AppointmentID: {key_of: 1}}}");
    assert!(said(&by_key).contains("a repeated request makes no key"));
}

#[test]
fn names_that_nothing_declares_are_refused_at_their_place() {
    let unknown = said("entity: {appointment: nobody}");
    assert!(unknown.contains("entity") && unknown.contains("nobody is none"), "{unknown}");
    let constant = said(
        "statements: [{update: Appointment, set: {Status: Confirmed}, where: {AppointmentID: appointment_id}}]",
    );
    assert!(constant.contains("statements:1:Status") && constant.contains("{value: …}"), "{constant}");
    let early = said(
        "statements: [{insert: A, values: {B: {key_of: later}}}, {insert: B, values: {C: starts}, label: later}]",
    );
    assert!(early.contains("no statement before it is labelled later"), "{early}");
    let key = said("read_back: {table: A, columns: [B], keys: [C], where: {B: starts}}");
    assert!(key.contains("read_back:keys") && key.contains("C is none"), "{key}");
}

#[test]
fn a_change_of_a_whole_table_is_refused() {
    assert!(said("statements: [{delete: Appointment}]").contains("no write touches a whole table"));
    assert!(said("statements: [{update: Appointment, set: {Note: note}}]").contains("statements:1:where"));
    assert!(said("statements: []").contains("at least one insert, update or delete"));
}

#[test]
fn there_is_no_place_for_sql_text() {
    let text = said("statements: ['DELETE FROM Appointment']");
    assert!(text.contains("statements:1") && text.contains("mapping"), "{text}");
    let raw = said("statements: [{sql: 'DELETE FROM Appointment'}]");
    assert!(raw.contains("one of insert, update or delete"), "{raw}");
    let hidden = said("statements: [{delete: Appointment, where: {Note: {sql: '1=1'}}}]");
    assert!(hidden.contains("statements:1:where:Note"), "{hidden}");
}

#[test]
fn values_that_nobody_could_read_are_refused() {
    let text = said("clear: [AppointmentID]");
    assert!(text.contains("read-back of StartTime, RowVer is sealed") && text.contains("clear"), "{text}");
    let bad = said("clear: []\nrecipients: [agex]");
    assert!(bad.contains("'agex' is no age public key"), "{bad}");
    assert!(said("clear: [Other]").contains("Other is none"));
}

#[test]
fn a_nullable_parameter_is_not_compared_by_order() {
    let text = said("preconditions: [{table: Appointment, where: {Note: {lt: note}}, absent: true}]");
    assert!(text.contains("never null; note may be"), "{text}");
    assert_eq!(
        said(
            "preconditions: [{table: Appointment, where: {Note: note, StartTime: {lt: starts}}, absent: true}]"
        ),
        "accepted"
    );
}
