//! When a job runs: an interval or a cron line, quiet hours in which nothing is read, and who goes first.
//!
//! Times of day are those of the machine the agent runs on. Pure: the caller brings the clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Local, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use serde::{Deserialize, Serialize};

use crate::schedule::cron::Cron;

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// From the end of one pass to the start of the next, when there is no cron line.
    pub interval: Duration,
    /// A cron line, checked when it was declared.
    pub cron: Option<String>,
    /// When nothing is read.
    pub quiet: Vec<QuietHours>,
    /// Who goes first when jobs wait for a connection: the smallest number.
    pub priority: u8,
    /// After which time of day every row is compared with what was delivered, once a day.
    #[serde(default)]
    pub audit: Option<TimeOfDay>,
}

/// A time of day, in minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOfDay(u16);

/// A span of the day, over midnight when it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// Minutes since midnight.
    from: u16,
    /// Minutes since midnight.
    to: u16,
}

impl Timing {
    /// Every `interval`, at any hour, with the middle priority.
    pub fn every(interval: Duration) -> Self {
        Self { interval, cron: None, quiet: Vec::new(), priority: MIDDLE, audit: None }
    }

    /// How long after a pass that ended at `now` the next one begins, quiet hours left out of account.
    pub fn pause(&self, now: DateTime<Local>) -> Duration {
        let cron = self.cron.as_deref().and_then(|line| Cron::parse(line).ok());
        let next = cron.and_then(|cron| cron.after(now.naive_local()));
        match next {
            Some(next) => (next - now.naive_local()).to_std().unwrap_or(self.interval),
            None => self.interval,
        }
    }

    /// When the last audit was due before `now`, in seconds since 1970.
    pub fn audit_due(&self, now: DateTime<Local>) -> Option<u64> {
        let of_day = i64::from(now.num_seconds_from_midnight());
        let ago = (of_day - i64::from(self.audit?.0) * 60).rem_euclid(SECONDS_OF_DAY);
        u64::try_from(now.timestamp() - ago).ok()
    }

    /// How long the quiet hours around `now` go on; `None` outside of them.
    pub fn quiet_for(&self, now: NaiveDateTime) -> Option<Duration> {
        self.quiet.iter().filter_map(|hours| hours.left(now)).max()
    }
}

impl QuietHours {
    fn left(self, now: NaiveDateTime) -> Option<Duration> {
        let minute = u16::try_from(now.num_seconds_from_midnight() / 60).ok()?;
        let inside = if self.from <= self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        };
        let end = now.date().and_time(time(self.to)?);
        let end = if end <= now { end + TimeDelta::days(1) } else { end };
        inside.then(|| (end - now).to_std().ok()).flatten()
    }
}

impl FromStr for QuietHours {
    type Err = ();

    /// Reads `HH:MM-HH:MM`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (from, to) = text.split_once('-').ok_or(())?;
        let minute = |text: &str| -> Result<u16, ()> {
            let time = NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| ())?;
            u16::try_from(time.num_seconds_from_midnight() / 60).map_err(|_| ())
        };
        let hours = Self { from: minute(from)?, to: minute(to)? };
        if hours.from == hours.to { Err(()) } else { Ok(hours) }
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl TimeOfDay {
    /// From minutes since midnight; what an unquoted `2:30` is in YAML.
    pub fn from_minutes(minutes: i64) -> Option<Self> {
        u16::try_from(minutes).ok().filter(|minutes| *minutes < 24 * 60).map(Self)
    }
}

impl FromStr for TimeOfDay {
    type Err = ();

    /// Reads `HH:MM`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let time = NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| ())?;
        Self::from_minutes(i64::from(time.num_seconds_from_midnight() / 60)).ok_or(())
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

fn time(minute: u16) -> Option<NaiveTime> {
    NaiveTime::from_num_seconds_from_midnight_opt(u32::from(minute) * 60, 0)
}

const SECONDS_OF_DAY: i64 = 24 * 3600;
/// Neither before nor after the others.
pub const MIDDLE: u8 = 50;

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn at(hour: u32, minute: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, 1, 2).unwrap().and_hms_opt(hour, minute, 0).unwrap()
    }

    #[test]
    fn quiet_hours_may_go_over_midnight() {
        let mut timing = Timing::every(Duration::from_secs(600));
        timing.quiet = vec!["22:30-01:00".parse().unwrap(), "12:00-13:00".parse().unwrap()];
        assert_eq!(timing.quiet_for(at(22, 29)), None);
        assert_eq!(timing.quiet_for(at(23, 0)), Some(Duration::from_secs(7200)));
        assert_eq!(timing.quiet_for(at(0, 30)), Some(Duration::from_secs(1800)));
        assert_eq!(timing.quiet_for(at(1, 0)), None);
        assert_eq!(timing.quiet_for(at(12, 59)), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_span_that_is_no_span_is_refused() {
        for text in ["", "12:00", "12:00-12:00", "25:00-26:00", "noon-13:00"] {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
        assert_eq!("7:05-22:30".parse::<QuietHours>().unwrap().to_string(), "07:05-22:30");
    }

    #[test]
    fn an_audit_is_due_once_a_day_at_its_time() {
        let mut timing = Timing::every(Duration::from_secs(600));
        let now = Local::now();
        assert_eq!(timing.audit_due(now), None);
        for time in ["00:00", "02:30", "23:59"] {
            timing.audit = Some(time.parse().unwrap());
            let due = timing.audit_due(now).unwrap();
            let ago = u64::try_from(now.timestamp()).unwrap() - due;
            assert!(ago < 24 * 3600, "{time} was due {ago} s ago");
            assert_eq!(timing.audit_due(now - TimeDelta::seconds(ago.cast_signed())), Some(due));
            let before = timing.audit_due(now - TimeDelta::seconds(ago.cast_signed() + 1));
            assert_eq!(before, Some(due - 24 * 3600));
        }
        assert!("24:00".parse::<TimeOfDay>().is_err() && TimeOfDay::from_minutes(1440).is_none());
        assert_eq!(
            TimeOfDay::from_minutes(150).unwrap().to_string(),
            "02:30",
            "an unquoted 2:30 is 150 in YAML"
        );
    }

    #[test]
    fn a_cron_line_wins_over_the_interval() {
        let mut timing = Timing::every(Duration::from_secs(5));
        let now = Local::now();
        assert_eq!(timing.pause(now), Duration::from_secs(5));
        timing.cron = Some("* * * * *".into());
        assert!(timing.pause(now) <= Duration::from_secs(60));
    }
}
