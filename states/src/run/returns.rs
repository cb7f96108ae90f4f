//! The returns of a run in Salt's shape: `state_|-id_|-name_|-fun` to what came of it.

use std::time::Duration;

use chrono::{NaiveTime, Timelike};

use super::Run;
use crate::{LowChunk, Map, RequisiteKind, StateReturn, Target, Timing, Value};

impl Run {
    /// Every return by tag, in the order they got through.
    pub(super) fn returns(&self) -> Map {
        if let Some(nothing) = &self.low.nothing {
            return no_states(nothing);
        }
        let mut all = Map::new();
        for (run_num, (chunk, pattern)) in (0..).zip(&self.low.disabled) {
            let comment = format!(
                "The state function \"{}\" is currently disabled by \"{pattern}\", to re-enable, run state.enable {pattern}.",
                chunk.full_name()
            );
            let mut ret = bare(Some(false), &comment, run_num);
            ret.insert("__sls__", sls(chunk));
            all.insert(chunk.tag(), ret);
        }
        for chunk in &self.finished {
            if let Some(ret) = &self.running[*chunk] {
                all.insert(self.low.chunks[*chunk].tag(), ret.clone());
            }
        }
        all.extend(self.lost.iter().cloned());
        all
    }

    /// The return of a chunk that was decided without being called. Takes a run number.
    pub(super) fn unrun_return(
        &mut self,
        chunk: usize,
        result: Option<bool>,
        comment: &str,
        now: NaiveTime,
    ) -> Map {
        let mut ret = bare(result, comment, self.run_num);
        ret.insert("start_time", clock(now));
        ret.insert("duration", NO_TIME);
        self.run_num += 1;
        self.mark(&mut ret, chunk);
        ret
    }

    /// Says which chunk a return belongs to.
    pub(super) fn mark(&self, ret: &mut Map, chunk: usize) {
        let chunk = &self.low.chunks[chunk];
        ret.insert("__sls__", sls(chunk));
        ret.insert("__id__", chunk.id.as_str());
        ret.insert("name", shown_name(chunk));
    }
}

/// The name as it was written, also where it is no text.
fn shown_name(chunk: &LowChunk) -> Value {
    let written = chunk.keywords.get(crate::compile::BAD_NAME).cloned();
    written.unwrap_or_else(|| chunk.name.as_str().into())
}

/// The least a return holds.
pub(super) fn bare(result: Option<bool>, comment: &str, run_num: i64) -> Map {
    let mut ret = Map::new();
    ret.insert("changes", Map::new());
    ret.insert("result", result);
    ret.insert("comment", comment);
    ret.insert("__run_num__", run_num);
    ret
}

/// A state function's own return as a mapping.
pub(super) fn of_function(ret: StateReturn, chunk: &LowChunk) -> Map {
    let mut map = Map::from_iter([("name", shown_name(chunk))]);
    let changes = if ret.changes.is_nil() { Value::Map(Map::new()) } else { ret.changes };
    map.insert("changes", changes);
    map.insert("result", ret.result);
    map.insert("comment", ret.comment);
    if !ret.warnings.is_empty() {
        map.insert("warnings", Value::List(ret.warnings.into_iter().map(Value::from).collect()));
    }
    map.extend(ret.extra);
    map
}

/// Adds what Salt notes about a call.
pub(super) fn stamp(ret: &mut Map, chunk: &LowChunk, timing: Timing, run_num: i64) {
    ret.insert("__sls__", sls(chunk));
    ret.insert("__run_num__", run_num);
    ret.insert("start_time", clock(timing.start));
    ret.insert("duration", milliseconds(timing.duration));
    ret.insert("__id__", chunk.id.as_str());
}

/// The comment of a state whose requisites name nothing, as 3006 and 3007 write it.
pub(super) fn missing(missing: &[(RequisiteKind, Target)]) -> String {
    let mut comment = String::from("The following requisites were not found:\n");
    let mut kinds: Vec<RequisiteKind> = missing.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        comment.push_str(&format!("{:19}{}:\n", "", kind.name()));
        for (_, target) in missing.iter().filter(|(other, _)| *other == kind) {
            comment.push_str(&format!("{:23}{}: {}\n", "", target.state, target.name));
        }
    }
    comment
}

/// The only return of a highstate that found nothing to do.
fn no_states(comment: &str) -> Map {
    let mut ret = bare(Some(false), comment, 0);
    ret.insert("name", "No States");
    Map::from_iter([("no_|-states_|-states_|-None", ret)])
}

/// Masks what a return tells, as `no_log` asks for.
pub(super) fn mask(ret: &mut Map) {
    for key in ["name", "comment", "changes"] {
        if let Some(value) = ret.get_mut(key) {
            mask_value(value);
        }
    }
}

fn mask_value(value: &mut Value) {
    match value {
        Value::List(items) => items.iter_mut().for_each(mask_value),
        Value::Map(map) => map.values_mut().for_each(mask_value),
        scalar @ (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bytes(_)) => {
            if scalar.is_truthy() {
                *scalar = "**********".into();
            }
        }
        Value::Nil => {}
    }
}

/// A state given without an SLS has none.
fn sls(chunk: &LowChunk) -> Value {
    if chunk.sls.is_empty() { Value::Nil } else { Value::from(chunk.sls.as_str()) }
}

/// Python's `time().isoformat()`.
pub(super) fn clock(time: NaiveTime) -> String {
    let micros = time.nanosecond() / 1000 % 1_000_000;
    let seconds = time.format("%H:%M:%S");
    if micros == 0 { seconds.to_string() } else { format!("{seconds}.{micros:06}") }
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// What Salt measures for a state it does not call: the time between two looks at the clock.
const NO_TIME: f64 = 0.002;
