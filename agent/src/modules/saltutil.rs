//! Salt's `saltutil` module: jobs that run, grains and pillar anew.
//!
//! `sync_*` have nothing to fetch: modules are built in, and code from the master is not run. They refresh what
//! the real ones refresh and return an empty list, which is what Salt returns when nothing changed.

use futures_util::future::BoxFuture;
use proto::target::fnmatch;
use states::{Map, Value};

use crate::{
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    pillar,
};

/// The module.
pub struct Saltutil;

impl Module for Saltutil {
    fn name(&self) -> &'static str {
        "saltutil"
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
                "refresh_pillar" | "sync_pillar" => refresh_pillar(fun, call).await,
                "refresh_grains" => {
                    call.services.refresh_grains().await;
                    refresh_pillar("refresh_pillar", call).await
                }
                "sync_grains" => {
                    call.services.refresh_grains().await;
                    refresh_pillar(fun, call).await
                }
                "sync_all" => {
                    call.services.refresh_grains().await;
                    refresh_pillar("refresh_pillar", call).await?;
                    let kinds = SYNC.iter().map(|kind| (*kind, Value::List(Vec::new())));
                    Ok(kinds.collect::<Map>().into())
                }
                _ => answer(fun, &args, call),
            }
        })
    }
}

async fn refresh_pillar(fun: &str, call: &CallContext) -> Result<Value, ModuleError> {
    match pillar::refresh(&call.services).await {
        Ok(_) if fun == "refresh_pillar" => Ok(true.into()),
        Ok(_) => Ok(Value::List(Vec::new())),
        Err(error) => Err(ModuleError::Execution(error.to_string())),
    }
}

fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let jobs = &call.services.jobs;
    Ok(match fun {
        "running" => {
            let others = jobs.snapshot().into_iter().filter(|job| !is_self(&job.shown, call));
            others.map(|job| states::to_value(&job.shown)).collect::<Vec<_>>().into()
        }
        "is_running" => {
            let glob = args.text("fun")?;
            let named = |shown: &proto::Map| {
                shown.get("fun").and_then(proto::Value::as_str).is_some_and(|fun| fnmatch(fun, &glob))
            };
            let running =
                jobs.snapshot().into_iter().filter(|job| !is_self(&job.shown, call) && named(&job.shown));
            running.map(|job| states::to_value(&job.shown)).collect::<Vec<_>>().into()
        }
        "find_job" => match jobs.find(&args.get("jid").to_string()) {
            Some(job) => states::to_value(&job.shown),
            None => Map::new().into(),
        },
        "kill_job" => signal(&args.get("jid").to_string(), 9, call),
        "term_job" => signal(&args.get("jid").to_string(), 15, call),
        "signal_job" => signal(&args.get("jid").to_string(), args.integer("sig")?, call),
        "kill_all_jobs" => signal_all(9, call),
        "term_all_jobs" => signal_all(15, call),
        "refresh_modules" | "refresh_beacons" | "refresh_matchers" | "clear_cache" => true.into(),
        "list_extmods" => Map::new().into(),
        name if name.starts_with("sync_") => Value::List(Vec::new()),
        _ => return Err(ModuleError::NotAvailable { fun: format!("saltutil.{fun}") }),
    })
}

fn is_self(shown: &proto::Map, call: &CallContext) -> bool {
    shown.get("jid").and_then(proto::Value::as_str) == call.jid.as_deref() && call.jid.is_some()
}

/// Cancels a job. Signals have no number here: any of them ends the job at once.
fn signal(jid: &str, number: i64, call: &CallContext) -> Value {
    match call.services.jobs.find(jid) {
        Some(job) => {
            job.cancel.cancel();
            tracing::info!(jid, "the job was asked to end");
            format!("Signal {number} sent to job {jid} at pid {}", std::process::id()).into()
        }
        None => "".into(),
    }
}

fn signal_all(number: i64, call: &CallContext) -> Value {
    let others = call.services.jobs.snapshot().into_iter().filter(|job| !is_self(&job.shown, call));
    let jids =
        others.filter_map(|job| job.shown.get("jid").and_then(proto::Value::as_str).map(str::to_owned));
    jids.map(|jid| signal(&jid, number, call)).collect::<Vec<_>>().into()
}

const SYNC: &[&str] = &[
    "beacons",
    "clouds",
    "engines",
    "executors",
    "grains",
    "log_handlers",
    "matchers",
    "modules",
    "output",
    "pillar",
    "proxymodules",
    "renderers",
    "returners",
    "sdb",
    "serializers",
    "states",
    "thorium",
    "tops",
    "utils",
    "wrapper",
];

const SYNC_ARGS: &str = "saltenv=None, refresh=True, extmod_whitelist=None, extmod_blacklist=None";
const SYNC_DOC: &str = "Returns an empty list: modules are built in, and no code is taken from the master.";

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "clear_cache",
        signature: "",
        doc: "Answers True: files are checked against the master's hash on each use.",
    },
    FunctionSpec {
        name: "find_job",
        signature: "jid",
        doc: "Returns the running job of a jid, or an empty map.",
    },
    FunctionSpec {
        name: "is_running",
        signature: "fun",
        doc: "Returns the running jobs whose function matches a glob.",
    },
    FunctionSpec { name: "kill_all_jobs", signature: "", doc: "Ends every running job." },
    FunctionSpec {
        name: "kill_job",
        signature: "jid",
        doc: "Ends a running job at once; it returns that it was terminated.",
    },
    FunctionSpec { name: "list_extmods", signature: "", doc: "Returns an empty map: modules are built in." },
    FunctionSpec { name: "refresh_beacons", signature: "", doc: "Answers True." },
    FunctionSpec {
        name: "refresh_grains",
        signature: "**kwargs",
        doc: "Gathers the grains anew and refreshes the pillar.",
    },
    FunctionSpec { name: "refresh_matchers", signature: "", doc: "Answers True: matchers are built in." },
    FunctionSpec {
        name: "refresh_modules",
        signature: "**kwargs",
        doc: "Answers True: modules are built in.",
    },
    FunctionSpec {
        name: "refresh_pillar",
        signature: "wait=False, timeout=30, clean_cache=True",
        doc: "Asks the master for the pillar and keeps it in memory.",
    },
    FunctionSpec { name: "running", signature: "", doc: "Returns the jobs that run." },
    FunctionSpec { name: "signal_job", signature: "jid, sig", doc: "Ends a running job; every signal does." },
    FunctionSpec {
        name: "sync_all",
        signature: SYNC_ARGS,
        doc: "Gathers grains and pillar anew; there is nothing else to sync.",
    },
    FunctionSpec { name: "sync_beacons", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec {
        name: "sync_grains",
        signature: SYNC_ARGS,
        doc: "Gathers the grains anew; returns an empty list.",
    },
    FunctionSpec { name: "sync_matchers", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_modules", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_output", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec {
        name: "sync_pillar",
        signature: SYNC_ARGS,
        doc: "Refreshes the pillar; returns an empty list.",
    },
    FunctionSpec { name: "sync_renderers", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_returners", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_states", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_utils", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "term_all_jobs", signature: "", doc: "Ends every running job." },
    FunctionSpec {
        name: "term_job",
        signature: "jid",
        doc: "Ends a running job; it returns that it was terminated.",
    },
];
