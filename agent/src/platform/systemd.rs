//! The service of Linux: a systemd unit that notifies and is watched, around the same supervisor.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::service::{self, Registration};

/// Where units of administrators lie.
const FOLDER: &str = "/etc/systemd/system";

/// The unit's text.
pub(super) fn unit(registration: &Registration) -> String {
    let words = registration.arguments.iter().map(|word| quoted(word));
    let command: Vec<String> =
        [quoted(&registration.supervisor.to_string_lossy())].into_iter().chain(words).collect();
    let account = registration.account.as_deref().map(|name| format!("User={name}\n")).unwrap_or_default();
    format!(
        "[Unit]\n\
         Description={}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart={}\n\
         {account}KillMode=mixed\n\
         TimeoutStopSec=60\n\
         WatchdogSec=60\n\
         Restart=always\n\
         RestartSec=5\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        service::DESCRIPTION,
        command.join(" ")
    )
}

/// Writes the unit and enables it; a unit that is there is left as the administrator has it.
pub(super) fn install(registration: &Registration) -> Result<Vec<String>, String> {
    let path = path();
    if path.exists() {
        return Ok(vec![format!("{} exists and keeps its settings", path.display())]);
    }
    fs::write(&path, unit(registration)).map_err(|error| failed(&path, &error))?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", service::NAME])?;
    Ok(Vec::new())
}

/// Stops, disables and removes the unit; one that is not there is no error.
pub(super) fn uninstall() -> Result<(), String> {
    let path = path();
    if !path.exists() {
        return Ok(());
    }
    systemctl(&["disable", "--now", service::NAME])?;
    fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
    systemctl(&["daemon-reload"])
}

/// Starts the unit; returns when it said that it is ready.
pub(super) fn start() -> Result<(), String> {
    installed()?;
    systemctl(&["start", service::NAME])
}

/// Stops the unit and waits for its end.
pub(super) fn stop() -> Result<(), String> {
    installed()?;
    systemctl(&["stop", service::NAME])
}

fn installed() -> Result<(), String> {
    if path().exists() { Ok(()) } else { Err(service::NOT_INSTALLED.to_owned()) }
}

fn path() -> PathBuf {
    Path::new(FOLDER).join(format!("{}.service", service::NAME))
}

fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let shown = format!("systemctl {}", arguments.join(" "));
    let output = Command::new("systemctl")
        .args(arguments)
        .output()
        .map_err(|error| format!("{shown} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// A word of `ExecStart`: systemd splits at blanks and expands `%` and `$`.
fn quoted(word: &str) -> String {
    let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if word.contains(' ') { format!("\"{word}\"") } else { word }
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be changed: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `systemd-analyze verify` is systemd's own reader of units.
    #[test]
    fn systemd_takes_the_unit() {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = folder.path().join("a folder/supervisor");
        fs::create_dir_all(supervisor.parent().unwrap()).unwrap();
        fs::write(&supervisor, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&supervisor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let arguments = ["service", "--root", "/srv/100% mine"].map(str::to_owned).to_vec();
        let text = unit(&Registration { supervisor, arguments, account: None });
        assert!(text.contains("\"/srv/100%% mine\""), "{text}");
        let path = folder.path().join("nexhealth-agent.service");
        fs::write(&path, &text).unwrap();
        let Ok(verdict) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output()
        else {
            return;
        };
        let said = String::from_utf8_lossy(&verdict.stderr).into_owned();
        assert!(!said.contains("nexhealth-agent.service:"), "{said}\n{text}");
    }
}
