//! Job tables of the store: which jids were accepted, and which returns the master has not taken yet.
//!
//! A jid is recorded before its job runs, and its return is queued in the transaction that marks it done, so a
//! crash at any point leaves either a job to report as interrupted or a return to send: never both, never
//! neither. Loads are kept sealed, because arguments may be anybody's secrets; returns are Salt's msgpack. Bounds: [`KEPT_JIDS`] finished jids; of returns as much as
//! [`Entry::most`] says. A return for which there is no room is replaced by a notice that it is lost, so that its job
//! still ends; notices have [`NOTICE_BYTES`] of their own.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{StoreError, migrations::Step};

/// The tables' steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[
    Step::adds(
        "
    CREATE TABLE job (
        jid     TEXT PRIMARY KEY,
        load    BLOB,              -- the publish load until the job is done
        done    INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX job_unfinished ON job (jid) WHERE done = 0;
    CREATE TABLE job_return (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,  -- delivery order
        jid     TEXT NOT NULL,
        load    BLOB NOT NULL      -- the return load
    ) STRICT;
",
    ),
    Step::adds(
        "
    ALTER TABLE job ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;  -- seconds since 1970
",
    ),
];

/// A queued return.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedReturn {
    /// Its place in the queue.
    pub id: i64,
    /// The return load as msgpack.
    pub load: Vec<u8>,
}

/// A job that was running when the process ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// The job id.
    pub jid: String,
    /// The publish load as it was recorded.
    pub load: Vec<u8>,
    /// When it was accepted, in seconds since 1970.
    pub accepted: i64,
}

/// Records a jid before its job runs, at `accepted` seconds since 1970. `false` when it was accepted before, so it must not run again.
///
/// # Errors
/// SQLite refused a statement.
pub fn accept(tx: &Transaction<'_>, jid: &str, load: &[u8], accepted: i64) -> Result<bool, StoreError> {
    let fresh = tx.execute(
        "INSERT OR IGNORE INTO job (jid, load, accepted) VALUES (?1, ?2, ?3)",
        params![jid, load, accepted],
    )?;
    Ok(fresh == 1)
}

/// A return to queue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The job id; `req` for a return without one.
    pub jid: String,
    /// The return load as msgpack.
    pub load: Vec<u8>,
    /// What goes in its place when there is no room.
    pub notice: Vec<u8>,
    /// How many bytes of returns may wait.
    pub most: i64,
}

/// What became of a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It waits for the master.
    Whole,
    /// There was no room; the notice waits in its place.
    AsNotice,
    /// There was no room even for the notice.
    Lost,
}

/// Marks a job done and queues its return.
///
/// # Errors
/// SQLite refused a statement.
pub fn finish(tx: &Transaction<'_>, entry: &Entry) -> Result<Kept, StoreError> {
    tx.execute("UPDATE job SET done = 1, load = NULL WHERE jid = ?1", [&entry.jid])?;
    tx.execute(
        "DELETE FROM job WHERE done = 1 AND jid <= (SELECT jid FROM job ORDER BY jid DESC LIMIT 1 OFFSET ?1)",
        [KEPT_JIDS],
    )?;
    enqueue(tx, entry)
}

/// Queues a return without a recorded job (a ping's, while the master is away).
///
/// # Errors
/// SQLite refused a statement.
pub fn enqueue(tx: &Transaction<'_>, entry: &Entry) -> Result<Kept, StoreError> {
    let held: i64 =
        tx.query_row("SELECT coalesce(sum(length(load)), 0) FROM job_return", [], |row| row.get(0))?;
    let fits = |load: &[u8], most: i64| {
        held == 0 || held.saturating_add(i64::try_from(load.len()).unwrap_or(i64::MAX)) <= most
    };
    let (load, kept) = if fits(&entry.load, entry.most) {
        (&entry.load, Kept::Whole)
    } else if fits(&entry.notice, entry.most.saturating_add(NOTICE_BYTES)) {
        (&entry.notice, Kept::AsNotice)
    } else {
        return Ok(Kept::Lost);
    };
    tx.execute("INSERT INTO job_return (jid, load) VALUES (?1, ?2)", params![entry.jid, load])?;
    Ok(kept)
}

/// The oldest queued return after `after` (0 for the oldest of all).
///
/// # Errors
/// SQLite refused a statement.
pub fn next_return(tx: &Transaction<'_>, after: i64) -> Result<Option<QueuedReturn>, StoreError> {
    let query = "SELECT id, load FROM job_return WHERE id > ?1 ORDER BY id LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok(QueuedReturn { id: row.get(0)?, load: row.get(1)? });
    Ok(tx.query_row(query, [after], read).optional()?)
}

