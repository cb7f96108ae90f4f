//! Values as Python's `str()` writes them, because Salt compares grains and pillar values as text.
//!
//! Lists and maps are written with Python's quotes; tuples travel as lists and are written as such.

use std::fmt::Write as _;

use crate::Value;

/// Python's `str(value)`.
pub(super) fn python_str(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_) => {
            let mut out = String::new();
            push_repr(&mut out, value);
            out
        }
    }
}

fn push_repr(out: &mut String, value: &Value) {
    match value {
        Value::Nil => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::UInt(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float_repr(*number)),
        Value::Str(text) => push_text_repr(out, text),
        Value::Bytes(bytes) => {
            let _ = write!(out, "b'{}'", bytes.escape_ascii());
        }
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                push_repr(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                push_repr(out, key);
                out.push_str(": ");
                push_repr(out, value);
            }
            out.push('}');
        }
    }
}

fn push_text_repr(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for one in text.chars() {
        match one {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            same if same == quote => out.extend(['\\', same]),
            control if u32::from(control) < 0x20 || u32::from(control) == 0x7f => {
                let _ = write!(out, "\\x{:02x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push(quote);
}

/// Python's `repr` of a float: shortest digits, an exponent below 1e-4 and from 1e16 on.
fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = number.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Map;

    #[test]
    fn writes_values_as_python_does() {
        let map: Map =
            [(Value::from("k"), Value::Nil), (Value::Int(1), Value::Bool(true))].into_iter().collect();
        let list = Value::List(vec!["a'b".into(), "c\\\n".into(), Value::Float(1.0), Value::Map(map)]);
        assert_eq!(python_str(&list), r#"["a'b", 'c\\\n', 1.0, {'k': None, 1: True}]"#);
        assert_eq!(python_str(&Value::Bytes(vec![0xff, b'a'])), r"b'\xffa'");
    }

    #[test]
    fn writes_floats_as_python_does() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e17, "1.5e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (2.5e-10, "2.5e-10"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(python_str(&Value::Float(number)), expected);
        }
    }
}
