//! An ordered run as a state machine: it says what to call next, and is told what came of it.
//!
//! The caller asks [`Run::next`] for a step, does it (asynchronously if it likes), and hands the
//! outcome to `record` or `answer`. Requisites, `failhard`, retries and guards are decided here, as
//! Salt's requisite documentation (`doc/ref/states/requisites.rst`) and its minion do.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveTime;

use crate::low::{Dependency, Visit};
use crate::{LowChunk, LowState, Map, Series, StateReturn, Timing, Value};

mod execution;
mod guards;
mod listen;
mod parallel;
mod requisites;
mod returns;

use execution::{Execution, Outcome};
use requisites::Status;

pub use parallel::{Parallel, ParallelStep};

/// What the run needs to know about state modules.
pub trait StateFunctions: Send + Sync {
    /// Whether there is a state function of this name, `module.function`. Also asked for
    /// `module.mod_watch`.
    fn exists(&self, full_name: &str) -> bool;

    /// The arguments that a state function cannot be without, `name` apart.
    fn required(&self, _full_name: &str) -> &'static [&'static str] {
        &[]
    }

    /// Why there is none, in Salt's shape.
    fn why_missing(&self, full_name: &str) -> String {
        format!("'{full_name}' is not available.")
    }
}

/// How a run behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// Predict only.
    pub test: bool,
    /// Stop at the first failure, as the minion's `failhard` option.
    pub failhard: bool,
    /// Which series to follow.
    pub series: Series,
    /// Draws the splay of retries.
    pub seed: u64,
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Call a state function, then `record` its return.
    Call(Box<Call>),
    /// Find something out for a guard (`onlyif`, `unless`, `creates`, `check_cmd`), then `answer`.
    Ask(Question),
    /// Start a call beside the run and ask for the next step; hand it back with `ended` when it is over.
    Start(Parallel),
    /// Nothing can be done before one of the started calls is over.
    Wait,
    /// Wait before a retry, then ask for the next step.
    Pause(Duration),
    /// The run is over: the returns by tag, in the order they ran.
    Done(Map),
}

/// One call of a state function.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The chunk; `args` are what the function gets beside `name`. A `mod_watch` also gets `sfun`, the
    /// chunk's own function, and `__reqs__`, the watched states that changed as `module: ID`.
    pub chunk: LowChunk,
    /// The function to call: the chunk's own, or `mod_watch`.
    pub fun: String,
    /// Whether to predict only: the run's mode, or the dry run of a `prereq`.
    pub test: bool,
}

/// What a guard needs to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// The exit code of a shell command.
    Command {
        /// The command line.
        command: String,
        /// The chunk's keywords that shape the call: `runas`, `cwd`, `env`, `umask`, `timeout` …
        options: Map,
    },
    /// The result of an execution module function.
    Function {
        /// `module.function`.
        fun: String,
        /// Positional arguments.
        args: Vec<Value>,
        /// Keyword arguments.
        kwargs: Map,
    },
    /// Whether a path exists.
    Path(String),
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The exit code of the command.
    Exit(i64),
    /// What the function returned.
    Value(Value),
    /// Whether the path exists.
    Exists(bool),
    /// It could not be found out, or policy forbids; the state fails with this comment.
    Refused(String),
}

/// A run in progress.
pub struct Run {
    low: LowState,
    functions: Arc<dyn StateFunctions>,
    options: RunOptions,
    /// The return of each chunk that is through.
    running: Vec<Option<Map>>,
    /// The return of each chunk's dry run for a `prereq`.
    pre: Vec<Option<Map>>,
    /// The chunks in the order they got through.
    finished: Vec<usize>,
    /// What got through and was not told of.
    unreported: Vec<usize>,
    /// The chunks whose parallel call is not over.
    flying: Vec<bool>,
    /// The returns of parallel calls that are over.
    landing: Vec<(usize, Map)>,
    /// Parallel chunks that were put off, with the parallel chunk they wait for.
    pending: Vec<(Visit, usize)>,
    next_visit: usize,
    frames: Vec<Frame>,
    execution: Option<Execution>,
    run_num: i64,
    stopped: bool,
    listened: bool,
    /// Returns of listeners that name nothing.
    lost: Vec<(String, Map)>,
}

/// A chunk that is through.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The key of its return.
    pub tag: String,
    /// Its return.
    pub ret: Map,
    /// What the chunk's `fire_event` says; `Nil` without one.
    pub fire_event: Value,
}

/// What came of a look at a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Done,
    /// It needs the end of a parallel state.
    Blocked,
}

/// A chunk that is being looked at; those below it in the stack wait for it.
#[derive(Debug)]
struct Frame {
    visit: Visit,
    /// Requisites that have not run, to be called first.
    waiting: Option<std::vec::IntoIter<Visit>>,
    depth: u32,
}

