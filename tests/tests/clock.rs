//! The machine's clock is set forth and back while the agent reads and writes: nothing is lost, nothing comes twice, no
//! outcome is forgotten, and neither an interval nor a time of day is waited for as long as the clock was wrong.
//!
//! The agent starts with a clock that is more than a year ahead, as a machine does whose battery is empty and which nobody
//! has told the time yet; what it reckons then must not outlive the mistake. `libfaketime` moves the clock of that one process;
//! master and SQL Server keep theirs.

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
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::binaries::binary;
use tests::fake_clock::{FakeClock, moment};
use tests::minion::{Minion, Sut};
use tests::skip::skipped;
use tests::wait::{PATIENCE, wait_for};

use crate::batches::source;
use crate::clerk::{Accepted, Clerk};
use crate::desk::Desk;
use crate::master::Master;
use crate::replica::Replica;
use crate::sim::Sim;

const CURSORS: [(&str, &str); 5] = [
    ("rowversion", "cursor: rowversion"),
    ("tracking", "cursor: change_tracking"),
    ("datetime", "cursor: datetime\n    - cursor_column: Changed"),
    ("digest", "cursor: digest"),
    ("full", "cursor: full"),
];

struct Scene {
    clock: FakeClock,
    sim: Sim,
    master: Master,
    agent: Minion,
    identity: age::x25519::Identity,
    replicas: BTreeMap<&'static str, Replica>,
    accepted: Accepted,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_set_forth_and_back_loses_nothing_repeats_nothing_and_holds_nothing_up() {
    let clock = match FakeClock::new() {
        Ok(clock) => clock,
        Err(why) => return skipped("the clock of the agent", &why.to_string()).unwrap(),
    };
    clock.set(moment(400, EVENING)).unwrap();
    let mut scene = Scene::set(clock).await;
    scene.check("a clock a year ahead").await;
    let refused = scene.submit("guarded", "g-1", &[]);
    assert_eq!(refused["outcome"], "precondition_failed", "{refused}");

    // Set right, half a minute before a time of day that the wrong clock saw hours away.
    scene.sim.book(900, 1).await;
    scene.work(moment(0, NOON - 30), "set back by a year").await;
    scene.wait_for_the_time_of_day().await;
    scene.sim.batch("DELETE FROM dbo.Entry WHERE Request = N'taken'").await;

    scene.work(moment(-3, EVENING), "set back by days").await;
    scene.resnapshot().await;
    scene.agent.kill();
    scene.agent.launch().unwrap();
    scene.master.kill_and_start().unwrap();
    scene.work(moment(-3, EVENING + 3600), "started anew with a clock that is behind").await;
    scene.expiry().await;

    scene.work(moment(700, NOON), "set forth by two years").await;
    scene.work(SystemTime::now(), "set right").await;
    let again = scene.submit("guarded", "g-1", &[]);
    assert_eq!(again["outcome"], "precondition_failed", "a final outcome was forgotten: {again}");
    let written = scene.sim.batch("SELECT RemarkID FROM dbo.Remark WHERE Request = N'taken'").await.remove(0);
    assert!(written.is_empty(), "what was refused for good is written");
    scene.agent.expect_errors(&[]).unwrap();
}

impl Scene {
    async fn set(clock: FakeClock) -> Self {
        let sim = Sim::start().await;
        sim.batch("ALTER DATABASE Clinic SET CHANGE_TRACKING = ON").await;
        sim.batch("ALTER TABLE dbo.Visit ENABLE CHANGE_TRACKING").await;
        sim.book(1, 60).await;
        for statement in clerk::TABLES {
            sim.batch(statement).await;
        }
        sim.batch("CREATE TABLE dbo.Timely (TimelyID int IDENTITY(1,1) PRIMARY KEY, Request nvarchar(60))")
            .await;
        sim.batch("INSERT INTO dbo.Entry (Request) VALUES (N'taken')").await;
        let master = Master::start().unwrap();
        let beat = |trigger: Value| {
            let mut entry = json!({ "function": "test.ping", "return_job": false });
            entry.as_object_mut().unwrap().extend(trigger.as_object().unwrap().clone());
            entry
        };
        let options = json!({
            "schedule": { "beat": beat(json!({ "seconds": 1 })), "daily": beat(json!({ "cron": "0 12 * * *" })) },
            "agent": { "sync": { "spool_max_hours": 1 } },
        });
        let mut agent = Minion::prepare(Sut::Agent, master.ret_port(), ID, options).unwrap();
        agent.set_environment(clock.environment());
        agent.launch().unwrap();
        master.accept(ID).unwrap();
        let identity = age::x25519::Identity::generate();
        let connection = sim.connection("Clinic");
        let defaults = format!(
            "{{% set where = {} %}}\n",
            json!({
                "server": connection.server.to_string(), "user": "sa", "password": connection.password.reveal(),
                "database": "Clinic", "recipients": [identity.to_public().to_string()],
            })
        );
        let often = |(name, cursor): &(&str, &str)| job(name, &format!("{cursor}\n    - interval: 0.2"));
        let jobs: String = CURSORS.iter().map(often).collect();
        let daily = job(DAILY, "cursor: rowversion\n    - cron: '0 12 * * *'");
        let states = clerk::states();
        master.apply(&format!("{defaults}{jobs}{daily}{states}{}", guarded_and_timely())).unwrap();
        Self { clock, sim, master, agent, identity, replicas: BTreeMap::new(), accepted: Accepted::new() }
    }

