//! The agent as a child process: lines in, lines out.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::Sender,
    thread,
    time::{Duration, Instant},
};

use semver::Version;

use super::Event;

/// What to start.
pub(super) struct Program<'p> {
    pub(super) path: &'p Path,
    pub(super) arguments: &'p [String],
    pub(super) version: &'p Version,
    pub(super) trial: bool,
    pub(super) root: &'p Path,
}

/// A running agent. Dropped, it is killed.
pub(super) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    run: u64,
}

impl Child {
    /// Starts the program and a thread that hands its lines on, marked with `run`.
    pub(super) fn start(program: &Program<'_>, run: u64, events: Sender<Event>) -> io::Result<Self> {
        let mut command = Command::new(program.path);
        command.args(program.arguments);
        command.env("AGENT_SUPERVISED", program.version.to_string());
        command.env("AGENT_INSTALL_DIR", program.root);
        command.env("AGENT_ON_TRIAL", if program.trial { "1" } else { "" });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A signal to the terminal's group is the supervisor's to pass on.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        if let Some(output) = output {
            thread::Builder::new()
                .name(format!("agent {run}"))
                .spawn(move || listen(output, run, &events))?;
        }
        Ok(Self { process, input, run })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// Says a line; a child that does not listen is seen by its silence.
    pub(super) fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = input.write_all(format!("{line}\n").as_bytes()).and_then(|()| input.flush());
        }
    }

    /// How it ended, once it did.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.process.try_wait() {
            Ok(status) => status.map(|status| status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Waits for its end; false when it did not come in time.
    pub(super) fn wait(&mut self, limit: Duration, meanwhile: impl Fn()) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.ended().is_some() {
                return true;
            }
            meanwhile();
            thread::sleep(LOOK);
        }
        self.ended().is_some()
    }

    pub(super) fn kill(&mut self) {
        // It may have ended meanwhile.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

/// Lines are short; what is longer is no line of ours and is cut.
fn listen(output: impl Read, run: u64, events: &Sender<Event>) {
    let mut reader = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if events.send(Event::Line(run, text)).is_err() {
                    return;
                }
            }
        }
    }
    // Nobody listens when the supervisor itself ends.
    let _ = events.send(Event::Quiet(run));
}

const LONGEST_LINE: u64 = 1024;
const LOOK: Duration = Duration::from_millis(50);
