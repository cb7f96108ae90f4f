//! Salt's `schedule` module: functions that this minion runs by itself.
//!
//! Comments, changes and shapes are Salt's (`salt/modules/schedule.py`). `move` and `copy` are left out: they publish
//! through the master's peer interface.
use futures_util::future::BoxFuture;
use states::{
    Map, Value,
    yaml::{self, Style},
};

use crate::{
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    schedule::{
        self, Origin,
        entry::{TIME_FORMAT, written},
    },
};

mod put;

/// The module.
pub struct Schedule;

impl Module for Schedule {
    fn name(&self) -> &'static str {
        "schedule"
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
                "reload" => reload(call).await,
                _ => answer(fun, &args, call),
            }
        })
    }
}

/// What most functions return.
fn told(comment: impl Into<Value>, changes: &[(&str, &str)], result: bool) -> Value {
    let changes: Map = changes.iter().map(|(name, change)| (*name, *change)).collect();
    [("comment", comment.into()), ("changes", changes.into()), ("result", result.into())]
        .into_iter()
        .collect::<Map>()
        .into()
}

/// The same without changes, as some functions return.
fn said(comment: impl Into<Value>, result: bool) -> Value {
    [("comment", comment.into()), ("result", Value::Bool(result))].into_iter().collect::<Map>().into()
}

fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let name =
        args.keyword("name").filter(|name| !name.is_nil()).map(ToString::to_string).unwrap_or_default();
    let trial = args.keyword("test").is_some_and(Value::is_truthy);
    Ok(match fun {
        "list" => list(args, call)?,
        "is_enabled" => is_enabled(&name, call),
        "build_schedule_item" if !args.keywords.contains_key("function") => {
            return Err(ModuleError::Exception { class: "KeyError", message: "'function'".to_owned() });
        }
        "build_schedule_item" => {
            put::build(&name, &args.keywords).map_or_else(|refusal| refusal, Value::from)
        }
        "add" => put::add(&name, args, call)?,
        "modify" => put::modify(&name, args, call)?,
        "delete" => delete(&name, trial, args, call)?,
        "purge" => purge(trial, args, call)?,
        "enable_job" | "disable_job" => switch(fun, &name, trial, args, call)?,
        "enable" | "disable" => switch_all(fun, trial, args, call)?,
        "run_job" => run_job(&name, args, call),
        "postpone_job" | "skip_job" => put::explicit(fun, &name, args, call)?,
        "save" if trial => said("Schedule would be saved.", true),
        "save" => {
            save(call)?;
            said("Schedule (non-pillar items) saved.", true)
        }
        "show_next_fire_time" => {
            let at = call.services.schedule.record(&name).next;
            let at = at.map(|at| at.format(TIME_FORMAT).to_string());
            [("result", Value::Bool(true)), ("next_fire_time", at.into())].into_iter().collect::<Map>().into()
        }
        "job_status" => job_status(&name, args, call)?,
        _ => return Err(ModuleError::NotAvailable { fun: format!("schedule.{fun}") }),
    })
}

/// An entry as lists show it: its known options, in the order of their names.
fn shown(entry: &Map) -> Map {
    let mut pairs: Vec<(String, Value)> = entry
        .iter()
        .map(|(key, value)| (key.to_string(), value.clone()))
        .filter(|(key, value)| OPTIONS.contains(&key.as_str()) && !value.is_nil())
        .map(|(key, value)| match value.as_str() {
            Some("true") => (key, true.into()),
            Some("false") => (key, false.into()),
            _ => (key, value),
        })
        .collect();
    if !entry.contains_key("enabled") {
        pairs.push(("enabled".to_owned(), true.into()));
    }
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs.into_iter().collect()
}

/// The entries of an origin, or of both.
fn current(from: Option<Origin>, call: &CallContext) -> Map {
    let entries = call.services.schedule.entries().into_iter();
    let wanted = entries.filter(|(_, (_, origin))| from.is_none_or(|from| from == *origin));
    wanted.map(|(name, (entry, _))| (name, shown(&entry))).collect()
}

fn list(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let config = &call.services.config;
    let saved = schedule::saved(config).map_err(ModuleError::Execution)?;
    let from = match args.get("where").as_str() {
        Some("pillar") => Some(Origin::Pillar),
        Some("opts") => Some(Origin::Options),
        _ => None,
    };
    let mut entries = if args.truth("offline") {
        saved
            .iter()
            .map(|(name, entry)| {
                (name.clone(), entry.as_map().map_or(entry.clone(), |map| shown(map).into()))
            })
            .collect()
    } else {
        let mut entries = current(from, call);
        if from != Some(Origin::Pillar) {
            entries.extend(call.services.schedule.common());
        }
        entries
    };
    let (all, disabled) = (args.truth("show_all"), args.truth("show_disabled"));
    entries.retain(|name, entry| {
        let hidden = name.as_str().is_some_and(|name| name.starts_with("__")) && !all;
        let off = entry.as_map().is_some_and(|entry| !entry.get("enabled").is_some_and(Value::is_truthy));
        !hidden && (disabled || !off)
    });
    if !args.truth("return_yaml") {
        return Ok(entries.into());
    }
    for (name, entry) in entries.iter_mut() {
        if let Some(entry) = entry.as_map_mut() {
            entry.insert("saved", saved.get_value(name).is_some());
            *entry = sorted(std::mem::take(entry));
        }
    }
    let whole: Map = [("schedule", sorted(entries))].into_iter().collect();
    Ok(yaml::dump(&whole.into(), Style::Block).into())
}

