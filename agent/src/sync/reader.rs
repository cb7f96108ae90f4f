//! One page: the rows of one statement into batches and marks.
//!
//! Each row is judged (deliver, deliver as deleted, seen, nothing) and a batch is cut when it is large. Batch, marks and
//! progress are recorded in one transaction; what a page ends with is the caller's to say, because only it knows whether
//! more follows. A page may be on its way into the store while the next one is read ([`Recording`]).

use tiberius::{ColumnData, IntoSql};

use crate::mssql::param::integer;
use crate::mssql::{BlockRow, Cell, Param, RowBlock, Session, SqlError};
use crate::store::sync_rows::{Hash, Mark, Put};

use super::SyncError;
use super::cursor::{Phase, Position, Progress, Watermark};
use super::faults::Step;
use super::ledger::{JobState, RowChanges};
use super::open_batch::{DELETE, News, OpenBatch, UPSERT, batch_row};
use super::pass::SyncRoom;
use super::query::{Layout, PageQuery};
use super::recording::Recording;
use super::row_key::RowNames;
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
    /// Where the key stands in a row.
    keys: Vec<usize>,
    names: RowNames,
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

/// A page that is read and not recorded yet: that is done while the next one is read.
pub(super) struct ReadPage<'r> {
    reader: Reader<'r>,
    /// What it stands for; nothing once it is recorded.
    progress: Option<Progress>,
}

impl<'r> ReadPage<'r> {
    pub(super) fn new(reader: Reader<'r>, progress: Progress) -> Self {
        Self { reader, progress: Some(progress) }
    }

    /// Records it, unless that is done.
    pub(super) async fn record(&mut self, state: &mut JobState) -> Result<(), SyncError> {
        let recorded = self.close(state).finish().await?;
        self.recorded(recorded);
        Ok(())
    }

