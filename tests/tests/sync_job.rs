//! Sync jobs against ehr-sim: nothing lost, nothing twice, whatever dies between two steps.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails it by panicking")]

#[path = "sync_job/batches.rs"]
mod batches;
#[path = "sync_job/busy.rs"]
mod busy;
#[path = "sync_job/cost.rs"]
mod cost;
#[path = "sync_job/cursors.rs"]
mod cursors;
#[path = "sync_job/damage.rs"]
mod damage;
#[path = "sync_job/elsewhere.rs"]
mod elsewhere;
#[path = "sync_job/joins.rs"]
mod joins;
#[path = "sync_job/late.rs"]
mod late;
#[path = "sync_job/life.rs"]
mod life;
#[path = "sync_job/manners.rs"]
mod manners;
#[path = "sync_job/master.rs"]
mod master;
#[path = "sync_job/sim.rs"]
mod sim;
#[path = "sync_job/stores.rs"]
mod stores;
#[path = "sync_job/turns.rs"]
mod turns;

use std::collections::{BTreeMap, HashSet};

use agent::mssql::{ConnectionOptions, Session};
use agent::store::Secret;
use agent::sync::check::CursorRequest;
use agent::sync::faults::{Faults, Step};
use agent::sync::pass::Ending;
use ehr_sim::engine::{Engine, EngineOptions};
use ehr_sim::server::{Server, ServerOptions};
use ehr_sim::tds::prelogin::TlsMode;

use crate::batches::source;
use crate::life::{Agent, die_at};
use crate::sim::{CANARY, Sim};

/// Delivered equals source, no version came twice, no sequence is missing, every file was announced with its digest.
async fn check(sim: &Sim, agent: &Agent, what: &str) {
    check_content(sim, agent, what).await;
    let versions = agent.master.versions(&agent.identity);
    let rowversion = |rest: &Option<Vec<String>>| rest.as_ref().and_then(|rest| rest.last().cloned());
    let distinct: HashSet<_> =
        versions.iter().map(|(branch, id, rest)| (branch, id, rowversion(rest))).collect();
    assert_eq!(distinct.len(), versions.len(), "{what}: a version was delivered twice");
    check_sequences(agent, what);
}

/// Delivered equals source, in the newest epoch.
async fn check_content(sim: &Sim, agent: &Agent, what: &str) {
    assert_eq!(
        agent.master.newest(&agent.identity),
        source(sim).await,
        "{what}: delivered is not the source"
    );
}

/// No sequence is missing in any epoch, every file was announced with its digest.
fn check_sequences(agent: &Agent, what: &str) {
    let files = agent.master.files();
    let mut announced: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (tag, event) in agent.master.events() {
        assert_eq!(tag, "agent/sync/clinic%2FVisit/batch");
        let path = event.get("path").and_then(proto::Value::as_str).unwrap().to_owned();
        let sha256 = ring::digest::digest(&ring::digest::SHA256, &files[&path]);
        let announced_digest = event.get("sha256").and_then(proto::Value::as_str).unwrap().to_uppercase();
        assert_eq!(
            announced_digest,
            batches::hex(sha256.as_ref()),
            "{what}: {path} is not what was announced"
        );
        let number = |name: &str| event.get(name).and_then(proto::Value::as_u64).unwrap();
        announced.insert(path, (number("epoch"), number("sequence")));
    }
    assert_eq!(
        announced.keys().collect::<Vec<_>>(),
        files.keys().collect::<Vec<_>>(),
        "{what}: a file without event"
    );
    let mut epochs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (epoch, sequence) in announced.into_values() {
        epochs.entry(epoch).or_default().push(sequence);
    }
    for (epoch, sequences) in epochs {
        let whole: Vec<u64> = (1..=sequences.len() as u64).collect();
        assert_eq!(sequences, whole, "{what}: a gap in epoch {epoch}");
    }
}

