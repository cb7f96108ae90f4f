//! A child process in a process group of its own, its output in a file, ended with its owner.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};

use crate::wait::wait_for;

/// What is sent to a process group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// Please end.
    Term,
    /// As a power cut would.
    Kill,
    /// Stand still: the peer looks alive to TCP and does nothing.
    Stop,
    /// Go on.
    Continue,
}

/// A running child. Dropped, it takes its whole process group with it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    console: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs appended to `console`.
    ///
    /// # Errors
    /// When the console cannot be opened or the program not be started.
    pub fn spawn(name: &str, command: &mut Command, console: &Path) -> Result<Self> {
        let sink = append(console)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(sink.try_clone()?)
            .stderr(sink)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, console: console.to_owned() })
    }

    /// The process id, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        read_lossy(&self.console)
    }

    /// The exit status, once there is one.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Signals the whole group. A group that is gone is no error.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Term => "TERM",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        let script = format!("kill -{name} -{}", self.pid());
        let _gone = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    }

    /// Asks it to end and waits; after `limit` the group is killed and that is an error.
    ///
    /// # Errors
    /// When it did not end in time, with the end of its output.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::Term);
        let name = self.name.clone();
        let ended = wait_for(&format!("{name} to end"), limit, || {
            self.child.try_wait().map_err(|error| error.to_string())?.ok_or_else(|| "running".to_owned())
        });
        ended.map_err(|error| anyhow!("{error}\n{}", tail(&self.output(), 2000)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::Continue);
        self.signal(Signal::Kill);
        let _status = self.child.wait();
    }
}

/// The last `limit` bytes of a text, on a character boundary.
#[must_use]
pub fn tail(text: &str, limit: usize) -> &str {
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// A log as far as it is there.
#[must_use]
pub fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}
