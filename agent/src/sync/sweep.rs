//! One pass of a digest job: every row is read by key and compared with what was delivered.
//!
//! Needs nothing but SELECT and a key, finds changes that no cursor column tells, and deletes. A page is recorded as one
//! transaction of batch, row marks and progress; after the last page the rows that this round did not see are delivered as
//! deletes. A sweep that would delete more than half of the known rows stops before it does: an empty answer must not
//! empty the destination.

use std::borrow::Cow;
use std::time::Instant;

use futures_util::TryStreamExt;
use tiberius::{ColumnData, IntoSql, Row};

use crate::mssql::{Param, Session, SqlError};
use crate::store::sync_rows::{Hash, Mark};

use super::SyncError;
use super::cursor::{Progress, sweep_page};
use super::faults::Step;
use super::ledger::JobState;
use super::open_batch::{News, OpenBatch, batch_row};
use super::pace::Pace;
use super::page::key_of;
use super::pass::{Ending, SyncRoom};
use super::row_digest::{digest_cells, digest_key};

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Swept {
    pub(super) rows: u64,
    pub(super) batches: u64,
}

/// Sweeps from the stored progress to the end, deletes included.
pub(super) async fn sweep(
    room: &SyncRoom,
    session: &mut Session,
    state: &mut JobState,
) -> Result<(Swept, Ending), SyncError> {
    begin(room, state).await?;
    let (mut total, mut pace) = (Swept::default(), Pace::new(state.spec.batch_rows));
    while let Progress::Sweep { round, after } = state.progress.clone() {
        if room.spool.is_full(room.ledger.depth(None).await?) {
            return Ok((total, Ending::SpoolFull));
        }
        let mut page =
            PageSweep { room, round, after, marks: Vec::new(), open: None, done: Swept::default(), read: 0 };
        let begun = Instant::now();
        page.read(session, state, pace.rows()).await?;
        let is_last = page.read < u64::from(pace.rows());
        pace = pace.after(begun.elapsed());
        total.add(page.done);
        if is_last {
            total.add(deletes(room, state, round).await?);
            let swept = Progress::Swept { round };
            room.ledger.move_progress(state, &swept).await?;
            state.progress = swept;
        }
    }
    Ok((total, Ending::CaughtUp))
}

/// A finished or new job begins its next round; an interrupted one goes on in its own.
async fn begin(room: &SyncRoom, state: &mut JobState) -> Result<(), SyncError> {
    if !matches!(state.progress, Progress::Sweep { .. }) {
        let begun = Progress::Sweep { round: state.progress.round() + 1, after: Vec::new() };
        room.ledger.move_progress(state, &begun).await?;
        room.faults.pass(Step::Begun)?;
        state.progress = begun;
    }
    Ok(())
}

/// One page being compared.
struct PageSweep<'r> {
    room: &'r SyncRoom,
    round: u64,
    after: Vec<Param>,
    marks: Vec<Mark>,
    open: Option<OpenBatch>,
    done: Swept,
    read: u64,
}

