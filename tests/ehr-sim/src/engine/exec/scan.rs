//! Reading a table: the index and range its conditions allow, pages, and what other transactions' rows do to it.
//!
//! Invariant `residual`: a range is only ever an over-approximation; every condition is still evaluated per row.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use std::ops::Bound as Limit;

use super::{Exec, Flow, Rows};
use crate::engine::ast::BinaryOp;
use crate::engine::message::Result;
use crate::engine::plan::{Access, Bound, Kind, TableSource};
use crate::engine::storage::Key;
use crate::engine::storage::lock::{Mode, Resource};
use crate::engine::storage::range::{Outcome, RangeMode};
use crate::engine::storage::schema::IndexInfo;
use crate::engine::storage::table::{PageEnd, Range, Read};
use crate::engine::storage::usage::{self, Use};
use crate::engine::value::{compare, convert};
use crate::types::{Datum, Row, SqlType};

/// Rows of the first page; later pages grow to [`MAX_PAGE`].
const FIRST_PAGE: usize = 32;
const MAX_PAGE: usize = 1024;

/// A chosen way to read.
pub struct Path {
    pub range: Range,
    /// The rows come in the wanted order.
    pub ordered: bool,
}

/// What conditions say about one column.
#[derive(Clone)]
struct Interval {
    low: Limit<Datum>,
    high: Limit<Datum>,
}

