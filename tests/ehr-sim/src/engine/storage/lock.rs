//! The lock manager: intent, shared, update, exclusive and schema locks with queues, time-outs and deadlock victims.
//!
//! Invariants: `grant-in-turn`: a request never overtakes a waiter it conflicts with, except to strengthen a lock
//! it holds; `no-cycle`: a cycle of waits is found when its last wait begins, and one of its transactions is chosen.
//! One mutex guards the whole; waits are on a condition variable of the waiter.
//!
//! Facts: "Transaction Locking and Row Versioning Guide" (lock compatibility), "SET LOCK_TIMEOUT".

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::range::RangeMode;
use super::{Key, TxnId, guard};
use crate::engine::message::{self, Result};
use crate::engine::spent::Waits;
use crate::types::Cancel;

/// What is locked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Metadata of a database; 0 is the server's.
    Metadata(u16),
    Table(i32),
    Row(i32, Key),
    /// A key range of a table; the number tells ranges of one table apart.
    Range(i32, u64, RangeMode),
}

/// Lock modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    SchemaStability,
    IntentShared,
    IntentExclusive,
    Shared,
    Update,
    Exclusive,
    SchemaModification,
}

impl Mode {
    fn bit(self) -> u8 {
        match self {
            Self::SchemaStability => 0,
            Self::IntentShared => 1,
            Self::IntentExclusive => 2,
            Self::Shared => 3,
            Self::Update => 4,
            Self::Exclusive => 5,
            Self::SchemaModification => 6,
        }
    }

    /// Whether two owners may hold the two modes together.
    pub fn compatible(self, other: Self) -> bool {
        // Rows and columns in the order of `bit`.
        const TABLE: [u8; 7] =
            [0b011_1111, 0b001_1111, 0b000_0111, 0b001_1011, 0b000_1011, 0b000_0001, 0b000_0000];
        TABLE[usize::from(self.bit())] >> other.bit() & 1 == 1
    }

    fn covers(self, other: Self) -> bool {
        self == other
            || matches!(
                (self, other),
                (Self::SchemaModification, _)
                    | (Self::Exclusive, _)
                    | (Self::Update, Self::Shared | Self::IntentShared | Self::SchemaStability)
                    | (Self::Shared, Self::IntentShared | Self::SchemaStability)
                    | (Self::IntentExclusive, Self::IntentShared | Self::SchemaStability)
                    | (Self::IntentShared, Self::SchemaStability)
            )
    }

    /// The name in `sys.dm_tran_locks`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SchemaStability => "Sch-S",
            Self::IntentShared => "IS",
            Self::IntentExclusive => "IX",
            Self::Shared => "S",
            Self::Update => "U",
            Self::Exclusive => "X",
            Self::SchemaModification => "Sch-M",
        }
    }
}

/// Who asks, and how long it will wait.
#[derive(Debug, Clone)]
pub struct Waiter {
    pub txn: TxnId,
    pub spid: u16,
    /// `None` waits for ever.
    pub timeout: Option<Duration>,
    pub priority: i32,
    /// Rows written so far: what a rollback would cost.
    pub cost: usize,
    pub cancel: Cancel,
    /// Where its waits are counted.
    pub waits: Waits,
}

/// A lock as the catalog shows it.
#[derive(Debug, Clone)]
pub struct LockView {
    pub resource: Resource,
    pub mode: Mode,
    pub spid: u16,
    pub granted: bool,
    pub blocked_by: Option<u16>,
    /// How long it has been waited for.
    pub waited: Duration,
}

#[derive(Default)]
struct Entry {
    granted: Vec<(TxnId, Mode)>,
    queue: VecDeque<TxnId>,
}

struct Waiting {
    resource: Resource,
    mode: Mode,
    conversion: bool,
    priority: i32,
    cost: usize,
    victim: bool,
    since: Instant,
    wake: Arc<Condvar>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Resource, Entry>,
    owned: HashMap<TxnId, Vec<Resource>>,
    waiting: HashMap<TxnId, Waiting>,
    spids: HashMap<TxnId, u16>,
}

/// All locks of an instance.
#[derive(Clone, Default)]
pub struct LockManager(Arc<Mutex<Inner>>);

impl std::fmt::Debug for LockManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockManager")
    }
}

impl LockManager {
    /// Takes a lock, waiting as the waiter allows. Answers whether it is newly held.
    pub fn acquire(&self, waiter: &Waiter, resource: Resource, mode: Mode) -> Result<bool> {
        let mut inner = guard(&self.0);
        if inner.holds(waiter.txn, &resource, mode) {
            return Ok(false);
        }
        if inner.grantable(waiter.txn, &resource, mode) {
            inner.grant(waiter, resource, mode);
            return Ok(true);
        }
        if waiter.timeout == Some(Duration::ZERO) {
            return Err(message::lock_timeout());
        }
        let wake = inner.enqueue(waiter, &resource, mode);
        inner.choose_victim(waiter.txn);
        let shared = self.0.clone();
        let hook_wake = wake.clone();
        let hook = waiter.cancel.on_cancel(move || {
            drop(guard(&shared));
            hook_wake.notify_all();
        });
        let begun = Instant::now();
        let deadline = waiter.timeout.map(|t| begun + t);
        let outcome = loop {
            match inner.settle(waiter, &resource, mode, deadline) {
                Some(outcome) => break outcome,
                None => inner = wait(&wake, inner, deadline),
            }
        };
        drop(inner);
        drop(hook);
        waiter.waits.note(wait_type(&resource, mode), begun.elapsed());
        outcome.map(|()| true)
    }

