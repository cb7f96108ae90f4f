//! What differs between the operating systems: paths, the service, access lists, the protection of keys.
//!
//! Everything else in the agent is written once. `platform/windows.rs` and `platform/allocator.rs` are the files of the project
//! with unsafe code.

pub mod access_list;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) mod allocator;
pub mod install;
pub mod paths;
pub mod protect;
#[cfg(windows)]
mod scm;
pub mod service;
pub mod space;
#[cfg(unix)]
mod systemd;
#[cfg(windows)]
pub(crate) mod windows;
