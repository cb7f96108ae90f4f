//! One call of a chunk from its guards to its return: `onlyif` and its like, the state function, `mod_watch`,
//! `check_cmd`, `retry`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::time::Duration;

use chrono::NaiveTime;

use super::guards::{Checks, Guards};
use super::parallel::Parallel;
use super::{Answer, Call, RunOptions, StateFunctions, Step, returns};
use crate::compile::BAD_NAME;
use crate::{LowChunk, Map, StateReturn, Timing, Value};

/// A call in progress.
#[derive(Debug)]
pub(super) struct Execution {
    chunk: LowChunk,
    dry: bool,
    watch: bool,
    phase: Phase,
    guards: Guards,
    checks: Checks,
    /// Whether `mod_watch` is being called.
    mod_watch: bool,
    attempts: Vec<Attempt>,
    /// Attempts of the state itself, which the return of `mod_watch` does not tell of.
    made: i64,
    ret: Option<(Map, Option<Timing>)>,
    retry: Option<Retry>,
    test: bool,
    seed: u64,
    /// The watched states that changed.
    changed: Vec<String>,
}

/// An attempt that did not give the result that `retry` wants.
#[derive(Debug)]
struct Attempt {
    ret: Map,
    timing: Timing,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Verify,
    Guards,
    Calling,
    Checks,
    Judge,
    Over,
}

/// What came of a look at the call.
pub(super) enum Outcome {
    Step(Step),
    Start(Parallel),
    Over,
}

/// `retry` with Salt's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Retry {
    until: bool,
    attempts: i64,
    interval: i64,
    splay: i64,
}

impl Execution {
    pub(super) fn new(chunk: LowChunk, dry: bool, watch: bool) -> Execution {
        Execution {
            guards: Guards::of(&chunk),
            checks: Checks::of(&chunk),
            retry: Retry::of(&chunk),
            chunk,
            dry,
            watch,
            phase: Phase::Verify,
            mod_watch: false,
            attempts: Vec::new(),
            made: 0,
            ret: None,
            test: false,
            seed: 0,
            changed: Vec::new(),
        }
    }

    /// Names the watched states that changed, for `mod_watch`.
    pub(super) fn tell_changed(&mut self, changed: Vec<String>) {
        self.changed = changed;
    }

    /// Whether a change of a watched state caused the call.
    pub(super) fn watches(&self) -> bool {
        self.watch
    }

    pub(super) fn step(&mut self, functions: &dyn StateFunctions, options: &RunOptions) -> Outcome {
        (self.test, self.seed) = (options.test, options.seed);
        loop {
            match self.phase {
                Phase::Verify => self.verify(functions),
                Phase::Guards => match self.guards.question() {
                    Some(question) => return Outcome::Step(Step::Ask(question)),
                    None => self.close_guards(),
                },
                Phase::Calling if self.chunk.is_parallel() && !self.dry => {
                    return Outcome::Start(self.start(functions, options));
                }
                Phase::Calling => {
                    return Outcome::Step(Step::Call(Box::new(self.call(self.mod_watch, options))));
                }
                Phase::Checks => match self.checks.question() {
                    Some(question) => return Outcome::Step(Step::Ask(question)),
                    None => self.close_checks(),
                },
                Phase::Judge => {
                    if let Some(pause) = self.judge(options) {
                        return Outcome::Step(Step::Pause(pause));
                    }
                }
                Phase::Over => return Outcome::Over,
            }
        }
    }

    fn fun(&self) -> &str {
        if self.mod_watch { "mod_watch" } else { &self.chunk.fun }
    }

    /// Starts the call beside the run, and goes on with a return that says so.
    fn start(&mut self, functions: &dyn StateFunctions, options: &RunOptions) -> Parallel {
        let reacts = self.watch && functions.exists(&format!("{}.mod_watch", self.chunk.state));
        let watch = reacts.then(|| self.call(true, options));
        let parallel = Parallel::new(self.call(false, options), watch, self.retry.take(), options.seed);
        self.watch = false;
        let started = StateReturn { result: None, ..StateReturn::ok("Started in a separate process") };
        self.ret = Some((returns::of_function(started, &self.chunk), Some(NOT_CALLED)));
        self.phase = Phase::Checks;
        parallel
    }

