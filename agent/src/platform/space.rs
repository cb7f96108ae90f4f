//! How much room a disk has left.
//!
//! Whoever fills a disk here stops the practice's SQL Server, whose databases may lie on it: what the agent keeps for others
//! (batches, releases) leaves [`KEPT_FREE`] alone.

use std::path::Path;

/// What is never used up: room for the server's own logs, and for somebody to notice.
pub const KEPT_FREE: u64 = 512 << 20;

/// A disk's size and what is free on it, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What the user of this process can still write.
    pub free: u64,
}

/// The disk that a path lies on, or will lie on; `None` when the system does not say.
#[must_use]
pub fn of(path: &Path) -> Option<Space> {
    of_folder(path.ancestors().find(|path| path.exists())?)
}

#[cfg(unix)]
fn of_folder(folder: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Space { total: bytes(found.f_blocks), free: bytes(found.f_bavail) })
}

#[cfg(windows)]
fn of_folder(folder: &Path) -> Option<Space> {
    super::windows::space(folder).ok().map(|(total, free)| Space { total, free })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_yet_has_the_room_of_the_folder_above() {
        let folder = tempfile::tempdir().unwrap();
        let (here, later) = (of(folder.path()).unwrap(), of(&folder.path().join("a/b")).unwrap());
        assert!(here.free > 0 && here.free <= here.total, "{here:?}");
        assert_eq!(here.total, later.total);
    }
}
