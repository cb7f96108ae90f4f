//! What the declared jobs and writes of one login need in one database.
//!
//! Two sources: what is declared already (the store), and what the running state run is about to declare or remove. The
//! second wins, so that `mssql_grant.from_jobs` can stand before the jobs whose login cannot read anything yet: an open
//! declaration is resolved with the admin's session, by the same rules as the job itself resolves it.

use states::LowChunk;

use crate::mssql::Session;
use crate::mssql::arguments::OptionSources;
use crate::mssql::catalog::TableInfo;
use crate::mssql::options::ServerName;
use crate::mssql::quote::SqlName;
use crate::services::Services;
use crate::state_modules::StateContext;
use crate::sync::check::{CursorRequest, JobRequest};
use crate::sync::{SyncError, explain};
use crate::write::definition::WriteSpec;

use super::permission::Permission;
use super::required::{Requester, RequesterKind, RequiredPermission, Requirement, Requires};
use super::rights::{Right, RightState, Rights};
use super::{AccessError, admin};

/// Whose needs are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// The instance.
    pub server: ServerName,
    /// The login that jobs and writes work as.
    pub login: SqlName,
    /// The database that is asked about.
    pub database: SqlName,
}

/// The requirements of one login.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Needs(pub Vec<Requirement>);

impl Scope {
    /// True when a job or write that works so is meant.
    pub fn covers(&self, server: &ServerName, login: &str) -> bool {
        alike(self.login.as_str(), login) && same_server(&self.server, server)
    }

    /// True when the database of that name is meant.
    pub fn is_database(&self, name: &str) -> bool {
        alike(self.database.as_str(), name)
    }

    /// True when both mean the same login in the same database.
    pub fn is(&self, other: &Self) -> bool {
        self.covers(&other.server, other.login.as_str()) && self.is_database(other.database.as_str())
    }
}

impl Needs {
    /// Everything that is declared on this minion, of every login.
    ///
    /// # Errors
    /// The store failed.
    pub async fn declared(services: &Services) -> Result<Self, AccessError> {
        let jobs = services.syncs.status(None).await;
        let jobs = jobs.map_err(|error| AccessError::Conflict(explain(&error)))?;
        let writes = services.writes.book.all().await;
        let writes = writes.map_err(|error| AccessError::Conflict(error.to_string()))?;
        let of_writes = writes.iter().map(|declared| declared.spec.requirement());
        Ok(Self(jobs.iter().map(|job| job.state.spec.requirement()).chain(of_writes).collect()))
    }

    /// What is declared once this state run is through, of the logins that `scope` covers. The session must be in the
    /// scope's database; without one, or where it may not see a table, a declaration counts as it is written.
    ///
    /// # Errors
    /// A declaration of the run makes no sense, or names a table that is not there.
    pub async fn after_run(
        run: &StateContext,
        mut session: Option<&mut Session>,
        scope: &Scope,
    ) -> Result<Self, AccessError> {
        let mut needs = Self::declared(&run.services).await?.within(scope);
        for chunk in run.low.iter() {
            let by = |kind| Requester { kind, name: chunk.name.clone() };
            match (chunk.state.as_str(), chunk.fun.as_str()) {
                ("mssql_sync", "present") => {
                    needs.drop_of(&by(RequesterKind::SyncJob));
                    needs.0.extend(sync_job(run, session.as_deref_mut(), scope, chunk).await?);
                }
                ("mssql_sync", "absent") => needs.drop_of(&by(RequesterKind::SyncJob)),
                ("mssql_write", "present") => {
                    needs.drop_of(&by(RequesterKind::Write));
                    needs.0.extend(write(run, scope, chunk)?);
                }
                ("mssql_write", "absent") => needs.drop_of(&by(RequesterKind::Write)),
                _ => {}
            }
        }
        Ok(needs)
    }

