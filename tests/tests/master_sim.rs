//! The bundled master drives unmodified salt-minions of three series, and the agent, through its own command line.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    binaries::binary,
    minion::{Minion, Sut},
    process::Process,
    salt::Series,
    scratch::Scratch,
    skip::skipped,
    wait::{PATIENCE, wait_for},
};

#[test]
fn serves_a_salt_minion_of_3006() -> Result<()> {
    with_salt_minion(Series::S3006)
}

#[test]
fn serves_a_salt_minion_of_3007() -> Result<()> {
    with_salt_minion(Series::S3007)
}

#[test]
fn serves_a_salt_minion_of_3008() -> Result<()> {
    with_salt_minion(Series::S3008)
}

#[test]
fn serves_the_agent() -> Result<()> {
    everyday_life(Sut::Agent)
}

fn with_salt_minion(series: Series) -> Result<()> {
    match series.installed() {
        Ok(()) => everyday_life(Sut::SaltMinion(series)),
        Err(why) => skipped(&format!("master-sim with salt-minion {}", series.version()), &why),
    }
}

/// Key, first ping, arguments, targets, state run, files both ways, a failing SLS, a new AES key, the job cache.
fn everyday_life(sut: Sut) -> Result<()> {
    let mut master = Master::start()?;
    let minion = Minion::start_as(sut, master.ret_port, "m1", json!({}))?;
    master.accept("m1")?;
    wait_for("the first ping", PATIENCE, || {
        let answer = master.json(&["run", "m1", "test.ping", "-t", "3", "--static", "--out", "json"]);
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        if answer["m1"] == true { Ok(()) } else { Err(answer.to_string()) }
    })?;
    arguments_and_targets(&master)?;
    states(&master, &minion)?;
    files(&master, &minion)?;
    rotation(&master)?;
    jobs_and_events(&master)?;
    minion.finish()?;
    master.finish()
}

fn arguments_and_targets(master: &Master) -> Result<()> {
    let echoed = master.call(&["m1", "test.arg", "1", "two", "three=3", "four=[4, x]"])?;
    ensure!(echoed["args"] == json!([1, "two"]), "test.arg: {echoed}");
    ensure!(echoed["kwargs"]["four"] == json!([4, "x"]), "test.arg: {echoed}");
    let grains = master.call(&["m1", "grains.items"])?;
    ensure!(grains["id"] == "m1" && grains["practice"] == "dolphin", "grains.items: {grains}");
    let targets: [&[&str]; 6] = [
        &["-G", "site:state:TX"],
        &["-I", "role:practice*"],
        &["-C", "G@practice:dolphin and not L@other"],
        &["-E", "m[0-9]"],
        &["-L", "m1"],
        &["-N", "everybody"],
    ];
    for target in targets {
        let pong = master.call(&[target, &["test.ping"]].concat())?;
        ensure!(pong == true, "{target:?}: {pong}");
    }
    let nobody = master.run(&["run", "-G", "practice:orthotrac", "test.ping"])?;
    ensure!(nobody.status.code() == Some(2), "{}", said(&nobody));
    ensure!(said(&nobody).contains("No minions matched the target."), "{}", said(&nobody));
    Ok(())
}

fn states(master: &Master, minion: &Minion) -> Result<()> {
    let target = minion.path("applied.txt");
    let sls =
        format!("{}:\n  file.managed:\n    - source: salt://text\n    - template: jinja\n", target.display());
    fs::write(master.path("salt/apply.sls"), sls)?;
    fs::write(master.path("salt/text"), "{{ pillar['role'] }}\n")?;
    fs::write(master.path("salt/fail.sls"), "never:\n  test.fail_without_changes: []\n")?;
    let planned = master.run(&["run", "-t", "120", "m1", "state.apply", "apply", "test=True"])?;
    ensure!(planned.status.success() && !target.exists(), "{}", said(&planned));
    ensure!(said(&planned).contains("Succeeded: 1 (unchanged=1"), "{}", said(&planned));
    let applied = master.run(&["run", "-t", "120", "m1", "state.apply", "apply"])?;
    ensure!(applied.status.success(), "{}", said(&applied));
    ensure!(said(&applied).contains("Summary for m1"), "{}", said(&applied));
    ensure!(fs::read_to_string(&target)? == "practice of m1\n", "the file has another content");
    let failed = master.run(&["run", "-t", "120", "m1", "state.apply", "fail"])?;
    ensure!(failed.status.code() == Some(1), "{}", said(&failed));
    ensure!(said(&failed).contains("ERROR: Minions returned with non-zero exit code"), "{}", said(&failed));
    Ok(())
}

