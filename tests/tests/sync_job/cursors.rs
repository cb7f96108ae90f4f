//! Each kind of cursor through inserts, changes and deletes, with deaths at every step.

use agent::sync::check::{
    ConditionRequest, CursorRequest, JobRequest, MaskRequest, SweepRequest, TestRequest,
};
use agent::sync::faults::{Faults, Step};
use agent::sync::pass::Ending;
use agent::sync::spec::{Comparison, Mask};
use std::time::Duration;

use crate::life::{Agent, die_at};
use crate::sim::Sim;
use crate::{check_content, check_sequences, front_desk};

const CHANGED: &str = "UPDATE dbo.Visit SET Changed = SYSDATETIME()";

pub fn cursors() -> [CursorRequest; 5] {
    [
        CursorRequest::Rowversion(None),
        CursorRequest::ChangeTracking,
        CursorRequest::Datetime("Changed".into()),
        CursorRequest::Digest,
        CursorRequest::Full,
    ]
}

/// Sweeps at every pass, so that what the cursor cannot see is seen at once.
async fn declare(sim: &Sim, cursor: CursorRequest) -> Agent {
    let sees_deletes = cursor == CursorRequest::ChangeTracking;
    let sweep = if sees_deletes { SweepRequest::Never } else { SweepRequest::Every(Duration::ZERO) };
    Agent::declare_as(sim, |request| JobRequest { cursor, sweep, ..request }).await
}

