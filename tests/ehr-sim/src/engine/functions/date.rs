//! Date and time functions. The instance's clock is UTC, so local time and UTC are one.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use super::{Builtin, first, int, int_of, nvarchar_4000};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::plan::Bound;
use crate::engine::value::convert::{self, Fit};
use crate::engine::value::temporal::{self, Moment, Part};
use crate::types::{DateTimeValue, Datum, SqlType};

pub const LIST: &[Builtin] = &[
    Builtin::new("GETDATE", (0, 0), datetime, now),
    Builtin::new("GETUTCDATE", (0, 0), datetime, now),
    Builtin::new("CURRENT_TIMESTAMP", (0, 0), datetime, now),
    Builtin::new("SYSDATETIME", (0, 0), datetime2, now),
    Builtin::new("SYSUTCDATETIME", (0, 0), datetime2, now),
    Builtin::new("SYSDATETIMEOFFSET", (0, 0), |_| Ok(SqlType::DateTimeOffset(7)), now),
    Builtin::new("DATEADD", (3, 3), dateadd_type, dateadd),
    Builtin::new("DATEDIFF", (3, 3), int, |_, a| datediff(a, Width::Int)),
    Builtin::new("DATEDIFF_BIG", (3, 3), super::bigint, |_, a| datediff(a, Width::BigInt)),
    Builtin::new("DATEPART", (2, 2), datepart_type, datepart),
    Builtin::new("DATENAME", (2, 2), datename_type, datename),
    Builtin::new("YEAR", (1, 1), int, |_, a| one_part(Part::Year, a)),
    Builtin::new("MONTH", (1, 1), int, |_, a| one_part(Part::Month, a)),
    Builtin::new("DAY", (1, 1), int, |_, a| one_part(Part::Day, a)),
    Builtin::new("EOMONTH", (1, 2), |_| Ok(SqlType::Date), end_of_month),
    Builtin::new("DATEFROMPARTS", (3, 3), |_| Ok(SqlType::Date), from_parts),
    Builtin::new("ISDATE", (1, 1), int, is_date),
    Builtin::new("SWITCHOFFSET", (2, 2), first, switch_offset),
    Builtin::new("TODATETIMEOFFSET", (2, 2), |_| Ok(SqlType::DateTimeOffset(7)), to_offset),
];

fn datetime(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::DateTime)
}

fn datetime2(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::DateTime2(7))
}

fn now(exec: &Exec<'_>, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::DateTime2(DateTimeValue { days: exec.now.days, ticks: exec.now.ticks }))
}

fn part(value: &Datum, function: &str) -> Result<Part> {
    let word = value.as_str().unwrap_or("");
    Part::parse(word).ok_or_else(|| message::not_a_datepart(word, function))
}

/// An argument as a moment: text is read as datetime2.
fn moment(value: &Datum) -> Result<Option<Moment>> {
    if value.is_null() {
        return Ok(None);
    }
    let ty = match value {
        Datum::VarChar(_) | Datum::NVarChar(_) => SqlType::DateTime2(7),
        v if temporal::moment(v).is_some() => return Ok(temporal::moment(v)),
        _ => SqlType::DateTime,
    };
    Ok(temporal::moment(&convert::convert(value, ty, 0, Fit::Cut)?))
}

fn dateadd_type(args: &[Bound]) -> Result<SqlType> {
    let part = part_of_constant(&args[0], "dateadd")?;
    check_part(part, &args[0], "dateadd", args[2].ty)?;
    Ok(if args[2].ty.is_temporal() { args[2].ty } else { SqlType::DateTime })
}

fn datepart_type(args: &[Bound]) -> Result<SqlType> {
    check_part(part_of_constant(&args[0], "datepart")?, &args[0], "datepart", args[1].ty)?;
    Ok(SqlType::Int)
}

fn datename_type(args: &[Bound]) -> Result<SqlType> {
    check_part(part_of_constant(&args[0], "datename")?, &args[0], "datename", args[1].ty)?;
    nvarchar_4000(args)
}

