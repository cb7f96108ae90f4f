//! The services of this machine, through the manager that runs them: systemd. Those of Windows are in `win_service`.
//!
//! Looking needs no permission; what changes a service is held to the local policy by the callers
//! ([`crate::policy::may_manage_service`]). On a machine without systemd every question is answered with
//! [`ServiceError::NoManager`], never with a guess. Which units count, and what is enabled, follows Salt's
//! `salt/modules/systemd_service.py`.

use std::{collections::BTreeSet, path::Path, process::Stdio};

use thiserror::Error;
use tokio::process::Command;

/// Why a service could not be asked or changed.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// No service manager that this agent can drive.
    #[error("this machine has no service manager that the agent can drive (systemd is looked for)")]
    NoManager,
    /// The manager's program could not be run.
    #[error("{program} could not be run")]
    Run {
        /// The program.
        program: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The manager refused.
    #[error("{said}")]
    Refused {
        /// Its own words.
        said: String,
    },
}

/// What is done to a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Starts it.
    Start,
    /// Stops it.
    Stop,
    /// Stops and starts it.
    Restart,
    /// Makes it read its configuration again.
    Reload,
    /// Reloads it where it can, restarts it where it cannot.
    ForceReload,
    /// Starts it with the machine.
    Enable,
    /// Does not start it with the machine.
    Disable,
}

impl Action {
    fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::ForceReload => "force-reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

/// How unit files are installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Installed {
    /// Started with the machine.
    Enabled,
    /// Not started with the machine.
    Disabled,
    /// Without an `[Install]` section.
    Static,
}

/// Whether this machine was started by systemd.
#[must_use]
pub fn is_there() -> bool {
    cfg!(target_os = "linux") && Path::new("/run/systemd/system").exists()
}

/// Whether the service runs. An unknown one does not.
///
/// # Errors
/// See [`ServiceError`].
pub async fn is_running(name: &str) -> Result<bool, ServiceError> {
    Ok(systemctl(&["is-active", &unit(name)]).await?.code == 0)
}

/// Whether the manager knows the service.
///
/// # Errors
/// See [`ServiceError`].
pub async fn is_available(name: &str) -> Result<bool, ServiceError> {
    // 4 is "no such unit"; 0 to 3 tell of a unit that runs or does not.
    Ok((0..4).contains(&systemctl(&["status", &unit(name), "-n", "0"]).await?.code))
}

/// Whether the service starts with the machine.
///
/// # Errors
/// See [`ServiceError`].
pub async fn is_enabled(name: &str) -> Result<bool, ServiceError> {
    let said = systemctl(&["is-enabled", &unit(name)]).await?;
    if said.out.trim() != "alias" {
        return Ok(said.code == 0);
    }
    let real = systemctl(&["show", &unit(name), "-P", "Id"]).await?;
    Ok(systemctl(&["is-enabled", real.out.trim()]).await?.code == 0)
}

/// Whether starting the service is forbidden by a link to nothing.
#[must_use]
pub fn is_masked(name: &str, runtime: bool) -> bool {
    let folder = if runtime { "/run" } else { "/etc" };
    let link = Path::new(folder).join("systemd/system").join(unit(name));
    std::fs::read_link(link).is_ok_and(|target| target == Path::new("/dev/null"))
}

/// Does something to a service.
///
/// # Errors
/// See [`ServiceError`]; a refusal has the manager's own words.
pub async fn act(name: &str, action: Action, no_block: bool) -> Result<(), ServiceError> {
    let name = unit(name);
    let mut words = vec![action.verb(), name.as_str()];
    if no_block {
        words.insert(0, "--no-block");
    }
    done(systemctl(&words).await?)
}

/// Forbids or allows starting a service at all.
///
/// # Errors
/// See [`ServiceError`].
pub async fn mask(name: &str, verb: &'static str, runtime: bool) -> Result<(), ServiceError> {
    let name = unit(name);
    let mut words = vec![verb, name.as_str()];
    if runtime {
        words.insert(1, "--runtime");
    }
    done(systemctl(&words).await?)
}

/// Makes the manager read its unit files again.
///
/// # Errors
/// See [`ServiceError`].
pub async fn reload_units() -> Result<(), ServiceError> {
    done(systemctl(&["--system", "daemon-reload"]).await?)
}

