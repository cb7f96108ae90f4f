//! Cron lines: five fields with lists, ranges, steps and names. Pure.
//!
//! As in cron, a day is chosen when the day of the month or the day of the week fits, where both are restricted.

use chrono::{Datelike, NaiveDateTime, TimeDelta, Timelike};
use thiserror::Error;

/// A parsed line: the allowed values of each field as bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    any_day: bool,
    any_weekday: bool,
}

/// Why a line is no cron line.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CronError {
    /// Not five fields.
    #[error("{0:?} has not the five fields minute, hour, day, month, weekday")]
    Fields(String),
    /// A field that names no values.
    #[error("{field:?} is not a list of values from {least} to {most}")]
    Field {
        /// The field.
        field: String,
        /// The smallest value.
        least: u32,
        /// The largest value.
        most: u32,
    },
}

impl Cron {
    /// Parses a line, or one of `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`.
    ///
    /// # Errors
    /// See [`CronError`].
    pub fn parse(line: &str) -> Result<Self, CronError> {
        let line = NAMED.iter().find(|(name, _)| *name == line.trim()).map_or(line, |(_, line)| line);
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(CronError::Fields(line.to_owned()));
        };
        let weekdays = field(weekday, 0, 7, WEEKDAYS)?;
        Ok(Self {
            minute: field(minute, 0, 59, &[])?,
            hour: field(hour, 0, 23, &[])?,
            day: field(day, 1, 31, &[])?,
            month: field(month, 1, 12, MONTHS)?,
            // 7 is Sunday as well.
            weekday: (weekdays | (weekdays >> 7)) & 0x7f,
            any_day: day.starts_with('*'),
            any_weekday: weekday.starts_with('*'),
        })
    }

    /// The first minute after `now` that fits; `None` when none does within eight years.
    #[must_use]
    pub fn after(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut at = now.with_second(0)?.with_nanosecond(0)? + TimeDelta::minutes(1);
        let end = now + TimeDelta::days(8 * 366);
        while at < end {
            if !self.fits_day(at) {
                at = at.date().and_hms_opt(0, 0, 0)? + TimeDelta::days(1);
            } else if self.hour & (1 << at.hour()) == 0 {
                at = at.with_minute(0)? + TimeDelta::hours(1);
            } else if self.minute & (1 << at.minute()) == 0 {
                at += TimeDelta::minutes(1);
            } else {
                return Some(at);
            }
        }
        None
    }

    fn fits_day(&self, at: NaiveDateTime) -> bool {
        let day = self.day & (1 << at.day()) != 0;
        let weekday = self.weekday & (1 << at.weekday().num_days_from_sunday()) != 0;
        let fits = match (self.any_day, self.any_weekday) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        fits && self.month & (1 << at.month()) != 0
    }
}

fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Result<u64, CronError> {
    let wrong = || CronError::Field { field: text.to_owned(), least, most };
    let value = |word: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + least);
        named.or_else(|| word.parse().ok()).filter(|value| (least..=most).contains(value)).ok_or_else(wrong)
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step: usize = step.map_or(Ok(1), |step| step.parse().map_err(|_| wrong()))?;
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (value(from)?, value(to)?),
            None if part.contains('/') => (value(range)?, most),
            None => (value(range)?, value(range)?),
        };
        if step == 0 || from > to {
            return Err(wrong());
        }
        (from..=to).step_by(step).for_each(|value| bits |= 1 << value);
    }
    Ok(bits)
}

const NAMED: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

#[cfg(test)]
mod tests {
    use super::*;

    fn next(line: &str) -> String {
        let now = NaiveDateTime::parse_from_str("2026-11-22T12:00:30", "%Y-%m-%dT%H:%M:%S").unwrap();
        Cron::parse(line)
            .unwrap()
            .after(now)
            .map(|at| at.format("%Y-%m-%dT%H:%M").to_string())
            .unwrap_or_default()
    }

    #[test]
    fn finds_the_next_minute() {
        assert_eq!(next("* * * * *"), "2026-11-22T12:01");
        assert_eq!(next("*/15 * * * *"), "2026-11-22T12:15");
        assert_eq!(next("0 6 * * *"), "2026-11-23T06:00");
        assert_eq!(next("30 9-17/2 * * mon-fri"), "2026-11-23T09:30");
        assert_eq!(next("0 0 29 2 *"), "2028-02-29T00:00");
        assert_eq!(next("0 0 1 jan *"), "2027-01-01T00:00");
        assert_eq!(next("@hourly"), "2026-11-22T13:00");
        assert_eq!(next("0 0 30 2 *"), "");
    }

    #[test]
    fn takes_either_day_when_both_are_given() {
        // 22 November 2026 is a Sunday.
        assert_eq!(next("0 0 25 * 7"), "2026-11-25T00:00");
        assert_eq!(next("0 0 30 * 1"), "2026-11-23T00:00");
        assert_eq!(next("0 13 * * sun"), "2026-11-22T13:00");
    }

    #[test]
    fn refuses_what_is_no_cron_line() {
        for line in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "* * 0 * *",
            "x * * * *",
        ] {
            assert!(Cron::parse(line).is_err(), "{line:?}");
        }
    }
}
