//! Salt's `saltutil` module: jobs that run, grains and pillar anew.
//!
//! `sync_*`: modules are built in, and code from the master is not run. Where the file server has code of that kind, they
//! refuse and say so, unless the local policy says that the operator knows (`agent: allow_code_sync`). Where it has none they
//! refresh what the real ones refresh and return an empty list, which is what Salt returns when nothing changed.

use futures_util::future::BoxFuture;
use proto::target::fnmatch;
use states::{Map, Value};

use crate::{
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    pillar, policy,
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
                "refresh_pillar" | "pillar_refresh" | "refresh_beacons" => refresh_pillar(call).await,
                "refresh_grains" => {
                    call.services.refresh_grains().await;
                    let pillar = args.keyword("refresh_pillar").is_none_or(Value::is_truthy);
                    if pillar { refresh_pillar(call).await } else { Ok(true.into()) }
                }
                "revoke_auth" => revoke_auth(&args, call).await,
                "clear_cache" => {
                    Ok(clear(&call.services.config.cachedir, &call.services.config.data_dir).into())
                }
                _ => match fun.strip_prefix("sync_") {
                    Some(kind) => sync(kind, &args, call).await,
                    None => answer(fun, &args, call),
                },
            }
        })
    }
}

async fn refresh_pillar(call: &CallContext) -> Result<Value, ModuleError> {
    match pillar::refresh(&call.services).await {
        Ok(_) => Ok(true.into()),
        Err(error) => Err(ModuleError::Execution(error.to_string())),
    }
}

/// One kind of code, or all of them.
async fn sync(kind: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let kind = if kind == "outputters" { "output" } else { kind };
    let kinds = if kind == "all" { SYNC } else { &[kind] };
    refuse_code(kinds, args, call).await?;
    if matches!(kind, "all" | "grains") {
        call.services.refresh_grains().await;
    }
    if args.keyword("refresh").is_none_or(Value::is_truthy) && matches!(kind, "all" | "grains" | "pillar") {
        refresh_pillar(call).await?;
    }
    if kind != "all" {
        return Ok(Value::List(Vec::new()));
    }
    Ok(SYNC.iter().map(|kind| (*kind, Value::List(Vec::new()))).collect::<Map>().into())
}

/// Refuses when the file server has code that the operator wants here.
async fn refuse_code(kinds: &[&str], args: &Arguments, call: &CallContext) -> Result<(), ModuleError> {
    let config = &call.services.config;
    let Err(refusal) = policy::may_take_code(config, kinds) else { return Ok(()) };
    let given = args.keyword("saltenv").filter(|env| env.is_truthy()).map(ToString::to_string);
    let saltenv = given.or_else(|| config.str_opt("saltenv")).unwrap_or_else(|| "base".to_owned());
    let files = call.services.files.list(&saltenv, "_").await;
    let files = files.map_err(|error| ModuleError::Execution(error.to_string()))?;
    let wanted = |file: &String| kinds.iter().any(|kind| file.starts_with(&format!("_{kind}/")));
    match files.into_iter().find(wanted) {
        Some(file) => Err(ModuleError::Execution(format!("salt://{file}: {refusal}"))),
        None => Ok(()),
    }
}

/// Asks the master to forget this minion's key.
async fn revoke_auth(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let mut load = proto::Map::new();
    load.insert("preserve_minion_cache", args.truth("preserve_minion_cache"));
    match call.services.link.request("revoke_auth", load).await {
        Ok(_) => Ok(true.into()),
        Err(error) => {
            tracing::warn!(%error, "the master was not asked to forget this minion's key");
            Ok(false.into())
        }
    }
}

