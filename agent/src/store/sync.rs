//! Sync tables of the store: declared jobs with their progress, and the index of the spool.
//!
//! A batch row and the progress it stands for are written in one transaction ([`record_batch`]); that is what makes
//! "nothing lost, nothing twice" hold across a crash. Progress holds key values of rows, so it is sealed. A batch row
//! outlives its job: what was read is delivered even when the job is gone.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{StoreError, migrations::Step};

/// The tables' steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[
    Step::adds(
        "
    CREATE TABLE sync_job (
        name      TEXT PRIMARY KEY,
        spec      TEXT NOT NULL,     -- versioned JSON of the declaration, without secrets
        password  BLOB NOT NULL,     -- sealed
        epoch     INTEGER NOT NULL,
        sequence  INTEGER NOT NULL,  -- of the next batch
        progress  BLOB NOT NULL,     -- sealed, versioned JSON
        delivered_batches INTEGER NOT NULL DEFAULT 0,
        delivered_rows    INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE sync_batch (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,  -- delivery order
        job       TEXT NOT NULL,
        epoch     INTEGER NOT NULL,
        sequence  INTEGER NOT NULL,
        folder    TEXT NOT NULL,
        file      TEXT NOT NULL,
        bytes     INTEGER NOT NULL,
        rows      INTEGER NOT NULL,
        event     TEXT NOT NULL,     -- JSON of the batch event
        UNIQUE (job, epoch, sequence)
    ) STRICT;
    CREATE TABLE sync_note (
        job       TEXT PRIMARY KEY REFERENCES sync_job (name) ON DELETE CASCADE,
        note      TEXT NOT NULL      -- JSON of how the job stands
    ) STRICT;
",
    ),
    Step::adds(
        "
    ALTER TABLE sync_batch ADD COLUMN recorded INTEGER;  -- seconds since 1970; none for batches of an older agent
",
    ),
    Step::adds(
        "
    ALTER TABLE sync_batch ADD COLUMN sink TEXT;         -- the job's own; none where it has none
    CREATE INDEX sync_batch_sink ON sync_batch (sink, id);
    CREATE TABLE sync_event (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,  -- in order of delivery
        tag       TEXT NOT NULL,
        data      TEXT NOT NULL      -- JSON, without row values
    ) STRICT;
",
    ),
];

/// A declared job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The job's name.
    pub name: String,
    /// The declaration as versioned JSON.
    pub spec: String,
    /// The sealed password.
    pub password: Vec<u8>,
    /// The generation of its data.
    pub epoch: u64,
    /// Of the next batch.
    pub sequence: u64,
    /// Sealed progress.
    pub progress: Vec<u8>,
    /// Batches the sink took in this epoch.
    pub delivered_batches: u64,
    /// Rows the sink took in this epoch.
    pub delivered_rows: u64,
}

/// A batch in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// Its place in the order of delivery; 0 before it is recorded.
    pub id: i64,
    /// The job's name.
    pub job: String,
    /// The generation.
    pub epoch: u64,
    /// Within the generation.
    pub sequence: u64,
    /// The folder in the spool and at the sink, one path component.
    pub folder: String,
    /// The sink that the job names; the agent's own when none.
    pub sink: Option<String>,
    /// The file's name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The batch event as JSON.
    pub event: String,
}

/// What waits in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolDepth {
    /// Batches.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was recorded, in seconds since 1970.
    pub oldest: Option<u64>,
}

/// Writes a declaration, replacing the one of that name.
///
/// # Errors
/// SQLite refused a statement.
pub fn put_job(tx: &Transaction<'_>, row: &JobRow) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO sync_job
             (name, spec, password, epoch, sequence, progress, delivered_batches, delivered_rows)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, password = excluded.password, epoch = excluded.epoch,
             sequence = excluded.sequence, progress = excluded.progress,
             delivered_batches = excluded.delivered_batches, delivered_rows = excluded.delivered_rows",
        params![
            row.name,
            row.spec,
            row.password,
            row.epoch.cast_signed(),
            row.sequence.cast_signed(),
            row.progress,
            row.delivered_batches.cast_signed(),
            row.delivered_rows.cast_signed()
        ],
    )?;
    Ok(())
}

