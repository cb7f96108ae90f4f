//! How often and when last each index of a table was used: `sys.dm_db_index_usage_stats`.
//!
//! A statement counts once per index and kind of use, as a plan's operator does. A seek of a nonclustered index that
//! does not hold every column of its table counts as a lookup of the table too, since the engine fetches whole rows.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::guard;
use super::schema::TableInfo;
use super::table::Range;
use crate::types::DateTimeValue;

/// What a statement does with an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    Seek,
    Scan,
    Lookup,
    Update,
}

/// One kind's count and last moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    pub times: i64,
    pub last: Option<DateTimeValue>,
}

/// One index's counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct IndexUsage {
    pub seeks: Count,
    pub scans: Count,
    pub lookups: Count,
    pub updates: Count,
}

/// A table's counts by index id; 0 is the heap.
#[derive(Debug, Default)]
pub struct TableUsage(Mutex<BTreeMap<i32, IndexUsage>>);

impl TableUsage {
    pub fn note(&self, index: i32, what: Use, now: DateTimeValue) {
        let mut usage = guard(&self.0);
        let index = usage.entry(index).or_default();
        let count = match what {
            Use::Seek => &mut index.seeks,
            Use::Scan => &mut index.scans,
            Use::Lookup => &mut index.lookups,
            Use::Update => &mut index.updates,
        };
        count.times += 1;
        count.last = Some(now);
    }

    pub fn clear(&self) {
        guard(&self.0).clear();
    }

    pub fn all(&self) -> Vec<(i32, IndexUsage)> {
        guard(&self.0).iter().map(|(id, usage)| (*id, *usage)).collect()
    }
}

/// What reading a range uses: the index itself, and the table behind it.
pub fn of_range(info: &TableInfo, range: &Range) -> (i32, Use, Option<i32>) {
    let whole = range.low == std::ops::Bound::Unbounded && range.high == std::ops::Bound::Unbounded;
    let what = if whole { Use::Scan } else { Use::Seek };
    let base = info.clustered().map_or(0, |at| info.indexes[at].id);
    let Some(index) = range.index.map(|at| &info.indexes[at]).filter(|index| !index.clustered) else {
        return (base, what, None);
    };
    let holds = |at: usize| {
        index.include.contains(&at)
            || index.columns.iter().any(|(c, _)| *c == at)
            || info.clustered().is_some_and(|c| info.indexes[c].columns.iter().any(|(c, _)| *c == at))
    };
    let covers = (0..info.columns.len()).all(holds);
    (index.id, what, (!covers).then_some(base))
}
