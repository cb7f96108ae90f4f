//! The `mssql_sync` module: sync jobs looked at and run on demand.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::job::progress;
use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};
use crate::mssql::Param;
use crate::mssql::arguments::scalar;
use crate::sync::governor::Cost;
use crate::sync::names::JobName;
use crate::sync::pass::{Ending, PassReport, Want};
use crate::sync::scheduler::JobStatus;
use crate::sync::spec::Cursor;
use crate::sync::{Repair, explain, metrics};

/// The module.
pub struct MssqlSync;

impl Module for MssqlSync {
    fn name(&self) -> &'static str {
        "mssql_sync"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "run" => run(&name(&args)?.ok_or_else(missing)?, Want::News, call).await,
                "audit" => run(&name(&args)?.ok_or_else(missing)?, Want::Audit, call).await,
                "resnapshot" => resnapshot(&name(&args)?.ok_or_else(missing)?, &args, call).await,
                "metrics" => metrics(call).await,
                "status" => status(name(&args)?, call).await,
                "list" => list(call).await,
                _ => Err(ModuleError::NotAvailable { fun: format!("mssql_sync.{fun}") }),
            }
        })
    }
}

async fn run(name: &JobName, want: Want, call: &CallContext) -> Result<Value, ModuleError> {
    let state =
        call.services.syncs.find(name).await.map_err(|error| ModuleError::Execution(explain(&error)))?;
    let state = state.ok_or_else(|| ModuleError::Execution(format!("there is no sync job {name}")))?;
    let tell = |number| async move {
        if let Ok(Some(job)) = jobs(Some(name), call).await.map(|jobs| jobs.into_iter().next()) {
            progress::fire(call, number, Value::Map(shown(&job))).await;
        }
    };
    let report = tokio::select! {
        () = call.cancel.cancelled() => return Err(ModuleError::Cancelled),
        report = progress::while_telling(call.services.syncs.run_for(name, want), progress::EVERY, tell) => report,
    };
    Ok(Value::Map(shown_report(&report.map_err(ModuleError::Execution)?, &state.spec.cursor)))
}

async fn resnapshot(name: &JobName, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    if let Some(repair) = repair(args)? {
        return run(name, Want::Repair(repair), call).await;
    }
    let epoch = call.services.syncs.resnapshot(name).await;
    let epoch = epoch.map_err(|error| ModuleError::Execution(explain(&error)))?;
    Ok([("epoch", number(epoch.get()))].into_iter().collect::<Map>().into())
}

/// What is to be read again, when it is not everything.
fn repair(args: &Arguments) -> Result<Option<Repair>, ModuleError> {
    let given = |name: &str| Some(args.get(name)).filter(|value| !matches!(value, Value::Nil));
    let end =
        |name: &'static str| given(name).map(|value| key(value).ok_or_else(|| no_key(name))).transpose();
    match (given("keys"), end("from_key")?, end("to_key")?) {
        (None, None, None) => Ok(None),
        (Some(Value::List(keys)), None, None) if !keys.is_empty() => {
            let keys = keys.iter().map(|one| key(one).ok_or_else(|| no_key("keys")));
            Ok(Some(Repair::Keys(keys.collect::<Result<_, _>>()?)))
        }
        (Some(one), None, None) => Ok(Some(Repair::Keys(vec![key(one).ok_or_else(|| no_key("keys"))?]))),
        (None, from, to) => Ok(Some(Repair::Range(from, to))),
        (Some(_), _, _) => {
            Err(ModuleError::Invocation("give either keys, or from_key and to_key".to_owned()))
        }
    }
}

/// A key as one writes it: a scalar, or a list of scalars in the order of the key's columns.
fn key(value: &Value) -> Option<Vec<Param>> {
    let one = |value: &Value| scalar(value).map(Param::Text);
    match value.as_list() {
        Some(parts) => parts.iter().map(one).collect(),
        None => one(value).map(|part| vec![part]),
    }
}

fn no_key(name: &str) -> ModuleError {
    ModuleError::Invocation(format!(
        "the argument '{name}' must be a key: a value, or a list of values for a key of several columns"
    ))
}

async fn metrics(call: &CallContext) -> Result<Value, ModuleError> {
    Ok(metrics::text(&jobs(None, call).await?, SystemTime::now()).into())
}

async fn status(only: Option<JobName>, call: &CallContext) -> Result<Value, ModuleError> {
    let jobs = jobs(only.as_ref(), call).await?;
    if let (Some(name), true) = (&only, jobs.is_empty()) {
        return Err(ModuleError::Execution(format!("there is no sync job {name}")));
    }
    Ok(jobs
        .iter()
        .map(|job| (job.state.spec.name.to_string(), Value::Map(shown(job))))
        .collect::<Map>()
        .into())
}

async fn list(call: &CallContext) -> Result<Value, ModuleError> {
    let jobs = jobs(None, call).await?;
    Ok(Value::List(jobs.iter().map(|job| Value::from(job.state.spec.name.as_str())).collect()))
}

async fn jobs(only: Option<&JobName>, call: &CallContext) -> Result<Vec<JobStatus>, ModuleError> {
    call.services.syncs.status(only).await.map_err(|error| ModuleError::Execution(explain(&error)))
}

