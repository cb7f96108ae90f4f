//! Transactions: what was written, how to undo it, and the moment it becomes visible.
//!
//! Order at commit: rows become committed under the commit clock, metadata follows, then the rowversion holdback
//! ends, then locks go. So who reads `MIN_ACTIVE_ROWVERSION()` and then the rows misses nothing below it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::cell::Versioned;
use super::database::Database;
use super::schema::Metadata;
use super::table::{Pending, Table};
use super::tracking::Tracker;
use super::{Key, TxnId, guard};
use crate::engine::principal::ServerMetadata;
use crate::engine::value::temporal::Moment;
use crate::types::{DateTimeValue, Row};

/// One step to take back.
enum Undo {
    Row { table: Arc<Table>, key: Key, previous: Option<Pending> },
    Metadata { database: Arc<Database>, previous: Option<Arc<Metadata>> },
    Server { previous: Option<Arc<ServerMetadata>> },
}

/// A transaction under way.
pub struct Transaction {
    pub id: TxnId,
    pub name: String,
    pub began: DateTimeValue,
    /// Commit sequence it reads as of (SNAPSHOT isolation).
    pub snapshot: Option<u64>,
    /// Change Tracking's version of each database as of the snapshot.
    pub tracked: BTreeMap<u16, i64>,
    /// Only ROLLBACK is left (3930).
    pub doomed: bool,
    undo: Vec<Undo>,
    writes: Vec<(Arc<Table>, Key)>,
    databases: Vec<Arc<Database>>,
    savepoints: Vec<(String, usize)>,
    server_written: bool,
    truncated: Vec<Arc<Table>>,
    /// Tables with key ranges it holds.
    ranged: Vec<Arc<Table>>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transaction({}, {} rows)", self.id.0, self.writes.len())
    }
}

/// The instance's commit clock and open snapshots.
#[derive(Debug, Default)]
pub struct CommitClock(Mutex<Clock>);

#[derive(Debug, Default)]
struct Clock {
    seq: u64,
    snapshots: BTreeMap<u64, usize>,
    versioned: Vec<(Arc<Table>, Key)>,
}

impl CommitClock {
    /// Opens a snapshot as of now.
    pub fn open_snapshot(&self) -> u64 {
        self.open_snapshot_with(|| ()).0
    }

    /// Opens a snapshot and looks at something else of the same moment.
    pub fn open_snapshot_with<T>(&self, look: impl FnOnce() -> T) -> (u64, T) {
        let mut clock = guard(&self.0);
        let seq = clock.seq;
        *clock.snapshots.entry(seq).or_insert(0) += 1;
        (seq, look())
    }

    /// Closes it and drops versions nobody needs.
    pub fn close_snapshot(&self, seq: u64) {
        let mut clock = guard(&self.0);
        if let Some(count) = clock.snapshots.get_mut(&seq) {
            *count -= 1;
            if *count == 0 {
                clock.snapshots.remove(&seq);
            }
        }
        let oldest = clock.snapshots.keys().next().copied();
        clock.versioned.retain(|(table, key)| !table.purge(key, oldest));
    }
}

impl Transaction {
    pub fn new(id: TxnId, name: String, began: DateTimeValue) -> Self {
        Self {
            id,
            name,
            began,
            snapshot: None,
            tracked: BTreeMap::new(),
            doomed: false,
            undo: Vec::new(),
            writes: Vec::new(),
            databases: Vec::new(),
            savepoints: Vec::new(),
            server_written: false,
            truncated: Vec::new(),
            ranged: Vec::new(),
        }
    }

    /// Rows written: its weight as a deadlock victim.
    pub fn cost(&self) -> usize {
        self.writes.len()
    }

    /// Writes an uncommitted version (`None` deletes). The caller holds the row's X lock.
    pub fn put(&mut self, table: &Arc<Table>, data: &mut super::table::Data, key: &Key, row: Option<Row>) {
        let previous = table.set_pending(data, key, self.id, row);
        if previous.is_none() {
            self.writes.push((table.clone(), key.clone()));
        }
        self.undo.push(Undo::Row { table: table.clone(), key: key.clone(), previous });
    }

    /// Rows of this transaction that an ALTER copied into `new` are its rows there too.
    pub fn follow(&mut self, new: &Arc<Table>) {
        let data = new.read();
        let own = data.rows.iter().filter(|(_, s)| s.pending.as_ref().is_some_and(|p| p.txn == self.id));
        let keys: Vec<Key> = own.map(|(key, _)| key.clone()).collect();
        drop(data);
        self.writes.extend(keys.into_iter().map(|key| (new.clone(), key)));
    }