impl Run {
    /// Starts a run.
    pub fn new(low: LowState, functions: Arc<dyn StateFunctions>, options: RunOptions) -> Run {
        let count = low.chunks.len();
        let disabled = i64::try_from(low.disabled.len()).unwrap_or(0);
        Run {
            low,
            functions,
            options,
            running: vec![None; count],
            pre: vec![None; count],
            finished: Vec::with_capacity(count),
            unreported: Vec::new(),
            flying: vec![false; count],
            landing: Vec::new(),
            pending: Vec::new(),
            next_visit: 0,
            frames: Vec::new(),
            execution: None,
            run_num: disabled,
            stopped: false,
            listened: false,
            lost: Vec::new(),
        }
    }

    /// What to do next. `now` is the local time of day, for states that are decided without being called.
    pub fn next(&mut self, now: NaiveTime) -> Step {
        loop {
            if let Some(execution) = &mut self.execution {
                match execution.step(self.functions.as_ref(), &self.options) {
                    Outcome::Step(step) => return step,
                    Outcome::Start(parallel) => {
                        if let Some(step) = self.start(parallel) {
                            return step;
                        }
                    }
                    Outcome::Over => self.close_execution(now),
                }
                continue;
            }
            self.land();
            if self.stopped {
                // What is left is not looked at; listeners still hear of what changed.
                self.stopped = false;
                self.frames.clear();
                self.pending.clear();
                self.next_visit = self.low.sequence.len();
                continue;
            }
            if !self.frames.is_empty() {
                if self.look(now) == Look::Blocked {
                    return Step::Wait;
                }
                continue;
            }
            if let Some(visit) = self.next_pending() {
                self.frames.push(Frame { visit, waiting: None, depth: 0 });
                continue;
            }
            match self.low.sequence.get(self.next_visit).copied() {
                Some(visit) => {
                    self.next_visit += 1;
                    if self.running[visit.chunk].is_none() {
                        self.frames.push(Frame { visit, waiting: None, depth: 0 });
                    }
                }
                None if self.any_flying() => return Step::Wait,
                None if !self.listened => self.listen(),
                None => return Step::Done(self.returns()),
            }
        }
    }

    /// Tells what a called state function returned, and when it ran.
    pub fn record(&mut self, ret: StateReturn, timing: Timing) {
        if let Some(execution) = &mut self.execution {
            execution.record(ret, timing);
        }
    }

    /// Answers a question.
    pub fn answer(&mut self, answer: Answer) {
        if let Some(execution) = &mut self.execution {
            execution.answer(answer);
        }
    }

