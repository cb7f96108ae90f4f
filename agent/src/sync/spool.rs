//! The spool: a folder of sealed batch files, one subfolder per job, bounded in bytes, in age and by what the disk has left.
//!
//! The store's index says which files count. A file that the index does not know is left from an interrupted pass and is
//! removed at start; its rows are read again. When a bound is reached passes wait; nothing is dropped.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::platform::space;
use crate::store::sync::{BatchRow, SpoolDepth};

use super::SyncError;

/// The spool's folder and bounds.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    limit: u64,
    longest: Option<Duration>,
    kept_free: u64,
}

/// Why passes wait for deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// As many bytes wait as may.
    Bytes,
    /// The oldest batch has waited for as long as one may.
    Age,
    /// The disk has no more room than is left to others.
    Disk,
}

impl Spool {
    /// A spool in `folder` that takes up to `limit` bytes.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        Self { folder: folder.into(), limit, longest: None, kept_free: 0 }
    }

    /// The same, and no batch is to wait for longer than `longest`.
    #[must_use]
    pub fn for_at_most(self, longest: Duration) -> Self {
        Self { longest: Some(longest), ..self }
    }

    /// The same, and so many bytes of the disk are left to others.
    #[must_use]
    pub fn leaving(self, kept_free: u64) -> Self {
        Self { kept_free, ..self }
    }

    /// Where a batch lies.
    pub fn path(&self, folder: &str, file: &str) -> PathBuf {
        self.folder.join(folder).join(file)
    }

    /// Where a recorded batch lies.
    pub fn path_of(&self, batch: &BatchRow) -> PathBuf {
        self.path(&batch.folder, &batch.file)
    }

    /// Why passes must wait for deliveries at `now` (seconds since 1970), when they must.
    pub fn reached(&self, depth: SpoolDepth, now: u64) -> Option<Bound> {
        if depth.bytes >= self.limit {
            return Some(Bound::Bytes);
        }
        if self.kept_free > 0 && space::of(&self.folder).is_some_and(|found| found.free < self.kept_free) {
            return Some(Bound::Disk);
        }
        let age = depth.oldest.map(|oldest| Duration::from_secs(now.saturating_sub(oldest)));
        (age? > self.longest?).then_some(Bound::Age)
    }

    /// Removes what the index does not know and gives how many files that were.
    ///
    /// # Errors
    /// A folder cannot be read or a file not removed.
    pub fn clean(&self, known: &[BatchRow]) -> Result<usize, SyncError> {
        let known: HashSet<PathBuf> = known.iter().map(|batch| self.path_of(batch)).collect();
        let mut removed = 0;
        for folder in entries(&self.folder)?.into_iter().filter(|path| path.is_dir()) {
            for file in entries(&folder)?.into_iter().filter(|path| !known.contains(path)) {
                std::fs::remove_file(&file).map_err(|source| failed(&file, "removed", source))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes a delivered batch's file; one that is gone already is fine.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, batch: &BatchRow) -> Result<(), SyncError> {
        let path = self.path_of(batch);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(failed(&path, "removed", source))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, SyncError> {
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(folder, "listed", source)),
    };
    listing
        .map(|entry| entry.map(|entry| entry.path()).map_err(|source| failed(folder, "listed", source)))
        .collect()
}

fn failed(path: &Path, doing: &'static str, source: std::io::Error) -> SyncError {
    SyncError::File { path: path.into(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_index_knows_survives_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), 100);
        assert_eq!(spool.clean(&[]).unwrap(), 0);
        std::fs::create_dir(folder.path().join("j")).unwrap();
        let known = BatchRow {
            id: 1,
            job: "j".into(),
            epoch: 1,
            sequence: 1,
            folder: "j".into(),
            sink: None,
            file: "1-0000000001.parquet.age".into(),
            bytes: 1,
            rows: 1,
            event: String::new(),
        };
        std::fs::write(spool.path_of(&known), "x").unwrap();
        std::fs::write(folder.path().join("j/1-0000000002.parquet.age"), "x").unwrap();
        std::fs::write(folder.path().join("j/1-0000000002.parquet.age.1.part"), "x").unwrap();
        assert_eq!(spool.clean(std::slice::from_ref(&known)).unwrap(), 2);
        assert!(spool.path_of(&known).exists());
        spool.remove(&known).unwrap();
        spool.remove(&known).unwrap();
    }

    #[test]
    fn a_spool_at_its_bound_makes_passes_wait() {
        let spool = Spool::new("/nowhere", 100);
        let depth = |bytes, oldest| SpoolDepth { batches: 1, bytes, oldest };
        assert_eq!(spool.reached(depth(99, Some(0)), 1 << 40), None, "no bound in age unless one is set");
        assert_eq!(spool.reached(depth(100, None), 0), Some(Bound::Bytes));
        let spool = spool.for_at_most(Duration::from_secs(60));
        assert_eq!(spool.reached(depth(1, Some(1000)), 1060), None);
        assert_eq!(spool.reached(depth(1, Some(1000)), 1061), Some(Bound::Age));
        assert_eq!(spool.reached(depth(1, Some(1000)), 900), None, "a clock set back makes nothing old");
        assert_eq!(spool.reached(depth(1, None), 1061), None);
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), 100);
        assert_eq!(spool.clone().leaving(1).reached(depth(1, None), 0), None);
        assert_eq!(spool.leaving(u64::MAX).reached(depth(1, None), 0), Some(Bound::Disk));
    }
}