/// A date has no hour, a time no day.
fn check_part(part: Part, word: &Bound, function: &str, ty: SqlType) -> Result<()> {
    let clock = matches!(
        part,
        Part::Hour | Part::Minute | Part::Second | Part::Millisecond | Part::Microsecond | Part::Nanosecond
    );
    if matches!(ty, SqlType::Date) && clock || matches!(ty, SqlType::Time(_)) && !clock {
        let word = match &word.kind {
            crate::engine::plan::Kind::Const(value) => value.as_str().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        return Err(message::part_not_supported(word, function, ty.name()));
    }
    Ok(())
}

fn part_of_constant(bound: &Bound, function: &str) -> Result<Part> {
    match &bound.kind {
        crate::engine::plan::Kind::Const(value) => part(value, function),
        _ => Err(message::not_a_datepart("", function)),
    }
}

fn dateadd(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let part = part(&args[0], "dateadd")?;
    let (Some(n), false) = (int_of(&args[1])?, args[2].is_null()) else { return Ok(Datum::Null) };
    let value = match &args[2] {
        v if temporal::moment(v).is_some() => v.clone(),
        v => convert::convert(v, SqlType::DateTime, 0, Fit::Cut)?,
    };
    let ty = convert::type_of(&value);
    let overflow = || message::date_overflow(ty.name());
    if i32::try_from(n).is_err() {
        return Err(message::overflow("int"));
    }
    let Some(from) = temporal::moment(&value) else { return Ok(Datum::Null) };
    let moved = temporal::add(part, n, from).ok_or_else(overflow)?;
    let wide = match &value {
        Datum::DateTimeOffset(v) => {
            Datum::DateTimeOffset(temporal::with_offset(moved, v.offset).ok_or_else(overflow)?)
        }
        Datum::Time(_) => return Ok(Datum::Time(moved.ticks)),
        _ => Datum::DateTime2(DateTimeValue { days: moved.days, ticks: moved.ticks }),
    };
    convert::convert(&wide, ty, 0, Fit::Cut).map_err(|_| overflow())
}

enum Width {
    Int,
    BigInt,
}

fn datediff(args: &[Datum], width: Width) -> Result<Datum> {
    let part = part(&args[0], "datediff")?;
    let (Some(from), Some(to)) = (moment(&args[1])?, moment(&args[2])?) else { return Ok(Datum::Null) };
    let n = temporal::diff(part, from, to);
    match width {
        Width::Int => i32::try_from(n).map(Datum::Int).map_err(|_| message::datediff_overflow()),
        Width::BigInt => i64::try_from(n).map(Datum::BigInt).map_err(|_| message::datediff_overflow()),
    }
}

fn datepart(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let part = part(&args[0], "datepart")?;
    Ok(moment(&args[1])?.map_or(Datum::Null, |m| Datum::Int(temporal::part_of(part, m))))
}

fn datename(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let part = part(&args[0], "datename")?;
    Ok(moment(&args[1])?.map_or(Datum::Null, |m| Datum::text(temporal::name_of(part, m))))
}

fn one_part(part: Part, args: &[Datum]) -> Result<Datum> {
    Ok(moment(&args[0])?.map_or(Datum::Null, |m| Datum::Int(temporal::part_of(part, m))))
}

fn end_of_month(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(m) = moment(&args[0])? else { return Ok(Datum::Null) };
    let months = args.get(1).map_or(Ok(Some(0)), int_of)?.unwrap_or(0);
    let m = temporal::add(Part::Month, months, m).ok_or_else(|| message::date_overflow("date"))?;
    let (year, month, _) = temporal::civil_from_days(m.days);
    Ok(Datum::Date(temporal::days_from_civil(year, month, temporal::month_length(year, month))))
}

fn from_parts(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(y), Some(m), Some(d)) = (int_of(&args[0])?, int_of(&args[1])?, int_of(&args[2])?) else {
        return Ok(Datum::Null);
    };
    let text = format!("{y:04}-{m:02}-{d:02}");
    convert::convert(&Datum::text(text), SqlType::Date, 0, Fit::Cut).map_err(|_| {
        message::SqlError::new(
            289,
            16,
            1,
            "Cannot construct data type date, some of the arguments have values which are not valid.",
        )
    })
}

fn is_date(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let valid = !args[0].is_null() && convert::convert(&args[0], SqlType::DateTime, 0, Fit::Cut).is_ok();
    Ok(Datum::Int(i32::from(valid)))
}

fn offset(value: &Datum) -> Result<i16> {
    let text = super::text_of(value)?.unwrap_or_default();
    let parsed = temporal::parse(&format!("00:00:00{text}")).and_then(|p| p.offset);
    parsed.ok_or_else(|| {
        message::SqlError::new(
            9812,
            16,
            0,
            "The timezone provided to builtin function switchoffset is invalid.",
        )
    })
}

fn switch_offset(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let value = convert::convert(&args[0], SqlType::DateTimeOffset(7), 0, Fit::Cut)?;
    let Datum::DateTimeOffset(mut v) = value else { return Ok(Datum::Null) };
    v.offset = offset(&args[1])?;
    Ok(Datum::DateTimeOffset(v))
}

fn to_offset(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(m) = moment(&args[0])? else { return Ok(Datum::Null) };
    let value = temporal::with_offset(m, offset(&args[1])?)
        .ok_or_else(|| message::date_overflow("datetimeoffset"))?;
    Ok(Datum::DateTimeOffset(value))
}
