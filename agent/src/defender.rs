//! What Windows Defender leaves alone, through its own cmdlets: `Get-`, `Add-` and `Remove-MpPreference`.
//!
//! Names travel to PowerShell in an environment variable, never in its program. How an answer is read is decided here and
//! tried everywhere; only [`ask`] and [`is_there`] need Windows. A change is held to the local policy by the callers
//! ([`crate::policy::may_exclude`]).

use std::{io, process::Stdio, time::Duration};

use serde::Deserialize;
use thiserror::Error;
use tokio::process::Command;

/// Why Defender did not do what was asked.
#[derive(Debug, Error)]
pub enum DefenderError {
    /// PowerShell could not be run.
    #[error("powershell could not be run: {0}")]
    Run(#[source] io::Error),
    /// No answer within the time.
    #[error("Defender did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// It refused, in its own words.
    #[error("Defender refused: {0}")]
    Refused(String),
    /// This account may not see the exclusions.
    #[error("Defender shows its exclusions to administrators only, and this agent runs as none")]
    Hidden,
    /// An answer of another form.
    #[error("Defender's answer cannot be read: {0}")]
    Form(String),
}

/// What an exclusion is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A file or a folder with all below.
    Path,
    /// What a program opens.
    Process,
    /// Files with that ending.
    Extension,
}

impl Kind {
    /// `path`, `process` or `extension`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "path" => Some(Self::Path),
            "process" => Some(Self::Process),
            "extension" => Some(Self::Extension),
            _ => None,
        }
    }

    fn parameter(self) -> &'static str {
        match self {
            Self::Path => "ExclusionPath",
            Self::Process => "ExclusionProcess",
            Self::Extension => "ExclusionExtension",
        }
    }
}

/// What is done to an exclusion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Defender leaves it alone.
    Add,
    /// Defender looks at it again.
    Remove,
}

/// The exclusions of one kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Exclusions(Vec<String>);

impl Exclusions {
    /// Reads the list that PowerShell gives as JSON; one that is not there is nothing.
    ///
    /// # Errors
    /// [`DefenderError::Hidden`], [`DefenderError::Form`].
    pub fn parse(answer: &str) -> Result<Self, DefenderError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Listed {
            Several(Vec<Option<String>>),
            One(Option<String>),
        }
        let answer = answer.trim().trim_start_matches('\u{feff}');
        if answer.is_empty() {
            return Err(DefenderError::Form("it said nothing".to_owned()));
        }
        let listed: Listed =
            serde_json::from_str(answer).map_err(|error| DefenderError::Form(error.to_string()))?;
        let names: Vec<String> = match listed {
            Listed::Several(names) => names.into_iter().flatten().collect(),
            Listed::One(name) => name.into_iter().collect(),
        };
        // An account that may not see them gets this in place of the list.
        if names.iter().any(|name| name.starts_with("N/A")) {
            return Err(DefenderError::Hidden);
        }
        Ok(Self(names))
    }

    /// Whether one of them is this one, in any case and with or without a last backslash.
    #[must_use]
    pub fn contain(&self, name: &str) -> bool {
        let plain = |name: &str| name.trim_end_matches('\\').trim_start_matches('.').to_lowercase();
        self.0.iter().any(|held| plain(held) == plain(name))
    }
}

/// Whether Defender is installed on this machine.
#[cfg(windows)]
#[must_use]
pub fn is_there() -> bool {
    use crate::win_service::{Manager as _, System};
    System.is_there("WinDefend").unwrap_or(false)
}

/// On a machine of another kind there is none.
#[cfg(not(windows))]
#[must_use]
pub fn is_there() -> bool {
    false
}

/// The exclusions of that kind.
///
/// # Errors
/// See [`DefenderError`].
pub async fn exclusions(kind: Kind) -> Result<Exclusions, DefenderError> {
    let script = format!("ConvertTo-Json -Compress @((Get-MpPreference).{})", kind.parameter());
    Exclusions::parse(&ask(&script, "").await?)
}

/// Adds or removes an exclusion.
///
/// # Errors
/// See [`DefenderError`].
pub async fn change(change: Change, kind: Kind, name: &str) -> Result<(), DefenderError> {
    ask(&script(change, kind), name).await.map(drop)
}

fn script(change: Change, kind: Kind) -> String {
    let verb = match change {
        Change::Add => "Add",
        Change::Remove => "Remove",
    };
    format!("{verb}-MpPreference -{} $env:{NAME}", kind.parameter())
}

async fn ask(script: &str, name: &str) -> Result<String, DefenderError> {
    let script =
        format!("$ErrorActionPreference='Stop';[Console]::OutputEncoding=[Text.Encoding]::UTF8;{script}");
    let mut command = Command::new("powershell");
    command.args(["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-Command", &script]);
    command.env(NAME, name).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| DefenderError::Silent)?.map_err(DefenderError::Run)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no reason");
    Err(DefenderError::Refused(said.to_owned()))
}

/// The variable that carries the name.
const NAME: &str = "AGENT_EXCLUSION";
/// How long PowerShell may take: the first start on a busy server is slow.
const PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_powershell_lists() {
        let two = Exclusions::parse("\u{feff}[\"C:\\\\NexHealth\",\"D:\\\\EHR\\\\\"]\r\n").unwrap();
        assert!(two.contain(r"c:\nexhealth\") && two.contain(r"D:\EHR") && !two.contain(r"D:\"));
        assert_eq!(Exclusions::parse("[null]").unwrap(), Exclusions::default());
        assert!(Exclusions::parse("\"exe\"").unwrap().contain(".EXE"));
        let hidden = Exclusions::parse("[\"N/A: Must be an administrator to view exclusions\"]").unwrap_err();
        assert!(matches!(hidden, DefenderError::Hidden), "{hidden}");
        for bad in ["", "{}", "[1]"] {
            assert!(matches!(Exclusions::parse(bad), Err(DefenderError::Form(_))), "{bad}");
        }
    }

    #[test]
    fn a_name_never_becomes_a_program() {
        assert_eq!(script(Change::Add, Kind::Path), "Add-MpPreference -ExclusionPath $env:AGENT_EXCLUSION");
        assert_eq!(
            script(Change::Remove, Kind::Process),
            "Remove-MpPreference -ExclusionProcess $env:AGENT_EXCLUSION"
        );
    }
}
