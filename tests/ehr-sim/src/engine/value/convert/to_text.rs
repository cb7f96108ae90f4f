//! Values as text, by CONVERT style.

use super::type_of;
use crate::engine::message::{self, Result};
use crate::engine::value::temporal;
use crate::types::{Datum, DecimalValue};

/// The text of a value under a style (0 when none was given).
pub fn to_text(value: &Datum, style: i32) -> Result<String> {
    Ok(match value {
        Datum::Null => String::new(),
        Datum::Bit(b) => u8::from(*b).to_string(),
        Datum::TinyInt(n) => n.to_string(),
        Datum::SmallInt(n) => n.to_string(),
        Datum::Int(n) => n.to_string(),
        Datum::BigInt(n) => n.to_string(),
        Datum::Real(f) => format_float(f64::from(*f), if style == 0 { 6 } else { 8 }, style),
        Datum::Float(f) => format_float(*f, if style == 0 { 6 } else { 16 }, style),
        Datum::Decimal(d) => decimal_text(*d),
        Datum::Money(n) => money_text(*n, style),
        Datum::SmallMoney(n) => money_text(i64::from(*n), style),
        Datum::VarChar(s) | Datum::NVarChar(s) | Datum::Xml(s) => s.to_string(),
        Datum::Binary(b) => binary_text(b, style),
        Datum::RowVersion(n) => binary_text(&n.to_be_bytes(), style),
        Datum::Guid(g) => guid_text(g),
        Datum::Date(days) if style == 0 => temporal::format_date(*days),
        Datum::Time(ticks) if style == 0 => temporal::format_time(*ticks, 7),
        Datum::DateTime2(v) if style == 0 => {
            format!("{} {}", temporal::format_date(v.days), temporal::format_time(v.ticks, 7))
        }
        Datum::DateTimeOffset(v) => offset_text(value, v.offset, style)?,
        Datum::Date(_)
        | Datum::Time(_)
        | Datum::DateTime(_)
        | Datum::SmallDateTime(_)
        | Datum::DateTime2(_) => styled(value, style)?,
    })
}

/// The text of a datetime2, time or datetimeoffset of a declared scale.
pub fn styled(value: &Datum, style: i32) -> Result<String> {
    let scale = if matches!(value, Datum::DateTime(_) | Datum::SmallDateTime(_)) { 3 } else { 7 };
    temporal::moment(value)
        .and_then(|m| m.rounded(scale))
        .and_then(|m| temporal::format_style(m, style, scale))
        .ok_or_else(|| bad_style(style, type_of(value).name()))
}

fn bad_style(style: i32, from: &str) -> message::SqlError {
    message::SqlError::new(
        281,
        16,
        1,
        format!("{style} is not a valid style number when converting from {from} to a character string."),
    )
}

fn offset_text(value: &Datum, offset: i16, style: i32) -> Result<String> {
    let base = styled(value, if style == 0 { 121 } else { style })?;
    let separator = if style == 126 { "" } else { " " };
    Ok(format!("{base}{separator}{}", temporal::format_offset(offset)))
}

fn decimal_text(d: DecimalValue) -> String {
    let digits = d.unscaled.unsigned_abs().to_string();
    let sign = if d.unscaled < 0 { "-" } else { "" };
    let scale = usize::from(d.scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// Styles: 0 two digits, 1 two digits with commas, 2 and 126 four digits.
fn money_text(n: i64, style: i32) -> String {
    let sign = if n < 0 { "-" } else { "" };
    let value = n.unsigned_abs();
    if matches!(style, 2 | 126) {
        return format!("{sign}{}.{:04}", value / 10_000, value % 10_000);
    }
    let cents = (value + 50) / 100;
    let whole = (cents / 100).to_string();
    let whole = if style == 1 { with_commas(&whole) } else { whole };
    format!("{sign}{whole}.{:02}", cents % 100)
}

fn with_commas(digits: &str) -> String {
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// Style 0 takes the bytes as characters, 1 writes `0x..`, 2 the digits alone.
fn binary_text(bytes: &[u8], style: i32) -> String {
    let hex = || bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
    match style {
        1 => format!("0x{}", hex()),
        2 => hex(),
        _ => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// Upper-case guid text.
pub fn guid_text(g: &[u8; 16]) -> String {
    uuid::Uuid::from_bytes(*g).hyphenated().to_string().to_uppercase()
}

/// `%g` with `digits` significant digits and SQL Server's three-digit exponent; styles 1 and 2 always exponent.
pub fn format_float(f: f64, digits: usize, style: i32) -> String {
    if f == 0.0 && style == 0 {
        return "0".to_owned();
    }
    let scientific = format!("{f:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if style == 0 && exponent >= -5 && exponent < digits as i32 {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return trim_zeros(&format!("{f:.decimals$}"));
    }
    let mantissa = if style == 0 { trim_zeros(mantissa) } else { mantissa.to_owned() };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:03}", exponent.abs())
}

fn trim_zeros(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_show_six_digits_by_default() {
        for (f, text) in [(1.0, "1"), (0.1, "0.1"), (123_456.7, "123457"), (1_234_567.0, "1.23457e+006")] {
            assert_eq!(format_float(f, 6, 0), text);
        }
    }

    #[test]
    fn money_rounds_to_cents_unless_asked_for_four_digits() {
        assert_eq!(money_text(12_345_678_955, 0), "1234567.90");
        assert_eq!(money_text(12_345_678_955, 1), "1,234,567.90");
        assert_eq!(money_text(-12_345, 2), "-1.2345");
    }
}
