//! A declaration before it counts: the table is looked at as the job's own login would read it.
//!
//! Refuses what could lose rows or never work (no key, a cursor of the wrong type, a type that cannot be kept, a missing
//! permission); warns of what works at a price (no index on the cursor).

mod choose;
mod columns;
mod ehr_version;
mod joins;

use std::time::Duration;

use crate::mssql::catalog::{ColumnInfo, TableInfo};
use crate::mssql::param::integer;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{ConnectionOptions, Param, Session, SqlError};

use super::SyncError;
use super::batch::parse_recipients;
use super::names::JobName;
use super::query::probe;
use super::spec::{Clock, Comparison, Cursor, JobSpec, Mask, Retention, Seal, Timing};

pub use choose::{Choice, Tracking};
pub use ehr_version::VersionRequest;
pub use joins::JoinRequest;

/// What a state asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// The job's name.
    pub name: JobName,
    /// Where and as whom it reads; the database included.
    pub connection: ConnectionOptions,
    /// What it reads.
    pub table: ObjectName,
    /// What is joined to it; then the key must be given.
    pub joins: Vec<JoinRequest>,
    /// The columns; all when `None`. Key columns are delivered in any case.
    pub columns: Option<Vec<String>>,
    /// Columns left out of all.
    pub exclude: Vec<String>,
    /// Columns and the names they are delivered under.
    pub rename: Vec<(String, String)>,
    /// Columns and how they are masked.
    pub mask: Vec<(String, MaskRequest)>,
    /// Which rows.
    pub filter: Vec<ConditionRequest>,
    /// The key columns; the primary key when `None`.
    pub key: Option<Vec<String>>,
    /// How new rows are found.
    pub cursor: CursorRequest,
    /// How far before the last pass a datetime cursor begins.
    pub overlap: Duration,
    /// What the moments of a datetime cursor are.
    pub clock: Clock,
    /// How often every row is looked at.
    pub sweep: SweepRequest,
    /// When it runs.
    pub timing: Timing,
    /// Rows of one page.
    pub batch_rows: u32,
    /// For whom batches are sealed.
    pub seal: Seal,
    /// Where batches go; where the agent's go when it names none.
    pub sink: Option<String>,
    /// How long the sink keeps what a newer epoch has replaced.
    pub retention: Option<Retention>,
    /// Where the EHR keeps its own version.
    pub ehr_version: Option<VersionRequest>,
}

/// How new rows are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorRequest {
    /// By whatever fits the table best; a column that was named is used.
    Auto(Option<String>),
    /// By this column, or the table's rowversion column whatever its name.
    Rowversion(Option<String>),
    /// By Change Tracking.
    ChangeTracking,
    /// By this column of moments.
    Datetime(String),
    /// By comparing digests of all rows.
    Digest,
    /// By delivering everything.
    Full,
}

/// How a column is to be masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskRequest {
    /// Not delivered at all.
    Drop,
    /// Delivered masked.
    As(Mask),
}

/// A condition as it was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionRequest {
    /// The column.
    pub column: String,
    /// What must hold of it.
    pub test: TestRequest,
}

/// What must hold of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum TestRequest {
    /// It is NULL, or is not.
    Null(bool),
    /// It compares so.
    Compares(Comparison, Param),
    /// It is one of these.
    In(Vec<Param>),
}

/// How often every row is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepRequest {
    /// As the cursor needs it.
    AsNeeded,
    /// Never: what the cursor cannot see is not seen.
    Never,
    /// So often.
    Every(Duration),
}

/// A declaration that holds, and what to know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The declaration.
    pub spec: JobSpec,
    /// Why its cursor is this one.
    pub why: String,
    /// What works at a price.
    pub warnings: Vec<String>,
}

