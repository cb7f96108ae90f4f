//! Releases through an unmodified master: its file server carries the repository, its job starts the update, and the return under
//! that jid tells how the trial of the new version ended.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    binaries::binary,
    bundled_master::said,
    ehr::EhrSim,
    minion::{Minion, Sut},
    process::Process,
    salt::SaltMaster,
    scratch::Scratch,
};

crate::each_series!(a_release_is_installed_and_a_bad_one_taken_back_under_the_jid_that_asked);

fn a_release_is_installed_and_a_bad_one_taken_back_under_the_jid_that_asked(
    master: &SaltMaster,
) -> Result<()> {
    if Sut::chosen(master.series) != Sut::Agent {
        return Ok(());
    }
    let (sim, folder) = (EhrSim::serve("dolphin", 20)?, Scratch::new()?);
    let repository = Repository { master, folder: &folder };
    repository.ask(&["keygen", "--roots", "1", "--threshold", "1"])?;
    let id = "releases";
    let sql = json!({
        "mssql.server": "127.0.0.1", "mssql.port": sim.port, "mssql.user": "sa",
        "mssql.password": EhrSim::SA_PASSWORD, "mssql.trust_server_certificate": true,
    });
    let minion = Minion::prepare(Sut::Agent, master.ret_port, id, sql)?;
    fs::copy(master.path("srv/release/metadata/root.json"), minion.path("release-root.json"))?;
    fs::create_dir_all(folder.join("root/versions/1.0.0"))?;
    program(&folder.join("root/versions/1.0.0/agent"), GOOD)?;
    let pointer =
        json!({ "format": "1", "confirmed": "1.0.0", "former": [], "trial": null, "verdict": null });
    fs::write(folder.join("root/release.json"), pointer.to_string())?;
    let mut command = Command::new(binary("supervisor")?);
    command.arg("run").arg("--root").arg(folder.join("root")).arg("--config-dir").arg(minion.path(""));
    let mut supervisor = Process::spawn("supervisor", &mut command, &minion.path("console"))?;
    master.wait_for_key("minions_pre", id)?;
    master.key("accept", id)?;
    minion.wait_for_ping(master)?;

    repository.offer("1.1.0", GOOD)?;
    let good = repository.update("1.1.0", id)?;
    ensure!(
        good["result"] == true && good["changes"]["agent_release"]["new"] == "1.1.0",
        "{good:#}\n{}",
        minion.log()
    );
    ensure!(good["comment"].to_string().contains("is confirmed"), "{good:#}");
    repository.offer("1.2.0", "[ \"$1 $2\" = 'release format' ] && exec \"$AGENT\" \"$@\"\nexit 3")?;
    let bad = repository.update("1.2.0", id)?;
    ensure!(bad["result"] == false && bad["changes"] == json!({}), "{bad:#}");
    ensure!(bad["comment"].to_string().contains("Agent 1.1.0 runs"), "{bad:#}");
    minion.wait_for_ping(master)?;
    ensure!(supervisor.stop(std::time::Duration::from_secs(60))?.success(), "{}", minion.log());
    fs::remove_dir_all(master.path("srv/release"))?;
    Ok(())
}

const GOOD: &str = "exec \"$AGENT\" \"$@\"";

/// What the operator does beside his salt-master.
struct Repository<'a> {
    master: &'a SaltMaster,
    folder: &'a Scratch,
}

impl Repository<'_> {
    fn ask(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(binary("master-sim")?);
        command.arg("-c").arg(self.master.path("")).args(["release", "--keys"]).arg(self.folder.join("keys"));
        let done = command.args(arguments).stdin(Stdio::null()).output()?;
        ensure!(done.status.success(), "{}", said(&done));
        Ok(())
    }

    fn offer(&self, version: &str, body: &str) -> Result<()> {
        let file = self.folder.join("program");
        program(&file, body)?;
        let platform = agent::release::choose::platform();
        self.ask(&["add", version, &file.to_string_lossy(), "--platform", &platform])?;
        self.ask(&["promote", version, "--percent", "100"])
    }

    fn update(&self, version: &str, id: &str) -> Result<Value> {
        let sls =
            format!("agent:\n  agent_release.installed:\n    - version: '{version}'\n    - deadline: 120\n");
        fs::write(self.master.path("srv/release_update.sls"), sls)?;
        let jid = self.master.start_job(id, "state.apply", &json!(["release_update"]), &json!({}))?;
        let ret = self.master.wait_for_return(&jid, id)?;
        let states = ret["return"].as_object().or_else(|| ret["ret"].as_object()).or_else(|| ret.as_object());
        Ok(states.and_then(|states| states.values().next()).cloned().unwrap_or(ret))
    }
}

/// The built agent behind a program of the shell, so that a bad version can fail in its own way.
fn program(path: &Path, body: &str) -> Result<()> {
    fs::write(path, format!("#!/bin/sh\nAGENT='{}'\n{body}\n", binary("agent")?.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
