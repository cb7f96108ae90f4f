//! Key-range locks: the part of an index that a serializable reader has read stays as it read it.
//!
//! A reader registers its range before it reads, so a row that comes into the range later meets it: the writer waits
//! for the range's resource in the lock manager, where deadlocks and time-outs are decided. SQL Server keeps the same
//! promise with locks on the key behind each gap; here the range is exactly the one the access path read.
//!
//! Facts: "Transaction Locking and Row Versioning Guide" (key-range locking, its modes and their compatibility).

use std::ops::Bound;
use std::sync::Mutex;

use super::lock::Resource;
use super::schema::TableInfo;
use super::table::{Range, index_key};
use super::{TxnId, guard};
use crate::types::Datum;

/// Modes of a key-range lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RangeMode {
    /// RangeS-S
    Shared,
    /// RangeS-U
    Update,
    /// RangeX-X
    Exclusive,
}

impl RangeMode {
    /// The name in `sys.dm_tran_locks`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "RangeS-S",
            Self::Update => "RangeS-U",
            Self::Exclusive => "RangeX-X",
        }
    }

    fn compatible(self, other: Self) -> bool {
        self.max(other) < Self::Exclusive && (self == Self::Shared || other == Self::Shared)
    }
}

/// The key-range locks of a table.
#[derive(Debug, Default)]
pub struct RangeLocks(Mutex<Vec<Held>>);

#[derive(Debug)]
struct Held {
    txn: TxnId,
    /// What others wait for.
    resource: Resource,
    mode: RangeMode,
    /// `None` is the clustered order, or the whole heap.
    index: Option<usize>,
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
}

impl Held {
    fn covers(&self, range: &Range, mode: RangeMode) -> bool {
        let wider = |own: &Bound<Vec<u8>>, other: &Bound<Vec<u8>>| *own == Bound::Unbounded || own == other;
        self.index == range.index
            && self.mode >= mode
            && wider(&self.low, &range.low)
            && wider(&self.high, &range.high)
    }

    fn overlaps(&self, range: &Range) -> bool {
        self.index == range.index && meets(&self.low, &range.high) && meets(&range.low, &self.high)
    }

    fn contains(&self, info: &TableInfo, row: &[Datum]) -> bool {
        let Some(index) = self.index.or(info.clustered()).and_then(|at| info.indexes.get(at)) else {
            return true;
        };
        let key = index_key(index, row);
        let above = match &self.low {
            Bound::Included(low) => key >= *low,
            Bound::Excluded(low) => key > *low,
            Bound::Unbounded => true,
        };
        let below = match &self.high {
            Bound::Included(high) => key <= *high,
            Bound::Excluded(high) => key < *high,
            Bound::Unbounded => true,
        };
        above && below
    }
}

/// Whether something lies between a low and a high limit.
fn meets(low: &Bound<Vec<u8>>, high: &Bound<Vec<u8>>) -> bool {
    match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(low), Bound::Included(high)) => low <= high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
            low < high
        }
    }
}

/// What became of a wish for a range.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is held now under the resource given.
    Held,
    /// The transaction had it already; the resource is not needed.
    Covered,
    /// Another transaction's range is in the way.
    Blocked(Resource),
}

impl RangeLocks {
    /// Registers a range under a resource that the transaction has locked for it.
    pub fn hold(&self, txn: TxnId, range: &Range, mode: RangeMode, resource: Resource) -> Outcome {
        let mut held = guard(&self.0);
        if held.iter().any(|h| h.txn == txn && h.covers(range, mode)) {
            return Outcome::Covered;
        }
        let blocked = held.iter().find(|h| h.txn != txn && h.overlaps(range) && !h.mode.compatible(mode));
        if let Some(other) = blocked {
            return Outcome::Blocked(other.resource.clone());
        }
        let (index, low, high) = (range.index, range.low.clone(), range.high.clone());
        held.push(Held { txn, resource, mode, index, low, high });
        Outcome::Held
    }

    /// Another transaction's range that a new version of a row would enter.
    pub fn entered(
        &self,
        txn: TxnId,
        info: &TableInfo,
        old: Option<&[Datum]>,
        new: &[Datum],
    ) -> Option<Resource> {
        let held = guard(&self.0);
        let enters = |h: &&Held| {
            h.txn != txn && h.contains(info, new) && !old.is_some_and(|old| h.contains(info, old))
        };
        held.iter().find(enters).map(|h| h.resource.clone())
    }

    /// The transaction has ended.
    pub fn forget(&self, txn: TxnId) {
        guard(&self.0).retain(|h| h.txn != txn);
    }
}
