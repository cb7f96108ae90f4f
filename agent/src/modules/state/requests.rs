//! State runs that are predicted and asked for, and run later: `request`, `check_request`, `run_request`,
//! `clear_request`. They are kept in the cache, in a file of their own.

use std::path::PathBuf;

use states::{Map, Value};

use crate::{
    files,
    modules::{Arguments, CallContext, ModuleError},
};

pub(super) async fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let name = args.keyword("name").filter(|name| name.is_truthy()).map(ToString::to_string);
    match fun {
        "request" => request(&name.unwrap_or_else(|| "default".to_owned()), args, call).await,
        "check_request" => {
            let kept = kept(call)?;
            match name {
                None => Ok(kept.into()),
                Some(name) => kept.get(&name).cloned().ok_or_else(|| ModuleError::Exception {
                    class: "KeyError",
                    message: format!("'{name}'"),
                }),
            }
        }
        "clear_request" => clear(name.as_deref(), call),
        _ => run(&name.unwrap_or_else(|| "default".to_owned()), args, call).await,
    }
}

async fn request(name: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let mods = args.get("mods").clone();
    let mut kwargs = own(&args.keywords);
    kwargs.insert("test", true);
    let predicted = apply(&mods, kwargs.clone(), call).await?;
    let mut all = kept(call)?;
    let entry: Map =
        [("test_run", predicted.clone()), ("mods", mods), ("kwargs", kwargs.into())].into_iter().collect();
    all.insert(name, entry);
    keep(all, call)?;
    Ok(predicted)
}

async fn run(name: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let all = kept(call)?;
    let Some(entry) = all.get(name) else { return Ok(Map::new().into()) };
    let mut kwargs = entry.get("kwargs").and_then(Value::as_map).cloned().unwrap_or_default();
    kwargs.extend(own(&args.keywords));
    kwargs.remove("test");
    let done = apply(entry.get("mods").unwrap_or(&Value::Nil), kwargs, call).await?;
    clear(None, call)?;
    Ok(done)
}

/// What the caller gave, without what the job added.
fn own(keywords: &Map) -> Map {
    let added = |key: &Value| key.as_str().is_some_and(|key| key.starts_with("__"));
    keywords.iter().filter(|(key, _)| !added(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

async fn apply(mods: &Value, mut kwargs: Map, call: &CallContext) -> Result<Value, ModuleError> {
    kwargs.remove("name");
    let args = if mods.is_nil() { Vec::new() } else { vec![mods.clone()] };
    Box::pin(call.services.modules.call("state.apply", args, kwargs, call)).await
}

fn place(call: &CallContext) -> PathBuf {
    call.services.config.cachedir.join("req_state.json")
}

fn kept(call: &CallContext) -> Result<Map, ModuleError> {
    let failed = |why: String| ModuleError::Execution(format!("{}: {why}", place(call).display()));
    match std::fs::read_to_string(place(call)) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(Value::Map(kept)) => Ok(kept),
            Ok(_) => Ok(Map::new()),
            Err(error) => Err(failed(error.to_string())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn keep(all: Map, call: &CallContext) -> Result<(), ModuleError> {
    let layout = states::json::Layout { indent: None, sort_keys: false, ascii: false };
    let text = states::json::dump(&all.into(), &layout);
    files::replace(&place(call), text.as_bytes())
        .map_err(|error| ModuleError::Execution(format!("{}: {error}", place(call).display())))
}

fn clear(name: Option<&str>, call: &CallContext) -> Result<Value, ModuleError> {
    let Some(name) = name else {
        return match std::fs::remove_file(place(call)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ModuleError::Execution(format!("{}: {error}", place(call).display())))
            }
            Ok(()) | Err(_) => Ok(true.into()),
        };
    };
    if !place(call).is_file() {
        return Ok(true.into());
    }
    let mut all = kept(call)?;
    let there = all.remove(name).is_some();
    if there {
        keep(all, call)?;
    }
    Ok(there.into())
}
