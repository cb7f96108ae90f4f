//! A sync job as declared and checked: which columns of which table, by which key and cursor, how often, for whom.
//!
//! A [`JobSpec`] was checked against the catalog once (see `check`); every pass compares the table with it again before it
//! reads. The stored form is a versioned enum without the password.

mod column;
mod ehr_version;
mod filter;
mod join;
mod retention;
mod stored;
mod timing;

use std::time::Duration;

use parquet::errors::ParquetError;
use parquet::schema::types::TypePtr;
use serde::{Deserialize, Serialize};

use crate::mssql::ConnectionOptions;
use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::quote::{ObjectName, SqlName};

use super::SyncError;
use super::cursor::Watermark;
use super::names::JobName;
pub use super::texts::CodePages;
use rows::kind::CellKind;

pub use column::{Mask, SourceColumn};
pub use ehr_version::VersionSource;
pub(crate) use filter::all;
pub use filter::{Comparison, Condition, Test};
pub use join::{Join, JoinKind, JoinedColumn, Match, Tables};
pub use retention::Retention;
pub(crate) use stored::StoredSpec;
pub use timing::{QuietHours, TimeOfDay, Timing};

/// A checked declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// The job's name.
    pub name: JobName,
    /// Where and as whom it reads; the database included.
    pub connection: ConnectionOptions,
    /// What it reads.
    pub table: ObjectName,
    /// What is joined to it.
    pub joins: Vec<Join>,
    /// The delivered columns in order; key columns are always among them.
    pub columns: Vec<SourceColumn>,
    /// Every column that the table had when the job was declared, delivered or not.
    pub known: Vec<String>,
    /// Names of the key columns in key order; none for a job that reads everything every time.
    pub key: Vec<SqlName>,
    /// How new rows are found.
    pub cursor: Cursor,
    /// Which rows are delivered.
    pub filter: Vec<Condition>,
    /// How often every row is looked at, for what the cursor cannot see.
    pub sweep: Option<Duration>,
    /// When it runs.
    pub timing: Timing,
    /// Rows of one page and at most of one batch.
    pub batch_rows: u32,
    /// For whom batches are sealed.
    pub seal: Seal,
    /// Where batches go; where the agent's go when it names none.
    pub sink: Option<String>,
    /// How long the sink keeps what a newer epoch has replaced; for ever when none.
    pub retention: Option<Retention>,
    /// Where the EHR keeps its own version, which is told beside a changed schema.
    pub ehr_version: Option<VersionSource>,
    /// Set for the rest of a pass that met a text it cannot read: texts are read as bytes. Never stored.
    pub code_pages: Option<CodePages>,
}

/// How new rows are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// By this rowversion column: reads only what is new, does not see deletes.
    Rowversion(SqlName),
    /// By the database's Change Tracking: reads only what is new, deletes included.
    ChangeTracking,
    /// By a column of moments: reads what is younger than the last pass less an overlap, and delivers what differs.
    Datetime(DatetimeCursor),
    /// By reading everything and comparing digests: needs nothing but SELECT and sees deletes.
    Digest,
    /// By delivering everything as a new epoch whenever something differs: needs no key.
    Full,
}

/// A column of moments as a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatetimeCursor {
    /// The column.
    pub column: SqlName,
    /// Its type in T-SQL.
    pub sql_type: String,
    /// What its values are.
    pub clock: Clock,
    /// How far before the last pass reading begins.
    pub overlap: Duration,
}

/// What a moment without offset means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// The server's local time.
    Local,
    /// UTC.
    Utc,
}

/// For whom batches are sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seal {
    /// For these age public keys.
    Recipients(Vec<String>),
    /// For nobody: plain Parquet, asked for with `allow_plain`.
    Plain,
}

impl JobSpec {
    /// The cursor's column, when it has one.
    pub fn cursor_column(&self) -> Option<&SqlName> {
        match &self.cursor {
            Cursor::Rowversion(column) => Some(column),
            Cursor::Datetime(cursor) => Some(&cursor.column),
            Cursor::ChangeTracking | Cursor::Digest | Cursor::Full => None,
        }
    }

