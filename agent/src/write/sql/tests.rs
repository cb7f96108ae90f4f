use super::*;
use crate::write::parameter;
use crate::write::well_formed::tests::{RESCHEDULE, arguments, read, shaped};

fn spec(changes: &str) -> WriteSpec {
    let mut args = arguments(RESCHEDULE);
    args.extend(arguments(changes));
    shaped(read(&args).unwrap())
}

fn values(spec: &WriteSpec, given: &str) -> Values {
    parameter::values(&spec.parameters, &arguments(given)).unwrap()
}

const GIVEN: &str = "{appointment_id: 7, starts: '2026-01-02T10:00:00', rowver: '0x00000000000007D1'}";

fn rendered(changes: &str, given: &str, make: impl Fn(&Rendering<'_>) -> Sql) -> Sql {
    let spec = spec(changes);
    let (request, values) = (RequestId::new("r-1").unwrap(), values(&spec, given));
    let keys = [("made".to_owned(), 42)].into_iter().collect();
    make(&Rendering { spec: &spec, request: &request, values: &values, keys: &keys })
}

fn first(rendering: &Rendering<'_>) -> Sql {
    rendering.statement(&rendering.spec.statements[0]).unwrap()
}

#[test]
fn names_are_quoted_values_are_bound_and_null_is_a_word() {
    let sql = rendered("{}", GIVEN, first);
    assert_eq!(
        sql.text,
        "UPDATE [dbo].[Appointment] SET [StartTime] = @P1, [Note] = NULL WHERE [AppointmentID] = @P2; SELECT @@ROWCOUNT"
    );
    assert_eq!(sql.params().unwrap(), [Param::DateTime(46_022, 10_800_000), Param::Int(7)]);
    assert_eq!(sql.labels(), ["@P1: starts datetime", "@P2: appointment_id int"]);
    let hostile =
        "statements: [{update: 'x] ; DROP TABLE y --', set: {'a]b': note}, where: {\"';\": appointment_id}}]";
    let sql = rendered(hostile, GIVEN, first);
    assert_eq!(
        sql.text,
        "UPDATE [dbo].[x]] ; DROP TABLE y --] SET [a]]b] = NULL WHERE [';] = @P1; SELECT @@ROWCOUNT"
    );
}

#[test]
fn a_precondition_asks_column_by_column_and_holds_the_row() {
    let sql = rendered("{}", GIVEN, |r| r.precondition(&r.spec.preconditions[0], Locks::Held).unwrap());
    assert_eq!(
        sql.text,
        "SELECT TOP (2) CASE WHEN [Status] = @P1 THEN 1 ELSE 0 END, CASE WHEN [RowVer] = @P2 THEN 1 ELSE 0 END, [Status], \
         [RowVer] FROM [dbo].[Appointment] WITH (UPDLOCK) WHERE [AppointmentID] = @P3"
    );
    assert_eq!(sql.params().unwrap()[0], Param::Text("Scheduled".into()));
    let absent = "preconditions: [{table: Appointment, where: {StartTime: {lt: starts}, Note: {ne: note}}, absent: true}]";
    let sql = rendered(absent, GIVEN, |r| r.precondition(&r.spec.preconditions[0], Locks::Held).unwrap());
    assert_eq!(
        sql.text,
        "SELECT TOP (2) 1 FROM [dbo].[Appointment] WITH (UPDLOCK, HOLDLOCK) WHERE [StartTime] < @P1 AND [Note] IS NOT NULL"
    );
    let dry = rendered(absent, GIVEN, |r| r.precondition(&r.spec.preconditions[0], Locks::None).unwrap());
    assert!(!dry.text.contains("LOCK"), "{}", dry.text);
}

#[test]
fn an_insert_answers_its_key_and_later_statements_use_it() {
    let inserts = "
statements:
  - insert: Appointment
    label: made
    values: {AppointmentID: {next: true}, Code: {request: true}, CreatedAt: {now: utc}, Status: {value: New}}
  - update: Appointment
    set: {AppointmentID: {add: 1}}
    where: {AppointmentID: {key_of: made}}
";
    let sql = rendered(inserts, GIVEN, first);
    assert_eq!(
        sql.text,
        "DECLARE @next bigint = (SELECT COALESCE(MAX([AppointmentID]), 0) + 1 FROM [dbo].[Appointment] WITH (UPDLOCK, \
         HOLDLOCK)); INSERT INTO [dbo].[Appointment] ([AppointmentID], [Code], [CreatedAt], [Status]) VALUES (@next, \
         CONVERT(varchar(10), @P1), SYSUTCDATETIME(), @P2); SELECT @@ROWCOUNT, @next"
    );
    let second = rendered(inserts, GIVEN, |r| r.statement(&r.spec.statements[1]).unwrap());
    assert_eq!(
        second.text,
        "UPDATE [dbo].[Appointment] SET [AppointmentID] = [AppointmentID] + @P1 WHERE [AppointmentID] = @P2 AND \
         [AppointmentID] IS NOT NULL; SELECT @@ROWCOUNT"
    );
    assert_eq!(second.params().unwrap(), [Param::BigInt(1), Param::BigInt(42)]);
}

#[test]
fn a_parameter_is_added_to_what_is_there() {
    let sum = "
statements:
  - update: Appointment
    set: {AppointmentID: {add: appointment_id}}
    where: {Status: {value: New}}
";
    let sql = rendered(sum, GIVEN, first);
    assert_eq!(
        sql.text,
        "UPDATE [dbo].[Appointment] SET [AppointmentID] = [AppointmentID] + @P1 WHERE [Status] = @P2 AND [AppointmentID] IS \
         NOT NULL; SELECT @@ROWCOUNT"
    );
    assert_eq!(sql.labels()[0], "@P1: appointment_id int");
}

#[test]
fn a_key_that_is_not_made_leaves_the_statement_unbound() {
    let spec = spec(
        "{statements: [{insert: Appointment, values: {Note: note}, label: a}], read_back: {table: Appointment, columns: \
         [AppointmentID, StartTime, RowVer], where: {AppointmentID: {key_of: a}}}}",
    );
    let (request, values) = (RequestId::new("r").unwrap(), values(&spec, GIVEN));
    let keys = BTreeMap::new();
    let sql = Rendering { spec: &spec, request: &request, values: &values, keys: &keys }.read_back().unwrap();
    assert_eq!((sql.params(), sql.labels()), (None, vec!["@P1: the key made by a".to_owned()]));
}

#[test]
fn an_id_that_does_not_fit_its_column_is_refused() {
    let spec = spec(
        "{statements: [{insert: Appointment, values: {Code: {request: true}}}], idempotent: {external_id: Code}, read_back: \
         {table: Appointment, columns: [AppointmentID, StartTime, RowVer], where: {Code: {request: true}}}}",
    );
    let (request, values) = (RequestId::new("longer than ten").unwrap(), values(&spec, GIVEN));
    let keys = BTreeMap::new();
    let rendering = Rendering { spec: &spec, request: &request, values: &values, keys: &keys };
    let refused = rendering.statement(&spec.statements[0]).unwrap_err().to_string();
    assert!(refused.contains("dbo.Appointment.Code") && refused.contains("varchar(10)"), "{refused}");
}