    /// Sets the clock under a working desk and a working clerk, and holds everything against the tables.
    async fn work(&mut self, to: SystemTime, what: &str) {
        let desk = Desk::open(&self.sim, 7);
        let clerk = Clerk::open(self.master.path(""), self.accepted.len());
        self.clock.set(to).unwrap();
        let seconds = to.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let time = |said: &Value| said.as_str().and_then(|said| said.parse::<u64>().ok());
        wait_for(&format!("the agent to have the time ({what})"), PATIENCE, || {
            let said = self.call(&["status.time", "format=%s"]);
            let near = time(&said).is_some_and(|time| time.abs_diff(seconds) < 600);
            if near { Ok(()) } else { Err(said.to_string()) }
        })
        .unwrap();
        let begun = self.runs("beat");
        wait_for(&format!("an interval to go on ({what})"), PATIENCE, || {
            let runs = self.runs("beat");
            if runs >= begun + 3 { Ok(()) } else { Err(format!("{runs} runs, {begun} before")) }
        })
        .unwrap();
        let accepted = tokio::task::spawn_blocking(|| clerk.close()).await.unwrap();
        assert!(!accepted.is_empty(), "{what}: nothing was written");
        desk.close().await;
        self.accepted.extend(accepted);
        self.check(what).await;
        self.check_writes(what).await;
    }

    /// Waits until every job's delivered data is the table; no gap, no repeat.
    async fn check(&mut self, what: &str) {
        let table = source(&self.sim).await;
        for (job, _) in CURSORS {
            self.delivers(job, &table, what);
        }
    }

    fn delivers(&mut self, job: &'static str, table: &BTreeMap<(String, i32), Vec<String>>, what: &str) {
        let exact = matches!(job, "rowversion" | DAILY);
        let replica = self.replicas.entry(job).or_insert_with(|| Replica::new(!exact));
        wait_for(&format!("{job} to deliver the table ({what})"), PATIENCE, || {
            replica.take(&self.master, job, &self.identity)?;
            replica.compare(table)
        })
        .unwrap();
    }

    /// Each accepted write is in its table once, and its request id still gives the same answer.
    async fn check_writes(&self, what: &str) {
        for (write, table) in clerk::WRITES {
            let rows = self.sim.batch(&format!("SELECT Request FROM {table}")).await.remove(0);
            let found = rows.iter().map(|row| row.get::<&str, _>(0).unwrap());
            let mut found: Vec<&str> = found.filter(|request| request.starts_with("crash-")).collect();
            let mine = self.accepted.iter().filter(|(_, (of, _))| *of == write);
            let mut wanted: Vec<&str> = mine.map(|(id, _)| &**id).collect();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{what}: {table} does not hold each accepted write once");
        }
        // The oldest and the newest of either kind.
        let ends = self.accepted.iter().take(2).chain(self.accepted.iter().rev().take(2));
        for (request, (write, key)) in ends {
            let again = clerk::insist(&self.master.path(""), write, request);
            assert_eq!(again, *key, "{what}: {request} was answered differently");
        }
    }

    /// The daily schedule entry and the daily job run although both were reckoned by a clock a year ahead.
    async fn wait_for_the_time_of_day(&mut self) {
        wait_for("the daily entry", PATIENCE, || {
            if self.runs("daily") > 0 { Ok(()) } else { Err(self.agent.log()) }
        })
        .unwrap();
        let table = source(&self.sim).await;
        self.delivers(DAILY, &table, "the time of day came");
    }

