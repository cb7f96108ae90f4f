//! Conversions to number types, with rounding and the overflow errors of each.

#![expect(clippy::wildcard_enum_match_arm, reason = "kinds of values: those that are no number are refused")]

use super::{decimal, type_of};
use crate::engine::message::{self, Result};
use crate::types::{Datum, DecimalValue, SqlType};

const TEN_38: i128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;

/// Converts to one of the number types.
pub fn to_number(value: &Datum, to: SqlType) -> Result<Datum> {
    if let Some(text) = value.as_str() {
        return from_text(text, value, to);
    }
    match to {
        SqlType::Bit => Ok(Datum::Bit(match value {
            Datum::Float(f) => *f != 0.0,
            Datum::Real(f) => *f != 0.0,
            Datum::Binary(b) => b.last().is_some_and(|b| *b != 0),
            other => as_decimal(other, to)?.unscaled != 0,
        })),
        SqlType::Real => {
            let f = float_of(value, to)?;
            if f.abs() > f64::from(f32::MAX) {
                return Err(message::overflow("real"));
            }
            Ok(Datum::Real(f as f32))
        }
        SqlType::Float => Ok(Datum::Float(float_of(value, to)?)),
        SqlType::Decimal { precision, scale } => fit_decimal(value, precision, scale),
        SqlType::Money => Ok(Datum::Money(money(value, to)?)),
        SqlType::SmallMoney => {
            let n = money(value, to)?;
            i32::try_from(n).map(Datum::SmallMoney).map_err(|_| message::overflow("smallmoney"))
        }
        _ => integer(value, to),
    }
}

fn integer(value: &Datum, to: SqlType) -> Result<Datum> {
    if let Datum::Binary(_) | Datum::RowVersion(_) = value {
        // Bytes are taken as they are: the last ones that fit, sign included.
        let n = to_i64(value).unwrap_or(0);
        return Ok(match to {
            SqlType::TinyInt => Datum::TinyInt(n as u8),
            SqlType::SmallInt => Datum::SmallInt(n as i16),
            SqlType::Int => Datum::Int(n as i32),
            _ => Datum::BigInt(n),
        });
    }
    let n = to_i64(value).ok_or_else(|| overflow_into(value, to))?;
    let fits = match to {
        SqlType::TinyInt => u8::try_from(n).map(Datum::TinyInt).ok(),
        SqlType::SmallInt => i16::try_from(n).map(Datum::SmallInt).ok(),
        SqlType::Int => i32::try_from(n).map(Datum::Int).ok(),
        _ => Some(Datum::BigInt(n)),
    };
    fits.ok_or_else(|| overflow_into(value, to))
}

fn overflow_into(value: &Datum, to: SqlType) -> message::SqlError {
    match (value, to) {
        (Datum::Int(n), SqlType::TinyInt | SqlType::SmallInt) => message::overflow_value(to.name(), n),
        (Datum::SmallInt(n), SqlType::TinyInt) => message::overflow_value(to.name(), n),
        (Datum::Float(f), _) => message::overflow_float(to.name(), format!("{f:.6}")),
        (Datum::Real(f), _) => message::overflow_float(to.name(), format!("{f:.6}")),
        _ => message::overflow(to.name()),
    }
}

/// The integer part of a value; money rounds, decimals and floats are cut. `None` past bigint.
pub fn to_i64(value: &Datum) -> Option<i64> {
    if let Some(n) = value.as_i64() {
        return Some(n);
    }
    match value {
        Datum::Decimal(d) => i64::try_from(d.unscaled / 10i128.pow(u32::from(d.scale))).ok(),
        Datum::Money(n) => Some(round_div(i128::from(*n), 10_000) as i64),
        Datum::SmallMoney(n) => Some(round_div(i128::from(*n), 10_000) as i64),
        Datum::Real(f) => float_to_i64(f64::from(*f)),
        Datum::Float(f) => float_to_i64(*f),
        Datum::RowVersion(n) => Some(*n as i64),
        Datum::Binary(b) => {
            let tail = &b[b.len().saturating_sub(8)..];
            Some(tail.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)) as i64)
        }
        Datum::DateTime(v) => Some(i64::from(v.days) + i64::from(v.ticks >= 150 * 86_400)),
        Datum::SmallDateTime(v) => Some(i64::from(v.days) + i64::from(v.ticks >= 720)),
        _ => None,
    }
}

