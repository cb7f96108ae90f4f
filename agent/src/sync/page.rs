//! One page: rows of one statement into one batch, or several when they are large.
//!
//! The reader holds one row back, because the last row of a batch tells the progress it stands for. Rows go to the
//! writing thread in record batches through a bounded channel, so memory does not grow with the table.

use futures_util::TryStreamExt;
use serde_json::json;
use tiberius::Row;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::mssql::param::bytes;
use crate::mssql::{Param, Session, SqlError};
use crate::store::sync::BatchRow;

use super::SyncError;
use super::batch::{BatchFile, Feed, WrittenFile};
use super::columns::RowBuffer;
use super::cursor::{Position, Rowversion};
use super::faults::Step;
use super::ledger::JobState;
use super::names::BatchId;
use super::pass::SyncRoom;
use super::spec::{JobSpec, Seal};

/// What a page came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) rows: u64,
    pub(super) batches: u64,
    /// Nothing more lies below the bound (of the snapshot, or of the pass).
    pub(super) is_last: bool,
}

/// Reads the next page of `state` and records it; `state` is what the store holds afterwards.
pub(super) async fn read_page(
    room: &SyncRoom,
    session: &mut Session,
    state: &mut JobState,
    bound: Rowversion,
) -> Result<Page, SyncError> {
    let limit = state.spec.batch_rows;
    let Some(query) = state.progress.page(&state.spec, bound, limit) else {
        return Err(SyncError::Superseded { job: state.spec.name.to_string() });
    };
    let (mut rows, mut batches, mut open) = (0, 0, None);
    let mut stream = session.stream(&query.sql, &query.params).await?;
    while let Some(item) = stream.try_next().await.map_err(SqlError::from)? {
        let Some(row) = item.into_row() else { continue };
        rows += 1;
        let batch = open.get_or_insert_with(|| OpenBatch::new(room, state));
        batch.push(row).await?;
        if batch.bytes >= MAX_BATCH_BYTES
            && let Some(batch) = open.take()
        {
            batch.record(room, state, None).await?;
            batches += 1;
        }
    }
    drop(stream);
    session.stream_ended();
    let is_last = rows < u64::from(limit);
    let end = is_last.then_some(bound);
    if let Some(batch) = open {
        batch.record(room, state, end).await?;
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

/// A batch being read and written.
struct OpenBatch {
    spec: JobSpec,
    buffer: RowBuffer,
    held: Option<Row>,
    bytes: usize,
    feed: mpsc::Sender<Feed>,
    writer: JoinHandle<Result<Result<WrittenFile, SyncError>, JoinError>>,
}

impl OpenBatch {
    fn new(room: &SyncRoom, state: &JobState) -> Self {
        let spec = state.spec.clone();
        let id = batch_id(state);
        let file = BatchFile {
            path: room.spool.path(&spec.name.path_component(), &id.file_name(is_sealed(&spec.seal))),
            schema: spec.schema(),
            seal: spec.seal.clone(),
            footer: footer(state),
            faults: room.faults.clone(),
        };
        let (feed, receiver) = mpsc::channel(FEED_DEPTH);
        let tasks = room.tasks.clone();
        let work = async move { tasks.blocking(move || file.write(receiver)).await };
        let writer = room.tasks.spawn(format!("sync batch {}", spec.name), work);
        let buffer = RowBuffer::new(spec.schema(), &spec.kinds());
        Self { spec, buffer, held: None, bytes: 0, feed, writer }
    }

    async fn push(&mut self, row: Row) -> Result<(), SyncError> {
        if let Some(before) = self.held.replace(row) {
            self.take(before)?;
        }
        if self.buffer.rows() >= CHUNK_ROWS || self.buffer.bytes() >= CHUNK_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    fn take(&mut self, row: Row) -> Result<(), SyncError> {
        let before = self.buffer.bytes();
        self.buffer.push(row.into_iter())?;
        self.bytes += self.buffer.bytes() - before;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SyncError> {
        let rows = self.buffer.take()?;
        self.send(Feed::Rows(rows)).await
    }

    async fn send(&mut self, item: Feed) -> Result<(), SyncError> {
        if self.feed.send(item).await.is_ok() {
            return Ok(());
        }
        // The writer ended early: its own error says why.
        match (&mut self.writer).await {
            Ok(Ok(Err(error))) => Err(error),
            Ok(Ok(Ok(_)) | Err(_)) | Err(_) => Err(SyncError::Stopped),
        }
    }

    /// Ends the file, and records it with the progress it stands for; `end` is the bound when nothing more lies below it.
    async fn record(
        mut self,
        room: &SyncRoom,
        state: &mut JobState,
        end: Option<Rowversion>,
    ) -> Result<(), SyncError> {
        let position = match self.held.take() {
            Some(last) => {
                let position = position(&self.spec, &last)?;
                self.take(last)?;
                position
            }
            None => return Ok(()),
        };
        self.flush().await?;
        self.send(Feed::End).await?;
        let written = self.writer.await.and_then(|written| written).map_err(|_| SyncError::Stopped)??;
        let phase = state.progress.phase();
        let advanced = state.progress.advanced(position.clone());
        let progress = end.map_or_else(|| advanced.clone(), |bound| advanced.exhausted(bound));
        let row = batch_row(state, &written, phase, position.rowversion);
        room.ledger.record(row, &progress).await?;
        state.progress = progress;
        state.sequence += 1;
        room.recorded.notify_one();
        room.faults.pass(Step::Recorded)
    }
}

fn position(spec: &JobSpec, row: &Row) -> Result<Position, SyncError> {
    let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
    let rowversion = bytes(cell(spec.cursor_position())?).and_then(Rowversion::from_bytes);
    let rowversion = rowversion.ok_or_else(|| odd("the rowversion is not 8 bytes"))?;
    let mut key = Vec::new();
    for at in spec.key_positions() {
        key.push(Param::from_cell(cell(at)?)?.ok_or_else(|| odd("a key column is NULL"))?);
    }
    Ok(Position { rowversion, key })
}

fn odd(reason: &str) -> SyncError {
    SqlError::Protocol { reason: reason.to_owned() }.into()
}

fn batch_id(state: &JobState) -> BatchId {
    BatchId { job: state.spec.name.clone(), epoch: state.epoch, sequence: state.sequence }
}

fn batch_row(state: &JobState, written: &WrittenFile, phase: &str, watermark: Rowversion) -> BatchRow {
    let (spec, id) = (&state.spec, batch_id(state));
    let (folder, file) = (spec.name.path_component(), id.file_name(is_sealed(&spec.seal)));
    let event = json!({
        "job": spec.name.as_str(),
        "epoch": id.epoch.get(),
        "sequence": id.sequence,
        "phase": phase,
        "database": spec.connection.database,
        "table": spec.table.to_string(),
        "rows": written.rows,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "watermark": watermark.to_string(),
        "sealed": is_sealed(&spec.seal),
        "path": format!("agent/sync/{folder}/{file}"),
    });
    BatchRow {
        id: 0,
        job: spec.name.to_string(),
        epoch: id.epoch.get(),
        sequence: id.sequence,
        folder,
        file,
        bytes: written.bytes,
        rows: written.rows,
        event: event.to_string(),
    }
}

/// What the Parquet footer tells a reader who has only the file.
fn footer(state: &JobState) -> Vec<(String, String)> {
    let pairs = [
        ("agent.job", state.spec.name.to_string()),
        ("agent.epoch", state.epoch.get().to_string()),
        ("agent.sequence", state.sequence.to_string()),
        ("agent.phase", state.progress.phase().to_owned()),
        ("agent.database", state.spec.connection.database.clone()),
        ("agent.table", state.spec.table.to_string()),
        ("agent.key", state.spec.key_list()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn is_sealed(seal: &Seal) -> bool {
    matches!(seal, Seal::Recipients(_))
}

/// Rows of one record batch on its way to the writer.
const CHUNK_ROWS: usize = 4096;
const CHUNK_BYTES: usize = 4 << 20;
const FEED_DEPTH: usize = 2;
/// A batch is cut here, so that its file fits into one chunk of the master sink.
const MAX_BATCH_BYTES: usize = 16 << 20;
