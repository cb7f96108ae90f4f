//! A short-named temporary folder: Salt's unix sockets allow 107 bytes of path.
//!
//! Removed on drop, unless `TESTS_KEEP` is set for a look afterwards.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A folder of one process or one case.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Makes a folder directly under `/tmp`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new() -> Result<Self> {
        let mut folder = tempfile::Builder::new()
            .prefix("st-")
            .tempdir_in("/tmp")
            .context("making a temporary folder in /tmp")?;
        folder.disable_cleanup(std::env::var_os("TESTS_KEEP").is_some());
        Ok(Self { folder })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path below the folder.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
