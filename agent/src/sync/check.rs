//! A declaration before it counts: the table is looked at as the job's own login would read it.
//!
//! Refuses what could lose rows or never work (no key, a cursor of the wrong type, a type that cannot be kept, a missing
//! permission); warns of what works at a price (no index on the cursor).

use std::time::Duration;

use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{ConnectionOptions, Session};

use super::SyncError;
use super::batch::parse_recipients;
use super::names::JobName;
use super::spec::{Cursor, JobSpec, Seal, SourceColumn};

/// What a state asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// The job's name.
    pub name: JobName,
    /// Where and as whom it reads; the database included.
    pub connection: ConnectionOptions,
    /// What it reads.
    pub table: ObjectName,
    /// The columns; all when `None`. Key columns are delivered in any case.
    pub columns: Option<Vec<String>>,
    /// The key columns; the primary key when `None`.
    pub key: Option<Vec<String>>,
    /// How new rows are found.
    pub cursor: CursorRequest,
    /// From the end of one pass to the start of the next.
    pub interval: Duration,
    /// Rows of one page.
    pub batch_rows: u32,
    /// For whom batches are sealed.
    pub seal: Seal,
}

/// How new rows are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorRequest {
    /// By the table's rowversion column, whatever its name.
    Rowversion,
    /// By this column, which must be a rowversion.
    Column(String),
    /// By comparing digests of all rows.
    Digest,
}

/// A declaration that holds, and what to know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The declaration.
    pub spec: JobSpec,
    /// What works at a price.
    pub warnings: Vec<String>,
}

impl JobRequest {
    /// Logs in as the job will and checks the table.
    ///
    /// # Errors
    /// What makes the job impossible, see [`SyncError`].
    pub async fn check(&self) -> Result<Checked, SyncError> {
        if let Seal::Recipients(recipients) = &self.seal {
            parse_recipients(recipients)?;
        }
        let mut session = Session::connect(&self.connection).await?;
        let found = TableInfo::read(&mut session, &self.table).await?;
        let table = found.ok_or_else(|| SyncError::NoTable {
            table: self.table.to_string(),
            database: self.connection.database.clone(),
            login: self.connection.user.clone(),
        })?;
        let checked = self.resolve(&table)?;
        let spec = &checked.spec;
        let probe = format!("SELECT TOP (0) {} FROM {}", spec.select_list(), spec.table.quoted());
        session.batch(&probe).await?;
        session.close().await;
        Ok(checked)
    }

    /// The declaration over `table`; pure.
    ///
    /// # Errors
    /// What makes the job impossible, see [`SyncError`].
    pub fn resolve(&self, table: &TableInfo) -> Result<Checked, SyncError> {
        let cursor = self.resolve_cursor(table)?;
        let key = self.resolve_key(table)?;
        let columns = self.resolve_columns(table, &key)?;
        let warnings = self.warnings(table, cursor);
        let cursor = match cursor {
            Some(column) => Cursor::Rowversion(SqlName::new(column.name.clone())?),
            None => Cursor::Digest,
        };
        let spec = JobSpec {
            name: self.name.clone(),
            connection: self.connection.clone(),
            table: self.table.clone(),
            columns,
            key: key.iter().map(|info| SqlName::new(info.name.clone())).collect::<Result<_, _>>()?,
            cursor,
            interval: self.interval,
            batch_rows: self.batch_rows,
            seal: self.seal.clone(),
        };
        Ok(Checked { spec, warnings })
    }

