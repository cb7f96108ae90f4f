//! Adding and changing entries: `schedule.add`, `modify`, `build_schedule_item`, `postpone_job`, `skip_job`.

use states::{Map, Value};

use super::{current, persist, said, shown, told, written};
use crate::{
    modules::{Arguments, CallContext, ModuleError},
    schedule::moment::Moment,
};

/// The entry that keyword arguments describe, or Salt's refusal.
pub(super) fn build(name: &str, given: &Map) -> Result<Map, Value> {
    let refuse = |comment: &str| Err(said(comment, false));
    let has = |key: &str| given.contains_key(key);
    if name.is_empty() {
        return refuse("Job name is required.");
    }
    let interval = ["seconds", "minutes", "hours", "days"].into_iter().any(has);
    if interval && (has("when") || has("cron")) {
        return refuse(
            "Unable to use \"seconds\", \"minutes\", \"hours\", or \"days\" with \"when\" or \"cron\" options.",
        );
    }
    if has("when") && has("cron") {
        return refuse("Unable to use \"when\" and \"cron\" options together.  Ignoring.");
    }
    if given.get("job_args").is_some_and(|args| args.as_list().is_none()) {
        return refuse("job_args is not a list. please correct and try again.");
    }
    if given.get("job_kwargs").is_some_and(|kwargs| kwargs.as_map().is_none()) {
        return refuse("job_kwargs is not a dict. please correct and try again.");
    }
    let whens = match given.get("when") {
        Some(Value::List(several)) => several.clone(),
        one => one.cloned().into_iter().collect(),
    };
    if let Some(wrong) = whens.iter().find(|when| Moment::parse(&when.to_string()).is_none()) {
        return refuse(&format!("Schedule item {wrong} for \"when\" in invalid."));
    }
    let mut entry = Map::new();
    for (from, to) in KEYWORDS {
        if let Some(value) = given.get(from) {
            entry.insert(*to, value.clone());
        }
    }
    for (key, default) in [
        ("maxrunning", Value::Int(1)),
        ("name", name.into()),
        ("enabled", true.into()),
        ("jid_include", true.into()),
    ] {
        entry.entry_or_insert(key, default);
    }
    Ok(entry)
}

pub(super) fn add(name: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    if call.services.schedule.entries().contains_key(name) {
        return Ok(told(format!("Job {name} already exists in schedule."), &[], false));
    }
    if !args.keywords.contains_key("function") {
        return Err(ModuleError::Exception { class: "KeyError", message: "'function'".to_owned() });
    }
    let entry = match build(name, &args.keywords) {
        Ok(entry) => entry,
        Err(refusal) => return Ok(refusal),
    };
    if args.keyword("test").is_some_and(Value::is_truthy) {
        return Ok(told(format!("Job: {name} would be added to schedule."), &[], true));
    }
    if let Err(error) = call.services.schedule.set(name, entry) {
        return Ok(told(format!("Failed to add job {name} to schedule: {error}."), &[], false));
    }
    persist(args, call)?;
    Ok(told(format!("Added job: {name} to schedule."), &[(name, "added")], true))
}

pub(super) fn modify(name: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let Some(held) = current(None, call).remove(name) else {
        return Ok(told(format!("Job {name} does not exist in schedule."), &[], false));
    };
    let mut given = args.keywords.clone();
    given.entry_or_insert("function", held.get("function").cloned().unwrap_or_default());
    let entry = match build(name, &given) {
        Ok(entry) => entry,
        Err(refusal) => return Ok(refusal),
    };
    let new = Value::from(shown(&entry));
    if new == held {
        return Ok(told(format!("Job {name} in correct state"), &[], true));
    }
    let change: Map = [("old", held), ("new", new)].into_iter().collect();
    let changes: Map = [(name, change)].into_iter().collect();
    let answer = |comment: String, result: bool| {
        let parts =
            [("comment", Value::from(comment)), ("changes", changes.into()), ("result", result.into())];
        Value::from(parts.into_iter().collect::<Map>())
    };
    if args.keyword("test").is_some_and(Value::is_truthy) {
        return Ok(answer(format!("Job: {name} would be modified in schedule."), true));
    }
    if let Err(error) = call.services.schedule.set(name, entry) {
        return Ok(told(format!("Failed to modify job {name} in schedule: {error}."), &[], false));
    }
    persist(args, call)?;
    Ok(answer(format!("Modified job: {name} in schedule."), true))
}

/// `postpone_job` and `skip_job`: times that the entry keeps beside its trigger.
pub(super) fn explicit(
    fun: &str,
    name: &str,
    args: &Arguments,
    call: &CallContext,
) -> Result<Value, ModuleError> {
    let form = args.keyword("time_fmt").filter(|form| form.is_truthy()).map(ToString::to_string);
    let time_fmt = form.clone().unwrap_or_else(|| super::TIME_FORMAT.to_owned());
    let mut times = vec![("skip_explicit", "current_time")];
    if fun == "postpone_job" {
        times.push(("run_explicit", "new_time"));
    }
    let Some((mut entry, _)) = call.services.schedule.entries().remove(name) else {
        return Ok(said(format!("Job {name} does not exist."), false));
    };
    for (list, argument) in times {
        let time = args.text(argument)?;
        if written(&time, form.as_deref()).is_none() {
            return Ok(said("Date string could not be parsed.", false));
        }
        let mut kept = entry.get(list).and_then(Value::as_list).unwrap_or_default().to_vec();
        let one: Map = [("time", time), ("time_fmt", time_fmt.clone())].into_iter().collect();
        kept.push(one.into());
        entry.insert(list, kept);
    }
    if let Err(error) = call.services.schedule.set(name, entry) {
        return Ok(said(error.to_string(), false));
    }
    let done = if fun == "postpone_job" { "Postponed Job" } else { "Added Skip Job" };
    Ok(said(format!("{done} {name} in schedule."), true))
}

/// The keyword arguments that an entry takes, and its own names for them, in Salt's order.
const KEYWORDS: &[(&str, &str)] = &[
    ("function", "function"),
    ("seconds", "seconds"),
    ("minutes", "minutes"),
    ("hours", "hours"),
    ("days", "days"),
    ("return_job", "return_job"),
    ("metadata", "metadata"),
    ("job_args", "args"),
    ("job_kwargs", "kwargs"),
    ("maxrunning", "maxrunning"),
    ("name", "name"),
    ("enabled", "enabled"),
    ("jid_include", "jid_include"),
    ("splay", "splay"),
    ("jitter", "jitter"),
    ("range", "range"),
    ("when", "when"),
    ("once", "once"),
    ("once_fmt", "once_fmt"),
    ("cron", "cron"),
    ("returner", "returner"),
    ("after", "after"),
    ("return_config", "return_config"),
    ("return_kwargs", "return_kwargs"),
    ("until", "until"),
    ("run_on_start", "run_on_start"),
    ("skip_during_range", "skip_during_range"),
    ("run_after_skip_range", "run_after_skip_range"),
];