    /// How far before the last pass reading begins; none for cursors that go on exactly.
    pub fn overlap(&self) -> Option<Duration> {
        match &self.cursor {
            Cursor::Datetime(cursor) => Some(cursor.overlap),
            Cursor::Rowversion(_) | Cursor::ChangeTracking | Cursor::Digest | Cursor::Full => None,
        }
    }

    /// Where the key columns stand among the columns, in key order.
    pub fn key_positions(&self) -> Vec<usize> {
        self.key.iter().filter_map(|key| self.columns.iter().position(|column| column.name == *key)).collect()
    }

    /// The key columns in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &SourceColumn> {
        self.key.iter().filter_map(|key| self.columns.iter().find(|column| column.name == *key))
    }

    /// The key columns as an ORDER BY list.
    pub fn key_list(&self, from: &str) -> String {
        self.key.iter().map(|key| format!("{from}{}", key.quoted())).collect::<Vec<_>>().join(", ")
    }

    /// The Parquet schema of the batches: what became of the row, then its columns.
    ///
    /// # Errors
    /// Parquet has no such column.
    pub fn schema(&self) -> Result<TypePtr, ParquetError> {
        let names = self.delivered_names();
        rows::kind::schema(names.iter().map(String::as_str).zip(self.kinds()))
    }

    /// What the columns are called there, in order.
    pub fn delivered_names(&self) -> Vec<String> {
        let columns = self.columns.iter().map(|column| column.delivered_as.clone());
        std::iter::once(OPERATION.to_owned()).chain(columns).collect()
    }

    /// How the columns travel, in order.
    pub fn kinds(&self) -> Vec<CellKind> {
        std::iter::once(CellKind::Text).chain(self.columns.iter().map(SourceColumn::delivered_kind)).collect()
    }

    /// True when a read row is compared with what was delivered of it.
    pub fn compares(&self) -> bool {
        matches!(self.cursor, Cursor::Datetime(_) | Cursor::Digest)
    }

    /// True when the store keeps a mark for every delivered row.
    pub fn keeps_marks(&self) -> bool {
        match self.cursor {
            Cursor::Datetime(_) | Cursor::Digest => true,
            Cursor::Rowversion(_) | Cursor::ChangeTracking => self.sweep.is_some(),
            Cursor::Full => false,
        }
    }

    /// True when a change from `other` to `self` makes the delivered data something else, so that a new epoch begins.
    pub fn needs_snapshot_after(&self, other: &Self) -> bool {
        self.connection.server != other.connection.server
            || self.connection.database != other.connection.database
            || self.table != other.table
            || self.joins != other.joins
            || self.sink != other.sink
            || !same_data(&self.columns, &other.columns, &self.key)
            || self.key != other.key
            || self.filter != other.filter
            || self.keeps_marks() != other.keeps_marks()
            || !self.cursor.continues(&other.cursor)
    }

    /// Compares the table with the declaration; gives what was added, which does not stop the job.
    ///
    /// # Errors
    /// [`SyncError::SchemaChanged`] with every column that is gone or does not hold any more what it held. A longer text
    /// is read on; a key, a cursor and a filter are compared with in their exact type.
    pub fn verify(&self, table: &TableInfo) -> Result<Vec<String>, SyncError> {
        let mut differences = Vec::new();
        for column in self.columns.iter().filter(|column| column.reads()) {
            let reads_on = !self.key.contains(&column.name)
                && table.column(column.name.as_str()).and_then(ColumnInfo::kind) == Some(column.kind);
            if !reads_on {
                differences.extend(difference(table, column.name.as_str(), &column.sql_type));
            }
        }
        for condition in &self.filter {
            differences.extend(difference(table, condition.column.as_str(), &condition.info.sql_type()));
        }
        match &self.cursor {
            Cursor::Rowversion(cursor) => {
                if !table.column(cursor.as_str()).is_some_and(ColumnInfo::is_rowversion) {
                    differences.push(format!("column {cursor} is no rowversion any more"));
                }
            }
            Cursor::Datetime(cursor) => {
                differences.extend(difference(table, cursor.column.as_str(), &cursor.sql_type));
            }
            Cursor::ChangeTracking | Cursor::Digest | Cursor::Full => {}
        }
        differences.dedup();
        if differences.is_empty() {
            let new = table.columns.iter().filter(|info| !self.known.contains(&info.name));
            return Ok(new.map(|info| format!("{} {}", info.name, info.sql_type())).collect());
        }
        Err(SyncError::SchemaChanged { table: self.table.to_string(), differences: differences.join(", ") })
    }

    /// The job over the table as it is: with its types, without columns that are gone.
    ///
    /// # Errors
    /// [`SyncError::SchemaChanged`] when a key, a cursor or a filter does not hold any more: the job must be declared anew.
    /// [`SyncError::ColumnType`] when a column's new type cannot be kept exactly.
    pub fn fitted(&self, table: &TableInfo) -> Result<Self, SyncError> {
        let mut columns = Vec::new();
        for column in &self.columns {
            let Some(info) = table.column(column.name.as_str()) else { continue };
            let fitted = SourceColumn::of(info)?.ok_or_else(|| SyncError::ColumnType {
                table: self.table.to_string(),
                column: info.name.clone(),
                sql_type: info.sql_type(),
            })?;
            let (delivered_as, mask) = (column.delivered_as.clone(), column.mask);
            columns.push(SourceColumn { delivered_as, mask, ..fitted });
        }
        let known = table.columns.iter().map(|info| info.name.clone()).collect();
        let fitted = Self { columns, known, ..self.clone() };
        let lost = self.key.iter().find(|key| table.column(key.as_str()).is_none());
        if let Some(key) = lost {
            let differences = format!("the key column {key} is gone: declare the job with another key");
            return Err(SyncError::SchemaChanged { table: self.table.to_string(), differences });
        }
        fitted.verify(table)?;
        Ok(fitted)
    }

    /// The columns that a statement of this job names, in the order of the table: what must be granted.
    pub fn read_columns(&self) -> Vec<&SqlName> {
        let mut names: Vec<&SqlName> =
            self.columns.iter().filter(|column| column.reads()).map(|column| &column.name).collect();
        let others = self.cursor_column().into_iter().chain(self.filter.iter().map(|c| &c.column));
        for name in others {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Whether two lists of columns deliver the same; what a text may hold at most does not count, except in a key.
fn same_data(now: &[SourceColumn], former: &[SourceColumn], key: &[SqlName]) -> bool {
    now.len() == former.len()
        && now.iter().zip(former).all(|(now, former)| {
            let alike = now.name == former.name
                && now.kind == former.kind
                && now.mask == former.mask
                && now.delivered_as == former.delivered_as;
            alike && (now.sql_type == former.sql_type || !key.contains(&now.name))
        })
}

fn difference(table: &TableInfo, column: &str, sql_type: &str) -> Option<String> {
    match table.column(column) {
        None => Some(format!("column {column} is gone")),
        Some(now) if now.sql_type() != sql_type => {
            Some(format!("column {column} was {sql_type}, is {}", now.sql_type()))
        }
        Some(_) => None,
    }
}

impl Cursor {
    /// How status, events and changes name it.
    pub fn shown(&self) -> String {
        match self {
            Self::Rowversion(column) => format!("rowversion {column}"),
            Self::ChangeTracking => "change_tracking".to_owned(),
            Self::Datetime(cursor) => format!("datetime {}", cursor.column),
            Self::Digest => "digest".to_owned(),
            Self::Full => "full".to_owned(),
        }
    }

    /// A watermark as this cursor counts.
    pub fn shown_watermark(&self, watermark: Watermark) -> String {
        match self {
            Self::Rowversion(_) => watermark.to_string(),
            Self::ChangeTracking => watermark.get().to_string(),
            Self::Datetime(_) => rows::moments::iso_since_year_1(watermark.get()),
            Self::Digest | Self::Full => String::new(),
        }
    }

    /// True when what was read by `former` may be read on by `self`.
    fn continues(&self, former: &Self) -> bool {
        match (self, former) {
            (Self::Datetime(now), Self::Datetime(former)) => {
                now.column == former.column && now.clock == former.clock
            }
            (now, former) => now == former,
        }
    }
}

/// Name of the column that holds `upsert` or `delete`.
pub const OPERATION: &str = "_operation";

#[cfg(test)]
pub(crate) mod tests;
