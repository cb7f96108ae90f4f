//! The page statements word for word.

use super::*;
use crate::sync::spec::tests::{column, spec};
use crate::sync::spec::{Clock, Comparison, Condition, Mask, Test};

fn at(reading: Reading) -> Progress {
    Progress::at(reading)
}

fn mark(number: u64) -> Watermark {
    Watermark::new(number)
}

#[test]
fn a_new_job_has_no_page() {
    assert_eq!(snapshot_page(&spec(&["AppointmentID"]), &Progress::default(), 10), None);
    assert_eq!(increment_page(&spec(&["AppointmentID"]), &Progress::default(), mark(9), 10), None);
}

#[test]
fn the_first_snapshot_page_is_bounded_and_ordered_by_key() {
    let progress = at(Reading::Snapshot { bound: mark(9), after: Vec::new() });
    let page = snapshot_page(&spec(&["AppointmentID"]), &progress, 10).unwrap();
    assert_eq!(
        page.sql,
        "SELECT TOP (@P1) [AppointmentID], [Note], CAST([Balance] AS decimal(19,4)) AS [Balance], [RowVer] \
         FROM [dbo].[Appointment] WHERE [RowVer] <= CAST(@P2 AS binary(8)) ORDER BY [AppointmentID] OPTION (MAXDOP 1)"
    );
    assert_eq!(page.params, [Param::BigInt(10), Param::Bytes(9u64.to_be_bytes().to_vec())]);
    assert_eq!(page.layout.cursor, Some(3));
}

#[test]
fn later_snapshot_pages_go_on_after_a_composite_key() {
    let after = vec![Param::Int(7), Param::Text("a'b".into())];
    let progress = at(Reading::Snapshot { bound: mark(9), after });
    let page = snapshot_page(&spec(&["AppointmentID", "Note"]), &progress, 10).unwrap();
    assert!(
        page.sql.contains(
            "WHERE [RowVer] <= CAST(@P2 AS binary(8)) AND [AppointmentID] >= @P3 AND ([AppointmentID] > @P3 OR \
             ([AppointmentID] = @P3 AND [Note] > CAST(@P4 AS nvarchar(40)))) ORDER BY [AppointmentID], [Note]"
        ),
        "{}",
        page.sql
    );
}

#[test]
fn increments_go_on_after_rowversion_and_key() {
    let progress = at(Reading::Increments { after: mark(9), key: vec![Param::Int(7)] });
    let page = increment_page(&spec(&["AppointmentID"]), &progress, mark(50), 10).unwrap();
    assert!(
        page.sql.contains(
            "WHERE [RowVer] <= CAST(@P2 AS binary(8)) AND [RowVer] >= CAST(@P3 AS binary(8)) AND \
             ([RowVer] > CAST(@P3 AS binary(8)) OR ([RowVer] = CAST(@P3 AS binary(8)) AND [AppointmentID] > @P4)) \
             ORDER BY [RowVer], [AppointmentID]"
        ),
        "{}",
        page.sql
    );
}

#[test]
fn changes_within_a_version_read_in_part_are_asked_for_again_and_left_out_by_key() {
    let mut tracked = spec(&["AppointmentID"]);
    tracked.cursor = Cursor::ChangeTracking;
    let progress = at(Reading::Increments { after: mark(9), key: vec![Param::Int(7)] });
    let page = increment_page(&tracked, &progress, mark(50), 10).unwrap();
    assert_eq!(
        page.sql,
        "SELECT TOP (@P1) CT.[AppointmentID], T.[Note], CAST(T.[Balance] AS decimal(19,4)) AS [Balance], \
         CT.SYS_CHANGE_OPERATION, CT.SYS_CHANGE_VERSION, \
         CAST(CASE WHEN T.[AppointmentID] IS NULL THEN 0 ELSE 1 END AS bit) AS Present \
         FROM CHANGETABLE(CHANGES [dbo].[Appointment], @P2) AS CT LEFT JOIN [dbo].[Appointment] AS T \
         ON T.[AppointmentID] = CT.[AppointmentID] WHERE CT.SYS_CHANGE_VERSION <= @P3 AND \
         CT.SYS_CHANGE_VERSION >= @P4 AND (CT.SYS_CHANGE_VERSION > @P4 OR (CT.SYS_CHANGE_VERSION = @P4 AND \
         CT.[AppointmentID] > @P5)) ORDER BY CT.SYS_CHANGE_VERSION, CT.[AppointmentID] OPTION (MAXDOP 1)"
    );
    assert_eq!(page.params[1], Param::BigInt(8));
    assert_eq!((page.layout.operation, page.layout.cursor, page.layout.present), (Some(3), Some(4), Some(5)));
}

#[test]
fn a_key_of_another_code_page_is_compared_in_its_own_collation() {
    let mut named = spec(&["Code"]);
    named.columns[0] = column("Code", "varchar", 20, Some("Cyrillic_General_CI_AS"));
    let page = key_page(&named, &[Param::Text("ж".into())], 10);
    assert!(
        page.sql.contains("[Code] > CAST(@P2 COLLATE Cyrillic_General_CI_AS AS varchar(20))"),
        "{}",
        page.sql
    );
}

