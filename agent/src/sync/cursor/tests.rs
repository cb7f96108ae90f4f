//! The page statements word for word, and the hand-over from snapshot to increments.

use super::*;
use crate::sync::spec::tests::spec;

fn rv(number: u64) -> Rowversion {
    Rowversion::new(number)
}

#[test]
fn a_new_job_has_no_page() {
    assert_eq!(Progress::New.page(&spec(&["AppointmentID"]), rv(9), 10), None);
}

#[test]
fn the_first_snapshot_page_is_bounded_and_ordered_by_key() {
    let progress = Progress::Snapshot { bound: rv(9), after: Vec::new() };
    let page = progress.page(&spec(&["AppointmentID"]), rv(50), 10).unwrap();
    assert_eq!(
        page.sql,
        "SELECT TOP (@P1) [AppointmentID], [Note], CAST([Balance] AS decimal(19,4)) AS [Balance], [RowVer] \
         FROM [dbo].[Appointment] WHERE [RowVer] < CAST(@P2 AS binary(8)) ORDER BY [AppointmentID] OPTION (MAXDOP 1)"
    );
    assert_eq!(page.params, [Param::BigInt(10), Param::Bytes(9u64.to_be_bytes().to_vec())]);
}

#[test]
fn later_snapshot_pages_go_on_after_a_composite_key() {
    let after = vec![Param::Int(7), Param::Text("a'b".into())];
    let page = Progress::Snapshot { bound: rv(9), after }
        .page(&spec(&["AppointmentID", "Note"]), rv(50), 10)
        .unwrap();
    assert!(
        page.sql.contains(
            "WHERE [RowVer] < CAST(@P2 AS binary(8)) AND [AppointmentID] >= @P3 AND ([AppointmentID] > @P3 OR \
             ([AppointmentID] = @P3 AND [Note] > CAST(@P4 AS nvarchar(40)))) ORDER BY [AppointmentID], [Note]"
        ),
        "{}",
        page.sql
    );
}

#[test]
fn increments_go_on_after_rowversion_and_key() {
    let progress = Progress::Increments { after: rv(9), key: vec![Param::Int(7)] };
    let page = progress.page(&spec(&["AppointmentID"]), rv(50), 10).unwrap();
    assert!(
        page.sql.contains(
            "WHERE [RowVer] < CAST(@P2 AS binary(8)) AND [RowVer] >= CAST(@P3 AS binary(8)) AND \
             ([RowVer] > CAST(@P3 AS binary(8)) OR ([RowVer] = CAST(@P3 AS binary(8)) AND [AppointmentID] > @P4)) \
             ORDER BY [RowVer], [AppointmentID]"
        ),
        "{}",
        page.sql
    );
}

#[test]
fn increments_begin_exactly_at_the_snapshots_bound() {
    let done = Progress::Snapshot { bound: rv(9), after: vec![Param::Int(7)] }.exhausted(rv(50));
    assert_eq!(done, Progress::Increments { after: rv(8), key: Vec::new() });
    let page = done.page(&spec(&["AppointmentID"]), rv(50), 10).unwrap();
    assert!(page.sql.contains("[RowVer] > CAST(@P3 AS binary(8)) ORDER BY"), "{}", page.sql);
    assert_eq!(page.params[2], Param::Bytes(8u64.to_be_bytes().to_vec()));
}

#[test]
fn an_exhausted_increment_stands_just_below_its_bound() {
    let progress = Progress::Increments { after: rv(9), key: vec![Param::Int(7)] };
    assert_eq!(progress.exhausted(rv(50)), Progress::Increments { after: rv(49), key: Vec::new() });
}

#[test]
fn a_sweep_reads_on_by_key_alone() {
    let mut swept = spec(&["AppointmentID"]);
    swept.cursor = Cursor::Digest;
    let page = sweep_page(&swept, &[Param::Int(7)], 10);
    assert_eq!(
        page.sql,
        "SELECT TOP (@P1) [AppointmentID], [Note], CAST([Balance] AS decimal(19,4)) AS [Balance] \
         FROM [dbo].[Appointment] WHERE [AppointmentID] > @P2 ORDER BY [AppointmentID] OPTION (MAXDOP 1)"
    );
    assert_eq!(Progress::New.page(&swept, rv(9), 10), None);
}

#[test]
fn progress_survives_storage() {
    for progress in [
        Progress::New,
        Progress::Snapshot { bound: rv(u64::MAX), after: vec![Param::Text("Zoë".into())] },
        Progress::Increments { after: rv(3), key: vec![] },
        Progress::Sweep { round: 2, after: vec![Param::Int(7)] },
        Progress::Swept { round: 2 },
    ] {
        let stored = serde_json::to_string(&StoredProgress::from(&progress)).unwrap();
        let back: StoredProgress = serde_json::from_str(&stored).unwrap();
        assert_eq!(Progress::from(back), progress);
    }
}
