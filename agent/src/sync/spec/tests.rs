//! A declaration to test with, and its stored form.

use crate::mssql::Param;
use crate::store::Secret;

use super::*;

pub(crate) fn column(name: &str, type_name: &str, max_length: i64, collation: Option<&str>) -> SourceColumn {
    let (name, type_name, collation) = (name.to_owned(), type_name.to_owned(), collation.map(str::to_owned));
    let info =
        ColumnInfo { name, type_name, max_length, precision: 10, scale: 0, nullable: false, collation };
    SourceColumn::of(&info).unwrap().unwrap()
}

/// `dbo.Appointment` with two ordinary columns and a money column, the cursor not delivered.
pub(crate) fn spec(key: &[&str]) -> JobSpec {
    JobSpec {
        name: JobName::new("appointments").unwrap(),
        connection: ConnectionOptions::read(|_| None).unwrap().with_database("Main_OMS"),
        table: ObjectName::parse("Appointment").unwrap(),
        joins: Vec::new(),
        columns: vec![
            column("AppointmentID", "int", 4, None),
            column("Note", "nvarchar", 80, None),
            column("Balance", "money", 8, None),
        ],
        known: ["AppointmentID", "Note", "Balance", "RowVer"].map(str::to_owned).to_vec(),
        key: key.iter().map(|name| SqlName::new(*name).unwrap()).collect(),
        cursor: Cursor::Rowversion(SqlName::new("RowVer").unwrap()),
        filter: Vec::new(),
        sweep: None,
        timing: Timing::every(Duration::from_secs(600)),
        batch_rows: 1000,
        seal: Seal::Plain,
        sink: None,
        retention: None,
        ehr_version: None,
        code_pages: None,
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
fn everything_declared_survives_storage() {
    let mut declared = spec(&["AppointmentID"]);
    declared.columns[1].mask = Mask::Hash;
    declared.columns[1].delivered_as = "Remark".into();
    let (column, info) = (declared.columns[0].name.clone(), declared.columns[0].info.clone());
    let test = Test::In(vec![Param::BigInt(1), Param::BigInt(2)]);
    declared.filter = vec![Condition { column, test, info }];
    declared.sweep = Some(Duration::from_secs(60));
    declared.timing.cron = Some("*/5 * * * *".into());
    declared.timing.quiet = vec!["22:00-23:00".parse().unwrap()];
    declared.cursor = Cursor::Datetime(DatetimeCursor {
        column: SqlName::new("Changed").unwrap(),
        sql_type: "datetime".into(),
        clock: Clock::Utc,
        overlap: Duration::from_secs(7200),
    });
    declared.ehr_version = Some(VersionSource {
        table: ObjectName::parse("cfg.Version").unwrap(),
        column: SqlName::new("Number").unwrap(),
        newest_by: Some(SqlName::new("Installed").unwrap()),
        filter: declared.filter.clone(),
        info: self::column("Number", "varchar", 20, None).info,
    });
    let stored = serde_json::to_value(StoredSpec::from(&declared)).unwrap();
    let back: StoredSpec = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(back.into_spec(declared.name.clone(), Secret::default()).unwrap(), declared);
    let mut earlier = stored;
    for later in ["joins", "sink", "retention", "ehr_version"] {
        assert!(earlier.as_object_mut().unwrap().remove(later).is_some(), "{later}");
    }
    let back: StoredSpec = serde_json::from_value(earlier).unwrap();
    let back = back.into_spec(declared.name.clone(), Secret::default()).unwrap();
    assert_eq!(back, JobSpec { ehr_version: None, ..declared }, "as an earlier agent stored it");
}

#[test]
fn a_masked_column_is_not_read_or_is_a_text() {
    let mut declared = spec(&["AppointmentID"]);
    declared.columns[1].mask = Mask::Null;
    declared.columns[2].mask = Mask::Hash;
    let names: Vec<&str> = declared.read_columns().into_iter().map(SqlName::as_str).collect();
    assert_eq!(names, ["AppointmentID", "Balance", "RowVer"]);
    let schema = declared.schema().unwrap();
    let hashed = schema.get_fields()[3].get_basic_info().logical_type_ref().cloned();
    assert_eq!(hashed, Some(parquet::basic::LogicalType::String));
}

#[test]
fn a_table_that_changed_is_told_column_by_column() {
    let declared = spec(&["AppointmentID"]);
    let mut columns: Vec<ColumnInfo> = declared.columns.iter().map(|c| c.info.clone()).collect();
    columns[1] = column("Note", "int", 4, None).info;
    columns.remove(2);
    let table = TableInfo { columns, primary_key: vec![], indexes: vec![] };
    let text = declared.verify(&table).unwrap_err().to_string();
    assert!(text.contains("column Note was nvarchar(40), is int"), "{text}");
    assert!(text.contains("column Balance is gone"), "{text}");
    assert!(text.contains("RowVer is no rowversion"), "{text}");
}

#[test]
fn a_longer_text_is_read_on_unless_it_is_compared_with() {
    let longer = |declared: &JobSpec| {
        let mut columns: Vec<ColumnInfo> = declared.columns.iter().map(|c| c.info.clone()).collect();
        columns[1].max_length = 100;
        columns.push(column("RowVer", "timestamp", 8, None).info);
        TableInfo { columns, primary_key: vec![], indexes: vec![] }
    };
    let declared = spec(&["AppointmentID"]);
    let table = longer(&declared);
    assert_eq!(declared.verify(&table).unwrap(), [] as [&str; 0]);
    let fitted = declared.fitted(&table).unwrap();
    assert_eq!(fitted.columns[1].sql_type, "nvarchar(50)");
    assert!(!fitted.needs_snapshot_after(&declared), "the same data");
    let keyed = spec(&["AppointmentID", "Note"]);
    assert!(keyed.verify(&table).is_err(), "a key is cast to its exact type");
    let fitted = keyed.fitted(&table).unwrap();
    assert!(fitted.verify(&table).is_ok() && fitted.needs_snapshot_after(&keyed));
}

#[test]
fn an_added_column_is_told_and_stops_nothing() {
    let declared = spec(&["AppointmentID"]);
    let mut columns: Vec<ColumnInfo> = declared.columns.iter().map(|c| c.info.clone()).collect();
    columns.push(column("RowVer", "timestamp", 8, None).info);
    columns.push(column("Room", "nvarchar", 20, None).info);
    let table = TableInfo { columns, primary_key: vec![], indexes: vec![] };
    assert_eq!(declared.verify(&table).unwrap(), ["Room nvarchar(10)"]);
}

#[test]
fn only_a_change_of_what_is_read_needs_a_snapshot() {
    let declared = spec(&["AppointmentID"]);
    let mut faster = declared.clone();
    faster.timing.interval = Duration::from_secs(1);
    faster.connection.password = Secret::new("new");
    assert!(!faster.needs_snapshot_after(&declared));
    let mut narrower = declared.clone();
    narrower.columns.pop();
    assert!(narrower.needs_snapshot_after(&declared));
}
