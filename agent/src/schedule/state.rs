//! The schedule's memory: the entries as written, when each is due, what runs. Pure: the time is a parameter.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Local};
use states::{Map, Value};

use super::{
    Origin,
    entry::{Common, Entry, EntryError, Verdict},
};

/// Entries and records by name.
#[derive(Debug, Default)]
pub(super) struct State {
    /// As written by the operator, by name, and where it came from.
    pub(super) entries: BTreeMap<String, (Map, Origin)>,
    /// What the whole schedule says (`splay`, `skip_function`, `skip_during_range`).
    pub(super) common: BTreeMap<Origin, Map>,
    pub(super) whens: BTreeMap<&'static str, Map>,
    pub(super) records: BTreeMap<String, Record>,
    pub(super) asked: Vec<String>,
    pub(super) disabled: bool,
    /// Whether `enabled` was ever said, and is therefore shown.
    pub(super) switched: bool,
    looked: Option<DateTime<Local>>,
    /// Whether an entry has times of its own beside its trigger, so that the next look must not be far.
    pub(super) restless: bool,
}

/// What is known of an entry's runs.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When it runs next.
    pub next: Option<DateTime<Local>>,
    /// When it ran last.
    pub last: Option<DateTime<Local>>,
    /// Why it was left out last, and when.
    pub skipped: Option<(&'static str, DateTime<Local>)>,
    running: usize,
    known: bool,
}

impl State {
    /// Replaces what came from one origin.
    pub(super) fn take(&mut self, given: Map, origin: Origin) {
        let before = self.entries.clone();
        self.entries.retain(|_, (_, held)| *held != origin);
        self.common.remove(&origin);
        for (name, entry) in given {
            let name = name.to_string();
            match entry {
                common if COMMON.contains(&name.as_str()) => {
                    self.common.entry(origin).or_default().insert(name, common);
                }
                Value::Map(entry) => {
                    let shadowed = origin == Origin::Pillar
                        && self.entries.get(&name).is_some_and(|(_, held)| *held == Origin::Options);
                    if !shadowed {
                        self.entries.insert(name, (entry, origin));
                    }
                }
                enabled if name == "enabled" => {
                    (self.disabled, self.switched) = (!enabled.is_truthy(), true);
                }
                Value::Nil
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Str(_)
                | Value::Bytes(_)
                | Value::List(_) => {
                    tracing::warn!(name, "a schedule entry is not a mapping and was not used");
                }
            }
        }
        let changed: BTreeSet<&String> =
            before.keys().filter(|name| before.get(*name) != self.entries.get(*name)).collect();
        for name in changed {
            self.forget(name);
        }
    }

    /// Reckons the next run of an entry anew; its running jobs stay counted.
    pub(super) fn forget(&mut self, name: &str) {
        if let Some(record) = self.records.get_mut(name) {
            (record.next, record.known) = (None, false);
        }
    }

    /// Options of the whole schedule; the configuration's win.
    pub(super) fn settings(&self) -> Common {
        let find = |key: &str| {
            let held = [Origin::Options, Origin::Pillar];
            held.iter().find_map(|origin| self.common.get(origin)?.get(key)).filter(|value| !value.is_nil())
        };
        Common {
            splay: find("splay").cloned(),
            skip_during_range: find("skip_during_range").cloned(),
            skip_function: find("skip_function").map(ToString::to_string),
            whens: self.whens.values().flat_map(Map::clone).collect(),
        }
    }

    /// An entry, checked.
    pub(super) fn read(&self, name: &str) -> Option<Result<Entry, EntryError>> {
        let (entry, _) = self.entries.get(name)?;
        Some(Entry::read(name, entry, &self.settings()))
    }

    /// The entries that are due at `now`; what is left out is recorded with the reason.
    pub(super) fn due(&mut self, now: DateTime<Local>) -> Vec<Entry> {
        let asked = std::mem::take(&mut self.asked);
        let (first, last) = (self.looked.is_none(), self.looked.replace(now).unwrap_or(now));
        let names: Vec<String> = self.entries.keys().cloned().collect();
        let mut due = Vec::new();
        self.restless = false;
        for name in names {
            let Some(Ok(entry)) = self.read(&name) else { continue };
            self.restless |= entry.is_restless();
            let record = self.records.entry(name.clone()).or_default();
            let at_start = first && entry.run_on_start;
            let latest = if now < last { entry.latest(now) } else { None };
            let moved = record.next.zip(latest).is_some_and(|(next, latest)| next > latest);
            if !record.known || moved {
                (record.next, record.known) = (entry.after(now, &mut rand::thread_rng()), true);
            }
            let turn = record.next.is_some_and(|next| next <= now);
            if turn {
                record.next = entry.after(now, &mut rand::thread_rng());
            }
            let wanted = asked.contains(&name);
            if !(turn || at_start || wanted || entry.runs_between(last, now)) {
                continue;
            }
            let verdict = match (wanted, self.disabled || !entry.enabled) {
                (true, _) => Verdict::Run,
                (false, true) => Verdict::Skip("disabled"),
                (false, false) if at_start => Verdict::Run,
                (false, false) => entry.verdict(now),
            };
            due.extend(record.decide(entry, verdict, now));
        }
        due
    }

    /// The soonest time at which something may be due.
    pub(super) fn soonest(&self) -> Option<DateTime<Local>> {
        self.records.values().filter_map(|record| record.next).min()
    }
}

