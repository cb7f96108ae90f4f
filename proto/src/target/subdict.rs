//! Nested lookup in grains and pillar: Salt's `subdict_match` and `traverse_dict_and_list`.
//!
//! `a:b:c` finds `c` under `a`, `b`, but also the value `b:c` under `a`; the deepest reading is tried first. Lists
//! match by any member, maps by any key, `*` for a key means every key, values are compared as lower-case text.
//!
//! Differs from Salt in one place: a path word that is no key is read again as a YAML scalar only in the plain forms
//! (numbers, booleans, null), not with quotes or tags.

use super::glob::fnmatch;
use super::regex::StartPattern;
use super::text::python_str;
use crate::{Map, Value};

/// How a value is compared with the last words of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Glob,
    Regex,
    Exact,
}

/// The last words of a target, ready to compare.
enum Pattern {
    Glob(String),
    /// `None` when it does not compile: Salt logs that and matches nothing.
    Regex(Option<StartPattern>),
    Exact(String),
}

/// Whether `expr` leads to a value in `data` that fits.
pub(super) fn subdict_match(data: &Value, expr: &str, delimiter: &str, how: Comparison) -> bool {
    // Python refuses to split by nothing; a word of one part cannot match.
    if delimiter.is_empty() {
        return false;
    }
    let words: Vec<&str> = expr.split(delimiter).collect();
    (1..words.len()).rev().any(|depth| {
        let (path, rest) = words.split_at(depth);
        if path == ["*"] {
            return value_match(data, expr, how);
        }
        traverse(data, path).is_some_and(|found| value_match(found, &rest.join(delimiter), how))
    })
}

fn value_match(found: &Value, pattern: &str, how: Comparison) -> bool {
    if let Some(map) = found.as_map() {
        return !map.is_empty() && map_match(map, pattern, how);
    }
    let compare = Pattern::new(pattern, how);
    match found.as_list() {
        Some(members) => members.iter().any(|member| {
            member.as_map().is_some_and(|map| map_match(map, pattern, how)) || compare.fits(member)
        }),
        None => compare.fits(found),
    }
}

fn map_match(map: &Map, pattern: &str, how: Comparison) -> bool {
    let (wildcard, pattern) = match pattern.strip_prefix("*:") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    if pattern == "*" || map.contains_key(pattern) {
        return true;
    }
    let compare = Pattern::new(pattern, how);
    if map.keys().any(|key| compare.fits(key)) || map_path_match(map, pattern, how) {
        return true;
    }
    wildcard
        && map.values().any(|value| {
            if let Some(inner) = value.as_map() {
                map_match(inner, pattern, how)
            } else if let Some(members) = value.as_list() {
                members.iter().any(|member| compare.fits(member))
            } else {
                compare.fits(value)
            }
        })
}

/// `subdict_match` on a map, always with `:` between the words, as Salt does below the first level.
fn map_path_match(map: &Map, pattern: &str, how: Comparison) -> bool {
    pattern.contains(':') && subdict_match(&Value::Map(map.clone()), pattern, ":", how)
}

/// The value at the end of `path`.
fn traverse<'a>(data: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(data, |at, word| {
        if let Some(members) = at.as_list() {
            return list_step(members, word);
        }
        let map = at.as_map()?;
        map.get(word).or_else(|| get_equal(map, &plain_scalar(word)?))
    })
}

fn list_step<'a>(members: &'a [Value], word: &str) -> Option<&'a Value> {
    let mut maps = members.iter().filter_map(Value::as_map);
    let Some(index) = python_int(word) else { return maps.find_map(|map| map.get(word)) };
    maps.find_map(|map| get_equal(map, &Value::Int(index))).or_else(|| {
        let from_start = if index < 0 { index + i64::try_from(members.len()).ok()? } else { index };
        members.get(usize::try_from(from_start).ok()?)
    })
}

/// The value under a key that Python holds equal: `1`, `1.0` and `True` are one key there.
fn get_equal<'a>(map: &'a Map, key: &Value) -> Option<&'a Value> {
    let number = match key {
        Value::Bool(flag) => i64::from(*flag),
        Value::Int(number) => *number,
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => *number as i64,
        Value::Nil | Value::UInt(_) | Value::Float(_) => return map.get_value(key),
        Value::Str(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => return map.get_value(key),
    };
    let flag = (0..=1).contains(&number).then_some(Value::Bool(number == 1));
    [Value::Int(number), Value::Float(number as f64)]
        .iter()
        .chain(&flag)
        .find_map(|equal| map.get_value(equal))
}

/// Python's `int(text)`.
fn python_int(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let well_formed = digits.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__");
    if well_formed { text.replace('_', "").parse().ok() } else { None }
}

/// The word as YAML would read it, if that is no text.
fn plain_scalar(word: &str) -> Option<Value> {
    match word {
        "None" | "~" | "null" | "Null" | "NULL" => return Some(Value::Nil),
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Some(Value::Bool(true));
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Some(Value::Bool(false));
        }
        _ => {}
    }
    // Digits with underscores stay text in Salt.
    let starts_like_a_number = word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if !starts_like_a_number || word.contains('_') {
        return None;
    }
    if let Ok(number) = word.parse::<i64>() {
        return Some(Value::Int(number));
    }
    word.contains('.').then(|| word.parse().ok().map(Value::Float))?
}

impl Pattern {
    fn new(pattern: &str, how: Comparison) -> Self {
        let lower = pattern.to_lowercase();
        match how {
            Comparison::Glob => Self::Glob(lower),
            // The expression itself is lowered too: `\D` is `\d` here, as in Salt.
            Comparison::Regex => Self::Regex(StartPattern::new(&lower).ok()),
            Comparison::Exact => Self::Exact(lower),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        let text = python_str(value).to_lowercase();
        match self {
            Self::Glob(pattern) => fnmatch(&text, pattern),
            Self::Regex(pattern) => {
                pattern.as_ref().is_some_and(|pattern| pattern.fits(&text).unwrap_or(false))
            }
            Self::Exact(pattern) => text == *pattern,
        }
    }
}