impl Exec<'_> {
    /// Locks the table as its access needs; answers a resource to release when the read ends.
    pub fn lock_table(&self, source: &TableSource) -> Result<Option<Resource>> {
        let resource = Resource::Table(source.table.info.object_id);
        let mode = source.table_lock.unwrap_or(match source.access {
            Access::Dirty | Access::Versioned(_) => Mode::SchemaStability,
            Access::Committed | Access::Repeatable | Access::ReadPast => Mode::IntentShared,
            Access::Update | Access::Exclusive => Mode::IntentExclusive,
        });
        let new = if source.no_wait {
            self.lock_now(resource.clone(), mode)
        } else {
            self.lock(resource.clone(), mode)
        }?;
        let kept = source.table_lock == Some(Mode::Exclusive)
            || source.table_lock.is_some() && self.session.keeps_read_locks()
            || matches!(source.access, Access::Repeatable | Access::Update | Access::Exclusive);
        Ok((new && !kept).then_some(resource))
    }

    /// Calls `f` with each visible row in path order, until it has enough. Filters are the caller's.
    pub fn scan(
        &self,
        source: &TableSource,
        range: &Range,
        f: &mut dyn FnMut(&Key, &Row) -> Result<Flow>,
    ) -> Result<Flow> {
        let read = match source.access {
            Access::Dirty => Read::Dirty,
            Access::Versioned(seq) => Read::Snapshot(seq, self.txn),
            Access::Committed
            | Access::Repeatable
            | Access::Update
            | Access::Exclusive
            | Access::ReadPast => Read::Current(self.txn),
        };
        if let Some(mode) = source.range {
            self.lock_range(source, range, mode)?;
        }
        let mut after = None;
        let mut rows: Vec<(Key, Row)> = Vec::with_capacity(FIRST_PAGE);
        let mut size = FIRST_PAGE;
        // A row that was waited for is read before its lock goes, or a new writer could come in between for ever.
        let mut held: Option<Resource> = None;
        let looks_up = range.index.is_some_and(|at| !source.table.info.indexes[at].clustered);
        let mut seen: Option<u64> = None;
        loop {
            self.check_cancelled()?;
            self.read_disk()?;
            rows.clear();
            let end = source.table.page(range, &mut after, read, size, &mut rows);
            self.session.connected.spent.read(seen, rows.len() as u64, looks_up);
            seen = Some(seen.unwrap_or(0) + rows.len() as u64);
            if let Some(resource) = held.take() {
                self.unlock(&resource);
            }
            for (key, row) in &rows {
                if self.visit(source, key, row, f)? == Flow::Enough {
                    return Ok(Flow::Enough);
                }
            }
            match end {
                PageEnd::Last => return Ok(Flow::More),
                PageEnd::More => size = (size * 4).min(MAX_PAGE),
                PageEnd::Blocked(key) => {
                    if source.access == Access::ReadPast {
                        after = Some(self.step_over(source, range, &key));
                    } else {
                        held = self.wait_for_row(source, key)?;
                    }
                    size = FIRST_PAGE;
                }
            }
        }
    }

    /// Counts what reading a range uses.
    pub fn note_range(&self, source: &TableSource, range: &Range) {
        let (index, what, behind) = usage::of_range(&source.table.info, range);
        self.note_use(&source.table, index, what);
        if let Some(base) = behind {
            self.note_use(&source.table, base, Use::Lookup);
        }
    }

    /// Keeps new rows out of what is about to be read, to the end of the transaction.
    fn lock_range(&self, source: &TableSource, range: &Range, mode: RangeMode) -> Result<()> {
        let table = &source.table;
        let number = self.session.instance.next_range();
        let resource = Resource::Range(table.info.object_id, number, mode);
        self.lock(resource.clone(), Mode::Exclusive)?;
        loop {
            match table.ranges.hold(self.txn, range, mode, resource.clone()) {
                Outcome::Held => {
                    if let Some(transaction) = self.session.transaction.borrow_mut().as_mut() {
                        transaction.holds_range_of(table);
                    }
                    return Ok(());
                }
                Outcome::Covered => {
                    self.unlock(&resource);
                    return Ok(());
                }
                Outcome::Blocked(other) => {
                    let wait = if source.no_wait { Self::lock_now } else { Self::lock };
                    if wait(self, other.clone(), Mode::Update)? {
                        self.unlock(&other);
                    }
                }
            }
        }
    }

    /// Waits until the row's writer has ended; answers a lock to release once the row is read.
    fn wait_for_row(&self, source: &TableSource, key: Key) -> Result<Option<Resource>> {
        let resource = Resource::Row(source.table.info.object_id, key);
        let mode = match source.access {
            Access::Update => Mode::Update,
            Access::Exclusive => Mode::Exclusive,
            Access::Dirty
            | Access::Committed
            | Access::Versioned(_)
            | Access::Repeatable
            | Access::ReadPast => Mode::Shared,
        };
        let new = if source.no_wait {
            self.lock_now(resource.clone(), mode)
        } else {
            self.lock(resource.clone(), mode)
        }?;
        Ok((new && source.access == Access::Committed).then_some(resource))
    }

    /// The place just behind a row that is passed over.
    fn step_over(&self, source: &TableSource, range: &Range, key: &Key) -> Vec<u8> {
        let index = range.index.filter(|at| !source.table.info.indexes[*at].clustered);
        let row = source.table.row(key, Read::Dirty).ok().flatten();
        match (index, row) {
            (Some(at), Some(row)) => {
                crate::engine::storage::table::entry_key(&source.table.info.indexes[at], &row, key).into_vec()
            }
            _ => key.to_vec(),
        }
    }

    /// Locks a row where the access asks for it, and shows it as it is then.
    fn visit(
        &self,
        source: &TableSource,
        key: &Key,
        row: &Row,
        f: &mut dyn FnMut(&Key, &Row) -> Result<Flow>,
    ) -> Result<Flow> {
        let mode = match source.access {
            Access::Dirty | Access::Committed | Access::Versioned(_) => return f(key, row),
            Access::Repeatable | Access::ReadPast if source.table_lock.is_some() => return f(key, row),
            Access::Repeatable | Access::ReadPast => Mode::Shared,
            Access::Update => Mode::Update,
            Access::Exclusive => Mode::Exclusive,
        };
        let resource = Resource::Row(source.table.info.object_id, key.clone());
        if source.access == Access::ReadPast {
            let Ok(new) = self.lock_now(resource.clone(), mode) else { return Ok(Flow::More) };
            let flow = f(key, row);
            if new {
                self.unlock(&resource);
            }
            return flow;
        }
        let new = if source.no_wait { self.lock_now(resource, mode) } else { self.lock(resource, mode) }?;
        if !new {
            return f(key, row);
        }
        match source.table.row(key, Read::Current(self.txn)) {
            Ok(Some(current)) => f(key, &current),
            Ok(None) | Err(()) => Ok(Flow::More),
        }
    }

    /// The cheapest way to read, given the conditions and the row to the left.
    pub fn choose_path(&self, source: &TableSource, rows: &Rows<'_>) -> Result<Path> {
        let info = &source.table.info;
        let mut best: Option<(u32, Path)> = None;
        let clustered = info.clustered();
        let candidates =
            clustered.into_iter().chain((0..info.indexes.len()).filter(|at| Some(*at) != clustered));
        for at in candidates {
            let (score, path) = self.rate(source, at, rows)?;
            let better = best.as_ref().is_none_or(|(s, _)| score > *s);
            if better && (score > 0 || info.indexes[at].clustered) {
                best = Some((score, path));
            }
        }
        let all = Range { index: None, low: Limit::Unbounded, high: Limit::Unbounded, reverse: false };
        Ok(best.map_or(Path { range: all, ordered: source.wanted.is_empty() }, |(_, path)| path))
    }

    fn rate(&self, source: &TableSource, at: usize, rows: &Rows<'_>) -> Result<(u32, Path)> {
        let index = &source.table.info.indexes[at];
        let mut prefix = Vec::new();
        let mut equal = 0;
        let mut last: Option<Interval> = None;
        for (column, descending) in &index.columns {
            let Some(interval) = self.column_interval(source, *column, rows)? else { break };
            if let (Limit::Included(a), Limit::Included(b)) = (&interval.low, &interval.high)
                && compare::compare(a, b).is_eq()
            {
                compare::append_key(a, *descending, &mut prefix);
                equal += 1;
            } else {
                last = Some(interval);
                break;
            }
        }
        let descending = index.columns.get(equal).is_some_and(|(_, d)| *d);
        let (low, high) = limits(&prefix, last.as_ref(), descending);
        let sides = last.as_ref().map_or(0, |i| {
            u32::from(!matches!(i.low, Limit::Unbounded)) + u32::from(!matches!(i.high, Limit::Unbounded))
        });
        let (ordered, reverse) = self.order_of(source, index, equal);
        let unique = index.unique && equal == index.columns.len();
        let score = u32::from(unique) * 100
            + equal as u32 * 8
            + sides * 3
            + u32::from(ordered && !source.wanted.is_empty()) * 4;
        Ok((score, Path { range: Range { index: Some(at), low, high, reverse }, ordered }))
    }

    /// Whether reading the index gives the wanted order, and in which direction.
    fn order_of(&self, source: &TableSource, index: &IndexInfo, equal: usize) -> (bool, bool) {
        let place = source.table.info.clustered().map(|at| &source.table.info.indexes[at]);
        let mut columns = index.columns.clone();
        if !index.clustered
            && let Some(place) = place
        {
            columns.extend(place.columns.iter().copied());
        }
        let fixed: Vec<usize> = columns[..equal].iter().map(|(c, _)| *c).collect();
        let mut given = columns[equal..].iter().filter(|(c, _)| !fixed.contains(c));
        let mut direction = None;
        let mut unique_after = index.columns.len();
        for (wanted, descending) in source.wanted.iter().filter(|(c, _)| !fixed.contains(&(c - source.base)))
        {
            // Behind all columns of a unique index any further order is settled.
            if index.unique && unique_after <= equal {
                break;
            }
            let Some((column, stored)) = given.next() else { return (false, false) };
            let reverse = descending != stored;
            if *column != wanted - source.base || direction.is_some_and(|d| d != reverse) {
                return (false, false);
            }
            direction = Some(reverse);
            unique_after = unique_after.saturating_sub(1);
        }
        (true, direction.unwrap_or(false))
    }

    fn column_interval(
        &self,
        source: &TableSource,
        column: usize,
        rows: &Rows<'_>,
    ) -> Result<Option<Interval>> {
        let mut found: Option<Interval> = None;
        for filter in &source.filters {
            if let Some(interval) = self.interval(source, filter, column, rows)? {
                found = Some(match found {
                    Some(other) => intersect(other, interval),
                    None => interval,
                });
            }
        }
        Ok(found)
    }

    /// What one condition says about a column; `None` when it says nothing.
    fn interval(
        &self,
        source: &TableSource,
        condition: &Bound,
        column: usize,
        rows: &Rows<'_>,
    ) -> Result<Option<Interval>> {
        match &condition.kind {
            Kind::And(a, b) => {
                let (a, b) =
                    (self.interval(source, a, column, rows)?, self.interval(source, b, column, rows)?);
                Ok(match (a, b) {
                    (Some(a), Some(b)) => Some(intersect(a, b)),
                    (a, b) => a.or(b),
                })
            }
            Kind::Or(a, b) => {
                let (a, b) =
                    (self.interval(source, a, column, rows)?, self.interval(source, b, column, rows)?);
                Ok(a.zip(b).map(|(a, b)| hull(a, b)))
            }
            Kind::Compare(op, left, right) => {
                let own = source.base + column;
                let is_column =
                    |b: &Bound| matches!(b.kind, Kind::Column { depth: 0, index } if index == own);
                let width = source.table.info.columns.len();
                let free = |b: &Bound| !b.reads(source.base, source.base + width) && !b.has_query();
                let (op, value) = if is_column(left) && free(right) {
                    (*op, right)
                } else if is_column(right) && free(left) {
                    (mirrored(*op), left)
                } else {
                    return Ok(None);
                };
                let ty = source.table.info.columns[column].ty;
                let Ok(value) = self.eval(value, rows) else { return Ok(None) };
                Ok(as_key(&value, ty).map(|value| one_side(op, value)).unwrap_or_default())
            }
            _ => Ok(None),
        }
    }
}

