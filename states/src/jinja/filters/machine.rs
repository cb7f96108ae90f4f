//! Filters that look at the machine: `which`, `file_hashsum`, `list_files`, `is_text_file` and their like.
//!
//! They ask the execution modules, as `salt['…']()` in a template does, and so keep to the same local policy.

use super::{Args, FilterFn, Outcome};
use crate::{FunctionError, Map, Value};

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("file_hashsum", |args| {
        let form = args.get(1, "form").cloned().unwrap_or_else(|| "sha256".into());
        args.call("file.get_hash", vec![args.value().clone(), form])
    }),
    ("get_uid", |args| {
        let number = args.call("file.user_to_uid", vec![args.value().clone()])?;
        Ok(if number.as_int().is_some() { number } else { Value::Nil })
    }),
    ("is_bin_file", |args| Ok(looks_binary(args, 2048).unwrap_or(false).into())),
    ("is_empty", |args| {
        let stats = args.call("file.stats", vec![args.value().clone()]);
        Ok(stats.is_ok_and(|stats| stats.get("size").and_then(Value::as_int) == Some(0)).into())
    }),
    ("is_text_file", |args| Ok(looks_binary(args, 512).is_some_and(|binary| !binary).into())),
    ("list_files", list_files),
    ("which", |args| args.call("cmd.which", vec![args.value().clone()])),
];

impl Args<'_> {
    fn call(&self, fun: &str, args: Vec<Value>) -> Outcome {
        self.functions.call(fun, args, Map::new()).map_err(|error: FunctionError| error.to_string())
    }
}

/// Everything below a folder, and the folder.
fn list_files(args: &Args) -> Outcome {
    let folder = args.value().clone();
    let Ok(Value::List(mut found)) = args.call("file.find", vec![folder.clone()]) else {
        return Ok(Value::List(vec![folder]));
    };
    if !found.contains(&folder) {
        found.insert(0, folder);
    }
    Ok(Value::List(found))
}

/// Salt's guess by the start of a file; `None` when it cannot be read.
fn looks_binary(args: &Args, size: i64) -> Option<bool> {
    let size_and_offset = vec![args.value().clone(), Value::Int(size), Value::Int(0)];
    let start = match args.call("file.seek_read", size_and_offset).ok()? {
        Value::Bytes(bytes) => bytes,
        Value::Str(text) => text.into_bytes(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            return None;
        }
    };
    if start.is_empty() {
        return Some(false);
    }
    if start.contains(&0) {
        return Some(true);
    }
    // A letter of several bytes may be cut at the end.
    let is_utf8 = std::str::from_utf8(&start).map_or_else(|error| error.error_len().is_none(), |_| true);
    let is_text =
        |byte: u8| matches!(byte, 32..=126 | b'\n' | b'\r' | b'\t' | 0x0c | 0x08) || is_utf8 && byte >= 128;
    let others = start.iter().filter(|byte| !is_text(**byte)).count();
    Some(others * 10 > start.len() * 3)
}