    /// A new epoch under a clock that is behind is newer than one that was made by a clock ahead.
    async fn resnapshot(&mut self) {
        let said = self.call(&["mssql_sync.resnapshot", "rowversion"]);
        assert!(said["epoch"].is_number(), "{said}");
        let batches = || self.master.batches("rowversion");
        let epoch = said["epoch"].as_u64().unwrap();
        wait_for("the new epoch", PATIENCE, || match batches().last() {
            Some((newest, _, _)) if *newest == epoch => Ok(()),
            other => Err(format!("{other:?}, not {epoch}")),
        })
        .unwrap();
        self.check("a new epoch").await;
    }

    /// A request keeps its outcome: one that was in time has landed, one that came too late stays expired.
    async fn expiry(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let issued = format!("issued={now}");
        let landed = self.submit("timely", "t-1", &[&issued]);
        assert_eq!(
            landed["outcome"], "landed",
            "a request from what the agent takes for the future: {landed}"
        );
        self.work(SystemTime::now() + std::time::Duration::from_secs(7200), "two hours ahead").await;
        let again = self.submit("timely", "t-1", &[&issued]);
        assert_eq!(again["outcome"], "already_landed", "{again}");
        let late = self.submit("timely", "t-2", &[&issued]);
        assert_eq!(late["outcome"], "expired", "{late}");
        self.work(SystemTime::now(), "right again").await;
        let late = self.submit("timely", "t-2", &[&issued]);
        assert_eq!(
            late["outcome"], "expired",
            "whoever was told so has submitted it under another id: {late}"
        );
        let rows = self.sim.batch("SELECT Request FROM dbo.Timely").await.remove(0);
        assert_eq!(rows.len(), 1);
    }

    fn submit(&self, write: &str, request: &str, more: &[&str]) -> Value {
        let call = [&["mssql_write.submit", write, request, "params={text: taken}"], more].concat();
        wait_for(&format!("an answer to {request}"), PATIENCE, || {
            let outcome = self.call(&call);
            if outcome["outcome"].is_string() { Ok(outcome) } else { Err(outcome.to_string()) }
        })
        .unwrap()
    }

    /// How often an entry of the schedule has run.
    fn runs(&self, name: &str) -> usize {
        let log = self.agent.log();
        let told = |line: &&str| line.contains("scheduled function starts") && line.contains(name);
        log.lines().filter(told).count()
    }

    fn call(&self, call: &[&str]) -> Value {
        let mut command = Command::new(binary("master-sim").unwrap());
        command.arg("-c").arg(self.master.path(""));
        command.args(["run", "-t", "20", "--out", "json", "--static", ID]).args(call);
        let output = command.output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        answer[ID].clone()
    }
}

fn job(name: &str, more: &str) -> String {
    format!(
        "{name}:\n  mssql_sync.present:\n    - table: dbo.Visit\n    - sweep: 1\n    - batch_rows: 20\n{CONNECTION}    \
         - recipients: {{{{ where.recipients | json }}}}\n    - {more}\n"
    )
}

/// A write that the data forbids at first, made once by the EHR's own column; and one that expires.
fn guarded_and_timely() -> String {
    let write = |name: &str, more: &str| {
        format!(
            "{name}:\n  mssql_write.present:\n{CONNECTION}    - recipients: {{{{ where.recipients | json }}}}\n    \
             - parameters: {{text: nvarchar(60)}}\n{more}"
        )
    };
    let guarded = "    - preconditions: [{table: dbo.Entry, where: {Request: text}, absent: true}]
    - statements: [{insert: dbo.Remark, values: {Request: text, ExternalID: {request: true}}}]
    - read_back: {table: dbo.Remark, columns: [RemarkID], keys: [RemarkID], where: {ExternalID: {request: true}}}
    - clear: [RemarkID]
    - idempotent: {external_id: ExternalID}\n";
    let timely = "    - statements: [{insert: dbo.Timely, values: {Request: text}}]
    - read_back: {table: dbo.Timely, columns: [TimelyID], keys: [TimelyID], where: {Request: text}}
    - clear: [TimelyID]
    - idempotent: {ledger: agent_ledger}
    - expires: 3600\n";
    format!("{}{}", write("guarded", guarded), write("timely", timely))
}

const CONNECTION: &str = "    - encrypt: false\n    - lock_timeout: 500\n    - server: {{ where.server }}\n    \
    - user: {{ where.user }}\n    - password: {{ where.password }}\n    - database: {{ where.database }}\n";
/// A job whose cron line names noon.
const DAILY: &str = "daily";
const ID: &str = "practice";
/// In seconds after midnight.
const NOON: u64 = 12 * 3600;
const EVENING: u64 = 18 * 3600;
