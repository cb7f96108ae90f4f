//! Unmodified Salt out of cached virtual environments.
//!
//! `tests/run` fills `${XDG_CACHE_HOME:-~/.cache}/salt-peers/salt-<version>`; a series that is not there is skipped, with the
//! reason, and fails in CI.

use std::path::PathBuf;

mod driver;
mod master;

pub use driver::Driver;
pub use master::{MasterSettings, SaltMaster};

/// A Salt series and the release of it that is tested.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Series {
    /// 3006, long-term support.
    S3006,
    /// 3007.
    S3007,
    /// 3008.
    S3008,
}

impl Series {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::S3006, Self::S3007, Self::S3008];

    /// The release that is installed.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::S3006 => "3006.28",
            Self::S3007 => "3007.15",
            Self::S3008 => "3008.3",
        }
    }

    /// The folder of the programs of this series.
    #[must_use]
    pub fn bin(self) -> PathBuf {
        let cache = directories::BaseDirs::new().map(|dirs| dirs.cache_dir().to_owned()).unwrap_or_default();
        cache.join("salt-peers").join(format!("salt-{}", self.version())).join("bin")
    }

    /// Whether the series is installed here; otherwise why not.
    ///
    /// # Errors
    /// The reason to skip.
    pub fn installed(self) -> Result<(), String> {
        if std::env::var_os("TESTS_WITHOUT_SALT").is_some() {
            return Err("TESTS_WITHOUT_SALT is set, as tests/run quick does".to_owned());
        }
        let program = self.bin().join("salt-master");
        if program.exists() {
            return Ok(());
        }
        Err(format!(
            "Salt {} is not installed ({} is missing; tests/run installs it)",
            self.version(),
            program.display()
        ))
    }
}
