//! Declarations over a made-up table: what is chosen, what is refused, what is warned of.

use super::*;
use crate::mssql::catalog::IndexInfo;

fn column(name: &str, type_name: &str, nullable: bool) -> ColumnInfo {
    let (name, type_name) = (name.to_owned(), type_name.to_owned());
    ColumnInfo { name, type_name, max_length: 8, precision: 10, scale: 0, nullable, collation: None }
}

fn table() -> TableInfo {
    let index = |name: &str, column: &str| IndexInfo {
        name: name.into(),
        columns: vec![column.into()],
        unique: true,
    };
    TableInfo {
        columns: vec![
            column("PaymentID", "int", false),
            column("Paid", "datetime", false),
            column("Shape", "", true),
            column("Note", "nvarchar", true),
            column("RowVer", "timestamp", false),
        ],
        primary_key: vec!["PaymentID".into()],
        indexes: vec![index("PK_Payment", "PaymentID"), index("IX_RowVer", "RowVer")],
    }
}

fn request() -> JobRequest {
    let connection = ConnectionOptions::read(|_| None).unwrap();
    let table = ObjectName::parse("Payment").unwrap();
    JobRequest {
        columns: Some(vec!["note".into()]),
        cursor: CursorRequest::Rowversion(None),
        ..JobRequest::new(JobName::new("j").unwrap(), connection, table, Seal::Plain)
    }
}

fn resolve(asked: &JobRequest, table: &TableInfo) -> Result<Checked, SyncError> {
    asked.resolve(table, &[], Tracking::Off)
}

#[test]
fn key_and_cursor_are_found_and_the_key_is_delivered() {
    let checked = resolve(&request(), &table()).unwrap();
    let names: Vec<&str> = checked.spec.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["Note", "PaymentID"]);
    assert_eq!(checked.spec.cursor.shown(), "rowversion RowVer");
    assert_eq!(checked.spec.sweep, Some(DEFAULT_SWEEP), "a rowversion does not see deletes");
    assert!(checked.warnings.is_empty());
}

#[test]
fn auto_takes_the_best_cursor_and_says_why() {
    let auto = JobRequest { cursor: CursorRequest::Auto(None), ..request() };
    let chosen = |table: &TableInfo, tracking| {
        let Checked { spec, why, .. } = auto.resolve(table, &[], tracking).unwrap();
        (spec.cursor.shown(), why)
    };
    let mut table = table();
    assert_eq!(
        chosen(&table, Tracking::On),
        ("change_tracking".into(), "changes are tracked, deletes included".into())
    );
    let (cursor, why) = chosen(&table, Tracking::Unseen);
    assert_eq!(cursor, "rowversion RowVer");
    assert!(why.contains("lacks VIEW CHANGE TRACKING"), "{why}");
    table.columns.pop();
    let (cursor, why) = chosen(&table, Tracking::Off);
    assert_eq!(cursor, "digest");
    assert!(why.contains("no rowversion column"), "{why}");
    table.primary_key.clear();
    let (cursor, why) = chosen(&table, Tracking::Off);
    assert_eq!(cursor, "full");
    assert!(why.contains("no key"), "{why}");
    let named = JobRequest { cursor: CursorRequest::Auto(Some("Paid".into())), ..request() };
    assert_eq!(resolve(&named, &self::table()).unwrap().spec.cursor.shown(), "datetime Paid");
}

#[test]
fn change_tracking_needs_the_primary_key_and_to_be_on() {
    let tracked = JobRequest { cursor: CursorRequest::ChangeTracking, ..request() };
    assert_eq!(tracked.resolve(&table(), &[], Tracking::On).unwrap().spec.sweep, None, "it sees deletes");
    assert!(matches!(tracked.resolve(&table(), &[], Tracking::Off), Err(SyncError::NotTracked { .. })));
    let other = JobRequest { key: Some(vec!["Paid".into()]), ..tracked };
    assert!(matches!(other.resolve(&table(), &[], Tracking::On), Err(SyncError::KeyNotTracked { .. })));
}

#[test]
fn a_cursor_without_index_is_warned_of() {
    let mut table = table();
    table.indexes.pop();
    let warnings = resolve(&request(), &table).unwrap().warnings;
    assert!(warnings[0].contains("begins with RowVer"), "{warnings:?}");
}

#[test]
fn a_cursor_of_another_type_is_refused_by_its_type() {
    let asked = |cursor| JobRequest { cursor, ..request() };
    let text = resolve(&asked(CursorRequest::Rowversion(Some("Paid".into()))), &table()).unwrap_err();
    assert_eq!(text.to_string(), "the cursor column Paid of dbo.Payment is datetime, not rowversion");
    let text = resolve(&asked(CursorRequest::Datetime("Note".into())), &table()).unwrap_err().to_string();
    assert!(text.contains("not a type of moments"), "{text}");
}

#[test]
fn a_table_without_rowversion_or_key_is_refused() {
    let mut bare = table();
    bare.columns.pop();
    assert!(matches!(resolve(&request(), &bare), Err(SyncError::NoRowversion { .. })));
    let mut bare = table();
    bare.primary_key.clear();
    assert!(matches!(resolve(&request(), &bare), Err(SyncError::NoKey { .. })));
}

#[test]
fn a_missing_column_a_lossy_type_and_a_nullable_key_are_refused_by_name() {
    let refused = |asked: JobRequest| resolve(&asked, &table()).unwrap_err().to_string();
    assert!(refused(JobRequest { columns: Some(vec!["Nope".into()]), ..request() }).contains("Nope"));
    assert!(refused(JobRequest { columns: None, ..request() }).contains("column Shape"));
    assert!(refused(JobRequest { exclude: vec!["Nope".into()], ..request() }).contains("Nope"));
    assert!(refused(JobRequest { key: Some(vec!["Note".into()]), ..request() }).contains("may hold NULL"));
}

#[test]
fn all_but_some_columns_renamed_and_masked() {
    let asked = JobRequest {
        columns: None,
        exclude: vec!["shape".into()],
        rename: vec![("Note".into(), "Remark".into())],
        mask: vec![("RowVer".into(), MaskRequest::Drop), ("note".into(), MaskRequest::As(Mask::Hash))],
        ..request()
    };
    let spec = resolve(&asked, &table()).unwrap().spec;
    let delivered: Vec<(&str, Mask)> =
        spec.columns.iter().map(|column| (column.delivered_as.as_str(), column.mask)).collect();
    assert_eq!(delivered, [("PaymentID", Mask::Open), ("Paid", Mask::Open), ("Remark", Mask::Hash)]);
}

#[test]
fn masks_and_names_that_make_no_sense_are_refused() {
    let refused = |asked: JobRequest| resolve(&asked, &table()).unwrap_err().to_string();
    let mask = |name: &str, mask| vec![(name.to_owned(), MaskRequest::As(mask))];
    let key = refused(JobRequest { mask: mask("PaymentID", Mask::Null), ..request() });
    assert!(key.contains("a key column cannot be masked"), "{key}");
    let columns = Some(vec!["Paid".into(), "Note".into()]);
    let cut =
        refused(JobRequest { columns: columns.clone(), mask: mask("Paid", Mask::Truncate(4)), ..request() });
    assert!(cut.contains("only a text can be cut"), "{cut}");
    let rename = vec![("Note".to_owned(), "Paid".to_owned())];
    assert!(refused(JobRequest { columns, rename, ..request() }).contains("delivered as Paid"));
}
