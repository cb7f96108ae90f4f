//! Looking at the tables of a sync job or a write, and approving them as they are.
//!
//! Approving a job's table approves it for every write that touches it, as far as the columns the write needs are there
//! and still hold what it gives them; a write that does not fit any more is named and stays stopped. The job itself goes
//! on with the new types, and without columns that are gone; when that makes the delivered data something else a new
//! epoch begins.

use crate::mssql::catalog::TableInfo;
use crate::mssql::shape::{Shape, TableShape, same_name};
use crate::mssql::{Session, SqlError};
use crate::schema::{EhrVersion, Found, VersionReading};
use crate::services::Services;
use crate::store::StoreError;
use crate::sync::SyncError;
use crate::sync::ledger::JobState;
use crate::sync::names::JobName;
use crate::write::WriteError;
use crate::write::book::Declared;
use crate::write::check::{check, refit};
use crate::write::names::WriteName;

/// Why a schema is not approved.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Nothing of that name is declared.
    #[error("there is neither a sync job nor a write {name} on this minion")]
    Nobody {
        /// The name.
        name: String,
    },
    /// Another schema was found than the one that was approved.
    #[error(
        "the schema of {name} is {found}, not {given}{}; look at it, and approve it by its fingerprint {found}",
        told(differences)
    )]
    Another {
        /// The job or write.
        name: String,
        /// The fingerprint of what is there.
        found: String,
        /// The fingerprint that was given.
        given: String,
        /// Column by column, against what was approved before.
        differences: Vec<String>,
    },
    /// The sync job cannot be looked at, or cannot go on.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The write cannot be looked at, or cannot go on.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// SQL Server refused.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose schema it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    /// A sync job's.
    Sync(Box<JobState>),
    /// A write's.
    Write(Box<Declared>),
}

/// A schema as it was approved and as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// The sync job or write.
    pub named: Named,
    /// Its approved shape; nothing before a job's first pass.
    pub approved: Option<Shape>,
    /// Its shape at this moment.
    pub found: Shape,
    /// The EHR's version: as the looks before found it, and at this moment.
    pub version: Option<EhrVersion>,
    reading: Option<VersionReading>,
    table: Option<TableInfo>,
}

/// What an approval came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Approved {
    /// Writes that go on.
    pub writes: Vec<String>,
    /// Writes that stay stopped, and why.
    pub stopped: Vec<(String, String)>,
    /// The sync job delivers everything anew.
    pub snapshot: bool,
}

impl Subject {
    /// Column by column how it differs from what was approved.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        self.approved.as_ref().map(|approved| approved.differences(&self.found)).unwrap_or_default()
    }

    /// Columns that were not there when it was approved.
    #[must_use]
    pub fn added(&self) -> Vec<String> {
        let Some(approved) = &self.approved else { return Vec::new() };
        let known = |table: &TableShape, column: &str| {
            let former = approved.tables.iter().find(|former| former.table == table.table);
            former.is_some_and(|former| former.columns.iter().any(|(name, _)| same_name(name, column)))
        };
        let columns = self.found.tables.iter().flat_map(|table| {
            let new = table.columns.iter().filter(|(name, _)| !known(table, name));
            new.map(|(name, sql_type)| format!("{name} {sql_type}"))
        });
        columns.collect()
    }

    /// True when it is as it was approved.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.approved.is_some() && self.differences().is_empty()
    }

    /// The tables it is about.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        self.found.tables.iter().map(|table| table.table.clone()).collect()
    }
}

/// Looks at the tables of the sync job, or else of the write, of that name.
///
/// # Errors
/// Nothing of that name is declared, or its tables cannot be looked at.
pub async fn look(services: &Services, name: &str) -> Result<Subject, SchemaError> {
    if let Ok(job) = JobName::new(name)
        && let Some(state) = services.syncs.find(&job).await?
    {
        return look_at_job(services, state).await;
    }
    let nobody = || SchemaError::Nobody { name: name.to_owned() };
    let write = WriteName::new(name).map_err(|_| nobody())?;
    let declared = services.writes.book.find(&write).await?.ok_or_else(nobody)?;
    let checked = check(declared.spec.clone()).await?;
    Ok(Subject {
        approved: Some(declared.spec.shape.clone()),
        named: Named::Write(Box::new(declared)),
        version: services.schemas().ehr_version_of(&checked.spec.connection).await?,
        found: checked.spec.shape,
        reading: None,
        table: None,
    })
}

/// Approves what was found, when `given` is its fingerprint.
///
/// # Errors
/// Another fingerprint was given; the sync job or write cannot go on with what was found.
pub async fn approve(services: &Services, subject: Subject, given: &str) -> Result<Approved, SchemaError> {
    let found = subject.found.fingerprint();
    if found != given {
        let differences = subject.differences();
        let name = match subject.named {
            Named::Sync(state) => state.spec.name.to_string(),
            Named::Write(declared) => declared.spec.name.to_string(),
        };
        return Err(SchemaError::Another { name, found, given: given.to_owned(), differences });
    }
    match (subject.named, subject.table) {
        (Named::Sync(state), Some(table)) => {
            let found = Found { shape: subject.found, version: subject.reading };
            approve_job(services, *state, (&table, &found)).await
        }
        (Named::Sync(_), None) => Ok(Approved::default()),
        (Named::Write(mut declared), _) => {
            declared.spec.shape = subject.found;
            let writes = vec![declared.spec.name.to_string()];
            services.writes.declare(*declared).await?;
            Ok(Approved { writes, ..Approved::default() })
        }
    }
}

async fn look_at_job(services: &Services, state: JobState) -> Result<Subject, SchemaError> {
    let spec = &state.spec;
    let mut session = Session::connect(&spec.connection).await?;
    let found = spec.look(&mut session).await;
    session.close().await;
    let (found, reading) = found?;
    let former = services.schemas().ehr_version(&spec.name).await?.unwrap_or_default().former;
    let version = reading.as_ref().map(|reading| EhrVersion::at(former, reading));
    Ok(Subject {
        version,
        reading,
        approved: services.schemas().approved(&spec.name).await?,
        found: found.shape,
        named: Named::Sync(Box::new(state)),
        table: Some(found.query),
    })
}

async fn approve_job(
    services: &Services,
    state: JobState,
    (table, found): (&TableInfo, &Found),
) -> Result<Approved, SchemaError> {
    let spec = state.spec.fitted(table)?;
    let snapshot = spec.needs_snapshot_after(&state.spec);
    let (name, connection) = (spec.name.clone(), spec.connection.clone());
    services.syncs.declare(spec).await?;
    let mut approved = Approved { snapshot, ..Approved::default() };
    for declared in services.writes.book.all().await? {
        let here = declared.spec.connection.server == connection.server
            && same_name(&declared.spec.connection.database, &connection.database)
            && found.shape.tables.iter().any(|table| touches(&declared, &table.table));
        if !here {
            continue;
        }
        let write = declared.spec.name.to_string();
        match refit(declared.spec, &found.shape) {
            Ok(spec) => {
                services.writes.declare(Declared { spec, arguments: declared.arguments }).await?;
                approved.writes.push(write);
            }
            Err(error) => approved.stopped.push((write, error.to_string())),
        }
    }
    // Last: until here nothing is written, whatever happens in between.
    services.schemas().approve(&name, &connection, found).await?;
    Ok(approved)
}

fn touches(declared: &Declared, table: &str) -> bool {
    declared.spec.touched().iter().any(|(touched, _)| same_name(&touched.to_string(), table))
}

fn told(differences: &[String]) -> String {
    if differences.is_empty() { String::new() } else { format!(": {}", differences.join(", ")) }
}