    /// Ends the run before the next chunk; listeners still hear of what changed.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// How many chunks are through, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.finished.len(), self.low.chunks.len())
    }

    /// The chunks that got through since the last call, for progress events: tag, return, and what
    /// `fire_event` says.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        let new = std::mem::take(&mut self.unreported);
        let finished = new.into_iter().filter_map(|at| {
            let chunk = &self.low.chunks[at];
            let ret = self.running[at].clone()?;
            let fire_event = chunk.keywords.get("fire_event").cloned().unwrap_or_default();
            Some(Finished { tag: chunk.tag(), ret, fire_event })
        });
        finished.collect()
    }

    /// Looks at the topmost frame's chunk.
    fn look(&mut self, now: NaiveTime) -> Look {
        let Some(frame) = self.frames.last_mut() else { return Look::Done };
        let visit = frame.visit;
        if let Some(waiting) = &mut frame.waiting {
            match waiting.next() {
                Some(next) => self.call_requisite(next, now),
                None => self.requisites_called(now),
            }
            return Look::Done;
        }
        if let Some(until) = self.flying_requisite(visit) {
            return if self.put_off(visit, until) { Look::Done } else { Look::Blocked };
        }
        let status = self.status(visit);
        match status {
            Status::Unmet => self.unmet(visit, now),
            Status::Met => self.execute(visit, false),
            Status::Change if !visit.dry => self.execute(visit, true),
            Status::Change => self.execute(visit, false),
            Status::Fail => self.failed_requisite(visit, now),
            Status::Pre => self.not_run(visit, status, "No changes detected", now),
            Status::Onfail => {
                self.not_run(visit, status, "State was not run because onfail req did not change", now);
            }
            Status::Onchanges => {
                let comment = "State was not run because none of the onchanges reqs changed";
                self.not_run(visit, status, comment, now);
            }
            Status::SkipReq => {
                let comment = "State was not run because requisites were skipped by another state";
                self.not_run(visit, status, comment, now);
            }
        }
        Look::Done
    }

    fn unmet(&mut self, visit: Visit, now: NaiveTime) {
        if !self.low.missing[visit.chunk].is_empty() {
            let comment = returns::missing(&self.low.missing[visit.chunk]);
            let ret = self.unrun_return(visit.chunk, Some(false), &comment, now);
            self.finish(visit, ret);
            return;
        }
        let needed: Vec<Visit> = self
            .dependencies(visit)
            .iter()
            .map(|dependency| self.visit_of(*dependency))
            .filter(|needed| !self.is_through(*needed))
            .collect();
        if let Some(frame) = self.frames.last_mut() {
            frame.depth += 1;
            // Salt's own bound; reached only when a requisite never gets through.
            if frame.depth >= 20 {
                self.recursive(visit);
                return;
            }
            frame.waiting = Some(needed.into_iter());
        }
    }

    fn call_requisite(&mut self, needed: Visit, now: NaiveTime) {
        if self.is_through(needed) || self.running[needed.chunk].is_some() {
            return;
        }
        if self.frames.iter().any(|frame| frame.visit == needed) {
            if let Some(visit) = self.frames.last().map(|frame| frame.visit) {
                self.recursive(visit);
            }
            return;
        }
        let _ = now;
        self.frames.push(Frame { visit: needed, waiting: None, depth: 0 });
    }

    /// All requisites of the topmost frame were called: look again, or run the dry run now.
    fn requisites_called(&mut self, now: NaiveTime) {
        let Some(frame) = self.frames.last_mut() else { return };
        frame.waiting = None;
        let visit = frame.visit;
        if !visit.dry {
            return;
        }
        match self.status(visit) {
            Status::Pre => {
                let ret = self.unrun_return(visit.chunk, Some(true), "No changes detected", now);
                self.pre[visit.chunk] = Some(ret);
                self.frames.pop();
            }
            Status::Change => self.execute(visit, true),
            Status::Unmet
            | Status::Met
            | Status::Fail
            | Status::Onfail
            | Status::Onchanges
            | Status::SkipReq => self.execute(visit, false),
        }
    }

    fn recursive(&mut self, visit: Visit) {
        let mut ret = returns::bare(Some(false), "Recursive requisite found", self.run_num);
        self.run_num += 1;
        self.mark(&mut ret, visit.chunk);
        self.finish(visit, ret);
    }

    fn execute(&mut self, visit: Visit, watch: bool) {
        let mut execution = Execution::new(self.low.chunks[visit.chunk].clone(), visit.dry, watch);
        if watch {
            execution.tell_changed(self.changed_requisites(visit));
        }
        self.execution = Some(execution);
    }

    /// A call is over, with all its guards and retries.
    fn close_execution(&mut self, now: NaiveTime) {
        let (Some(execution), Some(frame)) = (self.execution.take(), self.frames.last()) else { return };
        let visit = frame.visit;
        let watch = execution.watches();
        let mut ret = execution.into_return(&mut self.run_num, now);
        if !visit.dry {
            self.finish(visit, ret);
            return;
        }
        let unchanged = !ret.get("changes").is_some_and(Value::is_truthy);
        if watch && unchanged {
            ret.insert("changes", Map::from_iter([("watch", "watch")]));
            ret.insert("result", Value::Nil);
        }
        self.pre[visit.chunk] = Some(ret);
        self.frames.pop();
    }

    fn finish(&mut self, visit: Visit, ret: Map) {
        let failed = ret.get("result") == Some(&Value::Bool(false));
        let chunk = &self.low.chunks[visit.chunk];
        let failhard = chunk.keywords.get("failhard").map_or(self.options.failhard, Value::is_truthy);
        if self.running[visit.chunk].replace(ret).is_none() {
            self.finished.push(visit.chunk);
            if !self.flying[visit.chunk] {
                self.unreported.push(visit.chunk);
            }
        }
        self.frames.pop();
        if failed && failhard && !self.options.test {
            self.stopped = true;
        }
    }

    fn not_run(&mut self, visit: Visit, why: Status, comment: &str, now: NaiveTime) {
        let result = why != Status::Fail;
        let mut ret = self.unrun_return(visit.chunk, Some(result), comment, now);
        let always = self.options.series >= Series::V3008;
        if always || matches!(why, Status::Onfail | Status::Onchanges) {
            ret.insert("__state_ran__", false);
        }
        if visit.dry {
            self.pre[visit.chunk] = Some(ret.clone());
        }
        self.finish(visit, ret);
    }

    /// The watched states that changed, as `module: ID`.
    fn changed_requisites(&self, visit: Visit) -> Vec<String> {
        let watched = self.dependencies(visit).iter().filter(|d| d.kind == crate::RequisiteKind::Watch);
        let changed = watched.filter(|dependency| {
            let ret = self.running[dependency.chunk].as_ref();
            ret.and_then(|ret| ret.get("changes")).is_some_and(Value::is_truthy)
        });
        changed
            .map(|dependency| &self.low.chunks[dependency.chunk])
            .map(|chunk| format!("{}: {}", chunk.state, chunk.id))
            .collect()
    }

    fn dependencies(&self, visit: Visit) -> &[Dependency] {
        let lists = if visit.dry { &self.low.dry_dependencies } else { &self.low.dependencies };
        lists.get(visit.chunk).map_or(&[], Vec::as_slice)
    }

    /// A `prereq` depends on the dry run, everything else on the chunk itself.
    fn visit_of(&self, dependency: Dependency) -> Visit {
        Visit { chunk: dependency.chunk, dry: dependency.kind == crate::RequisiteKind::Prereq }
    }

    fn is_through(&self, visit: Visit) -> bool {
        if visit.dry { self.pre[visit.chunk].is_some() } else { self.running[visit.chunk].is_some() }
    }
}

#[cfg(test)]
mod tests;
