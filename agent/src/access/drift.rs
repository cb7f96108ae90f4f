//! Drift: what a principal has against what it was declared to have, looked for on a schedule and told as an event.
//!
//! The look is taken as the login of a declared job: everyone sees its own rights, so no admin credential is needed
//! and none is kept; where no job works as that login, the pillar's credential serves. A login that does not work is
//! drift too, told with the plain meaning of SQL Server's number. A server that cannot be reached is not.
//! An event is sent when the drift is another than the last one told, and once more when it is gone.

use std::sync::Arc;
use std::time::Duration;

use states::{Map, Value};

use crate::mssql::arguments::OptionSources;
use crate::mssql::{ConnectionOptions, Session, SqlError};
use crate::services::Services;
use crate::store::access::{self as table, AccessRow};

use super::declared::{self, Declared};
use super::difference::{Aim, Prune};
use super::grant::GrantWish;
use super::needs::{Needs, Scope};
use super::plan::Atomicity;
use super::{AccessError, diagnosis};

/// How one principal stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drift {
    /// Declared rights and roles that are not there.
    pub missing: Vec<String>,
    /// Rights and roles beyond the declared ones.
    pub excess: Vec<String>,
    /// Why the login or the database does not work.
    pub trouble: Option<String>,
    /// T-SQL that puts it right, for whoever may run it; empty when nothing is to be done.
    pub script: String,
}

/// The event's tag.
pub const TAG: &str = "agent/access/drift";

impl Drift {
    /// True when everything is as declared.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.excess.is_empty() && self.trouble.is_none()
    }

    /// As event data and return, with the access that it is of.
    #[must_use]
    pub fn shown(&self, declared: &Declared) -> Map {
        let list = |texts: &[String]| Value::List(texts.iter().map(|text| text.as_str().into()).collect());
        let scope = &declared.scope;
        [
            ("server", Value::from(scope.server.to_string())),
            ("database", scope.database.as_str().into()),
            ("login", scope.login.as_str().into()),
            ("user", declared.user.as_str().into()),
            ("mode", declared.mode().into()),
            ("missing", list(&self.missing)),
            ("excess", list(&self.excess)),
            ("trouble", self.trouble.as_deref().map_or(Value::Nil, Value::from)),
            ("script", self.script.as_str().into()),
        ]
        .into_iter()
        .collect()
    }
}

/// Looks at every declared access. One that cannot be looked at for a passing reason is left out.
///
/// # Errors
/// The store failed.
pub async fn check(services: &Services) -> Result<Vec<(AccessRow, Declared, Drift)>, AccessError> {
    let needs = Needs::declared(services).await?;
    let mut found = Vec::new();
    for (row, declared) in declared::all(services).await? {
        let Some(connection) = connection_of(services, &declared.scope).await? else {
            tracing::debug!(user = %declared.user, "nobody can look at this access");
            continue;
        };
        match look(&connection, declared.wish(&needs)).await {
            Ok(drift) => found.push((row, declared, drift)),
            Err(AccessError::Sql(error)) if !is_refusal(&error) => {
                tracing::debug!(%error, "an access could not be looked at");
            }
            Err(error) => {
                let trouble = Some(diagnosis::explain(services, &connection, error).await);
                found.push((row, declared, Drift { trouble, ..Drift::default() }));
            }
        }
    }
    Ok(found)
}

/// [`check`], and an event for each access whose drift is another than the last one told.
///
/// # Errors
/// The store failed.
pub async fn check_and_tell(services: &Services) -> Result<Vec<(Declared, Drift)>, AccessError> {
    let found = check(services).await?;
    for (row, declared, drift) in &found {
        let shown = drift.shown(declared);
        let text = if drift.is_none() { String::new() } else { Value::Map(shown.clone()).to_string() };
        if text == row.reported {
            continue;
        }
        tell(services, row, shown, text).await?;
    }
    Ok(found.into_iter().map(|(_, declared, drift)| (declared, drift)).collect())
}

