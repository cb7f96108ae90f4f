//! What a digest job knows of the rows it delivered: one mark per row, without any value in clear.
//!
//! A row is named by a keyed hash of its key and judged by a keyed hash of its cells; the key itself is kept sealed, because
//! a delete must name it. Marks change in the same transaction as the batch and the progress they belong to. Marks of a former
//! epoch are dropped when the new one begins.
//!
//! Names of rows come in no order, so marks that are put in place one by one dirty a page of the store each. They lie packed,
//! some eighty to a page of the store ([`page`]), the settled ones in one sequence in the order of their names. What a snapshot
//! delivers and what a sweep sees is set aside as it comes, each put a sorted run of its own, and merged into that sequence
//! before the first question that needs it ([`merge`]). Invariants: a mark lies in a run or in the settled pages, never in
//! both, so that a kill between two transactions neither loses nor doubles one; runs are merged in the order they came.
//!
//! Rejected: runs kept for good and looked through level by level (LSM), which makes every comparison of a row dearer in order
//! to save a merge that is a hundredth of reading the rows.

mod merge;
mod page;

use std::cmp::Reverse;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError, migrations::Step};
pub use merge::SETTLED_AT_ONCE;
use page::{Change, Page};
pub use rows::digest::{HASH_BYTES, Hash};

/// The table's steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[
    Step::adds(
        "
    CREATE TABLE sync_row (
        job    TEXT NOT NULL,
        row    BLOB NOT NULL,     -- keyed hash of the key
        digest BLOB NOT NULL,     -- keyed hash of the cells
        key    BLOB NOT NULL,     -- sealed
        round  INTEGER NOT NULL,  -- of the last sweep that saw it
        PRIMARY KEY (job, row)
    ) STRICT, WITHOUT ROWID;
",
    ),
    // What lies in `sync_row` is taken over at a job's first question, before its runs.
    Step::rewrites(
        "
    CREATE TABLE sync_page (
        id     INTEGER PRIMARY KEY,
        job    TEXT NOT NULL,
        run    INTEGER NOT NULL,  -- 0: settled; above: delivered, below: seen, in the order they came
        first  BLOB NOT NULL,     -- the least name of a row in it
        rows   INTEGER NOT NULL,
        oldest INTEGER NOT NULL,  -- least round of its rows
        marks  BLOB NOT NULL,
        keys   BLOB NOT NULL      -- sealed as one; empty where rows were only seen
    ) STRICT;
    CREATE UNIQUE INDEX sync_page_first ON sync_page (job, run, first);
    CREATE INDEX sync_page_oldest ON sync_page (job, run, oldest, rows);
",
    ),
];

/// A change of the marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// The row was seen as it was known.
    Seen(Hash),
    /// The row is new or changed.
    Delivered {
        /// Keyed hash of the key.
        row: Hash,
        /// Keyed hash of the cells.
        digest: Hash,
        /// The key, in clear: it is sealed on its way into the store.
        key: Vec<u8>,
    },
    /// The row is gone.
    Gone(Hash),
}

impl Mark {
    fn row(&self) -> Hash {
        match self {
            Self::Seen(row) | Self::Delivered { row, .. } | Self::Gone(row) => *row,
        }
    }
}

/// When changes are put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Before the next question that needs them. For a snapshot and for a sweep, which come to no row twice.
    Aside,
    /// At once.
    InPlace,
}

/// What was set aside and has to be in place first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What was delivered before this round. Digests ask so: what a sweep delivered itself it does not meet again.
    Delivered {
        /// The round of the sweep that asks; none for anybody else.
        within: Option<u64>,
    },
    /// Everything. Counts ask so.
    All,
}

/// What lies in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Delivered,
    Seen,
}

/// What is known of a row that a sweep did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Keyed hash of the key.
    pub row: Hash,
    /// The key, in clear.
    pub key: Vec<u8>,
}

/// The marks of one job.
#[derive(Debug, Clone, Copy)]
pub struct RowMarks<'t> {
    tx: &'t Transaction<'t>,
    store: &'t Store,
    job: &'t str,
}

impl<'t> RowMarks<'t> {
    /// The marks of `job` within a transaction of `store`.
    pub fn new(tx: &'t Transaction<'t>, store: &'t Store, job: &'t str) -> Self {
        Self { tx, store, job }
    }

    /// The known digest of each row, in the order asked for; `None` for a row that is not known. `within` is the round of the
    /// sweep that asks, which does not ask for what it delivered itself.
    ///
    /// # Errors
    /// SQLite refused a statement, or what lies in the store is damaged.
    pub fn digests(&self, rows: &[Hash], within: Option<u64>) -> Result<Vec<Option<Hash>>, StoreError> {
        self.settle(Need::Delivered { within })?;
        let mut found = vec![None; rows.len()];
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_unstable_by_key(|at| rows[*at]);
        let mut page: Option<Page> = None;
        for at in order {
            if page.as_ref().is_none_or(|page| page.is_before(&rows[at])) {
                page = self.page_of(&rows[at])?;
            }
            found[at] = page.as_ref().and_then(|page| page.digest(&rows[at]));
        }
        Ok(found)
    }

