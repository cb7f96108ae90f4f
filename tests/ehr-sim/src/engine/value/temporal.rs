//! Dates and times: calendar arithmetic, reading and writing them as text, dateparts.
//!
//! A [`Moment`] is days from 0001-01-01 and 100 ns ticks; every temporal type converts through it. Language is
//! us_english (mdy, week starts Sunday).
//!
//! Facts: "CAST and CONVERT" (styles), "DATEPART", "DATEADD", "DATEDIFF", "datetime" (rounding to 1/300 s).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use crate::types::{DateTimeValue, Datum, OffsetValue};

/// 100 ns ticks in a second.
pub const SECOND: u64 = 10_000_000;
/// 100 ns ticks in a day.
pub const DAY: u64 = 86_400 * SECOND;
/// Days from 0001-01-01 to 1900-01-01.
pub const EPOCH_1900: i32 = 693_595;
/// Days from 0001-01-01 to 1753-01-01, the first of datetime.
pub const FIRST_DATETIME: i32 = 639_905;
/// Days from 0001-01-01 to 9999-12-31.
pub const LAST_DAY: i32 = 3_652_058;
const TICKS_300: u64 = 300;

/// A point on the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub days: i32,
    pub ticks: u64,
}

/// Text read as a date, a time, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedMoment {
    pub days: Option<i32>,
    pub ticks: u64,
    pub offset: Option<i16>,
}

/// Days from 0001-01-01 of a civil date (Howard Hinnant's algorithm).
pub fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month as i32 + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day as i32 - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 306
}

/// Year, month, day of days from 0001-01-01.
pub fn civil_from_days(days: i32) -> (i32, u32, u32) {
    let z = days + 306;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i32::from(month <= 2);
    (year, month as u32, (doy - (153 * mp + 2) / 5 + 1) as u32)
}

