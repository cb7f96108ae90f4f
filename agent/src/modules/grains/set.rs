//! Grains that an operator sets: kept in the `grains` file beside the configuration, as Salt keeps them.
//!
//! The file is replaced in one step. After a change the grains are gathered anew and the pillar is asked for, so the
//! master targets by them at once.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use states::{
    Map, Value,
    yaml::{self, Style},
};

use crate::{
    modules::{Arguments, CallContext, ModuleError, lookup::traverse},
    pillar,
};

/// `setval`, `setvals`, `set`, `append`, `remove`, `delkey`, `delval`.
pub(super) async fn change(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let grains = call.services.grains_ready().await;
    let destructive = args.truth("destructive");
    match fun {
        "setvals" => match args.get("grains") {
            Value::Map(new) => store(new.clone(), destructive, call).await,
            _ => Err(ModuleError::Exception {
                class: "SaltException",
                message: "setvals grains must be a dictionary.".to_owned(),
            }),
        },
        "setval" => {
            let new = [(args.get("key").clone(), args.get("val").clone())].into_iter().collect();
            store(new, destructive, call).await
        }
        "append" | "remove" => {
            let list = if fun == "append" { appended(args, &grains)? } else { removed(args, &grains)? };
            match list {
                Ok(list) => {
                    store(
                        nested(&grains, &args.text("key")?, &args.text("delimiter")?, Some(list)),
                        false,
                        call,
                    )
                    .await
                }
                Err(refusal) => Ok(refusal.into()),
            }
        }
        "delkey" => set(args, &grains, (Value::Nil, true), call).await,
        "delval" => set(args, &grains, (Value::Nil, destructive), call).await,
        _ => set(args, &grains, (args.get("val").clone(), destructive), call).await,
    }
}

/// The list with the new value, or Salt's refusal.
fn appended(args: &Arguments, grains: &Value) -> Result<Result<Value, String>, ModuleError> {
    let (key, val) = (args.text("key")?, args.get("val"));
    let held = traverse(grains, &key, &args.text("delimiter")?).cloned();
    let mut list = match held {
        None => Vec::new(),
        Some(Value::List(list)) => list,
        Some(Value::Nil) if args.truth("convert") => Vec::new(),
        Some(one) if args.truth("convert") => vec![one],
        Some(_) => return Ok(Err(format!("The key {key} is not a valid list"))),
    };
    if list.contains(val) {
        return Ok(Err(format!("The val {val} was already in the list {key}")));
    }
    match val {
        Value::List(more) => list.extend(more.iter().cloned()),
        one => list.push(one.clone()),
    }
    Ok(Ok(list.into()))
}

fn removed(args: &Arguments, grains: &Value) -> Result<Result<Value, String>, ModuleError> {
    let (key, val) = (args.text("key")?, args.get("val"));
    let Some(Value::List(mut list)) = traverse(grains, &key, &args.text("delimiter")?).cloned() else {
        return Ok(Err(format!("The key {key} is not a valid list")));
    };
    let Some(at) = list.iter().position(|held| held == val) else {
        return Ok(Err(format!("The val {val} was not in the list {key}")));
    };
    list.remove(at);
    Ok(Ok(list.into()))
}

/// Salt's `grains.set`: refuses to change the shape of a grain without `force`.
async fn set(
    args: &Arguments,
    grains: &Value,
    (val, destructive): (Value, bool),
    call: &CallContext,
) -> Result<Value, ModuleError> {
    let key = args.text("key")?;
    let delimiter = args.keyword("delimiter").and_then(Value::as_str).unwrap_or(":").to_owned();
    let held = traverse(grains, &key, &delimiter);
    let complex = |value: &Value| matches!(value, Value::Map(_) | Value::List(_));
    let answer = |comment: String, changes: Map, result: bool| -> Value {
        [("comment", Value::from(comment)), ("changes", changes.into()), ("result", result.into())]
            .into_iter()
            .collect::<Map>()
            .into()
    };
    if held == Some(&val) && !(val.is_nil() && destructive) {
        return Ok(answer("Grain is already set".to_owned(), Map::new(), true));
    }
    if !args.truth("force") {
        if held.is_some_and(complex) {
            let text =
                format!("The key '{key}' exists but is a dict or a list. Use 'force=True' to overwrite.");
            return Ok(answer(text, Map::new(), false));
        }
        if held.is_some_and(|held| !held.is_nil()) && complex(&val) {
            let text = format!(
                "The key '{key}' exists and the given value is a dict or a list. Use 'force=True' to overwrite."
            );
            return Ok(answer(text, Map::new(), false));
        }
    }
    if let Some(text) = in_the_way(grains, &key, &delimiter, args.truth("force")) {
        return Ok(answer(text, Map::new(), false));
    }
    let new = nested(grains, &key, &delimiter, Some(val).filter(|val| !(val.is_nil() && destructive)));
    let changes = store(new, destructive, call).await?;
    Ok(answer(String::new(), changes.as_map().cloned().unwrap_or_default(), true))
}

/// Salt's refusal to put a key below what is no mapping.
fn in_the_way(grains: &Value, key: &str, delimiter: &str, force: bool) -> Option<String> {
    let mut rest = key;
    while let Some((holder, last)) = rest.rsplit_once(delimiter) {
        match traverse(grains, holder, delimiter) {
            None | Some(Value::Map(_) | Value::List(_)) => {}
            Some(held) if force || held.as_str() == Some(last) => {}
            Some(held) => {
                return Some(format!(
                    "The key '{holder}' value is '{held}', which is different from the provided key '{last}'. Use \
                     'force=True' to overwrite."
                ));
            }
        }
        rest = holder;
    }
    None
}

/// The top grain that holds a nested value, with that value set or taken out.
fn nested(grains: &Value, key: &str, delimiter: &str, val: Option<Value>) -> Map {
    let mut steps: Vec<&str> = key.split(delimiter).collect();
    let mut value = val;
    while steps.len() > 1 {
        let last = steps.pop().unwrap_or_default();
        let mut holder = traverse(grains, &steps.join(delimiter), delimiter)
            .and_then(Value::as_map)
            .cloned()
            .unwrap_or_default();
        match value {
            Some(value) => drop(holder.insert(last, value)),
            None => drop(holder.remove(last)),
        }
        value = Some(holder.into());
    }
    [(steps.first().copied().unwrap_or_default(), value.unwrap_or_default())].into_iter().collect()
}

/// Writes grains to the file and gathers anew.
async fn store(new: Map, destructive: bool, call: &CallContext) -> Result<Value, ModuleError> {
    let path = call.services.config.config_dir.join("grains");
    let refuse = |why: String| ModuleError::Execution(format!("{}: {why}", path.display()));
    let mut held = match std::fs::read_to_string(&path) {
        Ok(text) => match yaml::load(&text).map_err(|error| refuse(error.to_string()))? {
            Value::Map(held) => held,
            _ => Map::new(),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(refuse(error.to_string())),
    };
    for (key, value) in &new {
        match value {
            Value::Nil if destructive => drop(held.remove_value(key)),
            value => drop(held.insert(key.clone(), value.clone())),
        }
    }
    crate::files::replace(&path, yaml::dump(&held.into(), Style::Block).as_bytes())
        .map_err(|error| refuse(error.to_string()))?;
    call.services.refresh_grains().await;
    if !call.services.config.local
        && let Err(error) = pillar::refresh(&call.services).await
    {
        tracing::warn!(%error, "the master was not told of the changed grains yet");
    }
    Ok(new.into())
}
