//! The services of Windows, with Salt's names for what the service manager numbers (`salt/utils/win_service.py`).
//!
//! What needs Windows is behind [`Manager`]; what its numbers mean is decided here and tried everywhere. A change is held to
//! the local policy by the callers ([`crate::policy::may_manage_service`]).

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use states::{Map, Value};
use thiserror::Error;

#[cfg(windows)]
mod system;

#[cfg(windows)]
pub use system::System;

#[cfg(test)]
pub mod memory;

/// What the service manager tells of a service, in its own numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Info {
    /// The name as it is registered.
    pub name: String,
    /// The name in the console of services.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Its command line.
    pub bin_path: String,
    /// The account that it runs as.
    pub account: String,
    /// The group that it is loaded with.
    pub load_order_group: String,
    /// Its place in that group.
    pub tag: u32,
    /// The services and groups that must run before it.
    pub dependencies: Vec<String>,
    /// Bits: driver, own process, shared process.
    pub service_type: u32,
    /// When it starts: 2 with the machine, 3 on demand, 4 never.
    pub start_type: u32,
    /// Whether a start with the machine waits until other services run.
    pub delayed: bool,
    /// What Windows does when it does not start.
    pub error_control: u32,
    /// What it does now: 1 stopped, 4 running.
    pub state: u32,
    /// Bits: the controls that it heeds.
    pub controls: u32,
    /// The error that it ended with.
    pub exit_code: u32,
    /// An error of its own, when the exit code says so.
    pub service_code: u32,
    /// The step that a long start or stop is at.
    pub checkpoint: u32,
    /// How long that step may take, in milliseconds.
    pub wait_hint: u32,
}

/// What is changed about a service; what is not given stays.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// See [`Info::bin_path`].
    pub bin_path: Option<String>,
    /// See [`Info::display_name`].
    pub display_name: Option<String>,
    /// See [`Info::description`].
    pub description: Option<String>,
    /// See [`Info::start_type`].
    pub start_type: Option<u32>,
    /// See [`Info::delayed`].
    pub delayed: Option<bool>,
    /// See [`Info::error_control`].
    pub error_control: Option<u32>,
    /// See [`Info::load_order_group`].
    pub load_order_group: Option<String>,
    /// See [`Info::dependencies`].
    pub dependencies: Option<Vec<String>>,
}

/// Why the service manager did not do what was asked; Salt's words before its own.
#[derive(Debug, Error)]
pub enum WinServiceError {
    /// It cannot be asked at all.
    #[error("Failed to connect to the SCM: {0}")]
    Connect(String),
    /// There is no such service, or it may not be looked at.
    #[error("Failed To Open {name}: {said}")]
    Open {
        /// The service.
        name: String,
        /// The manager's words.
        said: String,
    },
    /// It did not start.
    #[error("Failed To Start {name}: {said}")]
    Start {
        /// The service.
        name: String,
        /// The manager's words.
        said: String,
    },
    /// It did not stop.
    #[error("Failed To Stop {name}: {said}")]
    Stop {
        /// The service.
        name: String,
        /// The manager's words.
        said: String,
    },
    /// A setting was refused.
    #[error("Failed To Modify {name}: {said}")]
    Modify {
        /// The service.
        name: String,
        /// The manager's words.
        said: String,
    },
}

/// Asks and drives the service manager. Names are the same in any case.
pub trait Manager: Send + Sync {
    /// The names of all services that are no drivers, sorted.
    ///
    /// # Errors
    /// See [`WinServiceError`].
    fn all(&self) -> Result<Vec<String>, WinServiceError>;

    /// Whether there is such a service.
    ///
    /// # Errors
    /// See [`WinServiceError`].
    fn is_there(&self, name: &str) -> Result<bool, WinServiceError>;

    /// What is known of a service.
    ///
    /// # Errors
    /// See [`WinServiceError`].
    fn info(&self, name: &str) -> Result<Info, WinServiceError>;

    /// Asks a service to start; one that runs is none the worse for it.
    ///
    /// # Errors
    /// See [`WinServiceError`].
    fn start(&self, name: &str) -> Result<(), WinServiceError>;

    /// Asks a service to stop; one that does not run is none the worse for it.
    ///
    /// # Errors
    /// See [`WinServiceError`].
    fn stop(&self, name: &str) -> Result<(), WinServiceError>;

    /// Changes settings.
    ///
    /// # Errors
    /// See [`WinServiceError`].
    fn change(&self, name: &str, change: &Change) -> Result<(), WinServiceError>;
}

impl Info {
    /// Whether it runs; one that is about to stop still does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, RUNNING | STOP_PENDING)
    }

    /// `Auto`, `Manual`, `Disabled` …
    #[must_use]
    pub fn start_type_name(&self) -> &'static str {
        START_TYPES.iter().find(|(_, number)| *number == self.start_type).map_or("Unknown", |(name, _)| name)
    }

    /// The map that Salt's `service.info` returns.
    #[must_use]
    pub fn told(&self) -> Map {
        let exit_code = match self.exit_code {
            0 => "No Error".into(),
            1066 => "Service Specific Error".into(),
            code => number(code),
        };
        let dependencies = self.dependencies.iter().map(|name| Value::from(name.as_str())).collect();
        let pairs = [
            ("sid", service_sid(&self.name).into()),
            ("BinaryPath", self.bin_path.as_str().into()),
            ("LoadOrderGroup", self.load_order_group.as_str().into()),
            ("TagID", number(self.tag)),
            ("Dependencies", Value::List(dependencies)),
            ("ServiceAccount", self.account.as_str().into()),
            ("DisplayName", self.display_name.as_str().into()),
            ("Description", self.description.as_str().into()),
            ("Status_ServiceCode", number(self.service_code)),
            ("Status_CheckPoint", number(self.checkpoint)),
            ("Status_WaitHint", number(self.wait_hint)),
            ("StartTypeDelayed", self.delayed.into()),
            ("ServiceType", flags(self.service_type, SERVICE_TYPES)),
            ("ControlsAccepted", flags(self.controls, CONTROLS)),
            ("Status_ExitCode", exit_code),
            ("StartType", self.start_type_name().into()),
            ("ErrorControl", named(self.error_control, ERROR_CONTROLS)),
            ("Status", named(self.state, STATES)),
        ];
        pairs.into_iter().collect()
    }
}

