//! One entry of the schedule: what to run, and when it is due. Pure: the time is a parameter.

use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, TimeZone};
use rand::Rng;
use states::{Map, Value};
use thiserror::Error;

use super::cron::{Cron, CronError};

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
    /// Whether the master gets the return.
    pub return_job: bool,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Whether it runs when the minion starts.
    pub run_on_start: bool,
    /// How many may run at once.
    pub max_running: usize,
    trigger: Trigger,
    splay: (f64, f64),
    opens: Option<DateTime<Local>>,
    closes: Option<DateTime<Local>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Trigger {
    Every(TimeDelta),
    Cron(Cron),
}

/// Why an entry cannot be used. The operator's to mend.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EntryError {
    /// It names no function.
    #[error("the schedule entry {0} names no function")]
    Function(String),
    /// It has no interval and no cron line.
    #[error("the schedule entry {0} needs seconds, minutes, hours, days or cron")]
    Trigger(String),
    /// Its interval is not a positive number.
    #[error("the interval of the schedule entry {0} must be a positive number")]
    Interval(String),
    /// Its cron line does not parse.
    #[error("the cron line of the schedule entry {0} cannot be used")]
    Cron(String, #[source] CronError),
    /// It uses an option that is not supported.
    #[error("the schedule entry {0} uses {1}, which this minion does not support: use an interval or cron")]
    Unsupported(String, &'static str),
    /// `after` or `until` is not a point in time.
    #[error("{1} of the schedule entry {0} must be written as YYYY-MM-DDTHH:MM:SS")]
    Moment(String, &'static str),
}

impl Entry {
    /// Reads an entry as an operator writes it.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn read(name: &str, given: &Map) -> Result<Self, EntryError> {
        for option in ["when", "once", "range", "skip_during_range"] {
            if given.contains_key(option) {
                return Err(EntryError::Unsupported(name.to_owned(), option));
            }
        }
        let flag = |key: &str, default: bool| given.get(key).map_or(default, Value::is_truthy);
        let fun = given.get("function").or_else(|| given.get("fun")).and_then(Value::as_str);
        let running =
            given.get("maxrunning").and_then(Value::as_int).and_then(|most| usize::try_from(most).ok());
        Ok(Self {
            name: name.to_owned(),
            fun: fun.ok_or_else(|| EntryError::Function(name.to_owned()))?.to_owned(),
            args: given.get("args").and_then(Value::as_list).unwrap_or_default().to_vec(),
            kwargs: given.get("kwargs").and_then(Value::as_map).cloned().unwrap_or_default(),
            return_job: flag("return_job", true),
            enabled: flag("enabled", true),
            run_on_start: flag("run_on_start", false),
            max_running: running.unwrap_or(1).max(1),
            trigger: trigger(name, given)?,
            splay: splay(given.get("splay")),
            opens: moment(name, given, "after")?,
            closes: moment(name, given, "until")?,
        })
    }

    /// The next time after `now`, splay included.
    pub fn after(&self, now: DateTime<Local>, random: &mut impl Rng) -> DateTime<Local> {
        let base = match &self.trigger {
            Trigger::Every(interval) => now + *interval,
            Trigger::Cron(cron) => {
                let next =
                    cron.after(now.naive_local()).and_then(|at| Local.from_local_datetime(&at).earliest());
                next.unwrap_or(now + TimeDelta::days(366))
            }
        };
        let (least, most) = self.splay;
        let splay = if most > least { random.gen_range(least..=most) } else { most };
        #[expect(clippy::cast_possible_truncation, reason = "a splay is some seconds")]
        let splay = TimeDelta::milliseconds((splay * 1000.0) as i64);
        base + splay
    }

    /// Whether `after` has passed and `until` has not.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Local>) -> bool {
        self.opens.is_none_or(|opens| now >= opens) && self.closes.is_none_or(|closes| now <= closes)
    }
}

