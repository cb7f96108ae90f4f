//! What `{{ value }}` prints: Python's text of the value, mappings laid out so that YAML reads them.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use minijinja::value::{Value as Jinja, ValueKind};

use super::objects::items_of;
use crate::yaml::quoted;

/// The text of a list or a mapping; `None` where the plain text will do.
pub(super) fn finalized(value: &Jinja) -> Option<String> {
    match value.kind() {
        ValueKind::Map => Some(map(value)),
        ValueKind::Seq if !value.is_tuple() => Some(sequence(value, '[', ']')),
        ValueKind::Seq => Some(tuple(value)),
        ValueKind::Number if !value.is_integer() => Some(super::objects::from_jinja(value).to_string()),
        ValueKind::Bytes => Some(super::objects::from_jinja(value).repr()),
        _ => None,
    }
}

fn tuple(value: &Jinja) -> String {
    let text = sequence(value, '(', ')');
    if value.len() == Some(1) { text.replacen(')', ",)", text.matches(')').count()) } else { text }
}

fn sequence(value: &Jinja, open: char, close: char) -> String {
    let items: Vec<String> = items_of(value).iter().map(inner).collect();
    format!("{open}{}{close}", items.join(", "))
}

fn map(value: &Jinja) -> String {
    let pair = |key: &Jinja| {
        let item = value.get_item(key).unwrap_or_default();
        format!("{}: {}", inner(key), entry(&item))
    };
    let pairs: Vec<String> = items_of(value).iter().map(pair).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A value of a mapping: text with line breaks goes out as YAML's double quoted scalar.
fn entry(value: &Jinja) -> String {
    match value.as_str() {
        Some(text) if text.contains(['\n', '\r', '\t']) => quoted(text),
        _ => inner(value),
    }
}

fn inner(value: &Jinja) -> String {
    match value.kind() {
        ValueKind::Map | ValueKind::Seq => finalized(value).unwrap_or_default(),
        _ => super::objects::from_jinja(value).repr(),
    }
}
