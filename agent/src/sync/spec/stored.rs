//! A declaration as it is stored: a versioned enum apart from the live type, without the password.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mssql::options::{ServerName, Trust};
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{ConnectionOptions, Encryption};
use crate::store::{Secret, StoreError};
use crate::sync::SyncError;
use crate::sync::names::JobName;

use super::column::ColumnV1;
use super::{Condition, Cursor, JobSpec, Join, Retention, Seal, SourceColumn, Test, Timing, VersionSource};

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
    /// Not in what older versions wrote.
    #[serde(default)]
    joins: Vec<Join>,
    columns: Vec<ColumnV1>,
    known: Vec<String>,
    key: Vec<String>,
    cursor: Cursor,
    filter: Vec<ConditionV1>,
    sweep_ms: Option<u64>,
    timing: Timing,
    batch_rows: u32,
    seal: Seal,
    #[serde(default)]
    sink: Option<String>,
    #[serde(default)]
    retention: Option<Retention>,
    #[serde(default)]
    ehr_version: Option<VersionV1>,
}

/// Where the EHR keeps its version.
#[derive(Debug, Serialize, Deserialize)]
struct VersionV1 {
    table: ObjectName,
    column: ColumnV1,
    newest_by: Option<SqlName>,
    filter: Vec<ConditionV1>,
}

/// A condition with the column it was checked against.
#[derive(Debug, Serialize, Deserialize)]
struct ConditionV1 {
    column: ColumnV1,
    test: Test,
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
            joins: spec.joins.clone(),
            columns: spec.columns.iter().map(ColumnV1::from).collect(),
            known: spec.known.clone(),
            key: spec.key.iter().map(|key| key.as_str().to_owned()).collect(),
            cursor: spec.cursor.clone(),
            filter: spec.filter.iter().map(ConditionV1::from).collect(),
            sweep_ms: spec.sweep.map(millis),
            timing: spec.timing.clone(),
            batch_rows: spec.batch_rows,
            seal: spec.seal.clone(),
            sink: spec.sink.clone(),
            retention: spec.retention,
            ehr_version: spec.ehr_version.as_ref().map(VersionV1::from),
        }))
    }
}

impl StoredSpec {
    /// The live form, with the password that was stored apart.
    pub(crate) fn into_spec(self, name: JobName, password: Secret) -> Result<JobSpec, SyncError> {
        let Self::V1(stored) = self;
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
            joins: stored.joins,
            columns: stored.columns.into_iter().map(SourceColumn::try_from).collect::<Result<_, _>>()?,
            known: stored.known,
            key: stored.key.into_iter().map(SqlName::new).collect::<Result<_, _>>()?,
            cursor: stored.cursor,
            filter: stored.filter.into_iter().map(Condition::try_from).collect::<Result<_, _>>()?,
            sweep: stored.sweep_ms.map(Duration::from_millis),
            timing: stored.timing,
            batch_rows: stored.batch_rows,
            seal: stored.seal,
            sink: stored.sink,
            retention: stored.retention,
            ehr_version: stored.ehr_version.map(VersionSource::try_from).transpose()?,
            code_pages: None,
        })
    }
}

impl TryFrom<ColumnV1> for SourceColumn {
    type Error = SyncError;

    fn try_from(stored: ColumnV1) -> Result<Self, SyncError> {
        let (info, delivered_as, mask) = stored.into_info();
        let form = SyncError::Store(StoreError::Form { what: "sync column type" });
        let column = Self::of(&info)?.ok_or(form)?;
        Ok(Self { delivered_as, mask, ..column })
    }
}

impl From<&Condition> for ConditionV1 {
    fn from(condition: &Condition) -> Self {
        Self { column: ColumnV1::of_info(&condition.info), test: condition.test.clone() }
    }
}

impl TryFrom<ConditionV1> for Condition {
    type Error = SyncError;

    fn try_from(stored: ConditionV1) -> Result<Self, SyncError> {
        let (info, _, _) = stored.column.into_info();
        Ok(Self { column: SqlName::new(info.name.clone())?, test: stored.test, info })
    }
}

impl From<&VersionSource> for VersionV1 {
    fn from(source: &VersionSource) -> Self {
        Self {
            table: source.table.clone(),
            column: ColumnV1::of_info(&source.info),
            newest_by: source.newest_by.clone(),
            filter: source.filter.iter().map(ConditionV1::from).collect(),
        }
    }
}

impl TryFrom<VersionV1> for VersionSource {
    type Error = SyncError;

    fn try_from(stored: VersionV1) -> Result<Self, SyncError> {
        let (info, _, _) = stored.column.into_info();
        Ok(Self {
            table: stored.table,
            column: SqlName::new(info.name.clone())?,
            newest_by: stored.newest_by,
            filter: stored.filter.into_iter().map(Condition::try_from).collect::<Result<_, _>>()?,
            info,
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