/// The value as the column's type, when nothing is lost by it.
fn as_key(value: &Datum, ty: SqlType) -> Option<Datum> {
    if value.is_null() {
        return None;
    }
    if ty.is_text() {
        return value.as_str().map(|_| value.clone());
    }
    let converted = convert::convert(value, ty, 0, convert::Fit::Refuse).ok()?;
    let same = match (&converted, value) {
        (Datum::Decimal(a), Datum::Decimal(b)) => {
            compare::compare(&Datum::Decimal(*a), &Datum::Decimal(*b)).is_eq()
        }
        (Datum::RowVersion(_), Datum::Binary(bytes)) => bytes.len() == 8,
        (a, b) if a.as_i64().is_some() && b.as_i64().is_some() => a.as_i64() == b.as_i64(),
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    };
    same.then_some(converted)
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        other => other,
    }
}

fn one_side(op: BinaryOp, value: Datum) -> Option<Interval> {
    let (low, high) = match op {
        BinaryOp::Eq => (Limit::Included(value.clone()), Limit::Included(value)),
        BinaryOp::Lt => (Limit::Unbounded, Limit::Excluded(value)),
        BinaryOp::Le => (Limit::Unbounded, Limit::Included(value)),
        BinaryOp::Gt => (Limit::Excluded(value), Limit::Unbounded),
        BinaryOp::Ge => (Limit::Included(value), Limit::Unbounded),
        _ => return None,
    };
    Some(Interval { low, high })
}

