//! Storage: tables as ordered maps of row versions, locks, transactions, databases with their metadata.
//!
//! Invariants:
//! - `one-writer`: a row has at most one uncommitted version, its transaction holds the row's X lock.
//! - `stamp-before-visible`: a rowversion is drawn when the statement runs; [`database::Database::min_active`]
//!   stays at or below it until its transaction has ended and its rows can be seen.
//! - `commit-is-one-moment`: a snapshot sees all of a transaction's rows or none.
//!
//! Facts: "Transaction Locking and Row Versioning Guide", "MIN_ACTIVE_ROWVERSION", "SET DEADLOCK_PRIORITY".

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub mod cell;
pub mod database;
pub mod lock;
pub mod range;
pub mod schema;
pub mod table;
pub mod tracking;
pub mod transaction;
pub mod usage;

/// The place of a row in its table: its clustered key, or a number in a heap.
pub type Key = Arc<[u8]>;

/// A transaction's number; also the owner of its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u64);

/// Locks a mutex; a panic elsewhere must not take the instance down.
pub fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