    fn resolve_cursor<'t>(&self, table: &'t TableInfo) -> Result<Option<&'t ColumnInfo>, SyncError> {
        let column = match &self.cursor {
            CursorRequest::Digest => return Ok(None),
            CursorRequest::Column(name) => self.column(table, name)?,
            CursorRequest::Rowversion => {
                table.rowversion().ok_or_else(|| SyncError::NoRowversion { table: self.table.to_string() })?
            }
        };
        if column.is_rowversion() {
            return Ok(Some(column));
        }
        Err(SyncError::CursorType {
            table: self.table.to_string(),
            column: column.name.clone(),
            sql_type: column.sql_type(),
        })
    }

    fn resolve_key<'t>(&self, table: &'t TableInfo) -> Result<Vec<&'t ColumnInfo>, SyncError> {
        let names = self.key.as_ref().unwrap_or(&table.primary_key);
        if names.is_empty() {
            return Err(SyncError::NoKey { table: self.table.to_string() });
        }
        let key: Vec<&ColumnInfo> =
            names.iter().map(|name| self.column(table, name)).collect::<Result<_, _>>()?;
        match key.iter().find(|column| column.nullable) {
            Some(column) => {
                Err(SyncError::NullableKey { table: self.table.to_string(), column: column.name.clone() })
            }
            None => Ok(key),
        }
    }

    fn resolve_columns(
        &self,
        table: &TableInfo,
        key: &[&ColumnInfo],
    ) -> Result<Vec<SourceColumn>, SyncError> {
        let mut infos: Vec<&ColumnInfo> = match &self.columns {
            None => table.columns.iter().collect(),
            Some(names) => names.iter().map(|name| self.column(table, name)).collect::<Result<_, _>>()?,
        };
        for column in key {
            if !infos.contains(column) {
                infos.push(column);
            }
        }
        infos.into_iter().map(|info| self.source_column(info)).collect()
    }

    fn source_column(&self, info: &ColumnInfo) -> Result<SourceColumn, SyncError> {
        SourceColumn::of(info)?.ok_or_else(|| SyncError::ColumnType {
            table: self.table.to_string(),
            column: info.name.clone(),
            sql_type: info.sql_type(),
        })
    }

    fn column<'t>(&self, table: &'t TableInfo, name: &str) -> Result<&'t ColumnInfo, SyncError> {
        let missing = || SyncError::NoColumn { table: self.table.to_string(), column: name.to_owned() };
        table.column(name).ok_or_else(missing)
    }

    fn warnings(&self, table: &TableInfo, cursor: Option<&ColumnInfo>) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(cursor) = cursor.filter(|cursor| !table.is_indexed(&cursor.name)) {
            warnings.push(format!(
                "no index of {} begins with {}, or the login may not see it: every pass reads the whole table",
                self.table, cursor.name
            ));
        }
        if let Some(key) = &self.key {
            let same = |index: &&crate::mssql::catalog::IndexInfo| index.unique && index.columns == *key;
            if !table.indexes.iter().any(|index| same(&index)) {
                warnings.push(format!("no unique index of {} is over ({})", self.table, key.join(", ")));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mssql::catalog::IndexInfo;

    fn column(name: &str, type_name: &str, nullable: bool) -> ColumnInfo {
        let (name, type_name) = (name.to_owned(), type_name.to_owned());
        ColumnInfo { name, type_name, max_length: 8, precision: 10, scale: 0, nullable }
    }

    fn table() -> TableInfo {
        let index = |name: &str, column: &str| IndexInfo {
            name: name.into(),
            columns: vec![column.into()],
            unique: true,
        };
        TableInfo {
            columns: vec![
                column("PaymentID", "int", false),
                column("Paid", "datetime", false),
                column("Shape", "", true),
                column("Note", "nvarchar", true),
                column("RowVer", "timestamp", false),
            ],
            primary_key: vec!["PaymentID".into()],
            indexes: vec![index("PK_Payment", "PaymentID"), index("IX_RowVer", "RowVer")],
        }
    }

    fn request() -> JobRequest {
        JobRequest {
            name: JobName::new("j").unwrap(),
            connection: ConnectionOptions::read(|_| None).unwrap(),
            table: ObjectName::parse("Payment").unwrap(),
            columns: Some(vec!["note".into()]),
            key: None,
            cursor: CursorRequest::Rowversion,
            interval: Duration::from_secs(600),
            batch_rows: 10,
            seal: Seal::Plain,
        }
    }

    #[test]
    fn key_and_cursor_are_found_and_the_key_is_delivered() {
        let checked = request().resolve(&table()).unwrap();
        let names: Vec<&str> = checked.spec.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["Note", "PaymentID"]);
        assert_eq!(checked.spec.cursor.shown(), "rowversion RowVer");
        assert!(checked.warnings.is_empty());
    }

    #[test]
    fn a_cursor_without_index_is_warned_of() {
        let mut table = table();
        table.indexes.pop();
        let warnings = request().resolve(&table).unwrap().warnings;
        assert!(warnings[0].contains("begins with RowVer"), "{warnings:?}");
    }

    #[test]
    fn a_cursor_of_another_type_is_refused_by_its_type() {
        let asked = JobRequest { cursor: CursorRequest::Column("Paid".into()), ..request() };
        let text = asked.resolve(&table()).unwrap_err().to_string();
        assert_eq!(text, "the cursor column Paid of dbo.Payment is datetime, not rowversion");
    }

    #[test]
    fn a_table_without_rowversion_or_key_is_refused() {
        let mut bare = table();
        bare.columns.pop();
        assert!(matches!(request().resolve(&bare), Err(SyncError::NoRowversion { .. })));
        let mut bare = table();
        bare.primary_key.clear();
        assert!(matches!(request().resolve(&bare), Err(SyncError::NoKey { .. })));
    }

    #[test]
    fn a_missing_column_a_lossy_type_and_a_nullable_key_are_refused_by_name() {
        let refused = |asked: JobRequest| asked.resolve(&table()).unwrap_err().to_string();
        assert!(refused(JobRequest { columns: Some(vec!["Nope".into()]), ..request() }).contains("Nope"));
        assert!(refused(JobRequest { columns: None, ..request() }).contains("column Shape"));
        assert!(
            refused(JobRequest { key: Some(vec!["Note".into()]), ..request() }).contains("may hold NULL")
        );
    }
}