impl PageSweep<'_> {
    async fn read(
        &mut self,
        session: &mut Session,
        state: &mut JobState,
        limit: u32,
    ) -> Result<(), SyncError> {
        let query = sweep_page(&state.spec, &self.after, limit);
        let mut stream = session.stream(&query.sql, &query.params).await?;
        let mut chunk = Vec::with_capacity(COMPARED_AT_ONCE);
        while let Some(item) = stream.try_next().await.map_err(SqlError::from)? {
            chunk.extend(item.into_row());
            if chunk.len() == COMPARED_AT_ONCE {
                self.compare(std::mem::take(&mut chunk), state).await?;
            }
        }
        drop(stream);
        session.stream_ended();
        self.compare(chunk, state).await?;
        self.record(state).await
    }

    /// Takes rows in key order: those that are new or changed go into the batch.
    async fn compare(&mut self, rows: Vec<Row>, state: &mut JobState) -> Result<(), SyncError> {
        let hash_key = self.room.ledger.hash_key();
        let keys: Vec<Vec<Param>> =
            rows.iter().map(|row| key_of(&state.spec, row)).collect::<Result<_, _>>()?;
        let hashes: Vec<Hash> = keys.iter().map(|key| digest_key(&hash_key, key)).collect();
        let known = self.room.ledger.digests(&state.spec.name, hashes.clone()).await?;
        self.read += rows.len() as u64;
        for (((row, key), hash), known) in rows.into_iter().zip(keys).zip(hashes).zip(known) {
            let digest = digest_cells(&hash_key, row.cells().map(|(_, cell)| cell));
            if known == Some(digest) {
                self.marks.push(Mark::Seen(hash));
            } else {
                let sealed = self.room.ledger.seal_key(&state.spec.name, &key)?;
                self.marks.push(Mark::Delivered { row: hash, digest, key: sealed });
                let batch = self.open.get_or_insert_with(|| OpenBatch::new(self.room, state));
                batch.push(operation("upsert").chain(row.into_iter().map(Some))).await?;
                self.done.rows += 1;
            }
            self.after = key;
            if self.open.as_ref().is_some_and(OpenBatch::is_full) {
                self.record(state).await?;
            }
        }
        Ok(())
    }

    /// Records what was compared so far, with a batch when something was new.
    async fn record(&mut self, state: &mut JobState) -> Result<(), SyncError> {
        let progress = Progress::Sweep { round: self.round, after: self.after.clone() };
        let marks = std::mem::take(&mut self.marks);
        match self.open.take() {
            Some(batch) => {
                record_batch(self.room, state, batch, (progress, marks), 0).await?;
                self.done.batches += 1;
            }
            None if marks.is_empty() => {}
            None => {
                self.room.ledger.move_with_marks(state, &progress, marks).await?;
                state.progress = progress;
            }
        }
        Ok(())
    }
}

/// Delivers the rows that this round did not see as deletes.
async fn deletes(room: &SyncRoom, state: &mut JobState, round: u64) -> Result<Swept, SyncError> {
    let (known, gone) = room.ledger.count_rows(&state.spec.name, round).await?;
    if gone > FREE_DELETES && gone * 2 > known {
        return Err(SyncError::Shrunk { table: state.spec.table.to_string(), known, gone });
    }
    let mut done = Swept::default();
    loop {
        let unseen = room.ledger.unseen(&state.spec.name, round, DELETES_AT_ONCE).await?;
        if unseen.is_empty() {
            return Ok(done);
        }
        let mut batch = OpenBatch::new(room, state);
        let positions = state.spec.key_positions();
        for (_, key) in &unseen {
            let cells = (0..state.spec.columns.len()).map(|at| {
                let part =
                    positions.iter().position(|position| *position == at).and_then(|part| key.get(part));
                part.map(|value| value.clone().into_sql())
            });
            batch.push(operation("delete").chain(cells)).await?;
        }
        let marks = unseen.iter().map(|(row, _)| Mark::Gone(*row)).collect();
        record_batch(room, state, batch, (state.progress.clone(), marks), unseen.len() as u64).await?;
        done.add(Swept { rows: unseen.len() as u64, batches: 1 });
    }
}

async fn record_batch(
    room: &SyncRoom,
    state: &mut JobState,
    batch: OpenBatch,
    (progress, marks): (Progress, Vec<Mark>),
    deletes: u64,
) -> Result<(), SyncError> {
    let written = batch.finish().await?;
    let row = batch_row(state, &written, &News { watermark: None, deletes });
    room.ledger.record(row, &progress, marks).await?;
    state.progress = progress;
    state.sequence += 1;
    room.recorded.notify_one();
    room.faults.pass(Step::Recorded)
}

fn operation(name: &'static str) -> impl Iterator<Item = Option<ColumnData<'static>>> {
    std::iter::once(Some(ColumnData::String(Some(Cow::Borrowed(name)))))
}

impl Swept {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.batches += other.batches;
    }
}

const COMPARED_AT_ONCE: usize = 1024;
const DELETES_AT_ONCE: u32 = 10_000;
/// So few deletes need no second thought, whatever part of the table they are.
const FREE_DELETES: u64 = 100;
