//! What a digest job knows of the rows it delivered: one mark per row, without any value in clear.
//!
//! A row is named by a keyed hash of its key and judged by a keyed hash of its cells; the key itself is kept sealed, because
//! a delete must name it. Marks change in the same transaction as the batch and the progress they belong to. Marks of a former
//! epoch are dropped when the new one begins.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{StoreError, migrations::Step};

/// The table's steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[Step::adds(
    "
    CREATE TABLE sync_row (
        job    TEXT NOT NULL,
        row    BLOB NOT NULL,     -- keyed hash of the key
        digest BLOB NOT NULL,     -- keyed hash of the cells
        key    BLOB NOT NULL,     -- sealed
        round  INTEGER NOT NULL,  -- of the last sweep that saw it
        PRIMARY KEY (job, row)
    ) STRICT, WITHOUT ROWID;
",
)];

/// Bytes of a hash.
pub const HASH_BYTES: usize = 16;

/// A truncated keyed hash.
pub type Hash = [u8; HASH_BYTES];

/// A change of the marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// The row was seen as it was known.
    Seen(Hash),
    /// The row is new or changed.
    Delivered {
        /// Keyed hash of the key.
        row: Hash,
        /// Keyed hash of the cells.
        digest: Hash,
        /// Sealed key.
        key: Vec<u8>,
    },
    /// The row is gone.
    Gone(Hash),
}

impl Mark {
    fn row(&self) -> Hash {
        match self {
            Self::Seen(row) | Self::Delivered { row, .. } | Self::Gone(row) => *row,
        }
    }
}

/// What is known of a row that a sweep did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Keyed hash of the key.
    pub row: Hash,
    /// Sealed key.
    pub key: Vec<u8>,
}

/// The known digest of each row, in the order asked for; `None` for a row that is not known.
///
/// # Errors
/// SQLite refused a statement.
pub fn digests(tx: &Transaction<'_>, job: &str, rows: &[Hash]) -> Result<Vec<Option<Hash>>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT digest FROM sync_row WHERE job = ?1 AND row = ?2")?;
    let mut found = vec![None; rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by_key(|at| rows[*at]);
    for at in order {
        found[at] = statement.query_row(params![job, rows[at]], |row| row.get(0)).optional()?;
    }
    Ok(found)
}

/// Carries out the changes for a sweep.
///
/// # Errors
/// SQLite refused a statement.
pub fn put(tx: &Transaction<'_>, job: &str, round: u64, marks: &[Mark]) -> Result<(), StoreError> {
    let round = round.cast_signed();
    let mut seen = tx.prepare_cached("UPDATE sync_row SET round = ?3 WHERE job = ?1 AND row = ?2")?;
    let mut delivered = tx.prepare_cached(
        "INSERT INTO sync_row (job, row, digest, key, round) VALUES (?1, ?2, ?4, ?5, ?3)
         ON CONFLICT (job, row) DO UPDATE SET digest = excluded.digest, round = excluded.round",
    )?;
    let mut gone = tx.prepare_cached("DELETE FROM sync_row WHERE job = ?1 AND row = ?2")?;
    // Names of rows are hashes: in their order the pages of the table are visited one after the other. Marks of one row
    // keep theirs.
    let mut ordered: Vec<&Mark> = marks.iter().collect();
    ordered.sort_by_key(|mark| mark.row());
    for mark in ordered {
        match mark {
            Mark::Seen(row) => seen.execute(params![job, row, round])?,
            Mark::Delivered { row, digest, key } => {
                delivered.execute(params![job, row, round, digest, key])?
            }
            Mark::Gone(row) => gone.execute(params![job, row])?,
        };
    }
    Ok(())
}

/// Up to `limit` rows that the sweep of this round did not see.
///
/// # Errors
/// SQLite refused a statement.
pub fn unseen(tx: &Transaction<'_>, job: &str, round: u64, limit: u32) -> Result<Vec<Unseen>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT row, key FROM sync_row WHERE job = ?1 AND round < ?2 LIMIT ?3")?;
    let found = statement.query_map(params![job, round.cast_signed(), limit], |row| {
        Ok(Unseen { row: row.get(0)?, key: row.get(1)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// How many rows are known, and how many of them the sweep of this round did not see.
///
/// # Errors
/// SQLite refused a statement.
pub fn count(tx: &Transaction<'_>, job: &str, round: u64) -> Result<(u64, u64), StoreError> {
    let sql = "SELECT count(*), coalesce(sum(round < ?2), 0) FROM sync_row WHERE job = ?1";
    let counts = tx.query_row(sql, params![job, round.cast_signed()], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
    })?;
    Ok(counts)
}

/// Forgets every row of a job.
///
/// # Errors
/// SQLite refused a statement.
pub fn forget(tx: &Transaction<'_>, job: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM sync_row WHERE job = ?1", [job])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn marks_tell_what_a_sweep_did_not_see() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s")).unwrap();
        let [a, b, c] = [[1; HASH_BYTES], [2; HASH_BYTES], [3; HASH_BYTES]];
        let delivered = |row: Hash| Mark::Delivered { row, digest: [9; HASH_BYTES], key: vec![row[0]] };
        store.with(|tx| put(tx, "j", 1, &[delivered(a), delivered(b)])).unwrap();
        store.with(|tx| put(tx, "j", 2, &[Mark::Seen(a), delivered(c)])).unwrap();
        assert_eq!(
            store.with(|tx| digests(tx, "j", &[a, [7; HASH_BYTES]])).unwrap(),
            [Some([9; HASH_BYTES]), None]
        );
        assert_eq!(store.with(|tx| count(tx, "j", 2)).unwrap(), (3, 1));
        assert_eq!(store.with(|tx| unseen(tx, "j", 2, 10)).unwrap(), [Unseen { row: b, key: vec![2] }]);
        let twice = [Mark::Gone(b), delivered(b), Mark::Gone(b), delivered(c), Mark::Gone(a), delivered(a)];
        store.with(|tx| put(tx, "j", 2, &twice)).unwrap();
        assert_eq!(store.with(|tx| count(tx, "j", 2)).unwrap(), (2, 0));
        store.with(|tx| forget(tx, "j")).unwrap();
        assert_eq!(store.with(|tx| count(tx, "j", 2)).unwrap(), (0, 0));
    }
}
