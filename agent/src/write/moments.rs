//! SQL Server's dates and times from ISO 8601 text and back, exactly.
//!
//! `date` counts days from 0001-01-01, `datetime` days from 1900-01-01 and 1/300 s, `time` increments of 10^-scale s
//! (MS-TDS 2.2.5.5.1). A `datetime` is written as SQL Server prints it (.000, .003, .007) and no other fraction is
//! taken, because SQL Server would round it.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use crate::mssql::Param;

use super::kind::Kind;

/// The moment as a parameter of that type; `None` when the text is none or the type does not hold it exactly.
pub(super) fn parse(kind: Kind, text: &str) -> Option<Param> {
    let text = text.trim();
    match kind {
        Kind::Date => date_days(date(text)?).map(Param::Date),
        Kind::Time(scale) => increments(time(text)?, scale).map(|count| Param::Time(count, scale)),
        Kind::DateTime => datetime(moment(text)?),
        Kind::SmallDateTime => smalldatetime(moment(text)?),
        Kind::DateTime2(scale) => {
            let moment = moment(text)?;
            let count = increments(moment.time(), scale)?;
            Some(Param::DateTime2(date_days(moment.date())?, count, scale))
        }
        Kind::DateTimeOffset(scale) => datetimeoffset(text, scale),
        Kind::Bit
        | Kind::Integer(_)
        | Kind::Real
        | Kind::Float
        | Kind::Decimal(..)
        | Kind::Money
        | Kind::SmallMoney
        | Kind::Text(_)
        | Kind::Bytes(_)
        | Kind::Rowversion
        | Kind::Guid => None,
    }
}

