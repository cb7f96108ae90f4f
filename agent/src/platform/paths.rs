//! Where things lie when the configuration names no place.
//!
//! On Windows everything lives below one folder, `C:\NexHealth`, so that a practice has one exclusion to set in its
//! antivirus; a stock Salt installation has its own folders and is never touched. On Linux the places are Salt's.

/// The folder of the `minion` file.
#[cfg(windows)]
pub const CONFIG_DIR: &str = r"C:\NexHealth\conf";
/// The folder of the `minion` file.
#[cfg(not(windows))]
pub const CONFIG_DIR: &str = "/etc/salt";

/// Salt's `root_dir`.
#[cfg(windows)]
pub const ROOT_DIR: &str = r"C:\NexHealth";
/// Salt's `root_dir`.
#[cfg(not(windows))]
pub const ROOT_DIR: &str = "/";

/// Where `versions`, the supervisor and its pointer lie.
#[cfg(windows)]
pub const INSTALL_DIR: &str = r"C:\NexHealth";
/// Where `versions`, the supervisor and its pointer lie.
#[cfg(not(windows))]
pub const INSTALL_DIR: &str = "/opt/nexhealth";

/// The store and the spool, below `root_dir`.
pub const DATA_DIR: &str = "/var/lib/agent";

/// The local file roots of `--local`.
#[cfg(windows)]
pub const FILE_ROOTS: [&str; 2] = [r"C:\NexHealth\srv\salt", r"C:\NexHealth\srv\spm\salt"];
/// The local file roots of `--local`.
#[cfg(not(windows))]
pub const FILE_ROOTS: [&str; 2] = ["/srv/salt", "/srv/spm/salt"];

/// The local pillar roots of `--local`.
#[cfg(windows)]
pub const PILLAR_ROOTS: [&str; 2] = [r"C:\NexHealth\srv\pillar", r"C:\NexHealth\srv\spm\pillar"];
/// The local pillar roots of `--local`.
#[cfg(not(windows))]
pub const PILLAR_ROOTS: [&str; 2] = ["/srv/pillar", "/srv/spm/pillar"];

/// Whether a path is absolute in the way of Windows; on other systems none is.
#[must_use]
pub fn names_a_drive(path: &str) -> bool {
    cfg!(windows) && std::path::Path::new(path).is_absolute()
}

/// The file name of a program of ours on this platform.
#[must_use]
pub fn program(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}
