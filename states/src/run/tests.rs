use std::collections::VecDeque;

use super::*;
use crate::compile::alone;
use crate::{Order, RequisiteKind};

/// Knows every function of `test`.
struct TestOnly;

impl StateFunctions for TestOnly {
    fn exists(&self, full_name: &str) -> bool {
        full_name.starts_with("test.")
    }
}

fn chunk(keywords: &[(&str, Value)]) -> LowChunk {
    LowChunk {
        state: "test".to_owned(),
        fun: "nop".to_owned(),
        name: "x".to_owned(),
        id: "x".to_owned(),
        sls: "a".to_owned(),
        env: "base".to_owned(),
        order: Order(1.0),
        args: Map::new(),
        requisites: Vec::new(),
        keywords: keywords.iter().map(|(key, value)| (*key, value.clone())).collect(),
    }
}

fn now() -> NaiveTime {
    NaiveTime::from_hms_micro_opt(1, 2, 3, 4).unwrap()
}

fn run_of(chunk: LowChunk) -> Run {
    Run::new(alone(chunk), Arc::new(TestOnly), RunOptions::default())
}

fn only_return(step: Step) -> Map {
    let Step::Done(returns) = step else { panic!("not over: {step:?}") };
    assert_eq!(returns.len(), 1);
    returns.values().next().and_then(Value::as_map).cloned().unwrap()
}

#[test]
fn stamps_a_return_as_salt_does() {
    let mut run = run_of(chunk(&[]));
    assert!(matches!(run.next(now()), Step::Call(_)));
    assert!(run.take_finished().is_empty());
    run.record(StateReturn::ok("Success!"), Timing { start: now(), duration: Duration::from_micros(1500) });
    let ret = only_return(run.next(now()));
    for (key, value) in [
        ("result", Value::Bool(true)),
        ("comment", Value::from("Success!")),
        ("name", Value::from("x")),
        ("__id__", Value::from("x")),
        ("__sls__", Value::from("a")),
        ("__run_num__", Value::Int(0)),
        ("start_time", Value::from("01:02:03.000004")),
        ("duration", Value::Float(1.5)),
    ] {
        assert_eq!(ret.get(key), Some(&value), "{key}");
    }
    let finished = run.take_finished();
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].tag, "test_|-x_|-x_|-nop");
    assert!(run.take_finished().is_empty());
}

#[test]
fn a_refused_guard_fails_the_state_with_the_reason() {
    let mut run = run_of(chunk(&[("onlyif", Value::from("true"))]));
    assert!(matches!(run.next(now()), Step::Ask(Question::Command { .. })));
    run.answer(Answer::Refused("policy forbids commands".to_owned()));
    let ret = only_return(run.next(now()));
    assert_eq!(ret.get("result"), Some(&Value::Bool(false)));
    assert_eq!(ret.get("comment"), Some(&Value::from("policy forbids commands")));
}

#[test]
fn a_guard_can_ask_for_a_part_of_what_a_function_returns() {
    let call = Map::from_iter([("fun", "x.y"), ("get_return", "a:b")]);
    let mut run = run_of(chunk(&[("unless", Value::List(vec![Value::Map(call)]))]));
    let Step::Ask(Question::Function { fun, kwargs, .. }) = run.next(now()) else { panic!("no question") };
    assert_eq!((fun.as_str(), kwargs.len()), ("x.y", 0));
    let inner = Map::from_iter([("b", true)]);
    run.answer(Answer::Value(Value::Map(Map::from_iter([("a", inner)]))));
    let ret = only_return(run.next(now()));
    assert_eq!(ret.get("comment"), Some(&Value::from("unless condition is true")));
}

#[test]
fn waits_between_attempts_and_tells_of_each() {
    let retry = Map::from_iter([("attempts", 3), ("interval", 7)]);
    let mut run = run_of(chunk(&[("retry", Value::Map(retry))]));
    let mut steps = VecDeque::new();
    let ret = loop {
        match run.next(now()) {
            Step::Call(_) => {
                steps.push_back("call".to_owned());
                run.record(StateReturn::failed("no"), Timing { start: now(), duration: Duration::ZERO });
            }
            Step::Pause(wait) => steps.push_back(format!("wait {}", wait.as_secs())),
            step @ (Step::Ask(_) | Step::Start(_) | Step::Wait) => panic!("{step:?}"),
            done @ Step::Done(_) => break only_return(done),
        }
    };
    assert_eq!(steps, ["call", "wait 7", "call", "wait 7", "call"]);
    assert_eq!(ret.get("__run_num__"), Some(&Value::Int(2)));
    assert!(ret.get("comment").unwrap().to_string().starts_with("Attempt 1: Returned a result of \"False\""));
}

#[test]
fn an_answer_out_of_turn_changes_nothing() {
    let mut run = run_of(chunk(&[]));
    run.answer(Answer::Exit(1));
    run.record(StateReturn::failed("early"), Timing { start: now(), duration: Duration::ZERO });
    assert!(matches!(run.next(now()), Step::Call(_)));
}

#[test]
fn nothing_to_run_is_said_as_salt_says_it() {
    let low = LowState { nothing: Some("No states found for this minion".to_owned()), ..LowState::default() };
    let mut run = Run::new(low, Arc::new(TestOnly), RunOptions::default());
    let Step::Done(returns) = run.next(now()) else { panic!("not over") };
    let ret = returns.get("no_|-states_|-states_|-None").unwrap();
    assert_eq!(ret.get("name"), Some(&Value::from("No States")));
    assert_eq!(RequisiteKind::from_name("require"), Some(RequisiteKind::Require));
}