    fn call(&self, mod_watch: bool, options: &RunOptions) -> Call {
        let mut chunk = self.chunk.clone();
        let fun = if mod_watch { "mod_watch" } else { &self.chunk.fun };
        if mod_watch {
            chunk.args.insert("sfun", self.chunk.fun.as_str());
            let changed = self.changed.iter().map(|name| Value::from(name.as_str())).collect();
            chunk.args.insert("__reqs__", Value::List(changed));
        }
        Call { fun: fun.to_owned(), chunk, test: options.test || self.dry }
    }

    fn verify(&mut self, functions: &dyn StateFunctions) {
        if let Some(name) = self.chunk.keywords.get(BAD_NAME).filter(|name| !name.is_nil()) {
            let (sls, kind) = (&self.chunk.sls, name.type_name());
            let comment = format!("ID '{name}' in SLS '{sls}' is not formed as a string, but is a {kind}\n");
            let mut ret = returns::of_function(StateReturn::failed(comment), &self.chunk);
            ret.insert("name", name.clone());
            self.ret = Some((ret, None));
            self.phase = Phase::Over;
            return;
        }
        let full = format!("{}.{}", self.chunk.state, self.fun());
        if functions.exists(&full) {
            let lacks = |name: &&&str| !self.chunk.args.contains_key(name) && !self.mod_watch;
            let missing: String = functions
                .required(&full)
                .iter()
                .filter(lacks)
                .map(|name| format!("Missing parameter {name} for state {full}\n"))
                .collect();
            if !missing.is_empty() {
                self.ret = Some((returns::of_function(StateReturn::failed(missing), &self.chunk), None));
                self.phase = Phase::Over;
                return;
            }
            // A module that checks by itself gets the commands as an argument.
            if functions.exists(&format!("{}.mod_run_check_cmd", self.chunk.state))
                && let Some(command) = self.chunk.keywords.get("check_cmd")
            {
                self.chunk.args.insert("check_cmd", command.clone());
                self.checks = Checks::default();
            }
            self.phase = Phase::Guards;
            return;
        }
        let comment = if self.chunk.sls.is_empty() {
            format!("Specified state '{full}' was not found\n")
        } else {
            let sls = &self.chunk.sls;
            format!("State '{full}' was not found in SLS '{sls}'\nReason: {}\n", functions.why_missing(&full))
        };
        let ret = StateReturn::failed(comment);
        self.ret = Some((returns::of_function(ret, &self.chunk), None));
        self.phase = Phase::Over;
    }

    fn close_guards(&mut self) {
        if let Some(reason) = self.guards.refusal() {
            let ret = returns::of_function(StateReturn::failed(reason), &self.chunk);
            self.ret = Some((ret, Some(NOT_CALLED)));
            self.phase = Phase::Over;
            return;
        }
        let Some(comment) = self.guards.verdict() else {
            self.phase = Phase::Calling;
            return;
        };
        let mut ret = returns::of_function(StateReturn::ok(comment), &self.chunk);
        ret.insert("skip_watch", true);
        self.ret = Some((ret, Some(NOT_CALLED)));
        self.phase = Phase::Checks;
    }

    pub(super) fn record(&mut self, ret: StateReturn, timing: Timing) {
        if self.phase == Phase::Calling {
            self.ret = Some((returns::of_function(ret, &self.chunk), Some(timing)));
            self.phase = Phase::Checks;
        }
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        match self.phase {
            Phase::Guards => self.guards.answer(&answer),
            Phase::Checks => self.checks.answer(&answer),
            Phase::Verify | Phase::Calling | Phase::Judge | Phase::Over => {}
        }
    }

    fn close_checks(&mut self) {
        if let Some((ret, _)) = &mut self.ret {
            self.checks.apply(ret);
        }
        self.phase = Phase::Judge;
    }

    /// Decides between the end, `mod_watch` and another attempt (after a pause).
    fn judge(&mut self, options: &RunOptions) -> Option<Duration> {
        self.phase = Phase::Over;
        let (ret, timing) = self.ret.as_ref()?;
        if let (Some(retry), Some(timing)) = (self.retry, *timing)
            && !self.dry
            && !options.test
            && !retry.is_content(ret)
            && u32::try_from(self.attempts.len()).is_ok_and(|made| made + 1 < retry.attempts())
        {
            let pause = retry.pause(self.seed.wrapping_add(self.attempts.len() as u64));
            self.attempts.push(Attempt { ret: ret.clone(), timing, pause });
            self.guards = Guards::of(&self.chunk);
            self.checks = Checks::of(&self.chunk);
            self.phase = Phase::Verify;
            return Some(pause);
        }
        let set = |name: &str| ret.get(name).is_some_and(Value::is_truthy);
        if self.watch && !self.mod_watch && !self.dry && !set("changes") && !set("skip_watch") {
            self.mod_watch = true;
            self.made = i64::try_from(self.attempts.len()).unwrap_or(0);
            self.attempts.clear();
            self.phase = Phase::Verify;
        }
        None
    }