fn float_to_i64(f: f64) -> Option<i64> {
    (f.abs() < 9.223_372_036_854_775e18).then_some(f as i64)
}

fn round_div(n: i128, by: i128) -> i128 {
    let half = by / 2;
    if n >= 0 { (n + half) / by } else { (n - half) / by }
}

/// A number as float.
pub fn to_float(value: &Datum) -> Option<f64> {
    Some(match value {
        Datum::Float(f) => *f,
        Datum::Real(f) => f64::from(*f),
        Datum::Decimal(d) => d.unscaled as f64 / 10f64.powi(i32::from(d.scale)),
        Datum::Money(n) => *n as f64 / 10_000.0,
        Datum::SmallMoney(n) => f64::from(*n) / 10_000.0,
        Datum::DateTime(v) => f64::from(v.days) + v.ticks as f64 / (300.0 * 86_400.0),
        Datum::SmallDateTime(v) => f64::from(v.days) + v.ticks as f64 / 1440.0,
        other => other.as_i64()? as f64,
    })
}

fn float_of(value: &Datum, to: SqlType) -> Result<f64> {
    to_float(value).ok_or_else(|| message::no_explicit(type_of(value).name(), to.name()))
}

/// An exact number as decimal of its natural precision.
pub fn to_decimal(value: &Datum) -> Option<DecimalValue> {
    let (unscaled, precision, scale) = match value {
        Datum::Decimal(d) => return Some(*d),
        Datum::Money(n) => (i128::from(*n), 19, 4),
        Datum::SmallMoney(n) => (i128::from(*n), 10, 4),
        Datum::Bit(b) => (i128::from(*b), 1, 0),
        Datum::TinyInt(n) => (i128::from(*n), 3, 0),
        Datum::SmallInt(n) => (i128::from(*n), 5, 0),
        Datum::Int(n) => (i128::from(*n), 10, 0),
        Datum::BigInt(n) => (i128::from(*n), 19, 0),
        _ => return None,
    };
    Some(DecimalValue { unscaled, precision, scale })
}

fn as_decimal(value: &Datum, to: SqlType) -> Result<DecimalValue> {
    if let Some(exact) = to_decimal(value) {
        return Ok(exact);
    }
    match value {
        Datum::Float(_) | Datum::Real(_) | Datum::DateTime(_) | Datum::SmallDateTime(_) => {
            float_to_decimal(to_float(value).unwrap_or(0.0), 17).ok_or_else(|| message::overflow(to.name()))
        }
        Datum::Binary(_) | Datum::RowVersion(_) => {
            let n = to_i64(value).unwrap_or(0);
            Ok(DecimalValue { unscaled: i128::from(n), precision: 19, scale: 0 })
        }
        _ => Err(message::no_explicit(type_of(value).name(), to.name())),
    }
}

/// A float's exact decimal digits, at most `digits` after the point.
pub fn float_to_decimal(f: f64, digits: u8) -> Option<DecimalValue> {
    if !f.is_finite() || f.abs() >= 1e38 {
        return None;
    }
    let whole_digits = if f.abs() >= 1.0 { f.abs().log10().floor() as u8 + 1 } else { 1 };
    let scale = digits.min(37u8.saturating_sub(whole_digits));
    let text = format!("{f:.*}", usize::from(scale));
    let unscaled: i128 = text.replace('.', "").parse().ok()?;
    Some(DecimalValue { unscaled, precision: 38, scale })
}

/// Rounds half away from zero to another scale; `None` on overflow.
pub fn rescale(d: DecimalValue, scale: u8) -> Option<i128> {
    if scale >= d.scale {
        return d.unscaled.checked_mul(10i128.checked_pow(u32::from(scale - d.scale))?);
    }
    // Past 38 digits nothing of the value is left.
    Some(10i128.checked_pow(u32::from(d.scale - scale)).map_or(0, |by| round_div(d.unscaled, by)))
}