/// The last day of a month.
pub fn month_length(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl Moment {
    /// datetime: rounded to the nearest 1/300 s.
    pub fn to_datetime(self) -> Option<DateTimeValue> {
        let mut ticks = (self.ticks * TICKS_300 + SECOND / 2) / SECOND;
        let mut days = self.days;
        if ticks == 86_400 * TICKS_300 {
            ticks = 0;
            days += 1;
        }
        (FIRST_DATETIME..=LAST_DAY)
            .contains(&days)
            .then_some(DateTimeValue { days: days - EPOCH_1900, ticks })
    }

    /// smalldatetime: rounded to the minute.
    pub fn to_smalldatetime(self) -> Option<DateTimeValue> {
        // 29.998 s round down and 29.999 s up, because the value is a datetime first.
        let ticks = (self.ticks * TICKS_300 + SECOND / 2) / SECOND;
        let mut minutes = (ticks + 30 * TICKS_300) / (60 * TICKS_300);
        let mut days = self.days - EPOCH_1900;
        if minutes == 1440 {
            minutes = 0;
            days += 1;
        }
        (0..=65_535).contains(&days).then_some(DateTimeValue { days, ticks: minutes })
    }

    /// Rounded to `scale` digits of a second.
    pub fn rounded(self, scale: u8) -> Option<Self> {
        let unit = 10u64.pow(7 - u32::from(scale.min(7)));
        let ticks = (self.ticks + unit / 2) / unit * unit;
        if ticks < DAY {
            return Some(Self { days: self.days, ticks });
        }
        (self.days < LAST_DAY).then_some(Self { days: self.days + 1, ticks: 0 })
    }

    /// Total 100 ns ticks since 0001-01-01.
    pub fn total(self) -> i128 {
        i128::from(self.days) * i128::from(DAY) + i128::from(self.ticks)
    }

    /// The moment of a tick count, if on the calendar.
    pub fn from_total(total: i128) -> Option<Self> {
        let days = i32::try_from(total.div_euclid(i128::from(DAY))).ok()?;
        let ticks = total.rem_euclid(i128::from(DAY)) as u64;
        (0..=LAST_DAY).contains(&days).then_some(Self { days, ticks })
    }

    /// Moved by minutes (an offset).
    pub fn shifted(self, minutes: i64) -> Option<Self> {
        Self::from_total(self.total() + i128::from(minutes) * 60 * i128::from(SECOND))
    }
}

/// The moment a temporal value stands for, local time for an offset value; a bare time is on 1900-01-01.
pub fn moment(value: &Datum) -> Option<Moment> {
    match *value {
        Datum::Date(days) => Some(Moment { days, ticks: 0 }),
        Datum::Time(ticks) => Some(Moment { days: EPOCH_1900, ticks }),
        Datum::DateTime(v) => Some(Moment {
            days: v.days + EPOCH_1900,
            ticks: (v.ticks * SECOND * 2 + TICKS_300) / (2 * TICKS_300),
        }),
        Datum::SmallDateTime(v) => Some(Moment { days: v.days + EPOCH_1900, ticks: v.ticks * 60 * SECOND }),
        Datum::DateTime2(v) => Some(Moment { days: v.days, ticks: v.ticks }),
        Datum::DateTimeOffset(v) => {
            Moment { days: v.utc.days, ticks: v.utc.ticks }.shifted(i64::from(v.offset))
        }
        _ => None,
    }
}

/// An offset value of local time.
pub fn with_offset(local: Moment, offset: i16) -> Option<OffsetValue> {
    let utc = local.shifted(-i64::from(offset))?;
    Some(OffsetValue { utc: DateTimeValue { days: utc.days, ticks: utc.ticks }, offset })
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads what us_english accepts: ISO (with T, Z, offset), `yyyymmdd`, `m/d/y`, `y-m-d`, month names; time alone.
pub fn parse(text: &str) -> Option<ParsedMoment> {
    parse_ordered(text, DateOrder::Usual)
}

/// In which order the numbers of a date are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// As us_english has it: month first, unless a year of four digits comes first.
    Usual,
    Mdy,
    Dmy,
    Ymd,
}

impl DateOrder {
    /// What CONVERT's style asks of a text; `None` for a style that is not known here.
    pub fn of_style(style: i32) -> Option<Self> {
        Some(match style {
            0 | 100 | 6 | 106 | 7 | 107 | 8 | 108 | 9 | 109 | 12 | 112 | 13 | 113 | 14 | 114 => Self::Usual,
            1 | 101 | 10 | 110 | 22 => Self::Mdy,
            3 | 103 | 4 | 104 | 5 | 105 => Self::Dmy,
            2 | 102 | 11 | 111 | 20 | 120 | 21 | 121 | 23 | 25 | 126 | 127 => Self::Ymd,
            _ => return None,
        })
    }
}

/// The same with the numbers of the date in a given order.
pub fn parse_ordered(text: &str, order: DateOrder) -> Option<ParsedMoment> {
    let text = text.trim();
    if text.is_empty() {
        return Some(ParsedMoment { days: Some(EPOCH_1900), ticks: 0, offset: None });
    }
    let (date, rest) = match parse_date(text, order) {
        Some((days, rest)) => (Some(days), rest),
        None => (None, text),
    };
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim();
    if rest.is_empty() {
        return date.map(|days| ParsedMoment { days: Some(days), ticks: 0, offset: None });
    }
    let (ticks, offset) = parse_time(rest)?;
    Some(ParsedMoment { days: date, ticks, offset })
}

fn parse_date(text: &str, order: DateOrder) -> Option<(i32, &str)> {
    if let Some(found) = parse_named(text) {
        return Some(found);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '/' | '.')).unwrap_or(text.len());
    let (date, rest) = text.split_at(end);
    if rest.starts_with(':') {
        return None;
    }
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let n = |s: &str| s.parse::<i32>().ok();
    let (y, m, d) = match parts.as_slice() {
        [one] if one.len() == 8 => (n(&one[..4])?, n(&one[4..6])?, n(&one[6..])?),
        [one] if one.len() == 6 => (two_digit(n(&one[..2])?), n(&one[2..4])?, n(&one[4..])?),
        [one] if one.len() == 4 && rest.trim().is_empty() => (n(one)?, 1, 1),
        [y, m, d] if order == DateOrder::Ymd => (year(y)?, n(m)?, n(d)?),
        [d, m, y] if order == DateOrder::Dmy => (year(y)?, n(m)?, n(d)?),
        [m, d, y] if order == DateOrder::Mdy => (year(y)?, n(m)?, n(d)?),
        [y, m, d] if y.len() == 4 => (n(y)?, n(m)?, n(d)?),
        [m, d, y] if y.len() == 4 => (n(y)?, n(m)?, n(d)?),
        [m, d, y] if y.len() <= 2 && !y.is_empty() => (two_digit(n(y)?), n(m)?, n(d)?),
        _ => return None,
    };
    checked_days(y, m, d).map(|days| (days, rest))
}

/// Whether a text has the form of a date in numbers, whatever the numbers are.
pub fn is_numeric_date(text: &str) -> bool {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '/' | '.')).unwrap_or(text.len());
    let parts: Vec<usize> = text[..end].split(['-', '/', '.']).map(str::len).collect();
    matches!(parts.as_slice(), [6 | 8] | [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 2 | 4])
}

