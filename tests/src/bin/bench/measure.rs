//! Takes the figures, one peer after the other.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::{
    binaries::{Profile, build},
    memory,
    process::Process,
    salt::{MasterSettings, SaltMaster, Series},
    scratch::Scratch,
    wait::PATIENCE,
};

/// The figures of one peer; what it cannot do is absent.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// What was measured.
    pub peer: String,
    /// Seconds from the start of the process to the first answered ping, the median.
    pub first_ping: Option<f64>,
    /// Megabytes (10^6 bytes) of PSS of the process tree after ten idle seconds.
    pub idle_megabytes: Option<f64>,
    /// Milliseconds, median.
    pub ping_p50: f64,
    /// Milliseconds.
    pub ping_p95: f64,
    /// Seconds for a 100-state SLS, median.
    pub states: Option<f64>,
    /// Returns per second of 100 jobs published as fast as the master takes them.
    pub burst: f64,
}

/// The agent as it runs in a practice.
pub fn release() -> Result<PathBuf> {
    let programs = build(Profile::Release)?;
    programs.get("agent").cloned().context("the workspace has no program agent")
}

/// Measures every peer on one master of `series`.
pub fn all(series: Series, agent: &Path, (pings, runs): (u32, u32)) -> Result<Vec<Figures>> {
    let master = SaltMaster::launch(series, &MasterSettings::default())?;
    fs::write(master.path("srv/hundred.sls"), hundred_states())?;
    let mut agent_command = Command::new(agent);
    agent_command.arg("run");
    let minion_command = Command::new(series.bin().join("salt-minion"));
    Ok(vec![
        minimal(&master, pings)?,
        measure(&master, "agent", agent_command, (pings, runs))?,
        measure(&master, &format!("salt-minion {}", series.version()), minion_command, (pings, runs))?,
    ])
}

fn minimal(master: &SaltMaster, pings: u32) -> Result<Figures> {
    let scratch = Scratch::new()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--minimal", "bench-minimal", "--ret-port", &master.ret_port.to_string()]);
    let _peer = Process::spawn("minimal peer", &mut command, &scratch.join("console"))?;
    master.wait_for_key("minions_pre", "bench-minimal")?;
    master.key("accept", "bench-minimal")?;
    first_ping(master, "bench-minimal")?;
    let (ping_p50, ping_p95) = latencies(master, "bench-minimal", pings)?;
    let burst = burst(master, "bench-minimal")?;
    let peer = "minimal peer (the floor)".to_owned();
    Ok(Figures { peer, ping_p50, ping_p95, burst, ..Figures::default() })
}

fn measure(
    master: &SaltMaster,
    peer: &str,
    mut command: Command,
    (pings, runs): (u32, u32),
) -> Result<Figures> {
    let scratch = Scratch::new()?;
    let id = format!("bench-{}", peer.split(' ').next().unwrap_or(peer));
    fs::write(scratch.join("minion"), config(&id, scratch.path(), master.ret_port)?)?;
    command.arg("-c").arg(scratch.path());
    let mut starts = Vec::new();
    let mut running = None;
    for run in 0..=runs {
        drop(running.take());
        for pid_file in ["pid", "process_responsibility_pid"] {
            fs::remove_file(scratch.join(pid_file)).ok();
        }
        let begun = std::time::Instant::now();
        let process = Process::spawn(peer, &mut command, &scratch.join("console"))?;
        if run == 0 {
            // The first start makes the key pair and is not counted.
            master.wait_for_key("minions_pre", &id)?;
            master.key("accept", &id)?;
        }
        first_ping(master, &id)?;
        if run > 0 {
            starts.push(begun.elapsed().as_secs_f64());
        }
        running = Some(process);
    }
    let process = running.context("invariant: at least one start")?;
    thread::sleep(IDLE);
    let idle_megabytes = Some(memory::of_group(process.pid())?.all);
    let (ping_p50, ping_p95) = latencies(master, &id, pings)?;
    let states = Some(state_runs(master, &id, runs)?);
    Ok(Figures {
        peer: peer.to_owned(),
        first_ping: Some(median(&mut starts)),
        idle_megabytes,
        ping_p50,
        ping_p95,
        states,
        burst: burst(master, &id)?,
    })
}

/// Waits for the first answered ping.
pub fn first_ping(master: &SaltMaster, id: &str) -> Result<()> {
    master.driver().ask("first_ping", json!({ "tgt": id, "limit": 60 }), PATIENCE).map(drop)
}

fn latencies(master: &SaltMaster, id: &str, pings: u32) -> Result<(f64, f64)> {
    let request = json!({ "tgt": id, "fun": "test.ping", "arg": [], "count": pings });
    let mut taken = seconds(&master.driver().ask("timed", request, Duration::from_secs(600))?);
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken.get(rank(taken.len(), share)).copied().unwrap_or_default() * 1000.0;
    Ok((at(0.5), at(0.95)))
}

fn state_runs(master: &SaltMaster, id: &str, runs: u32) -> Result<f64> {
    let request = json!({ "tgt": id, "fun": "state.apply", "arg": ["hundred"], "count": runs });
    Ok(median(&mut seconds(&master.driver().ask("timed", request, Duration::from_secs(600))?)))
}

/// A job that is recorded and queued as any other, not answered at once as a ping is.
fn burst(master: &SaltMaster, id: &str) -> Result<f64> {
    let limit = Duration::from_secs(300);
    let request = json!({
        "tgt": id, "fun": "test.arg", "arg": ["burst"], "count": BURST, "limit": limit.as_secs(),
    });
    let taken = master.driver().ask("burst", request, limit + PATIENCE)?;
    let taken = taken.as_f64().with_context(|| format!("no seconds: {taken}"))?;
    Ok(f64::from(BURST) / taken)
}

/// The seconds in a driver's answer.
pub fn seconds(answer: &Value) -> Vec<f64> {
    answer.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(rank(values.len(), 0.5)).copied().unwrap_or_default()
}

/// The place of a share in a sorted list.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of a small count"
)]
pub fn rank(count: usize, share: f64) -> usize {
    ((count.saturating_sub(1)) as f64 * share).round() as usize
}

/// A minion's configuration in a folder of its own.
pub fn config(id: &str, root: &Path, ret_port: u16) -> Result<String> {
    let path = |name: &str| root.join(name);
    Ok(serde_json::to_string_pretty(&json!({
        "id": id, "master": "127.0.0.1", "master_port": ret_port, "root_dir": root, "pki_dir": path("pki"),
        "cachedir": path("cache"), "sock_dir": path("run"), "pidfile": path("pid"), "log_file": path("log"),
        "extension_modules": path("ext"), "sqlite_queue_dir": path("queue"), "log_level": "warning",
        "log_level_logfile": "warning", "acceptance_wait_time": 1, "random_reauth_delay": 1,
    }))?)
}

fn hundred_states() -> String {
    (0..100).map(|number| format!("state {number}:\n  test.succeed_without_changes\n")).collect()
}

/// Jobs at once.
const BURST: u32 = 100;
/// Before memory is read.
const IDLE: Duration = Duration::from_secs(10);