    /// Releases one lock.
    pub fn release(&self, txn: TxnId, resource: &Resource) {
        let mut inner = guard(&self.0);
        inner.drop_grant(txn, resource);
        if let Some(owned) = inner.owned.get_mut(&txn)
            && let Some(at) = owned.iter().rposition(|r| r == resource)
        {
            owned.swap_remove(at);
        }
    }

    /// Releases everything a transaction holds.
    pub fn release_all(&self, txn: TxnId) {
        let mut inner = guard(&self.0);
        for resource in inner.owned.remove(&txn).unwrap_or_default() {
            inner.drop_grant(txn, &resource);
        }
        inner.spids.remove(&txn);
    }

    /// Every granted and waiting lock.
    pub fn view(&self) -> Vec<LockView> {
        let inner = guard(&self.0);
        let spid = |txn: &TxnId| inner.spids.get(txn).copied().unwrap_or(0);
        let mut list = Vec::new();
        for (resource, entry) in &inner.entries {
            for (txn, mode) in &entry.granted {
                let resource = resource.clone();
                list.push(LockView {
                    resource,
                    mode: *mode,
                    spid: spid(txn),
                    granted: true,
                    blocked_by: None,
                    waited: Duration::ZERO,
                });
            }
        }
        for (txn, waiting) in &inner.waiting {
            let blocked_by = inner.blockers(*txn).first().map(&spid);
            let resource = waiting.resource.clone();
            let (mode, spid, waited) = (waiting.mode, spid(txn), waiting.since.elapsed());
            list.push(LockView { resource, mode, spid, granted: false, blocked_by, waited });
        }
        list
    }
}

/// How a lock is called that is asked for: a key range by an insert, or by another range for update.
pub fn asked_name(resource: &Resource, mode: Mode) -> &'static str {
    match resource {
        Resource::Range(..) if mode == Mode::Update => "RangeS-U",
        Resource::Range(..) => "RangeI-N",
        Resource::Metadata(_) | Resource::Table(_) | Resource::Row(..) => mode.name(),
    }
}

/// The wait for such a lock.
pub fn wait_type(resource: &Resource, mode: Mode) -> String {
    let name = asked_name(resource, mode);
    let name = name.strip_prefix("Range").map_or_else(|| name.to_owned(), |rest| format!("R{rest}"));
    format!("LCK_M_{}", name.replace("Sch-", "SCH_").replace('-', "_").to_uppercase())
}

fn wait<'a>(
    wake: &Condvar,
    inner: std::sync::MutexGuard<'a, Inner>,
    deadline: Option<Instant>,
) -> std::sync::MutexGuard<'a, Inner> {
    match deadline {
        Some(at) => {
            let left = at.saturating_duration_since(Instant::now());
            wake.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
        }
        None => wake.wait(inner).unwrap_or_else(PoisonError::into_inner),
    }
}

impl Inner {
    fn holds(&self, txn: TxnId, resource: &Resource, mode: Mode) -> bool {
        self.entries
            .get(resource)
            .is_some_and(|e| e.granted.iter().any(|(owner, held)| *owner == txn && held.covers(mode)))
    }

    fn grantable(&self, txn: TxnId, resource: &Resource, mode: Mode) -> bool {
        let Some(entry) = self.entries.get(resource) else { return true };
        let free = entry.granted.iter().all(|(owner, held)| *owner == txn || held.compatible(mode));
        let conversion = entry.granted.iter().any(|(owner, _)| *owner == txn);
        let ahead = entry.queue.iter().take_while(|waiting| **waiting != txn);
        let in_turn =
            conversion || ahead.filter_map(|t| self.waiting.get(t)).all(|w| w.mode.compatible(mode));
        free && in_turn
    }

    fn grant(&mut self, waiter: &Waiter, resource: Resource, mode: Mode) {
        self.spids.insert(waiter.txn, waiter.spid);
        let entry = self.entries.entry(resource.clone()).or_default();
        let first = !entry.granted.iter().any(|(owner, _)| *owner == waiter.txn);
        entry.granted.push((waiter.txn, mode));
        if first {
            self.owned.entry(waiter.txn).or_default().push(resource);
        }
    }