    /// The return, stamped. Every attempt takes a run number.
    pub(super) fn into_return(self, run_num: &mut i64, now: NaiveTime) -> Map {
        let fallback = || (returns::of_function(StateReturn::failed(""), &self.chunk), None);
        let (mut ret, timing) = self.ret.clone().unwrap_or_else(fallback);
        if self.dry && timing.is_some() {
            return ret;
        }
        // `mod_watch` was a second call, which took a number of its own.
        *run_num += self.made + i64::from(self.mod_watch) + i64::try_from(self.attempts.len()).unwrap_or(0);
        let Some(mut timing) = timing else {
            ret.insert("__run_num__", *run_num);
            *run_num += 1;
            return ret;
        };
        if timing == NOT_CALLED {
            timing.start = now;
        }
        returns::stamp(&mut ret, &self.chunk, timing, *run_num);
        *run_num += 1;
        self.tell_attempts(&mut ret);
        if self.chunk.is_secret() {
            returns::mask(&mut ret);
        }
        ret
    }

    fn tell_attempts(&self, ret: &mut Map) {
        let Some(retry) = self.retry else { return };
        if self.test {
            let own = ret.get("comment").map(Value::to_string).unwrap_or_default();
            ret.insert("comment", retry.predicted(&own));
            return;
        }
        let mut duration = ret.get("duration").and_then(Value::as_float).unwrap_or_default();
        let mut lines = Vec::new();
        for (number, attempt) in (1..).zip(&self.attempts) {
            let field = |name: &str| attempt.ret.get(name).map(Value::to_string).unwrap_or_default();
            lines.push(format!(
                "Attempt {number}: Returned a result of \"{}\", with the following comment: \"{}\"",
                field("result"),
                field("comment")
            ));
            duration += returns::milliseconds(attempt.timing.duration + attempt.pause);
        }
        let Some(first) = self.attempts.first() else { return };
        lines.push(ret.get("comment").map(Value::to_string).unwrap_or_default());
        ret.insert("comment", lines.join("\n"));
        ret.insert("duration", duration);
        ret.insert("start_time", returns::clock(first.timing.start));
    }
}

impl Retry {
    fn of(chunk: &LowChunk) -> Option<Retry> {
        let defaults = Retry { until: true, attempts: 2, interval: 30, splay: 0 };
        match chunk.keywords.get("retry")? {
            Value::Bool(false) => Some(Retry { attempts: 0, ..defaults }),
            Value::Map(said) => Some(Retry {
                until: said.get("until").and_then(Value::as_bool).unwrap_or(defaults.until),
                attempts: said.get("attempts").and_then(Value::as_int).unwrap_or(defaults.attempts),
                interval: said.get("interval").and_then(Value::as_int).unwrap_or(defaults.interval),
                splay: said.get("splay").and_then(Value::as_int).unwrap_or(defaults.splay),
            }),
            _ => Some(defaults),
        }
    }

    /// The pause before another attempt: the interval, and up to the splay more, drawn by the seed.
    pub(super) fn pause(self, seed: u64) -> Duration {
        let whole = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
        let drawn = scatter(seed) % whole(self.splay).saturating_add(1);
        Duration::from_secs(whole(self.interval).saturating_add(drawn))
    }

    pub(super) fn attempts(self) -> u32 {
        u32::try_from(self.attempts.max(0)).unwrap_or(u32::MAX)
    }

    pub(super) fn is_content(self, ret: &Map) -> bool {
        ret.get("result") == Some(&Value::Bool(self.until))
    }

    /// What a prediction says of the attempts.
    pub(super) fn predicted(self, own: &str) -> String {
        let Retry { until, attempts, interval, splay } = self;
        let until = Value::Bool(until);
        format!(
            "{own}  The state would be retried every {interval} seconds (with a splay of up to {splay} seconds) a maximum \
             of {attempts} times or until a result of {until} is returned"
        )
    }
}

/// The finalizer of splitmix64: neighbouring seeds give unrelated numbers.
fn scatter(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Stands for the time of a state that its guards decided.
const NOT_CALLED: Timing = Timing { start: NaiveTime::MIN, duration: Duration::ZERO };
