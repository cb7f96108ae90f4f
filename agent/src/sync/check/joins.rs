//! Joined tables of a declaration: looked up, and proven not to repeat a key.
//!
//! A key of the query must tell its rows apart: of each joined table at most one row matches (what joins it holds one of its
//! unique indexes), or the declared key has the columns that tell the matches apart. What cannot be proven is refused,
//! because pages go on behind the last key and would pass over a second row of it.

use crate::mssql::Session;
use crate::mssql::catalog::{IndexInfo, TableInfo};
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::shape::same_name;
use crate::sync::SyncError;
use crate::sync::spec::{Cursor, Join, JoinKind, JoinedColumn, Match};

use super::JobRequest;

/// A joined table as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The table.
    pub table: ObjectName,
    /// How later joins name it.
    pub alias: String,
    /// What becomes of a row without a match.
    pub kind: JoinKind,
    /// Its columns, and what they equal: a column of the job's table, or `alias.column` of an earlier join.
    pub on: Vec<(String, String)>,
    /// Its columns and their names in the query.
    pub columns: Vec<(String, String)>,
}

impl JobRequest {
    /// Reads the catalog of the joined tables.
    ///
    /// # Errors
    /// One is not there, or may not be seen.
    pub async fn read_joined(&self, session: &mut Session) -> Result<Vec<TableInfo>, SyncError> {
        let mut joined = Vec::new();
        for join in &self.joins {
            let table = TableInfo::read(session, &join.table).await?;
            joined.push(table.ok_or_else(|| SyncError::NoTable {
                table: join.table.to_string(),
                database: self.connection.database.clone(),
                login: self.connection.user.clone(),
            })?);
        }
        Ok(joined)
    }

    /// The query's columns as if they were one table's, and its joins with the names of the catalog.
    pub(super) fn compose(
        &self,
        base: &TableInfo,
        joined: &[TableInfo],
    ) -> Result<(TableInfo, Vec<Join>), SyncError> {
        let mut query = base.clone();
        let mut joins: Vec<Join> = Vec::new();
        for (asked, table) in self.joins.iter().zip(joined) {
            let known: Vec<(&str, &TableInfo)> =
                self.joins.iter().map(|join| join.alias.as_str()).zip(joined).take(joins.len()).collect();
            let join = asked.resolve(table, (&self.table, base), &known)?;
            for column in join.columns_of(table) {
                if query.column(&column.name).is_some() {
                    let (table, name) = (join.table.to_string(), column.name);
                    return Err(SyncError::JoinName { table, name });
                }
                query.columns.push(column);
            }
            joins.push(join);
        }
        if !joins.is_empty() {
            self.check_key(base, joined, &joins)?;
            let key = self.key.clone().unwrap_or_default();
            query.primary_key.clear();
            query.indexes.push(IndexInfo { name: "the query's key".into(), columns: key, unique: true });
        }
        Ok((query, joins))
    }

    /// What a cursor of one table does not see of the others.
    pub(super) fn warn_of_joined(&self, cursor: &Cursor, sweeps: bool) -> Option<String> {
        let tables: Vec<String> = self.joins.iter().map(|join| join.table.to_string()).collect();
        match cursor {
            Cursor::Rowversion(_) | Cursor::Datetime(_) | Cursor::ChangeTracking if !tables.is_empty() => {
                let when = if sweeps { "by the sweep alone" } else { "never, because there is no sweep" };
                Some(format!(
                    "a change of {} that leaves {} alone is seen {when}",
                    tables.join(", "),
                    self.table
                ))
            }
            Cursor::Rowversion(_)
            | Cursor::Datetime(_)
            | Cursor::ChangeTracking
            | Cursor::Digest
            | Cursor::Full => None,
        }
    }

    fn check_key(&self, base: &TableInfo, joined: &[TableInfo], joins: &[Join]) -> Result<(), SyncError> {
        let key = self.key.clone().unwrap_or_default();
        let in_key = |name: &str| key.iter().any(|one| same_name(one, name));
        // A table or view without an index that the login may see: the declared key is taken at its word.
        let told = base.indexes.iter().any(|index| index.unique);
        if told && !is_told_apart(base, in_key) {
            return Err(self.repeats(&self.table));
        }
        for (join, table) in joins.iter().zip(joined) {
            let fixed = |name: &str| {
                let joins_by = join.on.iter().any(|on| same_name(on.column.as_str(), name));
                let taken = join.columns.iter().find(|column| same_name(column.column.as_str(), name));
                joins_by || taken.is_some_and(|column| in_key(column.name.as_str()))
            };
            if !is_told_apart(table, fixed) {
                return Err(self.repeats(&join.table));
            }
        }
        Ok(())
    }

    fn repeats(&self, table: &ObjectName) -> SyncError {
        let key = self.key.clone().unwrap_or_default().join(", ");
        SyncError::KeyRepeats { key, table: table.to_string() }
    }
}

impl JoinRequest {
    fn resolve(
        &self,
        table: &TableInfo,
        (base_name, base): (&ObjectName, &TableInfo),
        earlier: &[(&str, &TableInfo)],
    ) -> Result<Join, SyncError> {
        let own = |name: &str| found(&self.table.to_string(), table, name);
        let other = |name: &str| -> Result<(Option<usize>, SqlName), SyncError> {
            match name.split_once('.') {
                None => Ok((None, found(&base_name.to_string(), base, name)?)),
                Some((alias, column)) => {
                    let at = earlier.iter().position(|(known, _)| same_name(known, alias));
                    let unknown = || SyncError::Argument {
                        name: "joins",
                        expected: format!("in order: no table before {} is called {alias}", self.table),
                    };
                    let (at, (alias, table)) =
                        at.and_then(|at| Some((at, earlier.get(at)?))).ok_or_else(unknown)?;
                    Ok((Some(at), found(alias, table, column)?))
                }
            }
        };
        let on = |(column, of): &(String, String)| {
            let (of, other) = other(of)?;
            Ok(Match { column: own(column)?, of, other })
        };
        let taken = |(column, name): &(String, String)| {
            Ok(JoinedColumn { column: own(column)?, name: SqlName::new(name.clone())? })
        };
        Ok(Join {
            table: self.table.clone(),
            alias: self.alias.clone(),
            kind: self.kind,
            on: self.on.iter().map(on).collect::<Result<_, SyncError>>()?,
            columns: self.columns.iter().map(taken).collect::<Result<_, SyncError>>()?,
        })
    }
}

fn found(shown: &str, table: &TableInfo, name: &str) -> Result<SqlName, SyncError> {
    let missing = || SyncError::NoColumn { table: shown.to_owned(), column: name.to_owned() };
    Ok(SqlName::new(table.column(name).ok_or_else(missing)?.name.clone())?)
}

/// Whether `fixed` columns hold a unique index.
fn is_told_apart(table: &TableInfo, fixed: impl Fn(&str) -> bool) -> bool {
    table.indexes.iter().any(|index| index.unique && index.columns.iter().all(|column| fixed(column)))
}