/// The declaration of that name.
///
/// # Errors
/// SQLite refused a statement.
pub fn job(tx: &Transaction<'_>, name: &str) -> Result<Option<JobRow>, StoreError> {
    Ok(tx.query_row(&format!("{JOBS} WHERE name = ?1"), [name], job_row).optional()?)
}

/// Every declaration, by name.
///
/// # Errors
/// SQLite refused a statement.
pub fn jobs(tx: &Transaction<'_>) -> Result<Vec<JobRow>, StoreError> {
    let mut statement = tx.prepare(&format!("{JOBS} ORDER BY name"))?;
    Ok(statement.query_map([], job_row)?.collect::<Result<_, _>>()?)
}

/// Removes a declaration; its undelivered batches stay. True when there was one.
///
/// # Errors
/// SQLite refused a statement.
pub fn remove_job(tx: &Transaction<'_>, name: &str) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM sync_job WHERE name = ?1", [name])? > 0)
}

/// Records a spooled batch and the progress it stands for. False, and nothing written, when the job is not at that epoch
/// and sequence any more.
///
/// # Errors
/// SQLite refused a statement.
pub fn record_batch(tx: &Transaction<'_>, batch: &BatchRow, progress: &[u8]) -> Result<bool, StoreError> {
    let moved = tx.execute(
        "UPDATE sync_job SET sequence = sequence + 1, progress = ?4 WHERE name = ?1 AND epoch = ?2 AND sequence = ?3",
        params![batch.job, batch.epoch.cast_signed(), batch.sequence.cast_signed(), progress],
    )?;
    if moved == 0 {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO sync_batch (job, epoch, sequence, folder, file, bytes, rows, event, sink, recorded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, unixepoch())",
        params![
            batch.job,
            batch.epoch.cast_signed(),
            batch.sequence.cast_signed(),
            batch.folder,
            batch.file,
            batch.bytes.cast_signed(),
            batch.rows.cast_signed(),
            batch.event,
            batch.sink
        ],
    )?;
    Ok(true)
}

/// Moves the progress without a batch. False when the job is not at that epoch and sequence any more.
///
/// # Errors
/// SQLite refused a statement.
pub fn move_progress(
    tx: &Transaction<'_>,
    name: &str,
    at: (u64, u64),
    progress: &[u8],
) -> Result<bool, StoreError> {
    let moved = tx.execute(
        "UPDATE sync_job SET progress = ?4 WHERE name = ?1 AND epoch = ?2 AND sequence = ?3",
        params![name, at.0.cast_signed(), at.1.cast_signed(), progress],
    )?;
    Ok(moved > 0)
}

/// The oldest batch.
///
/// # Errors
/// SQLite refused a statement.
pub fn next_batch(tx: &Transaction<'_>) -> Result<Option<BatchRow>, StoreError> {
    Ok(tx.query_row(&format!("{BATCHES} ORDER BY id LIMIT 1"), [], batch_row).optional()?)
}

/// The batch to deliver next by each sink, the oldest first. Looks through the whole index.
///
/// # Errors
/// SQLite refused a statement.
pub fn next_batches(tx: &Transaction<'_>) -> Result<Vec<BatchRow>, StoreError> {
    let first = "WHERE id IN (SELECT min(id) FROM sync_batch GROUP BY sink)";
    let mut statement = tx.prepare_cached(&format!("{BATCHES} {first} ORDER BY id"))?;
    Ok(statement.query_map([], batch_row)?.collect::<Result<_, _>>()?)
}

