//! Returns that wait for the end of an update's trial, one per jid, as Salt's msgpack.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{StoreError, migrations::Step};

/// The tables' steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[Step::adds(
    "
    CREATE TABLE held_return (
        jid     TEXT PRIMARY KEY,
        load    BLOB NOT NULL      -- the return load as the job made it
    ) STRICT;
",
)];

/// Keeps a return; a second one of the same jid replaces it.
///
/// # Errors
/// SQLite refused a statement.
pub fn keep(tx: &Transaction<'_>, jid: &str, load: &[u8]) -> Result<(), StoreError> {
    tx.execute("INSERT OR REPLACE INTO held_return (jid, load) VALUES (?1, ?2)", params![jid, load])?;
    Ok(())
}

/// The return kept for a jid.
///
/// # Errors
/// SQLite refused a statement.
pub fn find(tx: &Transaction<'_>, jid: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let query = "SELECT load FROM held_return WHERE jid = ?1";
    Ok(tx.query_row(query, [jid], |row| row.get(0)).optional()?)
}

/// Takes the return kept for a jid.
///
/// # Errors
/// SQLite refused a statement.
pub fn take(tx: &Transaction<'_>, jid: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let load = find(tx, jid)?;
    tx.execute("DELETE FROM held_return WHERE jid = ?1", [jid])?;
    Ok(load)
}
