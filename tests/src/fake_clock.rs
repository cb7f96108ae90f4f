//! A clock of a child process's own, which a case moves while the process runs.
//!
//! `libfaketime` (Debian's package `faketime`) stands between the process and its wall clock and reads from a file by how
//! much to change it. The monotonic clock stays as it is, as it does on a machine whose clock is set.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};

use crate::scratch::Scratch;

/// The clock of a process that has [`FakeClock::environment`].
#[derive(Debug)]
pub struct FakeClock {
    library: PathBuf,
    scratch: Scratch,
}

impl FakeClock {
    /// A clock that goes right until it is moved.
    ///
    /// # Errors
    /// When the library is not installed: the reason to skip.
    pub fn new() -> Result<Self> {
        let Some(library) = library() else {
            bail!("libfaketime is not installed (tests/run installs Debian's package faketime)");
        };
        let clock = Self { library, scratch: Scratch::new()? };
        clock.set(SystemTime::now())?;
        Ok(clock)
    }

    /// What the process needs in its environment. Its time zone is UTC.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
            ("TZ", "UTC".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Sets the clock; it goes on from there. The process sees it within a second or so.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, to: SystemTime) -> Result<()> {
        let now = SystemTime::now();
        let offset = match to.duration_since(now) {
            Ok(ahead) => format!("+{}", ahead.as_secs_f64()),
            Err(behind) => format!("-{}", behind.duration().as_secs_f64()),
        };
        fs::write(self.scratch.join("part"), offset)?;
        Ok(fs::rename(self.scratch.join("part"), self.file())?)
    }

    fn file(&self) -> PathBuf {
        self.scratch.join("offset")
    }
}

/// So many days from today, at so many seconds after midnight, UTC.
#[must_use]
pub fn moment(days: i64, second_of_day: u64) -> SystemTime {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY;
    UNIX_EPOCH + Duration::from_secs(today.saturating_add_signed(days) * DAY + second_of_day)
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

const DAY: u64 = 86_400;
