//! A batch being read and written: rows go in, a whole file and its index row come out.
//!
//! Rows travel to the writing thread in chunks through a bounded channel, so memory does not grow with the batch.

use std::collections::BTreeMap;

use rows::columns::{BadCell, RowBuffer};
use rows::digest::RowHasher;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::mssql::{BlockRow, Cell, Param, SqlError};
use crate::store::StoreError;
use crate::store::sync::BatchRow;
use crate::write::kind::Kind;

use super::SyncError;
use super::batch::{BatchFile, Feed, WrittenFile, hex};
use super::cursor::Phase;
use super::ledger::JobState;
use super::names::BatchId;
use super::pass::SyncRoom;
use super::spec::{Mask, Seal};

/// A batch that is not whole yet. Dropping it removes its file.
pub(super) struct OpenBatch {
    buffer: RowBuffer,
    hashed: Vec<usize>,
    hasher: RowHasher,
    bytes: usize,
    rows: u64,
    /// Where the key's columns stand among the cells, and what they are called.
    key: Vec<(usize, String)>,
    bad: Vec<BadCellFact>,
    feed: mpsc::Sender<Feed>,
    writer: JoinHandle<Result<Result<WrittenFile, SyncError>, JoinError>>,
}

/// A cell that is delivered as NULL because its type does not have its value; the file tells it, sealed as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct BadCellFact {
    /// Of the file's rows, from 0.
    row: u64,
    /// The row's key, as far as the job has one.
    key: serde_json::Map<String, serde_json::Value>,
    /// The column as it is delivered.
    pub(super) column: String,
    /// What is wrong with the value.
    pub(super) reason: &'static str,
}

/// What the batch event tells beside the file's own figures.
pub(super) struct News {
    /// What it was read for.
    pub(super) phase: Phase,
    /// The cursor's value up to which rows are in it; none for a sweep.
    pub(super) watermark: Option<String>,
    /// How many of its rows are deletes.
    pub(super) deletes: u64,
    /// Of a full job: whether the epoch is whole with it.
    pub(super) complete: Option<bool>,
    /// Cells that are delivered as NULL because their type does not have their value.
    pub(super) bad: BadCells,
}

impl OpenBatch {
    /// Opens the next batch of a job.
    ///
    /// # Errors
    /// Parquet has no such columns.
    pub(super) fn new(room: &SyncRoom, state: &JobState, phase: Phase) -> Result<Self, SyncError> {
        let spec = &state.spec;
        let file = BatchFile {
            path: room
                .spool
                .path(&spec.name.path_component(), &batch_id(state).file_name(is_sealed(&spec.seal))),
            schema: spec.schema()?,
            seal: spec.seal.clone(),
            footer: footer(state, phase),
            faults: room.faults.clone(),
        };
        let (feed, receiver) = mpsc::channel(FEED_DEPTH);
        let tasks = room.tasks.clone();
        let work = async move { tasks.blocking(move || file.write(receiver)).await };
        let writer = room.tasks.spawn(format!("sync batch {}", spec.name), work);
        let names = spec.key_columns().map(|column| column.delivered_as.clone());
        let masked = spec.columns.iter().enumerate().filter(|(_, column)| column.mask == Mask::Hash);
        Ok(Self {
            buffer: RowBuffer::new(spec.delivered_names(), spec.kinds()),
            hashed: masked.map(|(at, _)| at).collect(),
            hasher: room.ledger.row_hasher(),
            bytes: 0,
            rows: 0,
            key: spec.key_positions().into_iter().zip(names).collect(),
            bad: Vec::new(),
            feed,
            writer,
        })
    }

    /// Takes what became of a row, and the row.
    pub(super) fn push_row(&mut self, operation: &'static str, row: BlockRow<'_>) -> Result<(), SyncError> {
        let (before, masked) = (self.buffer.bytes(), self.masked(|at| row.get(at)));
        let bad = self.buffer.push_row(operation, row, &masked)?;
        self.took(before, &bad, |at| row.get(at))
    }

    /// Takes what became of a row that is not there any more, and what is known of its cells; the others are NULL.
    pub(super) fn push_cells(
        &mut self,
        operation: &'static str,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SyncError> {
        let cell = |at: usize| cells.get(at).copied().flatten();
        let (before, masked) = (self.buffer.bytes(), self.masked(cell));
        let mut delivered = vec![Some(Cell::Text(operation))];
        delivered.extend(cells);
        for (at, text) in &masked {
            if let Some(cell) = delivered.get_mut(at + 1) {
                *cell = text.as_deref().map(Cell::Text);
            }
        }
        let bad = self.buffer.push(&delivered)?;
        self.took(before, &bad, cell)
    }

