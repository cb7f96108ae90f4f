//! The bundled master as a process that is killed and comes back on the same ports.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    binaries::binary,
    process::Process,
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

/// A running master.
pub struct Master {
    process: Process,
    scratch: Scratch,
    ports: (u16, u16),
}

impl Master {
    /// Starts it on free ports, which it keeps.
    pub fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        fs::create_dir_all(scratch.join("salt"))?;
        configure(&scratch, (0, 0))?;
        let process = serve(&scratch)?;
        let ports = ports(&scratch)?;
        configure(&scratch, ports)?;
        Ok(Self { process, scratch, ports })
    }

    /// Its request port.
    pub fn ret_port(&self) -> u16 {
        self.ports.1
    }

    /// Kills it as a power cut would, and starts it again.
    pub fn kill_and_start(&mut self) -> Result<()> {
        self.process.signal(tests::process::Signal::Kill);
        wait_for("the master to be dead", PATIENCE, || match self.process.exited() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })?;
        self.process = serve(&self.scratch)?;
        Ok(())
    }

    /// Accepts a minion's key once it asks.
    pub fn accept(&self, id: &str) -> Result<()> {
        wait_for("a pending key", PATIENCE, || {
            let output = self.run(&["key", "list", "--out", "json"]).map_err(|error| error.to_string())?;
            let keys: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
            if keys["minions_pre"] == json!([id]) { Ok(()) } else { Err(keys.to_string()) }
        })?;
        ensure!(self.run(&["key", "accept", id])?.status.success(), "the key was not accepted");
        Ok(())
    }

    /// Applies `sls` on every minion.
    pub fn apply(&self, sls: &str) -> Result<()> {
        fs::write(self.scratch.join("salt/jobs.sls"), sls)?;
        // Before the minion has subscribed, a publish finds nobody and is waited for in vain.
        wait_for("a ping", PATIENCE, || {
            let output = self.run(&["run", "-t", "2", "*", "test.ping"]).map_err(|e| e.to_string())?;
            if output.status.success() { Ok(()) } else { Err(said(&output)) }
        })?;
        wait_for("the jobs to be declared", PATIENCE, || {
            let output =
                self.run(&["run", "-t", "60", "*", "state.apply", "jobs"]).map_err(|e| e.to_string())?;
            if output.status.success() { Ok(()) } else { Err(said(&output)) }
        })
    }

    /// The batches it received of a job, in order: epoch, sequence, file name.
    pub fn batches(&self, job: &str) -> Vec<(u64, u64, String)> {
        let Ok(entries) = fs::read_dir(self.folder(job)) else { return Vec::new() };
        let mut batches: Vec<(u64, u64, String)> = entries
            .map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let (epoch, sequence) = name.split('.').next().unwrap().split_once('-').unwrap();
                (epoch.parse().unwrap(), sequence.parse().unwrap(), name.clone())
            })
            .collect();
        batches.sort();
        batches
    }

    /// One of them.
    pub fn batch(&self, job: &str, name: &str) -> Vec<u8> {
        fs::read(self.folder(job).join(name)).unwrap()
    }

    fn folder(&self, job: &str) -> PathBuf {
        self.path(&format!("cache/minions/{}/files/agent/sync/{job}", crate::ID))
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary("master-sim")?);
        Ok(command.arg("-c").arg(self.scratch.path()).args(arguments).output()?)
    }
}

fn configure(scratch: &Scratch, (publish, ret): (u16, u16)) -> Result<()> {
    let options = format!(
        "interface: 127.0.0.1\npublish_port: {publish}\nret_port: {ret}\nfile_recv: true\nlog_level: info\n"
    );
    Ok(fs::write(scratch.join("master"), options)?)
}

fn serve(scratch: &Scratch) -> Result<Process> {
    let mut command = Command::new(binary("master-sim")?);
    command.arg("-c").arg(scratch.path()).arg("serve");
    Process::spawn("master-sim", &mut command, &scratch.join("console"))
}

fn ports(scratch: &Scratch) -> Result<(u16, u16)> {
    wait_for("the master's ports", PATIENCE, || {
        let ports = fs::read(scratch.join("cache/.ports")).map_err(|error| error.to_string())?;
        let ports: Value = serde_json::from_slice(&ports).map_err(|error| error.to_string())?;
        let port = |name: &str| ports[name].as_u64().and_then(|port| u16::try_from(port).ok());
        port("publish_port").zip(port("ret_port")).ok_or_else(|| ports.to_string())
    })
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
