//! The supervisor: starts what the pointer names, watches it, drains it, and goes back when a trial fails.
//!
//! It is the service; the agent is its child. They talk in lines: the child says `alive`, `stage ...` (what its probation
//! waits for) and `confirm`; the supervisor says `stop`, `confirmed`, `suspended`, `resumed`. A child whose supervisor died
//! reads the end of its input and stops by itself. There is no runtime here, only this thread and one that reads the child's
//! lines: the supervisor is hardly ever updated, so there is little in it that could need to be.
//!
//! Invariants: a trial that exits, falls silent or is late is rejected at once; the confirmed version is started again for
//! ever, with growing pauses; when its program is gone from the disk, the newest former one that starts is run.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant, SystemTime},
};

use semver::Version;

use super::{
    layout::Layout,
    pointer::{self, Phase, Pointer, PointerError},
    successor::{Next, Stage},
};

mod arguments;
mod child;
mod handover;
pub mod host;
#[cfg(target_os = "linux")]
pub mod systemd;
mod vigil;

pub use arguments::Arguments;
pub use handover::{Relay, Role};

use child::{Child, Program};
use handover::Back;
use host::{Host, Severity, State};
use vigil::{Heard, Vigil};

/// What reaches the supervisor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The service manager, or a signal, asks for the end.
    Stop,
    /// The machine goes to sleep.
    Suspended,
    /// The machine woke up.
    Resumed,
    /// The child of that run said something.
    Line(u64, String),
    /// The child of that run closed its output.
    Quiet(u64),
}

/// How long things may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long a child may be silent before it counts as hung.
    pub silence: Duration,
    /// How long a child may take to stop.
    pub drain: Duration,
    /// The longest pause between two starts of a confirmed version that keeps ending.
    pub pause: Duration,
    /// How long the agent of a later supervisor must live to prove it.
    pub proof: Duration,
    /// How long a later supervisor has for that.
    pub succession: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(90),
            drain: Duration::from_secs(30),
            pause: Duration::from_secs(60),
            proof: Duration::from_secs(20),
            succession: Duration::from_secs(180),
        }
    }
}

/// Why a child no longer runs.
enum Ended {
    /// The service is to end.
    Stopped,
    /// Another version is wanted.
    Switched,
    /// A later supervisor is to watch.
    MadeWay(Next),
    /// It ended by itself, hung, or was late; the reason in words.
    Failed(String),
}

/// Who watches the agent.
enum Watch {
    /// A later supervisor, when there is one.
    Open,
    /// A later one than this, or this process.
    HandedBackBy(Next),
    /// This process, until the service starts anew or a still later one is to be tried.
    Own,
}

/// The supervisor of one installation.
pub struct Supervisor<'h> {
    /// The installation.
    pub layout: Layout,
    /// Which supervisor this is.
    pub role: Role,
    /// Its version.
    pub version: Version,
    /// What the child is started with.
    pub program: Vec<String>,
    /// How long things may take.
    pub limits: Limits,
    /// Who is told.
    pub host: &'h dyn Host,
    /// Where the child's lines go in.
    pub events: Sender<Event>,
}

