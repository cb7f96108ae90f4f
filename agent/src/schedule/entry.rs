//! One entry of the schedule: what to run, when it is due, and whether it may run then. Pure: the time is a parameter.
//!
//! The options are those of Salt's `salt/utils/schedule.py`: `seconds`, `minutes`, `hours`, `days`, `cron`, `when`, `once`,
//! `splay` (and `jitter`, a splay that may be nothing), `range`, `skip_during_range`, `after`, `until`, `skip_explicit`,
//! `run_explicit`, `run_on_start`, `maxrunning`, `return_job`, `metadata`, `dry_run`, `enabled`.

use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, TimeZone};
use rand::Rng;
use states::{Map, Value};
use thiserror::Error;

use super::{
    cron::{Cron, CronError},
    moment::Moment,
};

/// A checked entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The function.
    pub fun: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its keyword arguments.
    pub kwargs: Map,
    /// Who gets the return.
    pub returns: Returns,
    /// Added to the return.
    pub metadata: Option<Map>,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Whether it is only looked at, never run.
    pub dry_run: bool,
    /// Whether it runs when the minion starts.
    pub run_on_start: bool,
    /// How many may run at once; `None` when they are not counted (`jid_include: False`).
    pub max_running: Option<usize>,
    trigger: Trigger,
    splay: (f64, f64),
    opens: Option<Moment>,
    closes: Option<Moment>,
    range: Option<Range>,
    skip_range: Option<Range>,
    after_skip_range: bool,
    skips: Vec<NaiveDateTime>,
    runs: Vec<NaiveDateTime>,
    skip_function: Option<String>,
}

/// What becomes of a return.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Returns {
    /// The master stores it (`return_job: True`).
    Master,
    /// The master shows it as an event and does not store it (`return_job: nocache`).
    Uncached,
    /// Nobody gets it (`return_job: False`).
    Nobody,
}

/// What a due entry does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It runs.
    Run,
    /// The schedule's `skip_function` runs.
    RunInstead(String),
    /// It is left out, for Salt's reason.
    Skip(&'static str),
}

/// What the whole schedule says for entries that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// `splay`.
    pub splay: Option<Value>,
    /// `skip_during_range`.
    pub skip_during_range: Option<Value>,
    /// `skip_function`.
    pub skip_function: Option<String>,
    /// Named points in time (`whens` of the pillar and the grains).
    pub whens: Map,
}

#[derive(Clone, Debug, PartialEq)]
enum Trigger {
    Every(TimeDelta),
    Cron(Cron),
    Once(NaiveDateTime),
    When(Vec<Moment>),
}

#[derive(Clone, Debug, PartialEq)]
struct Range {
    start: Moment,
    end: Moment,
    invert: bool,
}

