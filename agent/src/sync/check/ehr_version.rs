//! Where the EHR keeps its version, looked at before it counts.

use crate::mssql::Session;
use crate::mssql::catalog::TableInfo;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::shape::same_name;
use crate::schema::VersionReading;
use crate::sync::SyncError;
use crate::sync::spec::{JobSpec, VersionSource};

use super::{ConditionRequest, JobRequest, columns};

/// Where the EHR keeps its version, as it was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRequest {
    /// The table or view.
    pub table: ObjectName,
    /// The column that holds it.
    pub column: String,
    /// The column whose greatest value marks the row.
    pub newest_by: Option<String>,
    /// Which rows count.
    pub filter: Vec<ConditionRequest>,
}

impl JobRequest {
    /// Looks the declared place up in the catalog.
    pub(super) async fn resolve_version(
        &self,
        session: &mut Session,
    ) -> Result<Option<VersionSource>, SyncError> {
        let Some(asked) = &self.ehr_version else { return Ok(None) };
        let own = std::iter::once(&self.table).chain(self.joins.iter().map(|join| &join.table));
        if own.into_iter().any(|table| same_name(&table.to_string(), &asked.table.to_string())) {
            return Err(wrong(
                "in a table of its own: the rows that the job reads are sealed, and a version is told in clear",
            ));
        }
        let found = TableInfo::read(session, &asked.table).await?;
        let table = found.ok_or_else(|| SyncError::NoTable {
            table: asked.table.to_string(),
            database: self.connection.database.clone(),
            login: self.connection.user.clone(),
        })?;
        asked.resolve(&table).map(Some)
    }
}

impl VersionRequest {
    fn resolve(&self, table: &TableInfo) -> Result<VersionSource, SyncError> {
        let name = self.table.to_string();
        let info = columns::find(&name, table, &self.column)?.clone();
        if !VersionSource::fits(&info) {
            return Err(wrong(&format!(
                "in a column of text, whole numbers, decimals or dates, not {}",
                info.sql_type()
            )));
        }
        let newest = self.newest_by.as_ref().map(|column| columns::find(&name, table, column)).transpose()?;
        Ok(VersionSource {
            table: self.table.clone(),
            column: SqlName::new(info.name.clone())?,
            newest_by: newest.map(|info| SqlName::new(info.name.clone())).transpose()?,
            filter: self
                .filter
                .iter()
                .map(|one| columns::condition(&name, table, one))
                .collect::<Result<_, _>>()?,
            info,
        })
    }
}

/// What to know about the version of a declared job; reads it as a pass will.
///
/// # Errors
/// The login may not read it, or the connection broke.
pub(super) async fn probe(spec: &JobSpec, session: &mut Session) -> Result<Option<String>, SyncError> {
    let Some(source) = &spec.ehr_version else { return Ok(None) };
    let (sql, params) = source.statement();
    session.query(&sql, &params).await?;
    Ok(match source.read(session).await? {
        VersionReading::Read(_) => None,
        VersionReading::Unreadable(why) => Some(format!("the EHR's version cannot be read: {why}")),
    })
}

fn wrong(expected: &str) -> SyncError {
    SyncError::Argument { name: "ehr_version", expected: expected.to_owned() }
}
