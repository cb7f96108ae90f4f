//! Logins, users and permissions as plans.
//!
//! Each kind reads what is there, compares it with what is wanted and gives a [`plan::Plan`]: the exact T-SQL and what it
//! changes. `test=True` shows that plan, apply runs it, a second run finds nothing to do. The admin credential is used for
//! the connection of the state alone and is never stored.

pub mod admin;
pub mod arguments;
pub mod converge;
pub mod database;
pub mod declared;
pub mod diagnosis;
pub mod difference;
pub mod drift;
pub mod from_jobs;
pub mod grant;
pub mod login;
pub mod needs;
pub mod permission;
pub mod plan;
pub mod report;
pub mod required;
pub mod rights;
pub mod role;
pub mod rotation;
pub mod securable;
pub mod user;

pub use plan::{AccessError, Plan, Statement};

#[cfg(test)]
mod injection;