/// Why an entry cannot be used. The operator's to mend.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EntryError {
    /// It names no function.
    #[error("the schedule entry {0} names no function")]
    Function(String),
    /// It says not when.
    #[error("the schedule entry {0} needs seconds, minutes, hours, days, cron, when or once")]
    Trigger(String),
    /// It says when in two ways.
    #[error(
        "the schedule entry {0} can have only one of cron, when, once and the interval (seconds, minutes, hours, days)"
    )]
    Conflict(String),
    /// Its interval is not a positive number.
    #[error("the interval of the schedule entry {0} must be a positive number")]
    Interval(String),
    /// Its cron line does not parse.
    #[error("the cron line of the schedule entry {0} cannot be used")]
    Cron(String, #[source] CronError),
    /// An option is not a point in time.
    #[error(
        "{1} of the schedule entry {0} is not a point in time: write it as YYYY-MM-DDTHH:MM:SS or 5:00pm"
    )]
    Moment(String, &'static str),
    /// A range is not a map with `start` and an `end` after it.
    #[error("{1} of the schedule entry {0} must be a mapping with start and an end after it")]
    Range(String, &'static str),
}

impl Entry {
    /// Reads an entry as an operator writes it.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn read(name: &str, given: &Map, common: &Common) -> Result<Self, EntryError> {
        let flag = |key: &str, default: bool| given.get(key).map_or(default, Value::is_truthy);
        let fun = ["function", "func", "fun"].iter().find_map(|key| given.get(key)).and_then(Value::as_str);
        let running =
            given.get("maxrunning").and_then(Value::as_int).and_then(|most| usize::try_from(most).ok());
        let skip_range = given.get("skip_during_range").or(common.skip_during_range.as_ref());
        Ok(Self {
            name: name.to_owned(),
            fun: fun.ok_or_else(|| EntryError::Function(name.to_owned()))?.to_owned(),
            args: given.get("args").and_then(Value::as_list).unwrap_or_default().to_vec(),
            kwargs: given.get("kwargs").and_then(Value::as_map).cloned().unwrap_or_default(),
            returns: returns(given.get("return_job")),
            metadata: given.get("metadata").and_then(Value::as_map).cloned(),
            enabled: flag("enabled", true),
            dry_run: flag("dry_run", false),
            run_on_start: flag("run_on_start", false),
            max_running: flag("jid_include", true).then(|| running.unwrap_or(1).max(1)),
            trigger: trigger(name, given, &common.whens)?,
            splay: splay(given, common.splay.as_ref()),
            opens: moment(name, given, "after")?,
            closes: moment(name, given, "until")?,
            range: range(name, given.get("range"), "range")?,
            skip_range: range(name, skip_range, "skip_during_range")?,
            after_skip_range: flag("run_after_skip_range", false),
            skips: explicit(name, given, "skip_explicit")?,
            runs: explicit(name, given, "run_explicit")?,
            skip_function: common.skip_function.clone(),
        })
    }

    /// The next time after `now`, splay included; `None` when there is none.
    pub fn after(&self, now: DateTime<Local>, random: &mut impl Rng) -> Option<DateTime<Local>> {
        let (least, most) = self.splay;
        let splay = if most > least { random.gen_range(least..=most) } else { most };
        self.next(now).map(|base| base + seconds(splay))
    }

    /// The latest time at which the next run of what repeats may lie; one that lies later was reckoned by a clock that has
    /// been set back since. A cron line is given a minute, so that a clock set right by seconds does not repeat a run.
    #[must_use]
    pub fn latest(&self, now: DateTime<Local>) -> Option<DateTime<Local>> {
        let base = match &self.trigger {
            Trigger::Every(_) => self.next(now),
            Trigger::Cron(_) | Trigger::When(_) => self.next(now + TimeDelta::minutes(1)),
            Trigger::Once(_) => None,
        };
        base.map(|base| base + seconds(self.splay.1))
    }

    /// The next time after `now` without splay.
    fn next(&self, now: DateTime<Local>) -> Option<DateTime<Local>> {
        let local = now.naive_local();
        match &self.trigger {
            Trigger::Every(interval) => Some(now + *interval),
            Trigger::Cron(cron) => cron.after(local).and_then(local_time),
            Trigger::Once(at) => Some(*at).filter(|at| *at > local).and_then(local_time),
            Trigger::When(moments) => {
                moments.iter().filter_map(|moment| moment.after(local)).min().and_then(local_time)
            }
        }
    }

    /// Whether a run beside the trigger was asked for between two looks: `run_explicit`, or the end of a skipped range.
    #[must_use]
    pub fn runs_between(&self, last: DateTime<Local>, now: DateTime<Local>) -> bool {
        let (last, now) = (last.naive_local(), now.naive_local());
        let ended = self.skip_range.as_ref().filter(|_| self.after_skip_range);
        let ended = ended.map(|range| range.end.on(last.date()) + TimeDelta::seconds(1));
        self.runs.iter().copied().chain(ended).any(|at| last < at && at <= now)
    }

    /// The same entry with another function, without arguments.
    #[must_use]
    pub(super) fn with_function(self, fun: String) -> Self {
        Self { fun, args: Vec::new(), kwargs: Map::new(), ..self }
    }

    /// Whether [`Entry::runs_between`] can be true.
    #[must_use]
    pub fn is_restless(&self) -> bool {
        !self.runs.is_empty() || (self.after_skip_range && self.skip_range.is_some())
    }

    /// Whether an entry that is due runs.
    #[must_use]
    pub fn verdict(&self, now: DateTime<Local>) -> Verdict {
        let now = now.naive_local();
        let instead = |reason| match &self.skip_function {
            Some(fun) => Verdict::RunInstead(fun.clone()),
            None => Verdict::Skip(reason),
        };
        if let Some(range) = &self.range {
            match (range.holds(now), range.invert) {
                (true, false) | (false, true) => {}
                (true, true) => return Verdict::Skip("in_skip_range"),
                (false, false) => return instead("not_in_range"),
            }
        }
        if self.skip_range.as_ref().is_some_and(|range| range.holds(now)) {
            return instead("in_skip_range");
        }
        let skipped = |at: &NaiveDateTime| (TimeDelta::zero()..=TimeDelta::seconds(1)).contains(&(now - *at));
        if self.skips.iter().any(skipped) {
            return instead("skip_explicit");
        }
        if self.closes.as_ref().is_some_and(|closes| closes.on(now.date()) <= now) {
            return Verdict::Skip("until_passed");
        }
        if self.opens.as_ref().is_some_and(|opens| opens.on(now.date()) >= now) {
            return Verdict::Skip("after_not_passed");
        }
        Verdict::Run
    }
}

