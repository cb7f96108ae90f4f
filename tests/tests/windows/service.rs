//! The native service under Wine's service manager: install, start, update, take back, stop, remove.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    bundled_master::{BundledMaster, said},
    wait::{PATIENCE, wait_for},
};

use crate::{machine, wine::Wine};

#[test]
fn lives_as_a_service_and_replaces_itself_while_it_runs() -> Result<()> {
    let Some((_turn, wine)) = machine()? else { return Ok(()) };
    let _holder = wine.hold()?;
    let mut master = BundledMaster::start(&[])?;
    let made = master.run(&["release", "keygen", "--roots", "1", "--threshold", "1"])?;
    ensure!(made.status.success(), "{}", said(&made));
    install(&wine, &master)?;
    run(&wine, &["service", "start"])?;
    master.accept("win")?;
    master.wait_for_ping("win")?;
    protects_its_key(&wine)?;

    let supervisor = wine.executable("supervisor.exe").display().to_string();
    offer(&master, "7.0.0", &wine.executable("agent.exe"), &["--supervisor", &supervisor])?;
    let state = update(&master, "7.0.0")?;
    ensure!(state["result"] == true && confirmed(&wine)? == "7.0.0", "{state:#}");
    hands_the_watch_over(&wine)?;
    master.wait_for_ping("win")?;
    offer(&master, "7.1.0", &wine.bad_version(), &[])?;
    let state = update(&master, "7.1.0")?;
    ensure!(state["result"] == false && state["comment"].to_string().contains("exit code: 64"), "{state:#}");
    ensure!(confirmed(&wine)? == "7.0.0", "{state:#}");
    master.wait_for_ping("win")?;

    run(&wine, &["service", "stop"])?;
    let log = fs::read_to_string(wine.disk("NexHealth/supervisor.log"))?;
    ensure!(log.trim_end().ends_with("stopped") && !log.contains("did not stop in time"), "{log}");
    run(&wine, &["service", "start"])?;
    master.wait_for_ping("win")?;
    run(&wine, &["service", "uninstall"])?;
    for gone in ["versions", "supervisors", "supervisor.exe", "supervisor.json", "release.json"] {
        ensure!(!wine.disk("NexHealth").join(gone).exists(), "{gone} is still there");
    }
    ensure!(wine.disk("NexHealth/conf/minion").exists(), "the configuration was removed");
    master.finish()
}

#[test]
fn refuses_a_folder_that_somebody_else_made() -> Result<()> {
    let Some((_turn, wine)) = machine()? else { return Ok(()) };
    let folder = wine.disk("NexHealth");
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let setup = wine.unpack()?;
    let refused = wine.run(&setup, &["service", "install", "--no-start"])?;
    ensure!(refused.status.code() == Some(73), "{}: {}", refused.status, said(&refused));
    ensure!(
        said(&refused).contains("icacls") && said(&refused).contains("cannot be trusted"),
        "{}",
        said(&refused)
    );
    ensure!(fs::read_dir(&folder)?.next().is_none(), "something was put into the folder");
    let silent = wine.run(&setup, &["service", "install", "--no-start", "--silent"])?;
    ensure!(silent.status.code() == Some(73) && said(&silent).is_empty(), "{}", said(&silent));
    Ok(())
}

/// Installs from where the files were unpacked, with a master that cannot be found, which the doctor says; the master of a
/// test listens on a port of its own.
fn install(wine: &Wine, master: &BundledMaster) -> Result<()> {
    let setup = wine.unpack()?;
    let arguments = ["service", "install", "--master", "no-such-master.invalid", "--id", "win"];
    let installed = wine.run(&setup, &arguments)?;
    ensure!(installed.status.code() == Some(69), "{}: {}", installed.status, said(&installed));
    ensure!(said(&installed).contains("installed and runs, but a check failed"), "{}", said(&installed));
    run(wine, &["service", "stop"])?;
    let path = wine.disk("NexHealth/conf/minion");
    let mut options: Value = serde_json::from_slice(&fs::read(&path)?)?;
    options["master"] = json!("127.0.0.1");
    options["master_port"] = json!(master.ret_port);
    options["acceptance_wait_time"] = json!(1);
    fs::write(&path, options.to_string())?;
    fs::copy(master.path("salt/release/metadata/root.json"), wine.disk("NexHealth/conf/release-root.json"))?;
    Ok(())
}

/// The release brought a later supervisor, which proves itself under the installed one.
fn hands_the_watch_over(wine: &Wine) -> Result<()> {
    wait_for("the later supervisor to be confirmed", PATIENCE, || {
        let book = fs::read(wine.disk("NexHealth/supervisor.json")).unwrap_or_default();
        let book: Value = serde_json::from_slice(&book).unwrap_or_default();
        let log = || fs::read_to_string(wine.disk("NexHealth/supervisor.log")).unwrap_or_default();
        if book["confirmed"] == "7.0.0" { Ok(()) } else { Err(format!("{book:#}\n{}", log())) }
    })
}

/// The key of the store is not on the disk in clear.
fn protects_its_key(wine: &Wine) -> Result<()> {
    let key = fs::read(wine.disk("NexHealth/var/lib/agent/store.sqlite.key"))?;
    ensure!(key.starts_with(b"DPAPI1\n") && key.len() > 32 + 7, "the key file holds {} bytes", key.len());
    Ok(())
}

fn offer(master: &BundledMaster, version: &str, program: &Path, options: &[&str]) -> Result<()> {
    let program = program.display().to_string();
    let add = [&["release", "add", version, &program, "--platform", "x86_64-windows"], options].concat();
    for arguments in [&add[..], &["release", "promote", version, "--percent", "100"]] {
        let done = master.run(arguments)?;
        ensure!(done.status.success(), "{}", said(&done));
    }
    Ok(())
}

fn update(master: &BundledMaster, version: &str) -> Result<Value> {
    let sls = format!(
        "agent:\n  agent_release.installed:\n    - version: '{version}'\n    - deadline: 120\n    - bytes_per_second: 0\n"
    );
    master.file("update.sls", sls.as_bytes())?;
    let states = master.call("win", &["state.apply", "update"])?;
    let state = states.as_object().and_then(|states| states.values().next()).cloned();
    state.with_context(|| format!("no state came back: {states:#}"))
}

fn confirmed(wine: &Wine) -> Result<String> {
    wait_for("the end of the trial", PATIENCE, || {
        let text = fs::read(wine.disk("NexHealth/release.json")).map_err(|error| error.to_string())?;
        let pointer: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let confirmed = pointer["confirmed"].as_str().unwrap_or_default().to_owned();
        if pointer["trial"].is_null() { Ok(confirmed) } else { Err(pointer.to_string()) }
    })
}

fn run(wine: &Wine, arguments: &[&str]) -> Result<()> {
    let done = wine.agent(arguments)?;
    ensure!(done.status.success(), "{arguments:?}: {}: {}", done.status, said(&done));
    Ok(())
}