fn fit_decimal(value: &Datum, precision: u8, scale: u8) -> Result<Datum> {
    let to = SqlType::Decimal { precision, scale };
    let from = match value {
        Datum::Float(f) => float_to_decimal(*f, scale),
        Datum::Real(f) => float_to_decimal(f64::from(*f), scale),
        other => Some(as_decimal(other, to)?),
    };
    let name = if matches!(value, Datum::Decimal(_)) { "numeric" } else { type_of(value).name() };
    let overflow = || message::overflow_from(name, "numeric");
    let unscaled = from.and_then(|d| rescale(d, scale)).ok_or_else(overflow)?;
    let limit = if precision == 38 { TEN_38 } else { 10i128.pow(u32::from(precision)) };
    if unscaled.abs() >= limit { Err(overflow()) } else { Ok(decimal(unscaled, precision, scale)) }
}

fn money(value: &Datum, to: SqlType) -> Result<i64> {
    let d = as_decimal(value, to)?;
    rescale(d, 4).and_then(|n| i64::try_from(n).ok()).ok_or_else(|| message::overflow(to.name()))
}

fn from_text(text: &str, value: &Datum, to: SqlType) -> Result<Datum> {
    let from = type_of(value).name();
    let trimmed = text.trim();
    match to {
        SqlType::Bit => bit_from_text(trimmed, text, from),
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => {
            integer_from_text(trimmed, text, from, to)
        }
        SqlType::Float | SqlType::Real => {
            let f: f64 = if trimmed.is_empty() {
                0.0
            } else {
                let plain = trimmed.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
                trimmed
                    .parse()
                    .ok()
                    .filter(|_| plain)
                    .ok_or_else(|| message::error_converting(from, to.name()))?
            };
            to_number(&Datum::Float(f), to)
        }
        SqlType::Money | SqlType::SmallMoney => {
            let plain: String = trimmed.chars().filter(|c| !matches!(c, ',' | '$')).collect();
            let parsed = parse_decimal(&plain).ok_or_else(|| {
                message::SqlError::new(
                    235,
                    16,
                    0,
                    "Cannot convert a char value to money. The char value has incorrect syntax.",
                )
            })?;
            to_number(&Datum::Decimal(parsed), to)
        }
        _ => {
            let parsed = parse_decimal(trimmed)
                .filter(|_| !trimmed.is_empty())
                .ok_or_else(|| message::error_converting(from, "numeric"))?;
            to_number(&Datum::Decimal(parsed), to).map_err(|_| message::overflow_from(from, "numeric"))
        }
    }
}

fn bit_from_text(trimmed: &str, text: &str, from: &str) -> Result<Datum> {
    if trimmed.eq_ignore_ascii_case("true") {
        return Ok(Datum::Bit(true));
    }
    if trimmed.eq_ignore_ascii_case("false") || trimmed.is_empty() {
        return Ok(Datum::Bit(false));
    }
    let n: i64 = trimmed.parse().map_err(|_| message::conversion_failed(from, text, "bit"))?;
    Ok(Datum::Bit(n != 0))
}

fn integer_from_text(trimmed: &str, text: &str, from: &str, to: SqlType) -> Result<Datum> {
    if trimmed.is_empty() {
        return integer(&Datum::BigInt(0), to);
    }
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        // bigint has a message of its own.
        return Err(match to {
            SqlType::BigInt => message::error_converting(from, "bigint"),
            _ => message::conversion_failed(from, text, to.name()),
        });
    }
    let parsed = trimmed.parse::<i64>().ok().and_then(|n| integer(&Datum::BigInt(n), to).ok());
    parsed.ok_or_else(|| match to {
        SqlType::TinyInt => message::overflow_varchar(text),
        SqlType::SmallInt => message::SqlError::new(
            244,
            16,
            2,
            format!("The conversion of the {from} value '{text}' overflowed an INT2 column. Use a larger integer column."),
        ),
        SqlType::Int => message::overflow_int(text),
        _ => message::overflow_from(from, "bigint"),
    })
}

/// `[+-]digits[.digits]`
fn parse_decimal(text: &str) -> Option<DecimalValue> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if !all.chars().all(|c| c.is_ascii_digit()) || all.len() > 38 {
        return None;
    }
    let unscaled: i128 = if all.is_empty() { 0 } else { all.parse().ok()? };
    let precision = all.trim_start_matches('0').len().max(1) as u8;
    Some(DecimalValue {
        unscaled: if negative { -unscaled } else { unscaled },
        precision,
        scale: fraction.len() as u8,
    })
}
