//! Points in time as operators write them: `2026-11-22T05:00:00`, `11/22/2026 5:00pm`, `Monday 3:00pm`, `5:00pm`. Pure.
//!
//! Salt reads them with `dateutil`, afresh at each look: a time without a day is that time of every day, and a weekday is
//! the next one. [`Moment`] keeps what was written; [`Moment::on`] reads it on a given day, [`Moment::after`] finds the
//! next one. Time zones are refused: the schedule runs by the machine's own clock.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};

/// What an operator wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moment {
    day: Day,
    time: NaiveTime,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Day {
    On(NaiveDate),
    Every,
    Weekday(Weekday),
}

impl Moment {
    /// Reads a text; `None` when it is no point in time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let mut parts = Parts::default();
        for token in text.split([' ', ',', '\t']).filter(|token| !token.is_empty()) {
            parts.take(token)?;
        }
        parts.finish()
    }

    /// A certain point in time.
    #[must_use]
    pub fn at(at: NaiveDateTime) -> Self {
        Self { day: Day::On(at.date()), time: at.time() }
    }

    /// The point that the text means when it is read on `today`.
    #[must_use]
    pub fn on(&self, today: NaiveDate) -> NaiveDateTime {
        let day = match self.day {
            Day::On(day) => day,
            Day::Every => today,
            Day::Weekday(weekday) => {
                let ahead = (7 + weekday.num_days_from_monday() - today.weekday().num_days_from_monday()) % 7;
                today + TimeDelta::days(i64::from(ahead))
            }
        };
        day.and_time(self.time)
    }

    /// The first such point after `now`; `None` when there is none.
    #[must_use]
    pub fn after(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let again = match self.day {
            Day::On(_) => None,
            Day::Every => Some(TimeDelta::days(1)),
            Day::Weekday(_) => Some(TimeDelta::days(7)),
        };
        let at = self.on(now.date());
        if at > now { Some(at) } else { again.map(|step| at + step) }
    }
}

#[derive(Default)]
struct Parts {
    date: Option<NaiveDate>,
    weekday: Option<Weekday>,
    month: Option<u32>,
    numbers: Vec<u32>,
    time: Option<NaiveTime>,
}

impl Parts {
    fn take(&mut self, token: &str) -> Option<()> {
        let lower = token.to_lowercase();
        if let Some((date, time)) = lower.split_once('t').filter(|(date, _)| date.contains('-')) {
            self.date = Some(whole_date(date)?);
            self.time = Some(time_of_day(time)?);
        } else if matches!(lower.as_str(), "am" | "pm") {
            self.half(&lower)?;
        } else if lower.contains(':') || lower.ends_with("am") || lower.ends_with("pm") {
            self.time = Some(time_of_day(&lower)?);
        } else if let Some(date) = whole_date(&lower) {
            self.date = Some(date);
        } else if let Some(month) = named(&lower, &MONTHS) {
            self.month = Some(month + 1);
        } else if let Some(day) = named(&lower, &WEEKDAYS) {
            self.weekday = Some(Weekday::try_from(u8::try_from(day).ok()?).ok()?);
        } else {
            let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
            let ending = &lower[digits.len()..];
            if !matches!(ending, "" | "st" | "nd" | "rd" | "th") {
                return None;
            }
            self.numbers.push(digits.parse().ok()?);
        }
        Some(())
    }

    /// `pm` after a time that was written without it.
    fn half(&mut self, half: &str) -> Option<()> {
        let time = match self.time {
            Some(time) => time.format("%H:%M:%S").to_string(),
            None => self.numbers.pop()?.to_string(),
        };
        self.time = Some(time_of_day(&format!("{time}{half}"))?);
        Some(())
    }

