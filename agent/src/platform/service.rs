//! The service: the supervisor's `main` on every platform, and what the platforms offer to install, start and stop it.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::mpsc};

use semver::Version;

use crate::{
    release::{
        layout::Layout,
        supervise::{Arguments, Event, Relay, Role, Supervisor, host::Host},
    },
    version,
};

#[cfg(windows)]
use super::scm as manager;
#[cfg(unix)]
use super::systemd as manager;

/// The service's name: of the unit, and of the service and event source of Windows.
pub const NAME: &str = if cfg!(windows) { "NexHealthAgent" } else { "nexhealth-agent" };
/// What people see in the list of services.
pub const DISPLAY_NAME: &str = "NexHealth Agent";
/// What it is.
pub const DESCRIPTION: &str = "NexHealth Agent (Salt minion and EHR synchronizer)";
/// What is said of a service that is not there.
pub(super) const NOT_INSTALLED: &str = "the service is not installed: run `agent service install`";

/// The exit code of a bad command line (EX_USAGE).
const EXIT_USAGE: u8 = 64;

/// What the service manager is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// The program of the service.
    pub supervisor: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The account it runs under; the system's when none is named.
    pub account: Option<String>,
}

/// Registers the service. One that is there keeps what the administrator set; the notes say so.
///
/// # Errors
/// The manager's reason.
pub fn register(registration: &Registration) -> Result<Vec<String>, String> {
    manager::install(registration)
}

/// Stops and removes the service; one that is not there is no error.
///
/// # Errors
/// The manager's reason.
pub fn unregister() -> Result<(), String> {
    manager::uninstall()
}

/// Starts the service and waits until it runs.
///
/// # Errors
/// The manager's reason.
pub fn start() -> Result<(), String> {
    manager::start()
}

/// Stops the service and waits for its end.
///
/// # Errors
/// The manager's reason.
pub fn stop() -> Result<(), String> {
    manager::stop()
}

/// Runs the supervisor; the process' exit code is the result.
#[must_use]
pub fn supervisor_main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(usage) => {
            complain(&usage);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let run = if successor_version().is_some() { run_as_successor } else { run_as_service };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

/// Supervises until an [`Event::Stop`] comes.
///
/// # Errors
/// There is nothing to run; why, for the reader.
pub(super) fn supervise(
    arguments: &Arguments,
    host: &dyn Host,
    events: mpsc::Sender<Event>,
    received: &mpsc::Receiver<Event>,
) -> Result<(), String> {
    let (role, version) = match successor_version() {
        Some(version) => (Role::Successor, version),
        None => {
            let own = Version::parse(version::AGENT).map_err(|error| error.to_string())?;
            (Role::Installed { arguments: arguments.successor() }, own)
        }
    };
    let supervisor = Supervisor {
        layout: Layout::new(&arguments.root),
        role,
        version,
        program: arguments.program(),
        limits: arguments.limits,
        host,
        events,
    };
    supervisor.run(received).map_err(|error| error.to_string())
}

/// The version that the installed supervisor knows this one by; nothing when this is the installed one.
fn successor_version() -> Option<Version> {
    Version::parse(&std::env::var("AGENT_SUPERVISED").ok()?).ok()
}

/// Supervises for the installed supervisor, in place of it.
fn run_as_successor(arguments: &Arguments) -> Result<(), String> {
    let (events, received) = mpsc::channel();
    Relay::listen(events.clone()).map_err(|error| error.to_string())?;
    supervise(arguments, &Relay::default(), events, &received)
}

#[cfg(unix)]
fn run_as_service(arguments: &Arguments) -> Result<(), String> {
    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        iterator::Signals,
    };
    let (events, received) = mpsc::channel();
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|error| error.to_string())?;
    let stop = events.clone();
    crate::tasks::thread_of_the_process("signals", move || {
        if signals.forever().next().is_some() {
            // Nobody listens when the supervisor ended by itself.
            let _ = stop.send(Event::Stop);
        }
    })
    .map_err(|error| error.to_string())?;
    #[cfg(target_os = "linux")]
    if let Some(host) = crate::release::supervise::systemd::Systemd::of_environment() {
        return supervise(arguments, &host, events, &received);
    }
    supervise(arguments, &crate::release::supervise::host::Console, events, &received)
}

#[cfg(windows)]
fn run_as_service(arguments: &Arguments) -> Result<(), String> {
    if arguments.service {
        return manager::run();
    }
    let (events, received) = mpsc::channel();
    supervise(arguments, &crate::release::supervise::host::Console, events, &received)
}

fn complain(text: &str) {
    // Where nothing can be printed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "supervisor: {text}");
}
