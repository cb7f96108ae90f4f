//! One page: the rows of one statement into batches and marks.
//!
//! Each row is judged (deliver, deliver as deleted, seen, nothing) and a batch is cut when it is large. Batch, marks and
//! progress are recorded in one transaction; what a page ends with is the caller's to say, because only it knows whether
//! more follows.

use tiberius::{ColumnData, IntoSql};

use crate::mssql::param::{integer, text};
use crate::mssql::{Cells, Param, Session, SqlError};
use crate::store::sync_rows::{Hash, Mark, Put};

use super::SyncError;
use super::cursor::{Phase, Position, Progress, Watermark};
use super::faults::Step;
use super::ledger::{JobState, RowChanges, row_key};
use super::open_batch::{DELETE, News, OpenBatch, UPSERT, batch_row};
use super::pass::SyncRoom;
use super::query::{Layout, PageQuery};
use super::row_digest::RowHasher;
use super::spec::{Cursor, JobSpec};
use super::texts;

/// What is known and kept of the rows read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing.
    Nothing,
    /// A mark for each row delivered.
    Marks,
    /// Marks, and only rows that differ from theirs are delivered.
    Compare,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows read from the server.
    pub read: u64,
    /// Rows delivered, deletes among them.
    pub rows: u64,
    /// Deletes delivered.
    pub deletes: u64,
    /// Batches recorded.
    pub batches: u64,
    /// Cells delivered as NULL because their type does not have their value.
    pub bad: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.read += other.read;
        self.rows += other.rows;
        self.deletes += other.deletes;
        self.batches += other.batches;
        self.bad += other.bad;
    }
}

/// A page being read.
pub(super) struct Reader<'r> {
    room: &'r SyncRoom,
    phase: Phase,
    keep: Keep,
    layout: Layout,
    /// Rows above it are left to the increments.
    ceiling: Option<Watermark>,
    marks: Vec<Mark>,
    open: Option<OpenBatch>,
    deletes: u64,
    /// Where the last row stands.
    pub(super) last: Option<Position>,
    /// What was done so far.
    pub(super) tally: Tally,
}

/// What becomes of a row.
enum Verdict {
    Upsert,
    Delete,
    Seen,
    Nothing,
}

impl<'r> Reader<'r> {
    pub(super) fn new(room: &'r SyncRoom, phase: Phase, keep: Keep) -> Self {
        Self {
            room,
            phase,
            keep,
            layout: Layout::default(),
            ceiling: None,
            marks: Vec::new(),
            open: None,
            deletes: 0,
            last: None,
            tally: Tally::default(),
        }
    }

    /// Leaves rows above `ceiling` to the increments.
    pub(super) fn below(mut self, ceiling: Option<Watermark>) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// Reads the rows of `query`; full batches are recorded on the way.
    pub(super) async fn read(
        &mut self,
        session: &mut Session,
        state: &mut JobState,
        query: &PageQuery,
    ) -> Result<(), SyncError> {
        self.layout = query.layout;
        let mut stream = session.stream(&query.sql, &query.params).await?;
        while let Some(mut rows) = stream.next().await? {
            if !self.layout.keys_only {
                // Texts that were read as bytes are texts again, where they are any.
                rows.iter_mut().for_each(|cells| texts::decode(&state.spec, cells));
            }
            self.take(rows, state).await?;
        }
        drop(stream);
        session.stream_ended();
        Ok(())
    }

