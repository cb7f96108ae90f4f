//! A declaration to test with, and its stored form.

use super::*;

fn column(name: &str, type_name: &str, max_length: i64) -> SourceColumn {
    let (name, type_name) = (name.to_owned(), type_name.to_owned());
    let info = ColumnInfo { name, type_name, max_length, precision: 10, scale: 0, nullable: false };
    SourceColumn::of(&info).unwrap().unwrap()
}

/// `dbo.Appointment` with two ordinary columns and a money column, the cursor not delivered.
pub(crate) fn spec(key: &[&str]) -> JobSpec {
    JobSpec {
        name: JobName::new("appointments").unwrap(),
        connection: ConnectionOptions::read(|_| None).unwrap().with_database("Main_OMS"),
        table: ObjectName::parse("Appointment").unwrap(),
        columns: vec![
            column("AppointmentID", "int", 4),
            column("Note", "nvarchar", 80),
            column("Balance", "money", 8),
        ],
        key: key.iter().map(|name| SqlName::new(*name).unwrap()).collect(),
        cursor: Cursor::Rowversion(SqlName::new("RowVer").unwrap()),
        interval: Duration::from_secs(600),
        batch_rows: 1000,
        seal: Seal::Plain,
    }
}

#[test]
fn a_declaration_survives_storage_without_its_password() {
    let mut declared = spec(&["AppointmentID"]);
    declared.connection.password = Secret::new("hunter2");
    let stored = serde_json::to_string(&StoredSpec::from(&declared)).unwrap();
    assert!(!stored.contains("hunter2"));
    let back: StoredSpec = serde_json::from_str(&stored).unwrap();
    assert_eq!(back.into_spec(declared.name.clone(), Secret::new("hunter2")).unwrap(), declared);
}

#[test]
fn a_cursor_that_is_not_delivered_comes_last() {
    let declared = spec(&["AppointmentID"]);
    assert_eq!((declared.cursor_position(), declared.key_positions()), (3, vec![0]));
}

#[test]
fn a_table_that_changed_is_told_column_by_column() {
    let declared = spec(&["AppointmentID"]);
    let mut columns: Vec<ColumnInfo> = declared.columns.iter().map(|c| c.info.clone()).collect();
    columns[1].max_length = 100;
    columns.remove(2);
    let table = TableInfo { columns, primary_key: vec![], indexes: vec![] };
    let text = declared.verify(&table).unwrap_err().to_string();
    assert!(text.contains("column Note was nvarchar(40), is nvarchar(50)"), "{text}");
    assert!(text.contains("column Balance is gone"), "{text}");
    assert!(text.contains("RowVer is no rowversion"), "{text}");
}

#[test]
fn only_a_change_of_what_is_read_needs_a_snapshot() {
    let declared = spec(&["AppointmentID"]);
    let mut faster = declared.clone();
    faster.interval = Duration::from_secs(1);
    faster.connection.password = Secret::new("new");
    assert!(!faster.needs_snapshot_after(&declared));
    let mut narrower = declared.clone();
    narrower.columns.pop();
    assert!(narrower.needs_snapshot_after(&declared));
}
