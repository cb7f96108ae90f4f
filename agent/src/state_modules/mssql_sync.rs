//! The `mssql_sync` state module: sync jobs of this minion.
//!
//! `present` checks the table as the job's own login, then declares the job; a job that is declared already is compared and
//! changed, and gets a new snapshot when it reads something else than before. `absent` ends it; what it read is still
//! delivered. Arguments: see `sync::declaration`.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::mssql::arguments::OptionSources;
use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};
use crate::sync::check::{Checked, JobRequest};
use crate::sync::declaration::unknown_arguments;
use crate::sync::ledger::JobState;
use crate::sync::names::JobName;
use crate::sync::sink::SinkOptions;
use crate::sync::spec::{JobSpec, Seal};
use crate::sync::{SyncError, explain};

/// The module.
pub struct MssqlSync;

impl StateModule for MssqlSync {
    fn name(&self) -> &'static str {
        "mssql_sync"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["present", "absent"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let done = match fun {
                "present" => present(args, run).await,
                _ => absent(args, run).await,
            };
            done.unwrap_or_else(|error| {
                StateReturn::failed(format!("Sync job {} failed: {}", args.name, explain(&error)))
            })
        })
    }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, SyncError> {
    let opts = &run.services.config.opts;
    let sources = OptionSources { arguments: &args.args, opts, pillar: &run.pillar, taken: &[] };
    let request = JobRequest::read(&args.name, &sources)?;
    let asked = SinkOptions { config: &run.services.config, pillar: &run.pillar };
    asked.check(request.sink.as_deref(), request.retention)?;
    let Checked { spec, why, warnings } = match request.check().await {
        Ok(checked) => checked,
        Err(error) if run.mode == RunMode::Test && may_pass_later(&error) => {
            return Ok(unchecked(&request, &error));
        }
        Err(error) => return Err(error),
    };
    let former = run.services.syncs.find(&spec.name).await?;
    let changes = changes(former.as_ref(), &spec);
    let mut done = if changes.is_empty() {
        StateReturn::ok(format!("Sync job {} is already declared", spec.name))
    } else if run.mode == RunMode::Test {
        StateReturn::would_change(
            format!("Sync job {} is set to be declared: {}", spec.name, summary(&spec, &why)),
            changes,
        )
    } else {
        let comment = format!("Sync job {} is declared: {}", spec.name, summary(&spec, &why));
        run.services.syncs.declare(spec).await?;
        StateReturn::changed(comment, changes)
    };
    done.warnings = warnings;
    let unknown = unknown_arguments(&args.args);
    done.warnings.extend(unknown.iter().map(|name| format!("mssql_sync.present takes no argument '{name}'")));
    for warning in &done.warnings {
        done.comment.push_str(&format!("\nWarning: {warning}"));
    }
    Ok(done)
}

async fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, SyncError> {
    let name = JobName::new(args.name.clone())?;
    if run.services.syncs.find(&name).await?.is_none() {
        return Ok(StateReturn::ok(format!("Sync job {name} is not declared")));
    }
    let mut changes = Map::new();
    changes.insert(name.as_str(), "Absent");
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("Sync job {name} is set to be removed"), changes));
    }
    run.services.syncs.remove(&name).await?;
    Ok(StateReturn::changed(format!("Sync job {name} has been removed"), changes))
}

/// A dry run comes before the login, the user or the grants are made by earlier states of the same run.
fn may_pass_later(error: &SyncError) -> bool {
    if let SyncError::Sql(error) = error {
        return matches!(error.number(), Some(18456 | 4060 | 916 | 229 | 230));
    }
    matches!(error, SyncError::NoTable { .. } | SyncError::NoColumn { .. })
}

fn unchecked(request: &JobRequest, error: &SyncError) -> StateReturn {
    let mut changes = Map::new();
    changes.insert(request.name.as_str(), "Present");
    let comment = format!(
        "Sync job {} is set to be declared. It cannot be checked as long as {} may not read {}: {}",
        request.name,
        request.connection.user,
        request.table,
        explain(error)
    );
    StateReturn::would_change(comment, changes)
}

