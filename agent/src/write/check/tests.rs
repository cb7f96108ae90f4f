use super::*;
use crate::write::well_formed::tests::{RESCHEDULE, arguments, read, reschedule, shaped};

fn said(changes: &str) -> String {
    let mut args = arguments(RESCHEDULE);
    args.extend(arguments(changes));
    let spec = shaped(read(&args).unwrap());
    check_types(&spec).map(|()| "accepted".to_owned()).unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_parameter_that_its_column_would_change_is_refused() {
    assert_eq!(said("{}"), "accepted");
    let cut = said(
        "{parameters: {appointment_id: bigint, starts: datetime, note: nvarchar(100), rowver: rowversion}}",
    );
    assert_eq!(
        cut,
        "column AppointmentID of dbo.Appointment is int, which does not hold every bigint of the parameter appointment_id"
    );
    let wide = said(
        "{statements: [{update: Appointment, set: {Code: note}, where: {AppointmentID: appointment_id}}]}",
    );
    assert!(wide.contains("column Code of dbo.Appointment is varchar(10)"), "{wide}");
}

#[test]
fn constants_clocks_and_keys_must_suit_their_column() {
    let set = |operand: &str| {
        said(&format!(
            "{{statements: [{{update: Appointment, set: {operand}, where: {{AppointmentID: appointment_id}}}}]}}"
        ))
    };
    assert_eq!(set("{CreatedAt: {now: utc}, Status: {value: Done}}"), "accepted");
    assert!(set("{Code: {now: utc}}").contains("the server's clock"));
    assert!(set("{Code: {value: longer than ten}}").contains("the constant for Code"));
    assert!(set("{Status: {add: 1}}").contains("a key or a sum"));
    assert_eq!(set("{AppointmentID: {add: appointment_id}}"), "accepted");
    assert!(set("{Status: {add: appointment_id}}").contains("the parameter appointment_id, added to it"));
    assert!(set("{RowVer: {add: rowver}}").contains("added to it"));
    assert!(set("{StartTime: {request: true}}").contains("the request id"));
}

#[test]
fn a_changed_schema_needs_the_fingerprint_that_the_refusal_names() {
    let before = shaped(reschedule()).shape;
    let mut after = before.clone();
    after.tables[0].columns[1].1 = "datetime2(7)".to_owned();
    after.tables[0].columns.remove(5);
    let error = approve(Some(&before), &after, None).unwrap_err();
    let WriteError::SchemaChanged { differences, fingerprint } = &error else { panic!("{error}") };
    assert_eq!(
        differences,
        "column StartTime of dbo.Appointment was datetime, is datetime2(7), column Code of dbo.Appointment is gone"
    );
    assert!(approve(Some(&before), &after, Some(fingerprint)).is_ok());
    assert!(approve(Some(&before), &after, Some(&before.fingerprint())).is_err());
    assert!(approve(None, &after, None).is_ok(), "the first declaration approves what it finds");
    after.tables[0].columns.reverse();
    assert_eq!(&after.fingerprint(), fingerprint, "the order in which columns were found does not matter");
}
