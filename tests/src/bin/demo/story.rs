//! The story the demo tells, step by step: start, accept, ping, apply, snapshot, live changes, proof.
//!
//! Each step prints what it saw; nothing is asserted that was not read back from the database, the master's
//! job returns or the files in the master's cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Options;
use crate::report::{Report, rounded};
use crate::setup::{PRACTICE, Setup};
use crate::stack::{Program, Stack};
use tests::received::Received;
use tests::source::{Rows, Source, hex};

/// A sync job of `states/tree/dolphin` and what it reads.
struct Job {
    name: &'static str,
    table: &'static str,
    columns: &'static str,
}

const JOBS: [Job; 2] = [
    Job {
        name: "main_oms.Appointment",
        table: "dbo.Appointment",
        columns: "AppointmentID, PatientID, ProviderID, ChairID, StartTime, LengthMinutes, Status, Fee, CreatedAt, RowVer",
    },
    Job { name: "main_oms.Patient", table: "dbo.Patient", columns: "*" },
];
/// How long rows may take to arrive before the story is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Tells the whole story; an error ends it early.
pub async fn tell(options: &Options, report: &mut Report) -> Result<()> {
    ensure!(u64::from(options.changes) <= options.rows, "--changes cannot be more than --rows");
    let folder = tempfile::Builder::new().prefix("demo-").tempdir()?;
    report.step("Building", "agent, master-sim, ehr-sim");
    let stack = Stack::build(folder.path()).await?;
    let mut scene = Scene::set(&stack, options, report).await?;
    let result = scene.play(options, report).await;
    if result.is_ok() && !options.once {
        scene.stay(report).await?;
    }
    scene.clear().await?;
    result
}

struct Scene<'a> {
    stack: &'a Stack,
    setup: Setup,
    sim: Program,
    master: Program,
    events: Program,
    agent: Program,
    received: Vec<Received>,
}

impl<'a> Scene<'a> {
    /// Starts the simulator, the master and the agent.
    async fn set(stack: &'a Stack, options: &Options, report: &mut Report) -> Result<Self> {
        let mut setup = Setup::new()?;
        let rows = options.rows.to_string();
        let arguments =
            ["serve", "--ehr", "dolphin", "--rows", &rows, "--port", "0", "--tls", "on", "--json"];
        let mut sim = stack.start_as(
            "ehr-sim",
            "ehr-sim",
            &arguments,
            &[("EHR_SIM_SA_PASSWORD", &setup.sa_password)],
        )?;
        let ready: Value = serde_json::from_str(&sim.line_with("\"port\"").await?)?;
        setup.sim_port = u16::try_from(ready["port"].as_u64().context("the simulator named no port")?)?;
        let book = format!("127.0.0.1:{}, database Main_OMS, {rows} appointments, TLS on", setup.sim_port);
        report.step("SQL Server (ehr-sim)", &book);

        setup.write(stack)?;
        let mut master = stack.start("master-sim", &["-c", &setup.master_config, "serve"])?;
        master.line_with(&setup.ret_port.to_string()).await?;
        let ports = format!("publish {}, return {}", setup.publish_port, setup.ret_port);
        report.step("Master (master-sim)", &ports);
        let events =
            stack.start_as("events", "master-sim", &["-c", &setup.master_config, "events", "--json"], &[])?;
        let agent = stack.start("agent", &["-c", &setup.agent_config, "run"])?;
        report.step("Agent", &format!("started as minion {PRACTICE}"));
        let inbox = setup.inbox();
        let received =
            JOBS.iter().map(|job| Received::new(inbox.join(job.name), setup.identity.clone())).collect();
        Ok(Self { stack, setup, sim, master, events, agent, received })
    }

    async fn play(&mut self, options: &Options, report: &mut Report) -> Result<()> {
        self.accept(report).await?;
        self.ping(report).await?;
        self.apply(report).await?;
        self.snapshot(report).await?;
        self.changes(options, report).await?;
        self.prove(report).await
    }

