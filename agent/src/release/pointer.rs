//! `release.json`: which version runs, which is on trial, and how the last trial ended.
//!
//! Read and replaced under a lock file, so that the agent, the supervisor and `agent release revert` never overwrite each
//! other. Replaced whole: written beside, synced, moved over. A pointer of a newer format is refused, never guessed at.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::layout::Layout;

/// What the pointer says.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Pointer {
    /// The version to run when nothing is on trial.
    pub confirmed: Version,
    /// Earlier confirmed versions that stay on disk, newest first.
    #[serde(default)]
    pub former: Vec<Version>,
    /// The version on trial.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// How the last trial ended, until it was reported.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

/// A version that has to prove itself.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Trial {
    /// The version.
    pub version: Version,
    /// The job that asked for it and gets the report.
    pub jid: Option<String>,
    /// How many seconds it has.
    pub deadline: u64,
    /// How far it is.
    pub phase: Phase,
}

/// How far a trial is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On disk; the job that asked for it still runs.
    Prepared,
    /// The supervisor is to start it.
    Wanted,
    /// The supervisor started it, for the `attempt`th time.
    Started {
        /// Counted from 1.
        attempt: u32,
    },
}

/// How a trial ended.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Verdict {
    /// The version that was on trial.
    pub version: Version,
    /// The version that ran before.
    pub before: Version,
    /// The job that asked for it.
    pub jid: Option<String>,
    /// Whether it is the confirmed version now.
    pub confirmed: bool,
    /// Why not, or what it proved.
    pub why: String,
}

/// Why the pointer cannot be used.
#[derive(Debug, Error)]
pub enum PointerError {
    /// There is none: this agent was not installed as a service.
    #[error("{} does not exist: this agent was not installed by `agent service install`", path.display())]
    Missing {
        /// The pointer.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("the release pointer {} cannot be {doing}", path.display())]
    File {
        /// The pointer or its lock.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// It has a form this program does not know.
    #[error("the release pointer {} is damaged or of a newer agent: {why}", path.display())]
    Form {
        /// The pointer.
        path: PathBuf,
        /// The parser's reason.
        why: String,
    },
    /// Another trial is under way.
    #[error("version {version} is on trial; wait for its end")]
    Busy {
        /// The version on trial.
        version: Version,
    },
}

/// The file's content; a new format is a new variant.
#[derive(Deserialize, Serialize)]
#[serde(tag = "format")]
enum OnDisk {
    #[serde(rename = "1")]
    V1(Pointer),
}

impl Pointer {
    /// The pointer of a fresh installation.
    #[must_use]
    pub fn first(version: Version) -> Self {
        Self { confirmed: version, former: Vec::new(), trial: None, verdict: None }
    }

    /// Whether a version must stay on disk.
    #[must_use]
    pub fn names(&self, version: &Version) -> bool {
        self.confirmed == *version
            || self.former.contains(version)
            || self.trial.as_ref().is_some_and(|trial| trial.version == *version)
    }

    /// Puts a version on trial.
    ///
    /// # Errors
    /// [`PointerError::Busy`].
    pub fn propose(&mut self, trial: Trial) -> Result<(), PointerError> {
        if let Some(running) = &self.trial {
            return Err(PointerError::Busy { version: running.version.clone() });
        }
        self.trial = Some(trial);
        Ok(())
    }

    /// Says that the job behind a prepared trial has ended, so that the switch may happen.
    pub fn release(&mut self, jid: Option<&str>) {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.jid.as_deref() == jid)
            && trial.phase == Phase::Prepared
        {
            trial.phase = Phase::Wanted;
        }
    }

    /// The version to start next; a wanted trial is counted as started, one that was started too often is rejected.
    pub fn begin(&mut self) -> Version {
        let Some(trial) = self.trial.as_mut() else { return self.confirmed.clone() };
        let attempt = match trial.phase {
            Phase::Prepared => return self.confirmed.clone(),
            Phase::Wanted => 1,
            Phase::Started { attempt } => attempt + 1,
        };
        if attempt > ATTEMPTS {
            self.reject("the machine or the supervisor was stopped every time it was on trial");
            return self.confirmed.clone();
        }
        trial.phase = Phase::Started { attempt };
        trial.version.clone()
    }

    /// Makes the version on trial the confirmed one.
    pub fn confirm(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        let before = std::mem::replace(&mut self.confirmed, trial.version.clone());
        self.former.retain(|version| *version != trial.version && *version != before);
        self.former.insert(0, before.clone());
        self.former.truncate(KEPT);
        let why =
            "it reached the master, logged in to SQL Server, finished a sync pass and had a return taken";
        self.verdict = Some(Verdict {
            version: trial.version,
            before,
            jid: trial.jid,
            confirmed: true,
            why: why.to_owned(),
        });
    }

    /// Ends the trial; the confirmed version stays what it was.
    pub fn reject(&mut self, why: &str) {
        let Some(trial) = self.trial.take() else { return };
        self.verdict = Some(Verdict {
            version: trial.version,
            before: self.confirmed.clone(),
            jid: trial.jid,
            confirmed: false,
            why: why.to_owned(),
        });
    }
}

/// Reads the pointer.
///
/// # Errors
/// See [`PointerError`].
pub fn read(layout: &Layout) -> Result<Pointer, PointerError> {
    let path = layout.pointer();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PointerError::Missing { path }),
        Err(source) => return Err(PointerError::File { path, doing: "read", source }),
    };
    match serde_json::from_slice(&text) {
        Ok(OnDisk::V1(pointer)) => Ok(pointer),
        Err(error) => Err(PointerError::Form { path, why: error.to_string() }),
    }
}

