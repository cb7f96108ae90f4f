//! The Windows executables under Wine, against the bundled master and the simulated SQL Server, both on this machine.
//!
//! `tests/windows/run` builds them and runs this. What Wine cannot show (access lists, recovery actions, delayed start, power
//! and session events, Defender) is done by `tests/windows/acceptance.ps1` on a real Windows machine.

use std::{
    fs,
    io::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    binaries::workspace_root,
    bundled_master::BundledMaster,
    ehr::EhrSim,
    wait::{PATIENCE, wait_for},
};

mod modules;
mod service;
mod wine;

use wine::Wine;

#[test]
fn runs_as_a_minion_below_its_one_folder() -> Result<()> {
    let Some((_turn, wine)) = machine()? else { return Ok(()) };
    let mut master = BundledMaster::start(&[&workspace_root().join("states/tree")])?;
    let sim = EhrSim::serve("dolphin", 300)?;
    master.pillar(&pillar(&sim))?;
    wine.configure(&minion(&master))?;
    let mut agent = wine.start_agent()?;
    master.accept("win")?;
    master.wait_for_ping("win")?;
    names_the_system_as_salt_does(&master)?;
    writes_a_file_below_its_folder(&master, &wine)?;
    runs_a_command(&master)?;
    sends_what_is_new(&master)?;
    ensure!(agent.exited()?.is_none(), "the agent ended: {}", agent.output());
    keeps_everything_in_one_folder(&wine)?;
    drop(agent);
    master.finish()
}

fn names_the_system_as_salt_does(master: &BundledMaster) -> Result<()> {
    let grains = master.call("win", &["grains.items"])?;
    for (grain, expected) in
        [("kernel", "Windows"), ("os", "Windows"), ("os_family", "Windows"), ("cpuarch", "AMD64")]
    {
        ensure!(grains[grain] == expected, "{grain} is {}", grains[grain]);
    }
    ensure!(grains["pending_reboot"].is_boolean(), "pending_reboot is {}", grains["pending_reboot"]);
    Ok(())
}

fn writes_a_file_below_its_folder(master: &BundledMaster, wine: &Wine) -> Result<()> {
    let sls = "greeting:\n  file.managed:\n    - name: 'C:\\NexHealth\\notes\\greeting.txt'\n    - makedirs: True\n\
               \x20   - contents: 'os: {{ grains.os }}'\n";
    master.file("greet.sls", sls.as_bytes())?;
    let applied = master.call("win", &["state.apply", "greet"])?;
    ensure!(only_result(&applied)?["result"] == true, "{applied:#}");
    let written = fs::read_to_string(wine.disk("NexHealth/notes/greeting.txt"))?;
    ensure!(written.trim_end() == "os: Windows", "{written:?}");
    let again = master.call("win", &["state.apply", "greet"])?;
    ensure!(only_result(&again)?["changes"] == json!({}), "a second run changed something: {again:#}");
    let sls = "elsewhere:\n  file.managed:\n    - name: 'C:\\windows\\greeting.txt'\n    - contents: hello\n";
    master.file("elsewhere.sls", sls.as_bytes())?;
    let refused = master.call("win", &["state.apply", "elsewhere"])?;
    ensure!(only_result(&refused)?["comment"].to_string().contains("writable_paths"), "{refused:#}");
    Ok(())
}

fn runs_a_command(master: &BundledMaster) -> Result<()> {
    let answer = master.call("win", &["cmd.run", "echo %OS%"])?;
    ensure!(answer == "Windows_NT", "cmd.run: {answer}");
    Ok(())
}

fn sends_what_is_new(master: &BundledMaster) -> Result<()> {
    let applied = master.call("win", &["state.apply"])?;
    let states = applied.as_object().context("no states came back")?;
    ensure!(states.values().all(|state| state["result"] == true), "{applied:#}");
    ensure!(applied.to_string().contains("Defender is not on this machine"), "{applied:#}");
    let inbox = master.path("cache/minions/win/files/agent/sync/main_oms.Appointment");
    wait_for("the first batch", PATIENCE, || {
        let batches = fs::read_dir(&inbox).map_err(|error| error.to_string())?.count();
        if batches > 0 { Ok(()) } else { Err(format!("{} is empty", inbox.display())) }
    })?;
    // A batch arrives while its pass still runs.
    wait_for("the end of the first pass", PATIENCE, || {
        let status = master.call("win", &["mssql_sync.status", "main_oms.Appointment"]);
        let status = status.map_err(|error| error.to_string())?;
        let job = &status["main_oms.Appointment"];
        let is_well = job["last_pass"].is_object() && job["error"].is_null();
        if is_well { Ok(()) } else { Err(format!("{status:#}")) }
    })
}

/// The practice excludes one folder from its antivirus; nothing may lie anywhere else.
fn keeps_everything_in_one_folder(wine: &Wine) -> Result<()> {
    ensure!(!wine.disk("ProgramData/Salt Project").exists(), "something was written where Salt lives");
    for path in ["conf/pki/minion/minion.pem", "var/lib/agent/store.sqlite", "var/log/salt/minion"] {
        let path = wine.disk("NexHealth").join(path);
        ensure!(path.exists(), "{} is missing", path.display());
    }
    Ok(())
}

fn only_result(states: &Value) -> Result<&Value> {
    let states = states.as_object().with_context(|| format!("no state run came back: {states}"))?;
    ensure!(states.len() == 1, "one state was expected: {states:?}");
    states.values().next().context("no state")
}

fn minion(master: &BundledMaster) -> Value {
    json!({
        "id": "win", "master": "127.0.0.1", "master_port": master.ret_port, "log_level": "info",
        "acceptance_wait_time": 1, "grains": { "ehr": "dolphin" }, "agent": { "allow_commands": true },
    })
}

fn pillar(sim: &EhrSim) -> String {
    let (port, password) = (sim.port, EhrSim::SA_PASSWORD);
    let recipient = age::x25519::Identity::generate().to_public();
    format!(
        "mssql.server: 127.0.0.1\nmssql.port: {port}\nmssql.user: sa\nmssql.password: '{password}'\n\
         mssql.trust_server_certificate: true\n\
         dolphin:\n  login: nexhealth_sync\n  password: 'Reader-only-1'\n  interval: 2\n\
         agent:\n  sync:\n    recipients: ['{recipient}']\n"
    )
}

/// The one prefix, with nobody else in it; nothing when no Windows build was made.
fn machine() -> Result<Option<(MutexGuard<'static, ()>, Wine)>> {
    static ONE: Mutex<()> = Mutex::new(());
    let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(wine) = Wine::fresh()? else {
        let line = "SKIPPED windows: WINDOWS_BUILD is not set; tests/windows/run builds and sets it\n";
        std::io::stderr().write_all(line.as_bytes())?;
        return Ok(None);
    };
    Ok(Some((turn, wine)))
}
