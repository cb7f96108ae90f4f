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
            Step::Ask(question) => panic!("{question:?}"),
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
