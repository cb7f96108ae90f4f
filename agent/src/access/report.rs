//! The access report: what the agent's logins may do on a practice's server, what they need it for, and how to end it.
//!
//! Written for the practice's IT person. Everything is looked up as the login itself, so the report needs no admin's
//! rights and cannot show more than that login sees. Shown as text, as JSON and as a printable page from one value.
//! Facts: "sys.database_permissions", "Database-level roles", "Server-level roles".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::services::Services;
use crate::sync::explain;
use crate::sync::scheduler::JobStatus;

use super::needs::{Needs, Scope};
use super::required::{Requester, RequesterKind};
use super::{AccessError, declared};

pub mod html;
mod look;
mod meaning;
mod revoke;
pub mod text;

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The minion's id.
    pub minion: String,
    /// The agent's version.
    pub agent: String,
    /// When it was made, in RFC 3339.
    pub made: String,
    /// Each login in each of its databases.
    pub accesses: Vec<Access>,
}

/// One login in one database.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Access {
    /// The instance.
    pub server: String,
    /// Its version and edition.
    pub product: String,
    /// The login.
    pub login: String,
    /// Since when there is such a login.
    pub login_since: String,
    /// The database.
    pub database: String,
    /// The user that the login is there.
    pub user: String,
    /// Since when there is such a user.
    pub user_since: String,
    /// `derived`, `full`, `exact` as agreed in the state files, or `by hand`.
    pub agreed: String,
    /// Since when it is agreed.
    pub agreed_since: Option<String>,
    /// When the agent last changed it.
    pub changed: Option<String>,
    /// Why the login does not work.
    pub trouble: Option<String>,
    /// Jobs and writes that work as it.
    pub work: Vec<Work>,
    /// Tables with what is read and written.
    pub tables: Vec<Table>,
    /// What it may do.
    pub may: Vec<May>,
    /// What it may do and needs for nothing.
    pub excess: Vec<String>,
    /// What it needs and may not do.
    pub missing: Vec<String>,
    /// T-SQL that takes everything away.
    pub revoke_script: String,
}

/// A job or write.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// `sync job` or `write`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What it does, in words.
    pub what: String,
    /// When it last worked, in RFC 3339.
    pub last_used: Option<String>,
}

/// A table with what is read and written of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Table {
    /// Its name.
    pub table: String,
    /// Columns read; `*` for all.
    pub reads: Vec<String>,
    /// What is written, in words: `add rows`, `change Status`.
    pub writes: Vec<String>,
    /// For which jobs and writes.
    pub needed_by: Vec<String>,
}

/// Something that the login may do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct May {
    /// SQL Server's words: `SELECT on dbo.Appointment`, `member of db_owner`.
    pub right: String,
    /// Columns; empty for the whole.
    pub columns: Vec<String>,
    /// What it means.
    pub meaning: String,
    /// `directly`, or through which role.
    pub through: String,
    /// For which jobs and writes; empty when for none.
    pub needed_by: Vec<String>,
}

/// Makes the report of every login that jobs and writes work as, and of everything declared.
///
/// # Errors
/// The store failed. What goes wrong on a server is part of the report.
pub async fn make(services: &Services) -> Result<Report, AccessError> {
    let needs = Needs::declared(services).await?;
    let jobs = services.syncs.status(None).await;
    let jobs = jobs.map_err(|error| AccessError::Conflict(explain(&error)))?;
    let mut scopes: BTreeMap<(String, String, String), Scope> = BTreeMap::new();
    let mut add = |scope: Scope| {
        let lower = |text: String| text.to_lowercase();
        let key = (scope.server.to_string(), scope.login.to_string(), scope.database.to_string());
        scopes.entry((lower(key.0), lower(key.1), lower(key.2))).or_insert(scope);
    };
    let agreed = declared::all(services).await?;
    agreed.iter().for_each(|(_, declared)| add(declared.scope.clone()));
    needs.scopes().into_iter().for_each(add);
    let mut accesses = Vec::new();
    for scope in scopes.into_values() {
        let own = needs.clone().within(&scope);
        let mut access = drawn(&scope, &own, &jobs);
        if let Some((row, declared)) = agreed.iter().find(|(_, declared)| declared.scope.is(&scope)) {
            declared.mode().clone_into(&mut access.agreed);
            access.agreed_since = moment(row.since);
            access.changed = Some(row.changed).filter(|at| *at > 0).and_then(moment);
        }
        look::look(services, &scope, &own, &mut access).await;
        accesses.push(access);
    }
    let made = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let (minion, agent) = (services.config.id.to_string(), crate::version::AGENT.to_owned());
    Ok(Report { minion, agent, made, accesses })
}

/// What the declarations tell by themselves.
fn drawn(scope: &Scope, needs: &Needs, jobs: &[JobStatus]) -> Access {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for requirement in &needs.0 {
        let here =
            requirement.permissions.iter().filter(|needed| scope.is_database(needed.database.as_str()));
        for needed in here {
            let name = needed.securable.to_string();
            let table =
                tables.entry(name.clone()).or_insert_with(|| Table { table: name, ..Table::default() });
            let columns: Vec<String> = needed.columns.iter().map(ToString::to_string).collect();
            meaning::note(table, needed.permission.as_str(), columns);
            push_new(&mut table.needed_by, named(&requirement.by));
        }
    }
    let work = needs.0.iter().map(|requirement| {
        let job = jobs.iter().find(|job| {
            requirement.by.kind == RequesterKind::SyncJob
                && job.state.spec.name.as_str() == requirement.by.name
        });
        Work {
            kind: kind(requirement.by.kind),
            name: requirement.by.name.clone(),
            what: job.map_or_else(String::new, described),
            last_used: job.and_then(last_used),
        }
    });
    Access {
        server: scope.server.to_string(),
        login: scope.login.to_string(),
        database: scope.database.to_string(),
        agreed: "by hand".to_owned(),
        work: work.collect(),
        tables: tables.into_values().collect(),
        ..Access::default()
    }
}

fn described(job: &JobStatus) -> String {
    let spec = &job.state.spec;
    let when = match (&spec.timing.cron, spec.timing.interval.as_secs()) {
        (Some(cron), _) => format!("at '{cron}'"),
        (None, seconds) if seconds > 0 && seconds % 60 == 0 => format!("every {} min", seconds / 60),
        (None, _) => format!("every {} s", spec.timing.interval.as_secs_f64()),
    };
    format!("reads {} {when}, new rows by {}", spec.table, spec.cursor.shown())
}

/// When its last good pass ended, as far as it is known.
fn last_used(job: &JobStatus) -> Option<String> {
    let ended = Some(job.note.ended).filter(|ended| *ended > 0 && job.note.error.is_none());
    moment(i64::try_from(ended.or(job.note.fresh)?).ok()?)
}

/// A job or write with its kind: `sync job visits`.
fn named(by: &Requester) -> String {
    format!("{} {}", kind(by.kind), by.name)
}

fn kind(kind: RequesterKind) -> &'static str {
    match kind {
        RequesterKind::SyncJob => "sync job",
        RequesterKind::Write => "write",
    }
}

fn push_new(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

fn moment(seconds: i64) -> Option<String> {
    let moment = chrono::DateTime::from_timestamp(seconds, 0)?;
    Some(moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