fn files(master: &Master, minion: &Minion) -> Result<()> {
    let blob: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(master.path("salt/blob.bin"), &blob)?;
    let fetched = minion.path("fetched.bin");
    let name = fetched.display().to_string();
    let answer = master.call(&["m1", "cp.get_file", "salt://blob.bin", &name])?;
    ensure!(answer == name.as_str(), "cp.get_file: {answer}");
    ensure!(fs::read(&fetched)? == blob, "the fetched file differs");
    let pushed = master.call(&["m1", "cp.push", &name])?;
    ensure!(pushed == true, "cp.push: {pushed}");
    let stored = master.path("cache/minions/m1/files").join(name.trim_start_matches('/'));
    ensure!(fs::read(&stored)? == blob, "the pushed file differs");
    Ok(())
}

/// The publish after a new AES key finds a minion with the old one; it must not be lost.
fn rotation(master: &Master) -> Result<()> {
    fs::write(master.path("cache/.dfn"), "")?;
    wait_for("a new AES key", PATIENCE, || {
        if master.path("cache/.dfn").exists() { Err("not yet".into()) } else { Ok(()) }
    })?;
    let pong = master.call(&["m1", "test.ping"])?;
    ensure!(pong == true, "after the rotation: {pong}");
    Ok(())
}

fn jobs_and_events(master: &Master) -> Result<()> {
    let started = master.run(&["run", "m1", "test.echo", "kept", "--async"])?;
    let jid = said(&started).split_whitespace().last().context("no jid")?.to_owned();
    wait_for("the return of an asynchronous job", PATIENCE, || {
        let shown = master.run(&["job", "show", &jid, "--out", "json"]).map_err(|error| error.to_string())?;
        if said(&shown).contains("\"m1\": \"kept\"") { Ok(()) } else { Err(said(&shown)) }
    })?;
    let events = said(&master.run(&["events", "--all", "--once", "--json"])?);
    for tag in
        ["minion_start".to_owned(), "salt/minion/m1/start".to_owned(), format!("salt/job/{jid}/ret/m1")]
    {
        ensure!(events.contains(&format!("\"{tag}\"")), "no event {tag}");
    }
    Ok(())
}

/// A running master in a folder of its own.
struct Master {
    process: Process,
    scratch: Scratch,
    ret_port: u16,
}

impl Master {
    fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        fs::create_dir_all(scratch.join("salt"))?;
        fs::create_dir_all(scratch.join("pillar"))?;
        fs::write(scratch.join("pillar/top.sls"), "base:\n  '*':\n    - practice\n")?;
        fs::write(scratch.join("pillar/practice.sls"), "role: practice of {{ grains['id'] }}\n")?;
        let options = "interface: 127.0.0.1\npublish_port: 0\nret_port: 0\nfile_recv: true\nlog_level: info\n\
                       nodegroups:\n  everybody: m* and G@practice:dolphin\n";
        fs::write(scratch.join("master"), options)?;
        let mut command = Command::new(binary("master-sim")?);
        command.arg("-c").arg(scratch.path()).arg("serve");
        let process = Process::spawn("master-sim", &mut command, &scratch.join("console"))?;
        let ret_port = wait_for("the master's ports", PATIENCE, || {
            let ports = fs::read(scratch.join("cache/.ports")).map_err(|error| error.to_string())?;
            let ports: Value = serde_json::from_slice(&ports).map_err(|error| error.to_string())?;
            ports["ret_port"]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok())
                .ok_or_else(|| ports.to_string())
        })?;
        Ok(Self { process, scratch, ret_port })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary("master-sim")?);
        Ok(command.arg("-c").arg(self.scratch.path()).args(arguments).output()?)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.run(arguments)?;
        serde_json::from_slice(&output.stdout).with_context(|| said(&output))
    }

    /// The return of a job on `m1`; patient, because the machine may be busy.
    fn call(&self, call: &[&str]) -> Result<Value> {
        let arguments = [&["run", "-t", "120", "--static", "--out", "json"], call].concat();
        Ok(self.json(&arguments)?["m1"].clone())
    }

    fn accept(&self, id: &str) -> Result<()> {
        wait_for("a pending key", PATIENCE, || {
            let keys = self.json(&["key", "list", "--out", "json"]).map_err(|error| error.to_string())?;
            if keys["minions_pre"] == json!([id]) { Ok(()) } else { Err(keys.to_string()) }
        })?;
        let accepted = self.run(&["key", "accept", id])?;
        ensure!(accepted.status.success(), "{}", said(&accepted));
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let status = self.process.stop(Duration::from_secs(30))?;
        ensure!(status.success(), "the master ended with {status}: {}", self.process.output());
        let log = self.process.output();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        ensure!(errors.is_empty(), "the master logged errors: {errors:?}");
        Ok(())
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