    pub fn put_metadata(&mut self, database: &Arc<Database>, metadata: Metadata) {
        let previous = database.metadata.write(self.id, metadata);
        self.touch(database);
        self.undo.push(Undo::Metadata { database: database.clone(), previous });
    }

    pub fn put_server(&mut self, cell: &Versioned<ServerMetadata>, metadata: ServerMetadata) {
        let previous = cell.write(self.id, metadata);
        self.server_written = true;
        self.undo.push(Undo::Server { previous });
    }

    /// Remembers a database whose stamps or metadata it holds.
    pub fn touch(&mut self, database: &Arc<Database>) {
        if !self.databases.iter().any(|d| d.id == database.id) {
            self.databases.push(database.clone());
        }
    }

    /// Change Tracking of a truncated table starts over when this commits.
    pub fn truncates(&mut self, table: &Arc<Table>) {
        self.truncated.push(table.clone());
    }

    /// Remembers a table it holds a key range of.
    pub fn holds_range_of(&mut self, table: &Arc<Table>) {
        if !self.ranged.iter().any(|t| Arc::ptr_eq(t, table)) {
            self.ranged.push(table.clone());
        }
    }

    /// A point to return to.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    pub fn save(&mut self, name: String) {
        self.savepoints.push((name, self.undo.len()));
    }

    /// The mark of the latest savepoint of that name.
    pub fn savepoint(&mut self, name: &str) -> Option<usize> {
        let at = self.savepoints.iter().rposition(|(n, _)| n == name)?;
        self.savepoints.truncate(at + 1);
        Some(self.savepoints[at].1)
    }

    /// Undoes everything after a mark.
    pub fn undo_to(&mut self, mark: usize, server: &Versioned<ServerMetadata>) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Row { table, key, previous }) => table.undo_pending(&key, previous),
                Some(Undo::Metadata { database, previous }) => database.metadata.undo(self.id, previous),
                Some(Undo::Server { previous }) => server.undo(self.id, previous),
                None => {}
            }
        }
        self.savepoints.retain(|(_, at)| *at <= mark);
    }

    /// What a statement wrote into table variables stays, whatever becomes of the transaction.
    pub fn keep_variables(&mut self, mark: usize, clock: &CommitClock) {
        let variable = |table: &Table| table.info.name.starts_with('@');
        let of_variable = |step: &Undo| matches!(step, Undo::Row { table, .. } if variable(table));
        if !self.undo.iter().skip(mark).any(of_variable) {
            return;
        }
        let later = self.undo.split_off(mark);
        self.undo.extend(later.into_iter().filter(|step| !of_variable(step)));
        let (kept, others) = std::mem::take(&mut self.writes).into_iter().partition(|(t, _)| variable(t));
        self.writes = others;
        let kept: Vec<(Arc<Table>, Key)> = kept;
        let mut clock = guard(&clock.0);
        clock.seq += 1;
        for (table, key) in &kept {
            table.commit(key, self.id, clock.seq, false);
        }
    }

    /// Makes everything visible. Locks are the caller's to release afterwards.
    pub fn commit(self, clock: &CommitClock, server: &Versioned<ServerMetadata>, now: Moment) {
        if !self.writes.is_empty() {
            let mut clock = guard(&clock.0);
            let seq = clock.seq + 1;
            let keep = clock.snapshots.keys().next().is_some();
            let mut tracker = Tracker::new(now);
            for (table, key) in &self.writes {
                self.track(&mut tracker, table, key);
                if table.commit(key, self.id, seq, keep) {
                    clock.versioned.push((table.clone(), key.clone()));
                }
            }
            self.truncated.iter().for_each(|table| tracker.truncated(&table.info));
            clock.seq = seq;
            tracker.publish();
        }
        if self.server_written {
            server.commit(self.id);
        }
        for database in &self.databases {
            database.metadata.commit(self.id);
            database.end(self.id);
        }
        self.ranged.iter().for_each(|table| table.ranges.forget(self.id));
    }

    /// Tells Change Tracking of a row about to be committed.
    fn track(&self, tracker: &mut Tracker, table: &Arc<Table>, key: &Key) {
        let truncated = self.truncated.iter().any(|t| t.info.object_id == table.info.object_id);
        if table.info.tracking.is_none() || truncated {
            return;
        }
        let data = table.read();
        let Some(slot) = data.rows.get(key) else { return };
        let Some(pending) = slot.pending.as_ref().filter(|p| p.txn == self.id) else { return };
        tracker.row(&table.info, slot.committed.as_ref(), pending.row.as_ref());
    }

    /// Takes everything back.
    pub fn rollback(mut self, server: &Versioned<ServerMetadata>) {
        self.undo_to(0, server);
        for database in &self.databases {
            database.end(self.id);
        }
        self.ranged.iter().for_each(|table| table.ranges.forget(self.id));
    }
}