    /// About how many bytes the rows of the open batch take.
    pub(super) fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, OpenBatch::bytes)
    }

    /// Delivers a row with this key as deleted.
    pub(super) async fn delete(
        &mut self,
        state: &JobState,
        row: Hash,
        key: &[Param],
    ) -> Result<(), SyncError> {
        self.push_delete(state, key).await?;
        self.marks.push(Mark::Gone(row));
        Ok(())
    }

    /// Marks a row as seen.
    pub(super) fn seen(&mut self, row: Hash) {
        self.marks.push(Mark::Seen(row));
    }

    /// Records what is open, with the progress it stands for.
    pub(super) async fn record(&mut self, state: &mut JobState, progress: Progress) -> Result<(), SyncError> {
        let marks = RowChanges { marks: std::mem::take(&mut self.marks), put: self.put() };
        match self.open.take() {
            Some(batch) => {
                let (written, bad) = batch.finish().await?;
                self.tally.bad += bad.total();
                bad.tell(state);
                let news = News {
                    phase: self.phase,
                    watermark: self.watermark(&state.spec),
                    deletes: std::mem::take(&mut self.deletes),
                    complete: None,
                    bad,
                };
                self.room.ledger.record(batch_row(state, &written, &news), &progress, marks).await?;
                state.sequence += 1;
                self.tally.batches += 1;
                state.progress = progress;
                self.room.recorded.notify_one();
                self.room.faults.pass(Step::Recorded)
            }
            None if marks.marks.is_empty() && state.progress == progress => Ok(()),
            None => {
                self.room.ledger.move_with_marks(state, &progress, marks).await?;
                state.progress = progress;
                Ok(())
            }
        }
    }

    /// A snapshot and a sweep come to no row twice; what else reads may meet one of before.
    fn put(&self) -> Put {
        match self.phase {
            Phase::Snapshot | Phase::Sweep => Put::Aside,
            Phase::Increment | Phase::Overlap | Phase::Repair => Put::InPlace,
        }
    }

    async fn take(&mut self, rows: Vec<Cells>, state: &mut JobState) -> Result<(), SyncError> {
        let mut hasher = RowHasher::new(self.room.ledger.hash_key());
        let keys: Vec<usize> = if self.layout.keys_only {
            (0..self.layout.columns).collect()
        } else {
            state.spec.key_positions()
        };
        let positions: Vec<Position> =
            rows.iter().map(|row| position(&keys, self.layout.cursor, row)).collect::<Result<_, _>>()?;
        let hashes: Vec<Hash> = match self.keep {
            Keep::Nothing => vec![Hash::default(); rows.len()],
            Keep::Marks | Keep::Compare => positions.iter().map(|at| hasher.name(&at.key)).collect(),
        };
        let known = match self.keep {
            Keep::Compare => {
                let within = (self.phase == Phase::Sweep).then_some(state.progress.sweep.round);
                self.room.ledger.digests(&state.spec.name, hashes.clone(), within).await?
            }
            Keep::Nothing | Keep::Marks => vec![None; rows.len()],
        };
        self.tally.read += rows.len() as u64;
        for (((row, at), hash), known) in rows.into_iter().zip(positions).zip(hashes).zip(known) {
            let digest = if self.keep == Keep::Nothing || self.layout.keys_only {
                Hash::default()
            } else {
                hasher.digest(row.iter().take(self.layout.columns))
            };
            match self.judge(&row, &at, known, digest)? {
                Verdict::Upsert => self.upsert(state, row, (hash, digest), &at.key).await?,
                Verdict::Delete if self.keep == Keep::Nothing => self.push_delete(state, &at.key).await?,
                Verdict::Delete => self.delete(state, hash, &at.key).await?,
                Verdict::Seen => self.marks.push(Mark::Seen(hash)),
                Verdict::Nothing => {}
            }
            if self.open.as_ref().is_some_and(OpenBatch::is_full) {
                let progress = state.progress.advanced(self.phase, &at);
                self.last = Some(at);
                self.record(state, progress).await?;
            } else {
                self.last = Some(at);
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        row: &[ColumnData<'static>],
        at: &Position,
        known: Option<Hash>,
        digest: Hash,
    ) -> Result<Verdict, SyncError> {
        let cell = |at: Option<usize>| at.map(|at| cell(row, at)).transpose();
        if cell(self.layout.operation)?.and_then(text).is_some_and(|operation| operation.trim() == "D") {
            return Ok(Verdict::Delete);
        }
        // Deleted since: the change that says so comes with the next pass.
        if cell(self.layout.present)?.and_then(integer) == Some(0) {
            return Ok(Verdict::Nothing);
        }
        if cell(self.layout.inside)?.and_then(integer) == Some(0) {
            let unknown = self.keep == Keep::Compare && known.is_none();
            return Ok(if unknown { Verdict::Nothing } else { Verdict::Delete });
        }
        let left = self.ceiling.is_some_and(|ceiling| at.watermark() > ceiling);
        let same = self.keep == Keep::Compare && known == Some(digest);
        Ok(if self.layout.keys_only || left || same { Verdict::Seen } else { Verdict::Upsert })
    }

    async fn upsert(
        &mut self,
        state: &JobState,
        row: Cells,
        (hash, digest): (Hash, Hash),
        key: &[Param],
    ) -> Result<(), SyncError> {
        if self.keep != Keep::Nothing {
            self.marks.push(Mark::Delivered { row: hash, digest, key: row_key(key)? });
        }
        let batch = self.batch(state)?;
        batch.push_row(UPSERT, key, row.into_iter().map(Some)).await?;
        self.tally.rows += 1;
        Ok(())
    }

    async fn push_delete(&mut self, state: &JobState, key: &[Param]) -> Result<(), SyncError> {
        let positions = state.spec.key_positions();
        let cells = (0..state.spec.columns.len()).map(|at| {
            let part = positions.iter().position(|position| *position == at).and_then(|part| key.get(part));
            part.map(|value| value.clone().into_sql())
        });
        let batch = self.batch(state)?;
        batch.push_row(DELETE, key, cells).await?;
        self.deletes += 1;
        self.tally.deletes += 1;
        self.tally.rows += 1;
        Ok(())
    }

    /// The open batch.
    fn batch(&mut self, state: &JobState) -> Result<&mut OpenBatch, SyncError> {
        let batch = match self.open.take() {
            Some(batch) => batch,
            None => OpenBatch::new(self.room, state, self.phase)?,
        };
        Ok(self.open.insert(batch))
    }

    fn watermark(&self, spec: &JobSpec) -> Option<String> {
        let last = self.last.as_ref()?;
        match (self.phase, &spec.cursor) {
            (Phase::Sweep | Phase::Repair | Phase::Overlap, _) => None,
            (_, Cursor::Rowversion(_)) => Some(last.watermark().to_string()),
            (Phase::Increment, Cursor::ChangeTracking) => Some(last.watermark().get().to_string()),
            (_, Cursor::ChangeTracking | Cursor::Datetime(_) | Cursor::Digest | Cursor::Full) => None,
        }
    }
}

/// Where a row stands, by where its key and its cursor stand in it.
fn position(
    keys: &[usize],
    cursor: Option<usize>,
    row: &[ColumnData<'static>],
) -> Result<Position, SyncError> {
    let key = keys.iter().map(|at| param(row, *at)).collect::<Result<_, _>>()?;
    let cursor = match cursor {
        Some(at) => Param::from_cell(cell(row, at)?)?,
        None => None,
    };
    Ok(Position { cursor, key })
}

fn param(row: &[ColumnData<'static>], at: usize) -> Result<Param, SyncError> {
    let missing = || SqlError::Protocol { reason: "a key column is NULL".to_owned() };
    Ok(Param::from_cell(cell(row, at)?)?.ok_or_else(missing)?)
}

fn cell<'r>(row: &'r [ColumnData<'static>], at: usize) -> Result<&'r ColumnData<'static>, SyncError> {
    let missing = || SqlError::Protocol { reason: "a row has too few columns".to_owned() };
    Ok(row.get(at).ok_or_else(missing)?)
}