fn quick() -> Timing {
    Timing { start: now(), duration: Duration::from_millis(1) }
}

fn low_of(sls: &str) -> LowState {
    struct One(String);
    impl crate::Files for One {
        fn read(&self, _saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, crate::FileError> {
            Ok((path == "a.sls").then(|| self.0.clone().into_bytes()))
        }
        fn list(&self, _saltenv: &str) -> Result<Vec<String>, crate::FileError> {
            Ok(vec!["a.sls".to_owned()])
        }
        fn envs(&self) -> Result<Vec<String>, crate::FileError> {
            Ok(vec!["base".to_owned()])
        }
    }
    struct Nothing;
    impl crate::Functions for Nothing {
        fn call(&self, fun: &str, _args: Vec<Value>, _kwargs: Map) -> Result<Value, crate::FunctionError> {
            Err(crate::FunctionError::NotFound(fun.to_owned()))
        }
        fn exists(&self, _fun: &str) -> bool {
            false
        }
    }
    let sources = crate::Sources {
        files: Arc::new(One(sls.to_owned())),
        functions: Arc::new(Nothing),
        states: Arc::new(TestOnly),
        matcher: Arc::new(|_, _| false),
    };
    let request = crate::Request::Sls { mods: vec!["a".to_owned()], exclude: Vec::new() };
    crate::compile(&request, &sources, &crate::RenderContext::default()).unwrap()
}

/// What a step asks for, by the ID it is about.
fn asked(step: &Step) -> String {
    match step {
        Step::Call(call) => format!("call {}", call.chunk.id),
        Step::Start(parallel) => format!("start {}", parallel.call().chunk.id),
        Step::Wait => "wait".to_owned(),
        Step::Ask(_) | Step::Pause(_) | Step::Done(_) => format!("{step:?}"),
    }
}

const BESIDE: &str = "a:\n  test.nop:\n    - parallel: true\nb:\n  test.nop:\n    - parallel: true\n    - require: [{test: a}]\n\
                      c:\n  test.nop: []\nd:\n  test.nop:\n    - require: [{test: a}]\n";

#[test]
fn a_parallel_state_is_waited_for_by_what_requires_it() {
    let mut run = Run::new(low_of(BESIDE), Arc::new(TestOnly), RunOptions::default());
    let Step::Start(mut a) = run.next(now()) else { panic!("a is not started") };
    // b is parallel as well and would have to wait: it is put off.
    assert_eq!(asked(&run.next(now())), "call c");
    run.record(StateReturn::ok(""), quick());
    assert_eq!(asked(&run.next(now())), "wait");
    assert_eq!(a.record(StateReturn::ok("a ran"), quick()), ParallelStep::Over);
    run.ended(a);
    let next = run.next(now());
    assert_eq!(asked(&next), "call d");
    run.record(StateReturn::ok(""), quick());
    let Step::Start(mut b) = run.next(now()) else { panic!("b is not started") };
    assert_eq!(asked(&run.next(now())), "wait");
    b.record(StateReturn::ok("b ran"), quick());
    run.ended(b);
    let Step::Done(returns) = run.next(now()) else { panic!("not over") };
    let of =
        |id: &str, key: &str| returns.get(&format!("test_|-{id}_|-{id}_|-nop")).unwrap().get(key).cloned();
    assert_eq!(of("a", "comment"), Some("a ran".into()));
    assert_eq!(of("a", "__parallel__"), Some(true.into()));
    assert_eq!(of("b", "comment"), Some("b ran".into()));
    assert_eq!(of("c", "__parallel__"), None);
}

#[test]
fn salt_3006_waits_where_3008_puts_off() {
    let options = RunOptions { series: Series::V3006, ..RunOptions::default() };
    let mut run = Run::new(low_of(BESIDE), Arc::new(TestOnly), options);
    assert_eq!(asked(&run.next(now())), "start a");
    assert_eq!(asked(&run.next(now())), "wait");
}

#[test]
fn a_parallel_state_that_is_lost_fails() {
    let mut run = Run::new(
        low_of("a:\n  test.nop:\n    - parallel: true\n"),
        Arc::new(TestOnly),
        RunOptions::default(),
    );
    let Step::Start(a) = run.next(now()) else { panic!("a is not started") };
    assert_eq!(run.next(now()), Step::Wait);
    run.lost(a.chunk());
    let ret = only_return(run.next(now()));
    assert_eq!(ret.get("result"), Some(&Value::Bool(false)));
}

#[test]
fn a_parallel_state_is_retried_beside_the_run() {
    let sls = "a:\n  test.nop:\n    - parallel: true\n    - retry: {attempts: 3, interval: 5, splay: 2}\n";
    let options = RunOptions { seed: 7, ..RunOptions::default() };
    let mut run = Run::new(low_of(sls), Arc::new(TestOnly), options);
    let Step::Start(mut a) = run.next(now()) else { panic!("a is not started") };
    let ParallelStep::Call(pause) = a.record(StateReturn::failed("no"), quick()) else { panic!("no retry") };
    assert!((5..=7).contains(&pause.as_secs()), "{pause:?}");
    assert_eq!(a.record(StateReturn::ok("yes"), quick()), ParallelStep::Over);
    run.ended(a);
    let ret = only_return(run.next(now()));
    let said = "no\nAttempt 1: Returned a result of \"True\", with the following comment: \"yes\"";
    assert_eq!(ret.get("comment"), Some(&said.into()));
}
