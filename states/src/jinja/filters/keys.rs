//! Filters that change a nested dictionary at a key path: `set_dict_key_value('a:b', value)` and its like.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use super::{Args, FilterFn, Outcome};
use crate::{Map, Value};

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("append_dict_key_value", |args| change(args, append)),
    ("extend_dict_key_value", |args| change(args, extend)),
    ("set_dict_key_value", |args| change(args, set)),
    ("update_dict_key_value", |args| change(args, update)),
];

type Change = fn(&mut Value, &Value) -> Result<(), String>;

/// Walks to the key, making dictionaries on the way, and changes what is there.
fn change(args: &Args, change: Change) -> Outcome {
    let mut data = args.value().clone();
    let keys = args.required(1, "keys")?.to_string();
    let value = args.required(2, "value")?;
    let delimiter = args.get(3, "delimiter").and_then(Value::as_str).unwrap_or(":").to_owned();
    let mut at = &mut data;
    for key in keys.split(&delimiter) {
        if at.is_nil() {
            *at = Value::Map(Map::new());
        }
        at = match at {
            Value::Map(map) => map.entry_or_insert(key, Value::Nil),
            other => return Err(format!("cannot walk into a {} at '{key}'", other.type_name())),
        };
    }
    change(at, value)?;
    Ok(data)
}

fn set(place: &mut Value, value: &Value) -> Result<(), String> {
    *place = value.clone();
    Ok(())
}

fn update(place: &mut Value, value: &Value) -> Result<(), String> {
    if place.is_nil() {
        *place = Value::Map(Map::new());
    }
    match (place, value) {
        (Value::Map(map), Value::Map(more)) => {
            map.extend(more.clone());
            Ok(())
        }
        (other, value) => Err(format!("Cannot update {} with a {}.", other.type_name(), value.type_name())),
    }
}

fn append(place: &mut Value, value: &Value) -> Result<(), String> {
    if place.is_nil() {
        *place = Value::List(Vec::new());
    }
    match place {
        Value::List(list) => {
            list.push(value.clone());
            Ok(())
        }
        other => Err(format!("The last key contains a {}, which cannot append.", other.type_name())),
    }
}

fn extend(place: &mut Value, value: &Value) -> Result<(), String> {
    if place.is_nil() {
        *place = Value::List(Vec::new());
    }
    match place {
        Value::List(list) => {
            list.extend(super::lists::items(value)?);
            Ok(())
        }
        other => Err(format!("The last key contains a {}, which cannot extend.", other.type_name())),
    }
}