fn intersect(a: Interval, b: Interval) -> Interval {
    Interval { low: tighter(a.low, b.low, true), high: tighter(a.high, b.high, false) }
}

fn hull(a: Interval, b: Interval) -> Interval {
    Interval { low: wider(a.low, b.low, true), high: wider(a.high, b.high, false) }
}

fn tighter(a: Limit<Datum>, b: Limit<Datum>, low: bool) -> Limit<Datum> {
    pick(a, b, low, true)
}

fn wider(a: Limit<Datum>, b: Limit<Datum>, low: bool) -> Limit<Datum> {
    pick(a, b, low, false)
}

fn pick(a: Limit<Datum>, b: Limit<Datum>, low: bool, tight: bool) -> Limit<Datum> {
    let (x, y) = match (&a, &b) {
        (Limit::Unbounded, _) => return if tight { b } else { a },
        (_, Limit::Unbounded) => return if tight { a } else { b },
        (Limit::Included(x) | Limit::Excluded(x), Limit::Included(y) | Limit::Excluded(y)) => (x, y),
    };
    let ordering = compare::compare(x, y);
    let excluded = matches!(a, Limit::Excluded(_));
    let first = match ordering {
        std::cmp::Ordering::Equal => excluded == tight,
        std::cmp::Ordering::Greater => low == tight,
        std::cmp::Ordering::Less => low != tight,
    };
    if first { a } else { b }
}

/// Byte limits of an index range: an equal prefix, then an interval on the next column.
fn limits(prefix: &[u8], interval: Option<&Interval>, descending: bool) -> (Limit<Vec<u8>>, Limit<Vec<u8>>) {
    let key = |value: &Datum| {
        let mut key = prefix.to_vec();
        compare::append_key(value, descending, &mut key);
        key
    };
    let (low, high) = match interval {
        Some(interval) if descending => (&interval.high, &interval.low),
        Some(interval) => (&interval.low, &interval.high),
        None => (&Limit::Unbounded, &Limit::Unbounded),
    };
    let low = match low {
        Limit::Included(value) => Limit::Included(key(value)),
        Limit::Excluded(value) => successor(key(value)).map_or(Limit::Unbounded, Limit::Included),
        Limit::Unbounded if prefix.is_empty() => Limit::Unbounded,
        Limit::Unbounded => Limit::Included(prefix.to_vec()),
    };
    let high = match high {
        Limit::Included(value) => successor(key(value)).map_or(Limit::Unbounded, Limit::Excluded),
        Limit::Excluded(value) => Limit::Excluded(key(value)),
        Limit::Unbounded => successor(prefix.to_vec()).map_or(Limit::Unbounded, Limit::Excluded),
    };
    (low, high)
}

/// The lowest key above every key that starts with these bytes.
fn successor(mut key: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = key.pop() {
        if last < 0xFF {
            key.push(last + 1);
            return Some(key);
        }
    }
    None
}
