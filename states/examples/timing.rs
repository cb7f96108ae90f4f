//! Prints how long compiling and running N chained `test.nop` states takes: `timing 100 1000 10000`.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveTime;
use states::{
    Answer, FileError, Files, FunctionError, Functions, Map, RenderContext, Request, Run, RunOptions,
    Sources, StateFunctions, StateReturn, Step, Timing, Value, compile,
};

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _saltenv: &str, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok((path == "a.sls").then(|| self.0.clone().into_bytes()))
    }
    fn list(&self, _saltenv: &str) -> Result<Vec<String>, FileError> {
        Ok(vec!["a.sls".to_owned()])
    }
    fn envs(&self) -> Result<Vec<String>, FileError> {
        Ok(vec!["base".to_owned()])
    }
}

struct Nothing;

impl Functions for Nothing {
    fn call(&self, fun: &str, _args: Vec<Value>, _kwargs: Map) -> Result<Value, FunctionError> {
        Err(FunctionError::NotFound(fun.to_owned()))
    }
    fn exists(&self, _fun: &str) -> bool {
        false
    }
}

impl StateFunctions for Nothing {
    fn exists(&self, full_name: &str) -> bool {
        full_name == "test.nop"
    }
}

fn main() {
    for arg in std::env::args().skip(1) {
        let count: usize = arg.parse().unwrap_or(100);
        let (compiled, ran) = measure(count);
        println!("{count} states: compiled in {compiled:?}, run in {ran:?}");
    }
}

fn measure(count: usize) -> (Duration, Duration) {
    let sources = Sources {
        files: Arc::new(OneFile(chain(count))),
        functions: Arc::new(Nothing),
        states: Arc::new(Nothing),
        matcher: Arc::new(|_, _| false),
    };
    let began = Instant::now();
    let request = Request::Sls { mods: vec!["a".to_owned()], exclude: Vec::new() };
    let low = compile(&request, &sources, &RenderContext::default()).unwrap_or_default();
    let compiled = began.elapsed();
    let began = Instant::now();
    let mut run = Run::new(low, Arc::new(Nothing), RunOptions::default());
    loop {
        match run.next(NaiveTime::MIN) {
            Step::Call(_) => run.record(
                StateReturn::ok("Success!"),
                Timing { start: NaiveTime::MIN, duration: Duration::ZERO },
            ),
            Step::Ask(_) => run.answer(Answer::Exit(0)),
            Step::Pause(_) | Step::Start(_) | Step::Wait => {
                unreachable!("the chain has no parallel state and no retry")
            }
            Step::Done(_) => return (compiled, began.elapsed()),
        }
    }
}

/// Every state requires the one before it.
fn chain(count: usize) -> String {
    let mut sls = String::from("s0:\n  test.nop\n");
    for number in 1..count {
        sls.push_str(&format!("s{number}:\n  test.nop:\n    - require:\n      - test: s{}\n", number - 1));
    }
    sls
}