impl JobRequest {
    /// Everything of `table`, as it fits best.
    pub fn new(name: JobName, connection: ConnectionOptions, table: ObjectName, seal: Seal) -> Self {
        Self {
            name,
            connection,
            table,
            joins: Vec::new(),
            columns: None,
            exclude: Vec::new(),
            rename: Vec::new(),
            mask: Vec::new(),
            filter: Vec::new(),
            key: None,
            cursor: CursorRequest::Auto(None),
            overlap: DEFAULT_OVERLAP,
            clock: Clock::Local,
            sweep: SweepRequest::AsNeeded,
            timing: Timing::every(DEFAULT_INTERVAL),
            batch_rows: DEFAULT_BATCH_ROWS,
            seal,
            sink: None,
            retention: None,
            ehr_version: None,
        }
    }

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
        let mut checked = self.resolve_in(&mut session, &table).await?;
        session.batch(&probe(&checked.spec)).await?;
        checked.warnings.extend(ehr_version::probe(&checked.spec, &mut session).await?);
        session.close().await;
        Ok(checked)
    }

    /// The declaration over `base` and what is joined to it, without the place of the EHR's version; pure.
    ///
    /// # Errors
    /// What makes the job impossible, see [`SyncError`].
    pub fn resolve(
        &self,
        base: &TableInfo,
        joined: &[TableInfo],
        tracking: Tracking,
    ) -> Result<Checked, SyncError> {
        let (table, joins) = &self.compose(base, joined)?;
        let key = self.resolve_key(table)?;
        let Choice { cursor, why } = self.choose(table, &key, tracking)?;
        if key.is_empty() && cursor != Cursor::Full {
            return Err(SyncError::NoKey { table: self.table.to_string() });
        }
        let spec = JobSpec {
            name: self.name.clone(),
            connection: self.connection.clone(),
            table: self.table.clone(),
            joins: joins.clone(),
            columns: self.resolve_columns(table, &key)?,
            known: table.columns.iter().map(|info| info.name.clone()).collect(),
            key: key.iter().map(|info| SqlName::new(info.name.clone())).collect::<Result<_, _>>()?,
            filter: self.resolve_filter(table)?,
            sweep: self.resolve_sweep(&cursor),
            cursor,
            timing: self.timing.clone(),
            batch_rows: self.batch_rows,
            seal: self.seal.clone(),
            sink: self.sink.clone(),
            retention: self.retention,
            ehr_version: None,
            code_pages: None,
        };
        let warnings = self.warnings(table, &spec);
        Ok(Checked { spec, why, warnings })
    }

    /// The declaration over `table`, with what the session may see of Change Tracking.
    ///
    /// # Errors
    /// What makes the job impossible, see [`SyncError`].
    pub async fn resolve_in(&self, session: &mut Session, table: &TableInfo) -> Result<Checked, SyncError> {
        let joined = self.read_joined(session).await?;
        let tracking = self.tracking(session).await?;
        let mut checked = self.resolve(table, &joined, tracking)?;
        checked.spec.ehr_version = self.resolve_version(session).await?;
        Ok(checked)
    }

    async fn tracking(&self, session: &mut Session) -> Result<Tracking, SyncError> {
        let table = [Param::Text(self.table.quoted())];
        let rows = session.query(TRACKING, &table).await?;
        let number = |at: usize| {
            let cell = rows.first().map(|row| row.get_column_data(at).map_err(SqlError::from)).transpose();
            cell.map(|cell| cell.and_then(integer))
        };
        Ok(match (number(0)?, number(1)?) {
            (Some(_), Some(1)) => Tracking::On,
            (None, Some(0)) => Tracking::Unseen,
            _ => Tracking::Off,
        })
    }

    fn resolve_sweep(&self, cursor: &Cursor) -> Option<Duration> {
        match (self.sweep, cursor) {
            // A digest job is nothing but a sweep, a full job delivers everything anyway.
            (_, Cursor::Digest | Cursor::Full) | (SweepRequest::Never, _) => None,
            (SweepRequest::AsNeeded, Cursor::ChangeTracking) => None,
            (SweepRequest::AsNeeded, Cursor::Rowversion(_) | Cursor::Datetime(_)) => Some(DEFAULT_SWEEP),
            (SweepRequest::Every(every), _) => Some(every),
        }
    }

    fn resolve_key<'t>(&self, table: &'t TableInfo) -> Result<Vec<&'t ColumnInfo>, SyncError> {
        let names = self.key.as_ref().unwrap_or(&table.primary_key);
        let key: Vec<&ColumnInfo> =
            names.iter().map(|name| self.column(table, name)).collect::<Result<_, _>>()?;
        match key.iter().find(|column| column.nullable) {
            Some(column) => {
                Err(SyncError::NullableKey { table: self.table.to_string(), column: column.name.clone() })
            }
            None => Ok(key),
        }
    }

    fn column<'t>(&self, table: &'t TableInfo, name: &str) -> Result<&'t ColumnInfo, SyncError> {
        columns::find(&self.table.to_string(), table, name)
    }

    fn warnings(&self, table: &TableInfo, spec: &JobSpec) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(cursor) = spec.cursor_column().filter(|cursor| !table.is_indexed(cursor.as_str())) {
            warnings.push(format!(
                "no index of {} begins with {cursor}, or the login may not see it: every pass reads the whole table",
                self.table
            ));
        }
        if let Some(key) = &self.key {
            let same = |index: &&crate::mssql::catalog::IndexInfo| index.unique && index.columns == *key;
            if !table.indexes.iter().any(|index| same(&index)) {
                warnings.push(format!("no unique index of {} is over ({})", self.table, key.join(", ")));
            }
        }
        if self.sweep == SweepRequest::Never && matches!(spec.cursor, Cursor::Rowversion(_)) {
            warnings.push(format!("deletes of {} are not seen: a rowversion does not tell them", self.table));
        }
        warnings.extend(self.warn_of_joined(&spec.cursor, spec.sweep.is_some()));
        warnings
    }
}

const TRACKING: &str = "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(@P1)), \
     HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'VIEW CHANGE TRACKING')";
/// Ten minutes, as practices know it.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);
/// Rows of one page at most.
pub const DEFAULT_BATCH_ROWS: u32 = 50_000;
/// Two hours: the hour that a clock is set back in autumn, and an hour for slow transactions and wrong clocks.
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(7200);
const DEFAULT_SWEEP: Duration = Duration::from_secs(6 * 3600);

#[cfg(test)]
mod tests;
