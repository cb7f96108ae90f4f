//! A database: its metadata, options, and the rowversion counter with its holdback.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use super::cell::Versioned;
use super::schema::Metadata;
use super::tracking::DatabaseTracking;
use super::{TxnId, guard};
use crate::types::DateTimeValue;

/// A database of the instance.
#[derive(Debug)]
pub struct Database {
    pub id: u16,
    pub name: String,
    pub created: DateTimeValue,
    /// Server principal that owns it.
    owner_sid: RwLock<Vec<u8>>,
    pub metadata: Versioned<Metadata>,
    pub options: RwLock<DatabaseOptions>,
    stamps: Mutex<Stamps>,
    /// No room is left in the transaction log.
    log_full: AtomicBool,
    pub tracking: Arc<Mutex<DatabaseTracking>>,
}

/// Options of ALTER DATABASE SET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseOptions {
    pub read_committed_snapshot: bool,
    pub allow_snapshot: bool,
    pub read_only: bool,
    pub online: bool,
    /// 0 multi, 1 single, 2 restricted.
    pub user_access: u8,
    pub recovery: String,
    pub compatibility_level: u8,
    pub trustworthy: bool,
    pub chaining: bool,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            read_committed_snapshot: false,
            allow_snapshot: false,
            read_only: false,
            online: true,
            user_access: 0,
            recovery: "SIMPLE".into(),
            compatibility_level: 150,
            trustworthy: false,
            chaining: false,
        }
    }
}

#[derive(Debug)]
struct Stamps {
    last: u64,
    /// First stamp of each open transaction.
    active: BTreeMap<TxnId, u64>,
}

/// `@@DBTS` of a new database.
const FIRST_STAMP: u64 = 2000;

impl Database {
    pub fn new(id: u16, name: &str, created: DateTimeValue, owner_sid: Vec<u8>, metadata: Metadata) -> Self {
        Self {
            id,
            name: name.to_owned(),
            created,
            owner_sid: RwLock::new(owner_sid),
            metadata: Versioned::new(metadata),
            options: RwLock::default(),
            stamps: Mutex::new(Stamps { last: FIRST_STAMP, active: BTreeMap::new() }),
            log_full: AtomicBool::new(false),
            tracking: Arc::default(),
        }
    }

    pub fn options(&self) -> DatabaseOptions {
        self.options.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// SID of the login that owns it.
    pub fn owner_sid(&self) -> Vec<u8> {
        self.owner_sid.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub fn set_owner(&self, sid: Vec<u8>) {
        *self.owner_sid.write().unwrap_or_else(std::sync::PoisonError::into_inner) = sid;
    }

    pub fn set_log_full(&self, full: bool) {
        self.log_full.store(full, Ordering::Relaxed);
    }

    pub fn is_log_full(&self) -> bool {
        self.log_full.load(Ordering::Relaxed)
    }

    /// Why the log cannot be used again: code and name of `sys.databases`.
    pub fn log_reuse_wait(&self) -> (u8, &'static str) {
        match (self.is_log_full(), self.options().recovery.as_str()) {
            (false, _) => (0, "NOTHING"),
            (true, "SIMPLE") => (4, "ACTIVE_TRANSACTION"),
            (true, _) => (2, "LOG_BACKUP"),
        }
    }

    /// Draws the next rowversion for a row that `txn` writes now.
    pub fn stamp(&self, txn: TxnId) -> u64 {
        let mut stamps = guard(&self.stamps);
        stamps.last += 1;
        let stamp = stamps.last;
        stamps.active.entry(txn).or_insert(stamp);
        stamp
    }

    /// `@@DBTS`
    pub fn last_stamp(&self) -> u64 {
        guard(&self.stamps).last
    }

    /// `MIN_ACTIVE_ROWVERSION()`
    pub fn min_active(&self) -> u64 {
        let stamps = guard(&self.stamps);
        stamps.active.values().min().copied().unwrap_or(stamps.last + 1)
    }

    /// Whether an open transaction has drawn a rowversion here.
    pub fn is_stamped_by(&self, txn: TxnId) -> bool {
        guard(&self.stamps).active.contains_key(&txn)
    }

    /// The transaction has ended; its rows are visible or gone.
    pub fn end(&self, txn: TxnId) {
        guard(&self.stamps).active.remove(&txn);
    }
}
