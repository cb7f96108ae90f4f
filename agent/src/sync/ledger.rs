//! Declarations and progress between their live types and the store's rows.
//!
//! Seals what must not lie in clear (passwords, progress with its key values) under a purpose that names the job, so that
//! one job's row cannot be passed off as another's.

use std::sync::Arc;
use std::time::SystemTime;

use rows::digest::RowHasher;
use rusqlite::Transaction;

use crate::mssql::Param;
use crate::schema::SchemaBook;
use crate::store::schema;
use crate::store::sync::{self as table, BatchRow, JobRow, SpoolDepth};
use crate::store::sync_rows::{Hash, Mark, Need, Put, RowMarks, SETTLED_AT_ONCE, Unseen};
use crate::store::{Secret, Store, StoreError};

use super::SyncError;
use super::cursor::{Progress, StoredProgress};
use super::names::{Epoch, JobName};
use super::note::Note;
use super::spec::{JobSpec, StoredSpec};

/// The sync tables, in live types. Clones share the store.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Arc<Store>,
}

/// A declared job with its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct JobState {
    /// The declaration.
    pub spec: JobSpec,
    /// The generation of its data.
    pub epoch: Epoch,
    /// Of the next batch.
    pub sequence: u64,
    /// How far it has read.
    pub progress: Progress,
    /// Batches the sink took in this epoch.
    pub delivered_batches: u64,
    /// Rows the sink took in this epoch.
    pub delivered_rows: u64,
}

/// What a declaration came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// It was there already, word for word.
    Unchanged,
    /// It was changed in what does not touch the data read so far.
    Updated,
    /// It is new, or reads something else: a new epoch begins with a snapshot.
    Snapshot(Epoch),
}

impl Ledger {
    /// The sync tables of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Writes a declaration.
    ///
    /// # Errors
    /// The store failed.
    pub async fn declare(&self, spec: JobSpec, now: SystemTime) -> Result<Declared, SyncError> {
        let ledger = self.clone();
        self.store.run(move |tx| ledger.declare_in(tx, spec, now)).await
    }

    /// Begins a new epoch of a declared job: everything is read and delivered again.
    ///
    /// # Errors
    /// No such job, or the store failed.
    pub async fn resnapshot(&self, name: &JobName, now: SystemTime) -> Result<JobState, SyncError> {
        let (ledger, name) = (self.clone(), name.clone());
        self.store
            .run(move |tx| {
                let row = table::job(tx, name.as_str())?;
                let former = ledger.live(row.ok_or_else(|| SyncError::NoJob { job: name.to_string() })?)?;
                let state = former.next_epoch(now);
                RowMarks::new(tx, &ledger.store, name.as_str()).forget()?;
                table::put_job(tx, &ledger.row(&state)?)?;
                Ok(state)
            })
            .await
    }