fn sorted(map: Map) -> Map {
    let mut pairs: Vec<(Value, Value)> = map.into_iter().collect();
    pairs.sort_by_key(|(key, _)| key.to_string());
    pairs.into_iter().collect()
}

fn is_enabled(name: &str, call: &CallContext) -> Value {
    if name.is_empty() {
        return call.services.schedule.is_enabled().into();
    }
    current(None, call).remove(name).unwrap_or_else(|| Map::new().into())
}

fn delete(name: &str, trial: bool, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    if trial {
        return Ok(told(format!("Job: {name} would be deleted from schedule."), &[], true));
    }
    match call.services.schedule.entries().get(name) {
        None => return Ok(told(format!("Job {name} does not exist."), &[], false)),
        Some((_, Origin::Pillar)) => {
            tracing::warn!(name, "this entry comes from the pillar and cannot be deleted here");
            return Ok(told(format!("Failed to delete job {name} from schedule."), &[], false));
        }
        Some((_, Origin::Options)) => {}
    }
    call.services.schedule.remove(name);
    persist(args, call)?;
    Ok(told(format!("Deleted Job {name} from schedule."), &[(name, "removed")], true))
}

fn purge(trial: bool, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let (mut comments, mut changes) = (Vec::new(), Vec::new());
    let entries = call.services.schedule.entries();
    for (name, (_, origin)) in entries.iter().filter(|(name, _)| !name.starts_with("__")) {
        let comment = match (trial, origin) {
            (true, _) => format!("Job: {name} would be deleted from schedule."),
            (false, Origin::Pillar) => format!("Failed to delete job {name} from schedule."),
            (false, Origin::Options) => {
                call.services.schedule.remove(name);
                changes.push((name.as_str(), "removed"));
                format!("Deleted job: {name} from schedule.")
            }
        };
        comments.push(Value::from(comment));
    }
    if !trial {
        persist(args, call)?;
    }
    Ok(told(comments, &changes, true))
}

fn switch(
    fun: &str,
    name: &str,
    trial: bool,
    args: &Arguments,
    call: &CallContext,
) -> Result<Value, ModuleError> {
    let on = fun == "enable_job";
    let (word, done) = if on { ("Enabled", "enabled") } else { ("Disabled", "disabled") };
    if trial {
        return Ok(told(format!("Job: {name} would be {done} in schedule."), &[], true));
    }
    let Some((mut entry, origin)) = call.services.schedule.entries().remove(name) else {
        return Ok(told(format!("Job {name} does not exist."), &[], false));
    };
    if origin == Origin::Pillar {
        tracing::warn!(name, "this entry comes from the pillar and cannot be changed here");
        return Ok(told(
            format!("Failed to {} job {name} in schedule.", &done[..done.len() - 1]),
            &[],
            false,
        ));
    }
    entry.insert("enabled", on);
    if let Err(error) = call.services.schedule.set(name, entry) {
        return Ok(told(error.to_string(), &[], false));
    }
    persist(args, call)?;
    Ok(told(format!("{word} Job {name} in schedule."), &[(name, done)], true))
}

fn switch_all(fun: &str, trial: bool, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let on = fun == "enable";
    let (word, done) = if on { ("Enabled", "enabled") } else { ("Disabled", "disabled") };
    if trial {
        return Ok(told(format!("Schedule would be {done}."), &[], true));
    }
    call.services.schedule.enable(on);
    persist(args, call)?;
    Ok(told(format!("{word} schedule on minion."), &[("schedule", done)], true))
}

fn run_job(name: &str, args: &Arguments, call: &CallContext) -> Value {
    match current(None, call).get(name) {
        None => said(format!("Job {name} does not exist."), false),
        Some(entry) if !entry.get("enabled").is_some_and(Value::is_truthy) && !args.truth("force") => {
            said(format!("Job {name} is disabled."), true)
        }
        Some(_) => {
            call.services.schedule.ask(name);
            said(format!("Scheduling Job {name} on minion."), true)
        }
    }
}

/// The entry with what is known of its runs, under the names that Salt's scheduler keeps.
fn job_status(name: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let Some((mut entry, _)) = call.services.schedule.entries().remove(name) else {
        return Ok(Map::new().into());
    };
    let form = args.text("time_fmt")?;
    let shown = |at: chrono::DateTime<chrono::Local>| Value::from(at.format(&form).to_string());
    let record = call.services.schedule.record(name);
    entry.entry_or_insert("name", name);
    entry.insert("_next_fire_time", record.next.map_or(Value::Nil, shown));
    if let Some(last) = record.last {
        entry.insert("_last_run", shown(last));
    }
    if let Some((reason, at)) = record.skipped {
        entry.insert("_skip_reason", reason);
        entry.insert("_skipped_time", shown(at));
        entry.insert("_skipped", true);
    }
    Ok(entry.into())
}

