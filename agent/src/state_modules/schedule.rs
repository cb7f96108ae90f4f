//! Salt's `schedule` state module: functions that this minion runs by itself.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    modules::ModuleError,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct Schedule;

impl StateModule for Schedule {
    fn name(&self) -> &'static str {
        "schedule"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["absent", "disabled", "enabled", "present"]
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
                "absent" => changed(args, run, &ABSENT).await,
                "enabled" => changed(args, run, &ENABLED).await,
                _ => changed(args, run, &DISABLED).await,
            };
            done.unwrap_or_else(|error| StateReturn::failed(error.to_string()))
        })
    }
}

/// The schedule by name, as `schedule.list` gives it.
async fn listed(run: &StateContext) -> Result<Map, ModuleError> {
    let kwargs = [("show_all", true), ("return_yaml", false)].into_iter().collect();
    Ok(run.execute("schedule.list", Vec::new(), kwargs).await?.as_map().cloned().unwrap_or_default())
}

/// Calls a function of the schedule with the state's arguments; what it said, what changed, whether it worked.
async fn call(
    fun: &str,
    args: &StateArgs,
    run: &StateContext,
    passed: &Map,
) -> Result<(String, Value, bool), ModuleError> {
    let mut kwargs = passed.clone();
    kwargs.insert("name", args.name.as_str());
    if run.mode == RunMode::Test {
        kwargs.insert("test", true);
    }
    let answer = run.execute(&format!("schedule.{fun}"), Vec::new(), kwargs).await?;
    let comment = answer.get("comment").map(ToString::to_string).unwrap_or_default();
    let changes = answer.get("changes").cloned().unwrap_or_else(|| Map::new().into());
    Ok((comment, changes, answer.get("result").is_none_or(Value::is_truthy)))
}

fn done(comment: String, changes: Value) -> StateReturn {
    StateReturn { changes, ..StateReturn::ok(comment) }
}

async fn present(args: &StateArgs, run: &StateContext) -> Result<StateReturn, ModuleError> {
    let (name, dry) = (&args.name, run.mode == RunMode::Test);
    let Some(held) = listed(run).await?.get(name).cloned() else {
        let (comment, changes, worked) = call("add", args, run, &args.args).await?;
        return Ok(match (dry, worked) {
            (true, _) => done(comment, [(name.as_str(), "added")].into_iter().collect::<Map>().into()),
            (false, false) => StateReturn::failed(comment),
            (false, true) => done(format!("Adding new job {name} to schedule"), changes),
        });
    };
    if is_same(&held, args) {
        return Ok(StateReturn::ok(format!("Job {name} in correct state")));
    }
    let (comment, changes, worked) = call("modify", args, run, &args.args).await?;
    Ok(match (dry, worked) {
        (true, _) => done(comment, changes),
        (false, false) => StateReturn::failed(comment),
        (false, true) => done(format!("Modifying job {name} in schedule"), changes),
    })
}

/// Whether the entry is what the arguments make of it.
fn is_same(held: &Value, args: &StateArgs) -> bool {
    let Some(held) = held.as_map() else { return false };
    let mut wanted = Map::new();
    for (key, value) in &args.args {
        let key = key.to_string();
        let key = match key.as_str() {
            "job_args" => "args",
            "job_kwargs" => "kwargs",
            "persist" | "offline" | "test" => continue,
            plain => plain,
        };
        wanted.insert(key, value.clone());
    }
    for (key, default) in [
        ("maxrunning", Value::Int(1)),
        ("name", args.name.as_str().into()),
        ("enabled", true.into()),
        ("jid_include", true.into()),
    ] {
        wanted.entry_or_insert(key, default);
    }
    *held == wanted
}

/// `absent`, `enabled` and `disabled`.
struct Change {
    fun: &'static str,
    done: &'static str,
    /// Whether the change is shown.
    shown: bool,
}

const ABSENT: Change = Change { fun: "delete", done: "Removed job", shown: true };
const ENABLED: Change = Change { fun: "enable_job", done: "Enabled job", shown: false };
const DISABLED: Change = Change { fun: "disable_job", done: "Disabled job", shown: false };

async fn changed(args: &StateArgs, run: &StateContext, change: &Change) -> Result<StateReturn, ModuleError> {
    let name = &args.name;
    if !listed(run).await?.contains_key(name) {
        return Ok(StateReturn::ok(format!("Job {name} not present in schedule")));
    }
    let (comment, changes, worked) = call(change.fun, args, run, &args.args).await?;
    Ok(match (run.mode == RunMode::Test, worked) {
        (true, _) => StateReturn::ok(comment),
        (false, false) => StateReturn::failed(comment),
        (false, true) => {
            let changes = if change.shown { changes } else { Map::new().into() };
            done(format!("{} {name} from schedule", change.done), changes)
        }
    })
}