#[test]
fn a_masked_column_is_masked_by_the_server_or_never_named() {
    let mut masked = spec(&["AppointmentID"]);
    masked.columns[1].mask = Mask::Truncate(3);
    masked.columns[2].mask = Mask::Null;
    let page = sweep_page(&masked, &[], 10).unwrap();
    assert!(
        page.sql.starts_with(
            "SELECT TOP (@P1) [AppointmentID], LEFT([Note], 3) AS [Note], CAST(NULL AS decimal(19,4)) AS [Balance], "
        ),
        "{}",
        page.sql
    );
    assert_eq!(probe(&masked), "SELECT TOP (0) [AppointmentID], [Note], [RowVer] FROM [dbo].[Appointment]");
}

#[test]
fn increments_read_what_left_the_filter_and_snapshots_do_not() {
    let mut filtered = spec(&["AppointmentID"]);
    let (name, info) = (filtered.columns[0].name.clone(), filtered.columns[0].info.clone());
    let test = Test::Compares(Comparison::AtLeast, Param::BigInt(100));
    filtered.filter = vec![Condition { column: name, test, info }];
    let progress = at(Reading::Increments { after: mark(9), key: Vec::new() });
    let page = increment_page(&filtered, &progress, mark(50), 10).unwrap();
    assert!(
        page.sql.contains(", CAST(CASE WHEN [AppointmentID] >= @P3 THEN 1 ELSE 0 END AS bit) AS Inside FROM"),
        "{}",
        page.sql
    );
    assert_eq!(page.layout.inside, Some(4));
    let page = sweep_page(&filtered, &[], 10).unwrap();
    assert!(page.sql.contains("WHERE [AppointmentID] >= @P2 ORDER BY"), "{}", page.sql);
}

#[test]
fn a_datetime_cursor_reads_from_before_its_watermark() {
    let mut dated = spec(&["AppointmentID"]);
    let cursor = DatetimeCursor {
        column: crate::mssql::quote::SqlName::new("Changed").unwrap(),
        sql_type: "datetime".into(),
        clock: Clock::Local,
        overlap: std::time::Duration::from_secs(60),
    };
    dated.cursor = Cursor::Datetime(cursor.clone());
    let since = Watermark::from_moment(100, 5).moment(10);
    assert_eq!(since, Param::DateTime2(99, crate::sync::cursor::TICKS_PER_DAY - 5, 7));
    let page = overlap_page(&dated, &cursor, since, &[Param::DateTime(3, 4), Param::Int(7)], 10);
    assert!(
        page.sql.contains(
            "[Changed] FROM [dbo].[Appointment] WHERE [Changed] >= CAST(@P2 AS datetime) AND \
             [Changed] >= CAST(@P3 AS datetime) AND ([Changed] > CAST(@P3 AS datetime) OR \
             ([Changed] = CAST(@P3 AS datetime) AND [AppointmentID] > @P4)) ORDER BY [Changed], [AppointmentID]"
        ),
        "{}",
        page.sql
    );
    let page = null_page(&dated, &cursor, &[Param::Int(7)], 10);
    assert!(page.sql.contains("WHERE [Changed] IS NULL AND [AppointmentID] > @P2 ORDER BY"), "{}", page.sql);
}

#[test]
fn rows_are_asked_for_by_their_whole_key() {
    let keys = [vec![Param::Int(1), Param::Text("a".into())], vec![Param::Int(2), Param::Text("b".into())]];
    let page = rows_of(&spec(&["AppointmentID", "Note"]), &keys, true);
    assert_eq!(
        page.sql,
        "SELECT [AppointmentID], [Note] FROM [dbo].[Appointment] WHERE \
         (([AppointmentID] = @P1 AND [Note] = CAST(@P2 AS nvarchar(40))) OR \
         ([AppointmentID] = @P3 AND [Note] = CAST(@P4 AS nvarchar(40)))) OPTION (MAXDOP 1)"
    );
}

#[test]
fn a_range_of_keys_includes_both_ends() {
    let key = |id: i32, note: &str| Some(vec![Param::Int(id), Param::Text(note.into())]);
    let range = KeyRange { from: key(1, "a"), to: key(2, "b") };
    let page = range_page(&spec(&["AppointmentID", "Note"]), &range, &[], 10);
    let (a, b) = ("CAST(@P3 AS nvarchar(40))", "CAST(@P7 AS nvarchar(40))");
    let wanted = format!(
        "WHERE ([AppointmentID] >= @P2 AND ([AppointmentID] > @P2 OR ([AppointmentID] = @P2 AND [Note] > {a})) OR \
         ([AppointmentID] = @P4 AND [Note] = CAST(@P5 AS nvarchar(40)))) AND NOT ([AppointmentID] >= @P6 AND \
         ([AppointmentID] > @P6 OR ([AppointmentID] = @P6 AND [Note] > {b}))) ORDER BY"
    );
    assert!(page.sql.contains(&wanted), "{}", page.sql);
}

#[test]
fn keys_are_turned_into_their_columns_types_by_the_server() {
    let keys = [vec![Param::Text("7".into())], vec![Param::BigInt(8)]];
    let query = typed_keys(&spec(&["AppointmentID"]), &keys);
    assert_eq!(query.sql, "SELECT CAST(@P1 AS int) UNION ALL SELECT CAST(@P2 AS int)");
}