    fn enqueue(&mut self, waiter: &Waiter, resource: &Resource, mode: Mode) -> Arc<Condvar> {
        self.spids.insert(waiter.txn, waiter.spid);
        let wake = Arc::new(Condvar::new());
        let entry = self.entries.entry(resource.clone()).or_default();
        let conversion = entry.granted.iter().any(|(owner, _)| *owner == waiter.txn);
        if conversion {
            entry.queue.push_front(waiter.txn);
        } else {
            entry.queue.push_back(waiter.txn);
        }
        let waiting = Waiting {
            resource: resource.clone(),
            mode,
            conversion,
            priority: waiter.priority,
            cost: waiter.cost,
            victim: false,
            since: Instant::now(),
            wake: wake.clone(),
        };
        self.waiting.insert(waiter.txn, waiting);
        wake
    }

    /// The wait's outcome, or `None` to wait on.
    fn settle(
        &mut self,
        waiter: &Waiter,
        resource: &Resource,
        mode: Mode,
        deadline: Option<Instant>,
    ) -> Option<Result<()>> {
        let outcome = if self.waiting.get(&waiter.txn).is_some_and(|w| w.victim) {
            Err(message::deadlock(waiter.spid))
        } else if self.grantable(waiter.txn, resource, mode) {
            Ok(())
        } else if waiter.cancel.is_cancelled() {
            Err(message::cancelled())
        } else if deadline.is_some_and(|at| Instant::now() >= at) {
            Err(message::lock_timeout())
        } else {
            return None;
        };
        self.waiting.remove(&waiter.txn);
        if let Some(entry) = self.entries.get_mut(resource) {
            entry.queue.retain(|t| *t != waiter.txn);
        }
        if outcome.is_ok() {
            self.grant(waiter, resource.clone(), mode);
        }
        self.wake(resource);
        Some(outcome)
    }

    fn drop_grant(&mut self, txn: TxnId, resource: &Resource) {
        let Some(entry) = self.entries.get_mut(resource) else { return };
        entry.granted.retain(|(owner, _)| *owner != txn);
        if entry.granted.is_empty() && entry.queue.is_empty() {
            self.entries.remove(resource);
        } else {
            self.wake(resource);
        }
    }

    fn wake(&mut self, resource: &Resource) {
        let Some(entry) = self.entries.get(resource) else { return };
        for txn in &entry.queue {
            if let Some(waiting) = self.waiting.get(txn) {
                waiting.wake.notify_all();
            }
        }
        if entry.granted.is_empty() && entry.queue.is_empty() {
            self.entries.remove(resource);
        }
    }

    /// Whom a waiting transaction waits for.
    fn blockers(&self, txn: TxnId) -> Vec<TxnId> {
        let Some(waiting) = self.waiting.get(&txn) else { return Vec::new() };
        let Some(entry) = self.entries.get(&waiting.resource) else { return Vec::new() };
        let held =
            entry.granted.iter().filter(|(o, m)| *o != txn && !m.compatible(waiting.mode)).map(|(o, _)| *o);
        let ahead = entry
            .queue
            .iter()
            .take_while(|t| **t != txn && !waiting.conversion)
            .filter(|t| self.waiting.get(t).is_some_and(|w| !w.mode.compatible(waiting.mode)))
            .copied();
        held.chain(ahead).collect()
    }

    /// Finds a cycle through `start` and marks its cheapest member.
    fn choose_victim(&mut self, start: TxnId) {
        let mut path = Vec::new();
        if !self.cycle(start, start, &mut path, &mut HashSet::new()) {
            return;
        }
        let weight =
            |txn: &TxnId| self.waiting.get(txn).map(|w| (w.priority, w.cost)).unwrap_or((i32::MAX, 0));
        // Among equals the one that closed the cycle goes.
        let victim = path.iter().copied().min_by_key(|txn| (weight(txn), *txn != start));
        if let Some(waiting) = victim.and_then(|txn| self.waiting.get_mut(&txn)) {
            waiting.victim = true;
            waiting.wake.notify_all();
        }
    }

    fn cycle(&self, at: TxnId, goal: TxnId, path: &mut Vec<TxnId>, seen: &mut HashSet<TxnId>) -> bool {
        path.push(at);
        for next in self.blockers(at) {
            if next == goal || seen.insert(next) && self.cycle(next, goal, path, seen) {
                return true;
            }
        }
        path.pop();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatibility_is_symmetric_and_as_documented() {
        use Mode::{
            Exclusive, IntentExclusive, IntentShared, SchemaModification, SchemaStability, Shared, Update,
        };
        let all =
            [SchemaStability, IntentShared, IntentExclusive, Shared, Update, Exclusive, SchemaModification];
        for a in all {
            for b in all {
                assert_eq!(a.compatible(b), b.compatible(a), "{a:?} {b:?}");
            }
        }
        assert!(Shared.compatible(Update) && Shared.compatible(IntentShared));
        assert!(!Update.compatible(Update) && !IntentExclusive.compatible(Shared));
        assert!(SchemaStability.compatible(Exclusive) && !SchemaStability.compatible(SchemaModification));
    }
}
