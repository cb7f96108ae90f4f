//! The Python process that keeps a real master and speaks to it with Salt's own client (`tests/salt/driver.py`).
//!
//! One JSON line per request and per answer; answers carry their request's number, so cases may ask at the same time.
//! When this side goes away, by drop or by death, the driver sees the end of its input and kills the master.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::Series;
use crate::binaries::workspace_root;

/// A running driver.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    asking: Mutex<Asking>,
    waiting: Arc<Mutex<HashMap<u64, Sender<Value>>>>,
}

impl Driver {
    /// Starts the driver for the `master` file in `config_dir`; the master itself starts on `start`.
    ///
    /// # Errors
    /// When Python cannot be started.
    pub fn launch(series: Series, config_dir: &Path) -> Result<Self> {
        let console = File::create(config_dir.join("console-driver"))?;
        let mut child = Command::new(series.bin().join("python"))
            .arg(workspace_root().join("tests/salt/driver.py"))
            .arg(config_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console)
            .spawn()
            .context("starting the driver of a real master")?;
        let stdin = child.stdin.take().context("invariant: stdin was piped")?;
        let stdout = child.stdout.take().context("invariant: stdout was piped")?;
        let waiting = Arc::new(Mutex::new(HashMap::new()));
        read_answers(stdout, Arc::clone(&waiting));
        Ok(Self { child, asking: Mutex::new(Asking { stdin: Some(stdin), number: 0 }), waiting })
    }

    /// Asks the driver and waits for its answer, `limit` at most.
    ///
    /// # Errors
    /// What Salt raised, or that the driver is gone or too slow.
    pub fn ask(&self, name: &str, mut arguments: Value, limit: Duration) -> Result<Value> {
        let (sender, receiver) = mpsc::channel();
        {
            let mut asking = lock(&self.asking);
            asking.number += 1;
            lock(&self.waiting).insert(asking.number, sender);
            arguments["n"] = json!(asking.number);
            arguments["do"] = json!(name);
            let stdin = asking.stdin.as_mut().context("the driver was closed")?;
            writeln!(stdin, "{arguments}").with_context(|| format!("asking the driver to {name}"))?;
        }
        let mut answer = receiver
            .recv_timeout(limit)
            .map_err(|_| anyhow!("the driver did not answer {name} in {limit:?}: {arguments}"))?;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            bail!("{name}: {error}\n{}", answer["trace"].as_str().unwrap_or_default());
        }
        Ok(answer["ok"].take())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        lock(&self.asking).stdin = None;
        let _status = self.child.wait();
    }
}

#[derive(Debug)]
struct Asking {
    stdin: Option<ChildStdin>,
    number: u64,
}

fn read_answers(stdout: ChildStdout, waiting: Arc<Mutex<HashMap<u64, Sender<Value>>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
            let Some(number) = answer["n"].as_u64() else { continue };
            if let Some(sender) = lock(&waiting).remove(&number) {
                let _gave_up = sender.send(answer);
            }
        }
        lock(&waiting).clear();
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
