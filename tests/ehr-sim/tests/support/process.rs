//! `ehr-sim serve` as a child process that ends with its test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running simulator.
pub struct Sim {
    pub port: u16,
    pub password: String,
    pub dir: tempfile::TempDir,
    child: Child,
}

impl Sim {
    /// Starts `serve --ehr dolphin` on a free port with `arguments`, and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ehr-sim"));
        command.args(["serve", "--ehr", "dolphin", "--port", "0", "--json"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("not ready: {error}: {line}"));
        Self {
            port: u16::try_from(ready["port"].as_u64().unwrap()).unwrap(),
            password: ready["sa_password"].as_str().unwrap().to_owned(),
            dir: tempfile::tempdir().unwrap(),
            child,
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
