//! A sync job as declared and checked: which columns of which table, by which key and cursor, how often, for whom.
//!
//! A [`JobSpec`] was checked against the catalog once (see `check`); every pass compares the table with it again before it
//! reads. The stored form is a versioned enum without the password.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::options::{ServerName, Trust};
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{ConnectionOptions, Encryption};
use crate::store::{Secret, StoreError};

use super::SyncError;
use super::cells::CellKind;
use super::names::JobName;

/// A checked declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// The job's name.
    pub name: JobName,
    /// Where and as whom it reads; the database included.
    pub connection: ConnectionOptions,
    /// What it reads.
    pub table: ObjectName,
    /// The delivered columns in order; key columns are always among them.
    pub columns: Vec<SourceColumn>,
    /// Names of the key columns in key order.
    pub key: Vec<SqlName>,
    /// How new rows are found.
    pub cursor: Cursor,
    /// From the end of one pass to the start of the next.
    pub interval: Duration,
    /// Rows of one page and at most of one batch.
    pub batch_rows: u32,
    /// For whom batches are sealed.
    pub seal: Seal,
}

/// How new rows are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// By this rowversion column: reads only what is new, does not see deletes.
    Rowversion(SqlName),
    /// By reading everything and comparing digests: needs nothing but SELECT and sees deletes.
    Digest,
}

/// A delivered column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name as the catalog spells it.
    pub name: SqlName,
    /// Its type in T-SQL.
    pub sql_type: String,
    /// How it travels.
    pub kind: CellKind,
    info: ColumnInfo,
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
    /// The SELECT list: the delivered columns, then the cursor when it is not among them.
    pub fn select_list(&self) -> String {
        let mut list: Vec<String> =
            self.columns.iter().map(|column| column.kind.select(&column.name)).collect();
        if let Cursor::Rowversion(cursor) = &self.cursor
            && !self.delivers(cursor)
        {
            list.push(cursor.quoted().to_string());
        }
        list.join(", ")
    }

    /// Where the rowversion stands in the SELECT list.
    pub fn cursor_position(&self) -> usize {
        let position = |cursor: &SqlName| self.columns.iter().position(|column| column.name == *cursor);
        match &self.cursor {
            Cursor::Rowversion(cursor) => position(cursor).unwrap_or(self.columns.len()),
            Cursor::Digest => self.columns.len(),
        }
    }

    /// Where the key columns stand in the SELECT list, in key order.
    pub fn key_positions(&self) -> Vec<usize> {
        self.key.iter().filter_map(|key| self.columns.iter().position(|column| column.name == *key)).collect()
    }

    /// The key columns in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &SourceColumn> {
        self.key.iter().filter_map(|key| self.columns.iter().find(|column| column.name == *key))
    }

    /// The key columns as an ORDER BY list.
    pub fn key_list(&self) -> String {
        self.key.iter().map(|key| key.quoted().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The Arrow schema of the batches.
    pub fn schema(&self) -> arrow_schema::SchemaRef {
        let operation = self.has_operations().then_some((OPERATION, "", CellKind::Text));
        let columns = self.columns.iter().map(|c| (c.name.as_str(), c.sql_type.as_str(), c.kind));
        super::cells::schema(operation.into_iter().chain(columns))
    }

    /// How the columns travel, in order.
    pub fn kinds(&self) -> Vec<CellKind> {
        let operation = self.has_operations().then_some(CellKind::Text);
        operation.into_iter().chain(self.columns.iter().map(|column| column.kind)).collect()
    }

    /// True when a batch tells in its first column, [`OPERATION`], what became of each row.
    pub fn has_operations(&self) -> bool {
        self.cursor == Cursor::Digest
    }

    /// True when a change from `other` to `self` makes the delivered data something else, so that a new epoch begins.
    pub fn needs_snapshot_after(&self, other: &Self) -> bool {
        self.connection.server != other.connection.server
            || self.connection.database != other.connection.database
            || self.table != other.table
            || self.columns != other.columns
            || self.key != other.key
            || self.cursor != other.cursor
    }

    /// Compares the table with the declaration.
    ///
    /// # Errors
    /// [`SyncError::SchemaChanged`] with every column that is gone or of another type.
    pub fn verify(&self, table: &TableInfo) -> Result<(), SyncError> {
        let mut differences = Vec::new();
        for column in &self.columns {
            match table.column(column.name.as_str()) {
                None => differences.push(format!("column {} is gone", column.name)),
                Some(now) if now.sql_type() != column.sql_type => {
                    differences.push(format!(
                        "column {} was {}, is {}",
                        column.name,
                        column.sql_type,
                        now.sql_type()
                    ));
                }
                Some(_) => {}
            }
        }
        if let Cursor::Rowversion(cursor) = &self.cursor
            && !table.column(cursor.as_str()).is_some_and(ColumnInfo::is_rowversion)
        {
            differences.push(format!("column {cursor} is no rowversion any more"));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(SyncError::SchemaChanged { table: self.table.to_string(), differences: differences.join(", ") })
    }

    fn delivers(&self, name: &SqlName) -> bool {
        self.columns.iter().any(|column| column.name == *name)
    }
}

impl Cursor {
    /// How status, events and changes name it.
    pub fn shown(&self) -> String {
        match self {
            Self::Rowversion(column) => format!("rowversion {column}"),
            Self::Digest => "digest".to_owned(),
        }
    }
}

impl SourceColumn {
    /// A column as the catalog describes it; `None` when its type cannot be kept exactly.
    ///
    /// # Errors
    /// The catalog gave no usable name.
    pub fn of(info: &ColumnInfo) -> Result<Option<Self>, SyncError> {
        let name = SqlName::new(info.name.clone())?;
        Ok(CellKind::of(info).map(|kind| Self { name, sql_type: info.sql_type(), kind, info: info.clone() }))
    }
}

/// The declaration as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredSpec {
    /// The first form.
    #[serde(rename = "1")]
    V1(Box<SpecV1>),
}

/// First stored form of a declaration.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpecV1 {
    server: ServerName,
    user: String,
    database: String,
    encryption: Encryption,
    trust: Trust,
    lock_timeout_ms: u64,
    schema: String,
    table: String,
    columns: Vec<ColumnV1>,
    key: Vec<String>,
    /// The rowversion column; none for a digest.
    cursor: Option<String>,
    interval_ms: u64,
    batch_rows: u32,
    seal: Seal,
}