impl Range {
    fn holds(&self, now: NaiveDateTime) -> bool {
        (self.start.on(now.date())..=self.end.on(now.date())).contains(&now)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a splay is some seconds")]
fn seconds(splay: f64) -> TimeDelta {
    TimeDelta::milliseconds((splay * 1000.0) as i64)
}

fn local_time(at: NaiveDateTime) -> Option<DateTime<Local>> {
    // A time that the change to summer time leaves out is looked for an hour later.
    let found = Local.from_local_datetime(&at).earliest();
    found.or_else(|| Local.from_local_datetime(&(at + TimeDelta::hours(1))).earliest())
}

fn returns(given: Option<&Value>) -> Returns {
    match given {
        Some(Value::Str(text)) if text == "nocache" => Returns::Uncached,
        Some(value) if !value.is_truthy() => Returns::Nobody,
        Some(_) | None => Returns::Master,
    }
}

fn trigger(name: &str, given: &Map, whens: &Map) -> Result<Trigger, EntryError> {
    let has = |key: &str| given.get(key).is_some_and(|value| !value.is_nil());
    let interval = UNITS.iter().any(|(unit, _)| has(unit));
    match (interval, has("cron"), has("when"), has("once")) {
        (true, false, false, false) => every(name, given),
        (false, true, false, false) => {
            let line = given.get("cron").map(ToString::to_string).unwrap_or_default();
            Cron::parse(&line).map(Trigger::Cron).map_err(|error| EntryError::Cron(name.to_owned(), error))
        }
        (false, false, true, false) => when(name, given, whens),
        (false, false, false, true) => {
            let text = given.get("once").map(ToString::to_string).unwrap_or_default();
            let form = given.get("once_fmt").and_then(Value::as_str);
            let at = written(&text, form).ok_or_else(|| EntryError::Moment(name.to_owned(), "once"))?;
            Ok(Trigger::Once(at))
        }
        (false, false, false, false) => Err(EntryError::Trigger(name.to_owned())),
        _ => Err(EntryError::Conflict(name.to_owned())),
    }
}

fn every(name: &str, given: &Map) -> Result<Trigger, EntryError> {
    let wrong = || EntryError::Interval(name.to_owned());
    let mut seconds = 0.0;
    for (unit, length) in UNITS {
        let Some(value) = given.get(unit).filter(|value| !value.is_nil()) else { continue };
        let count = value.as_float().or_else(|| value.as_str()?.trim().parse().ok());
        seconds += count.filter(|count: &f64| count.is_finite() && *count >= 0.0).ok_or_else(wrong)? * length;
    }
    if !(0.1..1e9).contains(&seconds) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be below 1e9 seconds")]
    Ok(Trigger::Every(TimeDelta::milliseconds((seconds * 1000.0) as i64)))
}

fn when(name: &str, given: &Map, whens: &Map) -> Result<Trigger, EntryError> {
    let texts = match given.get("when") {
        Some(Value::List(several)) => several.clone(),
        one => one.cloned().into_iter().collect(),
    };
    let read = |text: &Value| {
        let text = whens.get_value(text).unwrap_or(text).to_string();
        Moment::parse(&text).ok_or_else(|| EntryError::Moment(name.to_owned(), "when"))
    };
    let moments: Vec<Moment> = texts.iter().map(read).collect::<Result<_, _>>()?;
    if moments.is_empty() { Err(EntryError::Trigger(name.to_owned())) } else { Ok(Trigger::When(moments)) }
}

/// A number of seconds at most, or a map with `start` and `end`. A `jitter` may be nothing, a splay is a second at least.
fn splay(given: &Map, common: Option<&Value>) -> (f64, f64) {
    let number = |value: &Value| value.as_float().filter(|number| number.is_finite() && *number >= 0.0);
    if let Some(most) = given.get("jitter").and_then(number) {
        return (0.0, most);
    }
    match given.get("splay").filter(|value| !value.is_nil()).or(common) {
        Some(Value::Map(map)) => {
            let bound = |key: &str| map.get(key).and_then(number).unwrap_or(0.0);
            if bound("end") < bound("start") { (0.0, 0.0) } else { (bound("start"), bound("end")) }
        }
        Some(value) => number(value).map_or((0.0, 0.0), |most| (most.min(1.0), most)),
        None => (0.0, 0.0),
    }
}

fn moment(name: &str, given: &Map, key: &'static str) -> Result<Option<Moment>, EntryError> {
    let Some(value) = given.get(key).filter(|value| !value.is_nil()) else { return Ok(None) };
    let wrong = || EntryError::Moment(name.to_owned(), key);
    Moment::parse(&value.to_string()).map(Some).ok_or_else(wrong)
}

fn range(name: &str, given: Option<&Value>, key: &'static str) -> Result<Option<Range>, EntryError> {
    let Some(given) = given.filter(|value| value.is_truthy()) else { return Ok(None) };
    let bound = |bound: &str| given.get(bound).and_then(|text| Moment::parse(&text.to_string()));
    let wrong = || EntryError::Range(name.to_owned(), key);
    let (start, end) = bound("start").zip(bound("end")).ok_or_else(wrong)?;
    let today = NaiveDateTime::default().date();
    if start.on(today) >= end.on(today) {
        return Err(wrong());
    }
    let invert = given.get("invert").is_some_and(Value::is_truthy);
    Ok(Some(Range { start, end, invert }))
}

/// `skip_explicit` and `run_explicit`: a list of `{time, time_fmt}`.
fn explicit(name: &str, given: &Map, key: &'static str) -> Result<Vec<NaiveDateTime>, EntryError> {
    let read = |item: &Value| {
        let text = item.get("time").unwrap_or(item).to_string();
        written(&text, item.get("time_fmt").and_then(Value::as_str))
            .ok_or_else(|| EntryError::Moment(name.to_owned(), key))
    };
    given.get(key).and_then(Value::as_list).unwrap_or_default().iter().map(read).collect()
}

/// A text in a format of Python's `strptime`, by default `%Y-%m-%dT%H:%M:%S`.
#[must_use]
pub fn written(text: &str, form: Option<&str>) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, form.unwrap_or(TIME_FORMAT)).ok()
}

/// Salt's default format of a point in time.
pub const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";

const UNITS: [(&str, f64); 4] = [("seconds", 1.0), ("minutes", 60.0), ("hours", 3600.0), ("days", 86400.0)];

#[cfg(test)]
mod tests;