fn shown(job: &JobStatus) -> Map {
    let (state, last) = (&job.state, &job.last);
    let mut map = Map::new();
    map.insert("database", state.spec.connection.database.as_str());
    map.insert("table", state.spec.table.to_string());
    map.insert("cursor", state.spec.cursor.shown());
    map.insert("phase", state.progress.phase());
    map.insert(
        "watermark",
        state.progress.watermark().map_or(Value::Nil, |mark| state.spec.cursor.shown_watermark(mark).into()),
    );
    map.insert("epoch", number(state.epoch.get()));
    map.insert("next_sequence", number(state.sequence));
    map.insert("delivered_batches", number(state.delivered_batches));
    map.insert("delivered_rows", number(state.delivered_rows));
    map.insert("spool_batches", number(job.spool.batches));
    map.insert("spool_bytes", number(job.spool.bytes));
    let since = |at: u64| moment(UNIX_EPOCH + Duration::from_secs(at));
    map.insert("spool_oldest", job.spool.oldest.map_or(Value::Nil, since));
    let audited = state.progress.sweep.audited;
    map.insert("last_audit", if audited == 0 { Value::Nil } else { since(audited) });
    let age = job.note.age(SystemTime::now());
    map.insert(
        "fresh_as_of",
        job.note.fresh.map_or(Value::Nil, |at| moment(UNIX_EPOCH + Duration::from_secs(at))),
    );
    map.insert("age_seconds", age.map_or(Value::Nil, |age| number(age.as_secs())));
    map.insert("behind_because", job.note.cause().map_or(Value::Nil, Value::from));
    map.insert("rows_per_second", number(job.note.rate()));
    map.insert("server_cost", job.note.cost.map_or(Value::Nil, |cost| Value::Map(shown_cost(cost))));
    map.insert(
        "added_columns",
        Value::List(job.note.added.iter().map(|column| Value::from(column.as_str())).collect()),
    );
    if let Some(drift) = &job.note.drift {
        let differences = drift.differences.iter().map(|one| Value::from(one.as_str()));
        map.insert("schema_differences", Value::List(differences.collect()));
        map.insert("schema_fingerprint", drift.found.as_str());
    }
    if let Some(version) = &job.note.ehr_version {
        map.insert("ehr_version", version.map());
    }
    map.insert("running", last.running);
    map.insert(
        "last_pass",
        last.report
            .as_ref()
            .map_or(Value::Nil, |report| Value::Map(shown_report(report, &state.spec.cursor))),
    );
    map.insert("last_ended", last.ended.map_or(Value::Nil, moment));
    map.insert("next_run", last.next.map_or(Value::Nil, moment));
    map.insert("error", job.note.error.as_deref().map_or(Value::Nil, Value::from));
    map.insert("delivery", job.delivery_trouble.as_deref().map_or(Value::Nil, Value::from));
    map
}

/// What is known of a pass's cost.
fn shown_cost(cost: Cost) -> Map {
    let mut map: Map = cost.figures().into_iter().map(|(name, figure)| (name, number(figure))).collect();
    if cost.partial {
        map.insert("partial", true);
    }
    map
}

fn shown_report(report: &PassReport, cursor: &Cursor) -> Map {
    let mut map = Map::new();
    map.insert("rows", number(report.rows));
    map.insert("batches", number(report.batches));
    map.insert("read", number(report.read));
    map.insert("deletes", number(report.deletes));
    map.insert("bad_cells", number(report.bad_cells));
    if let Some(reach) = &report.reach {
        map.insert("bound", cursor.shown_watermark(reach.bound));
        map.insert("held_back", number(reach.held_back()));
    }
    map.insert("server_cost", shown_cost(report.cost));
    map.insert("seconds", number(report.took.as_secs()));
    map.insert("seconds_left_to_others", number(report.rested.as_secs()));
    if let Some(cause) = &report.cause {
        map.insert("cause", cause.as_str());
    }
    map.insert(
        "ending",
        match report.ending {
            Ending::CaughtUp => "caught up",
            Ending::SpoolFull => "waits: the spool is full",
            Ending::SpoolOld => "waits: batches wait for their sink for too long",
            Ending::DiskFull => "waits: the disk of the spool is nearly full",
            Ending::GaveWay => "goes on after other jobs",
            Ending::Quiet => "waits: quiet hours",
            Ending::Busy => "waits: the server is busy",
        },
    );
    map
}

fn name(args: &Arguments) -> Result<Option<JobName>, ModuleError> {
    let name = args.optional_text("name")?;
    name.map(|name| JobName::new(name).map_err(|error| ModuleError::Invocation(error.to_string())))
        .transpose()
}

fn missing() -> ModuleError {
    ModuleError::Invocation("the argument 'name' must be a text".to_owned())
}

fn number(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn moment(at: SystemTime) -> Value {
    Value::from(DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true))
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "list", signature: "", doc: "The names of the sync jobs declared on this minion." },
    FunctionSpec {
        name: "audit",
        signature: "name",
        doc: "Compares every row of a sync job with what was delivered of it, and delivers what differs.",
    },
    FunctionSpec {
        name: "metrics",
        signature: "",
        doc: "The figures of all sync jobs in Prometheus' text format.",
    },
    FunctionSpec {
        name: "resnapshot",
        signature: "name, keys=None, from_key=None, to_key=None",
        doc: "Reads and delivers everything of a sync job again, under a new epoch; or the rows with these keys, or of a \
              range of keys, within the epoch.",
    },
    FunctionSpec {
        name: "run",
        signature: "name",
        doc: "Runs a pass of a sync job now and waits for it; gives rows, batches and the bound it read up to.",
    },
    FunctionSpec {
        name: "status",
        signature: "name=None",
        doc: "How far each sync job has read, what waits in the spool, and why it does not go on when it does not.",
    },
];