/// The moment as text; `None` for parameters that are none.
pub(super) fn shown(param: &Param) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the types of moments are named, all others are none")]
    match param {
        Param::Date(days) => Some(day(*days)?.to_string()),
        Param::Time(count, scale) => Some(clock(*count, *scale)),
        Param::DateTime(days, ticks) => {
            let millis = u64::from(*ticks) * 10 / 3 + u64::from(u64::from(*ticks) * 10 % 3 == 2);
            Some(format!("{}T{}", day_1900(i64::from(*days))?, clock(millis, 3)))
        }
        Param::SmallDateTime(days, minutes) => {
            Some(format!("{}T{}", day_1900(i64::from(*days))?, clock(u64::from(*minutes) * 60, 0)))
        }
        Param::DateTime2(days, count, scale) => Some(format!("{}T{}", day(*days)?, clock(*count, *scale))),
        Param::DateTimeOffset(days, count, scale, offset) => {
            let second = 10_i64.pow(u32::from(*scale));
            let local =
                i64::from(*days) * 86_400 * second + count.cast_signed() + i64::from(*offset) * 60 * second;
            let of_day = local.rem_euclid(86_400 * second).cast_unsigned();
            let days = u32::try_from(local.div_euclid(86_400 * second)).ok()?;
            let (sign, size) = (if *offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
            Some(format!("{}T{}{sign}{:02}:{:02}", day(days)?, clock(of_day, *scale), size / 60, size % 60))
        }
        _ => None,
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

fn time(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

fn moment(text: &str) -> Option<NaiveDateTime> {
    let (day, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    Some(date(day)?.and_time(time(clock)?))
}

fn datetime(moment: NaiveDateTime) -> Option<Param> {
    let days = moment.date().num_days_from_ce() - DAY_1900;
    let nanos = u64::from(moment.nanosecond());
    if moment.year() < 1753 || moment.year() > 9999 || nanos >= 1_000_000_000 || nanos % 1_000_000 != 0 {
        return None;
    }
    let millis = u64::from(moment.num_seconds_from_midnight()) * 1000 + nanos / 1_000_000;
    let ticks = u32::try_from((millis * 3 + 5) / 10).ok()?;
    let param = Param::DateTime(days, ticks);
    (shown(&param)? == format!("{}T{}", moment.date(), clock(millis, 3))).then_some(param)
}

fn smalldatetime(moment: NaiveDateTime) -> Option<Param> {
    if moment.second() != 0 || moment.nanosecond() != 0 {
        return None;
    }
    let days = u16::try_from(moment.date().num_days_from_ce() - DAY_1900).ok()?;
    let minutes = u16::try_from(moment.num_seconds_from_midnight() / 60).ok()?;
    // The last day, 2079-06-06, is the largest number of sixteen bits.
    Some(Param::SmallDateTime(days, minutes))
}

fn datetimeoffset(text: &str, scale: u8) -> Option<Param> {
    let moment: DateTime<FixedOffset> = DateTime::parse_from_rfc3339(text).ok()?;
    let (utc, seconds) = (moment.naive_utc(), moment.offset().local_minus_utc());
    let offset = i16::try_from(seconds / 60).ok().filter(|minutes| (-840..=840).contains(minutes))?;
    Some(Param::DateTimeOffset(date_days(utc.date())?, increments(utc.time(), scale)?, scale, offset))
}

/// Days from 0001-01-01, to 9999-12-31.
fn date_days(date: NaiveDate) -> Option<u32> {
    u32::try_from(date.num_days_from_ce() - 1).ok().filter(|_| date.year() <= 9999)
}

/// Increments of 10^-scale s since midnight, when nothing is left over.
fn increments(time: NaiveTime, scale: u8) -> Option<u64> {
    let nanos = u64::from(time.nanosecond());
    let unit = 10_u64.pow(9 - u32::from(scale));
    if nanos >= 1_000_000_000 || !nanos.is_multiple_of(unit) {
        return None;
    }
    Some(u64::from(time.num_seconds_from_midnight()) * (1_000_000_000 / unit) + nanos / unit)
}

fn day(days: u32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(days).ok()?.checked_add(1)?)
}

fn day_1900(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(1900, 1, 1)?.checked_add_signed(TimeDelta::days(days))
}

/// `14:30:00.125` of a count of 10^-scale s.
fn clock(count: u64, scale: u8) -> String {
    let second = 10_u64.pow(u32::from(scale));
    let (seconds, fraction) = (count / second, count % second);
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if scale == 0 { whole } else { format!("{whole}.{fraction:0width$}", width = usize::from(scale)) }
}

/// 1900-01-01, counted from 0001-01-01 as day 1.
const DAY_1900: i32 = 693_596;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datetime_counts_thirds_of_ten_milliseconds_as_sql_server_does() {
        let read = |text| parse(Kind::DateTime, text);
        assert_eq!(read("1900-01-01T00:00:00"), Some(Param::DateTime(0, 0)));
        assert_eq!(read("1899-12-31 23:59:59.997"), Some(Param::DateTime(-1, 25_919_999)));
        assert_eq!(read("2026-01-02T03:04:05.007"), Some(Param::DateTime(46_022, 3_313_502)));
        assert_eq!(read("2026-01-02T03:04:05.005"), None);
        assert_eq!(shown(&Param::DateTime(46_022, 3_313_502)).as_deref(), Some("2026-01-02T03:04:05.007"));
    }

    #[test]
    fn an_offset_keeps_the_local_time_and_sends_utc() {
        let param = parse(Kind::DateTimeOffset(0), "0001-01-02T00:30:00+01:00").unwrap();
        assert_eq!(param, Param::DateTimeOffset(0, 84_600, 0, 60));
        assert_eq!(shown(&param).as_deref(), Some("0001-01-02T00:30:00+01:00"));
    }

    #[test]
    fn the_last_day_of_every_type_is_taken() {
        assert_eq!(parse(Kind::Date, "9999-12-31"), Some(Param::Date(3_652_058)));
        assert_eq!(parse(Kind::SmallDateTime, "2079-06-06T23:59"), Some(Param::SmallDateTime(65_535, 1439)));
        assert_eq!(parse(Kind::SmallDateTime, "2079-06-07"), None);
        assert_eq!(parse(Kind::Time(7), "23:59:59.9999999"), Some(Param::Time(863_999_999_999, 7)));
    }
}
