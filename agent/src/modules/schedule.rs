//! Salt's `schedule` module: functions that this minion runs by itself.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use states::{
    Map, Value,
    yaml::{self, Style},
};

use crate::{
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    schedule::Origin,
};

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
        Box::pin(std::future::ready(answer(fun, &args, call)))
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

fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let schedule = &call.services.schedule;
    let name = args.keyword("name").map(ToString::to_string).unwrap_or_default();
    let trial = args.keyword("test").is_some_and(Value::is_truthy);
    Ok(match fun {
        "list" => list(args, call),
        "is_enabled" => {
            let entries = shown(call, true);
            match args.get("name") {
                Value::Nil => schedule.is_enabled().into(),
                name => entries.get(&name.to_string()).cloned().unwrap_or_else(|| Map::new().into()),
            }
        }
        "add" | "modify" => put(fun, &name, args, call)?,
        "delete" if !schedule.entries().contains_key(&name) => {
            told(format!("Job {name} does not exist."), &[], false)
        }
        "delete" if trial => told(format!("Job: {name} would be deleted from schedule."), &[], true),
        "delete" => {
            schedule.remove(&name);
            persist(args, call)?;
            told(format!("Deleted Job {name} from schedule."), &[(&name, "removed")], true)
        }
        "purge" => purge(args, call)?,
        "enable_job" | "disable_job" => switch(fun, &name, args, call)?,
        "enable" | "disable" => {
            schedule.enable(fun == "enable");
            persist(args, call)?;
            let (word, change) =
                if fun == "enable" { ("Enabled", "enabled") } else { ("Disabled", "disabled") };
            told(format!("{word} schedule on minion."), &[("schedule", change)], true)
        }
        "run_job" => match schedule.entries().get(&name) {
            None => told(format!("Job {name} does not exist."), &[], false),
            Some((entry, _)) if entry.get("enabled") == Some(&Value::Bool(false)) && !args.truth("force") => {
                told(format!("Job {name} is disabled."), &[], true)
            }
            Some(_) => {
                schedule.ask(&name);
                told(format!("Scheduling Job {name} on minion."), &[], true)
            }
        },
        "save" => {
            save(call)?;
            told("Schedule (non-pillar items) saved.", &[], true)
        }
        "show_next_fire_time" => {
            let at = schedule.next_time(&name).map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string());
            [("result", Value::Bool(true)), ("next_fire_time", at.into())].into_iter().collect::<Map>().into()
        }
        _ => return Err(ModuleError::NotAvailable { fun: format!("schedule.{fun}") }),
    })
}

/// The entries as lists show them.
fn shown(call: &CallContext, disabled: bool) -> Map {
    let mut shown = Map::new();
    for (name, (mut entry, _)) in call.services.schedule.entries() {
        entry.entry_or_insert("enabled", true);
        if disabled || entry.get("enabled").is_some_and(Value::is_truthy) {
            shown.insert(name, entry);
        }
    }
    shown
}

fn list(args: &Arguments, call: &CallContext) -> Value {
    let mut entries = shown(call, args.truth("show_disabled"));
    if !call.services.schedule.is_enabled() {
        entries.insert("enabled", false);
    }
    if !args.truth("return_yaml") {
        return entries.into();
    }
    let origins = call.services.schedule.entries();
    for (name, entry) in entries.iter_mut() {
        let saved = name
            .as_str()
            .and_then(|name| origins.get(name))
            .is_some_and(|(_, from)| *from == Origin::Options);
        if let Some(entry) = entry.as_map_mut() {
            entry.insert("saved", saved);
        }
    }
    let whole: Map = [("schedule", entries)].into_iter().collect();
    yaml::dump(&whole.into(), Style::Block).into()
}

/// `add` and `modify`.
fn put(fun: &str, name: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let schedule = &call.services.schedule;
    let held = schedule.entries().remove(name);
    match (fun, &held) {
        ("add", Some(_)) => return Ok(told(format!("Job {name} already exists in schedule."), &[], false)),
        ("modify", None) => return Ok(told(format!("Job {name} does not exist in schedule."), &[], false)),
        _ => {}
    }
    let mut entry = held.map(|(entry, _)| entry).unwrap_or_default();
    for (key, value) in &args.keywords {
        let key = key.to_string();
        let key = match key.as_str() {
            "job_args" => "args",
            "job_kwargs" => "kwargs",
            "test" | "persist" | "offline" => continue,
            hidden if hidden.starts_with("__") => continue,
            plain => plain,
        };
        entry.insert(key, value.clone());
    }
    for (key, default) in [
        ("maxrunning", Value::Int(1)),
        ("name", name.into()),
        ("enabled", true.into()),
        ("jid_include", true.into()),
    ] {
        entry.entry_or_insert(key, default);
    }
    let done = if fun == "add" { ("Added", "to", "added") } else { ("Modified", "in", "modified") };
    if args.keyword("test").is_some_and(Value::is_truthy) {
        return Ok(told(format!("Job: {name} would be {} {} schedule.", done.2, done.1), &[], true));
    }
    if let Err(error) = schedule.set(name, entry) {
        return Ok(told(error.to_string(), &[], false));
    }
    persist(args, call)?;
    Ok(told(format!("{} job: {name} {} schedule.", done.0, done.1), &[(name, done.2)], true))
}

fn purge(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let (mut comments, mut changes) = (Vec::new(), Vec::new());
    let names: Vec<String> = call.services.schedule.entries().into_keys().collect();
    for name in &names {
        call.services.schedule.remove(name);
        comments.push(Value::from(format!("Deleted job: {name} from schedule.")));
        changes.push((name.as_str(), "removed"));
    }
    persist(args, call)?;
    Ok(told(comments, &changes, true))
}

fn switch(fun: &str, name: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let Some((mut entry, _)) = call.services.schedule.entries().remove(name) else {
        return Ok(told(format!("Job {name} does not exist."), &[], false));
    };
    let on = fun == "enable_job";
    entry.insert("enabled", on);
    if let Err(error) = call.services.schedule.set(name, entry) {
        return Ok(told(error.to_string(), &[], false));
    }
    persist(args, call)?;
    let (word, change) = if on { ("Enabled", "enabled") } else { ("Disabled", "disabled") };
    Ok(told(format!("{word} Job {name} in schedule."), &[(name, change)], true))
}

/// Changes outlive the process unless `persist=False`.
fn persist(args: &Arguments, call: &CallContext) -> Result<(), ModuleError> {
    if args.keyword("persist").is_none_or(Value::is_truthy) { save(call) } else { Ok(()) }
}

fn save(call: &CallContext) -> Result<(), ModuleError> {
    let saved = call.services.schedule.save(&call.services.config);
    saved.map_err(|error| ModuleError::Execution(format!("the schedule could not be saved: {error}")))
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "add",
        signature: "name, **kwargs",
        doc: "Adds a scheduled function: function=, seconds= (minutes, hours, days) or cron=, job_args=, job_kwargs=, splay=, run_on_start=, after=, until=, maxrunning=, return_job=.",
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
        name: "list",
        signature: "show_all=False, show_disabled=True, where=None, return_yaml=True, offline=False",
        doc: "Lists the schedule, as YAML by default.",
    },
    FunctionSpec {
        name: "modify",
        signature: "name, **kwargs",
        doc: "Changes a scheduled function; what is not named stays.",
    },
    FunctionSpec { name: "purge", signature: "**kwargs", doc: "Deletes every scheduled function." },
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
];
