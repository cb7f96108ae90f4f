//! A practice with a supervised agent, its bundled master and the simulated SQL Server.
//!
//! A version is the built agent behind a two-line program of the shell, so that a good one is really the agent and a bad one
//! fails in the way its name says.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

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

/// One practice: its install folder, its supervisor, its master.
pub struct Site {
    /// Its master.
    pub master: BundledMaster,
    folder: Scratch,
    supervisor: Option<Process>,
}

impl Site {
    /// Installs 1.0.0 and waits until it answers.
    pub fn start(sim: &EhrSim) -> Result<Self> {
        let master = BundledMaster::start(&[])?;
        let made = master.run(&["release", "keygen", "--roots", "1", "--threshold", "1"])?;
        ensure!(made.status.success(), "{}", said(&made));
        master.pillar(&Self::sql_of(sim))?;
        let mut site = Self { master, folder: Scratch::new()?, supervisor: None };
        fs::create_dir_all(site.path("conf"))?;
        let minion = format!(
            "id: site\nmaster: 127.0.0.1\nmaster_port: {}\nroot_dir: {}\nlog_level: info\nacceptance_wait_time: 1\n\
             mine_enabled: false\nagent:\n  allow_commands: true\n",
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

    /// What its pillar says of its SQL Server.
    pub fn sql_of(sim: &EhrSim) -> String {
        format!(
            "mssql.server: 127.0.0.1\nmssql.port: {}\nmssql.user: sa\nmssql.password: '{}'\n\
             mssql.trust_server_certificate: true\n",
            sim.port,
            EhrSim::SA_PASSWORD
        )
    }

    /// Starts the supervisor.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(binary("supervisor")?);
        command.arg("run").arg("--root").arg(self.folder.path()).arg("--config-dir").arg(self.path("conf"));
        command.args(["--silence", "30", "--proof", "2"]);
        self.supervisor = Some(Process::spawn("supervisor", &mut command, &self.path("console"))?);
        Ok(())
    }

    /// As a power cut would: the supervisor and whatever it started.
    pub fn kill(&mut self) {
        self.supervisor = None;
        self.kill_successor();
        self.kill_agent();
    }

    /// Ends the later supervisor that watched last, with no time to finish anything.
    pub fn kill_successor(&self) {
        let log = read_lossy(&self.path("supervisor.log"));
        let mut started = log.lines().filter(|line| line.contains(" watches")).filter_map(|line| {
            let (_, pid) = line.rsplit_once("(pid ")?;
            pid.strip_suffix(')').map(str::to_owned)
        });
        if let Some(pid) = started.next_back() {
            // It may have ended long ago.
            let _gone = Command::new("kill").args(["-KILL", &pid]).output();
        }
    }

    /// `supervisor.json`; nothing before there was one.
    pub fn successors(&self) -> Value {
        fs::read(self.path("supervisor.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Ends the agent that runs, with no time to finish anything.
    pub fn kill_agent(&self) {
        let status = fs::read(self.path("var/lib/agent/status.json")).unwrap_or_default();
        let status: Value = serde_json::from_slice(&status).unwrap_or_default();
        if let Some(pid) = status["pid"].as_u64() {
            // An agent that is still about to say who it is sees the end of its input and stops by itself.
            let _gone = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
        }
    }

    /// A program of the shell that knows the agent and a later one.
    fn script(&self, body: &str) -> Result<String> {
        let (agent, later) = (binary("agent")?, binary("later_agent")?);
        Ok(format!("#!/bin/sh\nAGENT='{}'\nLATER='{}'\n{body}\n", agent.display(), later.display()))
    }

    /// Signs and offers a version that answers for the store as the agent does, then does what `body` says.
    pub fn offer(&self, version: &str, body: &str) -> Result<()> {
        self.offer_unasked(
            version,
            &format!("[ \"$1 $2\" = 'release format' ] && exec \"$AGENT\" \"$@\"\n{body}"),
        )
    }

    /// A good version that carries a supervisor.
    pub fn offer_carrying(&self, version: &str, supervisor: &Path) -> Result<()> {
        let body = "[ \"$1 $2\" = 'release format' ] && exec \"$AGENT\" \"$@\"\nexec \"$AGENT\" \"$@\"";
        self.offer_with(version, body, &["--supervisor", &supervisor.display().to_string()])
    }

    /// The same for a program that answers for the store itself, or does not.
    pub fn offer_unasked(&self, version: &str, body: &str) -> Result<()> {
        self.offer_with(version, body, &[])
    }

    fn offer_with(&self, version: &str, body: &str, options: &[&str]) -> Result<()> {
        let program = self.path("program");
        fs::write(&program, self.script(body)?)?;
        let (program, platform) = (program.display().to_string(), agent::release::choose::platform());
        let add = [&["release", "add", version, &program, "--platform", &platform], options].concat();
        for arguments in [&add[..], &["release", "promote", version, "--percent", "100"]] {
            let done = self.master.run(arguments)?;
            ensure!(done.status.success(), "{}", said(&done));
        }
        Ok(())
    }

    /// The one state of a run that asks for `version`.
    pub fn update(&self, version: &str, deadline: u64) -> Result<Value> {
        self.applied(sls(version, deadline).as_bytes())
    }

    fn applied(&self, sls: &[u8]) -> Result<Value> {
        self.master.file("update.sls", sls)?;
        let states = self.master.call("site", &["state.apply", "update"])?;
        let state = states.as_object().and_then(|states| states.values().next()).cloned();
        state.with_context(|| format!("no state came back: {states:#}\n{}", self.logs()))
    }

    /// The same from another source than the master.
    pub fn update_from(&self, version: &str, source: &str) -> Result<Value> {
        let sls = format!(
            "agent:\n  agent_release.installed:\n    - version: '{version}'\n    - deadline: 120\n    - source: {source}\n"
        );
        self.applied(sls.as_bytes())
    }

    /// Updates to `version` and holds that it was confirmed.
    pub fn confirms(&self, version: &str) -> Result<()> {
        let state = self.update(version, 120)?;
        ensure!(state["result"] == true && self.confirmed()? == version, "{state:#}\n{}", self.logs());
        Ok(())
    }

    /// Signs that those who run `version` are to leave it.
    pub fn withdraw(&self, version: &str) -> Result<()> {
        let done = self.master.run(&["release", "withdraw", version])?;
        ensure!(done.status.success(), "{}", said(&done));
        Ok(())
    }

    /// Has a command leave a line in a file; whether it is there exactly once.
    pub fn ran_once(&self, what: &str) -> Result<bool> {
        let (path, line) = (self.path("ran"), format!("ran {what}"));
        let command = format!("echo '{line}' >> {}", path.display());
        let started = self.master.run(&["run", "site", "cmd.run", &command, "--async"])?;
        let jid = said(&started).split_whitespace().last().map(str::to_owned).context("no jid")?;
        self.return_of(&jid)?;
        Ok(read_lossy(&path).lines().filter(|found| *found == line).count() == 1)
    }

    /// Asks for `version` without waiting; gives the jid.
    pub fn begin_update(&self, version: &str) -> Result<String> {
        self.begin_update_within(version, 120)
    }

    /// The same with a deadline in seconds.
    pub fn begin_update_within(&self, version: &str, deadline: u64) -> Result<String> {
        self.master.file("update.sls", sls(version, deadline).as_bytes())?;
        let started = self.master.run(&["run", "site", "state.apply", "update", "--async"])?;
        said(&started).split_whitespace().last().map(str::to_owned).context("no jid")
    }

    /// Goes back to 1.0.0 by hand.
    pub fn reverts(&self) -> Result<()> {
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

    /// What the return under `jid` says.
    pub fn return_of(&self, jid: &str) -> Result<Value> {
        wait_for(&format!("the return of {jid}"), PATIENCE, || {
            let shown = self.master.run(&["job", "show", jid, "--out", "json"]);
            let shown = shown.map_err(|error| error.to_string())?;
            let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
            if shown["site"].is_null() { Err(shown.to_string()) } else { Ok(shown["site"].clone()) }
        })
    }

    /// The confirmed version.
    pub fn confirmed(&self) -> Result<String> {
        Ok(self.pointer()?["confirmed"].as_str().unwrap_or_default().to_owned())
    }

    /// `release.json`.
    pub fn pointer(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.path("release.json"))?)?)
    }

    /// A path of the install folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Everything that was said.
    pub fn logs(&self) -> String {
        let log = |name: &str| read_lossy(&self.path(name));
        format!("{}\n{}\n{}", log("supervisor.log"), log("console"), log("var/log/salt/minion"))
    }

    /// Ends it, and holds that everything ends well.
    pub fn finish(mut self) -> Result<()> {
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

fn sls(version: &str, deadline: u64) -> String {
    format!(
        "agent:\n  agent_release.installed:\n    - version: '{version}'\n    - deadline: {deadline}\n    - bytes_per_second: 0\n"
    )
}

/// A state's comment.
pub fn comment(state: &Value) -> &str {
    state["comment"].as_str().unwrap_or_default()
}