    fn finish(self) -> Option<Moment> {
        let named = match (self.month, self.numbers.as_slice()) {
            (None, []) => None,
            (Some(month), [day, year] | [year, day]) if *year > 31 => {
                Some(NaiveDate::from_ymd_opt(i32::try_from(*year).ok()?, month, *day)?)
            }
            _ => return None,
        };
        let day = match (self.date.or(named), self.weekday) {
            (Some(date), _) => Day::On(date),
            (None, Some(weekday)) => Day::Weekday(weekday),
            (None, None) => Day::Every,
        };
        Some(Moment { day, time: self.time.unwrap_or_default() })
    }
}

/// The place in a list of names, by the name or its first three letters.
fn named(word: &str, names: &[&str]) -> Option<u32> {
    let word = word.trim_end_matches('.');
    let at = names.iter().position(|name| *name == word || (word.len() == 3 && name.starts_with(word)))?;
    u32::try_from(at).ok()
}

fn whole_date(text: &str) -> Option<NaiveDate> {
    DATES.iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok()).filter(|date| date.year() > 999)
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let (clock, half) = match text.strip_suffix("am") {
        Some(clock) => (clock, Some(false)),
        None => text.strip_suffix("pm").map_or((text, None), |clock| (clock, Some(true))),
    };
    let mut parts = clock.trim().split(':').map(|part| part.parse::<f64>().ok());
    let hour = parts.next()??;
    let minute = parts.next().unwrap_or(Some(0.0))?;
    let second = parts.next().unwrap_or(Some(0.0))?;
    let alone = !clock.contains(':') && half.is_none();
    let bad = |number: f64, most: f64| !(0.0..most).contains(&number) || number.is_sign_negative();
    if parts.next().is_some() || alone || bad(hour, 24.0) || bad(minute, 60.0) || bad(second, 60.0) {
        return None;
    }
    let hour = match half {
        Some(_) if !(1.0..=12.0).contains(&hour) => return None,
        Some(late) => hour % 12.0 + if late { 12.0 } else { 0.0 },
        None => hour,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a time of day"
    )]
    NaiveTime::from_hms_opt(hour as u32, minute as u32, second as u32)
}

const DATES: [&str; 4] = ["%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%m-%d-%Y"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

#[cfg(test)]
mod tests {
    use super::*;

    /// 22 November 2026 is a Sunday.
    fn noon() -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, 11, 22).unwrap().and_hms_opt(12, 0, 0).unwrap()
    }

    fn next(text: &str) -> Option<String> {
        let at = Moment::parse(text).unwrap().after(noon());
        at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string())
    }

    #[test]
    fn reads_what_salts_documentation_writes() {
        // `dateutil.parser.parse` of 2.9 reads the same on that day; what is past then is looked for on the next one.
        for (text, meant) in [
            ("2026-11-23T05:00:00", "2026-11-23 05:00:00"),
            ("2026-11-23 05:00", "2026-11-23 05:00:00"),
            ("2026/11/23 5:00pm", "2026-11-23 17:00:00"),
            ("11/23/2026 5pm", "2026-11-23 17:00:00"),
            ("November 23, 2026 4:30 PM", "2026-11-23 16:30:00"),
            ("23rd Nov 2026", "2026-11-23 00:00:00"),
            ("5:00pm", "2026-11-22 17:00:00"),
            ("12am", "2026-11-23 00:00:00"),
            ("5 pm", "2026-11-22 17:00:00"),
            ("8:00am", "2026-11-23 08:00:00"),
            ("Monday 3:00pm", "2026-11-23 15:00:00"),
            ("Sunday 1:00pm", "2026-11-22 13:00:00"),
            ("sun 11:00", "2026-11-29 11:00:00"),
        ] {
            assert_eq!(next(text).as_deref(), Some(meant), "{text:?}");
        }
        assert_eq!(next("2026-11-21T05:00:00"), None);
    }

    #[test]
    fn refuses_what_is_no_point_in_time() {
        for text in
            ["", "soon", "25:00", "5:61", "13pm", "2026-13-01", "5", "2026-11-22T05:00:00Z", "Blursday 5pm"]
        {
            assert_eq!(Moment::parse(text), None, "{text:?}");
        }
    }
}
