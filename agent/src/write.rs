//! Writes into SQL Server: declared, exactly once, with an outcome that a program can act on.
//!
//! A write is a definition of names and operands ([`definition`]); a request names it and gives parameters and an id.
//! One transaction holds the EHR's rows and what proves that they were written: a row of the [`ledger`], or the request's
//! id in the EHR's own column. Invariants: a request id lands at most once, whoever sends it and however often; an
//! outcome always says why ([`outcome`]); values of rows leave sealed; SQL text holds names and no values ([`sql`]);
//! the practice's pause switch is asked before every transaction.

pub mod attempt;
pub mod book;
mod characters;
pub mod check;
pub mod classify;
pub mod declaration;
pub mod definition;
mod error;
pub mod faults;
pub mod kind;
pub mod lanes;
pub mod ledger;
pub mod locker;
mod moments;
pub mod names;
pub mod needs;
pub mod outcome;
pub mod parameter;
pub mod pool;
pub mod preview;
pub mod room;
mod run;
pub mod seal;
pub mod sql;
pub mod unseal;
pub mod well_formed;

pub use error::WriteError;
pub use room::WriteRoom;
