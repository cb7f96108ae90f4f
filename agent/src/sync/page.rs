//! One page of a rowversion job: rows of one statement into one batch, or several when they are large.
//!
//! The reader holds one row back, because the last row of a batch tells the progress it stands for.

use futures_util::TryStreamExt;
use tiberius::Row;

use crate::mssql::param::bytes;
use crate::mssql::{Param, Session, SqlError};

use super::SyncError;
use super::cursor::{Position, Rowversion};
use super::faults::Step;
use super::ledger::JobState;
use super::open_batch::{News, OpenBatch, batch_row};
use super::pass::SyncRoom;
use super::spec::JobSpec;

/// What a page came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) rows: u64,
    pub(super) batches: u64,
    /// Nothing more lies below the bound (of the snapshot, or of the pass).
    pub(super) is_last: bool,
}

/// Reads the next page of `state`, at most `limit` rows below `bound`, and records it; `state` is what the store holds afterwards.
pub(super) async fn read_page(
    room: &SyncRoom,
    session: &mut Session,
    state: &mut JobState,
    (bound, limit): (Rowversion, u32),
) -> Result<Page, SyncError> {
    let Some(query) = state.progress.page(&state.spec, bound, limit) else {
        return Err(SyncError::Superseded { job: state.spec.name.to_string() });
    };
    let (mut rows, mut batches, mut open) = (0, 0, None);
    let mut stream = session.stream(&query.sql, &query.params).await?;
    while let Some(item) = stream.try_next().await.map_err(SqlError::from)? {
        let Some(row) = item.into_row() else { continue };
        rows += 1;
        let reading = open.get_or_insert_with(|| Reading { batch: OpenBatch::new(room, state), held: None });
        reading.push(row).await?;
        if reading.batch.is_full()
            && let Some(reading) = open.take()
        {
            reading.record(room, state, None).await?;
            batches += 1;
        }
    }
    drop(stream);
    session.stream_ended();
    let is_last = rows < u64::from(limit);
    let end = is_last.then_some(bound);
    if let Some(reading) = open {
        reading.record(room, state, end).await?;
        batches += 1;
    } else if let Some(bound) = end {
        exhaust(room, state, bound).await?;
    }
    Ok(Page { rows, batches, is_last })
}

/// Stores that everything below `bound` is read, when that is news.
async fn exhaust(room: &SyncRoom, state: &mut JobState, bound: Rowversion) -> Result<(), SyncError> {
    let progress = state.progress.exhausted(bound);
    if progress != state.progress {
        room.ledger.move_progress(state, &progress).await?;
        state.progress = progress;
    }
    Ok(())
}

/// A batch with its last row held back.
struct Reading {
    batch: OpenBatch,
    held: Option<Row>,
}

impl Reading {
    async fn push(&mut self, row: Row) -> Result<(), SyncError> {
        match self.held.replace(row) {
            Some(before) => self.batch.push(before.into_iter().map(Some)).await,
            None => Ok(()),
        }
    }

    /// Ends the file, and records it with the progress it stands for; `end` is the bound when nothing more lies below it.
    async fn record(
        mut self,
        room: &SyncRoom,
        state: &mut JobState,
        end: Option<Rowversion>,
    ) -> Result<(), SyncError> {
        let Some(last) = self.held.take() else { return Ok(()) };
        let position = position(&state.spec, &last)?;
        self.batch.push(last.into_iter().map(Some)).await?;
        let written = self.batch.finish().await?;
        let news = News { watermark: Some(position.rowversion.to_string()), deletes: 0 };
        let advanced = state.progress.advanced(position);
        let progress = match end {
            Some(bound) => advanced.exhausted(bound),
            None => advanced,
        };
        room.ledger.record(batch_row(state, &written, &news), &progress, Vec::new()).await?;
        state.progress = progress;
        state.sequence += 1;
        room.recorded.notify_one();
        room.faults.pass(Step::Recorded)
    }
}

fn position(spec: &JobSpec, row: &Row) -> Result<Position, SyncError> {
    let cell = row.get_column_data(spec.cursor_position()).map_err(SqlError::from)?;
    let rowversion = bytes(cell).and_then(Rowversion::from_bytes);
    let rowversion = rowversion.ok_or_else(|| odd("the rowversion is not 8 bytes"))?;
    Ok(Position { rowversion, key: key_of(spec, row)? })
}

/// The key of a row.
pub(super) fn key_of(spec: &JobSpec, row: &Row) -> Result<Vec<Param>, SyncError> {
    let mut key = Vec::new();
    for at in spec.key_positions() {
        let cell = row.get_column_data(at).map_err(SqlError::from)?;
        key.push(Param::from_cell(cell)?.ok_or_else(|| odd("a key column is NULL"))?);
    }
    Ok(key)
}

fn odd(reason: &str) -> SyncError {
    SqlError::Protocol { reason: reason.to_owned() }.into()
}
