//! Filters between structures and text, and into structures: JSON, YAML, traversal, dictionaries.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use super::{Args, FilterFn, Outcome};
use crate::yaml::{self, Style};
use crate::{Map, Value, json};

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("dict_to_sls_yaml_params", dict_to_sls_yaml_params),
    ("from_entries", from_entries),
    ("json", |args| Ok(Value::from(json::dump(args.value(), &json_layout(args, true))))),
    ("json_decode_dict", |args| Ok(args.value().clone())),
    ("json_decode_list", |args| Ok(args.value().clone())),
    ("json_encode_dict", |args| Ok(args.value().clone())),
    ("json_encode_list", |args| Ok(args.value().clone())),
    ("json_query", json_query),
    ("load_json", load_json),
    ("load_text", |args| Ok(Value::from(args.value().to_string()))),
    ("load_yaml", load_yaml),
    ("path_join", path_join),
    ("python", |args| Ok(Value::from(args.value().repr()))),
    ("to_entries", to_entries),
    ("tojson", tojson),
    ("traverse", traverse),
    ("yaml", |args| Ok(Value::from(to_yaml(args.value(), flow_style(args, true))))),
];

fn json_layout(args: &Args, sorted: bool) -> json::Layout {
    let sort_keys = args.get(1, "sort_keys").map_or(sorted, Value::is_truthy);
    json::Layout { indent: args.get(2, "indent").and_then(Value::as_int), sort_keys, ascii: false }
}

fn tojson(args: &Args) -> Outcome {
    let layout = json::Layout {
        indent: args.get(1, "indent").and_then(Value::as_int),
        sort_keys: args.named.get("sort_keys").is_some_and(Value::is_truthy),
        ascii: args.named.get("ensure_ascii").is_none_or(Value::is_truthy),
    };
    let text = json::dump(args.value(), &layout);
    let escapes = [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027")];
    Ok(Value::from(escapes.iter().fold(text, |text, (from, to)| text.replace(from, to))))
}

/// What a JMESPath expression finds.
fn json_query(args: &Args) -> Outcome {
    let expression = super::text_of(args.required(1, "expr")?)?;
    let query = jmespath::compile(expression).map_err(|error| error.to_string())?;
    let found = query.search(args.value()).map_err(|error| error.to_string())?;
    serde_json::to_value(&found).and_then(serde_json::from_value).map_err(|error| error.to_string())
}

fn flow_style(args: &Args, default: bool) -> Style {
    let flow = args.get(1, "flow_style").map_or(default, Value::is_truthy);
    if flow { Style::Flow } else { Style::Block }
}

fn to_yaml(value: &Value, style: Style) -> String {
    yaml::dump(value, style).trim().to_owned()
}

fn load_yaml(args: &Args) -> Outcome {
    let text = args.value().to_string();
    yaml::load(&text).map_err(|error| {
        format!(
            "Encountered error loading yaml: {}\n  in \"<unicode string>\", line {}, column {}",
            error.problem, error.line, error.column
        )
    })
}

fn load_json(args: &Args) -> Outcome {
    let text = args.value().to_string();
    serde_json::from_str(&text).map_err(|_| format!("Unable to load json from {text}"))
}

fn dict_to_sls_yaml_params(args: &Args) -> Outcome {
    let map = args.value().as_map().ok_or("not a dictionary")?;
    let pairs = map.iter().map(|(key, value)| Value::Map(Map::from_iter([(key.clone(), value.clone())])));
    Ok(Value::from(to_yaml(&Value::List(pairs.collect()), flow_style(args, false))))
}

/// `pillar|traverse('a:b:0', default)`.
fn traverse(args: &Args) -> Outcome {
    let key = args.required(1, "key")?.to_string();
    let default = args.get(2, "default").cloned().unwrap_or_default();
    let delimiter = args.get(3, "delimiter").and_then(Value::as_str).unwrap_or(":");
    let found = key.split(delimiter).try_fold(args.value(), |at, part| match at {
        Value::Map(map) => {
            map.get(part).or_else(|| part.parse().ok().and_then(|key: i64| map.get_value(&Value::Int(key))))
        }
        Value::List(items) => items
            .iter()
            .find_map(|item| item.get(part))
            .or_else(|| part.parse::<usize>().ok().and_then(|at| items.get(at))),
        _ => None,
    });
    Ok(found.cloned().unwrap_or(default))
}

fn path_join(args: &Args) -> Outcome {
    let mut joined = args.value().to_string();
    for part in &args.values[1..] {
        let part = part.to_string();
        if part.starts_with('/') {
            joined = part;
        } else {
            if !joined.ends_with('/') {
                joined.push('/');
            }
            joined.push_str(&part);
        }
    }
    Ok(Value::from(normal(&joined)))
}

/// Python's `os.path.normpath`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match parts.last() {
            Some(last) if part == ".." && *last != ".." => drop(parts.pop()),
            None if part == ".." && path.starts_with('/') => {}
            _ => parts.push(part),
        }
    }
    let start = if path.starts_with('/') { "/" } else { "" };
    let whole = format!("{start}{}", parts.join("/"));
    if whole.is_empty() { ".".to_owned() } else { whole }
}

fn to_entries(args: &Args) -> Outcome {
    let map = args.value().as_map().ok_or("not a dictionary")?;
    let entry = |(key, value): (&Value, &Value)| {
        Value::Map(Map::from_iter([("key", key.clone()), ("value", value.clone())]))
    };
    Ok(Value::List(map.iter().map(entry).collect()))
}

fn from_entries(args: &Args) -> Outcome {
    let entries = args.value().as_list().ok_or("not a list")?;
    let first = |entry: &Value, names: &[&str]| names.iter().find_map(|name| entry.get(name)).cloned();
    let pair = |entry: &Value| {
        let key = first(entry, &["key", "Key", "name", "Name", "k", "K"]).unwrap_or_default();
        (key, first(entry, &["value", "Value", "v", "V"]).unwrap_or_default())
    };
    Ok(Value::Map(entries.iter().map(pair).collect()))
}
