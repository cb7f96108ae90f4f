//! Brings the store's tables up to date, group by group.
//!
//! A group (`area`) belongs to one room and lists its steps in order; step N makes version N. Steps are only ever
//! appended, so two rooms never compete for a number. Each step and its version are one transaction.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, access, held_returns, jobs, schema, sync, sync_rows, writes};

/// Applies the steps that `connection` lacks.
pub(super) fn apply(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (area TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
    )?;
    for (area, steps) in AREAS {
        apply_area(connection, path, area, steps)?;
    }
    Ok(())
}

fn apply_area(
    connection: &mut Connection,
    path: &Path,
    area: &str,
    steps: &[&str],
) -> Result<(), StoreError> {
    let found: u32 = connection
        .query_row("SELECT version FROM migration WHERE area = ?1", [area], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::Newer { path: path.into(), area: area.to_owned(), found, known });
    }
    for (version, step) in (1u32..).zip(steps.iter()).skip(found as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.execute(
            "INSERT INTO migration (area, version) VALUES (?1, ?2)
             ON CONFLICT (area) DO UPDATE SET version = excluded.version",
            rusqlite::params![area, version],
        )?;
        transaction.commit()?;
    }
    Ok(())
}

/// Every room's tables. A room adds its line here and its steps beside its own queries.
const AREAS: &[(&str, &[&str])] = &[
    ("access", access::MIGRATIONS),
    ("held_return", held_returns::MIGRATIONS),
    ("jobs", jobs::MIGRATIONS),
    ("schema", schema::MIGRATIONS),
    ("sync", sync::MIGRATIONS),
    ("sync_row", sync_rows::MIGRATIONS),
    ("write", writes::MIGRATIONS),
];
