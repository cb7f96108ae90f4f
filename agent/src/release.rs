//! Updates that never leave a practice dark: versions on disk, the pointer to the one that runs, probation, the supervisor.
//!
//! Below the install folder (`C:\NexHealth` on Windows) every version has a folder of its own, `versions/<semver>`, that
//! is written once and never changed. `release.json` names the confirmed version and the one on trial; it is replaced
//! whole, so a power cut leaves the old or the new. The `supervisor` starts what the pointer names, watches it and goes back
//! when a trial fails. An agent on trial is confirmed when it has reached the master, logged in to SQL Server, finished a
//! sync pass and had a return taken, all within its deadline; whoever runs then reports under the jid that asked.
//!
//! A version on trial works on the practice's own store. Its program is asked first what it does with it: one that would
//! leave the running version without a way back is not tried (`release/way_back.rs`).
//!
//! A release may carry a later supervisor, which has a trial of its own under the installed one (`release/successor.rs`).
//!
//! Invariants: only a confirmed version is ever the pointer's `confirmed`; a trial is tried at most twice; two earlier
//! versions stay on disk; nobody but the supervisor confirms or rejects.

use std::time::Duration;

pub mod choose;
pub mod download;
pub mod held;
pub mod layout;
pub mod pointer;
pub mod probation;
pub mod repository;
pub mod source;
pub mod successor;
pub mod supervise;
pub mod supervised;
pub mod way_back;
pub mod window;

/// How long a version has to prove itself when nobody says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(600);