    /// Writes `next`, another epoch of the same job, when the job still is at `former`.
    ///
    /// # Errors
    /// [`SyncError::Superseded`] when the job was declared anew meanwhile; the store failed.
    pub async fn begin(&self, former: &JobState, next: &JobState) -> Result<(), SyncError> {
        let (row, at) = (self.row(next)?, (former.epoch.get(), former.sequence));
        let (store, job) = (Arc::clone(&self.store), row.name.clone());
        let work = move |tx: &Transaction<'_>| -> Result<bool, StoreError> {
            let is_there = table::move_progress(tx, &row.name, at, &row.progress)?;
            if is_there {
                RowMarks::new(tx, &store, &row.name).forget()?;
                table::put_job(tx, &row)?;
            }
            Ok(is_there)
        };
        if self.store.run(work).await? { Ok(()) } else { Err(SyncError::Superseded { job }) }
    }

    /// Removes a declaration; true when there was one. Its undelivered batches stay.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove(&self, name: &JobName) -> Result<bool, SyncError> {
        let (store, name) = (Arc::clone(&self.store), name.clone());
        let work = move |tx: &Transaction<'_>| -> Result<bool, StoreError> {
            RowMarks::new(tx, &store, name.as_str()).forget()?;
            schema::remove(tx, name.as_str())?;
            table::remove_job(tx, name.as_str())
        };
        Ok(self.store.run(work).await?)
    }

    /// The job of that name.
    ///
    /// # Errors
    /// No such job, or the store failed.
    pub async fn job(&self, name: &JobName) -> Result<JobState, SyncError> {
        self.find(name).await?.ok_or_else(|| SyncError::NoJob { job: name.to_string() })
    }

    /// The job of that name, if there is one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find(&self, name: &JobName) -> Result<Option<JobState>, SyncError> {
        let (ledger, name) = (self.clone(), name.clone());
        self.store.run(move |tx| table::job(tx, name.as_str())?.map(|row| ledger.live(row)).transpose()).await
    }

    /// Every declared job, by name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn jobs(&self) -> Result<Vec<JobState>, SyncError> {
        let ledger = self.clone();
        self.store.run(move |tx| table::jobs(tx)?.into_iter().map(|row| ledger.live(row)).collect()).await
    }

    /// Records a spooled batch with the progress and the row marks it stands for, in one transaction.
    ///
    /// # Errors
    /// [`SyncError::Superseded`] when the job was declared anew meanwhile; the store failed.
    pub async fn record(
        &self,
        batch: BatchRow,
        progress: &Progress,
        marks: RowChanges,
    ) -> Result<(), SyncError> {
        let sealed = self.seal_progress(&batch.job, progress)?;
        let (store, job, round) = (Arc::clone(&self.store), batch.job.clone(), progress.sweep.round);
        self.make_room(&job, &marks).await?;
        let work = move |tx: &Transaction<'_>| -> Result<bool, StoreError> {
            let recorded = table::record_batch(tx, &batch, &sealed)?;
            if recorded {
                RowMarks::new(tx, &store, &batch.job).put(round, marks.marks, marks.put)?;
            }
            Ok(recorded)
        };
        if self.store.run(work).await? { Ok(()) } else { Err(SyncError::Superseded { job }) }
    }

    /// Moves the progress of a job without a batch.
    ///
    /// # Errors
    /// [`SyncError::Superseded`] when the job was declared anew meanwhile; the store failed.
    pub async fn move_progress(&self, state: &JobState, progress: &Progress) -> Result<(), SyncError> {
        self.move_with_marks(state, progress, RowChanges::none()).await
    }

    /// Moves the progress of a job and its row marks without a batch.
    ///
    /// # Errors
    /// [`SyncError::Superseded`] when the job was declared anew meanwhile; the store failed.
    pub async fn move_with_marks(
        &self,
        state: &JobState,
        progress: &Progress,
        marks: RowChanges,
    ) -> Result<(), SyncError> {
        let job = state.spec.name.to_string();
        let sealed = self.seal_progress(&job, progress)?;
        let (name, at, round) = (job.clone(), (state.epoch.get(), state.sequence), progress.sweep.round);
        self.make_room(&job, &marks).await?;
        let store = Arc::clone(&self.store);
        let work = move |tx: &Transaction<'_>| -> Result<bool, StoreError> {
            let moved = table::move_progress(tx, &name, at, &sealed)?;
            if moved {
                RowMarks::new(tx, &store, &name).put(round, marks.marks, marks.put)?;
            }
            Ok(moved)
        };
        if self.store.run(work).await? { Ok(()) } else { Err(SyncError::Superseded { job }) }
    }

    /// The known digests of rows, in the order asked for. `within` is the round of the sweep that asks, which does not ask for
    /// what it delivered itself.
    ///
    /// # Errors
    /// The store failed.
    pub async fn digests(
        &self,
        name: &JobName,
        rows: Vec<Hash>,
        within: Option<u64>,
    ) -> Result<Vec<Option<Hash>>, StoreError> {
        self.settle(name.as_str(), Need::Delivered { within }).await?;
        self.marks(name, move |marks| marks.digests(&rows, within)).await
    }

    /// Rows that the sweep of this round did not see, at most `limit`, with their keys.
    ///
    /// # Errors
    /// The store failed.
    pub async fn unseen(
        &self,
        name: &JobName,
        round: u64,
        limit: usize,
    ) -> Result<Vec<(Hash, Vec<Param>)>, SyncError> {
        self.settle(name.as_str(), Need::All).await?;
        let found = self.marks(name, move |marks| marks.unseen(round, limit)).await?;
        let key = |Unseen { row, key }: Unseen| Some((row, serde_json::from_slice(&key).ok()?));
        found.into_iter().map(|unseen| key(unseen).ok_or_else(|| form("row key"))).collect()
    }

    /// How many rows are known, and how many of them the sweep of this round did not see.
    ///
    /// # Errors
    /// The store failed.
    pub async fn count_rows(&self, name: &JobName, round: u64) -> Result<(u64, u64), StoreError> {
        self.settle(name.as_str(), Need::All).await?;
        self.marks(name, move |marks| marks.count(round)).await
    }

    /// Puts in place what was set aside, in transactions short enough for others to come between.
    async fn settle(&self, job: &str, need: Need) -> Result<(), StoreError> {
        loop {
            let (store, job) = (Arc::clone(&self.store), job.to_owned());
            let some = move |tx: &Transaction<'_>| {
                RowMarks::new(tx, &store, &job).settle_some(need, SETTLED_AT_ONCE)
            };
            if !self.store.run(some).await? {
                return Ok(());
            }
        }
    }

    /// What is put in place has to come after what was set aside before.
    async fn make_room(&self, job: &str, changes: &RowChanges) -> Result<(), StoreError> {
        if changes.put == Put::Aside || changes.marks.is_empty() {
            return Ok(());
        }
        self.settle(job, Need::Delivered { within: None }).await
    }

    async fn marks<T: Send + 'static>(
        &self,
        name: &JobName,
        work: impl FnOnce(RowMarks<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, name) = (Arc::clone(&self.store), name.to_string());
        self.store.run(move |tx| work(RowMarks::new(tx, &store, &name))).await
    }

    /// The schemas that jobs were approved for.
    pub fn schemas(&self) -> SchemaBook {
        SchemaBook::new(Arc::clone(&self.store))
    }

    /// Hashes rows by the store's key.
    pub fn row_hasher(&self) -> RowHasher {
        self.store.row_hasher()
    }

    /// How the job stood after its last pass.
    ///
    /// # Errors
    /// The store failed.
    pub async fn note(&self, name: &JobName) -> Result<Option<Note>, SyncError> {
        let job = name.to_string();
        let text: Option<String> = self.store.run(move |tx| table::note(tx, &job)).await?;
        // A note of another version of the agent is replaced by the next pass.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Writes how the job stands, when it is still declared.
    ///
    /// # Errors
    /// The store failed.
    pub async fn put_note(&self, name: &JobName, note: &Note) -> Result<(), SyncError> {
        let (job, text) = (name.to_string(), serde_json::to_string(note).map_err(|_| form("sync note"))?);
        Ok(self.store.run(move |tx| table::put_note(tx, &job, &text)).await?)
    }

    /// The oldest batch.
    ///
    /// # Errors
    /// The store failed.
    pub async fn next_batch(&self) -> Result<Option<BatchRow>, StoreError> {
        self.store.run(table::next_batch).await
    }

    /// The batch to deliver next by each sink, the oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn next_batches(&self) -> Result<Vec<BatchRow>, StoreError> {
        self.store.run(table::next_batches).await
    }

    /// The oldest event that no master has heard: its number, tag and data.
    ///
    /// # Errors
    /// The store failed.
    pub async fn next_event(&self) -> Result<Option<(i64, String, String)>, StoreError> {
        self.store.run(table::next_event).await
    }

    /// Takes an event off that a master has heard.
    ///
    /// # Errors
    /// The store failed.
    pub async fn event_sent(&self, id: i64) -> Result<(), StoreError> {
        self.store.run(move |tx| table::event_sent(tx, id)).await
    }

    /// Every batch in the spool.
    ///
    /// # Errors
    /// The store failed.
    pub async fn batches(&self) -> Result<Vec<BatchRow>, StoreError> {
        self.store.run(table::batches).await
    }

    /// Takes a delivered batch off the index; the event that a master is to hear of it is kept with that.
    ///
    /// # Errors
    /// The store failed.
    pub async fn delivered(&self, batch: BatchRow, event: Option<String>) -> Result<(), StoreError> {
        let work = move |tx: &Transaction<'_>| -> Result<(), StoreError> {
            if let Some(event) = event {
                table::put_event(tx, &format!("agent/sync/{}/batch", batch.folder), &event)?;
            }
            table::batch_delivered(tx, &batch)
        };
        self.store.run(work).await
    }

    /// How much waits in the spool, of one job or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn depth(&self, job: Option<&JobName>) -> Result<SpoolDepth, StoreError> {
        let job = job.map(ToString::to_string);
        self.store.run(move |tx| table::depth(tx, job.as_deref())).await
    }

    fn declare_in(
        &self,
        tx: &Transaction<'_>,
        spec: JobSpec,
        now: SystemTime,
    ) -> Result<Declared, SyncError> {
        let former = table::job(tx, spec.name.as_str())?.map(|row| self.live(row)).transpose()?;
        let (state, declared) = match former {
            Some(state) if state.spec == spec => return Ok(Declared::Unchanged),
            Some(state) if !spec.needs_snapshot_after(&state.spec) => {
                (JobState { spec, ..state }, Declared::Updated)
            }
            former => {
                let epoch =
                    Epoch::begin(now, former.map(|state| state.epoch).max(last_epoch(tx, &spec.name)?));
                RowMarks::new(tx, &self.store, spec.name.as_str()).forget()?;
                (JobState::begin(spec, epoch), Declared::Snapshot(epoch))
            }
        };
        table::put_job(tx, &self.row(&state)?)?;
        Ok(declared)
    }

    fn row(&self, state: &JobState) -> Result<JobRow, SyncError> {
        let name = state.spec.name.to_string();
        let spec = serde_json::to_string(&StoredSpec::from(&state.spec)).map_err(|_| form("sync job"))?;
        let password = state.spec.connection.password.reveal().as_bytes();
        Ok(JobRow {
            spec,
            password: self.store.seal(&password_purpose(&name), password)?,
            epoch: state.epoch.get(),
            sequence: state.sequence,
            progress: self.seal_progress(&name, &state.progress)?,
            delivered_batches: state.delivered_batches,
            delivered_rows: state.delivered_rows,
            name,
        })
    }

    fn live(&self, row: JobRow) -> Result<JobState, SyncError> {
        let password = self.store.unseal(&password_purpose(&row.name), &row.password)?;
        let password = Secret::new(String::from_utf8(password).map_err(|_| form("sync password"))?);
        let progress = self.store.unseal(&progress_purpose(&row.name), &row.progress)?;
        let progress: StoredProgress =
            serde_json::from_slice(&progress).map_err(|_| form("sync progress"))?;
        let spec: StoredSpec = serde_json::from_str(&row.spec).map_err(|_| form("sync job"))?;
        Ok(JobState {
            spec: spec.into_spec(JobName::new(row.name)?, password)?,
            epoch: Epoch::from(row.epoch),
            sequence: row.sequence,
            progress: progress.into(),
            delivered_batches: row.delivered_batches,
            delivered_rows: row.delivered_rows,
        })
    }

    fn seal_progress(&self, job: &str, progress: &Progress) -> Result<Vec<u8>, SyncError> {
        let clear = serde_json::to_vec(&StoredProgress::from(progress)).map_err(|_| form("sync progress"))?;
        Ok(self.store.seal(&progress_purpose(job), &clear)?)
    }
}

