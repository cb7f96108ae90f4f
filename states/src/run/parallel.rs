//! States with `parallel: true`: started while the run goes on, taken back when they end.
//!
//! Salt gives each a process of its own (`salt/state.py`, `call_parallel`): the state is through at once, with a return that
//! says that it was started; whatever has a requisite on it waits for the real one. From 3008 on a parallel state that would
//! have to wait is put off, and the run goes on without it.

use std::time::Duration;

use super::execution::Retry;
use super::{Call, Run, Step, returns};
use crate::low::Visit;
use crate::{Map, RequisiteKind, Series, StateReturn, Timing, Value};

/// A call that runs beside the run: the caller makes it, tells what came of it, and hands it back at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Parallel {
    pub(super) chunk: usize,
    call: Box<Call>,
    /// The call of `mod_watch` that follows when the state itself changes nothing.
    watch: Option<Box<Call>>,
    retry: Option<Retry>,
    seed: u64,
    attempts: u32,
    watched: bool,
    ret: Map,
}

/// What the caller of a parallel state does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParallelStep {
    /// Make [`Parallel::call`], after this pause.
    Call(Duration),
    /// Hand it back to the run.
    Over,
}

impl Parallel {
    pub(super) fn new(call: Call, watch: Option<Call>, retry: Option<Retry>, seed: u64) -> Parallel {
        let name = call.chunk.name.as_str();
        let ret = Map::from_iter([("name", name)]);
        let (call, watch) = (Box::new(call), watch.map(Box::new));
        Parallel { chunk: 0, call, watch, retry, seed, attempts: 0, watched: false, ret }
    }

    /// The chunk, by its number in the low state.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// What to call.
    pub fn call(&self) -> &Call {
        match &self.watch {
            Some(watch) if self.watched => watch,
            Some(_) | None => &self.call,
        }
    }

    /// Tells what the call returned.
    pub fn record(&mut self, ret: StateReturn, timing: Timing) -> ParallelStep {
        let ret = returns::of_function(ret, &self.call.chunk);
        let retry = self.retry.filter(|retry| {
            let left = self.attempts < retry.attempts() && !self.watched && !self.call.test;
            left && !retry.is_content(&ret)
        });
        self.take(ret, timing);
        if let Some(retry) = retry {
            let pause = retry.pause(self.seed.wrapping_add(u64::from(self.attempts)));
            self.attempts += 1;
            let duration = self.ret.get("duration").and_then(Value::as_float).unwrap_or_default();
            self.ret.insert("duration", duration + returns::milliseconds(pause));
            return ParallelStep::Call(pause);
        }
        let set = |name: &str| self.ret.get(name).is_some_and(Value::is_truthy);
        if self.watch.is_some() && !self.watched && !set("changes") && !set("skip_watch") {
            self.watched = true;
            return ParallelStep::Call(Duration::ZERO);
        }
        ParallelStep::Over
    }

    /// Puts a return in the place of the one before, as Salt tells of attempts.
    fn take(&mut self, mut ret: Map, timing: Timing) {
        let before = std::mem::take(&mut self.ret);
        let text = |ret: &Map, key: &str| ret.get(key).map(Value::to_string).unwrap_or_default();
        if self.attempts > 0 && !self.watched {
            let said = text(&ret, "comment");
            let told = match said.is_empty() {
                true => String::new(),
                false => format!(
                    "Attempt {}: Returned a result of \"{}\", with the following comment: \"{said}\"",
                    self.attempts,
                    text(&ret, "result")
                ),
            };
            ret.insert("comment", format!("{}\n{told}", text(&before, "comment")));
        } else if let (Some(retry), true) = (self.retry, self.call.test) {
            ret.insert("comment", retry.predicted(&text(&ret, "comment")));
        }
        let earlier = before.get("duration").and_then(Value::as_float).unwrap_or_default();
        let start = before.get("start_time").cloned();
        ret.insert("start_time", start.unwrap_or_else(|| returns::clock(timing.start).into()));
        ret.insert("duration", earlier + returns::milliseconds(timing.duration));
        ret.insert("__parallel__", true);
        if self.call.chunk.is_secret() {
            returns::mask(&mut ret);
        }
        self.ret = ret;
    }
}

impl Run {
    /// Takes a parallel call back that is over.
    pub fn ended(&mut self, parallel: Parallel) {
        self.landing.push((parallel.chunk, parallel.ret));
    }

    /// Tells that a parallel call ended without a return.
    pub fn lost(&mut self, chunk: usize) {
        let failed = Map::from_iter([
            ("result", Value::Bool(false)),
            ("comment", "Parallel process failed to return".into()),
            ("changes", Map::new().into()),
        ]);
        self.landing.push((chunk, failed));
    }

    /// Puts the returns of what is over in their places.
    pub(super) fn land(&mut self) {
        for (chunk, ret) in std::mem::take(&mut self.landing) {
            let Some(flying) = self.flying.get_mut(chunk) else { continue };
            if std::mem::take(flying) {
                if let Some(placeholder) = &mut self.running[chunk] {
                    placeholder.extend(ret);
                }
                self.unreported.push(chunk);
            }
        }
    }

    pub(super) fn start(&mut self, mut parallel: Parallel) -> Option<Step> {
        let visit = self.frames.last()?.visit;
        parallel.chunk = visit.chunk;
        self.flying[visit.chunk] = true;
        Some(Step::Start(parallel))
    }

    pub(super) fn any_flying(&self) -> bool {
        self.flying.iter().any(|flying| *flying)
    }

    /// A parallel state whose end the verdict on a chunk needs.
    pub(super) fn flying_requisite(&self, visit: Visit) -> Option<usize> {
        let needed = self.dependencies(visit).iter().filter(|needed| needed.kind != RequisiteKind::Prereq);
        needed.map(|needed| needed.chunk).find(|chunk| self.flying[*chunk])
    }

    /// Puts the chunk at the bottom of the stack off until a parallel state has ended, when Salt does.
    pub(super) fn put_off(&mut self, visit: Visit, until: usize) -> bool {
        let parallel = self.low.chunks[visit.chunk].is_parallel();
        if !parallel || visit.dry || self.options.series < Series::V3008 {
            return false;
        }
        if let Some(first) = self.frames.first() {
            self.pending.push((first.visit, until));
        }
        self.frames.clear();
        true
    }

    /// A chunk that was put off and need not wait longer.
    pub(super) fn next_pending(&mut self) -> Option<Visit> {
        let ready = self.pending.iter().position(|(_, until)| !self.flying[*until])?;
        Some(self.pending.remove(ready).0)
    }
}
