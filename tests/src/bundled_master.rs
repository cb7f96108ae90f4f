//! The bundled master as a process in a folder of its own, driven through its command line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    binaries::binary,
    process::Process,
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

/// A running `master-sim serve` on free ports of 127.0.0.1.
#[derive(Debug)]
pub struct BundledMaster {
    /// Where minions send requests.
    pub ret_port: u16,
    /// Where they listen for publishes.
    pub publish_port: u16,
    process: Process,
    scratch: Scratch,
}

impl BundledMaster {
    /// Starts a master whose files are `file_roots`; its pillar is empty until [`BundledMaster::pillar`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(file_roots: &[&Path]) -> Result<Self> {
        let scratch = Scratch::new()?;
        fs::create_dir_all(scratch.join("pillar"))?;
        fs::write(scratch.join("pillar/top.sls"), "base:\n  '*':\n    - practice\n")?;
        fs::write(scratch.join("pillar/practice.sls"), "{}\n")?;
        let roots: Vec<PathBuf> =
            file_roots.iter().map(|root| (*root).to_owned()).chain([scratch.join("salt")]).collect();
        fs::create_dir_all(scratch.join("salt"))?;
        let options = json!({
            "interface": "127.0.0.1", "publish_port": 0, "ret_port": 0, "file_recv": true, "log_level": "info",
            "file_roots": { "base": roots }, "pillar_roots": { "base": [scratch.join("pillar")] },
        });
        fs::write(scratch.join("master"), options.to_string())?;
        let mut command = Command::new(binary("master-sim")?);
        command.arg("-c").arg(scratch.path()).arg("serve");
        let process = Process::spawn("master-sim", &mut command, &scratch.join("console"))?;
        let (ret_port, publish_port) = wait_for("the master's ports", PATIENCE, || {
            let ports = fs::read(scratch.join("cache/.ports")).map_err(|error| error.to_string())?;
            let ports: Value = serde_json::from_slice(&ports).map_err(|error| error.to_string())?;
            let port = |name: &str| ports[name].as_u64().and_then(|port| u16::try_from(port).ok());
            port("ret_port").zip(port("publish_port")).ok_or_else(|| ports.to_string())
        })?;
        Ok(Self { ret_port, publish_port, process, scratch })
    }

    /// A path below the master's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Gives every minion this pillar.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn pillar(&self, sls: &str) -> Result<()> {
        Ok(fs::write(self.path("pillar/practice.sls"), sls)?)
    }

    /// Writes a state file or another file of the file server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path("salt").join(name);
        path.parent().map(fs::create_dir_all).transpose()?;
        Ok(fs::write(path, content)?)
    }

    /// Runs `master-sim` with this master's configuration.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary("master-sim")?);
        Ok(command.arg("-c").arg(self.scratch.path()).args(arguments).output()?)
    }

    /// The return of a function on `minion`; patient, because the machine may be busy.
    ///
    /// # Errors
    /// When the master printed no JSON.
    pub fn call(&self, minion: &str, call: &[&str]) -> Result<Value> {
        let arguments = [&["run", "-t", "240", "--static", "--out", "json", minion], call].concat();
        let output = self.run(&arguments)?;
        let answer: Value = serde_json::from_slice(&output.stdout).with_context(|| said(&output))?;
        Ok(answer[minion].clone())
    }

    /// Accepts a minion's key once it waits.
    ///
    /// # Errors
    /// When the key does not come.
    pub fn accept(&self, id: &str) -> Result<()> {
        wait_for("a pending key", PATIENCE, || {
            let keys =
                self.run(&["key", "list", "--out", "json"]).map_err(|error| format!("{error:#}"))?.stdout;
            let keys: Value = serde_json::from_slice(&keys).map_err(|error| error.to_string())?;
            let waits = keys["minions_pre"].as_array().is_some_and(|ids| ids.contains(&json!(id)));
            if waits { Ok(()) } else { Err(keys.to_string()) }
        })?;
        let accepted = self.run(&["key", "accept", id])?;
        ensure!(accepted.status.success(), "{}", said(&accepted));
        Ok(())
    }

    /// Waits until `minion` answers a ping.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_ping(&self, minion: &str) -> Result<()> {
        wait_for(&format!("a ping of {minion}"), PATIENCE, || {
            let ping = ["run", minion, "test.ping", "-t", "3", "--static", "--out", "json"];
            let output = self.run(&ping).map_err(|error| format!("{error:#}"))?;
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if answer[minion] == true { Ok(()) } else { Err(said(&output)) }
        })
    }

    /// Ends the master and holds that it logged no ERROR.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn finish(&mut self) -> Result<()> {
        let status = self.process.stop(Duration::from_secs(60))?;
        let log = self.process.output();
        ensure!(status.success(), "the master ended with {status}: {log}");
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        ensure!(errors.is_empty(), "the master logged errors: {errors:?}");
        Ok(())
    }
}

/// Both outputs of a program.
#[must_use]
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