    /// The requirements of the logins that `scope` covers.
    #[must_use]
    pub fn within(mut self, scope: &Scope) -> Self {
        self.0.retain(|requirement| scope.covers(&requirement.server, &requirement.login));
        self
    }

    /// The least set of rights in the scope's database.
    #[must_use]
    pub fn rights(&self, scope: &Scope) -> Rights {
        let mut rights = Rights::default();
        for needed in self.0.iter().flat_map(|requirement| &requirement.permissions) {
            if !scope.is_database(needed.database.as_str()) {
                continue;
            }
            let right = Right::on(needed.securable.clone(), needed.permission.clone());
            if needed.columns.is_empty() {
                rights.known.insert(right.clone(), RightState::Granted);
            }
            for column in &needed.columns {
                let right = Right { column: Some(column.clone()), ..right.clone() };
                rights.known.insert(right, RightState::Granted);
            }
        }
        rights
    }

    /// The jobs and writes that need a right in the scope's database, the whole or that column.
    #[must_use]
    pub fn of_right(&self, scope: &Scope, right: &Right) -> Vec<Requester> {
        let needs = |requirement: &&Requirement| {
            requirement.permissions.iter().any(|needed| {
                let column = match &right.column {
                    None => true,
                    Some(column) => needed.columns.is_empty() || needed.columns.contains(column),
                };
                scope.is_database(needed.database.as_str())
                    && needed.securable == right.securable
                    && needed.permission == right.permission
                    && column
            })
        };
        self.0.iter().filter(needs).map(|requirement| requirement.by.clone()).collect()
    }

    /// Every login in every database that something needs.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes: Vec<Scope> = Vec::new();
        for requirement in &self.0 {
            let Ok(login) = SqlName::new(requirement.login.clone()) else { continue };
            for needed in &requirement.permissions {
                let (server, database) = (requirement.server.clone(), needed.database.clone());
                let scope = Scope { server, login: login.clone(), database };
                if !scopes.iter().any(|known| known.is(&scope)) {
                    scopes.push(scope);
                }
            }
        }
        scopes
    }

    /// Databases other than the scope's in which something is needed.
    #[must_use]
    pub fn elsewhere(&self, scope: &Scope) -> Vec<String> {
        let all = self.0.iter().flat_map(|requirement| &requirement.permissions);
        let mut others: Vec<String> = all
            .map(|needed| needed.database.to_string())
            .filter(|database| !scope.is_database(database))
            .collect();
        others.sort();
        others.dedup();
        others
    }

    fn drop_of(&mut self, by: &Requester) {
        self.0.retain(|requirement| requirement.by != *by);
    }
}

/// The jobs and writes that are declared once this run is through, each with the login it works as.
///
/// # Errors
/// The store failed.
pub async fn workers(run: &StateContext) -> Result<Vec<(String, String)>, AccessError> {
    let needs = Needs::declared(&run.services).await?;
    let mut workers: Vec<(String, String)> =
        needs.0.into_iter().map(|requirement| (requirement.by.name, requirement.login)).collect();
    for chunk in run.low.iter().filter(|chunk| WORKS.contains(&chunk.state.as_str())) {
        workers.retain(|(name, _)| *name != chunk.name);
        let opts = &run.services.config.opts;
        let sources = OptionSources { arguments: &chunk.args, opts, pillar: &run.pillar, taken: &[] };
        if chunk.fun == "present" {
            workers.extend(sources.text("user").map(|user| (chunk.name.clone(), user)));
        }
    }
    Ok(workers)
}

/// A write that this run is to declare, when its login is meant: its words name all it needs.
fn write(run: &StateContext, scope: &Scope, chunk: &LowChunk) -> Result<Option<Requirement>, AccessError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &chunk.args, opts, pillar: &run.pillar, taken: &[] };
    let told = |error| AccessError::Conflict(format!("write {}: {error}", chunk.name));
    let spec = WriteSpec::read(&chunk.name, &sources).map_err(told)?;
    let meant = scope.covers(&spec.connection.server, &spec.connection.user);
    Ok(meant.then(|| spec.requirement()))
}

