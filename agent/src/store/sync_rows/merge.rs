//! Runs into the settled pages.
//!
//! A step takes the names below a bound out of every run, merges them in their order and changes the settled pages with them,
//! all in one transaction; what is left of a run's page is written back. So a step may be the last one for whatever reason,
//! and memory is bounded by one page of each run.

use std::collections::BinaryHeap;
use std::{cmp::Reverse, vec};

use rusqlite::{OptionalExtension, params};

use super::page::{Change, Entry, Page, write_back, write_entries};
use super::{Hash, Mark, Need, PAGES, RowMarks};
use crate::store::StoreError;

impl RowMarks<'_> {
    /// Puts in place what is needed, in this transaction.
    ///
    /// # Errors
    /// SQLite refused a statement, or what lies in the store is damaged.
    pub fn settle(&self, need: Need) -> Result<(), StoreError> {
        while self.settle_some(need, SETTLED_AT_ONCE)? {}
        Ok(())
    }

    /// Puts about `most` marks in place of what is needed; false when nothing is left to do. For a caller that does not want one
    /// long transaction.
    ///
    /// # Errors
    /// SQLite refused a statement, or what lies in the store is damaged.
    pub fn settle_some(&self, need: Need, most: u64) -> Result<bool, StoreError> {
        if self.absorb(most)? {
            return Ok(true);
        }
        if !self.is_needed(need)? {
            return Ok(false);
        }
        let runs = match need {
            Need::Delivered { .. } => "run > 0",
            Need::All => "run <> 0",
        };
        let mut merged = Merged::new(self, runs, most)?;
        self.apply(&mut merged)?;
        merged.write_back()?;
        Ok(true)
    }

    fn is_needed(&self, need: Need) -> Result<bool, StoreError> {
        let sql = "SELECT oldest FROM sync_page WHERE job = ?1 AND run > 0 ORDER BY run LIMIT 1";
        let mut delivered = self.tx.prepare_cached(sql)?;
        let delivered = delivered.query_row([self.job], |row| row.get::<_, i64>(0)).optional()?;
        Ok(match need {
            Need::Delivered { within } => {
                delivered.is_some_and(|round| within.is_none_or(|own| round.cast_unsigned() != own))
            }
            Need::All => {
                let seen = "SELECT 1 FROM sync_page WHERE job = ?1 AND run < 0 LIMIT 1";
                delivered.is_some() || self.tx.prepare_cached(seen)?.exists([self.job])?
            }
        })
    }

    /// Takes over marks that an earlier version put down one by one; false when there are none.
    fn absorb(&self, most: u64) -> Result<bool, StoreError> {
        let sql = "SELECT row, digest, key, round FROM sync_row WHERE job = ?1 ORDER BY row LIMIT ?2";
        let mut statement = self.tx.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.job, most.min(ABSORBED_AT_ONCE).cast_signed()])?;
        let (purpose, mut found) = (format!("sync row {}", self.job), Vec::new());
        while let Some(row) = rows.next()? {
            let key = self.store.unseal(&purpose, &row.get::<_, Vec<u8>>(2)?)?;
            found.push(Entry { row: row.get(0)?, digest: row.get(1)?, round: row.get(3)?, key });
        }
        let Some(last) = found.last().map(|entry| entry.row) else { return Ok(false) };
        self.apply(found.into_iter().map(|entry| Ok(entry.into())))?;
        let sql = "DELETE FROM sync_row WHERE job = ?1 AND row <= ?2";
        self.tx.execute(sql, params![self.job, last])?;
        Ok(true)
    }

    /// Changes the settled pages; the changes come in the order of their rows.
    pub(super) fn apply(
        &self,
        changes: impl Iterator<Item = Result<Change, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut changes = changes.peekable();
        while let Some(first) = changes.next().transpose()? {
            let row = first.mark.row();
            let (page, end) = (self.page_of(&row)?, self.next_page(&row)?);
            let mut group = vec![first];
            let is_of_page = |change: &Result<Change, StoreError>| {
                change.as_ref().is_ok_and(|change| end.is_none_or(|end| change.mark.row() < end))
            };
            while group.len() < GROUP {
                let Some(next) = changes.next_if(is_of_page) else { break };
                group.push(next?);
            }
            self.rewrite(page, group)?;
        }
        Ok(())
    }

    fn next_page(&self, row: &Hash) -> Result<Option<Hash>, StoreError> {
        let sql = "SELECT min(first) FROM sync_page WHERE job = ?1 AND run = 0 AND first > ?2";
        Ok(self.tx.prepare_cached(sql)?.query_row(params![self.job, row], |row| row.get(0))?)
    }

    fn rewrite(&self, page: Option<Page>, group: Vec<Change>) -> Result<(), StoreError> {
        let is_seen = group.iter().all(|change| matches!(change.mark, Mark::Seen(_)));
        let entries = match page {
            None if is_seen => return Ok(()),
            None => Vec::new(),
            Some(mut page) if is_seen => {
                return if page.see(&group) { page.write_rounds(self) } else { Ok(()) };
            }
            Some(page) => {
                self.remove(&page)?;
                page.entries(self)?
            }
        };
        write_entries(self, 0, &changed(entries, group))
    }

    fn remove(&self, page: &Page) -> Result<(), StoreError> {
        self.tx.prepare_cached("DELETE FROM sync_page WHERE id = ?1")?.execute([page.id])?;
        Ok(())
    }
}

