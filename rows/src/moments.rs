//! SQL Server's dates and times as numbers and as ISO 8601 text.
//!
//! `date` counts days from 0001-01-01, `datetime` days from 1900-01-01 and 1/300 s, `time` increments of 10^-scale s
//! (MS-TDS 2.2.5.5.1). Parquet counts from 1970-01-01.

use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate, TimeDelta};
use tiberius::ColumnData;
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, SmallDateTime, Time};

/// Whether a date or time is one that its type has; anything else is.
#[expect(clippy::wildcard_enum_match_arm, reason = "only dates and times have a range of their own")]
pub fn is_in_range(cell: &ColumnData<'_>) -> bool {
    let date = |date: Date| date.days() <= LAST_DAY;
    let time = |time: Time| {
        let power = u32::from(TICK_SCALE.saturating_sub(time.scale()));
        time.increments()
            .checked_mul(10_u64.pow(power))
            .is_some_and(|ticks| ticks < TICKS_PER_DAY.unsigned_abs())
    };
    let both = |moment: DateTime2| date(moment.date()) && time(moment.time());
    match cell {
        ColumnData::Date(Some(v)) => date(*v),
        ColumnData::Time(Some(v)) => time(*v),
        ColumnData::DateTime2(Some(v)) => both(*v),
        ColumnData::DateTimeOffset(Some(v)) => {
            both(v.datetime2()) && v.offset().unsigned_abs() <= WIDEST_OFFSET
        }
        ColumnData::DateTime(Some(v)) => {
            DATETIME_DAYS.contains(&v.days()) && v.seconds_fragments() < DATETIME_TICKS_PER_DAY
        }
        ColumnData::SmallDateTime(Some(v)) => v.seconds_fragments() < MINUTES_PER_DAY,
        _ => true,
    }
}

/// Days since 1970-01-01.
pub fn date_days(date: Date) -> i32 {
    date.days().cast_signed() - DAYS_0001_TO_1970
}

/// Units of 100 ns since midnight.
pub fn hundred_nanos(time: Time) -> i64 {
    let power = u32::from(TICK_SCALE.saturating_sub(time.scale()));
    time.increments().cast_signed() * 10_i64.pow(power)
}

/// Milliseconds since 1970-01-01, 1/300 s rounded as SQL Server prints it (.000, .003, .007).
pub fn datetime_millis(moment: DateTime) -> i64 {
    let days = i64::from(moment.days()) - DAYS_1900_TO_1970;
    days * MILLIS_PER_DAY + (i64::from(moment.seconds_fragments()) * 10 + 1) / 3
}

/// Milliseconds since 1970-01-01.
pub fn smalldatetime_millis(moment: SmallDateTime) -> i64 {
    let days = i64::from(moment.days()) - DAYS_1900_TO_1970;
    days * MILLIS_PER_DAY + i64::from(moment.seconds_fragments()) * 60_000
}

/// Units of 100 ns since 1970-01-01.
pub fn datetime2_ticks(moment: DateTime2) -> i64 {
    i64::from(date_days(moment.date())) * TICKS_PER_DAY + hundred_nanos(moment.time())
}

/// `2026-11-22T10:38:31.1234567`.
pub fn iso(moment: DateTime2, scale: u8) -> String {
    iso_ticks(datetime2_ticks(moment), scale)
}

/// `2026-11-22T12:38:31.1234567+02:00`: the local time that was stored, with its offset.
pub fn iso_offset(moment: DateTimeOffset, scale: u8) -> String {
    let minutes = moment.offset();
    let local = datetime2_ticks(moment.datetime2()) + i64::from(minutes) * TICKS_PER_MINUTE;
    let sign = if minutes < 0 { '-' } else { '+' };
    let size = minutes.unsigned_abs();
    format!("{}{sign}{:02}:{:02}", iso_ticks(local, scale), size / 60, size % 60)
}

/// `2026-11-22T10:38:31` from units of 100 ns since 0001-01-01.
pub fn iso_since_year_1(ticks: u64) -> String {
    iso_ticks(ticks.cast_signed() - i64::from(DAYS_0001_TO_1970) * TICKS_PER_DAY, 0)
}

fn iso_ticks(ticks: i64, scale: u8) -> String {
    let (days, of_day) = (ticks.div_euclid(TICKS_PER_DAY), ticks.rem_euclid(TICKS_PER_DAY));
    let day = NaiveDate::default() + TimeDelta::days(days);
    let (seconds, fraction) = (of_day / TICKS_PER_SECOND, of_day % TICKS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let head =
        format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", day.year(), day.month(), day.day());
    if scale == 0 {
        return head;
    }
    let digits = format!("{fraction:07}");
    format!("{head}.{}", &digits[..usize::from(scale.min(TICK_SCALE))])
}

/// 9999-12-31.
const LAST_DAY: u32 = 3_652_058;
/// 1753-01-01 to 9999-12-31.
const DATETIME_DAYS: RangeInclusive<i32> = -53_690..=2_958_463;
const DATETIME_TICKS_PER_DAY: u32 = 300 * 86_400;
const MINUTES_PER_DAY: u16 = 1440;
/// Fourteen hours, in minutes.
const WIDEST_OFFSET: u16 = 840;
const DAYS_0001_TO_1970: i32 = 719_162;
const DAYS_1900_TO_1970: i64 = 25_567;
const MILLIS_PER_DAY: i64 = 86_400_000;
const TICK_SCALE: u8 = 7;
const TICKS_PER_SECOND: i64 = 10_000_000;
const TICKS_PER_MINUTE: i64 = 60 * TICKS_PER_SECOND;
const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;
