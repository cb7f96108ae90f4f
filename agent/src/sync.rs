//! Rows out of SQL Server: nothing lost, nothing twice.
//!
//! A pass reads what is new of one table in keyset pages below an upper bound, writes it as a sealed batch into the
//! spool, and moves the watermark in the same store transaction that records the batch. Batches are delivered in order
//! and freed when the sink took them. Invariants: a batch is named by (minion, job, epoch, sequence) for ever; a row
//! value never reaches a log, an event or an unsealed file.

pub mod batch;
pub mod check;
pub mod cursor;
pub mod declaration;
pub mod deliver;
mod error;
pub mod faults;
pub mod gate;
pub mod governor;
pub mod herald;
mod holder;
mod increments;
pub mod ledger;
pub mod metrics;
pub mod names;
pub mod note;
mod open_batch;
mod others;
mod pace;
pub mod pass;
mod query;
mod reader;
mod recording;
mod repair;
pub mod retention;
mod row_key;
pub mod scheduler;
pub mod sink;
pub mod spec;
pub mod spool;
mod sweep;
mod texts;
mod whole;

pub use error::{SyncError, explain};
pub use pass::SyncRoom;
pub use repair::Repair;
pub use scheduler::SyncScheduler;