/// A sync job that this run is to declare, when it is in scope.
async fn sync_job(
    run: &StateContext,
    session: Option<&mut Session>,
    scope: &Scope,
    chunk: &LowChunk,
) -> Result<Option<Requirement>, AccessError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &chunk.args, opts, pillar: &run.pillar, taken: &[] };
    let told = |error| AccessError::Conflict(format!("sync job {}: {}", chunk.name, explain(&error)));
    let request = JobRequest::read(&chunk.name, &sources).map_err(told)?;
    let connection = &request.connection;
    if !scope.covers(&connection.server, &connection.user) || !scope.is_database(&connection.database) {
        return Ok(None);
    }
    let Some(session) = session else { return as_written(&request).map(Some) };
    match TableInfo::read(session, &request.table).await? {
        Some(table) => match request.resolve_in(session, &table).await {
            Err(SyncError::NoTable { .. }) if !admin::sees_everything(session).await => {
                as_written(&request).map(Some)
            }
            checked => Ok(Some(checked.map_err(told)?.spec.requirement())),
        },
        None if !admin::sees_everything(session).await => as_written(&request).map(Some),
        None => Err(AccessError::Conflict(format!(
            "sync job {}: there is no table {} in database {}",
            chunk.name, request.table, scope.database
        ))),
    }
}

/// What a declaration needs as far as its words tell: the columns it names, or the whole table.
fn as_written(request: &JobRequest) -> Result<Requirement, AccessError> {
    let mut requirement =
        Requirement::new(RequesterKind::SyncJob, request.name.as_str(), &request.connection);
    let mut names = request.columns.clone().unwrap_or_default();
    if !names.is_empty() {
        names.extend(request.key.clone().unwrap_or_default());
        match &request.cursor {
            CursorRequest::Auto(cursor) | CursorRequest::Rowversion(cursor) => names.extend(cursor.clone()),
            CursorRequest::Datetime(cursor) => names.push(cursor.clone()),
            CursorRequest::ChangeTracking | CursorRequest::Digest | CursorRequest::Full => {}
        }
        names.extend(request.filter.iter().map(|condition| condition.column.clone()));
    }
    let joined: Vec<&String> =
        request.joins.iter().flat_map(|join| &join.columns).map(|(_, name)| name).collect();
    names.retain(|name| !joined.contains(&name));
    if !names.is_empty() {
        let others = request.joins.iter().flat_map(|join| &join.on).map(|(_, other)| other);
        names.extend(others.filter(|other| !other.contains('.')).cloned());
    }
    let columns = names.into_iter().map(SqlName::new).collect::<Result<Vec<_>, _>>()?;
    requirement.permissions.push(RequiredPermission::on_columns(
        SqlName::new(request.connection.database.clone())?,
        request.table.clone(),
        Permission::select(),
        columns,
    ));
    for join in &request.joins {
        let joins = join.on.iter().map(|(column, _)| column);
        let later = request.joins.iter().flat_map(|later| &later.on).filter_map(|(_, other)| {
            other.split_once('.').filter(|(alias, _)| *alias == join.alias).map(|(_, column)| column)
        });
        let mut columns: Vec<&str> = join.columns.iter().map(|(column, _)| column.as_str()).collect();
        columns.extend(joins.map(String::as_str).chain(later));
        requirement.permissions.push(RequiredPermission::on_columns(
            SqlName::new(request.connection.database.clone())?,
            join.table.clone(),
            Permission::select(),
            columns.into_iter().map(SqlName::new).collect::<Result<Vec<_>, _>>()?,
        ));
    }
    if let Some(version) = &request.ehr_version {
        let others = version.filter.iter().map(|condition| &condition.column);
        let columns = std::iter::once(&version.column).chain(&version.newest_by).chain(others);
        requirement.permissions.push(RequiredPermission::on_columns(
            SqlName::new(request.connection.database.clone())?,
            version.table.clone(),
            Permission::select(),
            columns.map(SqlName::new).collect::<Result<Vec<_>, _>>()?,
        ));
    }
    Ok(requirement)
}