/// Forgets a return that the master took.
///
/// # Errors
/// SQLite refused a statement.
pub fn delivered(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM job_return WHERE id = ?1", [id])?;
    Ok(())
}

/// How many returns wait.
///
/// # Errors
/// SQLite refused a statement.
pub fn waiting(tx: &Transaction<'_>) -> Result<i64, StoreError> {
    Ok(tx.query_row("SELECT count(*) FROM job_return", [], |row| row.get(0))?)
}

/// The jobs that were accepted and never finished, oldest first.
///
/// # Errors
/// SQLite refused a statement.
pub fn unfinished(tx: &Transaction<'_>) -> Result<Vec<Unfinished>, StoreError> {
    let mut query =
        tx.prepare("SELECT jid, coalesce(load, x''), accepted FROM job WHERE done = 0 ORDER BY jid")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Unfinished { jid: row.get(0)?, load: row.get(1)?, accepted: row.get(2)? })
    };
    let rows = query.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many finished jids are remembered, newest first, to refuse a second delivery.
const KEPT_JIDS: i64 = 10_000;

/// How many bytes of notices may wait beside the returns.
const NOTICE_BYTES: i64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        (dir, store)
    }

    const NOTICE: &[u8] = b"lost";

    fn entry(jid: &str, load: &[u8]) -> Entry {
        Entry { jid: jid.to_owned(), load: load.to_vec(), notice: NOTICE.to_vec(), most: 1000 }
    }

    #[test]
    fn accepts_a_jid_once_even_after_a_restart() {
        let (dir, first) = store();
        assert!(first.with(|tx| accept(tx, "20261122104500000001", b"load", 7)).unwrap());
        assert!(!first.with(|tx| accept(tx, "20261122104500000001", b"load", 7)).unwrap());
        drop(first);
        let again = Store::open(&dir.path().join("store.sqlite")).unwrap();
        assert!(!again.with(|tx| accept(tx, "20261122104500000001", b"load", 7)).unwrap());
    }

    #[test]
    fn a_job_is_unfinished_until_its_return_is_queued() {
        let (_dir, store) = store();
        store.with(|tx| accept(tx, "1", b"load", 7)).unwrap();
        let left = store.with(unfinished).unwrap();
        assert_eq!(left, [Unfinished { jid: "1".to_owned(), load: b"load".to_vec(), accepted: 7 }]);
        assert_eq!(store.with(|tx| finish(tx, &entry("1", b"return"))).unwrap(), Kept::Whole);
        assert!(store.with(unfinished).unwrap().is_empty());
        let queued = store.with(|tx| next_return(tx, 0)).unwrap().unwrap();
        assert_eq!(queued.load, b"return");
        store.with(|tx| delivered(tx, queued.id)).unwrap();
        assert_eq!(store.with(waiting).unwrap(), 0);
    }

    #[test]
    fn a_return_without_room_is_replaced_by_its_notice_and_then_lost() {
        let (_dir, store) = store();
        let add = |jid: &str, load: &[u8]| store.with(|tx| enqueue(tx, &entry(jid, load))).unwrap();
        assert_eq!(add("1", &[0; 2000]), Kept::Whole, "an empty queue takes what is larger than the queue");
        assert_eq!(add("2", b"return"), Kept::AsNotice);
        let second = store.with(|tx| next_return(tx, 1)).unwrap().unwrap();
        assert_eq!(second.load, NOTICE);
        let notices = vec![0; usize::try_from(NOTICE_BYTES).unwrap()];
        store
            .with(|tx| {
                tx.execute("UPDATE job_return SET load = ?1 WHERE id = 2", [notices])
                    .map_err(StoreError::from)
            })
            .unwrap();
        assert_eq!(add("3", b"return"), Kept::Lost);
        store.with(|tx| delivered(tx, 1)).unwrap();
        store.with(|tx| delivered(tx, 2)).unwrap();
        assert_eq!(add("4", b"return"), Kept::Whole);
    }

    #[test]
    fn remembers_the_newest_finished_jids() {
        let (_dir, store) = store();
        let jids: Vec<String> = (0..KEPT_JIDS + 5).map(|number| format!("{number:020}")).collect();
        store
            .with(|tx| {
                for jid in &jids {
                    tx.execute("INSERT INTO job (jid, done) VALUES (?1, 1)", [jid])?;
                }
                finish(tx, &entry(&jids[jids.len() - 1], b"return"))
            })
            .unwrap();
        let kept: i64 = store
            .with(|tx| Ok::<_, StoreError>(tx.query_row("SELECT count(*) FROM job", [], |row| row.get(0))?))
            .unwrap();
        assert_eq!(kept, KEPT_JIDS);
        assert!(!store.with(|tx| accept(tx, &jids[jids.len() - 1], b"", 7)).unwrap());
    }
}
