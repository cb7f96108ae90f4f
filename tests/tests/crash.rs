//! The crash suite: agent, master and SQL Server die at random moments while a front desk works; nothing is lost, nothing
//! comes twice, and every write that was submitted meanwhile landed once.
//!
//! Agent and master are killed with SIGKILL and started again; the simulated SQL Server breaks every connection, rolls back
//! what is open and refuses clients for a moment. One job of each cursor kind reads the same table. After every few deaths
//! the desk rests and each job's data must become the table's. A clerk submits writes through the master all the time, each
//! under one request id until it is decided; its row must be there once, and the id must give the same answer for ever. `CRASH_ROUNDS` says how many deaths (12 when it says nothing),
//! `CRASH_SEED` repeats a run; `tests/crash-suite 1000` is the long form.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails it by panicking")]

#[path = "sync_job/batches.rs"]
mod batches;
#[path = "crash/clerk.rs"]
mod clerk;
#[path = "crash/desk.rs"]
mod desk;
#[path = "crash/master.rs"]
mod master;
#[path = "crash/replica.rs"]
mod replica;
#[path = "sync_job/sim.rs"]
mod sim;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tests::minion::{Minion, Sut};
use tests::wait::{PATIENCE, wait_for};

use crate::batches::source;
use crate::clerk::{Accepted, Clerk};
use crate::desk::Desk;
use crate::master::Master;
use crate::replica::Replica;
use crate::sim::{CANARY, Sim};

const CURSORS: [(&str, &str); 5] = [
    ("rowversion", "cursor: rowversion"),
    ("tracking", "cursor: change_tracking"),
    ("datetime", "{cursor: datetime, cursor_column: Changed}"),
    ("digest", "cursor: digest"),
    ("full", "cursor: full"),
];

struct Scene {
    sim: Sim,
    master: Master,
    agent: Minion,
    identity: age::x25519::Identity,
    replicas: BTreeMap<&'static str, Replica>,
    accepted: Accepted,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_delivered_is_the_source() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (rounds, seed) =
        (number("CRASH_ROUNDS").unwrap_or(12), number("CRASH_SEED").unwrap_or_else(rand::random));
    say(&format!("CRASH_SEED={seed} CRASH_ROUNDS={rounds}"));
    let mut random = StdRng::seed_from_u64(seed);
    // Reading that gives way to the desk has recorded a page before it reads the next one; else it does both at once.
    let percent_among_others = if random.gen_bool(0.5) { 0.5 } else { 100.0 };
    say(&format!("reading takes {percent_among_others} % of the time while the desk works"));
    let mut scene = Scene::set(percent_among_others).await;
    let mut deaths: BTreeMap<&str, u32> = BTreeMap::new();
    let mut round = 0;
    while round < rounds {
        let desk = Desk::open(&scene.sim, random.r#gen());
        let clerk = Clerk::open(scene.master.path(""), scene.accepted.len());
        for _ in 0..ROUNDS_AT_ONCE.min(rounds - round) {
            // The moment of a death is the point of the suite; it is drawn from the seed.
            tokio::time::sleep(Duration::from_millis(random.gen_range(20..600))).await;
            *deaths.entry(scene.kill(&mut random).await).or_default() += 1;
            round += 1;
        }
        let accepted = tokio::task::spawn_blocking(|| clerk.close()).await.unwrap();
        desk.close().await;
        let what = format!("seed {seed}, after {round} deaths");
        scene.check(&what).await;
        scene.check_writes(accepted, &what, &mut random).await;
        if round.is_multiple_of(TOLD_EVERY) {
            say(&format!("{round} of {rounds} deaths, all delivered"));
        }
    }
    scene.look_for_canaries();
    say(&format!("{round} deaths: {deaths:?}; {} writes, each landed once", scene.accepted.len()));
}

impl Scene {
    async fn set(percent_among_others: f64) -> Self {
        let sim = Sim::start().await;
        sim.batch("ALTER DATABASE Clinic SET CHANGE_TRACKING = ON").await;
        sim.batch("ALTER TABLE dbo.Visit ENABLE CHANGE_TRACKING").await;
        sim.book(1, 60).await;
        for statement in clerk::TABLES {
            sim.batch(statement).await;
        }
        let master = Master::start().unwrap();
        let options = json!({ "agent": { "sync": { "percent_among_others": percent_among_others } } });
        let agent = Minion::start_as(Sut::Agent, master.ret_port(), ID, options).unwrap();
        master.accept(ID).unwrap();
        let identity = age::x25519::Identity::generate();
        let connection = sim.connection("Clinic");
        let jobs: String = CURSORS.iter().map(|(name, cursor)| job(name, cursor)).collect();
        let defaults = format!(
            "{{% set where = {} %}}\n",
            json!({
                "server": connection.server.to_string(), "user": "sa", "password": connection.password.reveal(),
                "database": "Clinic", "recipients": [identity.to_public().to_string()],
            })
        );
        master.apply(&format!("{defaults}{jobs}{}", clerk::states())).unwrap();
        Self { sim, master, agent, identity, replicas: BTreeMap::new(), accepted: Accepted::new() }
    }

