//! The simulated SQL Server as a process.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};

use crate::{
    binaries::binary,
    process::Process,
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

/// A running `ehr-sim serve` on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct EhrSim {
    /// The TDS port.
    pub port: u16,
    process: Process,
    _scratch: Scratch,
}

impl EhrSim {
    /// The password of `sa`; made for tests.
    pub const SA_PASSWORD: &'static str = "Tests-only-1";

    /// Serves `ehr` with `rows` rows in its largest table.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn serve(ehr: &str, rows: u64) -> Result<Self> {
        Self::serve_program(&binary("ehr-sim")?, ehr, rows)
    }

    /// The same with another build of the program.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn serve_program(program: &Path, ehr: &str, rows: u64) -> Result<Self> {
        let scratch = Scratch::new()?;
        let mut command = Command::new(program);
        command.args(["serve", "--ehr", ehr, "--rows", &rows.to_string(), "--port", "0", "--json"]);
        command.env("EHR_SIM_SA_PASSWORD", Self::SA_PASSWORD);
        let mut process = Process::spawn("ehr-sim", &mut command, &scratch.join("console"))?;
        let port = wait_for("ehr-sim to be ready", PATIENCE, || {
            if let Ok(Some(status)) = process.exited() {
                return Err(format!("it ended ({status}): {}", process.output()));
            }
            ready_port(&process.output()).ok_or_else(|| process.output())
        })?;
        Ok(Self { port, process, _scratch: scratch })
    }

    /// Brings a fault about or ends one: the words after `ehr-sim fault`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn fault(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(binary("ehr-sim")?);
        command
            .args(["fault", "--port", &self.port.to_string(), "--password", Self::SA_PASSWORD])
            .args(words);
        let said = command.output()?;
        ensure!(said.status.success(), "ehr-sim fault {words:?}: {}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    }

    /// What it printed and logged.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}

fn ready_port(output: &str) -> Option<u16> {
    let line = output.lines().find(|line| line.starts_with('{') && line.contains("\"ready\""))?;
    let ready: serde_json::Value = serde_json::from_str(line).ok()?;
    u16::try_from(ready["port"].as_u64()?).ok()
}
