//! Salt's `test` state module: states that succeed, fail or change nothing real, for trying runs out.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    modules::lookup::{DELIMITER, traverse},
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct Test;

impl StateModule for Test {
    fn name(&self) -> &'static str {
        "test"
    }

    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(std::future::ready(answer(fun, args, run)))
    }
}

fn answer(fun: &str, args: &StateArgs, run: &StateContext) -> StateReturn {
    let dry = run.mode == RunMode::Test;
    let comment =
        |default: &str| args.args.get("comment").map_or_else(|| default.to_owned(), ToString::to_string);
    match fun {
        "nop" => StateReturn::ok("Success!"),
        "succeed_without_changes" => StateReturn::ok(comment("Success!")),
        "fail_without_changes" if dry => {
            StateReturn::failed("If we weren't testing, this would be a failure!")
        }
        "fail_without_changes" => StateReturn::failed(comment("Failure!")),
        "succeed_with_changes" if dry => StateReturn::would_change(
            "If we weren't testing, this would be successful with changes",
            pretended(),
        ),
        "succeed_with_changes" => StateReturn::changed(comment("Success!"), pretended()),
        "fail_with_changes" if dry => {
            StateReturn::would_change("If we weren't testing, this would be failed with changes", pretended())
        }
        "fail_with_changes" => {
            StateReturn { result: Some(false), ..StateReturn::changed(comment("Failure!"), pretended()) }
        }
        "configurable_test_state" => configurable(args, dry).unwrap_or_else(StateReturn::failed),
        "show_notification" => match args.args.get("text").filter(|text| text.is_truthy()) {
            Some(text) => StateReturn::ok(text.to_string()),
            None => StateReturn::failed(invocation("Missing required argument text.")),
        },
        "mod_watch" => mod_watch(args),
        "check_pillar" => check_pillar(args, &run.pillar).unwrap_or_else(StateReturn::failed),
        _ => StateReturn::failed(format!("State 'test.{fun}' was not found")),
    }
}

/// An exception as a state's comment shows it.
fn invocation(message: &str) -> String {
    format!("An exception occurred in this state: SaltInvocationError: {message}")
}

fn pretended() -> Map {
    let change: Map = [("old", "Unchanged"), ("new", "Something pretended to change")].into_iter().collect();
    [("testing", change)].into_iter().collect()
}

fn configurable(args: &StateArgs, dry: bool) -> Result<StateReturn, String> {
    let given = |key: &str| args.args.get(key);
    let random = |value: &Value| value.to_string().to_lowercase() == "random";
    let changes = match given("changes") {
        None | Some(Value::Bool(true)) => true,
        Some(Value::Bool(false)) => false,
        Some(value) if random(value) => rand::random(),
        Some(_) => return Err(invocation(&wrong_choice("changes"))),
    };
    let result = match given("result") {
        None | Some(Value::Bool(true)) => true,
        Some(Value::Bool(false)) => false,
        Some(value) if random(value) => rand::random(),
        Some(_) => return Err(invocation(&wrong_choice("result"))),
    };
    let warnings = match given("warnings") {
        None | Some(Value::Nil) => Vec::new(),
        Some(Value::Str(text)) => vec![text.clone()],
        Some(Value::List(texts)) => texts.iter().map(ToString::to_string).collect(),
        Some(_) => {
            let text = "You have specified the state option 'warnings' with invalid arguments. It must be a string or a list of strings";
            return Err(invocation(text));
        }
    };
    let mut comment = given("comment").map(ToString::to_string).unwrap_or_default();
    let mut result = Some(result);
    if dry {
        let failing = given("allow_test_mode_failure").is_some_and(Value::is_truthy) && result == Some(false);
        let still = given("changes") == Some(&Value::Bool(false));
        result = if failing { Some(false) } else { still.then_some(true) };
        if comment.is_empty() {
            "This is a test".clone_into(&mut comment);
        }
    }
    let changes = if changes { pretended() } else { Map::new() };
    Ok(StateReturn { result, warnings, ..StateReturn::changed(comment, changes) })
}

fn wrong_choice(option: &str) -> String {
    format!(
        "You have specified the state option '{option}' with invalid arguments. It must be either True, False, or 'Random'"
    )
}

/// What a fired watch returns; the runner names the requisites that changed in `__reqs__`.
fn mod_watch(args: &StateArgs) -> StateReturn {
    let changed = args.args.get("__reqs__").cloned().unwrap_or_else(|| Value::List(Vec::new()));
    let default: Map = [("Requisites with changes", changed)].into_iter().collect();
    let changes = args.args.get("changes").cloned().unwrap_or_else(|| default.into());
    let result = args.args.get("result").map_or(Some(true), Value::as_bool);
    let comment =
        args.args.get("comment").map_or_else(|| "Watch statement fired.".to_owned(), ToString::to_string);
    StateReturn { result, comment, changes, ..StateReturn::default() }
}

/// A kind that `check_pillar` can ask for: its argument, Python's class, and the test.
type Kind = (&'static str, &'static str, fn(&Value) -> bool);

fn check_pillar(args: &StateArgs, pillar: &Value) -> Result<StateReturn, String> {
    const KINDS: [Kind; 6] = [
        ("present", "", |_| true),
        ("boolean", "<class 'bool'>", |value| matches!(value, Value::Bool(_))),
        ("integer", "<class 'int'>", |value| matches!(value, Value::Int(_) | Value::Bool(_))),
        ("string", "(<class 'str'>,)", |value| matches!(value, Value::Str(_))),
        ("listing", "<class 'list'>", |value| matches!(value, Value::List(_))),
        ("dictionary", "<class 'dict'>", |value| matches!(value, Value::Map(_))),
    ];
    if !KINDS.iter().any(|(argument, ..)| args.args.get(argument).is_some_and(Value::is_truthy)) {
        return Err(invocation("Missing required argument text."));
    }
    let verbose = args.args.get("verbose").is_some_and(Value::is_truthy);
    let (mut comment, mut fine) = (String::new(), String::new());
    for (argument, class, fits) in KINDS {
        for key in listed(args.args.get(argument))? {
            match traverse(pillar, &key, DELIMITER).filter(|value| !value.is_nil()) {
                None => comment.push_str(&format!("Pillar key \"{key}\" is missing.\n")),
                Some(value) if !fits(value) => {
                    comment.push_str(&format!("Pillar key \"{key}\" is not {class}.\n"));
                }
                Some(_) => {
                    fine.push_str(&format!("- {key} ({})\n", if class.is_empty() { "None" } else { class }))
                }
            }
        }
    }
    let result = Some(comment.is_empty());
    if verbose && !fine.is_empty() {
        comment.push_str("Those keys passed the check:\n");
        comment.push_str(&fine);
    }
    Ok(StateReturn { result, ..StateReturn::ok(comment) })
}

fn listed(keys: Option<&Value>) -> Result<Vec<String>, String> {
    match keys {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::Str(key)) => Ok(vec![key.clone()]),
        Some(Value::List(keys)) => Ok(keys.iter().map(ToString::to_string).collect()),
        Some(_) => Err("An exception occurred in this state: TypeError".to_owned()),
    }
}

const FUNCTIONS: &[&str] = &[
    "check_pillar",
    "configurable_test_state",
    "fail_with_changes",
    "fail_without_changes",
    "mod_watch",
    "nop",
    "show_notification",
    "succeed_with_changes",
    "succeed_without_changes",
];