/// A year of four digits, or of two.
fn year(text: &str) -> Option<i32> {
    match text.len() {
        4 => text.parse().ok(),
        2 => text.parse().ok().map(two_digit),
        _ => None,
    }
}

fn two_digit(year: i32) -> i32 {
    if year < 50 { 2000 + year } else { 1900 + year }
}

fn checked_days(y: i32, m: i32, d: i32) -> Option<i32> {
    let (m, d) = (u32::try_from(m).ok()?, u32::try_from(d).ok()?);
    let valid = (1..=9999).contains(&y) && (1..=12).contains(&m) && d >= 1 && d <= month_length(y, m);
    valid.then(|| days_from_civil(y, m, d))
}

/// `Nov 22 2026`, `22 November 2026`, `November 22, 2026`.
fn parse_named(text: &str) -> Option<(i32, &str)> {
    let mut words = Vec::new();
    let mut rest = text;
    while words.len() < 3 {
        rest = rest.trim_start_matches([' ', ',']);
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    let month = |w: &str| {
        (w.len() >= 3 && w.chars().all(char::is_alphabetic))
            .then(|| MONTHS.iter().position(|m| w.get(..3).is_some_and(|p| p.eq_ignore_ascii_case(m))))
            .flatten()
    };
    let (m, d, y) = match (month(words[0]), month(words[1])) {
        (Some(m), _) => (m, words[1], words[2]),
        (None, Some(m)) => (m, words[0], words[2]),
        (None, None) => return None,
    };
    let days = checked_days(y.parse().ok()?, m as i32 + 1, d.parse().ok()?)?;
    Some((days, rest))
}

fn parse_time(text: &str) -> Option<(u64, Option<i16>)> {
    let (text, offset) = split_offset(text)?;
    let lower = text.trim().to_ascii_lowercase();
    let (clock, half) =
        match lower.strip_suffix("am").map(|t| (t, 0)).or(lower.strip_suffix("pm").map(|t| (t, 12))) {
            Some((clock, half)) => (clock.trim_end(), Some(half)),
            None => (lower.as_str(), None),
        };
    let parts: Vec<&str> = clock.split(':').collect();
    if parts.len() == 1 && half.is_none() || parts.len() > 4 {
        return None;
    }
    let mut hour: u64 = parts[0].parse().ok()?;
    if let Some(half) = half {
        hour = (1..=12).contains(&hour).then_some(hour % 12 + half)?;
    }
    let minute: u64 = parts.get(1).map_or(Some(0), |p| p.parse().ok())?;
    let (seconds, fraction) = match (parts.get(2), parts.get(3)) {
        (None, _) => (0, 0),
        (Some(s), Some(millis)) => (s.parse().ok()?, millis.parse::<u64>().ok()? * 10_000),
        (Some(s), None) => parse_seconds(s)?,
    };
    let valid = hour < 24 && minute < 60 && seconds < 60;
    valid.then(|| ((hour * 3600 + minute * 60 + seconds) * SECOND + fraction, offset))
}

fn parse_seconds(text: &str) -> Option<(u64, u64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 7 {
        return None;
    }
    let padded: String = fraction.chars().chain("0000000".chars()).take(7).collect();
    Some((whole.parse().ok()?, padded.parse().ok()?))
}

fn split_offset(text: &str) -> Option<(&str, Option<i16>)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, Some(0)));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, None)) };
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let total = hours.parse::<i16>().ok()? * 60 + minutes.parse::<i16>().ok()?;
    let total = if text[at..].starts_with('-') { -total } else { total };
    (total.abs() <= 840).then_some((&text[..at], Some(total)))
}

/// `hh:mm:ss[.fffffff]`
pub fn format_time(ticks: u64, scale: u8) -> String {
    let seconds = ticks / SECOND;
    let base = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if scale == 0 {
        return base;
    }
    let fraction = format!("{:07}", ticks % SECOND);
    format!("{base}.{}", &fraction[..usize::from(scale)])
}

/// `yyyy-mm-dd`
pub fn format_date(days: i32) -> String {
    let (y, m, d) = civil_from_days(days);
    format!("{y:04}-{m:02}-{d:02}")
}

/// `+hh:mm`
pub fn format_offset(offset: i16) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
}

