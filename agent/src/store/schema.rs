//! The schemas that sync jobs were approved for, and what was found that differs.
//!
//! One row per job, made by its first look at the table. `found` stands while the table differs from what was approved.
//! A row holds names and types, never a value but the EHR's version.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{StoreError, migrations::Step};

/// The table's steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[
    Step::adds(
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
    ),
    Step::adds(
        "
    ALTER TABLE schema_watch ADD COLUMN version TEXT;          -- of the EHR, when the table last was as approved
    ALTER TABLE schema_watch ADD COLUMN found_version TEXT;    -- of the EHR, with the shape that differs
    ALTER TABLE schema_watch ADD COLUMN version_trouble TEXT;  -- why the last look gave none
",
    ),
];

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
    /// The EHR's version when the table last was as approved.
    pub version: Option<String>,
    /// The EHR's version with the shape that differs.
    pub found_version: Option<String>,
    /// Why the last look gave no version.
    pub version_trouble: Option<String>,
}

/// What is known of a job's table.
///
/// # Errors
/// SQLite refused a statement.
pub fn watch(tx: &Transaction<'_>, job: &str) -> Result<Option<WatchRow>, StoreError> {
    Ok(tx.query_row(&format!("{WATCHES} WHERE job = ?1"), [job], watch_row).optional()?)
}

/// What is known of every job's table.
///
/// # Errors
/// SQLite refused a statement.
pub fn watches(tx: &Transaction<'_>) -> Result<Vec<WatchRow>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{WATCHES} ORDER BY job"))?;
    Ok(statement.query_map([], watch_row)?.collect::<Result<_, _>>()?)
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
        "INSERT OR REPLACE INTO schema_watch (job, server, database, approved, found, since, version, found_version,
         version_trouble) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            row.job,
            row.server,
            row.database,
            row.approved,
            row.found,
            row.since.cast_signed(),
            row.version,
            row.found_version,
            row.version_trouble
        ],
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
        version: row.get(6)?,
        found_version: row.get(7)?,
        version_trouble: row.get(8)?,
    })
}

const WATCHES: &str = "SELECT job, server, database, approved, found, since, version, found_version, version_trouble \
     FROM schema_watch";