/// Books, moves and cancels-by-note, as a front desk does between two passes.
async fn front_desk(sim: &Sim, round: u32) {
    sim.book(1000 * (round + 1), 7).await;
    sim.batch("UPDATE dbo.Visit SET Fee = Fee + 1 WHERE VisitID % 5 = 0").await;
    sim.batch(&format!("UPDATE dbo.Visit SET Note = NULL WHERE VisitID % 7 = {}", round % 7)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_increments_give_the_source() {
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare(&sim, 10).await;
    let first = agent.live(Faults::default()).await.unwrap();
    assert_eq!((first.rows, first.batches, first.ending), (25, 3, Ending::CaughtUp));
    check(&sim, &agent, "snapshot").await;
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 0, "nothing changed, nothing is read");
    for round in 0..3 {
        front_desk(&sim, round).await;
        assert!(agent.live(Faults::default()).await.unwrap().rows > 0);
        check(&sim, &agent, "increment").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_between_any_two_steps_loses_nothing_and_doubles_nothing() {
    for step in Step::ALL {
        for nth in 1..=3 {
            let what = format!("death {nth} at {step:?}");
            let sim = Sim::start().await;
            sim.book(1, 25).await;
            let agent = Agent::declare(&sim, 10).await;
            let died = agent.live(die_at(step, nth)).await;
            let expected = step != Step::Begun || nth == 1;
            assert_eq!(died.is_err(), expected, "{what}: {died:?}");
            front_desk(&sim, 0).await;
            drop(agent.live(die_at(step, nth)).await);
            front_desk(&sim, 1).await;
            agent.live(Faults::default()).await.unwrap();
            check(&sim, &agent, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_committed_late_is_not_passed_over() {
    let sim = Sim::start().await;
    sim.book(1, 5).await;
    let agent = Agent::declare(&sim, 10).await;
    agent.live(Faults::default()).await.unwrap();
    let mut late: Session = sim.session("Clinic").await;
    late.batch("BEGIN TRANSACTION").await.unwrap();
    late.batch("INSERT INTO dbo.Visit (VisitID, Branch) VALUES (900, N'b0')").await.unwrap();
    sim.book(10, 5).await;
    let held = agent.live(Faults::default()).await.unwrap();
    assert_eq!(held.rows, 0, "rows stamped after the open transaction wait for it");
    assert!(held.reach.unwrap().held_back() > 0);
    late.batch("COMMIT TRANSACTION").await.unwrap();
    let then = agent.live(Faults::default()).await.unwrap();
    assert_eq!((then.rows, then.reach.unwrap().held_back()), (6, 0));
    check(&sim, &agent, "late commit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_meets_a_lock_gives_up_soon_and_loses_nothing_by_it() {
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare(&sim, 10).await;
    let mut writer: Session = sim.session("Clinic").await;
    writer.batch("BEGIN TRANSACTION").await.unwrap();
    writer.batch("UPDATE dbo.Visit SET Fee = 0 WHERE VisitID = 24").await.unwrap();
    let error = agent.live(Faults::default()).await.unwrap_err();
    assert!(error.contains("1222"), "{error}");
    writer.batch("ROLLBACK TRANSACTION").await.unwrap();
    agent.live(Faults::default()).await.unwrap();
    check(&sim, &agent, "after the lock").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_job_finds_changes_and_deletes_without_a_cursor_column() {
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare_by(&sim, 10, CursorRequest::Digest).await;
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 25);
    check(&sim, &agent, "first sweep").await;
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 0, "nothing changed, nothing is delivered");
    front_desk(&sim, 0).await;
    sim.batch("DELETE FROM dbo.Visit WHERE VisitID % 8 = 3").await;
    assert!(agent.live(Faults::default()).await.unwrap().rows > 0);
    check(&sim, &agent, "second sweep").await;
    let deletes: u64 =
        agent.master.events().iter().filter_map(|(_, event)| event.get("deletes")?.as_u64()).sum();
    assert_eq!(deletes, 3, "3, 11 and 19 were delivered and are gone; 1003 never was delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_in_a_sweep_loses_nothing_and_doubles_nothing() {
    for step in Step::ALL {
        for nth in [1, 3] {
            let what = format!("sweep, death {nth} at {step:?}");
            let sim = Sim::start().await;
            sim.book(1, 25).await;
            let agent = Agent::declare_by(&sim, 10, CursorRequest::Digest).await;
            drop(agent.live(die_at(step, nth)).await);
            agent.live(Faults::default()).await.unwrap();
            front_desk(&sim, 0).await;
            sim.batch("DELETE FROM dbo.Visit WHERE VisitID % 8 = 3").await;
            drop(agent.live(die_at(step, nth)).await);
            agent.live(Faults::default()).await.unwrap();
            check(&sim, &agent, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_table_does_not_empty_the_destination_unasked() {
    let sim = Sim::start().await;
    sim.book(1, 120).await;
    let agent = Agent::declare_by(&sim, 50, CursorRequest::Digest).await;
    agent.live(Faults::default()).await.unwrap();
    sim.batch("DELETE FROM dbo.Visit").await;
    let error = agent.live(Faults::default()).await.unwrap_err();
    assert!(error.contains("120 of 120 known rows of dbo.Visit are gone"), "{error}");
    assert_eq!(agent.master.newest(&agent.identity).len(), 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_master_batches_wait_in_the_spool_up_to_its_bound() {
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let mut agent = Agent::declare(&sim, 5).await;
    agent.spool_bytes = 1;
    agent.master.away.store(true, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..2 {
        let error = agent.live(Faults::default()).await.unwrap_err();
        assert!(error.contains("the test says so"), "{error}");
    }
    let depth = agent.room(Faults::default()).ledger.depth(None).await.unwrap();
    assert_eq!(depth.batches, 1, "the pass stopped at the bound");
    agent.master.away.store(false, std::sync::atomic::Ordering::Relaxed);
    agent.spool_bytes = u64::MAX;
    agent.live(Faults::default()).await.unwrap();
    check(&sim, &agent, "caught up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_value_lies_in_clear_on_disk_or_in_an_event() {
    let sim = Sim::start().await;
    sim.book(1, 25).await;
    let agent = Agent::declare(&sim, 10).await;
    for step in [Step::Written, Step::Renamed, Step::Recorded, Step::Freed] {
        drop(agent.live(die_at(step, 1)).await);
        let holds = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        for file in agent.files() {
            assert!(!holds(&std::fs::read(&file).unwrap()), "{} holds a row in clear", file.display());
        }
        for (_, event) in agent.master.events() {
            assert!(!holds(format!("{event:?}").as_bytes()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_table_stops_the_pass_and_says_what_changed() {
    let sim = Sim::start().await;
    sim.book(1, 5).await;
    let agent = Agent::declare(&sim, 10).await;
    agent.live(Faults::default()).await.unwrap();
    sim.batch("ALTER TABLE dbo.Visit DROP COLUMN Note").await;
    let error = agent.live(Faults::default()).await.unwrap_err();
    assert!(error.contains("column Note is gone"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_cannot_be_synchronized_is_refused_by_name() {
    let sim = Sim::start().await;
    let agent = Agent::declare(&sim, 10).await;
    sim.batch("CREATE TABLE dbo.Legacy (ID int NOT NULL PRIMARY KEY, Changed datetime NOT NULL)").await;
    let asked = |table: &str, cursor: Option<&str>| agent::sync::check::JobRequest {
        table: agent::mssql::quote::ObjectName::parse(table).unwrap(),
        cursor: CursorRequest::Rowversion(cursor.map(str::to_owned)),
        ..agent.request(&sim, 10)
    };
    let refused =
        async |table: &str, cursor: Option<&str>| asked(table, cursor).check().await.unwrap_err().to_string();
    assert!(refused("Nowhere", None).await.contains("no table dbo.Nowhere in database Clinic"));
    assert!(refused("Legacy", None).await.contains("no rowversion column"));
    assert!(
        refused("Legacy", Some("Changed"))
            .await
            .contains("Changed of dbo.Legacy is datetime, not rowversion")
    );
    sim.batch("DROP INDEX IX_Visit_RowVer ON dbo.Visit").await;
    let warnings = asked("Visit", None).check().await.unwrap().warnings;
    assert!(warnings[0].contains("begins with RowVer"), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forces_encryption_says_so_to_a_client_without() {
    let engine = Engine::new(EngineOptions { sa_password: sim::PASSWORD.into(), ..EngineOptions::default() });
    let options = ServerOptions { tls: TlsMode::On, ..ServerOptions::default() };
    let server = Server::bind(engine, options).await.unwrap();
    let port = server.local_addr().port().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(server.run(async move { drop(stopped.await) }));
    let connect = async |encrypt: &'static str| {
        let lookup = |name: &str| match name {
            "server" => Some("127.0.0.1".to_owned()),
            "port" => Some(port.clone()),
            "encrypt" => Some(encrypt.to_owned()),
            "trust_server_certificate" => Some("true".to_owned()),
            _ => None,
        };
        let options = ConnectionOptions::read(lookup).unwrap();
        Session::connect(&options.with_login("sa", Secret::new(sim::PASSWORD))).await
    };
    let refused = connect("false").await.unwrap_err().to_string();
    assert!(refused.contains("Force Encryption") && refused.contains("mssql.encrypt: true"), "{refused}");
    connect("true").await.unwrap();
    drop(stop);
    run.await.unwrap();
}