#[derive(Debug, Serialize, Deserialize)]
struct ColumnV1 {
    name: String,
    type_name: String,
    max_length: i64,
    precision: u8,
    scale: u8,
    nullable: bool,
}

impl From<&JobSpec> for StoredSpec {
    fn from(spec: &JobSpec) -> Self {
        let connection = &spec.connection;
        Self::V1(Box::new(SpecV1 {
            server: connection.server.clone(),
            user: connection.user.clone(),
            database: connection.database.clone(),
            encryption: connection.encryption,
            trust: connection.trust.clone(),
            lock_timeout_ms: millis(connection.lock_timeout),
            schema: spec.table.schema.as_str().to_owned(),
            table: spec.table.name.as_str().to_owned(),
            columns: spec.columns.iter().map(|column| ColumnV1::from(&column.info)).collect(),
            key: spec.key.iter().map(|key| key.as_str().to_owned()).collect(),
            cursor: match &spec.cursor {
                Cursor::Rowversion(column) => Some(column.as_str().to_owned()),
                Cursor::Digest => None,
            },
            interval_ms: millis(spec.interval),
            batch_rows: spec.batch_rows,
            seal: spec.seal.clone(),
        }))
    }
}

impl StoredSpec {
    /// The live form, with the password that was stored apart.
    pub(crate) fn into_spec(self, name: JobName, password: Secret) -> Result<JobSpec, SyncError> {
        let Self::V1(stored) = self;
        let columns = stored.columns.into_iter().map(SourceColumn::try_from).collect::<Result<_, _>>()?;
        Ok(JobSpec {
            name,
            connection: ConnectionOptions {
                server: stored.server,
                user: stored.user,
                password,
                database: stored.database,
                encryption: stored.encryption,
                trust: stored.trust,
                lock_timeout: Duration::from_millis(stored.lock_timeout_ms),
            },
            table: ObjectName { schema: SqlName::new(stored.schema)?, name: SqlName::new(stored.table)? },
            columns,
            key: stored.key.into_iter().map(SqlName::new).collect::<Result<_, _>>()?,
            cursor: match stored.cursor {
                Some(column) => Cursor::Rowversion(SqlName::new(column)?),
                None => Cursor::Digest,
            },
            interval: Duration::from_millis(stored.interval_ms),
            batch_rows: stored.batch_rows,
            seal: stored.seal,
        })
    }
}

impl From<&ColumnInfo> for ColumnV1 {
    fn from(info: &ColumnInfo) -> Self {
        let ColumnInfo { name, type_name, max_length, precision, scale, nullable } = info.clone();
        Self { name, type_name, max_length, precision, scale, nullable }
    }
}

impl TryFrom<ColumnV1> for SourceColumn {
    type Error = SyncError;

    fn try_from(stored: ColumnV1) -> Result<Self, SyncError> {
        let ColumnV1 { name, type_name, max_length, precision, scale, nullable } = stored;
        let info = ColumnInfo { name, type_name, max_length, precision, scale, nullable };
        Self::of(&info)?.ok_or(SyncError::Store(StoreError::Form { what: "sync column type" }))
    }
}

/// Name of the column that holds `upsert` or `delete`.
pub const OPERATION: &str = "_operation";

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