fn summary(spec: &JobSpec, why: &str) -> String {
    format!(
        "{} columns of {} in {}, new rows by {} ({why}) {}, {}",
        spec.columns.len(),
        spec.table,
        spec.connection.database,
        spec.cursor.shown(),
        when(spec),
        match &spec.seal {
            Seal::Recipients(recipients) => format!("sealed for {} recipient(s)", recipients.len()),
            Seal::Plain => "not sealed".to_owned(),
        }
    )
}

fn when(spec: &JobSpec) -> String {
    match &spec.timing.cron {
        Some(line) => format!("at '{line}'"),
        None => format!("every {} s", spec.timing.interval.as_secs_f64()),
    }
}

/// What differs between a declared job and the wanted one; empty when nothing does.
fn changes(former: Option<&JobState>, spec: &JobSpec) -> Map {
    let mut changes = Map::new();
    let Some(former) = former else {
        changes.insert(spec.name.as_str(), "Present");
        return changes;
    };
    let (old, new) = (facts(&former.spec), facts(spec));
    for ((name, old), (_, new)) in old.into_iter().zip(new).filter(|(old, new)| old != new) {
        let change: Map = [("old", old), ("new", new)].into_iter().collect();
        changes.insert(name, Value::Map(change));
    }
    if former.spec.connection.password != spec.connection.password {
        changes.insert("password", "changed");
    }
    if !changes.is_empty() && spec.needs_snapshot_after(&former.spec) {
        changes.insert("snapshot", "a new epoch begins");
    }
    changes
}

fn facts(spec: &JobSpec) -> Vec<(&'static str, Value)> {
    let connection = &spec.connection;
    let columns = spec.columns.iter().map(|column| Value::from(column.shown()));
    let conditions = spec.filter.iter().map(|condition| Value::from(condition.shown()));
    let quiet = spec.timing.quiet.iter().map(|hours| Value::from(hours.to_string()));
    let recipients = match &spec.seal {
        Seal::Recipients(recipients) => recipients.iter().map(|key| Value::from(key.as_str())).collect(),
        Seal::Plain => Vec::new(),
    };
    vec![
        ("server", connection.server.to_string().into()),
        ("user", connection.user.as_str().into()),
        ("database", connection.database.as_str().into()),
        ("encrypt", format!("{:?}, {:?}", connection.encryption, connection.trust).into()),
        ("lock_timeout", Value::Float(connection.lock_timeout.as_secs_f64())),
        ("table", spec.table.to_string().into()),
        ("joins", Value::List(spec.joins.iter().map(|join| join.shown().into()).collect())),
        ("columns", Value::List(columns.collect())),
        ("key", Value::List(spec.key.iter().map(|key| Value::from(key.as_str())).collect())),
        ("cursor", spec.cursor.shown().into()),
        ("filter", Value::List(conditions.collect())),
        ("sweep", spec.sweep.map_or(Value::Nil, |every| Value::Float(every.as_secs_f64()))),
        ("overlap", spec.overlap().map_or(Value::Nil, |overlap| Value::Float(overlap.as_secs_f64()))),
        ("interval", Value::Float(spec.timing.interval.as_secs_f64())),
        ("cron", spec.timing.cron.as_deref().map_or(Value::Nil, Value::from)),
        ("quiet_hours", Value::List(quiet.collect())),
        ("priority", Value::Int(i64::from(spec.timing.priority))),
        ("audit", spec.timing.audit.map_or(Value::Nil, |time| time.to_string().into())),
        ("batch_rows", Value::Int(i64::from(spec.batch_rows))),
        ("recipients", Value::List(recipients)),
        ("sink", spec.sink.as_deref().map_or(Value::Nil, Value::from)),
        ("retention", spec.retention.map_or(Value::Nil, |kept| kept.shown().into())),
        ("ehr_version", spec.ehr_version.as_ref().map_or(Value::Nil, |source| source.shown().into())),
    ]
}