/// One instance by any of its usual names.
fn same_server(one: &ServerName, other: &ServerName) -> bool {
    let host = |server: &ServerName| {
        let host = server.host.to_lowercase();
        if LOOPBACK.contains(&host.as_str()) { "localhost".to_owned() } else { host }
    };
    host(one) == host(other) && one.endpoint == other.endpoint
}

/// Names as SQL Server's usual collations compare them.
fn alike(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// State modules whose declarations work as a login.
const WORKS: &[&str] = &["mssql_sync", "mssql_write"];
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "::1", ".", "(local)"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::difference::in_words;
    use crate::mssql::ConnectionOptions;
    use crate::mssql::quote::ObjectName;

    fn scope(login: &str) -> Scope {
        let connection = ConnectionOptions::read(|_| None).unwrap();
        let name = |text: &str| SqlName::new(text).unwrap();
        Scope { server: connection.server, login: name(login), database: name("main_oms") }
    }

    fn needs() -> Needs {
        let lookup = |name: &str| (name == "user").then(|| "Sync".to_owned());
        let connection = ConnectionOptions::read(lookup).unwrap();
        let name = |text: &str| SqlName::new(text).unwrap();
        let table = ObjectName::parse("Visit").unwrap();
        let mut job = Requirement::new(RequesterKind::SyncJob, "visits", &connection);
        let columns = vec![name("A"), name("B")];
        job.permissions.push(RequiredPermission::on_columns(
            name("Main_OMS"),
            table.clone(),
            Permission::select(),
            columns,
        ));
        let mut write = Requirement::new(RequesterKind::Write, "book", &connection);
        let columns = vec![name("B"), name("C")];
        write.permissions.push(RequiredPermission::on_columns(
            name("Main_OMS"),
            table.clone(),
            Permission::select(),
            columns,
        ));
        write.permissions.push(RequiredPermission::on_object(name("Main_OMS"), table, Permission::insert()));
        write.permissions.push(RequiredPermission::on_object(
            name("Ledger"),
            ObjectName::parse("done").unwrap(),
            Permission::insert(),
        ));
        Needs(vec![job, write])
    }

    #[test]
    fn needs_of_one_login_are_joined_column_by_column() {
        let needs = needs().within(&scope("sync"));
        assert_eq!(
            in_words(&needs.rights(&scope("sync"))),
            ["INSERT on dbo.Visit", "SELECT on dbo.Visit (A, B, C)"]
        );
        assert_eq!(needs.elsewhere(&scope("sync")), ["Ledger"]);
        assert!(needs.within(&scope("other")).0.is_empty());
    }

    #[test]
    fn each_right_names_who_needs_it() {
        let table = super::super::securable::Securable::Object(ObjectName::parse("Visit").unwrap());
        let of = |column: &str| {
            let column = Some(SqlName::new(column).unwrap());
            let right = Right { securable: table.clone(), permission: Permission::select(), column };
            let by = needs().of_right(&scope("sync"), &right);
            by.into_iter().map(|by| by.name).collect::<Vec<_>>()
        };
        assert_eq!((of("A"), of("B")), (vec!["visits".to_owned()], vec!["visits".into(), "book".into()]));
    }

    #[test]
    fn the_same_machine_has_many_names() {
        let server = |text: &'static str| {
            ConnectionOptions::read(|name| (name == "server").then(|| text.to_owned())).unwrap().server
        };
        assert!(same_server(&server("localhost"), &server("127.0.0.1")));
        assert!(!same_server(&server("localhost"), &server("localhost,1444")));
        assert!(same_server(&server("DB\\X"), &server("db\\X")));
    }
}