/// The rows of a page after the changes, both in their order.
fn changed(entries: Vec<Entry>, group: Vec<Change>) -> Vec<Entry> {
    let mut done: Vec<Entry> = Vec::with_capacity(entries.len() + group.len());
    let mut entries = entries.into_iter().peekable();
    for Change { mark, round } in group {
        let row = mark.row();
        while let Some(before) = entries.next_if(|entry| entry.row <= row) {
            done.push(before);
        }
        let known = done.last_mut().filter(|entry| entry.row == row);
        match (mark, known) {
            (Mark::Seen(_), Some(entry)) => entry.round = entry.round.max(round),
            (Mark::Seen(_) | Mark::Gone(_), None) => {}
            (Mark::Gone(_), Some(_)) => drop(done.pop()),
            (Mark::Delivered { digest, .. }, Some(entry)) => {
                (entry.digest, entry.round) = (digest, entry.round.max(round));
            }
            (Mark::Delivered { digest, key, .. }, None) => done.push(Entry { row, digest, round, key }),
        }
    }
    done.extend(entries);
    done
}

/// The marks below a bound, out of all runs in their order.
struct Merged<'m> {
    marks: &'m RowMarks<'m>,
    end: Option<Hash>,
    runs: Vec<RunLeft>,
    next: BinaryHeap<Reverse<(Hash, bool, u64, usize)>>,
}

/// What is left of a run.
struct RunLeft {
    run: i64,
    changes: vec::IntoIter<Change>,
}

impl<'m> Merged<'m> {
    fn new(marks: &'m RowMarks<'m>, runs: &str, most: u64) -> Result<Self, StoreError> {
        let found = format!("SELECT DISTINCT run FROM sync_page WHERE job = ?1 AND {runs}");
        let mut statement = marks.tx.prepare_cached(&found)?;
        let found = statement.query_map([marks.job], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        let left = |run| RunLeft { run, changes: Vec::new().into_iter() };
        let end = bound(marks, runs, most)?;
        let runs: Vec<RunLeft> = found.into_iter().map(left).collect();
        let mut merged = Self { marks, end, next: BinaryHeap::with_capacity(runs.len()), runs };
        for at in 0..merged.runs.len() {
            merged.advance(at)?;
        }
        Ok(merged)
    }

    /// Lines up the run's next mark, if it has one below the bound.
    fn advance(&mut self, at: usize) -> Result<(), StoreError> {
        let Some(left) = self.runs.get_mut(at) else { return Ok(()) };
        if left.changes.as_slice().is_empty() {
            left.changes = take_page(self.marks, left.run, self.end)?.into_iter();
        }
        let Some(change) = left.changes.as_slice().first() else { return Ok(()) };
        let row = change.mark.row();
        if self.end.is_none_or(|end| row < end) {
            self.next.push(Reverse((row, left.run < 0, left.run.unsigned_abs(), at)));
        }
        Ok(())
    }

    fn write_back(self) -> Result<(), StoreError> {
        let Self { marks, runs, .. } = self;
        runs.into_iter().try_for_each(|left| write_back(marks, left.run, left.changes.collect()))
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Change, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((.., at)) = self.next.pop()?;
        let change = self.runs.get_mut(at)?.changes.next()?;
        Some(self.advance(at).map(|()| change))
    }
}

/// Takes the first page of a run out of the store, if it begins below the bound.
fn take_page(marks: &RowMarks<'_>, run: i64, end: Option<Hash>) -> Result<Vec<Change>, StoreError> {
    let sql = format!("{PAGES} WHERE job = ?1 AND run = ?2 AND first < ?3 ORDER BY first LIMIT 1");
    // Longer than any name, so above all of them.
    let end = end.map_or_else(|| vec![u8::MAX; size_of::<Hash>() + 1], |end| end.to_vec());
    let mut statement = marks.tx.prepare_cached(&sql)?;
    let page = statement.query_row(params![marks.job, run, end], Page::read).optional()?;
    let Some(page) = page else { return Ok(Vec::new()) };
    marks.remove(&page)?;
    page.changes(marks)
}

/// The name below which about `most` marks lie in the runs; none when that are all. Names are hashes, spread evenly.
fn bound(marks: &RowMarks<'_>, runs: &str, most: u64) -> Result<Option<Hash>, StoreError> {
    let sql = format!("SELECT sum(rows), min(first) FROM sync_page WHERE job = ?1 AND {runs}");
    let found: (Option<i64>, Option<Hash>) =
        marks.tx.query_row(&sql, [marks.job], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(rows), Some(first)) = found else { return Ok(None) };
    let rows = u128::from(rows.cast_unsigned());
    if rows <= u128::from(most) {
        return Ok(None);
    }
    let least = u128::from_be_bytes(first);
    let share = (u128::MAX - least) / rows * u128::from(most);
    // At least one mark moves, however uneven the names are.
    Ok(Some(least.saturating_add(share.max(1)).to_be_bytes()))
}

/// Marks that are merged in one transaction: the work of a tenth of a second.
pub const SETTLED_AT_ONCE: u64 = 200_000;
/// Marks of an earlier version that are held in memory together.
const ABSORBED_AT_ONCE: u64 = 20_000;
/// Changes of one page that are made together.
const GROUP: usize = 1024;
