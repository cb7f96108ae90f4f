//! The `nested` layout.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use super::color::Colors;
use super::{disarmed, lines};
use crate::{Map, Value};

pub(super) fn print(data: &Value, indent: usize, colors: &Colors) -> String {
    let mut out = Vec::new();
    display(data, indent, "", colors, &mut out);
    out.join("\n")
}

fn display(value: &Value, indent: usize, prefix: &str, colors: &Colors, out: &mut Vec<String>) {
    let line = |color: &str, prefix: &str, text: &str, suffix: &str| {
        format!("{:indent$}{color}{prefix}{text}{}{suffix}", "", colors.end)
    };
    match value {
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            out.push(line(colors.light_yellow, prefix, &value.to_string(), ""));
        }
        Value::Str(text) => text_lines(text, indent, prefix, colors, out),
        Value::Bytes(bytes) => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                text_lines(text, indent, prefix, colors, out);
            }
        }
        Value::List(items) => {
            for item in items {
                match item {
                    Value::List(_) | Value::Map(_) => {
                        out.push(line(colors.green, "", "|_", ""));
                        let prefix = if matches!(item, Value::Map(_)) { "" } else { "- " };
                        display(item, indent + 2, prefix, colors, out);
                    }
                    leaf => display(leaf, indent, "- ", colors, out),
                }
            }
        }
        Value::Map(map) => {
            if indent > 0 {
                out.push(line(colors.cyan, "", "----------", ""));
            }
            for (key, item) in sorted(map) {
                out.push(line(colors.cyan, prefix, &key, ":"));
                display(item, indent + 4, "", colors, out);
            }
        }
    }
}

fn text_lines(text: &str, indent: usize, prefix: &str, colors: &Colors, out: &mut Vec<String>) {
    for (at, line) in lines(text).into_iter().enumerate() {
        let blank = " ".repeat(prefix.len());
        let prefix = if at == 0 { prefix } else { &blank };
        out.push(format!("{:indent$}{}{prefix}{}{}", "", colors.green, disarmed(line), colors.end));
    }
}

/// The pairs by key, as Python sorts them; by the text of the key when the keys differ in type.
fn sorted(map: &Map) -> Vec<(String, &Value)> {
    let mut pairs: Vec<(&Value, &Value)> = map.iter().collect();
    if pairs.iter().all(|(key, _)| key.as_float().is_some()) {
        pairs.sort_by(|(one, _), (other, _)| {
            one.as_float().partial_cmp(&other.as_float()).unwrap_or(std::cmp::Ordering::Equal)
        });
        return pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
    }
    let mut pairs: Vec<(String, &Value)> =
        pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    pairs
}
