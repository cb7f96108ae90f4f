//! Values as JSON text, laid out as Python's `json.dumps` lays them out.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use crate::value::float_repr;
use crate::{Map, Value};

/// The layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Spaces per level; `None` puts everything on one line.
    pub indent: Option<i64>,
    /// Whether keys are sorted.
    pub sort_keys: bool,
    /// Whether everything beyond ASCII is escaped.
    pub ascii: bool,
}

/// Writes a value as JSON.
pub fn dump(value: &Value, layout: &Layout) -> String {
    let mut out = String::new();
    write(&mut out, value, layout, 0);
    out
}

fn write(out: &mut String, value: &Value, layout: &Layout, depth: usize) {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Str(text) => string(out, text, layout.ascii),
        Value::Bytes(bytes) => string(out, &String::from_utf8_lossy(bytes), layout.ascii),
        Value::List(items) => list(out, items, layout, depth),
        Value::Map(map) => object(out, map, layout, depth),
    }
}

fn list(out: &mut String, items: &[Value], layout: &Layout, depth: usize) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        separate(out, at, layout, depth + 1);
        write(out, item, layout, depth + 1);
    }
    close(out, items.is_empty(), layout, depth);
    out.push(']');
}

fn object(out: &mut String, map: &Map, layout: &Layout, depth: usize) {
    let mut pairs: Vec<(String, &Value)> = map.iter().map(|(key, value)| (key_text(key), value)).collect();
    if layout.sort_keys {
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    out.push('{');
    for (at, (key, item)) in pairs.iter().enumerate() {
        separate(out, at, layout, depth + 1);
        string(out, key, layout.ascii);
        out.push_str(": ");
        write(out, item, layout, depth + 1);
    }
    close(out, pairs.is_empty(), layout, depth);
    out.push('}');
}

fn separate(out: &mut String, at: usize, layout: &Layout, depth: usize) {
    match layout.indent {
        Some(_) => {
            if at > 0 {
                out.push(',');
            }
            newline(out, layout, depth);
        }
        None if at > 0 => out.push_str(", "),
        None => {}
    }
}

fn close(out: &mut String, is_empty: bool, layout: &Layout, depth: usize) {
    if layout.indent.is_some() && !is_empty {
        newline(out, layout, depth);
    }
}

fn newline(out: &mut String, layout: &Layout, depth: usize) {
    let indent = layout.indent.and_then(|indent| usize::try_from(indent).ok()).unwrap_or(0).min(64);
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent * depth));
}

/// Python turns keys into text: `None` is `null`, `True` is `true`.
fn key_text(key: &Value) -> String {
    match key {
        Value::Nil => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        other => other.to_string(),
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        float_repr(number)
    }
}

fn string(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            letter if letter < ' ' || (ascii && !letter.is_ascii()) || (ascii && letter == '\u{7f}') => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}