/// Changes the pointer under its lock and gives it back as it is then. Not written when nothing changed.
///
/// # Errors
/// What `change` returned, or see [`PointerError`].
pub fn update<E: From<PointerError>>(
    layout: &Layout,
    change: impl FnOnce(&mut Pointer) -> Result<(), E>,
) -> Result<Pointer, E> {
    let _held = lock(layout)?;
    let before = read(layout)?;
    let mut pointer = before.clone();
    change(&mut pointer)?;
    if pointer != before {
        write(layout, &pointer)?;
    }
    Ok(pointer)
}

/// Writes the first pointer of an installation, or replaces it.
///
/// # Errors
/// [`PointerError::File`].
pub fn create(layout: &Layout, pointer: &Pointer) -> Result<(), PointerError> {
    let _held = lock(layout)?;
    write(layout, pointer)
}

/// Held until the file is dropped; the system lets go of it when a process dies.
fn lock(layout: &Layout) -> Result<File, PointerError> {
    let path = layout.root().join("release.lock");
    let open = File::options().create(true).write(true).truncate(false).open(&path);
    open.and_then(|file| file.lock().map(|()| file)).map_err(|source| PointerError::File {
        path,
        doing: "written",
        source,
    })
}

fn write(layout: &Layout, pointer: &Pointer) -> Result<(), PointerError> {
    let path = layout.pointer();
    let text = serde_json::to_vec_pretty(&OnDisk::V1(pointer.clone())).map_err(io::Error::from);
    text.and_then(|text| replace(&path, &text)).map_err(|source| PointerError::File {
        path,
        doing: "written",
        source,
    })
}

/// Writes beside the file, syncs, and moves the result over it.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    move_over(&part, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// On Windows a reader, or an antivirus, may hold the old file for a moment.
fn move_over(part: &Path, path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::rename(part, path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && tries < 40 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}

/// How often a trial is started before it is given up.
const ATTEMPTS: u32 = 2;
/// How many earlier versions stay.
const KEPT: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn on_trial(phase: Phase) -> Pointer {
        let mut pointer = Pointer::first(version("1.0.0"));
        let trial = Trial {
            version: version("1.1.0"),
            jid: Some("20261125000000000001".into()),
            deadline: 60,
            phase,
        };
        pointer.propose(trial).unwrap();
        pointer
    }

    #[test]
    fn a_prepared_version_waits_for_its_job() {
        let mut pointer = on_trial(Phase::Prepared);
        assert_eq!(pointer.begin(), version("1.0.0"));
        pointer.release(Some("another"));
        assert_eq!(pointer.begin(), version("1.0.0"));
        pointer.release(Some("20261125000000000001"));
        assert_eq!(pointer.begin(), version("1.1.0"));
        assert_eq!(pointer.trial.unwrap().phase, Phase::Started { attempt: 1 });
    }

    #[test]
    fn a_trial_that_never_ends_is_given_up() {
        let mut pointer = on_trial(Phase::Wanted);
        assert_eq!(pointer.begin(), version("1.1.0"));
        assert_eq!(pointer.begin(), version("1.1.0"));
        assert_eq!(pointer.begin(), version("1.0.0"));
        let verdict = pointer.verdict.clone().unwrap();
        assert!(!verdict.confirmed && verdict.jid.is_some(), "{verdict:?}");
        assert_eq!(pointer.begin(), version("1.0.0"));
    }

    #[test]
    fn two_earlier_versions_stay() {
        let mut pointer = Pointer::first(version("1.0.0"));
        for next in ["1.1.0", "1.2.0", "1.3.0", "1.2.0"] {
            let trial = Trial { version: version(next), jid: None, deadline: 60, phase: Phase::Wanted };
            pointer.propose(trial).unwrap();
            pointer.begin();
            pointer.confirm();
        }
        assert_eq!(pointer.confirmed, version("1.2.0"));
        assert_eq!(pointer.former, [version("1.3.0"), version("1.1.0")]);
        assert!(!pointer.names(&version("1.0.0")));
    }

    #[test]
    fn one_trial_at_a_time() {
        let mut pointer = on_trial(Phase::Wanted);
        let again = pointer.trial.clone().unwrap();
        assert!(matches!(pointer.propose(again), Err(PointerError::Busy { .. })));
    }

    #[test]
    fn a_half_written_pointer_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert!(matches!(read(&layout), Err(PointerError::Missing { .. })));
        create(&layout, &Pointer::first(version("1.0.0"))).unwrap();
        fs::write(layout.pointer().with_extension("part"), "{\"format\": \"1\", \"confir").unwrap();
        assert_eq!(read(&layout).unwrap().confirmed, version("1.0.0"));
        update(&layout, |pointer| {
            pointer.former.push(version("0.9.0"));
            Ok::<_, PointerError>(())
        })
        .unwrap();
        assert_eq!(read(&layout).unwrap().former, [version("0.9.0")]);
        fs::write(layout.pointer(), "{\"format\": \"2\", \"confirmed\": \"1.0.0\"}").unwrap();
        assert!(matches!(read(&layout), Err(PointerError::Form { .. })));
    }
}