fn trigger(name: &str, given: &Map) -> Result<Trigger, EntryError> {
    if let Some(line) = given.get("cron") {
        let cron =
            Cron::parse(&line.to_string()).map_err(|error| EntryError::Cron(name.to_owned(), error))?;
        return Ok(Trigger::Cron(cron));
    }
    let units = [("seconds", 1.0), ("minutes", 60.0), ("hours", 3600.0), ("days", 86400.0)];
    let mut seconds = None;
    for (unit, length) in units {
        let Some(value) = given.get(unit) else { continue };
        let count = value.as_float().or_else(|| value.as_str()?.trim().parse().ok());
        let count = count.filter(|count: &f64| count.is_finite() && *count >= 0.0);
        let count = count.ok_or_else(|| EntryError::Interval(name.to_owned()))?;
        seconds = Some(seconds.unwrap_or(0.0) + count * length);
    }
    let seconds = seconds.ok_or_else(|| EntryError::Trigger(name.to_owned()))?;
    if !(0.1..1e9).contains(&seconds) {
        return Err(EntryError::Interval(name.to_owned()));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be below 1e9 seconds")]
    Ok(Trigger::Every(TimeDelta::milliseconds((seconds * 1000.0) as i64)))
}

/// A number of seconds at most, or a map with `start` and `end`.
fn splay(given: Option<&Value>) -> (f64, f64) {
    let number = |value: &Value| value.as_float().filter(|number| number.is_finite() && *number >= 0.0);
    match given {
        Some(Value::Map(map)) => {
            let bound = |key: &str| map.get(key).and_then(number).unwrap_or(0.0);
            (bound("start").min(bound("end")), bound("end"))
        }
        Some(value) => (0.0, number(value).unwrap_or(0.0)),
        None => (0.0, 0.0),
    }
}

fn moment(name: &str, given: &Map, key: &'static str) -> Result<Option<DateTime<Local>>, EntryError> {
    let Some(value) = given.get(key).filter(|value| !value.is_nil()) else { return Ok(None) };
    let text = value.to_string().replace(' ', "T");
    let parsed = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok());
    let parsed = parsed.and_then(|at| Local.from_local_datetime(&at).earliest());
    parsed.map(Some).ok_or_else(|| EntryError::Moment(name.to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Result<Entry, EntryError> {
        Entry::read("job1", states::yaml::load(text).unwrap().as_map().unwrap())
    }

    fn noon() -> DateTime<Local> {
        Local.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
    }

    #[test]
    fn adds_up_the_units_of_an_interval() {
        let entry = entry("{function: test.ping, minutes: 1, seconds: 30}").unwrap();
        assert_eq!(entry.after(noon(), &mut rand::thread_rng()), noon() + TimeDelta::seconds(90));
    }

    #[test]
    fn splays_between_its_bounds() {
        let entry = entry("{function: test.ping, seconds: 60, splay: {start: 5, end: 10}}").unwrap();
        for _ in 0..50 {
            let later = entry.after(noon(), &mut rand::thread_rng()) - noon();
            assert!((65_000..=70_000).contains(&later.num_milliseconds()), "{later}");
        }
    }

    #[test]
    fn is_open_between_after_and_until() {
        let entry = entry(
            "{function: test.ping, seconds: 1, after: '2026-11-22T11:00:00', until: '2026-11-22T13:00:00'}",
        )
        .unwrap();
        assert!(entry.is_open(noon()));
        assert!(!entry.is_open(noon() + TimeDelta::hours(2)));
        assert!(!entry.is_open(noon() - TimeDelta::hours(2)));
    }

    #[test]
    fn refuses_what_it_cannot_honour() {
        assert_eq!(entry("{seconds: 1}"), Err(EntryError::Function("job1".to_owned())));
        assert_eq!(entry("{function: test.ping}"), Err(EntryError::Trigger("job1".to_owned())));
        assert_eq!(entry("{function: a.b, seconds: 0}"), Err(EntryError::Interval("job1".to_owned())));
        assert_eq!(
            entry("{function: a.b, when: 5:00pm}"),
            Err(EntryError::Unsupported("job1".to_owned(), "when"))
        );
        assert!(matches!(entry("{function: a.b, cron: 'x * * * *'}"), Err(EntryError::Cron(..))));
    }
}