    /// Waits for the agent's key, shows its fingerprint, accepts it.
    async fn accept(&mut self, report: &mut Report) -> Result<()> {
        let finger = loop {
            let fingers = self.master_json(&["key", "finger", PRACTICE, "--out", "json"]).await?;
            if let Some(finger) = fingers["minions_pre"][PRACTICE].as_str() {
                break finger.to_owned();
            }
            self.agent.ensure_running()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        report.step("Key waits", &finger[..finger.len().min(47)]);
        self.stack.run("master-sim", &["-c", &self.setup.master_config, "key", "accept", PRACTICE]).await?;
        report.step("Key accepted", "master-sim key accept smile-dental");
        Ok(())
    }

    /// Pings until the agent answers, then measures one ping.
    async fn ping(&mut self, report: &mut Report) -> Result<()> {
        let started = Instant::now();
        while self.call(&["test.ping", "--timeout", "2"]).await? != Value::Bool(true) {
            self.agent.ensure_running()?;
            ensure!(started.elapsed() < PATIENCE, "the agent never answered test.ping");
        }
        let answered = Instant::now();
        let pong = self.call(&["test.ping"]).await?;
        let millis = rounded(answered.elapsed().as_secs_f64() * 1000.0);
        report.step("test.ping", &format!("{pong} in {millis:.0} ms, the command's own start included"));
        report.figure("ping_ms", millis);
        report.check("the agent answers test.ping", pong == Value::Bool(true));
        Ok(())
    }

    /// Shows what the state file would do, applies it, applies it again.
    async fn apply(&mut self, report: &mut Report) -> Result<()> {
        let planned = self.call(&["state.apply", "dolphin", "test=True"]).await?;
        report.step("state.apply test=True", &tally(&planned));
        report
            .check("test=True fails nothing", count(&planned, Some(false)) == 0 && count(&planned, None) > 0);
        let shown = self.run(&["state.apply", "dolphin"]).await?;
        report.step("state.apply dolphin", "login, user, grants and sync jobs");
        report.quote(&shown);
        let again = self.call(&["state.apply", "dolphin"]).await?;
        report.step("state.apply again", &tally(&again));
        let changes = again.as_object().into_iter().flatten().any(|(_, state)| has_changes(state));
        report.check(
            "a second run succeeds and changes nothing",
            count(&again, Some(true)) > 0 && all_true(&again) && !changes,
        );
        Ok(())
    }

    /// Waits until every row of every table has arrived once.
    async fn snapshot(&mut self, report: &mut Report) -> Result<()> {
        let mut source = Source::connect(self.setup.sim_port, &self.setup.sa_password).await?;
        let mut total = 0;
        for job in &JOBS {
            total += source.count(job.table).await?;
        }
        let started = Instant::now();
        self.await_rows("Snapshot arrives", total, report).await?;
        let seconds = started.elapsed().as_secs_f64();
        let (rows, bytes, batches) = self.totals();
        let detail = format!("{rows} rows in {batches} sealed batches, {} KiB, {seconds:.1} s", bytes / 1024);
        report.step("Snapshot arrived", &detail);
        report.figure("snapshot_rows", rows);
        report.figure("snapshot_bytes", bytes);
        report.figure("snapshot_seconds", rounded(seconds));
        report.check("the snapshot has every row", rows == total);
        Ok(())
    }

    /// Changes rows in the database and waits for the changes.
    async fn changes(&mut self, options: &Options, report: &mut Report) -> Result<()> {
        let mut source = Source::connect(self.setup.sim_port, &self.setup.sa_password).await?;
        let (before, _, _) = self.totals();
        source.change(options.changes).await?;
        let made = Instant::now();
        report.step("Front desk", &format!("{} appointments booked, moved, cancelled", options.changes));
        let wanted = before + u64::from(options.changes);
        self.await_rows("Changes arrive", wanted, report).await?;
        let seconds = made.elapsed().as_secs_f64();
        let (rows, _, _) = self.totals();
        report.step(
            "Changes arrived",
            &format!("{} row versions, {seconds:.1} s after the last", rows - before),
        );
        report.figure("changes", options.changes);
        report.figure("changes_seconds", rounded(seconds));
        Ok(())
    }

    /// Holds what was received against the tables, row by row.
    async fn prove(&mut self, report: &mut Report) -> Result<()> {
        let mut source = Source::connect(self.setup.sim_port, &self.setup.sa_password).await?;
        report.step("Proof", "received Parquet against the tables");
        for (Job { name: job, table, columns }, received) in JOBS.iter().zip(&self.received) {
            let rows = source.read(table, columns).await?;
            let (ours, theirs) = (digest(&received.rows), digest(&rows));
            report.check(
                &format!("{job}: {} rows, as many as {table}", received.rows.len()),
                received.rows.len() == rows.len(),
            );
            report.check(&format!("{job}: SHA-256 {}… equals the table's", &theirs[..16]), ours == theirs);
            report.check(&format!("{job}: no row version came twice"), received.repeats == 0);
            report.check(&format!("{job}: batch sequences have no gap"), received.is_gapless());
            report.figure(&format!("{job}_sha256"), theirs);
        }
        let leaks = self.clear_text_left(&mut source).await?;
        report.check("no patient name lies in clear in any file the run left", leaks == 0);
        Ok(())
    }

    /// Says where everything is and waits for Ctrl-C.
    async fn stay(&mut self, report: &Report) -> Result<()> {
        report.step("Up", "everything keeps running; Ctrl-C ends it");
        let programs = self.stack.program("master-sim");
        report.quote(&format!(
            "files    {}\nrun      {} -c {} run '*' grains.items\nSQL      127.0.0.1,{} login sa, password {}\nbatches  {}",
            self.stack.root.display(),
            programs.display(),
            self.setup.master_config,
            self.setup.sim_port,
            self.setup.sa_password,
            self.setup.inbox().display(),
        ));
        tokio::signal::ctrl_c().await?;
        Ok(())
    }

    /// Ends every program.
    async fn clear(self) -> Result<()> {
        for program in [self.agent, self.events, self.master, self.sim] {
            program.stop().await?;
        }
        Ok(())
    }

    async fn await_rows(&mut self, title: &str, wanted: u64, report: &Report) -> Result<()> {
        let started = Instant::now();
        let mut progress = report.progress(title, wanted);
        while self.totals().0 < wanted {
            self.agent.ensure_running()?;
            self.master.ensure_running()?;
            ensure!(started.elapsed() < PATIENCE, "only {} of {wanted} rows arrived", self.totals().0);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let announced = self.announced();
            for received in &mut self.received {
                received.look(&announced)?;
            }
            progress.reach(self.totals().0.min(wanted));
        }
        progress.finish();
        Ok(())
    }

    /// Row versions, bytes and batches received by now.
    fn totals(&self) -> (u64, u64, usize) {
        let all = self.received.iter();
        all.fold((0, 0, 0), |sum, job| (sum.0 + job.versions_read, sum.1 + job.bytes, sum.2 + job.batches()))
    }

    /// The digests of the batches that the agent has announced: files still growing are not among them.
    fn announced(&self) -> BTreeSet<String> {
        let lines = self.events.output();
        let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter_map(|event| batch_digest(&event)).collect()
    }

    /// Files of the run that hold a patient's e-mail address, in UTF-8 or as SQL Server sends it.
    async fn clear_text_left(&self, source: &mut Source) -> Result<usize> {
        let addresses = source.addresses(200).await?;
        ensure!(!addresses.is_empty(), "the simulator made no e-mail addresses to look for");
        let wide = addresses.iter().map(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        let needles: Vec<Vec<u8>> =
            addresses.iter().map(|text| text.as_bytes().to_vec()).chain(wide).collect();
        let needles = AhoCorasick::new(&needles)?;
        let mut files = Vec::new();
        files_below(&self.stack.root, &mut files)?;
        let mut leaks = 0;
        for file in files {
            let bytes = fs::read(&file).unwrap_or_default();
            leaks += usize::from(needles.is_match(&bytes));
        }
        Ok(leaks)
    }

    /// Runs a function on the practice and gives its return.
    async fn call(&self, call: &[&str]) -> Result<Value> {
        let arguments = [&["run", PRACTICE][..], call, &["--out", "json", "--static"]].concat();
        let reply = self.master_json(&arguments).await?;
        Ok(reply[PRACTICE].clone())
    }

    /// Runs a function and gives what the operator sees.
    async fn run(&self, call: &[&str]) -> Result<String> {
        let arguments = [&["-c", &self.setup.master_config, "run", PRACTICE][..], call].concat();
        self.stack.run("master-sim", &arguments).await
    }

    async fn master_json(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [&["-c", self.setup.master_config.as_str()][..], arguments].concat();
        let text = self.stack.output("master-sim", &arguments).await?;
        serde_json::from_str(&text).with_context(|| format!("master-sim printed no JSON: {text}"))
    }
}

fn batch_digest(event: &Value) -> Option<String> {
    let tag = event["tag"].as_str()?;
    (tag.starts_with("agent/sync/") && tag.ends_with("/batch")).then_some(())?;
    let data = &event["data"];
    let batch = if data["data"].is_object() { &data["data"] } else { data };
    batch["sha256"].as_str().map(str::to_owned)
}

/// How many states have this result.
fn count(states: &Value, result: Option<bool>) -> usize {
    let wanted = result.map_or(Value::Null, Value::Bool);
    states.as_object().into_iter().flatten().filter(|(_, state)| state["result"] == wanted).count()
}

fn all_true(states: &Value) -> bool {
    count(states, Some(true)) == states.as_object().map_or(0, serde_json::Map::len)
}

fn has_changes(state: &Value) -> bool {
    state["changes"].as_object().is_some_and(|changes| !changes.is_empty())
}

fn tally(states: &Value) -> String {
    let (good, open, bad) = (count(states, Some(true)), count(states, None), count(states, Some(false)));
    format!("{good} states as wanted, {open} would change, {bad} failed")
}

/// SHA-256 over all rows in key order.
fn digest(rows: &Rows) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for cell in rows.values().flatten() {
        context.update(&(cell.len() as u64).to_le_bytes());
        context.update(cell.as_bytes());
    }
    hex(context.finish().as_ref())
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files_below(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
