//! What a pass cost the server is reported as it was: pages, processor time, the wait for a lock that somebody held.

use std::time::{Duration, Instant};

use agent::mssql::options::Endpoint;
use agent::mssql::{PROGRAM_NAME, Session};
use agent::sync::SyncRoom;
use agent::sync::check::{CursorRequest, JobRequest};
use agent::sync::faults::Faults;
use agent::sync::governor::{Budget, Cost};
use agent::sync::pass::{Want, run_pass};
use tests::relay::{Direction, Relay, Rule};

use crate::check_content;
use crate::joins::least;
use crate::life::{Agent, job};
use crate::sim::Sim;

/// How long the longest wait for a lock has lasted so far.
async fn longest_wait(session: &mut Session) -> i64 {
    let rows = session.query("SELECT MAX(wait_duration_ms) FROM sys.dm_os_waiting_tasks", &[]).await.unwrap();
    rows[0].get::<i64, _>(0).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_pass_reports_the_wait_it_really_had() {
    let sim = Sim::start().await;
    sim.book(1, 120).await;
    let agent = Agent::declare_as(&sim, |mut request| {
        // Longer than a loaded machine takes to see the wait and end it.
        request.connection.lock_timeout = Duration::from_secs(60);
        JobRequest { cursor: CursorRequest::Digest, batch_rows: 1000, ..request }
    })
    .await;
    let mut writer = sim.session("Clinic").await;
    writer.batch("BEGIN TRANSACTION; UPDATE dbo.Visit SET Fee = 0 WHERE VisitID = 24").await.unwrap();
    let begun = Instant::now();
    let release = async {
        while longest_wait(&mut writer).await < 150 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the pass does not wait");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer.batch("COMMIT TRANSACTION").await.unwrap();
    };
    let (report, ()) = tokio::join!(agent.live(Faults::default()), release);
    let report = report.unwrap();
    let Cost { cpu_ms, logical_reads, lock_waits, lock_wait_ms, .. } = report.cost;
    assert_eq!(lock_waits, Some(1));
    let (waited, took) = (lock_wait_ms.unwrap(), report.took.as_millis() as u64);
    assert!((150..=took).contains(&waited), "{waited} ms of a pass of {took} ms");
    assert!(logical_reads.unwrap() >= 3, "120 rows lie on three pages");
    assert!(cpu_ms.unwrap() <= took, "one thread");
    assert_eq!(agent.note().await.cost, Some(report.cost));

    let undisturbed = agent.live(Faults::default()).await.unwrap().cost;
    assert_eq!((undisturbed.lock_waits, undisturbed.lock_wait_ms), (Some(0), Some(0)), "of this pass alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_without_server_permissions_knows_its_own_cost() {
    let sim = Sim::start().await;
    sim.book(1, 60).await;
    let plain = Agent::declare(&sim, 10).await;
    let spec = plain.request(&sim, 10).check().await.unwrap().spec;
    let connection = least(&sim, &spec).await;
    let agent = Agent::declare_as(&sim, |request| JobRequest { connection, ..request }).await;
    let cost = agent.live(Faults::default()).await.unwrap().cost;
    let names: Vec<&str> = cost.figures().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["cpu_ms", "logical_reads", "reads", "lock_waits", "lock_wait_ms"]);
    assert!(cost.logical_reads.unwrap() >= 2, "60 rows lie on two pages");
}

/// Pages that the agent's session has read, as the server counts them.
async fn pages_read(session: &mut Session) -> u64 {
    let sql = format!(
        "SELECT logical_reads FROM sys.dm_exec_sessions WHERE program_name = N'{PROGRAM_NAME}' \
         AND session_id <> @@SPID AND status = N'running'"
    );
    let rows = session.query(&sql, &[]).await.unwrap();
    u64::try_from(rows[0].get::<i64, _>(0).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_that_is_cut_off_in_the_middle_of_a_row_tells_what_is_known_of_its_cost() {
    let sim = Sim::start().await;
    sim.book(1, 120).await;
    let relay = Relay::to(sim.port()).unwrap();
    let agent = Agent::declare_as(&sim, |mut request| {
        request.connection.server.endpoint = Endpoint::Port(relay.port);
        request.connection.lock_timeout = Duration::from_secs(60);
        JobRequest { batch_rows: 50, ..request }
    })
    .await;
    let mut writer = sim.session("Clinic").await;
    // By branch, then number: the last row of the third page.
    writer.batch("BEGIN TRANSACTION; UPDATE dbo.Visit SET Fee = 0 WHERE VisitID = 119").await.unwrap();
    // A page takes more than a second, so that there is a look between two.
    let budget = Budget { rows: Some(40), ..Budget::default() };
    let room = SyncRoom { budget, ..agent.room(Faults::default()) };
    let begun = Instant::now();
    let cut = async {
        while longest_wait(&mut writer).await == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the pass does not come to the third page");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pages = pages_read(&mut writer).await;
        relay.rule(Direction::ToMinion, Rule::CutAfter(1000));
        writer.batch("ROLLBACK TRANSACTION").await.unwrap();
        pages
    };
    let name = job();
    let (report, pages) = tokio::join!(run_pass(&room, &name, Want::News), cut);
    report.unwrap_err();
    let recorded = room.ledger.batches().await.unwrap().len();
    assert_eq!(recorded, 2, "the page before the one that was cut off was read, and is recorded");
    let cost = agent.note().await.cost.unwrap();
    let told = cost.logical_reads.unwrap();
    assert!(cost.partial && (2..=pages).contains(&told), "{cost:?} of {pages} pages");
    assert_eq!((cost.lock_waits, cost.lock_wait_ms), (None, None), "nobody could ask for them");
    relay.rule(Direction::ToMinion, Rule::Pass);
    let whole = agent.live(Faults::default()).await.unwrap().cost;
    assert!(!whole.partial && whole.lock_waits == Some(0), "{whole:?}");
    check_content(&sim, &agent, "after the cut").await;
}
