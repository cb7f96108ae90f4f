//! Write tables of the store: declared writes, and the final outcomes of requests.
//!
//! An outcome is kept for [`KEPT_DAYS`] and sealed; the ledger in the database is what makes a request land once, this is
//! what answers a repeated request without asking it, and all there is for refusals of writes by external id.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{StoreError, migrations::Step};

/// The tables' steps, oldest first.
pub(super) const MIGRATIONS: &[Step] = &[Step::adds(
    "
    CREATE TABLE write_definition (
        name        TEXT PRIMARY KEY,
        declaration TEXT NOT NULL,   -- versioned JSON, without secrets
        password    BLOB NOT NULL    -- sealed
    ) STRICT;
    CREATE TABLE write_outcome (
        request     TEXT PRIMARY KEY,
        definition  TEXT NOT NULL,
        parameters  BLOB NOT NULL,   -- keyed hash of write and values
        outcome     BLOB NOT NULL,   -- sealed, versioned JSON
        decided     INTEGER NOT NULL -- seconds since 1970
    ) STRICT;
    CREATE INDEX write_outcome_decided ON write_outcome (decided);
",
)];

/// A declared write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionRow {
    /// Its name.
    pub name: String,
    /// Versioned JSON.
    pub declaration: String,
    /// Sealed.
    pub password: Vec<u8>,
}

/// The final outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRow {
    /// The request's id.
    pub request: String,
    /// The write.
    pub definition: String,
    /// Keyed hash of write and values.
    pub parameters: Vec<u8>,
    /// Sealed, versioned JSON.
    pub outcome: Vec<u8>,
    /// Seconds since 1970.
    pub decided: i64,
}

/// Writes a declaration, over a former one of that name.
///
/// # Errors
/// SQLite refused a statement.
pub fn put_definition(tx: &Transaction<'_>, row: &DefinitionRow) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO write_definition (name, declaration, password) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration, password = excluded.password",
        params![row.name, row.declaration, row.password],
    )?;
    Ok(())
}

/// The declaration of that name.
///
/// # Errors
/// SQLite refused a statement.
pub fn definition(tx: &Transaction<'_>, name: &str) -> Result<Option<DefinitionRow>, StoreError> {
    let query = "SELECT name, declaration, password FROM write_definition WHERE name = ?1";
    Ok(tx.query_row(query, [name], read_definition).optional()?)
}

/// Every declaration, by name.
///
/// # Errors
/// SQLite refused a statement.
pub fn definitions(tx: &Transaction<'_>) -> Result<Vec<DefinitionRow>, StoreError> {
    let mut query = tx.prepare("SELECT name, declaration, password FROM write_definition ORDER BY name")?;
    Ok(query.query_map([], read_definition)?.collect::<Result<_, _>>()?)
}

/// Removes a declaration; true when there was one.
///
/// # Errors
/// SQLite refused a statement.
pub fn remove_definition(tx: &Transaction<'_>, name: &str) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM write_definition WHERE name = ?1", [name])? > 0)
}

/// The outcome of a request.
///
/// # Errors
/// SQLite refused a statement.
pub fn outcome(tx: &Transaction<'_>, request: &str) -> Result<Option<OutcomeRow>, StoreError> {
    let query =
        "SELECT request, definition, parameters, outcome, decided FROM write_outcome WHERE request = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(OutcomeRow {
            request: row.get(0)?,
            definition: row.get(1)?,
            parameters: row.get(2)?,
            outcome: row.get(3)?,
            decided: row.get(4)?,
        })
    };
    Ok(tx.query_row(query, [request], read).optional()?)
}

/// Records the outcome of a request, unless one is recorded, and forgets those that are too old.
///
/// # Errors
/// SQLite refused a statement.
pub fn put_outcome(tx: &Transaction<'_>, row: &OutcomeRow) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR IGNORE INTO write_outcome (request, definition, parameters, outcome, decided) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![row.request, row.definition, row.parameters, row.outcome, row.decided],
    )?;
    tx.execute("DELETE FROM write_outcome WHERE decided < ?1", [row.decided - KEPT_DAYS * 86_400])?;
    Ok(())
}

/// How long an outcome is remembered; the promise is 30 days.
const KEPT_DAYS: i64 = 40;

fn read_definition(row: &rusqlite::Row<'_>) -> rusqlite::Result<DefinitionRow> {
    Ok(DefinitionRow { name: row.get(0)?, declaration: row.get(1)?, password: row.get(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn row(request: &str, decided: i64) -> OutcomeRow {
        OutcomeRow {
            request: request.to_owned(),
            definition: "w".to_owned(),
            parameters: vec![1],
            outcome: vec![2],
            decided,
        }
    }

    #[test]
    fn the_first_outcome_of_a_request_stays_and_old_ones_go_after_forty_days() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let find = |request: &str| store.with(|tx| outcome(tx, request)).unwrap();
        store.with(|tx| put_outcome(tx, &row("a", 0))).unwrap();
        store.with(|tx| put_outcome(tx, &row("a", 5))).unwrap();
        assert_eq!(find("a"), Some(row("a", 0)));
        store.with(|tx| put_outcome(tx, &row("b", 40 * 86_400))).unwrap();
        assert!(find("a").is_some());
        store.with(|tx| put_outcome(tx, &row("c", 40 * 86_400 + 1))).unwrap();
        assert_eq!((find("a"), find("b").is_some()), (None, true));
    }
}
