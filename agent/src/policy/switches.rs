//! The practice's pause switches: `agent pause|resume sync|writes`.
//!
//! A switch is a file in the agent's data folder, which no state and no job may write (`policy::may_write`), so a master
//! can neither set nor clear it; it holds across restarts and a rebuilt store. Who reads it reads the file: it is asked
//! before every sync pass and before every transaction of a write. A file that cannot be read counts as paused.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::Config;

/// What can be paused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Switch {
    /// Reading rows.
    Sync,
    /// Writing to the EHR.
    Writes,
}

impl Switch {
    /// Every switch.
    pub const ALL: [Self; 2] = [Self::Sync, Self::Writes];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Writes => "writes",
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Since when and by whom something is paused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pause {
    /// RFC 3339; empty when the file cannot be read.
    pub since: String,
    /// The account that paused it.
    pub by: String,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.by.as_str(), self.since.as_str()) {
            ("", _) => write!(f, "paused by the practice; the switch's file cannot be read"),
            (by, since) => write!(f, "paused by {by} at the practice since {since}"),
        }
    }
}

/// A switch that cannot be set.
#[derive(Debug, Error)]
#[error("the switch file {} cannot be {doing}", path.display())]
pub struct SwitchError {
    /// The file.
    path: PathBuf,
    /// `written` or `removed`.
    doing: &'static str,
    /// The system's reason.
    source: std::io::Error,
}

/// The switches of one agent.
#[derive(Clone, Debug)]
pub struct Switches {
    folder: PathBuf,
}

impl Switches {
    /// The switches of the agent with that configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::in_folder(&config.data_dir)
    }

    /// The switches whose files lie in `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The pause that holds right now, if one does.
    #[must_use]
    pub fn paused(&self, switch: Switch) -> Option<Pause> {
        match std::fs::read(self.file(switch)) {
            Ok(text) => Some(serde_json::from_slice(&text).unwrap_or_else(|_| unreadable())),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(_) => Some(unreadable()),
        }
    }

    /// Pauses; `false` when it was paused already, which is left as it is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn pause(&self, switch: Switch, pause: &Pause) -> Result<bool, SwitchError> {
        if self.paused(switch).is_some() {
            return Ok(false);
        }
        let path = self.file(switch);
        let text = serde_json::to_vec(pause).unwrap_or_default();
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| write_whole(&path, &text));
        written.map_err(|source| SwitchError { path, doing: "written", source })?;
        Ok(true)
    }

    /// Resumes; `false` when it was not paused.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn resume(&self, switch: Switch) -> Result<bool, SwitchError> {
        let path = self.file(switch);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(SwitchError { path, doing: "removed", source }),
        }
    }

    fn file(&self, switch: Switch) -> PathBuf {
        self.folder.join(format!("paused-{switch}.json"))
    }
}

fn unreadable() -> Pause {
    Pause { since: String::new(), by: String::new() }
}

fn write_whole(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause() -> Pause {
        Pause { since: "2026-11-25T10:00:00Z".to_owned(), by: "maria".to_owned() }
    }

    #[test]
    fn a_pause_holds_until_it_is_resumed_and_keeps_who_set_it() {
        let folder = tempfile::tempdir().unwrap();
        let switches = Switches::in_folder(&folder.path().join("data"));
        assert_eq!(switches.paused(Switch::Writes), None);
        assert!(switches.pause(Switch::Writes, &pause()).unwrap());
        let again = Pause { by: "other".to_owned(), ..pause() };
        assert!(!switches.pause(Switch::Writes, &again).unwrap());
        assert_eq!(switches.paused(Switch::Writes), Some(pause()));
        assert_eq!(switches.paused(Switch::Sync), None, "one switch does not move the other");
        assert!(switches.resume(Switch::Writes).unwrap());
        assert!(!switches.resume(Switch::Writes).unwrap());
        assert_eq!(switches.paused(Switch::Writes), None);
    }

    #[test]
    fn a_damaged_switch_file_counts_as_paused() {
        let folder = tempfile::tempdir().unwrap();
        let switches = Switches::in_folder(folder.path());
        std::fs::write(folder.path().join("paused-sync.json"), b"{").unwrap();
        assert!(switches.paused(Switch::Sync).unwrap().to_string().contains("cannot be read"));
        assert!(switches.resume(Switch::Sync).unwrap());
    }
}
