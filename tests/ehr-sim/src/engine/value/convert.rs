//! CAST and CONVERT between all types, implicit and explicit, with styles and the documented failures.
//!
//! Facts: "CAST and CONVERT (Transact-SQL)" (chart, styles), "Data type conversion", "int, bigint, ..." (texts).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "pairs of types: every pair that is not listed is refused by number"
)]

use std::sync::Arc;

use super::temporal::{self, Moment};
use super::{text, xml};
use crate::engine::message::{self, Result, SqlError};
use crate::types::{DateTimeValue, Datum, DecimalValue, Length, SqlType};

mod number;
mod to_text;

pub use number::{rescale, to_decimal, to_float, to_i64};
pub use to_text::to_text;

/// How text that is too long is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// CAST, CONVERT, parameters, variables: cut silently.
    Cut,
    /// INSERT, UPDATE: refuse; the caller makes it 2628 with table and column.
    Refuse,
}

/// The refusal under [`Fit::Refuse`]: text is the value cut to the column.
pub const TRUNCATION: u32 = 2628;

/// Whether `from` converts to `to` without CAST; the error is the one SQL Server gives for the pair.
pub fn check_implicit(from: SqlType, to: SqlType) -> Result<()> {
    check_explicit(from, to)?;
    let refused = match (from, to) {
        (a, b) if a.is_text() && b.is_binary() => true,
        (a, SqlType::Money | SqlType::SmallMoney) if a.is_text() => false,
        (SqlType::Money | SqlType::SmallMoney, b) if b.is_text() => true,
        (SqlType::DateTime | SqlType::SmallDateTime, b) if b.is_number() => true,
        (SqlType::Variant, b) => b != SqlType::Variant,
        (SqlType::Xml, b) => b != SqlType::Xml,
        (SqlType::Float | SqlType::Real, SqlType::Binary(_) | SqlType::VarBinary(_)) => true,
        (a, b) if a.is_binary() && b.is_text() => false,
        _ => false,
    };
    if refused { Err(message::no_implicit(from.name(), to.name())) } else { Ok(()) }
}

/// Whether `from` converts to `to` at all.
pub fn check_explicit(from: SqlType, to: SqlType) -> Result<()> {
    let newer = |t: SqlType| {
        matches!(t, SqlType::Date | SqlType::Time(_) | SqlType::DateTime2(_) | SqlType::DateTimeOffset(_))
    };
    let clash = match (from, to) {
        (SqlType::Variant, _) | (_, SqlType::Variant) => false,
        (a, b) if newer(a) && b.is_number() || a.is_number() && newer(b) => true,
        (SqlType::Date, SqlType::Time(_)) | (SqlType::Time(_), SqlType::Date) => true,
        (SqlType::UniqueIdentifier, b) => {
            !(b.is_text() || b.is_binary() || b == SqlType::UniqueIdentifier) || b == SqlType::RowVersion
        }
        (a, SqlType::UniqueIdentifier) => !(a.is_text() || a.is_binary()),
        (SqlType::Xml, b) => !(b.is_text() || b.is_binary() || b == SqlType::Xml),
        (a, SqlType::Xml) => !(a.is_text() || a.is_binary()),
        (SqlType::RowVersion, SqlType::Float | SqlType::Real) => true,
        _ => false,
    };
    if clash { Err(message::operand_clash(from.name(), to.name())) } else { Ok(()) }
}

/// Converts a value to `to`. `style` is CONVERT's, 0 when absent.
pub fn convert(value: &Datum, to: SqlType, style: i32, fit: Fit) -> Result<Datum> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match to {
        SqlType::Variant => Ok(value.clone()),
        SqlType::Xml if matches!(value, Datum::Xml(_)) => Ok(value.clone()),
        SqlType::Xml => Ok(Datum::Xml(Arc::from(xml::parse(&to_text(value, style)?)?))),
        SqlType::Char(_) | SqlType::VarChar(_) | SqlType::NChar(_) | SqlType::NVarChar(_) => {
            to_character(value, to, style, fit)
        }
        SqlType::Binary(_) | SqlType::VarBinary(_) => to_binary_type(value, to, style, fit),
        SqlType::RowVersion => to_rowversion(value),
        SqlType::UniqueIdentifier => to_guid(value),
        SqlType::Date
        | SqlType::Time(_)
        | SqlType::DateTime
        | SqlType::SmallDateTime
        | SqlType::DateTime2(_)
        | SqlType::DateTimeOffset(_) => to_temporal(value, to, style),
        SqlType::Bit
        | SqlType::TinyInt
        | SqlType::SmallInt
        | SqlType::Int
        | SqlType::BigInt
        | SqlType::Real
        | SqlType::Float
        | SqlType::Decimal { .. }
        | SqlType::Money
        | SqlType::SmallMoney => number::to_number(value, to),
    }
}

