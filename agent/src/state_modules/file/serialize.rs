//! `file.serialize`: data written as YAML or JSON.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use states::{
    Map, StateReturn, Value, json,
    yaml::{self, Style},
};

use super::{allowed, options::Options, plan::Plan, target};
use crate::{
    modules::{
        lookup::{DELIMITER, traverse},
        merge_maps,
    },
    state_modules::{RunMode, StateArgs, StateContext},
};

pub(super) fn serialize(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let (name, path) = (&args.name, target(&args.name)?);
    if !args.flag("create", true) && !path.is_file() {
        return Ok(StateReturn::ok(format!("File {name} is not present and is not set for creation")));
    }
    if args.given("serializer").is_some() && args.given("formatter").is_some() {
        return Err("Only one of serializer and formatter are allowed".to_owned());
    }
    let serializer = args.text("serializer").or_else(|| args.text("formatter"));
    let serializer = serializer.unwrap_or_else(|| "yaml".to_owned()).to_lowercase();
    let mut data = dataset(args, run)?;
    if !matches!(serializer.as_str(), "yaml" | "json") {
        return Err(format!(
            "The {serializer} serializer could not be found. It either does not exist or its prerequisites are not installed."
        ));
    }
    let mut warnings = Vec::new();
    let mut merged_diff = None;
    if args.flag("merge_if_exists", false) {
        if path.is_file() {
            let held = read(&path, &serializer)?;
            let merged = match &held {
                Value::Map(under) => merge_maps(under.clone(), data),
                _ => data,
            };
            if held == merged {
                return Ok(StateReturn::ok(format!("The file {name} is in the correct state")));
            }
            merged_diff = Some(differing(&held, &merged));
            data = merged;
        }
    } else if args.given("deserializer_opts").is_some_and(Value::is_truthy) {
        warnings.push(
            "The 'deserializer_opts' option is ignored unless merge_if_exists is set to True.".to_owned(),
        );
    }
    let content = written(&data, &serializer, args);
    let options = Options::read(&plain(args))?;
    allowed(run, &path)?;
    let plan = Plan::make(name.clone(), path, Some(content.into_bytes()), &options)?;
    let mut ret = match run.mode {
        RunMode::Test => {
            let mut ret = plan.predicted();
            if ret.result.is_none() {
                ret.comment = format!("Dataset will be serialized and stored into {name}");
            }
            ret
        }
        RunMode::Apply => plan.apply(&run.services.config.cachedir)?,
    };
    if let (Some(diff), Value::Map(changes)) = (merged_diff, &mut ret.changes) {
        changes.insert("diff", diff);
    }
    ret.warnings.extend(warnings);
    Ok(ret)
}

fn dataset(args: &StateArgs, run: &StateContext) -> Result<Value, String> {
    let (given, pillar) = (args.given("dataset"), args.text("dataset_pillar"));
    if given.is_some_and(Value::is_truthy) && pillar.is_some() {
        return Err("Only one of 'dataset' and 'dataset_pillar' is permitted".to_owned());
    }
    match (given, pillar) {
        (_, Some(key)) => Ok(traverse(&run.pillar, &key, DELIMITER).cloned().unwrap_or_else(|| "".into())),
        (Some(data), None) => Ok(data.clone()),
        (None, None) => Err("Neither 'dataset' nor 'dataset_pillar' was defined".to_owned()),
    }
}

/// The arguments that `file.managed` knows as well.
fn plain(args: &StateArgs) -> StateArgs {
    let known = ["user", "group", "mode", "backup", "makedirs", "show_changes", "create"];
    let mut map: Map = known.iter().filter_map(|key| Some((*key, args.given(key)?.clone()))).collect();
    map.insert("contents", "");
    StateArgs { args: map, ..args.clone() }
}

fn read(path: &std::path::Path, serializer: &str) -> Result<Value, String> {
    let failed = |error: &dyn ToString| format!("Failed to deserialize existing data: {}", error.to_string());
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    match serializer {
        "json" => serde_json::from_str(&text).map_err(|error| failed(&error)),
        _ => yaml::load(&text).map_err(|error| failed(&error)),
    }
}

fn written(data: &Value, serializer: &str, args: &StateArgs) -> String {
    let options = args.given("serializer_opts").map(joined).unwrap_or_default();
    if serializer == "yaml" {
        let flow = options.get("default_flow_style").is_some_and(Value::is_truthy);
        let text = yaml::dump(data, if flow { Style::Flow } else { Style::Block });
        let text = text.strip_suffix("\n...\n").unwrap_or(&text);
        return format!("{}\n", text.strip_suffix('\n').unwrap_or(text));
    }
    let indent = match options.get("indent") {
        None => Some(2),
        Some(indent) => indent.as_int(),
    };
    let sort_keys = options.get("sort_keys").is_none_or(Value::is_truthy);
    let ascii = args.given("encoding").is_none() && options.get("ensure_ascii").is_none_or(Value::is_truthy);
    format!("{}\n", json::dump(data, &json::Layout { indent, sort_keys, ascii }))
}

/// A map, or a list of maps, as one map.
fn joined(value: &Value) -> Map {
    match value {
        Value::Map(map) => map.clone(),
        Value::List(items) => items.iter().filter_map(Value::as_map).flat_map(Map::clone).collect(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bytes(_) => {
            Map::new()
        }
    }
}

/// The values that differ, by key, as Salt's `recursive_diff` shows them.
fn differing(old: &Value, new: &Value) -> Map {
    let (Value::Map(old), Value::Map(new)) = (old, new) else { return Map::new() };
    let mut diff = Map::new();
    let missing = || Value::from("<_null_>");
    for (key, value) in new {
        match old.get_value(key) {
            Some(held) if held == value => {}
            Some(held @ Value::Map(_)) if value.as_map().is_some() => {
                diff.insert(key.clone(), differing(held, value));
            }
            held => {
                let change: Map = [("old", held.cloned().unwrap_or_else(missing)), ("new", value.clone())]
                    .into_iter()
                    .collect();
                diff.insert(key.clone(), change);
            }
        }
    }
    diff
}
