//! Late commits: transactions that overlap and commit out of order, against every kind of cursor.
//!
//! The naive cursor (greatest value seen so far) is one of them, to show that the suite catches what it is for.

use std::collections::BTreeSet;
use std::time::Duration;

use agent::mssql::{Param, Session};
use agent::store::sync_rows::{Hash, Mark, Put};
use agent::sync::check::{CursorRequest, JobRequest, SweepRequest};
use agent::sync::faults::Faults;
use agent::sync::ledger::RowChanges;
use agent::sync::pass::Want;

use crate::batches::source;
use crate::check_content;
use crate::cursors::track;
use crate::life::Agent;
use crate::sim::Sim;

/// Reads what is above the greatest rowversion seen so far, as home-made synchronizers do.
#[derive(Default)]
struct Naive {
    last: Vec<u8>,
    seen: BTreeSet<i32>,
}

impl Naive {
    async fn pass(&mut self, sim: &Sim) {
        let last: String = self.last.iter().map(|byte| format!("{byte:02X}")).collect();
        let sql = format!(
            "SELECT VisitID, CAST(RowVer AS binary(8)) FROM dbo.Visit WITH (READPAST) WHERE RowVer > 0x{last} ORDER BY RowVer"
        );
        for row in sim.batch(&sql).await.remove(0) {
            let (id, version) = (row.get::<i32, _>(0).unwrap(), row.get::<&[u8], _>(1).unwrap());
            self.seen.insert(id);
            self.last = version.to_vec();
        }
    }
}

/// Three transactions that begin one after the other and commit in another order, with a pass between any two steps.
async fn interleave(sim: &Sim, order: [usize; 3], mut pass: impl AsyncFnMut()) {
    let mut writers: Vec<Session> = Vec::new();
    for at in 0..3u32 {
        let mut session = sim.session("Clinic").await;
        session.batch("BEGIN TRANSACTION").await.unwrap();
        for id in [100 + at * 10, 101 + at * 10] {
            session.batch(&insert(id)).await.unwrap();
        }
        writers.push(session);
        sim.batch(&insert(200 + at)).await;
        pass().await;
    }
    for at in order {
        writers[at].batch(&insert(300 + u32::try_from(at).unwrap())).await.unwrap();
        writers[at].batch("COMMIT TRANSACTION").await.unwrap();
        pass().await;
    }
    pass().await;
}

fn insert(id: u32) -> String {
    format!("INSERT INTO dbo.Visit (VisitID, Branch, Changed) VALUES ({id}, N'b{}', SYSDATETIME())", id % 3)
}

const ORDERS: [[usize; 3]; 3] = [[2, 1, 0], [1, 2, 0], [2, 0, 1]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_naive_cursor_loses_rows_that_commit_late() {
    let sim = Sim::start().await;
    let mut naive = Naive { last: vec![0; 8], ..Naive::default() };
    interleave(&sim, ORDERS[0], async || naive.pass(&sim).await).await;
    let there: BTreeSet<i32> = source(&sim).await.keys().map(|(_, id)| *id).collect();
    let lost: Vec<i32> = there.difference(&naive.seen).copied().collect();
    assert!(lost.contains(&100) && lost.contains(&111), "lost {lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cursor_of_ours_loses_rows_that_commit_late() {
    let cursors = [
        CursorRequest::Rowversion(None),
        CursorRequest::ChangeTracking,
        CursorRequest::Datetime("Changed".into()),
        CursorRequest::Digest,
        CursorRequest::Full,
    ];
    for cursor in cursors {
        for order in ORDERS {
            let sim = Sim::start().await;
            track(&sim).await;
            // A pass must not wait for the open transactions, nor give up on them: rows are read as last committed.
            sim.session("master")
                .await
                .batch("ALTER DATABASE Clinic SET READ_COMMITTED_SNAPSHOT ON")
                .await
                .unwrap();
            let agent = Agent::declare_by(&sim, 4, cursor.clone()).await;
            interleave(&sim, order, async || {
                agent.live(Faults::default()).await.unwrap();
            })
            .await;
            check_content(&sim, &agent, &format!("{cursor:?} {order:?}")).await;
        }
    }
}

/// A row whose stamp is older than the last pass by more than the overlap is the sweep's to find.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_column_that_lies_is_found_by_the_sweep() {
    let sim = Sim::start().await;
    sim.batch("INSERT INTO dbo.Visit (VisitID, Branch, Changed) VALUES (1, N'b1', SYSDATETIME())").await;
    let agent = Agent::declare_by(&sim, 10, CursorRequest::Datetime("Changed".into())).await;
    agent.live(Faults::default()).await.unwrap();
    sim.batch("INSERT INTO dbo.Visit (VisitID, Branch, Changed) VALUES (2, N'b2', '2001-01-01')").await;
    sim.batch("INSERT INTO dbo.Visit (VisitID, Branch, Changed) VALUES (3, N'b0', '2099-01-01')").await;
    sim.batch("INSERT INTO dbo.Visit (VisitID, Branch, Changed) VALUES (4, N'b1', NULL)").await;
    let seen = agent.live(Faults::default()).await.unwrap();
    assert_eq!(seen.rows, 2, "a clock that is ahead and a missing stamp are seen at once");
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 0, "and once");
    sim.batch("DELETE FROM dbo.Visit WHERE VisitID = 3").await;
    let swept = agent.live_for(Want::Audit).await.unwrap();
    assert_eq!((swept.rows, swept.deletes), (2, 1), "the lying stamp, and the delete");
    check_content(&sim, &agent, "swept").await;
}

