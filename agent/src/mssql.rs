//! Microsoft SQL Server, as the agent's other rooms see it: connections, names, errors, catalog.
//!
//! Object names reach SQL text only through [`quote`], values travel as [`Param`]s. Every session carries the
//! program name `NexHealth agent`, gives way in deadlocks and never waits long for a lock ([`Session::connect`]), so that
//! a practice's DBA recognises it and the EHR does not feel it.

pub mod arguments;
mod browser;
pub mod catalog;
pub mod collation;
mod error;
pub mod options;
pub(crate) mod param;
pub mod quote;
mod redact;
mod session;
pub mod shape;
mod wire;

pub use error::SqlError;
pub use options::{ConnectionOptions, Encryption, OptionsError};
pub use rows::{BlockRow, Cell, RowBlock};
pub use session::{PROGRAM_NAME, Param, RowStream, Rows, Session};
