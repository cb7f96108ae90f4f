//! Releases: a repository that `master-sim release` makes, read by the agent from honest and from lying masters, and updates of
//! a supervised agent from the operator's command to the return under the same jid.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails it by panicking")]

mod attacks;
#[cfg(unix)]
mod couriers;
#[cfg(unix)]
mod formats;
#[cfg(unix)]
mod site;
#[cfg(unix)]
mod successors;
#[cfg(unix)]
mod updates;