/// A datetime by CONVERT style; `None` for a style that does not exist or is not carried here.
pub fn format_style(m: Moment, style: i32, scale: u8) -> Option<String> {
    let (y, mo, d) = civil_from_days(m.days);
    let name = MONTHS[(mo - 1) as usize];
    let (seconds, millis) = (m.ticks / SECOND, m.ticks % SECOND / 10_000);
    let (h, mi, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (h12, half) = ((h + 11) % 12 + 1, if h < 12 { "AM" } else { "PM" });
    let yy = y % 100;
    Some(match style {
        0 | 100 => format!("{name} {d:>2} {y:04} {h12:>2}:{mi:02}{half}"),
        1 => format!("{mo:02}/{d:02}/{yy:02}"),
        101 => format!("{mo:02}/{d:02}/{y:04}"),
        2 => format!("{yy:02}.{mo:02}.{d:02}"),
        102 => format!("{y:04}.{mo:02}.{d:02}"),
        103 => format!("{d:02}/{mo:02}/{y:04}"),
        104 => format!("{d:02}.{mo:02}.{y:04}"),
        105 => format!("{d:02}-{mo:02}-{y:04}"),
        106 => format!("{d:02} {name} {y:04}"),
        107 => format!("{name} {d:02}, {y:04}"),
        8 | 108 | 24 => format!("{h:02}:{mi:02}:{s:02}"),
        109 => format!("{name} {d:>2} {y:04} {h12:>2}:{mi:02}:{s:02}:{millis:03}{half}"),
        110 => format!("{mo:02}-{d:02}-{y:04}"),
        111 => format!("{y:04}/{mo:02}/{d:02}"),
        12 => format!("{yy:02}{mo:02}{d:02}"),
        112 => format!("{y:04}{mo:02}{d:02}"),
        114 | 14 => format!("{h:02}:{mi:02}:{s:02}:{millis:03}"),
        20 | 120 => format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}"),
        21 | 25 | 121 => format!("{} {}", format_date(m.days), format_time(m.ticks, scale)),
        23 => format_date(m.days),
        126 | 127 => {
            let fraction = if scale == 3 && millis == 0 { 0 } else { scale };
            format!("{}T{}", format_date(m.days), format_time(m.ticks, fraction))
        }
        _ => return None,
    })
}

/// A datepart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Year,
    Quarter,
    Month,
    DayOfYear,
    Day,
    Week,
    IsoWeek,
    Weekday,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Part {
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "year" | "yy" | "yyyy" => Self::Year,
            "quarter" | "qq" | "q" => Self::Quarter,
            "month" | "mm" | "m" => Self::Month,
            "dayofyear" | "dy" | "y" => Self::DayOfYear,
            "day" | "dd" | "d" => Self::Day,
            "week" | "wk" | "ww" => Self::Week,
            "iso_week" | "isowk" | "isoww" => Self::IsoWeek,
            "weekday" | "dw" | "w" => Self::Weekday,
            "hour" | "hh" => Self::Hour,
            "minute" | "mi" | "n" => Self::Minute,
            "second" | "ss" | "s" => Self::Second,
            "millisecond" | "ms" => Self::Millisecond,
            "microsecond" | "mcs" => Self::Microsecond,
            "nanosecond" | "ns" => Self::Nanosecond,
            _ => return None,
        })
    }

    /// 100 ns ticks in one of it, for parts of fixed length (nanosecond is handled apart).
    fn ticks(self) -> Option<i128> {
        Some(i128::from(match self {
            Self::Day | Self::DayOfYear | Self::Weekday => DAY,
            Self::Week | Self::IsoWeek => 7 * DAY,
            Self::Hour => 3600 * SECOND,
            Self::Minute => 60 * SECOND,
            Self::Second => SECOND,
            Self::Millisecond => SECOND / 1000,
            Self::Microsecond => 10,
            Self::Year | Self::Quarter | Self::Month | Self::Nanosecond => return None,
        }))
    }

    fn months(self) -> Option<i64> {
        match self {
            Self::Year => Some(12),
            Self::Quarter => Some(3),
            Self::Month => Some(1),
            _ => None,
        }
    }
}

/// DATEADD; `None` when it leaves the calendar.
pub fn add(part: Part, n: i64, m: Moment) -> Option<Moment> {
    if let Some(months) = part.months() {
        return add_months(m, n.checked_mul(months)?);
    }
    let ticks = match part.ticks() {
        Some(ticks) => i128::from(n) * ticks,
        None => i128::from(n) / 100,
    };
    Moment::from_total(m.total() + ticks)
}

fn add_months(m: Moment, n: i64) -> Option<Moment> {
    let (y, mo, d) = civil_from_days(m.days);
    let index = i64::from(y) * 12 + i64::from(mo) - 1 + n;
    let (year, month) = (i32::try_from(index.div_euclid(12)).ok()?, index.rem_euclid(12) as u32 + 1);
    (1..=9999).contains(&year).then(|| Moment {
        days: days_from_civil(year, month, d.min(month_length(year, month))),
        ticks: m.ticks,
    })
}

