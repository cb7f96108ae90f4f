//! The system under test: our agent, or, with `SUT=salt-minion`, an unmodified salt-minion of the master's series.
//!
//! The second shows that a case asks for what Salt does and for nothing else. Both get the same Salt configuration.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::{
    binaries::binary,
    process::{Process, read_lossy, tail},
    salt::{SaltMaster, Series},
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

/// Which program answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sut {
    /// Our agent.
    Agent,
    /// The unmodified peer.
    SaltMinion(Series),
}

impl Sut {
    /// What the environment asks for (`SUT=agent`, the default, or `SUT=salt-minion`).
    #[must_use]
    pub fn chosen(series: Series) -> Self {
        match std::env::var("SUT").as_deref() {
            Ok("salt-minion") => Self::SaltMinion(series),
            Ok(_) | Err(_) => Self::Agent,
        }
    }
}

/// A running minion in a folder of its own. Dropped, it prints the end of its log for the failing case.
#[derive(Debug)]
pub struct Minion {
    /// Its id.
    pub id: String,
    /// Which program it is.
    pub sut: Sut,
    process: Option<Process>,
    environment: Vec<(String, String)>,
    scratch: Scratch,
}

impl Minion {
    /// Starts a minion of `master`; its key is not accepted by this.
    ///
    /// # Errors
    /// When the program cannot be built or started.
    pub fn start(master: &SaltMaster, id: &str, options: Value) -> Result<Self> {
        Self::start_as(Sut::chosen(master.series), master.ret_port, id, options)
    }

    /// Starts `sut` against a request port of 127.0.0.1.
    ///
    /// # Errors
    /// When the program cannot be built or started.
    pub fn start_as(sut: Sut, ret_port: u16, id: &str, options: Value) -> Result<Self> {
        let mut minion = Self::prepare(sut, ret_port, id, options)?;
        minion.launch()?;
        Ok(minion)
    }

