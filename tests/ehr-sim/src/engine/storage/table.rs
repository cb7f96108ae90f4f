//! A table's rows: versions in clustered order, secondary indexes, reading in pages.
//!
//! A slot holds the committed version, at most one uncommitted one, and older versions while a snapshot may need
//! them. An index may hold entries of any of them, so a reader checks that the version it sees still has the
//! entry's key. The map is locked for one page at a time, never across a wait or an output.

#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::range::RangeLocks;
use super::schema::{IndexInfo, TableInfo};
use super::usage::TableUsage;
use super::{Key, TxnId};
use crate::engine::value::compare;
use crate::types::{Datum, Row};

/// One row through its versions.
#[derive(Debug, Default)]
pub struct Slot {
    pub committed: Option<Row>,
    /// Commit sequence of `committed`.
    pub seq: u64,
    pub pending: Option<Pending>,
    /// Older versions, oldest first, each with the sequence it was committed at.
    pub history: Vec<(u64, Option<Row>)>,
}

/// An uncommitted version; no row means deleted.
#[derive(Debug, Clone)]
pub struct Pending {
    pub txn: TxnId,
    pub row: Option<Row>,
}

/// Rows and indexes.
#[derive(Debug, Default)]
pub struct Data {
    pub rows: BTreeMap<Key, Slot>,
    /// One map per index; the clustered one's stays empty.
    pub indexes: Vec<BTreeMap<Box<[u8]>, Key>>,
    next_heap: u64,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    pub info: TableInfo,
    data: RwLock<Data>,
    /// Last identity value; shared with successors of an ALTER.
    pub identity: Arc<Mutex<Option<i64>>>,
    /// Key-range locks of serializable readers.
    pub ranges: RangeLocks,
    /// Index use; shared with successors of an ALTER.
    pub usage: Arc<TableUsage>,
}

/// Which version a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Uncommitted data too.
    Dirty,
    /// The newest; an uncommitted one of another transaction blocks.
    Current(TxnId),
    /// As of a commit sequence, and the transaction's own.
    Snapshot(u64, TxnId),
}

/// Part of an index (or of the clustered order) to read.
#[derive(Debug, Clone)]
pub struct Range {
    /// `None` is the clustered order.
    pub index: Option<usize>,
    pub low: Bound<Vec<u8>>,
    pub high: Bound<Vec<u8>>,
    pub reverse: bool,
}

/// Where a page ended.
#[derive(Debug, PartialEq, Eq)]
pub enum PageEnd {
    More,
    Last,
    /// Another transaction's uncommitted version is in the way.
    Blocked(Key),
}

enum Seen<'a> {
    Row(&'a Row),
    Nothing,
    Blocked,
}

impl Slot {
    fn see(&self, read: Read) -> Seen<'_> {
        let own = |txn: TxnId| self.pending.as_ref().filter(|p| p.txn == txn);
        match read {
            Read::Dirty => option(self.pending.as_ref().map_or(&self.committed, |p| &p.row)),
            Read::Current(txn) => match &self.pending {
                Some(p) if p.txn == txn => option(&p.row),
                Some(_) => Seen::Blocked,
                None => option(&self.committed),
            },
            Read::Snapshot(seq, txn) => match own(txn) {
                Some(p) => option(&p.row),
                None if self.seq <= seq => option(&self.committed),
                None => match self.history.iter().rev().find(|(s, _)| *s <= seq) {
                    Some((_, row)) => option(row),
                    None => Seen::Nothing,
                },
            },
        }
    }

    /// Every version there is.
    fn versions(&self) -> impl Iterator<Item = &Row> {
        let pending = self.pending.as_ref().and_then(|p| p.row.as_ref());
        self.committed.iter().chain(pending).chain(self.history.iter().filter_map(|(_, row)| row.as_ref()))
    }

    fn is_settled(&self) -> bool {
        self.pending.is_none() && self.history.is_empty()
    }
}

fn option(row: &Option<Row>) -> Seen<'_> {
    row.as_ref().map_or(Seen::Nothing, Seen::Row)
}

