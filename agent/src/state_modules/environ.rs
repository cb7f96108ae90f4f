//! Salt's `environ` state module: variables that commands of this agent see.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    environment,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct Environ;

impl StateModule for Environ {
    fn name(&self) -> &'static str {
        "environ"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["setenv"]
    }

    fn call<'a>(
        &'a self,
        _fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(std::future::ready(setenv(args, run).unwrap_or_else(StateReturn::failed)))
    }
}

fn setenv(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let wanted: Map = match args.args.get("value") {
        Some(Value::Map(wanted)) => wanted.clone(),
        Some(value @ (Value::Str(_) | Value::Bool(false))) => {
            [(args.name.as_str(), value.clone())].into_iter().collect()
        }
        _ => return Err("Environ value must be string, dict or False".to_owned()),
    };
    let unsets = args.args.get("false_unsets") == Some(&Value::Bool(true));
    let clear_all = args.args.get("clear_all") == Some(&Value::Bool(true));
    let changes = differing(&wanted, unsets, clear_all);
    let dry = run.mode == RunMode::Test;
    Ok(match (changes.is_empty(), dry) {
        (false, true) => StateReturn::changed("Environ values will be changed", changes),
        (true, true) => StateReturn::ok("Environ values are already set with the correct values"),
        (true, false) => StateReturn::ok("Environ values were already set with the correct values"),
        (false, false) => {
            apply(&wanted, unsets);
            if clear_all {
                apply(&changes, unsets);
            }
            if let Some(permanent) = args.given("permanent") {
                environment::keep(&wanted, unsets, permanent, &run.services.config)?;
            }
            StateReturn::changed("Environ values were set", set_values(&wanted, &changes, unsets))
        }
    })
}

fn differing(wanted: &Map, unsets: bool, clear_all: bool) -> Map {
    let empty = || if unsets { Value::Nil } else { "".into() };
    let mut changes = Map::new();
    if clear_all {
        let others = environment::all().into_keys().filter(|name| !wanted.contains_key(name));
        others.for_each(|name| drop(changes.insert(name, empty())));
    }
    for (name, value) in wanted {
        let held = environment::get(&name.to_string());
        match (value, held) {
            (Value::Bool(false), None) if unsets => {}
            (Value::Bool(false), Some(held)) if !unsets && held.is_empty() => {}
            (Value::Bool(false), _) => drop(changes.insert(name.clone(), empty())),
            (value, held) if held.as_deref().unwrap_or_default() == value.to_string() => {}
            (value, _) => drop(changes.insert(name.clone(), value.clone())),
        }
    }
    changes
}

fn apply(values: &Map, unsets: bool) {
    for (name, value) in values {
        match value {
            Value::Bool(false) | Value::Nil if unsets => environment::set(&name.to_string(), None),
            Value::Bool(false) | Value::Nil => environment::set(&name.to_string(), Some("")),
            value => environment::set(&name.to_string(), Some(&value.to_string())),
        }
    }
}

/// What `environ.setenv` tells: every wanted variable as it is set, and what was cleared.
fn set_values(wanted: &Map, changes: &Map, unsets: bool) -> Map {
    let mut set = Map::new();
    for (name, value) in wanted {
        match value {
            Value::Bool(false) if unsets => drop(set.insert(name.clone(), Value::Nil)),
            Value::Bool(false) => drop(set.insert(name.clone(), "")),
            value => drop(set.insert(name.clone(), value.clone())),
        }
    }
    for (name, value) in changes {
        set.entry_or_insert(name.clone(), value.clone());
    }
    set
}
