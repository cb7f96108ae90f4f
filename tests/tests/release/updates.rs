//! A supervised agent against the bundled master and the simulated SQL Server: the operator's command, the trial, the return.
//!
//! A version is the built agent behind a two-line program of the shell, so that a good one is really the agent and a bad one
//! fails in the way its name says.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    binaries::binary,
    bundled_master::{BundledMaster, said},
    ehr::EhrSim,
    process::{Process, read_lossy},
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

#[test]
fn a_good_version_is_confirmed_and_bad_ones_go_back_under_the_same_jid() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 50)?;
    let site = Site::start(&sim)?;
    site.offer("1.1.0", "exec \"$AGENT\" \"$@\"")?;
    let state = site.update("1.1.0", 120)?;
    ensure!(state["result"] == true && comment(&state).contains("is confirmed"), "{state:#}");
    ensure!(state["changes"]["agent_release"]["new"] == "1.1.0", "{state:#}");
    ensure!(site.confirmed()? == "1.1.0", "{:#}", site.pointer()?);
    let state = site.update("1.1.0", 120)?;
    ensure!(comment(&state) == "version 1.1.0 runs", "{state:#}");

    site.offer("1.2.0", "exit 3")?;
    let state = site.update("1.2.0", 120)?;
    ensure!(state["result"] == false && state["changes"] == json!({}), "{state:#}");
    ensure!(
        comment(&state).contains("exit status: 3") && comment(&state).ends_with("Agent 1.1.0 runs."),
        "{state:#}"
    );

    site.offer("1.3.0", "exec sleep 3600")?;
    let state = site.update("1.3.0", 120)?;
    ensure!(comment(&state).contains("said nothing"), "{state:#}");

    let no_sql = "sed 's/master_port/mssql.port: 1\\nmssql.server: 127.0.0.1\\nmssql.user: x\\nmssql.password: x\\nmaster_port/' \
                  \"$2/minion\" > \"$2/x\"; mkdir -p \"$2/bad\"; mv \"$2/x\" \"$2/bad/minion\"; exec \"$AGENT\" -c \"$2/bad\" run";
    site.offer("1.4.0", no_sql)?;
    let state = site.update("1.4.0", 20)?;
    ensure!(comment(&state).contains("did not log in to SQL Server"), "{state:#}");
    ensure!(site.confirmed()? == "1.1.0", "{:#}", site.pointer()?);
    site.reverts()?;
    site.finish()
}

#[test]
fn an_update_survives_a_kill_at_every_step() -> Result<()> {
    let sim = EhrSim::serve("dolphin", 20)?;
    let mut site = Site::start(&sim)?;
    for (minor, phase) in (1..).zip(["wanted", "started", "verdict"]) {
        let version = format!("1.{minor}.0");
        site.offer(&version, "exec \"$AGENT\" \"$@\"")?;
        let jid = site.begin_update(&version)?;
        // A phase may be over before it is seen; the kill then comes later, which must do no harm either.
        wait_for(&format!("{phase} of {version}"), PATIENCE, || {
            let pointer = site.pointer().map_err(|error| error.to_string())?;
            let seen = match phase {
                "verdict" => pointer["verdict"].is_object(),
                _ => pointer["trial"]["phase"].to_string().contains(phase),
            };
            if seen || pointer["confirmed"] == *version { Ok(()) } else { Err(pointer.to_string()) }
        })?;
        site.kill();
        site.launch()?;
        site.master.wait_for_ping("site")?;
        let ret = wait_for(&format!("the return of {jid}"), PATIENCE, || {
            let shown = site
                .master
                .run(&["job", "show", &jid, "--out", "json"])
                .map_err(|error| error.to_string())?;
            let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
            if shown["site"].is_null() { Err(shown.to_string()) } else { Ok(shown["site"].clone()) }
        })?;
        let pointer = site.pointer()?;
        ensure!(pointer["trial"].is_null(), "killed at {phase}: {pointer:#}\n{ret:#}");
    }
    site.finish()
}

/// One practice: its install folder, its supervisor, its master.
struct Site {
    master: BundledMaster,
    folder: Scratch,
    supervisor: Option<Process>,
}

