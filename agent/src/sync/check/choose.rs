//! Which cursor a table gets, and why.
//!
//! `auto` takes the first that works: Change Tracking (sees deletes, costs the server least), a rowversion, a column of
//! moments when one was named (nobody can tell a change column from a birthday by its type), a digest, and for a table
//! without key everything every time.

use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::quote::SqlName;
use crate::mssql::shape::same_name;
use crate::sync::SyncError;
use crate::sync::spec::{Clock, Cursor, DatetimeCursor};

use super::{CursorRequest, JobRequest};

/// What the job's login may see of Change Tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// Off for the table.
    Off,
    /// The login lacks VIEW CHANGE TRACKING, so nobody knows.
    Unseen,
    /// On and readable.
    On,
}

/// A cursor and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The cursor.
    pub cursor: Cursor,
    /// The reason, for the operator.
    pub why: String,
}

impl JobRequest {
    pub(super) fn choose(
        &self,
        table: &TableInfo,
        key: &[&ColumnInfo],
        tracking: Tracking,
    ) -> Result<Choice, SyncError> {
        let asked = |cursor| Ok(Choice { cursor, why: "asked for".to_owned() });
        match &self.cursor {
            CursorRequest::Auto(column) => self.choose_best(table, key, (tracking, column.as_deref())),
            CursorRequest::Rowversion(column) => asked(self.rowversion(table, column.as_deref())?),
            CursorRequest::ChangeTracking if !self.joins.is_empty() => Err(SyncError::JoinsNotTracked),
            CursorRequest::ChangeTracking if !self.has_primary_key(table, key) => {
                Err(SyncError::KeyNotTracked { table: self.table.to_string() })
            }
            CursorRequest::ChangeTracking if tracking == Tracking::On => asked(Cursor::ChangeTracking),
            CursorRequest::ChangeTracking => Err(SyncError::NotTracked {
                table: self.table.to_string(),
                database: self.connection.database.clone(),
                login: self.connection.user.clone(),
            }),
            CursorRequest::Datetime(column) => asked(self.datetime(table, column)?),
            CursorRequest::Digest => asked(Cursor::Digest),
            CursorRequest::Full => asked(Cursor::Full),
        }
    }

    fn choose_best(
        &self,
        table: &TableInfo,
        key: &[&ColumnInfo],
        (tracking, column): (Tracking, Option<&str>),
    ) -> Result<Choice, SyncError> {
        if let Some(column) = column {
            let cursor = if self.column(table, column)?.is_rowversion() {
                self.rowversion(table, Some(column))?
            } else {
                self.datetime(table, column)?
            };
            return Ok(Choice { cursor, why: format!("column {column} was named") });
        }
        if !self.joins.is_empty() {
            let why = "tables are joined, and a cursor of one does not see the others change".to_owned();
            return Ok(Choice { cursor: Cursor::Digest, why });
        }
        if key.is_empty() {
            let why = "the table has no key, so rows cannot be told apart".to_owned();
            return Ok(Choice { cursor: Cursor::Full, why });
        }
        if tracking == Tracking::On && self.has_primary_key(table, key) {
            let why = "changes are tracked, deletes included".to_owned();
            return Ok(Choice { cursor: Cursor::ChangeTracking, why });
        }
        let untracked = match tracking {
            Tracking::Off => "changes are not tracked",
            Tracking::Unseen => "changes may be tracked, but the login lacks VIEW CHANGE TRACKING",
            Tracking::On => "changes are tracked by another key",
        };
        if table.rowversion().is_some() {
            let why = format!("{untracked}; the table has a rowversion column");
            return Ok(Choice { cursor: self.rowversion(table, None)?, why });
        }
        let why =
            format!("{untracked}; no rowversion column, and no column of moments is named in cursor_column");
        Ok(Choice { cursor: Cursor::Digest, why })
    }

    fn has_primary_key(&self, table: &TableInfo, key: &[&ColumnInfo]) -> bool {
        !key.is_empty() && key.iter().map(|column| &column.name).eq(table.primary_key.iter())
    }

    fn rowversion(&self, table: &TableInfo, column: Option<&str>) -> Result<Cursor, SyncError> {
        let missing = || SyncError::NoRowversion { table: self.table.to_string() };
        let column = match column {
            Some(name) => self.own_column(table, name)?,
            None => table.rowversion().ok_or_else(missing)?,
        };
        if column.is_rowversion() {
            return Ok(Cursor::Rowversion(SqlName::new(column.name.clone())?));
        }
        Err(self.of_another_type(column, "rowversion"))
    }

    fn datetime(&self, table: &TableInfo, column: &str) -> Result<Cursor, SyncError> {
        let column = self.own_column(table, column)?;
        let clock = match column.type_name.as_str() {
            "datetime" | "datetime2" | "smalldatetime" | "date" => self.clock,
            // An offset says what the moment is, whatever was declared.
            "datetimeoffset" => Clock::Utc,
            _ => return Err(self.of_another_type(column, "a type of moments")),
        };
        Ok(Cursor::Datetime(DatetimeCursor {
            column: SqlName::new(column.name.clone())?,
            sql_type: column.sql_type(),
            clock,
            overlap: self.overlap,
        }))
    }

    /// A column that no join brought: in its absence a row would have no place in the order.
    fn own_column<'t>(&self, table: &'t TableInfo, name: &str) -> Result<&'t ColumnInfo, SyncError> {
        let joined = self.joins.iter().flat_map(|join| &join.columns);
        if let Some((_, name)) = joined.into_iter().find(|(_, joined)| same_name(joined, name)) {
            let (table, column) = (self.table.to_string(), name.clone());
            return Err(SyncError::JoinedCursor { table, column });
        }
        self.column(table, name)
    }

    fn of_another_type(&self, column: &ColumnInfo, expected: &'static str) -> SyncError {
        SyncError::CursorType {
            table: self.table.to_string(),
            column: column.name.clone(),
            sql_type: column.sql_type(),
            expected,
        }
    }
}
