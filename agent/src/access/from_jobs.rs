//! The arguments of `mssql_grant.from_jobs`.
//!
//! `derived` grants the least set that the jobs and writes of the login need, column by column, and no role; `full` is what
//! the installation guide asks for: membership of `db_owner` (and of `public`, which nobody can leave).

use states::Map;

use crate::mssql::quote::SqlName;

use super::declared::DeclaredExtent;
use super::difference::Prune;
use super::{AccessError, arguments};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct FromJobs {
    /// The user or role that is granted to.
    pub user: SqlName,
    /// The login that the jobs and writes work as.
    pub login: SqlName,
    /// Least set or everything.
    pub mode: Mode,
    /// What is done with rights beyond it.
    pub prune: Prune,
}

/// Least set or everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What the jobs and writes need.
    Derived,
    /// `db_owner`.
    Full,
}

impl FromJobs {
    /// Reads `user` (default: the state's name), `login` (default: the user), `mode: derived|full`, `prune: revoke|report`.
    ///
    /// # Errors
    /// Another mode or prune, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let user = arguments::name(args, "user")?.map_or_else(|| SqlName::new(name), Ok)?;
        let mode = match arguments::text(args, "mode")?.as_deref() {
            None | Some("derived") => Mode::Derived,
            Some("full") => Mode::Full,
            Some(_) => return Err(AccessError::Argument("mode must be derived or full".into())),
        };
        Ok(Self {
            login: arguments::name(args, "login")?.unwrap_or_else(|| user.clone()),
            user,
            mode,
            prune: Prune::read(args)?,
        })
    }

    /// How it is kept.
    #[must_use]
    pub fn extent(&self) -> DeclaredExtent {
        match self.mode {
            Mode::Derived => DeclaredExtent::Derived,
            Mode::Full => DeclaredExtent::Full,
        }
    }
}

impl Prune {
    /// Reads `prune: revoke|report`; `revoke` by default.
    ///
    /// # Errors
    /// Another word.
    pub fn read(args: &Map) -> Result<Self, AccessError> {
        match arguments::text(args, "prune")?.as_deref() {
            None | Some("revoke") => Ok(Self::Revoke),
            Some("report") => Ok(Self::Report),
            Some(_) => Err(AccessError::Argument("prune must be revoke or report".into())),
        }
    }
}