impl Site {
    /// Installs 1.0.0 and waits until it answers.
    fn start(sim: &EhrSim) -> Result<Self> {
        let master = BundledMaster::start(&[])?;
        let made = master.run(&["release", "keygen", "--roots", "1", "--threshold", "1"])?;
        ensure!(made.status.success(), "{}", said(&made));
        master.pillar(&format!(
            "mssql.server: 127.0.0.1\nmssql.port: {}\nmssql.user: sa\nmssql.password: '{}'\n\
             mssql.trust_server_certificate: true\n",
            sim.port,
            EhrSim::SA_PASSWORD
        ))?;
        let mut site = Self { master, folder: Scratch::new()?, supervisor: None };
        fs::create_dir_all(site.path("conf"))?;
        let minion = format!(
            "id: site\nmaster: 127.0.0.1\nmaster_port: {}\nroot_dir: {}\nlog_level: info\nacceptance_wait_time: 1\n\
             mine_enabled: false\n",
            site.master.ret_port,
            site.folder.path().display()
        );
        fs::write(site.path("conf/minion"), minion)?;
        fs::copy(site.master.path("salt/release/metadata/root.json"), site.path("conf/release-root.json"))?;
        let program = site.path("versions/1.0.0/agent");
        fs::create_dir_all(site.path("versions/1.0.0"))?;
        fs::write(&program, site.script("exec \"$AGENT\" \"$@\"")?)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let pointer =
            json!({ "format": "1", "confirmed": "1.0.0", "former": [], "trial": null, "verdict": null });
        fs::write(site.path("release.json"), pointer.to_string())?;
        site.launch()?;
        site.master.accept("site")?;
        site.master.wait_for_ping("site")?;
        Ok(site)
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(binary("supervisor")?);
        command.arg("run").arg("--root").arg(self.folder.path()).arg("--config-dir").arg(self.path("conf"));
        command.args(["--silence", "30"]);
        self.supervisor = Some(Process::spawn("supervisor", &mut command, &self.path("console"))?);
        Ok(())
    }

    /// As a power cut would: the supervisor and whatever it started.
    fn kill(&mut self) {
        self.supervisor = None;
        let status = fs::read(self.path("var/lib/agent/status.json")).unwrap_or_default();
        let status: Value = serde_json::from_slice(&status).unwrap_or_default();
        if let Some(pid) = status["pid"].as_u64() {
            // An agent that is still about to say who it is sees the end of its input and stops by itself.
            let _gone = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
        }
    }

    fn script(&self, body: &str) -> Result<String> {
        Ok(format!("#!/bin/sh\nAGENT='{}'\n{body}\n", binary("agent")?.display()))
    }

    /// Signs and offers a version for this platform.
    fn offer(&self, version: &str, body: &str) -> Result<()> {
        let program = self.path("program");
        fs::write(&program, self.script(body)?)?;
        let (program, platform) = (program.display().to_string(), agent::release::choose::platform());
        let add = ["release", "add", version, &program, "--platform", &platform];
        for arguments in [&add[..], &["release", "promote", version, "--percent", "100"]] {
            let done = self.master.run(arguments)?;
            ensure!(done.status.success(), "{}", said(&done));
        }
        Ok(())
    }

    fn sls(&self, version: &str, deadline: u64) -> Result<()> {
        let sls = format!(
            "agent:\n  agent_release.installed:\n    - version: '{version}'\n    - deadline: {deadline}\n    - bytes_per_second: 0\n"
        );
        self.master.file("update.sls", sls.as_bytes())
    }

    /// The one state of a run that asks for `version`.
    fn update(&self, version: &str, deadline: u64) -> Result<Value> {
        self.sls(version, deadline)?;
        let states = self.master.call("site", &["state.apply", "update"])?;
        let state = states.as_object().and_then(|states| states.values().next()).cloned();
        state.with_context(|| format!("no state came back: {states:#}\n{}", self.logs()))
    }

    fn begin_update(&self, version: &str) -> Result<String> {
        self.sls(version, 120)?;
        let started = self.master.run(&["run", "site", "state.apply", "update", "--async"])?;
        said(&started).split_whitespace().last().map(str::to_owned).context("no jid")
    }

    fn reverts(&self) -> Result<()> {
        let root = self.folder.path().display().to_string();
        let done = Command::new(binary("agent")?).args(["release", "revert", "--root", &root]).output()?;
        ensure!(done.status.success(), "{}", said(&done));
        wait_for("the earlier version to be confirmed", PATIENCE, || {
            let confirmed = self.confirmed().map_err(|error| error.to_string())?;
            if confirmed == "1.0.0" { Ok(()) } else { Err(format!("{confirmed}\n{}", self.logs())) }
        })?;
        let listed = Command::new(binary("agent")?).args(["release", "list", "--root", &root]).output()?;
        ensure!(said(&listed).contains("1.0.0        confirmed"), "{}", said(&listed));
        Ok(())
    }

    fn confirmed(&self) -> Result<String> {
        Ok(self.pointer()?["confirmed"].as_str().unwrap_or_default().to_owned())
    }

    fn pointer(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.path("release.json"))?)?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn logs(&self) -> String {
        let log = |name: &str| read_lossy(&self.path(name));
        format!("{}\n{}\n{}", log("supervisor.log"), log("console"), log("var/log/salt/minion"))
    }

    fn finish(mut self) -> Result<()> {
        if let Some(supervisor) = &mut self.supervisor {
            let status = supervisor.stop(Duration::from_secs(60))?;
            ensure!(status.success(), "the supervisor ended with {status}\n{}", self.logs());
        }
        self.master.finish()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

fn comment(state: &Value) -> &str {
    state["comment"].as_str().unwrap_or_default()
}