    /// Kills one of the three and starts it again.
    async fn kill(&mut self, random: &mut StdRng) -> &'static str {
        match random.gen_range(0..4) {
            0 | 1 => {
                self.agent.kill();
                self.agent.launch().unwrap();
                "agent"
            }
            2 => {
                self.master.kill_and_start().unwrap();
                "master"
            }
            _ => {
                let down = random.gen_range(50..400);
                let sql = format!("EXEC sys.xp_ehrsim_fault N'restart', N'', {down}");
                // The connection that asks for it breaks as well.
                if let Ok(mut session) = agent::mssql::Session::connect(&self.sim.connection("master")).await
                {
                    drop(session.batch(&sql).await);
                }
                "sql server"
            }
        }
    }

    /// Waits until every job's delivered data is the table; no gap, no repeat.
    async fn check(&mut self, what: &str) {
        let table = self.source().await;
        for (job, _) in CURSORS {
            let replica = self.replicas.entry(job).or_insert_with(|| Replica::new(job != "rowversion"));
            wait_for(&format!("{job} to deliver the table ({what})"), PATIENCE, || {
                replica.take(&self.master, job, &self.identity)?;
                replica.compare(&table)
            })
            .unwrap();
        }
    }

    /// Each accepted write is in its table once, and its request id still gives the same answer.
    async fn check_writes(&mut self, accepted: Accepted, what: &str, random: &mut StdRng) {
        self.accepted.extend(accepted);
        for (write, table) in clerk::WRITES {
            let rows = self.sim.batch(&format!("SELECT Request FROM {table}")).await.remove(0);
            let mut found: Vec<&str> = rows.iter().map(|row| row.get::<&str, _>(0).unwrap()).collect();
            let mut wanted: Vec<&str> =
                self.accepted.iter().filter(|(_, (of, _))| *of == write).map(|(id, _)| &**id).collect();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{what}: {table} does not hold each accepted write once");
        }
        let all: Vec<_> = self.accepted.iter().collect();
        for _ in 0..5.min(all.len()) {
            let (request, (write, key)) = all[random.gen_range(0..all.len())];
            let again = clerk::insist(&self.master.path(""), write, request);
            assert_eq!(again, *key, "{what}: {request} was answered differently");
        }
    }

    /// The table; patient, because the server may just be coming back.
    async fn source(&self) -> BTreeMap<(String, i32), Vec<String>> {
        let end = Instant::now() + PATIENCE;
        while agent::mssql::Session::connect(&self.sim.connection("Clinic")).await.is_err() {
            assert!(Instant::now() < end, "the server does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        source(&self.sim).await
    }

    /// Nothing that agent and master left on disk holds a row's value: stores, spool, logs, delivered files.
    fn look_for_canaries(&self) {
        let mut looked = 0;
        for root in [self.agent.path(""), self.master.path("")] {
            for file in files_below(&root) {
                let Ok(bytes) = std::fs::read(&file) else { continue };
                looked += 1;
                let holds = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
                assert!(!holds, "{} holds a row's value in clear", file.display());
            }
        }
        assert!(looked > 20, "only {looked} files were looked at");
    }
}

fn job(name: &str, cursor: &str) -> String {
    let cursor = cursor.trim_matches(|brace| brace == '{' || brace == '}').replace(", ", "\n    - ");
    format!(
        "{name}:\n  mssql_sync.present:\n    - table: dbo.Visit\n    - {cursor}\n    - interval: 0.2\n    - sweep: 1\n    \
         - batch_rows: 20\n    - encrypt: false\n    - lock_timeout: 500\n    - server: {{{{ where.server }}}}\n    \
         - user: {{{{ where.user }}}}\n    - password: {{{{ where.password }}}}\n    - database: {{{{ where.database }}}}\n    \
         - recipients: {{{{ where.recipients | json }}}}\n"
    )
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn say(text: &str) {
    #[expect(clippy::print_stderr, reason = "a seed is of use only when it is seen")]
    {
        eprintln!("{text}");
    }
}

const ID: &str = "practice";
/// So often a long run says how far it is.
const TOLD_EVERY: u64 = 120;
const ROUNDS_AT_ONCE: u64 = 6;