    /// Writes the configuration of a minion that [`launch`](Self::launch) starts.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn prepare(sut: Sut, ret_port: u16, id: &str, options: Value) -> Result<Self> {
        let scratch = Scratch::new()?;
        let minion = Self { id: id.to_owned(), sut, process: None, environment: Vec::new(), scratch };
        let mut config = minion.options(ret_port);
        if let Value::Object(options) = options {
            config.extend(options);
        }
        fs::write(minion.path("minion"), serde_json::to_string_pretty(&config)?)?;
        fs::create_dir_all(minion.path("pki"))?;
        Ok(minion)
    }

    /// Changes one option of the configuration, for the next start.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn set_option(&self, key: &str, value: Value) -> Result<()> {
        let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(self.path("minion"))?)?;
        config.insert(key.to_owned(), value);
        Ok(fs::write(self.path("minion"), serde_json::to_string_pretty(&config)?)?)
    }

    /// Gives the program these variables of the environment, from the next start on.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// Starts a minion, accepts its key and waits until it says it started and answers a ping.
    ///
    /// # Errors
    /// When one of these does not happen.
    pub fn accepted(master: &SaltMaster, id: &str, options: Value) -> Result<Self> {
        let minion = Self::start(master, id, options)?;
        master.wait_for_key("minions_pre", id)?;
        master.key("accept", id)?;
        minion.wait_for_start(master, 1)?;
        minion.wait_for_ping(master)?;
        Ok(minion)
    }

    /// Waits for the `times`th start event: before it, a publish may find nobody subscribed.
    ///
    /// # Errors
    /// When it does not come, with the end of the minion's log.
    pub fn wait_for_start(&self, master: &SaltMaster, times: usize) -> Result<()> {
        let tag = format!("salt/minion/{}/start", self.id);
        wait_for(&tag, PATIENCE, || {
            if master.events(&tag).len() >= times { Ok(()) } else { Err(tail(&self.log(), 3000).to_owned()) }
        })
    }

    /// Starts the program again in the same folder.
    ///
    /// # Errors
    /// When the program cannot be built or started.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = match self.sut {
            Sut::Agent => {
                let mut command = Command::new(binary("agent")?);
                command.arg("run");
                command
            }
            Sut::SaltMinion(series) => Command::new(series.bin().join("salt-minion")),
        };
        command.arg("-c").arg(self.scratch.path()).envs(self.environment.iter().cloned());
        self.process = Some(Process::spawn(&self.id, &mut command, &self.path("console"))?);
        Ok(())
    }

    /// The process, while there is one.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Kills the process group, as a power cut would; the pid files go as they do when a machine starts again.
    pub fn kill(&mut self) {
        self.process = None;
        for pid_file in ["pid", "process_responsibility_pid"] {
            fs::remove_file(self.path(pid_file)).ok();
        }
    }

    /// A path below the minion's folder, which is its `root_dir`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Waits until the master's `test.ping` is answered.
    ///
    /// # Errors
    /// When it is not, with the last thing the master said.
    pub fn wait_for_ping(&self, master: &SaltMaster) -> Result<()> {
        wait_for(&format!("a ping of {}", self.id), PATIENCE, || {
            let answer = master
                .cmd(&self.id, "test.ping", &json!([]), json!({ "timeout": 3 }))
                .map_err(|error| format!("{error:#}"))?;
            if answer[&self.id]["ret"] == true { Ok(()) } else { Err(answer.to_string()) }
        })
    }

    /// Everything it logged and printed.
    #[must_use]
    pub fn log(&self) -> String {
        format!("{}{}", read_lossy(&self.path("console")), read_lossy(&self.path("log")))
    }

    /// Waits until the log holds one of `words`.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_for_log(&self, words: &[&str]) -> Result<()> {
        wait_for(&format!("{words:?} in the log of {}", self.id), PATIENCE, || {
            let log = self.log().to_lowercase();
            if words.iter().any(|word| log.contains(&word.to_lowercase())) {
                Ok(())
            } else {
                Err(tail(&log, 1500).to_owned())
            }
        })
    }

    /// Fails when the agent logged an ERROR line that none of `expected` is part of. Salt's own minion is not judged.
    ///
    /// # Errors
    /// The unexpected lines.
    pub fn expect_errors(&self, expected: &[&str]) -> Result<()> {
        if self.sut != Sut::Agent {
            return Ok(());
        }
        let log = self.log();
        let unexpected: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains("panicked at"))
            .filter(|line| !expected.iter().any(|words| line.contains(words)))
            .collect();
        if unexpected.is_empty() {
            Ok(())
        } else {
            bail!("{} logged errors:\n{}", self.id, unexpected.join("\n"))
        }
    }

    /// Ends the minion gracefully and holds that it logged no ERROR. Salt's own minion now and then does not end on SIGTERM
    /// right after a job; it is not what is tested here, so it is killed then.
    ///
    /// # Errors
    /// When the agent does not end, or logged one.
    pub fn finish(mut self) -> Result<()> {
        if let Some(process) = &mut self.process {
            let patience = if self.sut == Sut::Agent { STOP_PATIENCE } else { STOP_PATIENCE / 6 };
            let ended = process.stop(patience);
            if self.sut == Sut::Agent {
                ended?;
            }
        }
        self.expect_errors(&[])
    }

    fn options(&self, ret_port: u16) -> Map<String, Value> {
        let path = |name: &str| self.path(name).to_string_lossy().into_owned();
        let mut options = json!({
            "id": self.id, "master": "127.0.0.1", "master_port": ret_port,
            "root_dir": self.scratch.path(), "pki_dir": path("pki"), "cachedir": path("cache"), "sock_dir": path("run"),
            "pidfile": path("pid"), "log_file": path("log"), "extension_modules": path("ext"), "sqlite_queue_dir": path("queue"),
            "log_level": "info", "log_level_logfile": "info",
            "acceptance_wait_time": 1, "acceptance_wait_time_max": 1, "random_reauth_delay": 1, "rejected_retry": true,
            "recon_default": 100, "recon_max": 400, "auth_timeout": 10,
            "mine_enabled": false, "enable_fqdns_grains": false, "enable_gpu_grains": false,
            "grains": { "mark": self.id, "practice": "dolphin", "rooms": ["red", "blue"], "site": { "state": "TX", "chairs": 4 } },
        });
        match options.as_object_mut() {
            Some(options) => std::mem::take(options),
            None => Map::new(),
        }
    }
}

impl Drop for Minion {
    fn drop(&mut self) {
        // Captured by the test runner, which shows it when the case failed.
        #[expect(clippy::print_stderr, reason = "the test runner's capture takes this macro alone")]
        {
            eprintln!("log of {}:\n{}", self.id, tail(&self.log(), 5000));
        }
    }
}

/// Salt's own minion takes a few seconds to end on a busy machine.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