impl Supervisor<'_> {
    /// Runs until it is asked to stop.
    ///
    /// # Errors
    /// The pointer cannot be read at the start: there is nothing to run.
    pub fn run(&self, received: &Receiver<Event>) -> Result<(), PointerError> {
        pointer::read(&self.layout)?;
        self.host.state(State::Running);
        let (mut run, mut failures) = (0, 0);
        let (mut watch, mut due) = (Watch::Open, None);
        loop {
            run += 1;
            if let Some(next) = due.take().or_else(|| self.next(&watch)) {
                watch = match self.hand_over(&next, run, received) {
                    Back::Stopped => break,
                    Back::Handed => Watch::HandedBackBy(next),
                    Back::Failed(why) if self.take_back(&next, &why) => Watch::Open,
                    Back::Failed(_) => Watch::Own,
                };
                continue;
            }
            let (version, deadline) = self.choose();
            let begun = Instant::now();
            let ended = match self.start(&version, deadline.is_some(), run) {
                Ok(mut child) => self.watch(&mut child, deadline, (received, &watch)),
                Err(why) => Ended::Failed(why),
            };
            let why = match ended {
                Ended::Stopped => break,
                Ended::Switched => continue,
                Ended::MadeWay(next) => {
                    due = Some(next);
                    continue;
                }
                Ended::Failed(why) => why,
            };
            if self.reject(&version, &why) {
                failures = 0;
                continue;
            }
            failures = if begun.elapsed() > STEADY { 1 } else { failures + 1 };
            let pause = self.limits.pause.min(Duration::from_secs(1 << failures.min(10)) / 2);
            self.note(Severity::Warning, &format!("agent {version} {why}; it is started again in {pause:?}"));
            if self.rest(pause, received) {
                break;
            }
        }
        self.host.state(State::Stopping);
        self.note(Severity::Info, "stopped");
        Ok(())
    }

    /// The supervisor that is to watch in place of this one. One that handed the watch back is not given it again.
    fn next(&self, watch: &Watch) -> Option<Next> {
        match watch {
            Watch::Open => self.successor(),
            Watch::HandedBackBy(last) => self.successor().filter(|next| next.version != last.version),
            Watch::Own => self.successor().filter(|next| next.stage == Stage::Trial),
        }
    }

    /// The version to start, with its deadline when it is on trial. A pointer that cannot be written leaves the confirmed one.
    fn choose(&self) -> (Version, Option<Duration>) {
        let begun = pointer::update(&self.layout, |pointer| {
            pointer.begin();
            Ok::<_, PointerError>(())
        });
        let pointer = begun.or_else(|error| {
            self.note(Severity::Error, &format!("no trial can be started: {}", chain(&error)));
            pointer::read(&self.layout)
        });
        let Ok(pointer) = pointer else { return (Version::new(0, 0, 0), None) };
        match &pointer.trial {
            Some(trial) if matches!(trial.phase, Phase::Started { .. }) => {
                (trial.version.clone(), Some(Duration::from_secs(trial.deadline)))
            }
            Some(_) | None => (self.present(&pointer), None),
        }
    }

    /// The confirmed version, or the newest former one when the confirmed one's program is gone.
    fn present(&self, pointer: &Pointer) -> Version {
        let all = std::iter::once(&pointer.confirmed).chain(&pointer.former);
        let found = all.into_iter().find(|version| self.layout.agent(version).is_file());
        let version = found.unwrap_or(&pointer.confirmed);
        if *version != pointer.confirmed {
            let gone = self.layout.agent(&pointer.confirmed);
            self.note(
                Severity::Error,
                &format!(
                    "{} is gone (antivirus?), so agent {version} is run: restore the file and exclude {} from the antivirus",
                    gone.display(),
                    self.layout.root().display()
                ),
            );
        }
        version.clone()
    }

    fn start(&self, version: &Version, trial: bool, run: u64) -> Result<Child, String> {
        let path = self.layout.agent(version);
        let program =
            Program { path: &path, arguments: &self.program, version, trial, root: self.layout.root() };
        let child = Child::start(&program, run, self.events.clone()).map_err(|error| {
            format!("cannot be started: {}: {error} (deleted or held by an antivirus?)", path.display())
        })?;
        let how = if trial { " on trial" } else { "" };
        self.note(Severity::Info, &format!("agent {version} started{how} (pid {})", child.pid()));
        Ok(child)
    }

    /// Watches a child until it is gone.
    fn watch(
        &self,
        child: &mut Child,
        deadline: Option<Duration>,
        (received, watch): (&Receiver<Event>, &Watch),
    ) -> Ended {
        let clock = Instant::now();
        let mut vigil = Vigil::new(self.limits.silence, deadline);
        let (mut seen, mut looks) = (None, 0_u64);
        loop {
            if self.take(received, child, &mut vigil, clock) {
                self.host.state(State::Stopping);
                self.drain(child, self.limits.drain);
                return Ended::Stopped;
            }
            self.host.alive();
            if vigil.lives(clock.elapsed(), self.limits.proof) {
                self.host.proved();
            }
            if let Some(how) = child.ended() {
                return Ended::Failed(format!("ended by itself ({how}){}", vigil.stage()));
            }
            if let Some(why) = vigil.judge(clock.elapsed()) {
                child.kill();
                return Ended::Failed(why);
            }
            // Two changes within one tick of the file system's clock look like one, so the file is read now and then as well.
            let stamp = self.stamp();
            if (stamp != seen || looks % 25 == 0) && self.switch_wanted() {
                self.drain(child, self.limits.drain);
                return Ended::Switched;
            }
            if (stamp != seen || looks % 300 == 0)
                && let Some(ended) = self.make_way(child, watch)
            {
                return ended;
            }
            (seen, looks) = (stamp, looks + 1);
        }
    }

    /// Ends the agent when the release that runs brought a later supervisor and that can be started.
    fn make_way(&self, child: &mut Child, watch: &Watch) -> Option<Ended> {
        if !self.successor_waits() {
            return None;
        }
        if self.role == Role::Successor {
            self.drain(child, self.limits.drain);
            self.host.hand_back();
            return Some(Ended::Stopped);
        }
        let next = self.next(watch)?;
        self.drain(child, self.limits.drain);
        Some(Ended::MadeWay(next))
    }

    /// Waits a tick for an event and acts on it; true when the end was asked for.
    fn take(&self, received: &Receiver<Event>, child: &mut Child, vigil: &mut Vigil, clock: Instant) -> bool {
        match received.recv_timeout(TICK) {
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
            Ok(Event::Suspended) => child.say("suspended"),
            Ok(Event::Resumed) => child.say("resumed"),
            Ok(Event::Line(run, line)) if run == child.run() => {
                if vigil.hear(&line, clock.elapsed()) == Heard::Confirm && self.confirm() {
                    vigil.confirmed();
                    child.say("confirmed");
                }
            }
            Ok(Event::Line(..) | Event::Quiet(_)) | Err(RecvTimeoutError::Timeout) => {}
        }
        false
    }

    fn drain(&self, child: &mut Child, limit: Duration) {
        child.say("stop");
        if !child.wait(limit, || self.host.alive()) {
            self.note(Severity::Warning, "the agent did not stop in time and was ended");
            child.kill();
        }
    }

    fn confirm(&self) -> bool {
        let done = pointer::update(&self.layout, |pointer| {
            pointer.confirm();
            Ok::<_, PointerError>(())
        });
        match done {
            Ok(pointer) => {
                self.note(Severity::Info, &format!("agent {} is confirmed", pointer.confirmed));
                // What cannot be deleted yet is deleted after the next trial.
                let _ = self.layout.prune(&pointer);
                true
            }
            Err(error) => {
                self.note(Severity::Error, &format!("the trial cannot be confirmed: {}", chain(&error)));
                false
            }
        }
    }

    /// Ends the trial of `version`; false when it was not on trial.
    fn reject(&self, version: &Version, why: &str) -> bool {
        let mut was_on_trial = false;
        let done = pointer::update(&self.layout, |pointer| {
            was_on_trial = pointer.trial.as_ref().is_some_and(|trial| trial.version == *version);
            if was_on_trial {
                pointer.reject(why);
            }
            Ok::<_, PointerError>(())
        });
        match done {
            Ok(pointer) if was_on_trial => {
                let text = format!("agent {version} {why}; back to agent {}", pointer.confirmed);
                self.note(Severity::Warning, &text);
            }
            Ok(_) => {}
            Err(error) => self.note(Severity::Error, &chain(&error)),
        }
        was_on_trial
    }

    fn switch_wanted(&self) -> bool {
        let trial = pointer::read(&self.layout).ok().and_then(|pointer| pointer.trial);
        trial.is_some_and(|trial| trial.phase == Phase::Wanted)
    }

    fn stamp(&self) -> Option<SystemTime> {
        std::fs::metadata(self.layout.pointer()).and_then(|found| found.modified()).ok()
    }

    /// Waits between two starts; true when the end was asked for meanwhile.
    fn rest(&self, pause: Duration, received: &Receiver<Event>) -> bool {
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match received.recv_timeout(left.min(TICK)) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(_) | Err(RecvTimeoutError::Timeout) => self.host.alive(),
            }
        }
        false
    }

    fn note(&self, severity: Severity, text: &str) {
        host::log(&self.layout.log(), severity, text);
        self.host.note(severity, text);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How often the supervisor looks at its child and at the pointer.
const TICK: Duration = Duration::from_millis(200);
/// A child that ran this long is not in a crash loop.
const STEADY: Duration = Duration::from_secs(600);

#[cfg(test)]
#[cfg(unix)]
mod tests;