    /// Has it recorded, unless that is done. The job's state is as it will be then.
    fn close(&mut self, state: &mut JobState) -> Recording<'r> {
        match self.progress.take() {
            Some(progress) => self.reader.close(state, progress),
            None => Recording::nothing(),
        }
    }

    fn recorded(&mut self, tally: Tally) {
        self.reader.tally.add(tally);
    }

    /// Where reading goes on after it; nothing once the job's state says so.
    pub(super) fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// About how many bytes its rows take.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// What was done.
    pub(super) fn tally(&self) -> Tally {
        self.reader.tally
    }
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            keys: Vec::new(),
            names: RowNames::new(room.ledger.row_hasher()),
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

    /// Reads the rows of `query`; full batches are recorded on the way, and before them the page `before`, while this one is
    /// read. At the end that one is recorded, also when this one cannot be read.
    pub(super) async fn read(
        &mut self,
        session: &mut Session,
        state: &mut JobState,
        query: &PageQuery,
        before: Option<&mut ReadPage<'r>>,
    ) -> Result<(), SyncError> {
        let Some(before) = before else {
            return self.read_beside(session, state, query, &mut Recording::nothing()).await;
        };
        let mut recording = before.close(state);
        let read = self.read_beside(session, state, query, &mut recording).await;
        before.recorded(recording.finish().await?);
        read
    }

    async fn read_beside(
        &mut self,
        session: &mut Session,
        state: &mut JobState,
        query: &PageQuery,
        recording: &mut Recording<'_>,
    ) -> Result<(), SyncError> {
        self.layout = query.layout;
        self.keys = match query.layout.keys_only {
            true => (0..query.layout.columns).collect(),
            false => state.spec.key_positions(),
        };
        let mut rows = RowBlock::default();
        let mut stream = recording.beside(session.stream(&query.sql, &query.params)).await?;
        while recording.beside(stream.next(&mut rows)).await? {
            if !self.layout.keys_only {
                // Texts that were read as bytes are texts again, where they are any.
                texts::decode(&state.spec, &mut rows);
            }
            self.take(&rows, state, recording).await?;
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
        self.push_delete(state, key)?;
        self.pass_on().await?;
        self.marks.push(Mark::Gone(row));
        Ok(())
    }

    /// Marks a row as seen.
    pub(super) fn seen(&mut self, row: Hash) {
        self.marks.push(Mark::Seen(row));
    }

    /// Records what is open, with the progress it stands for.
    pub(super) async fn record(&mut self, state: &mut JobState, progress: Progress) -> Result<(), SyncError> {
        let recorded = self.close(state, progress).finish().await?;
        self.tally.add(recorded);
        Ok(())
    }

    /// Has what is open recorded, with the progress it stands for. The job's state is as it will be then.
    fn close(&mut self, state: &mut JobState, progress: Progress) -> Recording<'r> {
        let marks = RowChanges { marks: std::mem::take(&mut self.marks), put: self.put() };
        let open = self.open.take();
        if open.is_none() && marks.marks.is_empty() && state.progress == progress {
            return Recording::nothing();
        }
        let (room, before) = (self.room, state.clone());
        state.progress = progress.clone();
        let Some(batch) = open else {
            return Recording::of(async move {
                room.ledger.move_with_marks(&before, &progress, marks).await?;
                Ok(Tally::default())
            });
        };
        state.sequence += 1;
        let (phase, watermark) = (self.phase, self.watermark(&state.spec));
        let deletes = std::mem::take(&mut self.deletes);
        Recording::of(async move {
            let (written, bad) = batch.finish().await?;
            bad.tell(&before);
            let tally = Tally { batches: 1, bad: bad.total(), ..Tally::default() };
            let news = News { phase, watermark, deletes, complete: None, bad };
            room.ledger.record(batch_row(&before, &written, &news), &progress, marks).await?;
            room.recorded.notify_one();
            room.faults.pass(Step::Recorded)?;
            Ok(tally)
        })
    }

    /// A snapshot and a sweep come to no row twice; what else reads may meet one of before.
    fn put(&self) -> Put {
        match self.phase {
            Phase::Snapshot | Phase::Sweep => Put::Aside,
            Phase::Increment | Phase::Overlap | Phase::Repair => Put::InPlace,
        }
    }

    async fn take(
        &mut self,
        rows: &RowBlock,
        state: &mut JobState,
        before: &mut Recording<'_>,
    ) -> Result<(), SyncError> {
        let mut named = self.named(rows, state).await?.into_iter();
        self.tally.read += rows.len() as u64;
        for row in rows.rows() {
            let name = named.next();
            let digest = match name {
                Some(_) if !self.layout.keys_only => self.names.hasher().digest(row, self.layout.columns),
                Some(_) | None => Hash::default(),
            };
            let verdict = self.judge(row, name.as_ref().and_then(|name| name.known), digest)?;
            match verdict {
                Verdict::Upsert => {
                    self.batch(state)?.push_row(UPSERT, row)?;
                    self.tally.rows += 1;
                }
                Verdict::Delete => self.push_delete(state, &self.key(row)?)?,
                Verdict::Seen | Verdict::Nothing => {}
            }
            self.marks.extend(name.and_then(|name| mark(verdict, name, digest)));
            let Some(open) = &self.open else { continue };
            if open.is_full() {
                let at = self.position(row)?;
                let progress = state.progress.advanced(self.phase, &at);
                self.last = Some(at);
                before.wait().await?;
                self.record(state, progress).await?;
            } else if open.has_many() {
                self.pass_on().await?;
            }
        }
        if let Some(row) = rows.rows().last() {
            self.last = Some(self.position(row)?);
        }
        Ok(())
    }

    /// What the rows are called in their marks, and what is known of them; nothing where no marks are kept.
    async fn named(&mut self, rows: &RowBlock, state: &JobState) -> Result<Vec<Named>, SyncError> {
        if self.keep == Keep::Nothing {
            return rows.rows().try_for_each(|row| self.check_key(row)).map(|()| Vec::new());
        }
        let mut named = Vec::with_capacity(rows.len());
        for row in rows.rows() {
            let (hash, key) = self.names.name(key_parts(&self.keys, row))?;
            named.push(Named { hash, known: None, key });
        }
        if self.keep == Keep::Compare {
            let within = (self.phase == Phase::Sweep).then_some(state.progress.sweep.round);
            let hashes = named.iter().map(|name| name.hash).collect();
            let known = self.room.ledger.digests(&state.spec.name, hashes, within).await?;
            named.iter_mut().zip(known).for_each(|(name, known)| name.known = known);
        }
        Ok(named)
    }

    fn judge(&self, row: BlockRow<'_>, known: Option<Hash>, digest: Hash) -> Result<Verdict, SyncError> {
        let cell = |at: Option<usize>| at.map(|at| cell(row, at)).transpose();
        if let Some(Cell::Text(operation)) = cell(self.layout.operation)?
            && operation.trim() == "D"
        {
            return Ok(Verdict::Delete);
        }
        let is_zero = |cell: Option<Cell<'_>>| cell.and_then(|cell| integer(&cell.data())) == Some(0);
        // Deleted since: the change that says so comes with the next pass.
        if is_zero(cell(self.layout.present)?) {
            return Ok(Verdict::Nothing);
        }
        if is_zero(cell(self.layout.inside)?) {
            let unknown = self.keep == Keep::Compare && known.is_none();
            return Ok(if unknown { Verdict::Nothing } else { Verdict::Delete });
        }
        let left = match self.ceiling {
            Some(ceiling) => self.position(row)?.watermark() > ceiling,
            None => false,
        };
        let same = self.keep == Keep::Compare && known == Some(digest);
        Ok(if self.layout.keys_only || left || same { Verdict::Seen } else { Verdict::Upsert })
    }

    fn push_delete(&mut self, state: &JobState, key: &[Param]) -> Result<(), SyncError> {
        let positions = state.spec.key_positions();
        let key: Vec<ColumnData<'static>> = key.iter().map(|value| value.clone().into_sql()).collect();
        let cells = (0..state.spec.columns.len()).map(|at| {
            let part = positions.iter().position(|position| *position == at);
            part.and_then(|part| key.get(part)).map(Cell::from)
        });
        self.batch(state)?.push_cells(DELETE, &cells.collect::<Vec<_>>())?;
        self.deletes += 1;
        self.tally.deletes += 1;
        self.tally.rows += 1;
        Ok(())
    }

    /// Hands rows to the writing thread when they are many.
    async fn pass_on(&mut self) -> Result<(), SyncError> {
        match &mut self.open {
            Some(batch) => batch.pass_on().await,
            None => Ok(()),
        }
    }

    /// The key of a row.
    fn key(&self, row: BlockRow<'_>) -> Result<Vec<Param>, SyncError> {
        key_parts(&self.keys, row).collect()
    }

    fn check_key(&self, row: BlockRow<'_>) -> Result<(), SyncError> {
        self.keys.iter().try_for_each(|at| match cell(row, *at)? {
            Cell::Text(_) | Cell::Binary(_) => Ok(()),
            Cell::Other(data) => Param::from_cell(data)?.map(drop).ok_or_else(without_key),
        })
    }

    /// Where a row stands.
    fn position(&self, row: BlockRow<'_>) -> Result<Position, SyncError> {
        let cursor = match self.layout.cursor {
            Some(at) => Param::from_cell(&cell(row, at)?.data())?,
            None => None,
        };
        Ok(Position { cursor, key: self.key(row)? })
    }

    /// The open batch.
    fn batch(&mut self, state: &JobState) -> Result<&mut OpenBatch, SyncError> {
        match &mut self.open {
            Some(batch) => Ok(batch),
            none => Ok(none.insert(OpenBatch::new(self.room, state, self.phase)?)),
        }
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

/// What a row is called in its mark.
struct Named {
    hash: Hash,
    /// The digest of what was delivered of it.
    known: Option<Hash>,
    /// Its key as JSON.
    key: Vec<u8>,
}

/// What is to be marked of a row that was judged so.
fn mark(verdict: Verdict, name: Named, digest: Hash) -> Option<Mark> {
    let Named { hash, key, .. } = name;
    match verdict {
        Verdict::Upsert => Some(Mark::Delivered { row: hash, digest, key }),
        Verdict::Delete => Some(Mark::Gone(hash)),
        Verdict::Seen => Some(Mark::Seen(hash)),
        Verdict::Nothing => None,
    }
}

fn key_parts(keys: &[usize], row: BlockRow<'_>) -> impl Iterator<Item = Result<Param, SyncError>> {
    keys.iter().map(move |at| Param::from_cell(&cell(row, *at)?.data())?.ok_or_else(without_key))
}

fn without_key() -> SyncError {
    SyncError::Sql(SqlError::Protocol { reason: "a key column is NULL".to_owned() })
}

fn cell(row: BlockRow<'_>, at: usize) -> Result<Cell<'_>, SyncError> {
    let missing = || SqlError::Protocol { reason: "a row has too few columns".to_owned() };
    Ok(row.get(at).ok_or_else(missing)?)
}