    /// Carries out the changes for a sweep.
    ///
    /// # Errors
    /// SQLite refused a statement, or what lies in the store is damaged.
    pub fn put(&self, round: u64, marks: Vec<Mark>, put: Put) -> Result<(), StoreError> {
        let is_seen = |mark: &Mark| matches!(mark, Mark::Seen(_));
        let is_delivered = |mark: &Mark| matches!(mark, Mark::Delivered { .. });
        match put {
            Put::Aside if marks.iter().all(is_delivered) => self.set_aside(round, &marks, Run::Delivered),
            // Where a row was seen makes no difference to what else becomes of it, so that can wait for longer.
            Put::Aside => {
                let (seen, others): (Vec<_>, Vec<_>) = marks.into_iter().partition(is_seen);
                self.change(round, others)?;
                self.set_aside(round, &seen, Run::Seen)
            }
            Put::InPlace => self.change(round, marks),
        }
    }

    /// Up to `limit` rows that the sweep of this round did not see.
    ///
    /// # Errors
    /// SQLite refused a statement, or what lies in the store is damaged.
    pub fn unseen(&self, round: u64, limit: usize) -> Result<Vec<Unseen>, StoreError> {
        self.settle(Need::All)?;
        let mut statement =
            self.tx.prepare_cached(&format!("{PAGES} WHERE job = ?1 AND run = 0 AND oldest < ?2"))?;
        let mut pages = statement.query(params![self.job, round.cast_signed()])?;
        let mut unseen = Vec::new();
        while let Some(row) = pages.next()? {
            if unseen.len() >= limit {
                break;
            }
            let entries = Page::read(row)?.entries(self)?;
            let missed = entries.into_iter().filter(|entry| u64::from(entry.round) < round);
            unseen.extend(missed.map(|entry| Unseen { row: entry.row, key: entry.key }));
        }
        unseen.truncate(limit);
        Ok(unseen)
    }

    /// How many rows are known, and how many of them the sweep of this round did not see.
    ///
    /// # Errors
    /// SQLite refused a statement, or what lies in the store is damaged.
    pub fn count(&self, round: u64) -> Result<(u64, u64), StoreError> {
        self.settle(Need::All)?;
        let sql = "SELECT coalesce(sum(rows), 0) FROM sync_page WHERE job = ?1 AND run = 0";
        let known: i64 = self.tx.query_row(sql, [self.job], |row| row.get(0))?;
        let mut statement =
            self.tx.prepare_cached(&format!("{PAGES} WHERE job = ?1 AND run = 0 AND oldest < ?2"))?;
        let mut pages = statement.query(params![self.job, round.cast_signed()])?;
        let mut missed = 0;
        while let Some(row) = pages.next()? {
            missed += Page::read(row)?.rounds().filter(|seen| u64::from(*seen) < round).count() as u64;
        }
        Ok((known.cast_unsigned(), missed))
    }

    /// Forgets every row.
    ///
    /// # Errors
    /// SQLite refused a statement.
    pub fn forget(&self) -> Result<(), StoreError> {
        self.tx.execute("DELETE FROM sync_page WHERE job = ?1", [self.job])?;
        self.tx.execute("DELETE FROM sync_row WHERE job = ?1", [self.job])?;
        Ok(())
    }

    fn change(&self, round: u64, mut marks: Vec<Mark>) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        self.settle(Need::Delivered { within: None })?;
        // Marks of one row keep their order.
        marks.sort_by_key(Mark::row);
        self.apply(marks.into_iter().map(|mark| Ok(Change { mark, round: page::short(round) })))
    }

    fn set_aside(&self, round: u64, marks: &[Mark], kind: Run) -> Result<(), StoreError> {
        // By numbers: they are compared more quickly than bytes. Of marks of one row the last one counts.
        let place = |(at, mark): (usize, &Mark)| (u128::from_be_bytes(mark.row()), Reverse(at));
        let mut order: Vec<_> = marks.iter().enumerate().map(place).collect();
        order.sort_unstable();
        order.dedup_by_key(|(row, _)| *row);
        let sql = match kind {
            Run::Delivered => "SELECT max(0, max(run)) + 1 FROM sync_page WHERE job = ?1",
            Run::Seen => "SELECT min(0, min(run)) - 1 FROM sync_page WHERE job = ?1",
        };
        let next: Option<i64> = self.tx.prepare_cached(sql)?.query_row([self.job], |row| row.get(0))?;
        let first = match kind {
            Run::Delivered => 1,
            Run::Seen => -1,
        };
        let sorted = order.iter().filter_map(|(_, Reverse(at))| marks.get(*at));
        page::write(self, next.unwrap_or(first), page::short(round), sorted)
    }

    /// The settled page in which the row's mark lies, if it has one.
    fn page_of(&self, row: &Hash) -> Result<Option<Page>, StoreError> {
        let sql = format!("{PAGES} WHERE job = ?1 AND run = 0 AND first <= ?2 ORDER BY first DESC LIMIT 1");
        let mut statement = self.tx.prepare_cached(&sql)?;
        Ok(statement.query_row(params![self.job, row], Page::read).optional()?)
    }
}

const PAGES: &str = "SELECT id, run, oldest, marks, keys FROM sync_page";

#[cfg(test)]
mod tests;