/// The type a value has by itself.
pub fn type_of(value: &Datum) -> SqlType {
    let units = |s: &str, max: usize| {
        let n = text::units(s);
        if n > max { Length::Max } else { Length::Of(n.max(1) as u16) }
    };
    match value {
        Datum::Null | Datum::Int(_) => SqlType::Int,
        Datum::Bit(_) => SqlType::Bit,
        Datum::TinyInt(_) => SqlType::TinyInt,
        Datum::SmallInt(_) => SqlType::SmallInt,
        Datum::BigInt(_) => SqlType::BigInt,
        Datum::Real(_) => SqlType::Real,
        Datum::Float(_) => SqlType::Float,
        Datum::Decimal(d) => SqlType::Decimal { precision: d.precision, scale: d.scale },
        Datum::Money(_) => SqlType::Money,
        Datum::SmallMoney(_) => SqlType::SmallMoney,
        Datum::VarChar(s) => SqlType::VarChar(units(s, 8000)),
        Datum::NVarChar(s) => SqlType::NVarChar(units(s, 4000)),
        Datum::Binary(b) => {
            SqlType::VarBinary(if b.len() > 8000 { Length::Max } else { Length::Of(b.len().max(1) as u16) })
        }
        Datum::Date(_) => SqlType::Date,
        Datum::Time(_) => SqlType::Time(7),
        Datum::DateTime(_) => SqlType::DateTime,
        Datum::SmallDateTime(_) => SqlType::SmallDateTime,
        Datum::DateTime2(_) => SqlType::DateTime2(7),
        Datum::DateTimeOffset(_) => SqlType::DateTimeOffset(7),
        Datum::Guid(_) => SqlType::UniqueIdentifier,
        Datum::Xml(_) => SqlType::Xml,
        Datum::RowVersion(_) => SqlType::RowVersion,
    }
}

fn to_character(value: &Datum, to: SqlType, style: i32, fit: Fit) -> Result<Datum> {
    let unicode = to.is_unicode();
    let (limit, padded) = match to {
        SqlType::Char(n) | SqlType::NChar(n) => (Some(usize::from(n)), true),
        SqlType::VarChar(Length::Of(n)) | SqlType::NVarChar(Length::Of(n)) => (Some(usize::from(n)), false),
        _ => (None, false),
    };
    // A value that fits as it is keeps its allocation.
    if let (Datum::NVarChar(s), true) | (Datum::VarChar(s), false) = (value, unicode)
        && !padded
        && limit.is_none_or(|n| text::units(s) <= n)
    {
        return Ok(value.clone());
    }
    let source = to_text(value, style)?;
    let source = if unicode { source } else { text::to_code_page(&source).into_owned() };
    let fitted = match limit {
        Some(n) => fit_text(source, n, fit, value)?,
        None => source,
    };
    let text = if padded { pad(fitted, limit.unwrap_or(0)) } else { fitted };
    let shared: Arc<str> = Arc::from(text);
    Ok(if unicode { Datum::NVarChar(shared) } else { Datum::VarChar(shared) })
}