/// What a page of rows changes of the marks.
#[derive(Debug, Clone)]
pub struct RowChanges {
    /// The changes, those of one row in their order.
    pub marks: Vec<Mark>,
    /// When they have to be in place.
    pub put: Put,
}

impl RowChanges {
    /// No change.
    pub fn none() -> Self {
        Self { marks: Vec::new(), put: Put::InPlace }
    }
}

impl JobState {
    fn begin(spec: JobSpec, epoch: Epoch) -> Self {
        let progress = Progress::default();
        Self { spec, epoch, sequence: 1, progress, delivered_batches: 0, delivered_rows: 0 }
    }

    /// The same job at the beginning of its next epoch.
    pub(super) fn next_epoch(self, now: SystemTime) -> Self {
        Self::begin(self.spec, Epoch::begin(now, Some(self.epoch)))
    }
}

/// The newest epoch of that job whose batches still wait, though the job may be gone.
fn last_epoch(tx: &Transaction<'_>, name: &JobName) -> Result<Option<Epoch>, StoreError> {
    let waiting = table::batches(tx)?.into_iter().filter(|batch| batch.job == name.as_str());
    Ok(waiting.map(|batch| Epoch::from(batch.epoch)).max())
}

fn form(what: &'static str) -> SyncError {
    SyncError::Store(StoreError::Form { what })
}