/// Looks again and again until the process stops.
pub async fn watch(services: Arc<Services>) {
    let token = services.tasks.token();
    let seconds = services.config.agent_opt("access:drift_interval").and_then(Value::as_float);
    let asked = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let interval = asked.unwrap_or(DEFAULT_INTERVAL).max(SHORTEST_INTERVAL);
    let mut pause = interval.min(FIRST_LOOK);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = token.cancelled() => return,
        }
        pause = interval;
        if let Err(error) = check_and_tell(&services).await {
            tracing::warn!(%error, "drift of access could not be looked for");
        }
    }
}

async fn tell(services: &Services, row: &AccessRow, shown: Map, text: String) -> Result<(), AccessError> {
    let (database, user) = (&row.database, &row.principal);
    if text.is_empty() {
        tracing::info!(database, user, "the access is as declared again");
    } else {
        tracing::warn!(database, user, "the access is not as declared");
    }
    if let Err(error) = services.link.fire_event(TAG, proto::to_value(&Value::Map(shown))).await {
        tracing::debug!(%error, "the drift could not be told; it is told at the next look");
        return Ok(());
    }
    let row = row.clone();
    Ok(services.store.run(move |tx| table::note_reported(tx, &row, &text)).await?)
}

async fn look(connection: &ConnectionOptions, mut wish: GrantWish) -> Result<Drift, AccessError> {
    let mut session = Session::connect(connection).await?;
    // Names that this login may not see stay as declared; what is under them counts as missing.
    let declared = wish.clone();
    if wish.resolve(&mut session).await.is_err() {
        wish = declared;
    }
    let found = wish.found(&mut session).await?;
    session.close().await;
    let Some(found) = found else {
        let trouble = Some(format!("there is no user {} in database {}", wish.user, connection.database));
        return Ok(Drift { trouble, ..Drift::default() });
    };
    let named = wish.plan(&found, Aim::Exact(Prune::Report))?;
    let mut plan = wish.plan(&found, Aim::Exact(Prune::Revoke))?.plan;
    plan.home = crate::mssql::quote::SqlName::new(connection.database.clone()).ok();
    let script = if plan.is_empty() { String::new() } else { plan.script_for_others(Atomicity::Transaction) };
    Ok(Drift { missing: named.missing, excess: named.left, trouble: None, script })
}

/// The connection of a job that works as that login there, else the one of options and pillar.
///
/// # Errors
/// The store failed.
pub async fn connection_of(
    services: &Services,
    scope: &Scope,
) -> Result<Option<ConnectionOptions>, AccessError> {
    let jobs = services.syncs.status(None).await;
    let jobs = jobs.map_err(|error| AccessError::Conflict(crate::sync::explain(&error)))?;
    let of_login = |connection: &ConnectionOptions| scope.covers(&connection.server, &connection.user);
    let mut connections = jobs.into_iter().map(|job| job.state.spec.connection).filter(of_login);
    if let Some(own) = connections.next() {
        return Ok(Some(own.with_database(scope.database.as_str())));
    }
    Ok(diagnosis::admin(services).filter(|admin| admin.server == scope.server).map(|admin| {
        let database = scope.database.as_str();
        admin.with_database(database)
    }))
}

/// Refused logins and closed databases are drift; what passes by itself is not.
fn is_refusal(error: &SqlError) -> bool {
    error.number().is_some_and(|number| !error.is_retryable() || CLOSED.contains(&number))
}

/// A database that does not open is told although it may open later.
const CLOSED: &[u32] = &[916, 942, 945, 4060];
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);
const FIRST_LOOK: Duration = Duration::from_secs(60);

/// Options and pillar of the moment as a connection's sources.
pub(super) fn sources<'a>(opts: &'a Map, pillar: &'a Value, nothing: &'a Map) -> OptionSources<'a> {
    OptionSources { arguments: nothing, opts, pillar, taken: &[] }
}