    /// What is delivered in the place of cells that are hashed.
    fn masked<'c>(&mut self, cell: impl Fn(usize) -> Option<Cell<'c>>) -> Vec<(usize, Option<String>)> {
        let Self { hasher, hashed, .. } = self;
        let mask = |at: &usize| (*at, cell(*at).and_then(|cell| hasher.mask(cell)).map(|hash| hex(&hash)));
        hashed.iter().map(mask).collect()
    }

    fn took<'c>(
        &mut self,
        before: usize,
        bad: &[BadCell],
        cell: impl Fn(usize) -> Option<Cell<'c>>,
    ) -> Result<(), SyncError> {
        for bad in bad {
            let part = |(at, name): &(usize, String)| {
                let value = cell(*at).map(|cell| Param::from_cell(&cell.data())).transpose()?.flatten();
                Ok((name.clone(), Kind::json(value.as_ref())))
            };
            self.bad.push(BadCellFact {
                row: self.rows,
                key: self.key.iter().map(part).collect::<Result<_, SqlError>>()?,
                column: self.buffer.name(bad.column),
                reason: bad.reason,
            });
        }
        self.rows += 1;
        self.bytes += self.buffer.bytes() - before;
        Ok(())
    }

    /// True when its rows are to be passed on before it takes more.
    pub(super) fn has_many(&self) -> bool {
        self.buffer.rows() >= CHUNK_ROWS || self.buffer.bytes() >= CHUNK_BYTES
    }

    /// Hands the rows to the writing thread when they are many, and waits for it when it has enough of them.
    pub(super) async fn pass_on(&mut self) -> Result<(), SyncError> {
        if self.has_many() { self.flush().await } else { Ok(()) }
    }

    /// True when the batch is to be ended, however many rows may follow.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BATCH_BYTES || self.bad.len() >= MAX_BAD_CELLS
    }

    /// About how many bytes its rows take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Ends the file: whole, synced and under its name, but not recorded.
    pub(super) async fn finish(mut self) -> Result<(WrittenFile, BadCells), SyncError> {
        self.flush().await?;
        let bad = std::mem::take(&mut self.bad);
        self.send(Feed::End(footer_of(&bad)?)).await?;
        let written = self.writer.await.and_then(|written| written).map_err(|_| SyncError::Stopped)??;
        Ok((written, BadCells::count(&bad)))
    }

    async fn flush(&mut self) -> Result<(), SyncError> {
        let rows = self.buffer.take();
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
}

/// How many cells of a batch are delivered as NULL, by column and reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BadCells(BTreeMap<String, BTreeMap<&'static str, u64>>);

impl BadCells {
    fn count(facts: &[BadCellFact]) -> Self {
        let mut counted = Self::default();
        for fact in facts {
            *counted.0.entry(fact.column.clone()).or_default().entry(fact.reason).or_default() += 1;
        }
        counted
    }

    /// All of them.
    pub(super) fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Says so in the log.
    pub(super) fn tell(&self, state: &JobState) {
        for (column, reasons) in &self.0 {
            for (reason, cells) in reasons {
                tracing::warn!(
                    job = %state.spec.name,
                    table = %state.spec.table,
                    column,
                    cells,
                    "delivered as NULL: {reason}; the batch names the rows"
                );
            }
        }
    }
}

/// The report that lies in the file's footer; nothing when there is nothing to report.
fn footer_of(bad: &[BadCellFact]) -> Result<Option<(String, String)>, SyncError> {
    if bad.is_empty() {
        return Ok(None);
    }
    let form = |_| SyncError::Store(StoreError::Form { what: "report of bad cells" });
    Ok(Some((CELL_ERRORS.to_owned(), serde_json::to_string(bad).map_err(form)?)))
}

fn batch_id(state: &JobState) -> BatchId {
    BatchId { job: state.spec.name.clone(), epoch: state.epoch, sequence: state.sequence }
}

/// The index row of a written batch, its event included.
pub(super) fn batch_row(state: &JobState, written: &WrittenFile, news: &News) -> BatchRow {
    let (spec, id) = (&state.spec, batch_id(state));
    let (folder, file) = (spec.name.path_component(), id.file_name(is_sealed(&spec.seal)));
    let event = json!({
        "job": spec.name.as_str(),
        "epoch": id.epoch.get(),
        "sequence": id.sequence,
        "phase": news.phase.shown(),
        "database": spec.connection.database,
        "table": spec.table.to_string(),
        "rows": written.rows,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "deletes": news.deletes,
        "cell_errors": news.bad.0,
        "complete": news.complete,
        "watermark": news.watermark,
        "sealed": is_sealed(&spec.seal),
        "path": format!("agent/sync/{folder}/{file}"),
    });
    BatchRow {
        id: 0,
        job: spec.name.to_string(),
        epoch: id.epoch.get(),
        sequence: id.sequence,
        folder,
        sink: spec.sink.clone(),
        file,
        bytes: written.bytes,
        rows: written.rows,
        event: event.to_string(),
    }
}

/// What the Parquet footer tells a reader who has only the file.
fn footer(state: &JobState, phase: Phase) -> Vec<(String, String)> {
    let sql_types: BTreeMap<&str, &str> =
        state.spec.columns.iter().map(|c| (c.delivered_as.as_str(), c.delivered_type())).collect();
    let pairs = [
        ("agent.job", state.spec.name.to_string()),
        ("agent.epoch", state.epoch.get().to_string()),
        ("agent.sequence", state.sequence.to_string()),
        ("agent.phase", phase.shown().to_owned()),
        ("agent.database", state.spec.connection.database.clone()),
        ("agent.table", state.spec.table.to_string()),
        ("agent.key", state.spec.key_list("")),
        ("agent.sql_types", json!(sql_types).to_string()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn is_sealed(seal: &Seal) -> bool {
    matches!(seal, Seal::Recipients(_))
}

/// What became of a row: it is new or changed.
pub(super) const UPSERT: &str = "upsert";
/// What became of a row: it is gone, or passes the filter no more.
pub(super) const DELETE: &str = "delete";
/// Rows of one chunk on its way to the writer.
const CHUNK_ROWS: usize = 4096;
const CHUNK_BYTES: usize = 4 << 20;
const FEED_DEPTH: usize = 2;
/// The footer's key under which the cells stand that are delivered as NULL because their type does not have their value.
const CELL_ERRORS: &str = "agent.cell_errors";
/// A batch is cut here as well, so that its report stays small.
const MAX_BAD_CELLS: usize = 10_000;
/// A batch is cut here, so that its file fits into one chunk of the master sink.
const MAX_BATCH_BYTES: usize = 16 << 20;
