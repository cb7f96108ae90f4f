//! What the requisites of a chunk say, given the returns so far: Salt's requisite truth table.

use std::collections::BTreeSet;

use chrono::NaiveTime;

use super::Run;
use crate::low::Visit;
use crate::{Map, RequisiteKind, Value};

/// The verdict on a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Something it needs has not run, or does not exist.
    Unmet,
    /// It runs.
    Met,
    /// It runs, and `mod_watch` after it when it changed nothing itself.
    Change,
    /// Something it needs failed.
    Fail,
    /// A `prereq` target would change nothing.
    Pre,
    /// No `onfail` target failed.
    Onfail,
    /// No `onchanges` target changed.
    Onchanges,
    /// A target asked for its requisites to be skipped.
    SkipReq,
}

/// What one target says about one requisite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stat {
    Unmet,
    Met,
    Fail,
    Change,
    Onfail,
    Onchanges,
    OnchangesMet,
    Pre,
    PreMet,
    SkipReq,
}

impl Run {
    pub(super) fn status(&self, visit: Visit) -> Status {
        if !self.low.missing[visit.chunk].is_empty() {
            return Status::Unmet;
        }
        let mut all: BTreeSet<Stat> = BTreeSet::new();
        for kind in RequisiteKind::ALL {
            all.extend(self.stats(visit, kind));
        }
        verdict(&all)
    }

    /// What all targets of one kind say together.
    fn stats(&self, visit: Visit, kind: RequisiteKind) -> BTreeSet<Stat> {
        let mut stats = BTreeSet::new();
        for dependency in self.dependencies(visit).iter().filter(|dependency| dependency.kind == kind) {
            let returns = if kind == RequisiteKind::Prereq { &self.pre } else { &self.running };
            match &returns[dependency.chunk] {
                Some(ret) => one_target(kind, ret, &mut stats),
                None => {
                    stats.insert(Stat::Unmet);
                }
            }
        }
        let any = matches!(
            kind,
            RequisiteKind::RequireAny
                | RequisiteKind::WatchAny
                | RequisiteKind::OnchangesAny
                | RequisiteKind::OnfailAny
                | RequisiteKind::Onfail
        );
        if any {
            one_is_enough(&mut stats);
        }
        if kind == RequisiteKind::OnfailAll && stats.contains(&Stat::Onfail) {
            stats.remove(&Stat::Met);
        }
        stats
    }

    /// One or more of the targets failed, or their dry run did.
    pub(super) fn failed_requisite(&mut self, visit: Visit, now: NaiveTime) {
        if let Some(mut pre) = self.pre[visit.chunk].clone() {
            // The dry run's changes were never made.
            if pre.get("changes").is_some_and(Value::is_truthy) {
                pre.insert("changes", Map::new());
            }
            pre.insert("__run_num__", self.run_num);
            self.run_num += 1;
            self.mark(&mut pre, visit.chunk);
            self.finish(visit, pre);
            return;
        }
        let mut failed: Vec<String> = Vec::new();
        for dependency in self.dependencies(visit) {
            let ret = self.pre[dependency.chunk].as_ref().or(self.running[dependency.chunk].as_ref());
            if ret.is_some_and(|ret| ret.get("result") == Some(&Value::Bool(false))) {
                let target = &self.low.chunks[dependency.chunk];
                let name = format!("{}.{}", target.sls, target.id);
                if !failed.contains(&name) {
                    failed.push(name);
                }
            }
        }
        let comment = format!("One or more requisite failed: {}", failed.join(", "));
        self.not_run(visit, Status::Fail, &comment, now);
    }
}

fn one_target(kind: RequisiteKind, ret: &Map, stats: &mut BTreeSet<Stat>) {
    let result = ret.get("result").and_then(Value::as_bool);
    let changed = ret.get("changes").is_some_and(Value::is_truthy);
    if ret.get("skip_req").is_some_and(Value::is_truthy) {
        stats.insert(Stat::SkipReq);
    }
    let stat = match kind {
        RequisiteKind::Onfail | RequisiteKind::OnfailAny | RequisiteKind::OnfailAll
            if result == Some(true) =>
        {
            Stat::Onfail
        }
        RequisiteKind::Onfail | RequisiteKind::OnfailAny | RequisiteKind::OnfailAll => {
            return ran(ret, stats);
        }
        RequisiteKind::Onchanges | RequisiteKind::OnchangesAny => {
            if result == Some(false) || !changed {
                Stat::Onchanges
            } else {
                Stat::OnchangesMet
            }
        }
        _ if result == Some(false) => Stat::Fail,
        RequisiteKind::Watch | RequisiteKind::WatchAny if changed => Stat::Change,
        RequisiteKind::Prereq if result.is_none() => Stat::PreMet,
        RequisiteKind::Prereq => Stat::Pre,
        RequisiteKind::Require
        | RequisiteKind::RequireAny
        | RequisiteKind::Watch
        | RequisiteKind::WatchAny
        | RequisiteKind::Prerequired
        | RequisiteKind::Listen => return ran(ret, stats),
    };
    stats.insert(stat);
}

/// A target that its own requisites kept from running says nothing.
fn ran(ret: &Map, stats: &mut BTreeSet<Stat>) {
    if ret.get("__state_ran__").and_then(Value::as_bool) != Some(false) {
        stats.insert(Stat::Met);
    }
}

fn one_is_enough(stats: &mut BTreeSet<Stat>) {
    if stats.contains(&Stat::Met) || stats.contains(&Stat::Change) {
        stats.remove(&Stat::Fail);
    }
    if stats.contains(&Stat::OnchangesMet) {
        stats.remove(&Stat::Onchanges);
        stats.remove(&Stat::Fail);
    }
    if stats.contains(&Stat::Onfail) && stats.contains(&Stat::Met) {
        stats.remove(&Stat::Onfail);
    }
}

fn verdict(all: &BTreeSet<Stat>) -> Status {
    let has = |stat: Stat| all.contains(&stat);
    if has(Stat::Unmet) {
        Status::Unmet
    } else if has(Stat::Fail) {
        Status::Fail
    } else if has(Stat::SkipReq) && (has(Stat::OnchangesMet) || has(Stat::PreMet)) {
        Status::SkipReq
    } else if has(Stat::SkipReq) && has(Stat::Change) {
        Status::Met
    } else if has(Stat::Pre) {
        if has(Stat::PreMet) { Status::Met } else { Status::Pre }
    } else if has(Stat::Onfail) && !has(Stat::OnchangesMet) {
        Status::Onfail
    } else if has(Stat::Onchanges) && !has(Stat::OnchangesMet) {
        Status::Onchanges
    } else if has(Stat::Change) {
        Status::Change
    } else if has(Stat::Onfail) {
        Status::Onfail
    } else {
        Status::Met
    }
}
