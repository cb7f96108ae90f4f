//! The schemas that sync jobs were approved for, and what was found that differs.
//!
//! One row per job, made by its first look at the table. `found` stands while the table differs from what was approved.
//! A row holds names and types, never a value.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{StoreError, migrations::Step};

/// The table's steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[Step::adds(
    "
    CREATE TABLE schema_watch (
        job       TEXT PRIMARY KEY,
        server    TEXT NOT NULL,
        database  TEXT NOT NULL,
        approved  TEXT NOT NULL,     -- JSON of the shape
        found     TEXT,              -- JSON of the shape that differs
        since     INTEGER NOT NULL DEFAULT 0
    ) STRICT;
",
)];

/// What is known of one job's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRow {
    /// The job's name.
    pub job: String,
    /// Where its table is.
    pub server: String,
    /// In which database.
    pub database: String,
    /// The approved shape as JSON.
    pub approved: String,
    /// The shape that differs from it as JSON.
    pub found: Option<String>,
    /// Since when it differs, in seconds since 1970.
    pub since: u64,
}

/// What is known of a job's table.
///
/// # Errors
/// SQLite refused a statement.
pub fn watch(tx: &Transaction<'_>, job: &str) -> Result<Option<WatchRow>, StoreError> {
    Ok(tx.query_row(&format!("{WATCHES} WHERE job = ?1"), [job], watch_row).optional()?)
}

/// Every table that differs from what was approved.
///
/// # Errors
/// SQLite refused a statement.
pub fn drifted(tx: &Transaction<'_>) -> Result<Vec<WatchRow>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{WATCHES} WHERE found IS NOT NULL ORDER BY job"))?;
    Ok(statement.query_map([], watch_row)?.collect::<Result<_, _>>()?)
}

/// Writes what is known of a job's table.
///
/// # Errors
/// SQLite refused a statement.
pub fn put(tx: &Transaction<'_>, row: &WatchRow) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO schema_watch (job, server, database, approved, found, since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![row.job, row.server, row.database, row.approved, row.found, row.since.cast_signed()],
    )?;
    Ok(())
}

/// Forgets a job's table.
///
/// # Errors
/// SQLite refused a statement.
pub fn remove(tx: &Transaction<'_>, job: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM schema_watch WHERE job = ?1", [job])?;
    Ok(())
}

fn watch_row(row: &Row<'_>) -> Result<WatchRow, rusqlite::Error> {
    Ok(WatchRow {
        job: row.get(0)?,
        server: row.get(1)?,
        database: row.get(2)?,
        approved: row.get(3)?,
        found: row.get(4)?,
        since: row.get::<_, i64>(5)?.cast_unsigned(),
    })
}

const WATCHES: &str = "SELECT job, server, database, approved, found, since FROM schema_watch";