/// The oldest event that no master has heard: its number, tag and data.
///
/// # Errors
/// SQLite refused a statement.
pub fn next_event(tx: &Transaction<'_>) -> Result<Option<(i64, String, String)>, StoreError> {
    let sql = "SELECT id, tag, data FROM sync_event ORDER BY id LIMIT 1";
    Ok(tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
}

/// Keeps an event until a master has heard it; the oldest of too many are forgotten.
///
/// # Errors
/// SQLite refused a statement.
pub fn put_event(tx: &Transaction<'_>, tag: &str, data: &str) -> Result<(), StoreError> {
    tx.execute("INSERT INTO sync_event (tag, data) VALUES (?1, ?2)", [tag, data])?;
    let oldest = tx.last_insert_rowid() - MOST_EVENTS;
    tx.execute("DELETE FROM sync_event WHERE id <= ?1", [oldest])?;
    Ok(())
}

/// Takes an event off that a master has heard.
///
/// # Errors
/// SQLite refused a statement.
pub fn event_sent(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM sync_event WHERE id = ?1", [id])?;
    Ok(())
}

/// Every batch in the spool, in order of delivery.
///
/// # Errors
/// SQLite refused a statement.
pub fn batches(tx: &Transaction<'_>) -> Result<Vec<BatchRow>, StoreError> {
    let mut statement = tx.prepare(&format!("{BATCHES} ORDER BY id"))?;
    Ok(statement.query_map([], batch_row)?.collect::<Result<_, _>>()?)
}

/// Takes a delivered batch off the index and counts it for its job.
///
/// # Errors
/// SQLite refused a statement.
pub fn batch_delivered(tx: &Transaction<'_>, batch: &BatchRow) -> Result<(), StoreError> {
    if tx.execute("DELETE FROM sync_batch WHERE id = ?1", [batch.id])? > 0 {
        tx.execute(
            "UPDATE sync_job SET delivered_batches = delivered_batches + 1, delivered_rows = delivered_rows + ?3
             WHERE name = ?1 AND epoch = ?2",
            params![batch.job, batch.epoch.cast_signed(), batch.rows.cast_signed()],
        )?;
    }
    Ok(())
}

/// How a job stood after its last pass, as JSON.
///
/// # Errors
/// SQLite refused a statement.
pub fn note(tx: &Transaction<'_>, job: &str) -> Result<Option<String>, StoreError> {
    Ok(tx.query_row("SELECT note FROM sync_note WHERE job = ?1", [job], |row| row.get(0)).optional()?)
}

/// Every job's note, by name.
///
/// # Errors
/// SQLite refused a statement.
pub fn notes(tx: &Transaction<'_>) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = tx.prepare("SELECT job, note FROM sync_note ORDER BY job")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Writes how a declared job stands.
///
/// # Errors
/// SQLite refused a statement.
pub fn put_note(tx: &Transaction<'_>, job: &str, note: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO sync_note (job, note) SELECT name, ?2 FROM sync_job WHERE name = ?1
         ON CONFLICT (job) DO UPDATE SET note = excluded.note",
        [job, note],
    )?;
    Ok(())
}

/// How much waits in the spool, of one job or of all.
///
/// # Errors
/// SQLite refused a statement.
pub fn depth(tx: &Transaction<'_>, job: Option<&str>) -> Result<SpoolDepth, StoreError> {
    Ok(tx.query_row(
        "SELECT count(*), coalesce(sum(bytes), 0), min(recorded) FROM sync_batch WHERE ?1 IS NULL OR job = ?1",
        [job],
        |row| {
            let oldest = row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned);
            Ok(SpoolDepth { batches: number(row, 0)?, bytes: number(row, 1)?, oldest })
        },
    )?)
}

fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        name: row.get(0)?,
        spec: row.get(1)?,
        password: row.get(2)?,
        epoch: number(row, 3)?,
        sequence: number(row, 4)?,
        progress: row.get(5)?,
        delivered_batches: number(row, 6)?,
        delivered_rows: number(row, 7)?,
    })
}

