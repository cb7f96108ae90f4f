//! Salt's `module` state module: execution module functions as states, in the new style and the old.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    modules::{ModuleError, Signature},
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct ModuleState;

impl StateModule for ModuleState {
    fn name(&self) -> &'static str {
        "module"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["mod_watch", "run", "wait"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            match fun {
                // Only a watch that fires calls it.
                "wait" => StateReturn::ok(""),
                _ => called(args, run).await,
            }
        })
    }
}

async fn called(args: &StateArgs, run: &StateContext) -> StateReturn {
    let own = |key: &&Value| !matches!(key.as_str(), Some("name" | "__reqs__" | "sfun"));
    let keys: Vec<String> = args.args.keys().filter(own).map(ToString::to_string).collect();
    if keys.is_empty() || keys.iter().any(|key| !key.contains('.')) {
        return old_style(args, run).await;
    }
    new_style(&keys, args, run).await
}

async fn new_style(keys: &[String], args: &StateArgs, run: &StateContext) -> StateReturn {
    // Salt's name of the state is the list of its arguments.
    let name = args.args.keys().filter(|key| key.as_str() != Some("name")).cloned().collect::<Vec<_>>();
    let functions = keys.iter().map(|key| key.split(':').next().unwrap_or_default());
    let (known, missing): (Vec<&str>, Vec<&str>) = functions.partition(|fun| run.offers(fun));
    let mut ret = if !missing.is_empty() || run.mode == RunMode::Test {
        let mut parts = Vec::new();
        // Salt's plural of these words is "True".
        let plural = |names: &[&str]| if names.len() > 1 { "True" } else { "" };
        if !missing.is_empty() {
            parts.push(format!("Unavailable function{}: {}.", plural(&missing), missing.join(", ")));
        }
        if run.mode == RunMode::Test && !known.is_empty() {
            parts.push(format!("Function{} {} to be executed.", plural(&known), known.join(", ")));
        }
        let result = if missing.is_empty() { None } else { Some(false) };
        StateReturn { result, ..StateReturn::ok(parts.join(" ")) }
    } else {
        all(keys, args, run).await
    };
    ret.extra.insert("name", name);
    ret
}

async fn all(keys: &[String], args: &StateArgs, run: &StateContext) -> StateReturn {
    let (mut failures, mut successes, mut changes) = (Vec::new(), Vec::new(), Map::new());
    for key in keys {
        let fun = key.split(':').next().unwrap_or_default();
        let (positional, keywords) = arguments(args.args.get(key));
        if let Some(missing) = missing(fun, positional.len(), &keywords, run) {
            failures.push(format!("'{key}' failed: Missing arguments: {}", missing.join(", ")));
            continue;
        }
        match run.execute(fun, positional, keywords).await {
            Ok(value) if worked(&value) => {
                let shown = match &value {
                    Value::Map(map) => {
                        map.get("comment").map_or_else(|| "Success".to_owned(), Value::to_string)
                    }
                    other => other.to_string(),
                };
                successes.push(format!("{key}: {shown}"));
                changes.insert(key.as_str(), value);
            }
            Ok(Value::Map(map)) => {
                // A write says why it did not land as its reason.
                let said = map.get("comment").or_else(|| map.get("reason"));
                let said = said.map_or_else(|| "(error message N/A)".to_owned(), Value::to_string);
                failures.push(format!("'{key}' failed: {said}"));
            }
            Ok(value) => failures.push(format!("'{key}': {value}")),
            Err(error) => failures.push(format!("'{key}' failed: {error}")),
        }
    }
    let result = failures.is_empty();
    let comment = failures.into_iter().chain(successes).collect::<Vec<_>>().join(", ");
    StateReturn { result: Some(result), ..StateReturn::changed(comment, changes) }
}

/// The parameters without a default that a call leaves out.
fn missing(fun: &str, positional: usize, keywords: &Map, run: &StateContext) -> Option<Vec<String>> {
    let (_, spec) = run.services.modules.find(fun)?;
    let needed = Signature::parse(spec.signature).params.into_iter().skip(positional);
    let missing: Vec<String> = needed
        .filter(|param| param.default.is_none() && !keywords.contains_key(param.name))
        .map(|param| param.name.to_string())
        .collect();
    (!missing.is_empty()).then_some(missing)
}

/// A list's plain items are positional, its single maps keywords.
fn arguments(given: Option<&Value>) -> (Vec<Value>, Map) {
    let (mut positional, mut keywords) = (Vec::new(), Map::new());
    match given {
        None | Some(Value::Nil) => {}
        Some(Value::Map(map)) => keywords.extend(map.clone()),
        Some(Value::List(items)) => {
            for item in items {
                match item {
                    Value::Map(map) => keywords.extend(map.clone()),
                    plain => positional.push(plain.clone()),
                }
            }
        }
        Some(one) => positional.push(one.clone()),
    }
    (positional, keywords)
}

/// Whether Salt takes a function's return for a success.
fn worked(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Map(map) => map.iter().all(|(key, value)| match (key.as_str(), value) {
            (Some("result"), Value::Bool(false)) => false,
            (Some("retcode"), code) => code.as_int() == Some(0) || *code == Value::Bool(false),
            (_, inner @ Value::Map(_)) => worked(inner),
            (_, _) => true,
        }),
        _ => true,
    }
}

/// `module.run: - name: test.echo - text: x`.
async fn old_style(args: &StateArgs, run: &StateContext) -> StateReturn {
    let fun = &args.name;
    let Some((_, spec)) = run.services.modules.find(fun) else {
        return StateReturn::failed(format!("Module function {fun} is not available"));
    };
    if run.mode == RunMode::Test {
        return StateReturn::would_change(format!("Module function {fun} is set to execute"), Map::new());
    }
    let signature = Signature::parse(spec.signature);
    let (mut positional, mut missing) = (Vec::new(), Vec::new());
    for param in &signature.params {
        // The state's own words are taken, so these parameters have others.
        let said = match param.name {
            "name" | "fun" | "names" | "state" | "saltenv" => format!("m_{}", param.name),
            plain => plain.to_owned(),
        };
        match args.args.get(&said).cloned().or_else(|| param.default.clone()) {
            Some(value) => positional.push(value),
            None => missing.push(said),
        }
    }
    if !missing.is_empty() {
        return StateReturn::failed(format!("The following arguments are missing: {}", missing.join(" ")));
    }
    if let Some(rest) = signature.varargs.and_then(|name| args.args.get(name)) {
        match rest {
            Value::List(items) => positional.extend(items.iter().cloned()),
            _ => {
                return StateReturn::failed(format!(
                    "'{}' must be a list.",
                    signature.varargs.unwrap_or_default()
                ));
            }
        }
    }
    let keywords = match signature.keywords.and_then(|name| args.args.get(name)) {
        None => Map::new(),
        Some(Value::Map(map)) => map.clone(),
        Some(_) => {
            return StateReturn::failed(format!(
                "'{}' must be a dict.",
                signature.keywords.unwrap_or_default()
            ));
        }
    };
    ended(fun, run.execute(fun, positional, keywords).await)
}

fn ended(fun: &str, done: Result<Value, ModuleError>) -> StateReturn {
    match done {
        Ok(value) => {
            let result = worked(&value);
            let changes = [("ret", value)].into_iter().collect();
            let comment = format!("Module function {fun} executed");
            StateReturn { result: Some(result), ..StateReturn::changed(comment, changes) }
        }
        Err(error) => {
            StateReturn::failed(format!("Module function {fun} threw an exception. Exception: {error}"))
        }
    }
}
