//! The watch handed to a later supervisor, which is a child as the agent is, and talks in the same lines.
//!
//! It says `alive`; `confirm`, once the agent that it started has lived for a while; `note SEVERITY TEXT` for what an
//! administrator should read; `hand back` before it ends because a still later one is there. It hears what the agent hears.
//! See `release/successor.rs` for who is started when.

use std::{
    io::{self, BufRead as _, Write as _},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use semver::Version;

use super::{
    Event, Supervisor, TICK, chain,
    child::{Child, Program},
    host::{Host, Severity, State},
    vigil::{Heard, Vigil},
};
use crate::release::{
    pointer,
    successor::{self, Next, Stage},
};

/// Which supervisor this process is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role {
    /// The service's own program.
    Installed {
        /// How a later one is started.
        arguments: Vec<String>,
    },
    /// One that the installed supervisor started.
    Successor,
}

/// How the watch came back.
pub(super) enum Back {
    /// The service is to end.
    Stopped,
    /// A still later supervisor is there.
    Handed,
    /// It ended, hung or did not prove itself; the reason in words.
    Failed(String),
}

impl Supervisor<'_> {
    /// The supervisor to hand the watch to; none when this one is right, or when that cannot be known or noted.
    pub(super) fn successor(&self) -> Option<Next> {
        let Role::Installed { .. } = self.role else { return None };
        let pointer = pointer::read(&self.layout).ok()?;
        let done = successor::read(&self.layout).and_then(|before| {
            let mut book = before.clone();
            let next = book.begin(successor::offered(&self.layout, &pointer).as_ref(), &self.version);
            if let Some(next) = &next {
                successor::place(&self.layout, &next.version)?;
            }
            if book != before {
                successor::write(&self.layout, &book)?;
            }
            Ok(next)
        });
        done.unwrap_or_else(|error| {
            self.note(Severity::Error, &format!("no later supervisor can be started: {}", chain(&error)));
            None
        })
    }

    /// Whether the running release carries a supervisor that is to be tried.
    pub(super) fn successor_waits(&self) -> bool {
        let (Ok(pointer), Ok(mut book)) = (pointer::read(&self.layout), successor::read(&self.layout)) else {
            return false;
        };
        let next = book.begin(successor::offered(&self.layout, &pointer).as_ref(), &self.version);
        next.is_some_and(|next| next.stage == Stage::Trial)
    }

    /// Has a later supervisor watch until it is gone.
    pub(super) fn hand_over(&self, next: &Next, run: u64, received: &Receiver<Event>) -> Back {
        let (path, trial) = (self.layout.successor(&next.version), next.stage == Stage::Trial);
        let Role::Installed { arguments } = &self.role else {
            return Back::Failed("is no supervisor's to start but the installed one's".to_owned());
        };
        let program =
            Program { path: &path, arguments, version: &next.version, trial, root: self.layout.root() };
        let mut child = match Child::start(&program, run, self.events.clone()) {
            Ok(child) => child,
            Err(error) => {
                return Back::Failed(format!(
                    "cannot be started: {}: {error} (deleted or held by an antivirus?)",
                    path.display()
                ));
            }
        };
        let how = if trial { " on trial" } else { "" };
        self.note(Severity::Info, &format!("supervisor {} watches{how} (pid {})", next.version, child.pid()));
        self.attend(&mut child, trial, received)
    }

    fn attend(&self, child: &mut Child, trial: bool, received: &Receiver<Event>) -> Back {
        let clock = Instant::now();
        let mut vigil = Vigil::new(self.limits.silence, trial.then_some(self.limits.succession));
        let mut handed = false;
        loop {
            match received.recv_timeout(TICK) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.host.state(State::Stopping);
                    self.drain(child, self.limits.drain + PASSING_ON);
                    return Back::Stopped;
                }
                Ok(Event::Suspended) => child.say("suspended"),
                Ok(Event::Resumed) => child.say("resumed"),
                Ok(Event::Line(run, line)) if run == child.run() => {
                    handed |= line == HAND_BACK;
                    self.pass_on(&line);
                    if vigil.hear(&line, clock.elapsed()) == Heard::Confirm && self.confirm_successor() {
                        vigil.confirmed();
                    }
                }
                Ok(Event::Line(..) | Event::Quiet(_)) | Err(RecvTimeoutError::Timeout) => {}
            }
            self.host.alive();
            if let Some(how) = child.ended() {
                return if handed { Back::Handed } else { Back::Failed(format!("ended by itself ({how})")) };
            }
            if let Some(why) = vigil.judge(clock.elapsed()) {
                child.kill();
                return Back::Failed(why);
            }
        }
    }

    /// The later supervisor wrote it to the log already.
    fn pass_on(&self, line: &str) {
        let Some((severity, text)) = line.strip_prefix("note ").and_then(|note| note.split_once(' ')) else {
            return;
        };
        let severity = match severity {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Info,
        };
        self.host.note(severity, text);
    }

    fn confirm_successor(&self) -> bool {
        let done = successor::read(&self.layout).and_then(|mut book| {
            book.confirm();
            successor::write(&self.layout, &book)?;
            Ok(book)
        });
        match done {
            Ok(book) => {
                let version = book.confirmed.as_ref().map(Version::to_string).unwrap_or_default();
                self.note(Severity::Info, &format!("supervisor {version} is confirmed"));
                successor::prune(&self.layout, &book);
                true
            }
            Err(error) => {
                self.note(
                    Severity::Error,
                    &format!("the later supervisor cannot be confirmed: {}", chain(&error)),
                );
                false
            }
        }
    }

    /// Takes the watch back from a supervisor that failed. False when this one is to watch itself until the service starts
    /// anew: a confirmed one failed, or the refusal could not be noted.
    pub(super) fn take_back(&self, next: &Next, why: &str) -> bool {
        self.note(Severity::Warning, &format!("supervisor {} {why}; the watch goes back", next.version));
        if next.stage == Stage::Confirmed {
            return false;
        }
        let noted = successor::read(&self.layout).and_then(|mut book| {
            book.refuse(why);
            successor::write(&self.layout, &book)
        });
        noted
            .inspect_err(|error| {
                self.note(Severity::Error, &format!("this cannot be noted: {}", chain(error)));
            })
            .is_ok()
    }
}

