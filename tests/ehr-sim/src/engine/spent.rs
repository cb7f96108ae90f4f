//! What a session has cost: processor time, pages touched, waits.
//!
//! Processor time is that of the thread that ran its requests, counted when a request ends. Everything lies in memory, so
//! no page comes from a disk. A page holds [`ROWS_PER_PAGE`] rows of whatever width: a read touches the pages that its
//! range spans, one at least, and a page more for every row that it looks up through an index that is not the table's own
//! order. A wait is counted with its real length when it ends.
//!
//! Facts: "sys.dm_exec_sessions", "sys.dm_exec_session_wait_stats"; a page of SQL Server has 8 KB ("Pages and extents
//! architecture guide").

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::storage::guard;

/// Rows of 160 bytes fill 8 KB so.
pub const ROWS_PER_PAGE: u64 = 50;

/// What one session has cost.
#[derive(Debug, Default)]
pub struct Spent {
    cpu_micros: AtomicU64,
    logical_reads: AtomicU64,
    /// What it has waited for.
    pub waits: Waits,
}

/// Waits of one session by their type. Clones are the same waits.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<BTreeMap<String, Wait>>>);

/// Waits of one type.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wait {
    pub tasks: u64,
    pub total: Duration,
    pub longest: Duration,
}

impl Spent {
    pub fn computed(&self, cpu: Duration) {
        self.cpu_micros.fetch_add(cpu.as_micros() as u64, Ordering::Relaxed);
    }

    pub fn cpu(&self) -> Duration {
        Duration::from_micros(self.cpu_micros.load(Ordering::Relaxed))
    }

    /// A range was read on by `rows` rows behind `before`; each of them was looked up elsewhere too when `looked_up`.
    pub fn read(&self, before: Option<u64>, rows: u64, looked_up: bool) {
        let known = before.map_or(0, pages);
        let touched = pages(before.unwrap_or(0) + rows) - known;
        let lookups = if looked_up { rows } else { 0 };
        self.logical_reads.fetch_add(touched + lookups, Ordering::Relaxed);
    }

    pub fn logical_reads(&self) -> u64 {
        self.logical_reads.load(Ordering::Relaxed)
    }
}

impl Waits {
    pub fn note(&self, kind: String, waited: Duration) {
        let mut waits = guard(&self.0);
        let wait = waits.entry(kind).or_default();
        wait.tasks += 1;
        wait.total += waited;
        wait.longest = wait.longest.max(waited);
    }

    pub fn all(&self) -> Vec<(String, Wait)> {
        guard(&self.0).iter().map(|(kind, wait)| (kind.clone(), *wait)).collect()
    }

    pub fn forget(&self) {
        guard(&self.0).clear();
    }
}

fn pages(rows: u64) -> u64 {
    rows.div_ceil(ROWS_PER_PAGE).max(1)
}
