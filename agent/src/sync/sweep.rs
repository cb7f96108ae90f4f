//! The sweep: every row looked at in key order, for what the cursor cannot see.
//!
//! Whole rows are compared with what was delivered, or keys alone are ticked off. After the last page the rows that this
//! round did not see are looked up one by one, because a scan may miss a row that another index moves meanwhile; those that
//! are gone are delivered as deletes. A sweep that would delete more than half of the known rows stops before it does: an
//! empty answer must not empty the destination. A sweep that is interrupted goes on where it was, and as deep. Once a night
//! a job whose sweeps tick off keys compares whole rows as well (`audit`).

use std::collections::HashSet;

use chrono::Local;

use crate::mssql::{Param, RowBlock};
use crate::store::sync_rows::Hash;

use super::SyncError;
use super::cursor::{Phase, Reading, Sweep};
use super::faults::Step;
use super::pass::{Ending, Pass, unix_now};
use super::query::{key_page, rows_of, sweep_page};
use super::reader::{Keep, Reader};
use super::row_key::RowNames;
use super::spec::Cursor;

/// What a sweep looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Keys: finds deletes.
    Keys,
    /// Whole rows: finds changes as well.
    Rows,
}

impl Pass<'_> {
    /// True when the job's sweep is under way or its time has come.
    pub(super) fn sweep_is_due(&self) -> bool {
        let (sweep, now) = (&self.state.progress.sweep, unix_now());
        self.state.spec.sweep.is_some_and(|every| {
            // A clock that was set back must not put sweeps off.
            sweep.after.is_some() || sweep.ended > now || now - sweep.ended >= every.as_secs()
        })
    }

    /// True when the nightly look at whole rows has not been since its time came.
    pub(super) fn audit_is_due(&self) -> bool {
        let (spec, sweep) = (&self.state.spec, &self.state.progress.sweep);
        // A digest job compares whole rows in every pass, a full one keeps nothing to compare with.
        if !spec.keeps_marks() || matches!(spec.cursor, Cursor::Digest | Cursor::Full) {
            return false;
        }
        let last = if sweep.audited == 0 { sweep.ended } else { sweep.audited };
        spec.timing.audit_due(Local::now()).is_some_and(|due| last < due || last > unix_now())
    }

    /// Compares every row with what was delivered. A round that ticks off keys is ended first.
    pub(super) async fn audit(&mut self) -> Result<Ending, SyncError> {
        let sweep = &self.state.progress.sweep;
        if sweep.after.is_some() && !sweep.deep && self.depth() == Depth::Keys {
            let ending = self.sweep(Depth::Keys).await?;
            if ending != Ending::CaughtUp {
                return Ok(ending);
            }
        }
        self.sweep(Depth::Rows).await
    }

    /// What a sweep of this job looks at when nobody asks for more.
    pub(super) fn depth(&self) -> Depth {
        match self.state.spec.cursor {
            Cursor::Rowversion(_) if self.state.spec.joins.is_empty() => Depth::Keys,
            // A rowversion tells every change of its own table, and none of one that is joined.
            Cursor::Rowversion(_)
            | Cursor::ChangeTracking
            | Cursor::Datetime(_)
            | Cursor::Digest
            | Cursor::Full => Depth::Rows,
        }
    }

    /// Sweeps from the stored progress to the end, deletes included.
    pub(super) async fn sweep(&mut self, depth: Depth) -> Result<Ending, SyncError> {
        self.begin_sweep(depth).await?;
        let is_deep = self.state.progress.sweep.deep || self.depth() == Depth::Rows;
        let depth = if is_deep { Depth::Rows } else { Depth::Keys };
        while let Some(after) = self.state.progress.sweep.after.clone() {
            if let Some(ending) = self.must_stop().await? {
                return Ok(ending);
            }
            if self.sweep_page(depth, &after).await? {
                self.deliver_deletes().await?;
                let mut done = self.state.progress.clone();
                let audited = if is_deep { unix_now() } else { done.sweep.audited };
                done.sweep = Sweep { after: None, ended: unix_now(), deep: false, audited, ..done.sweep };
                self.room.ledger.move_progress(&self.state, &done).await?;
                self.state.progress = done;
            }
        }
        Ok(Ending::CaughtUp)
    }

    async fn begin_sweep(&mut self, depth: Depth) -> Result<(), SyncError> {
        if self.state.progress.sweep.after.is_some() {
            return Ok(());
        }
        let mut begun = self.state.progress.clone();
        begun.sweep.round += 1;
        begun.sweep.after = Some(Vec::new());
        begun.sweep.began = unix_now();
        begun.sweep.deep = depth == Depth::Rows;
        if begun.reading == Reading::New {
            begun.reading = Reading::Sweeps;
        }
        self.room.ledger.move_progress(&self.state, &begun).await?;
        self.room.faults.pass(Step::Begun)?;
        self.state.progress = begun;
        Ok(())
    }

    /// Looks at one page; true when it was the last.
    async fn sweep_page(&mut self, depth: Depth, after: &[Param]) -> Result<bool, SyncError> {
        let limit = self.pace.rows();
        let query = match depth {
            Depth::Keys => Some(key_page(&self.state.spec, after, limit)),
            Depth::Rows => sweep_page(&self.state.spec, after, limit),
        };
        let Some(query) = query else { return Err(self.superseded()) };
        let ceiling = match self.state.spec.cursor {
            Cursor::Rowversion(_) => self.state.progress.watermark(),
            Cursor::ChangeTracking | Cursor::Datetime(_) | Cursor::Digest | Cursor::Full => None,
        };
        let mut reader = Reader::new(self.room, Phase::Sweep, Keep::Compare).below(ceiling);
        self.timed_read(&mut reader, &query).await?;
        let progress = match &reader.last {
            Some(last) => self.state.progress.advanced(Phase::Sweep, last),
            None => self.state.progress.clone(),
        };
        let is_last = reader.tally.read < u64::from(limit);
        reader.record(&mut self.state, progress).await?;
        self.tally.add(reader.tally);
        Ok(is_last)
    }

    async fn deliver_deletes(&mut self) -> Result<(), SyncError> {
        let (name, round) = (self.state.spec.name.clone(), self.state.progress.sweep.round);
        let (known, gone) = self.room.ledger.count_rows(&name, round).await?;
        if gone > FREE_DELETES && gone * 2 > known {
            let table = self.state.spec.table.to_string();
            return Err(SyncError::Shrunk { table, known, gone });
        }
        loop {
            let unseen = self.room.ledger.unseen(&name, round, DELETES_AT_ONCE).await?;
            if unseen.is_empty() {
                return Ok(());
            }
            let mut reader = Reader::new(self.room, Phase::Sweep, Keep::Compare);
            for group in unseen.chunks(LOOKED_UP_AT_ONCE) {
                let there = self.look_up(group).await?;
                for (row, key) in group {
                    if there.contains(row) {
                        reader.seen(*row);
                    } else {
                        reader.delete(&self.state, *row, key).await?;
                    }
                }
            }
            let progress = self.state.progress.clone();
            reader.record(&mut self.state, progress).await?;
            self.tally.add(reader.tally);
        }
    }

    /// Which of these rows are in the table after all.
    pub(super) async fn look_up(&mut self, rows: &[(Hash, Vec<Param>)]) -> Result<HashSet<Hash>, SyncError> {
        let keys: Vec<Vec<Param>> = rows.iter().map(|(_, key)| key.clone()).collect();
        let query = rows_of(&self.state.spec, &keys, true);
        let mut names = RowNames::new(self.room.ledger.row_hasher());
        let mut found = HashSet::new();
        let mut rows = RowBlock::default();
        let mut stream = self.session.stream(&query.sql, &query.params).await?;
        while stream.next(&mut rows).await? {
            for row in rows.rows() {
                let key = row.cells().filter_map(|cell| Param::from_cell(&cell.data()).transpose());
                found.insert(names.name(key)?.0);
            }
        }
        drop(stream);
        self.session.stream_ended();
        Ok(found)
    }
}

const DELETES_AT_ONCE: usize = 10_000;
/// A statement takes 2100 parameters; a key has at most 16 columns.
const LOOKED_UP_AT_ONCE: usize = 100;
/// So few deletes need no second thought, whatever part of the table they are.
const FREE_DELETES: u64 = 100;
