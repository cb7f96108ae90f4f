//! Access table of the store: what each principal was last declared to have, since when, and what was last reported.
//!
//! Holds names only: no password, no admin credential, no row value.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{StoreError, migrations::Step};

/// The tables' steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[Step::adds(
    "
    CREATE TABLE access (
        server    TEXT NOT NULL,
        database  TEXT NOT NULL,
        principal TEXT NOT NULL,
        declared  TEXT NOT NULL,     -- versioned JSON
        since     INTEGER NOT NULL,  -- seconds since 1970: first declared
        changed   INTEGER NOT NULL,  -- when the agent last changed it
        reported  TEXT NOT NULL DEFAULT '',  -- the drift that the last event told, as JSON
        PRIMARY KEY (server, database, principal)
    ) STRICT;
",
)];

/// A declared access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRow {
    /// The instance as declared.
    pub server: String,
    /// The database.
    pub database: String,
    /// The user or role.
    pub principal: String,
    /// Versioned JSON.
    pub declared: String,
    /// First declared.
    pub since: i64,
    /// Last changed by the agent.
    pub changed: i64,
    /// The drift last told.
    pub reported: String,
}

/// Notes a declaration; `changed_now` when the state had something to do.
///
/// # Errors
/// SQLite refused a statement.
pub fn put(tx: &Transaction<'_>, row: &AccessRow, changed_now: bool) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO access (server, database, principal, declared, since, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (server, database, principal) DO UPDATE SET declared = excluded.declared,
             changed = CASE WHEN ?7 THEN excluded.changed ELSE changed END",
        params![row.server, row.database, row.principal, row.declared, row.since, row.changed, changed_now],
    )?;
    Ok(())
}

/// Every declared access.
///
/// # Errors
/// SQLite refused a statement.
pub fn all(tx: &Transaction<'_>) -> Result<Vec<AccessRow>, StoreError> {
    let mut statement = tx.prepare(&format!("{ROWS} ORDER BY server, database, principal"))?;
    Ok(statement.query_map([], row)?.collect::<Result<_, _>>()?)
}

/// The declared access of one principal.
///
/// # Errors
/// SQLite refused a statement.
pub fn find(
    tx: &Transaction<'_>,
    (server, database, principal): (&str, &str, &str),
) -> Result<Option<AccessRow>, StoreError> {
    let sql = format!("{ROWS} WHERE server = ?1 AND database = ?2 AND principal = ?3");
    Ok(tx.query_row(&sql, [server, database, principal], row).optional()?)
}

/// Forgets a declaration.
///
/// # Errors
/// SQLite refused a statement.
pub fn remove(
    tx: &Transaction<'_>,
    (server, database, principal): (&str, &str, &str),
) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM access WHERE server = ?1 AND database = ?2 AND principal = ?3",
        [server, database, principal],
    )?;
    Ok(())
}

/// Notes what an event told.
///
/// # Errors
/// SQLite refused a statement.
pub fn note_reported(tx: &Transaction<'_>, row: &AccessRow, reported: &str) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE access SET reported = ?4 WHERE server = ?1 AND database = ?2 AND principal = ?3",
        params![row.server, row.database, row.principal, reported],
    )?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<AccessRow> {
    Ok(AccessRow {
        server: row.get(0)?,
        database: row.get(1)?,
        principal: row.get(2)?,
        declared: row.get(3)?,
        since: row.get(4)?,
        changed: row.get(5)?,
        reported: row.get(6)?,
    })
}

const ROWS: &str = "SELECT server, database, principal, declared, since, changed, reported FROM access";

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn a_declaration_keeps_its_beginning_and_moves_its_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s")).unwrap();
        let declared = |declared: &str, at: i64| AccessRow {
            server: "s".into(),
            database: "d".into(),
            principal: "u".into(),
            declared: declared.into(),
            since: at,
            changed: at,
            reported: String::new(),
        };
        store.with(|tx| put(tx, &declared("a", 1), true)).unwrap();
        store.with(|tx| put(tx, &declared("b", 2), false)).unwrap();
        let found = store.with(|tx| find(tx, ("s", "d", "u"))).unwrap().unwrap();
        assert_eq!((found.declared.as_str(), found.since, found.changed), ("b", 1, 1));
        store.with(|tx| put(tx, &declared("b", 3), true)).unwrap();
        store.with(|tx| note_reported(tx, &found, "x")).unwrap();
        let found = store.with(all).unwrap().remove(0);
        assert_eq!((found.since, found.changed, found.reported.as_str()), (1, 3, "x"));
        store.with(|tx| remove(tx, ("s", "d", "u"))).unwrap();
        assert!(store.with(all).unwrap().is_empty());
    }
}
