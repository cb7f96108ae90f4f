//! Write tables of the store: declared writes, and the final outcomes of requests.
//!
//! An outcome is kept for [`KEPT_DAYS`] at least and sealed; the ledger in the database is what makes a request land once, this is
//! what answers a repeated request without asking it, and all there is for refusals of writes by external id. Clocks are set
//! wrong and right again, so an outcome goes only when as many days with later outcomes have been seen as well: a clock that is
//! a year ahead for an hour is one more day.

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

/// Records the outcome of a request, unless one is recorded. The first one of a day forgets those that are too old.
///
/// # Errors
/// SQLite refused a statement.
pub fn put_outcome(tx: &Transaction<'_>, row: &OutcomeRow) -> Result<(), StoreError> {
    let last = "SELECT decided / 86400 FROM write_outcome ORDER BY rowid DESC LIMIT 1";
    let last = tx.query_row(last, [], |row| row.get::<_, i64>(0)).optional()?;
    tx.execute(
        "INSERT OR IGNORE INTO write_outcome (request, definition, parameters, outcome, decided) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![row.request, row.definition, row.parameters, row.outcome, row.decided],
    )?;
    if last == Some(row.decided / 86_400) {
        return Ok(());
    }
    tx.execute(
        "DELETE FROM write_outcome WHERE decided < ?1 AND rowid < (
             SELECT min(last) FROM (SELECT max(rowid) AS last FROM write_outcome GROUP BY decided / 86400
                                    ORDER BY last DESC LIMIT ?2)
             HAVING count(*) = ?2)",
        [row.decided - KEPT_DAYS * 86_400, KEPT_DAYS],
    )?;
    Ok(())
}

/// The day, counted from 1970, before which no request was decided that is to be remembered; `None` before the agent has
/// decided requests on [`KEPT_DAYS`] days.
///
/// # Errors
/// SQLite refused a statement.
pub fn forgotten_before(tx: &Transaction<'_>) -> Result<Option<i64>, StoreError> {
    let query = "SELECT min(day) FROM (SELECT decided / 86400 AS day FROM write_outcome GROUP BY day
                                       ORDER BY max(rowid) DESC LIMIT ?1)
                 HAVING count(*) = ?1";
    Ok(tx.query_row(query, [KEPT_DAYS], |row| row.get(0)).optional()?.flatten())
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
        for day in 1..=40 {
            assert!(store.with(forgotten_before).unwrap() <= Some(0), "day {day}");
            store.with(|tx| put_outcome(tx, &row(&day.to_string(), day * DAY))).unwrap();
            assert!(find("a").is_some(), "day {day}");
        }
        assert_eq!(store.with(forgotten_before).unwrap(), Some(1));
        store.with(|tx| put_outcome(tx, &row("b", 40 * DAY + 1))).unwrap();
        assert!(find("a").is_some(), "not at every outcome");
        store.with(|tx| put_outcome(tx, &row("c", 41 * DAY))).unwrap();
        assert_eq!((find("a"), find("1").is_some()), (None, true));
    }

    #[test]
    fn no_outcome_is_forgotten_because_the_clock_was_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let find = |request: &str| store.with(|tx| outcome(tx, request)).unwrap();
        let put =
            |request: &str, day: i64| store.with(|tx| put_outcome(tx, &row(request, day * DAY))).unwrap();
        for day in 20_000..20_030 {
            put(&day.to_string(), day);
        }
        put("in 1970", 0);
        put("in a year", 20_395);
        put("after", 20_030);
        assert!(find("20000").is_some(), "a clock a year ahead");
        assert!(find("in 1970").is_some(), "a clock that began anew");
        for day in 20_031..20_068 {
            put(&day.to_string(), day);
        }
        assert!(find("in 1970").is_some() && find("20001").is_none());
        assert_eq!(store.with(forgotten_before).unwrap(), Some(0));
        put("forty days after", 20_068);
        assert!(find("in 1970").is_none());
        assert_eq!(store.with(forgotten_before).unwrap(), Some(20_030));
    }

    const DAY: i64 = 86_400;
}
