//! Filters over lists and mappings as sets.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use super::{Args, FilterFn, Outcome};
use crate::{Map, Value};

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("avg", avg),
    ("compare_dicts", compare_dicts),
    ("compare_lists", compare_lists),
    ("difference", |args| combine(args, |item, _, second| !second.contains(item))),
    ("exactly_n_true", |args| exactly(args, args.get(1, "amount").and_then(Value::as_int).unwrap_or(1))),
    ("exactly_one_true", |args| exactly(args, 1)),
    ("flatten", |args| {
        let levels = args.get(1, "levels").and_then(Value::as_int);
        Ok(Value::List(flatten(args.value(), levels, args.is_set(2, "preserve_nulls"))))
    }),
    ("intersect", |args| combine(args, |item, _, second| second.contains(item))),
    ("is_iter", |args| Ok(Value::Bool(matches!(args.value(), Value::List(_) | Value::Map(_))))),
    ("is_list", |args| Ok(Value::Bool(matches!(args.value(), Value::List(_))))),
    ("max", |args| extreme(args, std::cmp::Ordering::Greater)),
    ("min", |args| extreme(args, std::cmp::Ordering::Less)),
    ("sequence", sequence),
    ("sorted_ignorecase", sorted_ignorecase),
    ("substring_in_list", substring_in_list),
    ("symmetric_difference", symmetric_difference),
    ("union", union),
    ("unique", |args| Ok(Value::List(unique(items(args.value())?)))),
];

pub(super) fn items(value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::List(items) => Ok(items.clone()),
        Value::Map(map) => Ok(map.keys().cloned().collect()),
        Value::Str(text) => Ok(text.chars().map(|letter| Value::from(letter.to_string())).collect()),
        other => Err(format!("'{}' object is not iterable", other.type_name())),
    }
}

fn unique(items: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

fn both(args: &Args) -> Result<(Vec<Value>, Vec<Value>), String> {
    Ok((items(args.value())?, items(args.required(1, "lst2")?)?))
}

/// Items of the first list for which `keep` says so, each once.
fn combine(args: &Args, keep: impl Fn(&Value, &[Value], &[Value]) -> bool) -> Outcome {
    let (first, second) = both(args)?;
    let kept = first.iter().filter(|item| keep(item, &first, &second)).cloned().collect();
    Ok(Value::List(unique(kept)))
}

fn union(args: &Args) -> Outcome {
    let (mut first, second) = both(args)?;
    first.extend(second);
    Ok(Value::List(unique(first)))
}

fn symmetric_difference(args: &Args) -> Outcome {
    let (first, second) = both(args)?;
    let all = first.iter().chain(&second);
    let kept = all.filter(|item| first.contains(item) != second.contains(item)).cloned().collect();
    Ok(Value::List(unique(kept)))
}

fn avg(args: &Args) -> Outcome {
    let Value::List(items) = args.value() else {
        return args.value().as_float().map(Value::Float).ok_or_else(|| "not a number".to_owned());
    };
    let numbers: Option<Vec<f64>> = items.iter().map(Value::as_float).collect();
    let numbers = numbers.ok_or("unsupported operand type(s) for +")?;
    if numbers.is_empty() {
        return Err("division by zero".to_owned());
    }
    Ok(Value::Float(numbers.iter().sum::<f64>() / numbers.len() as f64))
}

fn extreme(args: &Args, wanted: std::cmp::Ordering) -> Outcome {
    let mut items = items(args.value())?.into_iter();
    let first = items.next().ok_or("arg is an empty sequence")?;
    items.try_fold(first, |best, item| {
        let order = compare(&item, &best)?;
        Ok(if order == wanted { item } else { best })
    })
}

/// Python's comparison of values of one kind.
pub(super) fn compare(one: &Value, other: &Value) -> Result<std::cmp::Ordering, String> {
    let order = match (one, other) {
        (Value::Str(one), Value::Str(other)) => Some(one.cmp(other)),
        (Value::List(one), Value::List(other)) => {
            for (one, other) in one.iter().zip(other) {
                let order = compare(one, other)?;
                if order.is_ne() {
                    return Ok(order);
                }
            }
            Some(one.len().cmp(&other.len()))
        }
        (one, other) => match (one.as_float(), other.as_float()) {
            (Some(one), Some(other)) => one.partial_cmp(&other),
            (_, _) => None,
        },
    };
    order.ok_or_else(|| {
        format!("'<' not supported between instances of '{}' and '{}'", one.type_name(), other.type_name())
    })
}

fn exactly(args: &Args, amount: i64) -> Outcome {
    let truths = items(args.value())?.iter().filter(|item| item.is_truthy()).count();
    Ok(Value::Bool(i64::try_from(truths) == Ok(amount)))
}

fn flatten(value: &Value, levels: Option<i64>, nulls: bool) -> Vec<Value> {
    let Value::List(items) = value else { return vec![value.clone()] };
    let deeper = levels.map(|levels| levels - 1);
    let mut flat = Vec::new();
    for item in items {
        match item {
            Value::Nil if !nulls => {}
            Value::List(_) if levels != Some(0) => flat.extend(flatten(item, deeper, nulls)),
            other => flat.push(other.clone()),
        }
    }
    flat
}

fn sequence(args: &Args) -> Outcome {
    Ok(match args.value() {
        collection @ (Value::List(_) | Value::Map(_)) => collection.clone(),
        other => Value::List(vec![other.clone()]),
    })
}

fn sorted_ignorecase(args: &Args) -> Outcome {
    let mut items = items(args.value())?;
    items.sort_by_key(|item| item.to_string().to_lowercase());
    Ok(Value::List(items))
}

fn substring_in_list(args: &Args) -> Outcome {
    let text = args.text()?;
    let list = items(args.required(1, "list_to_search")?)?;
    Ok(Value::Bool(list.iter().any(|item| item.as_str().is_some_and(|item| item.contains(text)))))
}

fn compare_dicts(args: &Args) -> Outcome {
    let empty = Map::new();
    let old = args.value().as_map().unwrap_or(&empty);
    let new = args.required(1, "new")?.as_map().unwrap_or(&empty);
    let mut out = Map::new();
    for key in new.keys().chain(old.keys()) {
        let (before, after) = (old.get_value(key), new.get_value(key));
        if before == after || out.get_value(key).is_some() {
            continue;
        }
        let text = |value: Option<&Value>| value.cloned().unwrap_or_else(|| Value::from(""));
        out.insert(key.clone(), Map::from_iter([("old", text(before)), ("new", text(after))]));
    }
    Ok(Value::Map(out))
}

fn compare_lists(args: &Args) -> Outcome {
    let (old, new) = both(args)?;
    let mut out = Map::new();
    let only = |one: &[Value], other: &[Value]| -> Vec<Value> {
        one.iter().filter(|item| !other.contains(item)).cloned().collect()
    };
    let (added, gone) = (only(&new, &old), only(&old, &new));
    if !added.is_empty() {
        out.insert("new", added);
    }
    if !gone.is_empty() {
        out.insert("old", gone);
    }
    Ok(Value::Map(out))
}
