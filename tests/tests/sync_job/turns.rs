//! Several jobs at one server: who reads first, and how many at the same time, by what the server sees.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::channel::MasterLink;
use agent::mssql::quote::ObjectName;
use agent::mssql::{PROGRAM_NAME, Session};
use agent::sync::SyncRoom;
use agent::sync::check::JobRequest;
use agent::sync::faults::Faults;
use agent::sync::gate::Gate;
use agent::sync::names::JobName;
use agent::sync::scheduler::SyncScheduler;
use agent::sync::sink::MasterSink;
use agent::sync::spec::Timing;

use crate::life::Agent;
use crate::sim::Sim;

/// Tables in the order in which they are declared, with the priority of their jobs: the smallest is first.
const TABLES: [(&str, u8); 6] =
    [("First", 50), ("Second", 50), ("Archive", 90), ("Recall", 60), ("Patient", 20), ("Payment", 10)];

/// How many jobs may read at the same time.
const WIDTH: usize = 2;

/// The tables whose locks the agent's sessions wait for.
async fn waited_for(session: &mut Session) -> BTreeSet<String> {
    let sql = format!(
        "SELECT OBJECT_NAME(l.resource_associated_entity_id) FROM sys.dm_tran_locks AS l \
         INNER JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id \
         WHERE l.request_status = N'WAIT' AND s.program_name = N'{PROGRAM_NAME}'"
    );
    let rows = session.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get::<&str, _>(0).unwrap().to_owned()).collect()
}

/// Waits until the agent waits for exactly `tables`. Whoever else read would wait for its own and stay in sight.
async fn readers(watch: &mut Session, tables: &[&str]) {
    let wanted: BTreeSet<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    let begun = Instant::now();
    loop {
        let seen = waited_for(watch).await;
        if seen == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{seen:?} are read, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A job over a table of one row that is made for it.
async fn over_new_table(sim: &Sim, agent: &Agent, table: &str, priority: u8) -> JobRequest {
    sim.batch(&format!(
        "CREATE TABLE dbo.{table} (ID int NOT NULL PRIMARY KEY, R rowversion NOT NULL); \
         INSERT INTO dbo.{table} (ID) VALUES (1)"
    ))
    .await;
    let mut request = JobRequest {
        name: JobName::new(table).unwrap(),
        table: ObjectName::parse(table).unwrap(),
        timing: Timing { priority, ..Timing::every(Duration::from_secs(600)) },
        ..agent.request(sim, 10)
    };
    request.connection.lock_timeout = Duration::from_secs(120);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_read_in_the_order_of_their_priority_and_never_more_at_once_than_may() {
    let sim = Sim::start().await;
    let agent = Agent::declare(&sim, 10).await;
    let room = SyncRoom { gate: Gate::new(WIDTH), ..agent.room(Faults::default()) };
    let gate = room.gate.clone();
    room.ledger.remove(&crate::life::job()).await.unwrap();
    let scheduler = Arc::new(SyncScheduler::new(room));
    let sink = MasterSink::new(Arc::clone(&agent.master) as Arc<dyn MasterLink>);
    scheduler.start(Arc::new(sink)).await.unwrap();
    let mut watch = sim.session("Clinic").await;
    let mut holders = Vec::new();
    for (table, priority) in TABLES {
        let request = over_new_table(&sim, &agent, table, priority).await;
        let spec = request.check().await.unwrap().spec;
        let mut holder = sim.session("Clinic").await;
        let hold = format!("BEGIN TRANSACTION; SELECT 1 FROM dbo.{table} WITH (TABLOCKX)");
        holder.batch(&hold).await.unwrap();
        holders.push((table, holder));
        scheduler.declare(spec).await.unwrap();
        if holders.len() <= WIDTH {
            let reading: Vec<&str> = holders.iter().map(|(table, _)| *table).collect();
            readers(&mut watch, &reading).await;
            continue;
        }
        let begun = Instant::now();
        while !gate.is_wanted(priority) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the job of {table} does not wait");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let turns: [(&[&str], &str); 6] = [
        (&["First", "Second"], "First"),
        (&["Second", "Payment"], "Second"),
        (&["Payment", "Patient"], "Payment"),
        (&["Patient", "Recall"], "Patient"),
        (&["Recall", "Archive"], "Recall"),
        (&["Archive"], "Archive"),
    ];
    for (reading, released) in turns {
        readers(&mut watch, reading).await;
        let (_, holder) = holders.iter_mut().find(|(table, _)| *table == released).unwrap();
        holder.batch("COMMIT TRANSACTION").await.unwrap();
    }
    let begun = Instant::now();
    for (table, _) in TABLES {
        let name = JobName::new(table).unwrap();
        let last = async || scheduler.status(Some(&name)).await.unwrap().remove(0).last;
        while last().await.ended.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{table} is not read");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(last().await.report.unwrap().rows, 1, "{table}");
    }
}
