//! What differs between the operating systems: paths, the service, access lists, the protection of keys.
//!
//! Everything else in the agent is written once. `platform/windows.rs` is the one file of the project with unsafe code.

pub mod access_list;
pub mod install;
pub mod paths;
pub mod protect;
#[cfg(windows)]
mod scm;
pub mod service;
#[cfg(unix)]
mod systemd;
#[cfg(windows)]
pub(crate) mod windows;