fn pad(mut text: String, to: usize) -> String {
    let missing = to.saturating_sub(text::units(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

fn fit_text(source: String, limit: usize, fit: Fit, value: &Datum) -> Result<String> {
    if text::units(&source) <= limit {
        return Ok(source);
    }
    if value.as_str().is_none() {
        return number_does_not_fit(value, &source, limit);
    }
    let cut = text::first_units(&source, limit);
    let blank_tail = source[cut.len()..].chars().all(|c| c == ' ');
    match fit {
        Fit::Refuse if !blank_tail => Err(SqlError::new(TRUNCATION, 16, 1, cut)),
        Fit::Cut | Fit::Refuse => Ok(cut.to_owned()),
    }
}

/// int and smaller show `*`; other numbers overflow; dates are cut.
fn number_does_not_fit(value: &Datum, source: &str, limit: usize) -> Result<String> {
    match value {
        Datum::Bit(_) | Datum::TinyInt(_) | Datum::SmallInt(_) | Datum::Int(_) => Ok("*".to_owned()),
        Datum::Decimal(_) => Err(message::overflow_from("numeric", "varchar")),
        Datum::BigInt(_) | Datum::Float(_) | Datum::Real(_) => Err(message::overflow("varchar")),
        Datum::Money(_) | Datum::SmallMoney(_) => Err(SqlError::new(
            234,
            16,
            2,
            "There is insufficient result space to convert a money value to varchar.",
        )),
        Datum::Guid(_) => Err(SqlError::new(
            8170,
            16,
            2,
            "Insufficient result space to convert uniqueidentifier value to char.",
        )),
        _ => Ok(text::first_units(source, limit).to_owned()),
    }
}

fn to_binary_type(value: &Datum, to: SqlType, style: i32, fit: Fit) -> Result<Datum> {
    let bytes = to_bytes(value, style)?;
    let (limit, padded) = match to {
        SqlType::Binary(n) => (Some(usize::from(n)), true),
        SqlType::VarBinary(Length::Of(n)) => (Some(usize::from(n)), false),
        _ => (None, false),
    };
    let number = value.as_i64().is_some();
    let mut bytes = match limit {
        Some(n) if bytes.len() > n && fit == Fit::Refuse && !number => {
            return Err(SqlError::new(TRUNCATION, 16, 1, ""));
        }
        // Numbers keep their low bytes, everything else its first.
        Some(n) if bytes.len() > n && number => bytes[bytes.len() - n..].to_vec(),
        Some(n) if bytes.len() > n => bytes[..n].to_vec(),
        _ => bytes,
    };
    if let (Some(n), true) = (limit, padded) {
        let missing = n.saturating_sub(bytes.len());
        if number {
            bytes.splice(0..0, std::iter::repeat_n(0, missing));
        } else {
            bytes.extend(std::iter::repeat_n(0, missing));
        }
    }
    Ok(Datum::Binary(Arc::from(bytes)))
}

/// The bytes of a value as varbinary shows them.
pub fn to_bytes(value: &Datum, style: i32) -> Result<Vec<u8>> {
    Ok(match value {
        Datum::Null => Vec::new(),
        Datum::Binary(b) => b.to_vec(),
        Datum::RowVersion(n) => n.to_be_bytes().to_vec(),
        Datum::VarChar(s) | Datum::NVarChar(s) if style == 1 || style == 2 => from_hex(s, style)?,
        Datum::VarChar(s) => text::code_page_bytes(s),
        Datum::NVarChar(s) | Datum::Xml(s) => {
            crate::types::utf16::units(s).flat_map(u16::to_le_bytes).collect()
        }
        Datum::Bit(b) => vec![u8::from(*b)],
        Datum::TinyInt(n) => vec![*n],
        Datum::SmallInt(n) => n.to_be_bytes().to_vec(),
        Datum::Int(n) => n.to_be_bytes().to_vec(),
        Datum::BigInt(n) | Datum::Money(n) => n.to_be_bytes().to_vec(),
        Datum::SmallMoney(n) => n.to_be_bytes().to_vec(),
        Datum::Guid(g) => guid_bytes(g).to_vec(),
        Datum::DateTime(v) => {
            let mut bytes = v.days.to_be_bytes().to_vec();
            bytes.extend_from_slice(&(v.ticks as u32).to_be_bytes());
            bytes
        }
        Datum::Real(_)
        | Datum::Float(_)
        | Datum::Decimal(_)
        | Datum::Date(_)
        | Datum::Time(_)
        | Datum::SmallDateTime(_)
        | Datum::DateTime2(_)
        | Datum::DateTimeOffset(_) => {
            return Err(message::not_supported(format!("CONVERT({} to varbinary)", type_of(value).name())));
        }
    })
}

/// A guid's first three groups are little-endian in storage.
pub fn guid_bytes(g: &[u8; 16]) -> [u8; 16] {
    [g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]]
}

fn from_hex(text: &str, style: i32) -> Result<Vec<u8>> {
    let bad = || message::error_converting("varchar", "varbinary");
    let digits = match (style, text.strip_prefix("0x").or(text.strip_prefix("0X"))) {
        (1, Some(digits)) => digits,
        (2, None) => text,
        _ => return Err(bad()),
    };
    if digits.len() % 2 == 1 || !digits.is_ascii() {
        return Err(bad());
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).map_err(|_| bad()))
        .collect()
}

fn to_rowversion(value: &Datum) -> Result<Datum> {
    if let Datum::RowVersion(_) = value {
        return Ok(value.clone());
    }
    let bytes = to_bytes(value, 0)?;
    let mut eight = [0u8; 8];
    let number = value.as_i64().is_some();
    for (i, byte) in bytes.iter().take(8).enumerate() {
        eight[if number { 8 - bytes.len().min(8) + i } else { i }] = *byte;
    }
    Ok(Datum::RowVersion(u64::from_be_bytes(eight)))
}

fn to_guid(value: &Datum) -> Result<Datum> {
    match value {
        Datum::Guid(_) => Ok(value.clone()),
        Datum::VarChar(s) | Datum::NVarChar(s) => {
            let s = s.trim().trim_start_matches('{');
            let s = s.get(..36).ok_or_else(message::guid_conversion)?;
            let parsed = uuid::Uuid::parse_str(s).map_err(|_| message::guid_conversion())?;
            Ok(Datum::Guid(*parsed.as_bytes()))
        }
        Datum::Binary(_) | Datum::RowVersion(_) => {
            let bytes = to_bytes(value, 0)?;
            let mut g = [0u8; 16];
            g.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            Ok(Datum::Guid(guid_bytes(&g)))
        }
        _ => Err(message::operand_clash(type_of(value).name(), "uniqueidentifier")),
    }
}

fn to_temporal(value: &Datum, to: SqlType, style: i32) -> Result<Datum> {
    let (moment, offset) = match value {
        Datum::VarChar(s) | Datum::NVarChar(s) => parse_moment(s, to, style)?,
        Datum::DateTimeOffset(v) => (temporal::moment(value), Some(v.offset)),
        v if type_of(v).is_temporal() => (temporal::moment(v), None),
        v => (Some(number_to_moment(v, to)?), None),
    };
    let from = type_of(value).name();
    let out_of_range = || message::date_range(from, to.name());
    let m = moment.ok_or_else(out_of_range)?;
    Ok(match to {
        SqlType::Date => Datum::Date(m.days),
        SqlType::Time(scale) => Datum::Time(m.rounded(scale).ok_or_else(out_of_range)?.ticks),
        SqlType::DateTime => Datum::DateTime(m.to_datetime().ok_or_else(out_of_range)?),
        SqlType::SmallDateTime => Datum::SmallDateTime(m.to_smalldatetime().ok_or_else(out_of_range)?),
        SqlType::DateTimeOffset(scale) => {
            let rounded = m.rounded(scale).ok_or_else(out_of_range)?;
            Datum::DateTimeOffset(
                temporal::with_offset(rounded, offset.unwrap_or(0)).ok_or_else(out_of_range)?,
            )
        }
        SqlType::DateTime2(scale) => {
            let rounded = m.rounded(scale).ok_or_else(out_of_range)?;
            Datum::DateTime2(DateTimeValue { days: rounded.days, ticks: rounded.ticks })
        }
        _ => return Err(message::operand_clash(from, to.name())),
    })
}

fn parse_moment(s: &str, to: SqlType, style: i32) -> Result<(Option<Moment>, Option<i16>)> {
    let order = temporal::DateOrder::of_style(style);
    let order = order.ok_or_else(|| message::not_supported(format!("CONVERT style {style}")))?;
    let failed = || {
        if to == SqlType::SmallDateTime {
            message::smalldate_conversion()
        } else {
            message::date_conversion()
        }
    };
    let legacy = matches!(to, SqlType::DateTime | SqlType::SmallDateTime);
    let Some(parsed) = temporal::parse_ordered(s, order) else {
        if !legacy && temporal::parse(s).is_some() {
            return Err(message::not_in_style(style));
        }
        return if legacy && temporal::is_numeric_date(s) { Ok((None, None)) } else { Err(failed()) };
    };
    let fraction = s.rsplit_once('.').map_or(0, |(_, f)| f.chars().take_while(char::is_ascii_digit).count());
    // datetime reads at most three digits of a second and no offset.
    if legacy && (fraction > 3 && s.contains(':') || parsed.offset.is_some_and(|o| o != 0)) {
        return Err(failed());
    }
    let days = parsed.days.unwrap_or(temporal::EPOCH_1900);
    let moment = Moment { days, ticks: parsed.ticks };
    match (to, parsed.offset) {
        (SqlType::DateTimeOffset(_), _) | (_, None) => Ok((Some(moment), parsed.offset)),
        (_, Some(_)) => Ok((Some(moment), None)),
    }
}

/// Numbers are days from 1900-01-01 for datetime and smalldatetime.
fn number_to_moment(value: &Datum, to: SqlType) -> Result<Moment> {
    if let (Datum::Binary(_) | Datum::RowVersion(_), _) = (value, to) {
        return Err(message::not_supported(format!("CONVERT(varbinary to {})", to.name())));
    }
    let days =
        number::to_float(value).ok_or_else(|| message::operand_clash(type_of(value).name(), to.name()))?;
    let overflow = || message::overflow_from("expression", to.name());
    if !days.is_finite() || days.abs() > 4e6 {
        return Err(overflow());
    }
    let ticks = (days * temporal::DAY as f64).round() as i128
        + i128::from(temporal::EPOCH_1900) * i128::from(temporal::DAY);
    Moment::from_total(ticks).ok_or_else(overflow)
}

/// A decimal datum.
pub fn decimal(unscaled: i128, precision: u8, scale: u8) -> Datum {
    Datum::Decimal(DecimalValue { unscaled, precision, scale })
}