/// The properties of a unit as `systemctl show` lists them.
///
/// # Errors
/// See [`ServiceError`].
pub async fn properties(name: &str) -> Result<Vec<(String, String)>, ServiceError> {
    let said = systemctl(&["show", &unit(name)]).await?;
    let lines = said.out.lines().filter_map(|line| line.split_once('='));
    Ok(lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// The services whose unit file is installed in that way, sorted.
///
/// # Errors
/// See [`ServiceError`].
pub async fn installed(how: Installed) -> Result<Vec<String>, ServiceError> {
    let said = systemctl(&["--full", "--no-legend", "--no-pager", "list-unit-files"]).await?;
    Ok(of_unit_files(&said.out, how))
}

/// The services that run, sorted.
///
/// # Errors
/// See [`ServiceError`].
pub async fn running() -> Result<Vec<String>, ServiceError> {
    let said = systemctl(&["--full", "--no-legend", "--no-pager", "--plain"]).await?;
    Ok(of_units(&said.out))
}

/// Every service that has a unit file or a start script, sorted.
#[must_use]
pub fn all() -> Vec<String> {
    let folders = UNIT_FOLDERS.iter().map(Path::new).filter(|folder| !folder.is_symlink());
    let mut names: BTreeSet<String> =
        folders.flat_map(entries).filter_map(|file| service_name(&file)).collect();
    let scripts = entries(Path::new("/etc/init.d"));
    names.extend(scripts.into_iter().filter(|name| is_program(&Path::new("/etc/init.d").join(name))));
    names.into_iter().collect()
}

fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(_path: &Path) -> bool {
    false
}

/// A unit's name: a service, unless its ending says otherwise.
fn unit(name: &str) -> String {
    if service_name(name).is_some() { name.to_owned() } else { format!("{name}.service") }
}

/// The name that Salt shows for a unit: services without their ending, other kinds with it.
fn service_name(unit: &str) -> Option<String> {
    let (name, kind) = unit.rsplit_once('.')?;
    match kind {
        "service" => Some(name.to_owned()),
        "socket" | "device" | "mount" | "automount" | "swap" | "target" | "path" | "timer" => {
            Some(unit.to_owned())
        }
        _ => None,
    }
}

fn of_unit_files(text: &str, how: Installed) -> Vec<String> {
    let wanted = match how {
        Installed::Enabled => "enabled",
        Installed::Disabled => "disabled",
        Installed::Static => "static",
    };
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let matching = lines.filter(|words| words.get(1) == Some(&wanted));
    let names: BTreeSet<String> = matching.filter_map(|words| service_name(words.first()?)).collect();
    names.into_iter().collect()
}

/// Lines are `UNIT LOAD ACTIVE SUB DESCRIPTION`; a unit in trouble has a mark before its name.
fn of_units(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim_start_matches(['●', '*', ' ']));
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let running = words.filter(|words| words.get(3) == Some(&"running"));
    let names: BTreeSet<String> = running.filter_map(|words| service_name(words.first()?)).collect();
    names.into_iter().collect()
}

struct Said {
    code: i32,
    out: String,
    error: String,
}

fn done(said: Said) -> Result<(), ServiceError> {
    if said.code == 0 {
        return Ok(());
    }
    let words = if said.error.trim().is_empty() { said.out } else { said.error };
    Err(ServiceError::Refused { said: words.trim().to_owned() })
}

async fn systemctl(words: &[&str]) -> Result<Said, ServiceError> {
    if !is_there() {
        return Err(ServiceError::NoManager);
    }
    let run = Command::new("systemctl").args(words).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = run.map_err(|source| ServiceError::Run { program: "systemctl", source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        error: text(&output.stderr),
    })
}

/// Where systemd looks for units.
const UNIT_FOLDERS: [&str; 4] =
    ["/lib/systemd/system", "/usr/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_units_as_salt_does() {
        assert_eq!(unit("cron"), "cron.service");
        assert_eq!(unit("cron.timer"), "cron.timer");
        assert_eq!(unit("mssql.server"), "mssql.server.service");
        assert_eq!(service_name("ssh.service").as_deref(), Some("ssh"));
        assert_eq!(service_name("ssh.socket").as_deref(), Some("ssh.socket"));
        assert_eq!(service_name("system.slice"), None);
    }

    #[test]
    fn reads_the_lists_of_systemctl_252() {
        let files = "proc-sys-fs-binfmt_misc.automount static   -\ndbus.service enabled enabled\nx11-common.service masked enabled\nssh.service disabled enabled\nsystem.slice enabled -\n";
        assert_eq!(of_unit_files(files, Installed::Enabled), ["dbus"]);
        assert_eq!(of_unit_files(files, Installed::Disabled), ["ssh"]);
        assert_eq!(of_unit_files(files, Installed::Static), ["proc-sys-fs-binfmt_misc.automount"]);
        let units = "cron.service loaded active running Regular background program\n● bad.service loaded failed failed Bad\nboot.mount loaded active mounted /boot\ndbus.socket loaded active running D-Bus\n";
        assert_eq!(of_units(units), ["cron", "dbus.socket"]);
    }

    #[tokio::test]
    async fn a_machine_without_systemd_says_so() {
        if is_there() {
            // Here the manager answers: an unknown unit does not run.
            assert!(!is_running("no-such-unit-of-the-test").await.unwrap());
            return;
        }
        let error = is_running("cron").await.unwrap_err();
        assert!(matches!(error, ServiceError::NoManager), "{error}");
    }
}
