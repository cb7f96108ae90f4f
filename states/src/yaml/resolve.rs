//! Which type a plain scalar has, by YAML 1.1 as PyYAML implements it.

use crate::Value;

/// The type of a plain scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nil,
    Bool,
    Int,
    Float,
    Merge,
    Text,
}

pub(super) fn kind_of(text: &str) -> Kind {
    match text.as_bytes().first() {
        None | Some(b'~') if text.len() <= 1 => Kind::Nil,
        Some(b'n' | b'N') if matches!(text, "null" | "Null" | "NULL") => Kind::Nil,
        Some(b'<') if text == "<<" => Kind::Merge,
        Some(b'+' | b'-' | b'.' | b'0'..=b'9') => number_kind(text),
        Some(_) if truth_of(text).is_some() => Kind::Bool,
        None | Some(_) => Kind::Text,
    }
}

/// The truth value of YAML 1.1's words for it.
pub(super) fn truth_of(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn number_kind(text: &str) -> Kind {
    if is_int(text) {
        Kind::Int
    } else if is_float(text) {
        Kind::Float
    } else {
        Kind::Text
    }
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(binary) = digits.strip_prefix("0b") {
        return all(binary, |b| matches!(b, b'0' | b'1' | b'_'));
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return all(hex, |b| b.is_ascii_hexdigit() || b == b'_');
    }
    if let Some(octal) = digits.strip_prefix('0') {
        return octal.is_empty() || all(octal, |b| matches!(b, b'0'..=b'7' | b'_'));
    }
    let mut parts = digits.split(':');
    let first = parts.next().unwrap_or_default();
    starts_with_digit(first) && all(first, is_digit_or_line) && parts.all(is_sixty)
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = unsigned.split_once('.') else { return false };
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    if !fraction.bytes().all(is_digit_or_line) || !exponent.is_none_or(is_exponent) {
        return false;
    }
    if whole.is_empty() {
        return unsigned.len() == text.len() && starts_with_digit(fraction);
    }
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let sixties: Vec<&str> = parts.collect();
    starts_with_digit(first)
        && all(first, is_digit_or_line)
        && sixties.iter().all(|part| is_sixty(part))
        && (sixties.is_empty() || exponent.is_none())
}

fn is_exponent(text: &str) -> bool {
    text.strip_prefix(['-', '+']).is_some_and(|digits| all(digits, |b| b.is_ascii_digit()))
}

fn is_sixty(part: &str) -> bool {
    match part.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [tens, ones] => matches!(tens, b'0'..=b'5') && ones.is_ascii_digit(),
        _ => false,
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_digit)
}

fn is_digit_or_line(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

fn all(text: &str, test: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(test)
}

/// The number a scalar of kind `Int` means, leading zeros dropped as Salt does when it has no sign.
pub(super) fn int_value(text: &str) -> Option<Value> {
    let text = match text.strip_prefix('0') {
        Some(_) if !text.starts_with("0b") && !text.starts_with("0x") => {
            let rest = text.trim_start_matches('0');
            if rest.is_empty() { "0" } else { rest }
        }
        Some(_) | None => text,
    };
    let clean = text.replace('_', "");
    let (negative, digits) = match clean.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, clean.strip_prefix('+').unwrap_or(&clean)),
    };
    let size = magnitude(digits)?;
    let signed = if negative { -size } else { size };
    // Python has whole numbers of any size; the nearest this has is a float.
    Some(i64::try_from(signed).map_or(Value::Float(signed as f64), Value::Int))
}

fn magnitude(digits: &str) -> Option<i128> {
    if let Some(binary) = digits.strip_prefix("0b") {
        return i128::from_str_radix(binary, 2).ok();
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return i128::from_str_radix(hex, 16).ok();
    }
    if digits.len() > 1 && digits.starts_with('0') && !digits.contains(':') {
        return i128::from_str_radix(digits, 8).ok();
    }
    digits.split(':').try_fold(0i128, |sum, part| {
        let part: i128 = part.parse().ok()?;
        sum.checked_mul(60)?.checked_add(part)
    })
}

/// The number a scalar of kind `Float` means.
pub(super) fn float_value(text: &str) -> Option<Value> {
    let clean = text.replace('_', "").to_lowercase();
    let (sign, digits) = match clean.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, clean.strip_prefix('+').unwrap_or(&clean)),
    };
    let size = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        digits => digits.split(':').try_fold(0.0, |sum, part| {
            let part: f64 = part.parse().ok()?;
            Some(sum * 60.0 + part)
        })?,
    };
    Some(Value::Float(sign * size))
}