/// The number of a start type that is written in any case.
#[must_use]
pub fn start_type(name: &str) -> Option<u32> {
    numbered(name, START_TYPES)
}

/// The number of an error control that is written in any case.
#[must_use]
pub fn error_control(name: &str) -> Option<u32> {
    numbered(name, ERROR_CONTROLS)
}

/// Salt's name of an error control.
#[must_use]
pub fn error_control_name(number: u32) -> Value {
    named(number, ERROR_CONTROLS)
}

/// The account `NT SERVICE\name`, which Windows derives from the name.
#[must_use]
pub fn service_sid(name: &str) -> String {
    let wide: Vec<u8> = name.to_uppercase().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &wide);
    let parts = hash.as_ref().as_chunks::<4>().0.iter().map(|four| format!("-{}", u32::from_le_bytes(*four)));
    format!("S-1-5-80{}", parts.collect::<String>())
}

type Names = &'static [(&'static str, u32)];

fn number(number: u32) -> Value {
    Value::Int(number.into())
}

fn numbered(name: &str, names: Names) -> Option<u32> {
    names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

fn named(wanted: u32, names: Names) -> Value {
    names
        .iter()
        .find(|(_, known)| *known == wanted)
        .map_or_else(|| number(wanted), |(name, _)| (*name).into())
}

fn flags(bits: u32, names: Names) -> Value {
    let set: Vec<Value> =
        names.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| (*name).into()).collect();
    if set.is_empty() { number(bits) } else { Value::List(set) }
}

/// `SERVICE_STOPPED`.
pub const STOPPED: u32 = 1;
/// `SERVICE_START_PENDING`.
pub const START_PENDING: u32 = 2;
/// `SERVICE_STOP_PENDING`.
pub const STOP_PENDING: u32 = 3;
/// `SERVICE_RUNNING`.
pub const RUNNING: u32 = 4;
/// `SERVICE_AUTO_START`.
pub const AUTO: u32 = 2;
/// `SERVICE_DEMAND_START`.
pub const MANUAL: u32 = 3;
/// `SERVICE_DISABLED`.
pub const DISABLED: u32 = 4;

const STATES: Names = &[
    ("Stopped", STOPPED),
    ("Start Pending", START_PENDING),
    ("Stop Pending", STOP_PENDING),
    ("Running", RUNNING),
    ("Continue Pending", 5),
    ("Pause Pending", 6),
    ("Paused", 7),
];
const START_TYPES: Names =
    &[("Boot", 0), ("System", 1), ("Auto", AUTO), ("Manual", MANUAL), ("Disabled", DISABLED)];
const ERROR_CONTROLS: Names = &[("Ignore", 0), ("Normal", 1), ("Severe", 2), ("Critical", 3)];
const SERVICE_TYPES: Names = &[
    ("Kernel Driver", 1),
    ("File System Driver", 2),
    ("Adapter Driver", 4),
    ("Recognizer Driver", 8),
    ("Win32 Own Process", 16),
    ("Win32 Share Process", 32),
    ("Interactive", 256),
];
const CONTROLS: Names = &[
    ("Stop", 1),
    ("Pause/Continue", 2),
    ("Shutdown", 4),
    ("Change Parameters", 8),
    ("Netbind Change", 16),
    ("Hardware Profile Change", 32),
    ("Power Event", 64),
    ("Session Change", 128),
    ("Pre-Shutdown", 256),
    ("Time Change", 512),
    ("Trigger Event", 1024),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_the_account_of_a_service_as_windows_does() {
        // The documented account of Windows' own installer.
        let installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
        assert_eq!(service_sid("TrustedInstaller"), installer);
        assert_eq!(service_sid("trustedinstaller"), installer);
    }

    #[test]
    fn tells_of_a_service_in_salts_words() {
        let info = Info {
            name: "Spooler".to_owned(),
            service_type: 0x110,
            start_type: AUTO,
            error_control: 1,
            state: RUNNING,
            controls: 0x105,
            exit_code: 1066,
            ..Info::default()
        };
        let told = info.told();
        let list = |names: &[&str]| Value::List(names.iter().map(|name| (*name).into()).collect());
        assert_eq!(told.get("ServiceType"), Some(&list(&["Win32 Own Process", "Interactive"])));
        assert_eq!(told.get("ControlsAccepted"), Some(&list(&["Stop", "Shutdown", "Pre-Shutdown"])));
        assert_eq!(told.get("StartType"), Some(&"Auto".into()));
        assert_eq!(told.get("Status"), Some(&"Running".into()));
        assert_eq!(told.get("Status_ExitCode"), Some(&"Service Specific Error".into()));
        assert_eq!(told.get("ErrorControl"), Some(&"Normal".into()));
        assert_eq!(Info::default().told().get("ControlsAccepted"), Some(&0.into()));
        assert_eq!((start_type("manual"), start_type("never")), (Some(MANUAL), None));
    }
}
