//! What the integration tests run against: a tree of files in memory, Salt's `test` state module, and a driver that
//! does what a run asks for.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveTime;
use states::{
    Answer, Call, FileError, Files, FunctionError, Functions, LowState, Map, ParallelStep, Question,
    RenderContext, Run, RunOptions, Series, Sources, StateFunctions, StateReturn, Step, Timing, Value,
};

/// Files of the saltenv `base`.
pub struct Tree(pub BTreeMap<String, String>);

impl Files for Tree {
    fn read(&self, saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        let text = self.0.get(path).filter(|_| saltenv == "base");
        Ok(text.map(|text| text.as_bytes().to_vec()))
    }
    fn list(&self, saltenv: &str) -> Result<Vec<String>, FileError> {
        Ok(if saltenv == "base" { self.0.keys().cloned().collect() } else { Vec::new() })
    }
    fn envs(&self) -> Result<Vec<String>, FileError> {
        Ok(vec!["base".to_owned()])
    }
}

/// The execution modules the cases call.
pub struct Modules;

impl Functions for Modules {
    fn call(&self, fun: &str, args: Vec<Value>, _kwargs: Map) -> Result<Value, FunctionError> {
        match fun {
            "test.true" => Ok(Value::Bool(true)),
            "test.false" => Ok(Value::Bool(false)),
            "test.echo" => Ok(args.into_iter().next().unwrap_or_default()),
            other => Err(FunctionError::NotFound(other.to_owned())),
        }
    }
    fn exists(&self, fun: &str) -> bool {
        matches!(fun, "test.true" | "test.false" | "test.echo")
    }
}

/// Salt's `test` state module, of which the cases use these functions.
pub struct TestModule;

impl StateFunctions for TestModule {
    fn exists(&self, full_name: &str) -> bool {
        matches!(
            full_name.strip_prefix("test."),
            Some(
                "nop"
                    | "succeed_without_changes"
                    | "succeed_with_changes"
                    | "fail_without_changes"
                    | "fail_with_changes"
                    | "configurable_test_state"
                    | "mod_watch"
            )
        )
    }
}

pub fn sources(files: BTreeMap<String, String>) -> Sources {
    Sources {
        files: Arc::new(Tree(files)),
        functions: Arc::new(Modules),
        states: Arc::new(TestModule),
        matcher: Arc::new(|target, kind| match kind {
            "grain" => target.as_str() == Some("role:web"),
            _ => matches!(target.as_str(), Some("*" | "m1")),
        }),
    }
}

pub fn context(series: Series, pillar: Value) -> RenderContext {
    RenderContext {
        grains: states::yaml::load("{id: m1, role: web}").unwrap(),
        pillar,
        opts: states::yaml::load("{id: m1}").unwrap(),
        saltenv: None,
        series,
        seed: 1,
    }
}

/// Runs a low state to its end.
pub fn run(low: LowState, options: RunOptions) -> Map {
    let mut run = Run::new(low, Arc::new(TestModule), options);
    let now = NaiveTime::from_hms_micro_opt(10, 11, 12, 131_415).unwrap();
    loop {
        match run.next(now) {
            Step::Call(call) => {
                run.record(call_state(&call), Timing { start: now, duration: Duration::from_micros(250) });
            }
            Step::Ask(question) => run.answer(answer(question)),
            Step::Pause(_) => {}
            Step::Start(mut parallel) => {
                let timing = Timing { start: now, duration: Duration::from_micros(250) };
                while parallel.record(call_state(parallel.call()), timing) != ParallelStep::Over {}
                run.ended(parallel);
            }
            Step::Wait => panic!("what was started is over"),
            Step::Done(returns) => return returns,
        }
    }
}

fn answer(question: Question) -> Answer {
    match question {
        Question::Command { command, .. } => Answer::Exit(i64::from(command != "true")),
        Question::Function { fun, args, kwargs } => match Modules.call(&fun, args, kwargs) {
            Ok(value) => Answer::Value(value),
            Err(error) => Answer::Refused(error.to_string()),
        },
        Question::Path(path) => Answer::Exists(path == "/"),
    }
}

fn call_state(call: &Call) -> StateReturn {
    let args = &call.chunk.args;
    let comment = |default: &str| args.get("comment").map_or_else(|| default.to_owned(), Value::to_string);
    match (call.fun.as_str(), call.test) {
        ("nop", _) => StateReturn::ok("Success!"),
        ("succeed_without_changes", _) => StateReturn::ok(comment("Success!")),
        ("fail_without_changes", false) => StateReturn::failed(comment("Failure!")),
        ("fail_without_changes", true) => {
            StateReturn::failed("If we weren't testing, this would be a failure!")
        }
        ("succeed_with_changes", false) => StateReturn::changed(comment("Success!"), pretended()),
        ("succeed_with_changes", true) => StateReturn::would_change(
            "If we weren't testing, this would be successful with changes",
            pretended(),
        ),
        ("fail_with_changes", false) => {
            StateReturn { result: Some(false), ..StateReturn::changed(comment("Failure!"), pretended()) }
        }
        ("fail_with_changes", true) => {
            StateReturn::would_change("If we weren't testing, this would be failed with changes", pretended())
        }
        ("configurable_test_state", test) => configurable(args, test),
        ("mod_watch", _) => mod_watch(args),
        (other, _) => panic!("the run called test.{other}, which does not exist"),
    }
}

fn configurable(args: &Map, test: bool) -> StateReturn {
    let is_set = |name: &str| args.get(name).and_then(Value::as_bool).unwrap_or(true);
    let comment = args.get("comment").map(Value::to_string).unwrap_or_default();
    let changes = if is_set("changes") { pretended() } else { Map::new() };
    let mut ret = StateReturn::changed(comment.clone(), changes);
    ret.result = Some(is_set("result"));
    if test {
        ret.result = if is_set("changes") { None } else { Some(true) };
        ret.comment = if comment.is_empty() { "This is a test".to_owned() } else { comment };
    }
    ret
}

fn mod_watch(args: &Map) -> StateReturn {
    let changed = args.get("__reqs__").cloned().unwrap_or_else(|| Value::List(Vec::new()));
    let comment = args.get("comment").map_or_else(|| "Watch statement fired.".to_owned(), Value::to_string);
    StateReturn::changed(comment, Map::from_iter([("Requisites with changes", changed)]))
}

fn pretended() -> Map {
    let change = Map::from_iter([("old", "Unchanged"), ("new", "Something pretended to change")]);
    Map::from_iter([("testing", change)])
}