/// The schedule file and the pillar, read again.
async fn reload(call: &CallContext) -> Result<Value, ModuleError> {
    let (mut comments, mut result) = (Vec::new(), true);
    if call.pillar().get("schedule").is_some() {
        let done = crate::pillar::refresh(&call.services).await;
        let word = if done.is_ok() { "Reloaded" } else { "Failed to reload" };
        comments.push(Value::from(format!("{word} schedule from pillar on minion.")));
    }
    match schedule::saved(&call.services.config) {
        Ok(saved) if saved.is_empty() => {}
        Ok(saved) => {
            let given = call.services.config.opts.get("schedule").and_then(Value::as_map).cloned();
            let mut whole = given.unwrap_or_default();
            whole.extend(saved);
            call.services.schedule.take(whole, Origin::Options);
            comments.push("Reloaded schedule on minion from schedule.conf.".into());
        }
        Err(why) => {
            result = false;
            comments.push(format!("Unable to read existing schedule file: {why}").into());
        }
    }
    Ok(said(comments, result))
}

/// Changes outlive the process unless `persist=False`.
fn persist(args: &Arguments, call: &CallContext) -> Result<(), ModuleError> {
    if args.keyword("persist").is_none_or(Value::is_truthy) { save(call) } else { Ok(()) }
}

fn save(call: &CallContext) -> Result<(), ModuleError> {
    let saved = call.services.schedule.save(&call.services.config);
    saved.map_err(|error| ModuleError::Execution(format!("the schedule could not be saved: {error}")))
}

/// The options that lists show.
const OPTIONS: &[&str] = &[
    "name",
    "maxrunning",
    "function",
    "splay",
    "jitter",
    "range",
    "when",
    "once",
    "once_fmt",
    "returner",
    "jid_include",
    "args",
    "kwargs",
    "seconds",
    "minutes",
    "hours",
    "days",
    "enabled",
    "return_job",
    "metadata",
    "cron",
    "until",
    "after",
    "return_config",
    "return_kwargs",
    "run_on_start",
    "skip_during_range",
    "run_after_skip_range",
];

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "add",
        signature: "name, **kwargs",
        doc: "Adds a scheduled function: function=, seconds= (minutes, hours, days), cron=, when= or once=, job_args=, job_kwargs=, splay=, range=, skip_during_range=, run_on_start=, after=, until=, maxrunning=, return_job=, metadata=.",
    },
    FunctionSpec {
        name: "build_schedule_item",
        signature: "name, **kwargs",
        doc: "Returns the entry that schedule.add would add.",
    },
    FunctionSpec { name: "delete", signature: "name, **kwargs", doc: "Deletes a scheduled function." },
    FunctionSpec { name: "disable", signature: "**kwargs", doc: "Stops the whole schedule." },
    FunctionSpec { name: "disable_job", signature: "name, **kwargs", doc: "Stops one scheduled function." },
    FunctionSpec { name: "enable", signature: "**kwargs", doc: "Starts the whole schedule again." },
    FunctionSpec {
        name: "enable_job",
        signature: "name, **kwargs",
        doc: "Starts one scheduled function again.",
    },
    FunctionSpec {
        name: "is_enabled",
        signature: "name=None",
        doc: "Tells whether the schedule runs, or returns one scheduled function.",
    },
    FunctionSpec {
        name: "job_status",
        signature: "name, time_fmt='%Y-%m-%dT%H:%M:%S'",
        doc: "Returns a scheduled function with its next and last run and why it was left out last.",
    },
    FunctionSpec {
        name: "list",
        signature: "show_all=False, show_disabled=True, where=None, return_yaml=True, offline=False",
        doc: "Lists the schedule, as YAML by default.",
    },
    FunctionSpec { name: "modify", signature: "name, **kwargs", doc: "Replaces a scheduled function." },
    FunctionSpec {
        name: "postpone_job",
        signature: "name, current_time, new_time, **kwargs",
        doc: "Leaves out the run at one time and runs at another.",
    },
    FunctionSpec { name: "purge", signature: "**kwargs", doc: "Deletes every scheduled function." },
    FunctionSpec { name: "reload", signature: "", doc: "Reads the saved schedule and the pillar's again." },
    FunctionSpec { name: "run_job", signature: "name, force=False", doc: "Runs a scheduled function now." },
    FunctionSpec {
        name: "save",
        signature: "**kwargs",
        doc: "Writes the schedule beside the configuration.",
    },
    FunctionSpec {
        name: "show_next_fire_time",
        signature: "name, **kwargs",
        doc: "Tells when a scheduled function runs next.",
    },
    FunctionSpec {
        name: "skip_job",
        signature: "name, current_time, **kwargs",
        doc: "Leaves out the run at a time.",
    },
];