/// Tracks the changes of `dbo.Visit`.
pub async fn track(sim: &Sim) {
    sim.batch("ALTER DATABASE Clinic SET CHANGE_TRACKING = ON").await;
    sim.batch("ALTER TABLE dbo.Visit ENABLE CHANGE_TRACKING").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cursor_delivers_inserts_changes_and_deletes() {
    for cursor in cursors() {
        let what = format!("{cursor:?}");
        let sim = Sim::start().await;
        track(&sim).await;
        sim.book(1, 25).await;
        let agent = declare(&sim, cursor).await;
        assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 25, "{what}");
        check_content(&sim, &agent, &what).await;
        assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 0, "{what}: nothing changed");
        for round in 0..2 {
            front_desk(&sim, round).await;
            sim.batch(CHANGED).await;
            sim.batch(&format!("DELETE FROM dbo.Visit WHERE VisitID % 8 = {}", 3 + round)).await;
            let report = agent.live(Faults::default()).await.unwrap();
            assert_eq!(report.ending, Ending::CaughtUp);
            check_content(&sim, &agent, &what).await;
        }
        sim.batch("UPDATE dbo.Visit SET VisitID = VisitID + 5000 WHERE VisitID = 1").await;
        sim.batch(CHANGED).await;
        agent.live(Faults::default()).await.unwrap();
        check_content(&sim, &agent, &what).await;
        check_sequences(&agent, &what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_step_loses_nothing_by_any_cursor() {
    for cursor in cursors() {
        for step in Step::ALL {
            let what = format!("{cursor:?}, death at {step:?}");
            let sim = Sim::start().await;
            track(&sim).await;
            sim.book(1, 25).await;
            let agent = declare(&sim, cursor.clone()).await;
            drop(agent.live(die_at(step, 2)).await);
            front_desk(&sim, 0).await;
            sim.batch(CHANGED).await;
            sim.batch("DELETE FROM dbo.Visit WHERE VisitID % 8 = 3").await;
            drop(agent.live(die_at(step, 1)).await);
            agent.live(Faults::default()).await.unwrap();
            if cursor == CursorRequest::Digest {
                // The sweep that was interrupted goes on where it was; what changed behind it is the next one's.
                agent.live(Faults::default()).await.unwrap();
            }
            check_content(&sim, &agent, &what).await;
            check_sequences(&agent, &what);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_were_cleaned_up_make_a_new_snapshot() {
    let sim = Sim::start().await;
    track(&sim).await;
    sim.book(1, 5).await;
    let agent = Agent::declare_by(&sim, 10, CursorRequest::ChangeTracking).await;
    agent.live(Faults::default()).await.unwrap();
    sim.batch("UPDATE dbo.Visit SET Fee = 1 WHERE VisitID = 2").await;
    // What an administrator does to a table that was restored or truncated: what lies before is unknown.
    sim.batch("ALTER TABLE dbo.Visit DISABLE CHANGE_TRACKING").await;
    let off = agent.live(Faults::default()).await.unwrap_err();
    assert!(off.contains("changes of table dbo.Visit are not tracked"), "{off}");
    sim.batch("DELETE FROM dbo.Visit WHERE VisitID = 3").await;
    sim.batch("ALTER TABLE dbo.Visit ENABLE CHANGE_TRACKING").await;
    let again = agent.live(Faults::default()).await.unwrap();
    assert_eq!(again.rows, 4, "everything is read again");
    assert!(again.cause.unwrap().contains("were cleaned up"));
    check_content(&sim, &agent, "after the clean-up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_texts_is_read_in_the_order_of_its_collation() {
    let sim = Sim::start().await;
    sim.batch("CREATE TABLE dbo.Code (Code varchar(20) NOT NULL PRIMARY KEY, V int NULL)").await;
    for (at, code) in ["b", "A", "a-1", "A1", "é", "É1", "ß", "zz", "-a", "_", "B b"].iter().enumerate() {
        sim.batch(&format!("INSERT INTO dbo.Code (Code, V) VALUES (N'{code}', {at})")).await;
    }
    let agent = Agent::declare_as(&sim, |request| JobRequest {
        table: agent::mssql::quote::ObjectName::parse("Code").unwrap(),
        cursor: CursorRequest::Digest,
        batch_rows: 2,
        ..request
    })
    .await;
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 11);
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 0, "no page was read twice or left out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_leaves_the_filter_is_deleted_and_masks_hold() {
    for cursor in cursors() {
        let what = format!("{cursor:?}");
        let sim = Sim::start().await;
        track(&sim).await;
        sim.book(1, 12).await;
        let sweep = SweepRequest::Every(Duration::ZERO);
        let fee = ConditionRequest {
            column: "Fee".into(),
            test: TestRequest::Compares(Comparison::Below, agent::mssql::Param::BigInt(100)),
        };
        let agent = Agent::declare_as(&sim, |request| JobRequest {
            cursor,
            sweep,
            filter: vec![fee],
            mask: vec![
                ("Note".into(), MaskRequest::As(Mask::Hash)),
                ("ExternalID".into(), MaskRequest::As(Mask::Null)),
            ],
            ..request
        })
        .await;
        agent.live(Faults::default()).await.unwrap();
        assert_eq!(agent.master.newest(&agent.identity).len(), 12, "{what}");
        sim.batch("UPDATE dbo.Visit SET Fee = 500, Changed = SYSDATETIME() WHERE VisitID <= 4").await;
        agent.live(Faults::default()).await.unwrap();
        let newest = agent.master.newest(&agent.identity);
        assert_eq!(newest.len(), 8, "{what}");
        for rest in newest.values() {
            assert!(rest[0].len() == 64 && rest[0].bytes().all(|byte| byte.is_ascii_hexdigit()), "{rest:?}");
            assert_eq!(rest[3], "NULL", "{what}");
        }
        sim.batch("UPDATE dbo.Visit SET Fee = 5, Changed = SYSDATETIME() WHERE VisitID = 2").await;
        agent.live(Faults::default()).await.unwrap();
        assert_eq!(agent.master.newest(&agent.identity).len(), 9, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_practices_switch_stops_reading() {
    use agent::policy::switches::{Pause, Switch, Switches};
    let sim = Sim::start().await;
    sim.book(1, 5).await;
    let mut agent = Agent::declare(&sim, 10).await;
    let folder = tempfile::tempdir().unwrap();
    let switches = Switches::in_folder(folder.path());
    agent.switches = Some(switches.clone());
    let pause = Pause { since: "2026-01-01T00:00:00Z".into(), by: "it@practice".into() };
    switches.pause(Switch::Sync, &pause).unwrap();
    let refused = agent.live(Faults::default()).await.unwrap_err();
    assert_eq!(refused, "reading is paused by it@practice at the practice since 2026-01-01T00:00:00Z");
    switches.resume(Switch::Sync).unwrap();
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_delivered_again_by_key_and_by_range() {
    use agent::mssql::Param;
    use agent::sync::Repair;
    use agent::sync::pass::Want;
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare(&sim, 4).await;
    agent.live(Faults::default()).await.unwrap();
    let text = |part: &str| Param::Text(part.to_owned());
    let keys = vec![vec![text("b1"), text("7")], vec![text("b1"), text("4")], vec![text("b2"), text("999")]];
    sim.batch("DELETE FROM dbo.Visit WHERE VisitID = 4").await;
    let again = agent.live_for(Want::Repair(Repair::Keys(keys))).await.unwrap();
    assert_eq!(
        (again.rows, again.deletes),
        (3, 2),
        "one that is there, one that is gone, one that never was"
    );
    check_content(&sim, &agent, "by key").await;
    let range = Repair::Range(Some(vec![text("b1"), text("7")]), Some(vec![text("b2"), text("5")]));
    let again = agent.live_for(Want::Repair(range)).await.unwrap();
    assert_eq!(again.rows, 9, "b1: 7, 10, 13, 16, 19, 22, 25; b2: 2, 5");
    check_content(&sim, &agent, "by range").await;
    check_sequences(&agent, "repairs");
    let half = agent.live_for(Want::Repair(Repair::Keys(vec![vec![text("b1")]]))).await.unwrap_err();
    assert!(half.contains("a value for each column of the key ([Branch], [VisitID])"), "{half}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_added_column_is_told_and_a_failure_is_noted() {
    let sim = Sim::start().await;
    sim.book(1, 3).await;
    let agent = Agent::declare(&sim, 10).await;
    agent.live(Faults::default()).await.unwrap();
    sim.batch("ALTER TABLE dbo.Visit ADD Room nvarchar(10) NULL").await;
    agent.live(Faults::default()).await.unwrap();
    assert_eq!(agent.note().await.added, ["Room nvarchar(10)"]);
    sim.batch("ALTER TABLE dbo.Visit DROP COLUMN Note").await;
    agent.live(Faults::default()).await.unwrap_err();
    let note = agent.note().await;
    assert!(note.cause().unwrap().contains("column Note is gone"), "{note:?}");
    assert!(note.fresh.is_some());
}