impl Record {
    /// Notes what becomes of a due entry; gives it back when it runs.
    fn decide(&mut self, entry: Entry, verdict: Verdict, now: DateTime<Local>) -> Option<Entry> {
        let (entry, reason) = match verdict {
            Verdict::Skip(reason) => (entry, Some(reason)),
            Verdict::Run | Verdict::RunInstead(_)
                if entry.max_running.is_some_and(|most| self.running >= most) =>
            {
                tracing::info!(name = entry.name, "a scheduled function still runs; this turn is left out");
                (entry, Some("maxrunning"))
            }
            Verdict::Run => (entry, None),
            Verdict::RunInstead(fun) => (entry.with_function(fun), None),
        };
        self.skipped = reason.map(|reason| (reason, now));
        if reason.is_some() {
            return None;
        }
        self.last = Some(now);
        (!entry.dry_run).then_some(entry)
    }

    pub(super) fn count(&mut self, by: isize) {
        self.running = self.running.saturating_add_signed(by);
    }
}

/// Names in a schedule that are no entries.
pub(super) const COMMON: [&str; 3] = ["skip_function", "skip_during_range", "splay"];

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};

    use super::*;

    fn state(text: &str) -> State {
        let mut state = State::default();
        state.take(states::yaml::load(text).unwrap().as_map().cloned().unwrap(), Origin::Options);
        state
    }

    fn at(seconds: i64) -> DateTime<Local> {
        Local.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap() + TimeDelta::seconds(seconds)
    }

    fn names(due: &[Entry]) -> Vec<&str> {
        due.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn an_interval_is_due_after_each_of_its_lengths() {
        let mut state = state("{a: {function: test.ping, seconds: 10}}");
        let fired: Vec<i64> = (0..=35).filter(|second| !state.due(at(*second)).is_empty()).collect();
        assert_eq!(fired, [10, 20, 30]);
        assert_eq!(state.soonest(), Some(at(40)));
    }

    #[test]
    fn a_start_run_comes_at_once_and_only_at_the_start() {
        let mut state = state("{a: {function: test.ping, hours: 1, run_on_start: true}}");
        assert_eq!(names(&state.due(at(0))), ["a"]);
        assert!(state.due(at(1)).is_empty());
    }

    #[test]
    fn what_still_runs_is_left_out_and_the_reason_kept() {
        let mut state = state("{a: {function: test.sleep, seconds: 5, maxrunning: 1}}");
        assert!(state.due(at(0)).is_empty());
        assert_eq!(names(&state.due(at(5))), ["a"]);
        state.records.get_mut("a").unwrap().count(1);
        assert!(state.due(at(10)).is_empty());
        assert_eq!(state.records["a"].skipped, Some(("maxrunning", at(10))));
        state.records.get_mut("a").unwrap().count(-1);
        assert_eq!(names(&state.due(at(15))), ["a"]);
        assert_eq!(state.records["a"].skipped, None);
    }

    #[test]
    fn a_disabled_entry_runs_only_when_asked() {
        let mut state = state("{a: {function: test.ping, seconds: 5, enabled: false}}");
        state.due(at(0));
        assert!(state.due(at(5)).is_empty());
        assert_eq!(state.records["a"].skipped.map(|(reason, _)| reason), Some("disabled"));
        state.asked.push("a".to_owned());
        assert_eq!(names(&state.due(at(6))), ["a"]);
    }

    #[test]
    fn a_clock_set_back_does_not_hold_an_interval_up() {
        let mut state = state("{a: {function: test.ping, seconds: 10}}");
        state.due(at(0));
        assert!(state.due(at(-7200)).is_empty());
        assert_eq!(names(&state.due(at(-7190))), ["a"]);
    }

    #[test]
    fn a_clock_set_back_does_not_hold_a_time_of_day_up() {
        const YEAR: i64 = 365 * 86_400;
        for trigger in ["cron: '* * * * *'", "when: '12:01'"] {
            let mut state = state(&format!("{{a: {{function: test.ping, {trigger}}}}}"));
            state.due(at(YEAR));
            assert!(state.due(at(0)).is_empty(), "{trigger}");
            assert_eq!(names(&state.due(at(60))), ["a"], "{trigger}");
            assert!(state.due(at(30)).is_empty(), "{trigger}");
            assert!(state.due(at(61)).is_empty(), "{trigger}: set right by half a minute, it runs again");
        }
    }

    #[test]
    fn the_configurations_entry_wins_over_the_pillars() {
        let mut state = state("{a: {function: test.ping, seconds: 5}}");
        let pillar = states::yaml::load(
            "{a: {function: test.nop, seconds: 5}, b: {function: test.nop, seconds: 5}, splay: 3}",
        );
        state.take(pillar.unwrap().as_map().cloned().unwrap(), Origin::Pillar);
        assert_eq!(state.entries["a"].1, Origin::Options);
        assert_eq!(state.entries["b"].1, Origin::Pillar);
        assert_eq!(state.settings().splay, Some(3.into()));
    }

    #[test]
    fn a_dry_run_is_noted_and_does_nothing() {
        let mut state = state("{a: {function: test.ping, seconds: 5, dry_run: true}}");
        state.due(at(0));
        assert!(state.due(at(5)).is_empty());
        assert_eq!(state.records["a"].last, Some(at(5)));
    }
}