/// Removes the files below the cache; the data folder is none of it, wherever it lies.
fn clear(folder: &std::path::Path, kept: &std::path::Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    entries.flatten().all(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => path == kept || clear(&path, kept),
            Ok(_) => std::fs::remove_file(&path).is_ok(),
            Err(_) => false,
        }
    })
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
        "refresh_modules" | "refresh_matchers" | "clear_job_cache" => true.into(),
        "find_cached_job" => {
            "Local jobs cache directory not found; you may need to enable cache_jobs on this minion".into()
        }
        "list_extmods" => Map::new().into(),
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
    "clouds",
    "beacons",
    "modules",
    "states",
    "sdb",
    "grains",
    "renderers",
    "returners",
    "output",
    "utils",
    "log_handlers",
    "executors",
    "proxymodules",
    "engines",
    "thorium",
    "serializers",
    "matchers",
];

const SYNC_ARGS: &str = "saltenv=None, refresh=True, extmod_whitelist=None, extmod_blacklist=None";
const SYNC_DOC: &str = "Returns an empty list, or refuses where the file server has such code: modules are built in, and no code is taken from the master.";

const SYNC_QUIET_ARGS: &str = "saltenv=None, refresh=False, extmod_whitelist=None, extmod_blacklist=None";
const SYNC_ALL_ARGS: &str =
    "saltenv=None, refresh=True, extmod_whitelist=None, extmod_blacklist=None, clean_pillar_cache=False";

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "clear_cache", signature: "", doc: "Removes the cached files of the master." },
    FunctionSpec {
        name: "clear_job_cache",
        signature: "hours=24",
        doc: "Answers True: jobs are kept in the agent's own store, which keeps itself small.",
    },
    FunctionSpec {
        name: "find_cached_job",
        signature: "jid",
        doc: "Answers in Salt's words that there is no job cache.",
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
        doc: "Ends a running job; it returns that it was terminated.",
    },
    FunctionSpec { name: "list_extmods", signature: "", doc: "Returns an empty map: modules are built in." },
    FunctionSpec {
        name: "pillar_refresh",
        signature: "wait=False, timeout=30, clean_cache=True",
        doc: "The same as saltutil.refresh_pillar.",
    },
    FunctionSpec {
        name: "refresh_beacons",
        signature: "",
        doc: "Asks the master for the pillar, beacons included.",
    },
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
    FunctionSpec {
        name: "revoke_auth",
        signature: "preserve_minion_cache=False",
        doc: "Asks the master to forget this minion's key.",
    },
    FunctionSpec { name: "running", signature: "", doc: "Returns the jobs that run." },
    FunctionSpec { name: "signal_job", signature: "jid, sig", doc: "Ends a running job; every signal does." },
    FunctionSpec {
        name: "sync_all",
        signature: SYNC_ALL_ARGS,
        doc: "Gathers grains and pillar anew; refuses where the file server has code for this minion.",
    },
    FunctionSpec { name: "sync_beacons", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_clouds", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_engines", signature: SYNC_QUIET_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_executors", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec {
        name: "sync_grains",
        signature: SYNC_ALL_ARGS,
        doc: "Gathers the grains anew; refuses where the file server has code for them.",
    },
    FunctionSpec { name: "sync_log_handlers", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_matchers", signature: SYNC_QUIET_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_modules", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_output", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_outputters", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec {
        name: "sync_pillar",
        signature: SYNC_ALL_ARGS,
        doc: "Refreshes the pillar; returns an empty list.",
    },
    FunctionSpec { name: "sync_proxymodules", signature: SYNC_QUIET_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_renderers", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_returners", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec {
        name: "sync_sdb",
        signature: "saltenv=None, extmod_whitelist=None, extmod_blacklist=None",
        doc: SYNC_DOC,
    },
    FunctionSpec { name: "sync_serializers", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_states", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_thorium", signature: SYNC_QUIET_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_tops", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_utils", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "sync_wrapper", signature: SYNC_ARGS, doc: SYNC_DOC },
    FunctionSpec { name: "term_all_jobs", signature: "", doc: "Ends every running job." },
    FunctionSpec {
        name: "term_job",
        signature: "jid",
        doc: "Ends a running job; it returns that it was terminated.",
    },
];