fn password_purpose(job: &str) -> String {
    format!("sync password {job}")
}

fn progress_purpose(job: &str) -> String {
    format!("sync progress {job}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::sync::cursor::{Reading, Watermark};
    use crate::sync::spec::tests::spec;

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        (folder, Ledger::new(Arc::new(store)))
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1000)
    }

    #[tokio::test]
    async fn declaring_again_changes_nothing_until_something_differs() {
        let (_folder, ledger) = ledger();
        let first = spec(&["AppointmentID"]);
        assert_eq!(
            ledger.declare(first.clone(), now()).await.unwrap(),
            Declared::Snapshot(Epoch::from(1000))
        );
        assert_eq!(ledger.declare(first.clone(), now()).await.unwrap(), Declared::Unchanged);
        let mut faster = first.clone();
        faster.timing.interval = Duration::from_secs(1);
        assert_eq!(ledger.declare(faster, now()).await.unwrap(), Declared::Updated);
        let wider = spec(&["AppointmentID", "Note"]);
        assert_eq!(ledger.declare(wider, now()).await.unwrap(), Declared::Snapshot(Epoch::from(1001)));
    }

    #[tokio::test]
    async fn a_resnapshot_keeps_the_declaration_and_begins_a_new_epoch() {
        let (_folder, ledger) = ledger();
        let declared = spec(&["AppointmentID"]);
        ledger.declare(declared.clone(), now()).await.unwrap();
        let state = ledger.resnapshot(&declared.name, now()).await.unwrap();
        assert_eq!(
            (state.epoch, state.sequence, &state.progress),
            (Epoch::from(1001), 1, &Progress::default())
        );
        assert_eq!(ledger.job(&declared.name).await.unwrap(), state);
        let nobody = JobName::new("nobody").unwrap();
        assert!(matches!(ledger.resnapshot(&nobody, now()).await, Err(SyncError::NoJob { .. })));
    }

    #[tokio::test]
    async fn neither_password_nor_key_values_lie_in_the_file() {
        let (folder, ledger) = ledger();
        let mut declared = spec(&["AppointmentID"]);
        declared.connection.password = Secret::new("hunter2-canary");
        ledger.declare(declared.clone(), now()).await.unwrap();
        let state = ledger.job(&declared.name).await.unwrap();
        assert_eq!(state.spec, declared);
        let key = vec![Param::Text("Miller-canary".into())];
        let progress = Progress::at(Reading::Snapshot { bound: Watermark::new(9), after: key });
        ledger.move_progress(&state, &progress).await.unwrap();
        assert_eq!(ledger.job(&declared.name).await.unwrap().progress, progress);
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"canary"));
        }
    }

    #[tokio::test]
    async fn a_pass_of_a_former_declaration_is_void() {
        let (_folder, ledger) = ledger();
        ledger.declare(spec(&["AppointmentID"]), now()).await.unwrap();
        let former = ledger.job(&spec(&[]).name).await.unwrap();
        ledger.declare(spec(&["AppointmentID", "Note"]), now()).await.unwrap();
        let outcome = ledger.move_progress(&former, &Progress::default()).await;
        assert!(matches!(outcome, Err(SyncError::Superseded { .. })));
    }
}