impl Table {
    pub fn new(info: TableInfo) -> Self {
        let indexes = info.indexes.iter().map(|_| BTreeMap::new()).collect();
        let data = RwLock::new(Data { rows: BTreeMap::new(), indexes, next_heap: 0 });
        Self {
            info,
            data,
            identity: Arc::new(Mutex::new(None)),
            ranges: RangeLocks::default(),
            usage: Arc::default(),
        }
    }

    /// A successor with another definition, its rows rewritten by `change` (old row to new row).
    pub fn altered(&self, info: TableInfo, change: impl Fn(&Row) -> Row) -> Self {
        let (identity, usage) = (self.identity.clone(), self.usage.clone());
        let next = Self { identity, usage, ..Self::new(info) };
        {
            let old = self.read();
            let mut data = next.write();
            for slot in old.rows.values() {
                let first = slot.versions().next().map(&change);
                let Some(first) = first else { continue };
                let key = next.new_key(&mut data, &first);
                let committed = slot.committed.as_ref().map(&change);
                let pending =
                    slot.pending.as_ref().map(|p| Pending { txn: p.txn, row: p.row.as_ref().map(&change) });
                let slot = Slot { committed, seq: slot.seq, pending, history: Vec::new() };
                let rows: Vec<Row> = slot.versions().cloned().collect();
                rows.iter().for_each(|row| next.index_row(&mut data, &key, row));
                data.rows.insert(key, slot);
            }
        }
        next
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Data> {
        self.data.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Data> {
        self.data.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place a new row takes.
    pub fn new_key(&self, data: &mut Data, row: &[Datum]) -> Key {
        match self.info.clustered().map(|at| &self.info.indexes[at]) {
            Some(index) if index.unique => Key::from(index_key(index, row)),
            Some(index) => {
                let mut key = index_key(index, row);
                data.next_heap += 1;
                key.extend_from_slice(&data.next_heap.to_be_bytes());
                Key::from(key)
            }
            None => {
                data.next_heap += 1;
                Key::from(data.next_heap.to_be_bytes().as_slice())
            }
        }
    }

    /// Whether an update of `old` to `new` moves the row to another place.
    pub fn moves(&self, old: &[Datum], new: &[Datum]) -> bool {
        self.info.clustered().is_some_and(|at| {
            index_key(&self.info.indexes[at], old) != index_key(&self.info.indexes[at], new)
        })
    }

    fn index_row(&self, data: &mut Data, key: &Key, row: &[Datum]) {
        for (at, index) in self.info.indexes.iter().enumerate().filter(|(_, i)| !i.clustered) {
            data.indexes[at].insert(entry_key(index, row, key), key.clone());
        }
    }

    /// Removes entries of `gone` that no remaining version of the slot has.
    fn unindex(&self, data: &mut Data, key: &Key, gone: &[Row]) {
        for (at, index) in self.info.indexes.iter().enumerate().filter(|(_, i)| !i.clustered) {
            for row in gone {
                let entry = entry_key(index, row, key);
                let kept = data
                    .rows
                    .get(key)
                    .is_some_and(|slot| slot.versions().any(|v| entry_key(index, v, key) == entry));
                if !kept {
                    data.indexes[at].remove(&entry);
                }
            }
        }
    }

    /// Fills an empty table with committed rows that every snapshot sees. Maps built in order are dense.
    pub fn load(&self, rows: Vec<Row>) {
        let mut data = self.write();
        let mut placed = Vec::with_capacity(rows.len());
        for row in rows {
            placed.push((self.new_key(&mut data, &row), row));
        }
        for (at, index) in self.info.indexes.iter().enumerate().filter(|(_, i)| !i.clustered) {
            let entries = placed.iter().map(|(key, row)| (entry_key(index, row, key), key.clone()));
            data.indexes[at] = entries.collect();
        }
        let slot = |row| Slot { committed: Some(row), ..Slot::default() };
        data.rows = placed.into_iter().map(|(key, row)| (key, slot(row))).collect();
    }

    /// Sets the uncommitted version of a row; answers the one it replaces.
    pub fn set_pending(&self, data: &mut Data, key: &Key, txn: TxnId, row: Option<Row>) -> Option<Pending> {
        if let Some(row) = &row {
            self.index_row(data, key, row);
        }
        let slot = data.rows.entry(key.clone()).or_default();
        let previous = slot.pending.replace(Pending { txn, row });
        if let Some(old) = previous.as_ref().and_then(|p| p.row.clone()) {
            self.unindex(data, key, &[old]);
        }
        previous
    }

    /// Puts back what [`Self::set_pending`] answered.
    pub fn undo_pending(&self, key: &Key, previous: Option<Pending>) {
        let mut data = self.write();
        let Some(slot) = data.rows.get_mut(key) else { return };
        let gone: Vec<Row> = slot.pending.take().and_then(|p| p.row).into_iter().collect();
        if let Some(row) = previous.as_ref().and_then(|p| p.row.clone()) {
            slot.pending = previous;
            self.index_row(&mut data, key, &row);
        } else {
            slot.pending = previous;
        }
        self.unindex(&mut data, key, &gone);
        remove_empty(&mut data, key);
    }

    /// Makes the uncommitted version of `txn` the committed one; old versions stay while `keep` holds.
    /// Answers whether history was kept.
    pub fn commit(&self, key: &Key, txn: TxnId, seq: u64, keep: bool) -> bool {
        let mut data = self.write();
        let Some(slot) = data.rows.get_mut(key) else { return false };
        let Some(pending) = slot.pending.take_if(|p| p.txn == txn) else { return !slot.history.is_empty() };
        let old = std::mem::replace(&mut slot.committed, pending.row);
        let old_seq = std::mem::replace(&mut slot.seq, seq);
        if keep {
            slot.history.push((old_seq, old));
            return true;
        }
        let mut gone: Vec<Row> =
            std::mem::take(&mut slot.history).into_iter().filter_map(|(_, row)| row).collect();
        gone.extend(old);
        self.unindex(&mut data, key, &gone);
        remove_empty(&mut data, key);
        false
    }

    /// Drops versions older than any reader needs (`oldest` is the oldest snapshot, if one is open).
    pub fn purge(&self, key: &Key, oldest: Option<u64>) -> bool {
        let mut data = self.write();
        let Some(slot) = data.rows.get_mut(key) else { return true };
        let keep_from = match oldest {
            Some(oldest) if slot.seq > oldest => {
                slot.history.iter().rposition(|(s, _)| *s <= oldest).unwrap_or(0)
            }
            _ => slot.history.len(),
        };
        let gone: Vec<Row> = slot.history.drain(..keep_from).filter_map(|(_, row)| row).collect();
        let settled = slot.history.is_empty();
        self.unindex(&mut data, key, &gone);
        remove_empty(&mut data, key);
        settled
    }

    /// Reads up to `max` rows from where `after` left off. Blocked rows end the page before them.
    pub fn page(
        &self,
        range: &Range,
        after: &mut Option<Vec<u8>>,
        read: Read,
        max: usize,
        rows: &mut Vec<(Key, Row)>,
    ) -> PageEnd {
        let data = self.read();
        let Some((low, high)) = bounds(range, after.as_deref()) else { return PageEnd::Last };
        let index = range.index.filter(|at| !self.info.indexes[*at].clustered);
        let end = match index {
            Some(at) => {
                let entries = data.indexes[at].range::<[u8], _>((low, high));
                let entries = entries.map(|(entry, key)| (entry.as_ref(), key));
                walk_index(directed(entries, range.reverse), (&data, &self.info.indexes[at]), read, max, rows)
            }
            None => {
                let entries =
                    data.rows.range::<[u8], _>((low, high)).map(|(key, slot)| (key.as_ref(), (key, slot)));
                walk_rows(directed(entries, range.reverse), read, max, rows)
            }
        };
        if let Some(last) = end.1 {
            *after = Some(last);
        }
        end.0
    }

    /// The row at a key as a reader sees it; `Err` when it is blocked.
    pub fn row(&self, key: &Key, read: Read) -> Result<Option<Row>, ()> {
        match self.read().rows.get(key).map_or(Seen::Nothing, |slot| slot.see(read)) {
            Seen::Row(row) => Ok(Some(row.clone())),
            Seen::Nothing => Ok(None),
            Seen::Blocked => Err(()),
        }
    }

    /// Committed rows now (for sizes in the catalog).
    pub fn row_count(&self) -> usize {
        self.read().rows.len()
    }
}

fn remove_empty(data: &mut Data, key: &Key) {
    if data.rows.get(key).is_some_and(|s| s.is_settled() && s.committed.is_none()) {
        data.rows.remove(key);
    }
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The part still to read, or `None` when nothing is left.
fn bounds<'a>(range: &'a Range, after: Option<&'a [u8]>) -> Option<Bounds<'a>> {
    let (mut low, mut high) = (as_slice(&range.low), as_slice(&range.high));
    if let Some(after) = after {
        if range.reverse {
            high = Bound::Excluded(after);
        } else {
            low = Bound::Excluded(after);
        }
    }
    let empty = match (low, high) {
        (Bound::Included(l), Bound::Included(h)) => l > h,
        (Bound::Included(l) | Bound::Excluded(l), Bound::Included(h) | Bound::Excluded(h)) => l >= h,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    };
    (!empty).then_some((low, high))
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(b) => Bound::Included(b),
        Bound::Excluded(b) => Bound::Excluded(b),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn directed<'a, T: 'a>(
    iter: impl DoubleEndedIterator<Item = T> + 'a,
    reverse: bool,
) -> Box<dyn Iterator<Item = T> + 'a> {
    if reverse { Box::new(iter.rev()) } else { Box::new(iter) }
}

type Entries<'a, T> = Box<dyn Iterator<Item = (&'a [u8], T)> + 'a>;

fn walk_rows<'a>(
    entries: Entries<'a, (&'a Key, &'a Slot)>,
    read: Read,
    max: usize,
    rows: &mut Vec<(Key, Row)>,
) -> (PageEnd, Option<Vec<u8>>) {
    let mut last: Option<&[u8]> = None;
    for (looked, (place, (key, slot))) in entries.enumerate() {
        if looked == max {
            return (PageEnd::More, last.map(<[u8]>::to_vec));
        }
        match slot.see(read) {
            Seen::Row(row) => rows.push((key.clone(), row.clone())),
            Seen::Nothing => {}
            Seen::Blocked => return (PageEnd::Blocked(key.clone()), last.map(<[u8]>::to_vec)),
        }
        last = Some(place);
    }
    (PageEnd::Last, last.map(<[u8]>::to_vec))
}

fn walk_index<'a>(
    entries: Entries<'a, &'a Key>,
    (data, info): (&Data, &IndexInfo),
    read: Read,
    max: usize,
    rows: &mut Vec<(Key, Row)>,
) -> (PageEnd, Option<Vec<u8>>) {
    let mut last: Option<&[u8]> = None;
    for (looked, (place, key)) in entries.enumerate() {
        if looked == max {
            return (PageEnd::More, last.map(<[u8]>::to_vec));
        }
        if let Some(slot) = data.rows.get(key) {
            match slot.see(read) {
                Seen::Row(row) if slot.is_settled() || *entry_key(info, row, key) == *place => {
                    rows.push((key.clone(), row.clone()));
                }
                Seen::Row(_) | Seen::Nothing => {}
                Seen::Blocked => return (PageEnd::Blocked(key.clone()), last.map(<[u8]>::to_vec)),
            }
        }
        last = Some(place);
    }
    (PageEnd::Last, last.map(<[u8]>::to_vec))
}

/// The key bytes of a row in an index.
pub fn index_key(index: &IndexInfo, row: &[Datum]) -> Vec<u8> {
    let mut key = Vec::with_capacity(index.columns.len() * 10 + 10);
    for (column, descending) in &index.columns {
        compare::append_key(&row[*column], *descending, &mut key);
    }
    key
}

/// An index entry: key bytes, then the row's place.
pub fn entry_key(index: &IndexInfo, row: &[Datum], place: &Key) -> Box<[u8]> {
    let mut key = index_key(index, row);
    key.extend_from_slice(place);
    key.into_boxed_slice()
}