fn batch_row(row: &Row<'_>) -> rusqlite::Result<BatchRow> {
    Ok(BatchRow {
        id: row.get(0)?,
        job: row.get(1)?,
        epoch: number(row, 2)?,
        sequence: number(row, 3)?,
        folder: row.get(4)?,
        file: row.get(5)?,
        bytes: number(row, 6)?,
        rows: number(row, 7)?,
        event: row.get(8)?,
        sink: row.get(9)?,
    })
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

const JOBS: &str =
    "SELECT name, spec, password, epoch, sequence, progress, delivered_batches, delivered_rows FROM sync_job";
const BATCHES: &str =
    "SELECT id, job, epoch, sequence, folder, file, bytes, rows, event, sink FROM sync_batch";
/// Months without a master at a batch in ten minutes; what a batch's event says lies beside it at the sink as well.
const MOST_EVENTS: i64 = 20_000;

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s")).unwrap();
        let row = JobRow {
            name: "j".into(),
            spec: "{}".into(),
            password: vec![],
            epoch: 5,
            sequence: 1,
            progress: vec![0],
            delivered_batches: 0,
            delivered_rows: 0,
        };
        store.with(|tx| put_job(tx, &row)).unwrap();
        (folder, store)
    }

    fn batch(epoch: u64, sequence: u64) -> BatchRow {
        let (job, folder, file, event) = ("j".into(), "j".into(), format!("{epoch}-{sequence}"), "{}".into());
        BatchRow { id: 0, job, epoch, sequence, folder, sink: None, file, bytes: 10, rows: 3, event }
    }

    #[test]
    fn a_batch_moves_the_progress_once() {
        let (_folder, store) = store();
        assert!(store.with(|tx| record_batch(tx, &batch(5, 1), &[1])).unwrap());
        assert!(!store.with(|tx| record_batch(tx, &batch(5, 1), &[9])).unwrap());
        let row = store.with(|tx| job(tx, "j")).unwrap().unwrap();
        assert_eq!((row.sequence, row.progress), (2, vec![1]));
    }

    #[test]
    fn a_batch_of_a_former_epoch_is_refused() {
        let (_folder, store) = store();
        assert!(!store.with(|tx| record_batch(tx, &batch(4, 1), &[1])).unwrap());
        assert_eq!(store.with(|tx| depth(tx, None)).unwrap(), SpoolDepth::default());
    }

    #[test]
    fn a_delivered_batch_is_counted_once() {
        let (_folder, store) = store();
        store.with(|tx| record_batch(tx, &batch(5, 1), &[1])).unwrap();
        let next = store.with(next_batches).unwrap().remove(0);
        store.with(|tx| batch_delivered(tx, &next)).unwrap();
        store.with(|tx| batch_delivered(tx, &next)).unwrap();
        let row = store.with(|tx| job(tx, "j")).unwrap().unwrap();
        assert_eq!((row.delivered_batches, row.delivered_rows), (1, 3));
        assert_eq!(store.with(next_batches).unwrap(), []);
    }

    #[test]
    fn each_sink_has_a_batch_that_is_next() {
        let (_folder, store) = store();
        for (sequence, sink) in (1..).zip([None, None, Some("archive"), Some("archive")]) {
            let row = BatchRow { sink: sink.map(str::to_owned), ..batch(5, sequence) };
            assert!(store.with(|tx| record_batch(tx, &row, &[1])).unwrap());
        }
        let next = store.with(next_batches).unwrap();
        assert_eq!(store.with(next_batch).unwrap().as_ref(), next.first());
        assert_eq!(next.iter().map(|batch| batch.sequence).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn events_wait_in_order_and_not_for_ever() {
        let (_folder, store) = store();
        for number in 0..MOST_EVENTS + 5 {
            store.with(|tx| put_event(tx, "t", &number.to_string())).unwrap();
        }
        let (id, tag, data) = store.with(next_event).unwrap().unwrap();
        assert_eq!((tag.as_str(), data.as_str()), ("t", "5"), "the oldest five are forgotten");
        store.with(|tx| event_sent(tx, id)).unwrap();
        assert_eq!(store.with(next_event).unwrap().unwrap().2, "6");
    }

    #[test]
    fn batches_of_a_removed_job_stay_to_be_delivered() {
        let (_folder, store) = store();
        store.with(|tx| record_batch(tx, &batch(5, 1), &[1])).unwrap();
        assert!(store.with(|tx| remove_job(tx, "j")).unwrap());
        let depth = store.with(|tx| depth(tx, Some("j"))).unwrap();
        assert_eq!((depth.batches, depth.bytes, depth.oldest.is_some()), (1, 10, true));
    }
}