/// DATEDIFF: boundaries crossed.
pub fn diff(part: Part, from: Moment, to: Moment) -> i128 {
    let months = |m: Moment| {
        let (y, mo, _) = civil_from_days(m.days);
        (i128::from(y), i128::from(mo) - 1)
    };
    let ((y1, m1), (y2, m2)) = (months(from), months(to));
    match part {
        Part::Year => y2 - y1,
        Part::Quarter => (y2 * 4 + m2 / 3) - (y1 * 4 + m1 / 3),
        Part::Month => (y2 * 12 + m2) - (y1 * 12 + m1),
        Part::Day | Part::DayOfYear | Part::Weekday => i128::from(to.days) - i128::from(from.days),
        Part::Week | Part::IsoWeek => {
            let sunday = |m: Moment| i128::from((m.days + 1).div_euclid(7));
            sunday(to) - sunday(from)
        }
        Part::Nanosecond => (to.total() - from.total()) * 100,
        Part::Hour | Part::Minute | Part::Second | Part::Millisecond | Part::Microsecond => {
            let unit = part.ticks().unwrap_or(1);
            to.total().div_euclid(unit) - from.total().div_euclid(unit)
        }
    }
}

/// DATEPART.
pub fn part_of(part: Part, m: Moment) -> i32 {
    let (y, mo, d) = civil_from_days(m.days);
    let day_of_year = m.days - days_from_civil(y, 1, 1) + 1;
    let seconds = m.ticks / SECOND;
    match part {
        Part::Year => y,
        Part::Quarter => (mo as i32 - 1) / 3 + 1,
        Part::Month => mo as i32,
        Part::DayOfYear => day_of_year,
        Part::Day => d as i32,
        Part::Week => {
            let first = (days_from_civil(y, 1, 1) + 1).rem_euclid(7);
            (day_of_year - 1 + first) / 7 + 1
        }
        Part::IsoWeek => iso_week(m.days),
        Part::Weekday => (m.days + 1).rem_euclid(7) + 1,
        Part::Hour => (seconds / 3600) as i32,
        Part::Minute => (seconds / 60 % 60) as i32,
        Part::Second => (seconds % 60) as i32,
        Part::Millisecond => (m.ticks % SECOND / 10_000) as i32,
        Part::Microsecond => (m.ticks % SECOND / 10) as i32,
        Part::Nanosecond => (m.ticks % SECOND * 100) as i32,
    }
}

fn iso_week(days: i32) -> i32 {
    let thursday = days - days.rem_euclid(7) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (thursday - days_from_civil(year, 1, 1)) / 7 + 1
}

/// DATENAME.
pub fn name_of(part: Part, m: Moment) -> String {
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    const FULL: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let n = part_of(part, m);
    match part {
        Part::Month => FULL[(n - 1) as usize].to_owned(),
        Part::Weekday => DAYS[(n - 1) as usize].to_owned(),
        _ => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_round_trips_from_first_to_last_day() {
        for days in [0, 1, EPOCH_1900, FIRST_DATETIME, 730_119, LAST_DAY] {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(civil_from_days(EPOCH_1900), (1900, 1, 1));
        assert_eq!(civil_from_days(LAST_DAY), (9999, 12, 31));
    }

    #[test]
    fn datetime_rounds_to_a_three_hundredth_of_a_second() {
        // "datetime (Transact-SQL)": .998 becomes .997, .999 becomes the next second.
        for (text, shown) in [("01:00:00.998", "01:00:00.997"), ("01:00:00.999", "01:00:01.000")] {
            let parsed = parse(text).unwrap();
            let value = Moment { days: EPOCH_1900, ticks: parsed.ticks }.to_datetime().unwrap();
            let shown_as = moment(&Datum::DateTime(value)).unwrap().rounded(3).unwrap();
            assert_eq!(format_time(shown_as.ticks, 3), shown);
        }
    }

    #[test]
    fn datediff_counts_boundaries() {
        let at = |text: &str| {
            let p = parse(text).unwrap();
            Moment { days: p.days.unwrap(), ticks: p.ticks }
        };
        let (a, b) = (at("2005-12-31 23:59:59.9999999"), at("2006-01-01 00:00:00.0000000"));
        for part in
            [Part::Year, Part::Quarter, Part::Month, Part::Day, Part::Hour, Part::Second, Part::Microsecond]
        {
            assert_eq!(diff(part, a, b), 1, "{part:?}");
        }
    }
}
