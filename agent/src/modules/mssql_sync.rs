//! The `mssql_sync` module: sync jobs looked at and run on demand.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};
use crate::sync::explain;
use crate::sync::names::JobName;
use crate::sync::pass::{Ending, PassReport};
use crate::sync::scheduler::JobStatus;
use crate::sync::spec::Cursor;

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
                "run" => run(&name(&args)?.ok_or_else(missing)?, call).await,
                "resnapshot" => resnapshot(&name(&args)?.ok_or_else(missing)?, call).await,
                "status" => status(name(&args)?, call).await,
                "list" => list(call).await,
                _ => Err(ModuleError::NotAvailable { fun: format!("mssql_sync.{fun}") }),
            }
        })
    }
}

async fn run(name: &JobName, call: &CallContext) -> Result<Value, ModuleError> {
    let state =
        call.services.syncs.find(name).await.map_err(|error| ModuleError::Execution(explain(&error)))?;
    let state = state.ok_or_else(|| ModuleError::Execution(format!("there is no sync job {name}")))?;
    let report = tokio::select! {
        () = call.cancel.cancelled() => return Err(ModuleError::Cancelled),
        report = call.services.syncs.run(name) => report,
    };
    Ok(Value::Map(shown_report(&report.map_err(ModuleError::Execution)?, &state.spec.cursor)))
}

async fn resnapshot(name: &JobName, call: &CallContext) -> Result<Value, ModuleError> {
    let epoch = call.services.syncs.resnapshot(name).await;
    let epoch = epoch.map_err(|error| ModuleError::Execution(explain(&error)))?;
    Ok([("epoch", number(epoch.get()))].into_iter().collect::<Map>().into())
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
    map.insert("running", last.running);
    map.insert(
        "last_pass",
        last.report
            .as_ref()
            .map_or(Value::Nil, |report| Value::Map(shown_report(report, &state.spec.cursor))),
    );
    map.insert("last_ended", last.ended.map_or(Value::Nil, moment));
    map.insert("next_run", last.next.map_or(Value::Nil, moment));
    map.insert("error", last.error.as_deref().map_or(Value::Nil, Value::from));
    map.insert("delivery", job.delivery_trouble.as_deref().map_or(Value::Nil, Value::from));
    map
}

fn shown_report(report: &PassReport, cursor: &Cursor) -> Map {
    let mut map = Map::new();
    map.insert("rows", number(report.rows));
    map.insert("batches", number(report.batches));
    map.insert("read", number(report.read));
    map.insert("deletes", number(report.deletes));
    if let Some(reach) = &report.reach {
        map.insert("bound", cursor.shown_watermark(reach.bound));
        map.insert("held_back", number(reach.held_back()));
    }
    if let Some(cause) = &report.cause {
        map.insert("cause", cause.as_str());
    }
    map.insert(
        "ending",
        match report.ending {
            Ending::CaughtUp => "caught up",
            Ending::SpoolFull => "waits: the spool is full",
            Ending::GaveWay => "goes on after other jobs",
            Ending::Quiet => "waits: quiet hours",
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
        name: "resnapshot",
        signature: "name",
        doc: "Reads and delivers everything of a sync job again, under a new epoch.",
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