/// A later supervisor's host: the installed supervisor, which reads its lines.
#[derive(Default)]
pub struct Relay(Mutex<Option<Instant>>);

impl Relay {
    /// Takes the installed supervisor's lines as events; the end of the input asks for the end.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn listen(events: Sender<Event>) -> io::Result<()> {
        crate::tasks::thread_of_the_process("installed supervisor's lines", move || {
            for line in io::stdin().lock().lines() {
                let event = match line.as_deref() {
                    Ok("stop") | Err(_) => break,
                    Ok("suspended") => Event::Suspended,
                    Ok("resumed") => Event::Resumed,
                    // A later installed supervisor may say more.
                    Ok(_) => continue,
                };
                if events.send(event).is_err() {
                    return;
                }
            }
            // Nobody listens when this supervisor has ended.
            let _ = events.send(Event::Stop);
        })
    }

    fn say(&self, line: &str) {
        let line = format!("{}\n", line.replace(['\r', '\n'], " "));
        let mut output = io::stdout().lock();
        // An installed supervisor that is gone is noticed at the input.
        let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
    }
}

impl Host for Relay {
    fn state(&self, _state: State) {}

    fn alive(&self) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() > BEAT) {
            *said = Some(Instant::now());
            self.say("alive");
        }
    }

    fn note(&self, severity: Severity, text: &str) {
        let word = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        self.say(&format!("note {word} {text}"));
    }

    fn proved(&self) {
        self.say("confirm");
    }

    fn hand_back(&self) {
        self.say(HAND_BACK);
    }
}

const HAND_BACK: &str = "hand back";
/// How often a later supervisor says that it lives.
const BEAT: Duration = Duration::from_secs(5);
/// What a stop may take longer when it passes through two supervisors.
const PASSING_ON: Duration = Duration::from_secs(5);
