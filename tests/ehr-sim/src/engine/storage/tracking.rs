//! Change Tracking: which keys changed in which committed version, and how far back that is known.
//!
//! Invariant `published-after-rows`: the current version counts a transaction only once its rows are committed.
//!
//! Facts: "About Change Tracking", "CHANGETABLE", "CHANGE_TRACKING_MIN_VALID_VERSION", "Manage Change Tracking".

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::guard;
use super::schema::TableInfo;
use super::table::index_key;
use crate::engine::value::temporal::{Moment, SECOND};
use crate::types::{Datum, Row};

/// A database's version counter and retention.
#[derive(Debug)]
pub struct DatabaseTracking {
    pub on: bool,
    pub retention_minutes: i64,
    pub auto_cleanup: bool,
    /// Version of the last committed transaction.
    pub version: i64,
    assigned: i64,
    /// When each version was committed, oldest first.
    commits: VecDeque<(i64, i128)>,
}

/// A tracked table's changes.
#[derive(Debug)]
pub struct TableTracking {
    pub database: Arc<Mutex<DatabaseTracking>>,
    /// Version at which tracking began.
    pub begin: i64,
    pub min_valid: i64,
    /// By key, oldest first: a snapshot may see an older one than the last.
    changes: BTreeMap<Vec<u8>, Vec<Change>>,
}

/// What last happened to a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub version: i64,
    /// Version of the insert, when it was tracked.
    pub created: Option<i64>,
    pub deleted: bool,
    pub key: Vec<Datum>,
}

/// Two days, as ALTER DATABASE has it without CHANGE_RETENTION.
const DEFAULT_RETENTION: i64 = 2 * 1440;

impl Default for DatabaseTracking {
    fn default() -> Self {
        Self {
            on: false,
            retention_minutes: DEFAULT_RETENTION,
            auto_cleanup: true,
            version: 0,
            assigned: 0,
            commits: VecDeque::new(),
        }
    }
}

impl DatabaseTracking {
    /// The version of a transaction about to commit.
    fn assign(&mut self, now: Moment) -> i64 {
        self.assigned = self.assigned.max(self.version) + 1;
        self.commits.push_back((self.assigned, now.total()));
        self.assigned
    }

    /// The newest version older than the retention period.
    fn cleanup_version(&mut self, now: Moment) -> i64 {
        let limit = now.total() - i128::from(self.retention_minutes) * 60 * i128::from(SECOND);
        let mut last = 0;
        if self.auto_cleanup {
            while let Some((version, _)) = self.commits.pop_front_if(|(_, at)| *at < limit) {
                last = version;
            }
        }
        last
    }
}

impl TableTracking {
    pub fn new(database: &Arc<Mutex<DatabaseTracking>>) -> Self {
        let begin = guard(database).version;
        Self { database: database.clone(), begin, min_valid: begin, changes: BTreeMap::new() }
    }

    /// Forgets what is past retention.
    pub fn clean(&mut self, now: Moment) {
        let cleaned = guard(&self.database).cleanup_version(now);
        if cleaned > self.min_valid {
            self.min_valid = cleaned;
            self.drop_until(cleaned);
        }
    }

    /// Forgets everything up to the current version.
    pub fn forget(&mut self) {
        self.min_valid = guard(&self.database).version;
        self.drop_until(self.min_valid);
    }

    /// Drops changes up to a version, but keeps what a later change of the key may need to know.
    fn drop_until(&mut self, version: i64) {
        self.changes.retain(|_, changes| {
            let newer = changes.last().is_some_and(|change| change.version > version);
            let old = changes.iter().filter(|change| change.version <= version).count();
            changes.drain(..old.saturating_sub(1));
            newer
        });
    }

    /// Net changes after a version and up to another, by key.
    pub fn between(&self, since: i64, until: i64) -> impl Iterator<Item = &Change> {
        let last = move |changes: &'_ Vec<Change>| changes.iter().rposition(|change| change.version <= until);
        let net = self.changes.values().filter_map(move |changes| changes.get(last(changes)?));
        net.filter(move |change| change.version > since)
    }

    fn note(&mut self, info: &TableInfo, row: &Row, version: i64, what: What) {
        let Some(primary) = info.primary_key() else { return };
        let bytes = index_key(primary, row);
        let key = primary.columns.iter().map(|(at, _)| row[*at].clone()).collect();
        let changes = self.changes.entry(bytes).or_default();
        let known = changes.last().filter(|c| !c.deleted).and_then(|c| c.created);
        let created = match what {
            What::Inserted => Some(version),
            What::Updated | What::Deleted => known,
        };
        let change = Change { version, created, deleted: what == What::Deleted, key };
        match changes.last_mut() {
            Some(last) if last.version == version => *last = change,
            _ => changes.push(change),
        }
    }

    /// TRUNCATE: nothing before this version can be told any more.
    fn restart(&mut self, version: i64) {
        self.changes.clear();
        self.min_valid = version;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Inserted,
    Updated,
    Deleted,
}

/// The versions one commit draws, one per database it tracks.
pub struct Tracker {
    now: Moment,
    drawn: Vec<(Arc<Mutex<DatabaseTracking>>, i64)>,
}

impl Tracker {
    pub fn new(now: Moment) -> Self {
        Self { now, drawn: Vec::new() }
    }

    fn version(&mut self, database: &Arc<Mutex<DatabaseTracking>>) -> i64 {
        if let Some((_, version)) = self.drawn.iter().find(|(known, _)| Arc::ptr_eq(known, database)) {
            return *version;
        }
        let version = guard(database).assign(self.now);
        self.drawn.push((database.clone(), version));
        version
    }

    /// Notes one row's change from its committed version to the one about to be.
    pub fn row(&mut self, info: &TableInfo, old: Option<&Row>, new: Option<&Row>) {
        let Some(tracking) = &info.tracking else { return };
        let mut tracking = guard(tracking);
        let same_key = |a: &Row, b: &Row| {
            info.primary_key().is_some_and(|primary| index_key(primary, a) == index_key(primary, b))
        };
        let version = match (old, new) {
            (None, None) => return,
            _ => self.version(&tracking.database.clone()),
        };
        match (old, new) {
            (Some(old), Some(new)) if same_key(old, new) => tracking.note(info, new, version, What::Updated),
            (old, new) => {
                if let Some(old) = old {
                    tracking.note(info, old, version, What::Deleted);
                }
                if let Some(new) = new {
                    tracking.note(info, new, version, What::Inserted);
                }
            }
        }
    }

    /// A truncated table starts over.
    pub fn truncated(&mut self, info: &TableInfo) {
        let Some(tracking) = &info.tracking else { return };
        let database = guard(tracking).database.clone();
        let version = self.version(&database);
        guard(tracking).restart(version);
    }

    /// The rows are committed: the versions count.
    pub fn publish(self) {
        for (database, version) in self.drawn {
            let mut database = guard(&database);
            database.version = database.version.max(version);
        }
    }
}