/// The cause of a lag is told in words that a practice can act on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_rowversion_back_is_told() {
    let sim = Sim::start().await;
    let agent = Agent::declare(&sim, 10).await;
    agent.live(Faults::default()).await.unwrap();
    let mut late = sim.session("Clinic").await;
    late.batch("BEGIN TRANSACTION").await.unwrap();
    late.batch(&insert(900)).await.unwrap();
    let spid = late.batch("SELECT CAST(@@SPID AS int)").await.unwrap().remove(0);
    let spid = spid[0].get::<i32, _>(0).unwrap();
    let held = agent.live(Faults::default()).await.unwrap();
    let cause = held.cause.unwrap();
    assert!(cause.contains(&format!("held back by session {spid}, open since ")), "{cause}");
    assert!(cause.contains("login sa"), "{cause}");
    let note = agent.note().await;
    assert_eq!(note.cause(), Some(cause.as_str()));
    assert!(note.fresh.is_some_and(|fresh| fresh <= note.ended), "as fresh as the pass before");
    late.batch("COMMIT TRANSACTION").await.unwrap();
    let then = agent.live(Faults::default()).await.unwrap();
    assert_eq!((then.rows, then.cause), (1, None));
    assert_eq!(agent.note().await.cause(), None);
}

/// A rowversion job ticks off keys by day; at night it compares whole rows, once, and sees what no rowversion told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rowversion_job_compares_whole_rows_once_a_night() {
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare_as(&sim, |request| {
        let mut timing = request.timing.clone();
        timing.audit = Some("02:30".parse().unwrap());
        JobRequest {
            timing,
            sweep: SweepRequest::Every(Duration::from_secs(6 * 3600)),
            batch_rows: 10,
            ..request
        }
    })
    .await;
    agent.live(Faults::default()).await.unwrap();
    let (ledger, name) = (agent.room(Faults::default()).ledger, crate::life::job());
    // What was delivered of two rows is not what the table holds: as if their change had moved no rowversion.
    let mut state = ledger.job(&name).await.unwrap();
    let known = ledger.unseen(&name, u64::MAX >> 1, 2).await.unwrap();
    let other = |(row, key): &(Hash, Vec<Param>)| Mark::Delivered {
        row: *row,
        digest: Hash::default(),
        key: serde_json::to_vec(key).unwrap(),
    };
    let changes = RowChanges { marks: known.iter().map(other).collect(), put: Put::InPlace };
    ledger.move_with_marks(&state, &state.progress, changes).await.unwrap();
    assert_eq!(
        agent.live(Faults::default()).await.unwrap().read,
        0,
        "neither the cursor nor a sweep sees it"
    );
    state = ledger.job(&name).await.unwrap();
    state.progress.sweep.audited = 1;
    ledger.move_progress(&state, &state.progress).await.unwrap();
    let audited = agent.live(Faults::default()).await.unwrap();
    assert_eq!((audited.read, audited.rows), (25, 2), "the night's look finds and mends them");
    assert!(ledger.job(&name).await.unwrap().progress.sweep.audited > 1);
    assert_eq!(agent.live(Faults::default()).await.unwrap().read, 0, "once a night");
    check_content(&sim, &agent, "audited").await;
}
