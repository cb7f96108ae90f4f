//! Salt's `pillar` module: the data that the master compiled for this minion.
//!
//! `get`, `item`, `raw`, `keys` and `ls` of names read the pillar in memory, as in Salt; `items` asks the master
//! anew. With `pillar_mask_output: True` the values of `items`, `item` and `get` asked for by a job are shown as
//! Salt 3008 shows them, `**********`; templates always see the values.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::sync::Arc;

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    modules::{
        Arguments, CallContext, FunctionSpec, Module, ModuleError,
        grains::merged,
        lookup::{DELIMITER, traverse},
    },
    pillar::{self, PillarRequest},
};

/// The module.
pub struct Pillar;

impl Module for Pillar {
    fn name(&self) -> &'static str {
        "pillar"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "items" | "data" if !args.rest.is_empty() => {
                    Ok(mask(&args, call, item(&args, &*source(&args, call).await?).into()))
                }
                "items" | "data" => Ok(mask(&args, call, (*fresh(&args, call).await?).clone())),
                "ls" => Ok(names(&*fresh(&args, call).await?)),
                "obfuscate" => Ok(obfuscated(&*fresh(&args, call).await?)),
                "item" => Ok(mask(&args, call, item(&args, &*source(&args, call).await?).into())),
                "get" | "fetch" => {
                    let value = get(&args, &*source(&args, call).await?, call)?;
                    Ok(mask(&args, call, value))
                }
                "refresh" => refresh(call).await,
                "file_exists" => file_exists(&args, call),
                "filter_by" => filter_by(&args, &call.pillar()),
                _ => answer(fun, &args, &call.pillar()),
            }
        })
    }
}

fn answer(fun: &str, args: &Arguments, pillar: &Value) -> Result<Value, ModuleError> {
    match fun {
        "raw" => match args.optional_text("key")? {
            Some(key) => Ok(pillar.get(&key).cloned().unwrap_or_else(|| Map::new().into())),
            None => Ok(pillar.clone()),
        },
        "keys" => {
            let key = args.text("key")?;
            let missing = || exception("KeyError", format!("'Pillar key not found: {key}'"));
            match traverse(pillar, &key, &args.text("delimiter")?).ok_or_else(missing)? {
                held @ Value::Map(_) => Ok(names(held)),
                _ => Err(exception("ValueError", format!("Pillar value in key {key} is not a dict"))),
            }
        }
        _ => Err(ModuleError::NotAvailable { fun: format!("pillar.{fun}") }),
    }
}

fn exception(class: &'static str, message: String) -> ModuleError {
    ModuleError::Exception { class, message }
}

/// Whether a file is in the local pillar roots.
fn file_exists(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let (config, path) = (&call.services.config, args.text("path")?);
    let envs = match args.optional_text("saltenv")? {
        Some(env) => vec![env],
        None => config.root_envs("pillar_roots"),
    };
    let mut roots = envs.iter().flat_map(|env| config.roots("pillar_roots", env));
    Ok(roots.any(|root| root.join(&path).is_file()).into())
}

/// The entry of a map that a pillar value chooses, as `grains.filter_by` does it for grains.
fn filter_by(args: &Arguments, pillar: &Value) -> Result<Value, ModuleError> {
    let mut as_grain = args.clone();
    as_grain.named.insert("grain", args.get("pillar").clone());
    super::grains::filter_by(&as_grain, pillar)
}

/// The pillar in memory, or of another environment when one is asked for.
async fn source(args: &Arguments, call: &CallContext) -> Result<Arc<Value>, ModuleError> {
    let elsewhere =
        ["saltenv", "pillarenv"].iter().any(|key| args.keyword(key).is_some_and(Value::is_truthy));
    if elsewhere { fresh(args, call).await } else { Ok(call.pillar()) }
}

async fn fresh(args: &Arguments, call: &CallContext) -> Result<Arc<Value>, ModuleError> {
    let text = |key: &str| args.keyword(key).filter(|value| value.is_truthy()).map(ToString::to_string);
    let request = PillarRequest {
        saltenv: text("saltenv"),
        pillarenv: text("pillarenv"),
        overlay: args.keyword("pillar").and_then(Value::as_map).cloned().unwrap_or_default(),
    };
    let compiled = pillar::compile(&call.services, request).await;
    compiled.map(Arc::new).map_err(|error| ModuleError::Execution(error.to_string()))
}

async fn refresh(call: &CallContext) -> Result<Value, ModuleError> {
    let refreshed = pillar::refresh(&call.services).await;
    refreshed.map(|_| true.into()).map_err(|error| ModuleError::Execution(error.to_string()))
}

fn names(pillar: &Value) -> Value {
    pillar.as_map().into_iter().flat_map(Map::keys).cloned().collect::<Vec<_>>().into()
}

fn item(args: &Arguments, pillar: &Value) -> Map {
    let delimiter = args.keyword("delimiter").and_then(Value::as_str).unwrap_or(DELIMITER);
    let default =
        args.keyword("default").filter(|value| !value.is_nil()).cloned().unwrap_or_else(|| "".into());
    let held = |key: &Value| {
        let value = traverse(pillar, &key.to_string(), delimiter).cloned();
        (key.clone(), value.unwrap_or_else(|| default.clone()))
    };
    args.rest.iter().map(held).collect()
}

fn get(args: &Arguments, pillar: &Value, call: &CallContext) -> Result<Value, ModuleError> {
    let key = args.text("key")?;
    let held = traverse(pillar, &key, &args.text("delimiter")?).cloned();
    let default = args.get("default");
    if args.truth("merge") {
        match (default, &held) {
            (Value::Map(under), Some(over @ Value::Map(_))) => {
                return Ok(merged(under.clone(), over.clone()));
            }
            (Value::List(under), Some(Value::List(over))) => {
                let extra = over.iter().filter(|item| !under.contains(item));
                return Ok(Value::List(under.iter().chain(extra).cloned().collect()));
            }
            _ => {}
        }
    }
    if held.is_none() && *default == Value::from(UNSET) {
        let raise = call.services.config.bool_opt("pillar_raise_on_missing", false);
        return match raise {
            true => Err(exception("KeyError", format!("'Pillar key not found: {key}'"))),
            false => Ok("".into()),
        };
    }
    Ok(held.unwrap_or_else(|| default.clone()))
}

/// Hides values from a job's return when the configuration says so; never from a template.
fn mask(args: &Arguments, call: &CallContext, value: Value) -> Value {
    let wanted = call.services.config.bool_opt("pillar_mask_output", false);
    let unmask = args.keyword("unmask").is_some_and(Value::is_truthy);
    if wanted && !unmask && call.jid.is_some() { masked(value) } else { value }
}

fn masked(value: Value) -> Value {
    match value {
        Value::Map(map) => map.into_iter().map(|(key, value)| (key, masked(value))).collect::<Map>().into(),
        Value::List(items) => items.into_iter().map(masked).collect::<Vec<_>>().into(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bytes(_) => {
            "**********".into()
        }
    }
}

/// Names with the types of their values.
fn obfuscated(value: &Value) -> Value {
    match value {
        Value::Map(map) => {
            map.iter().map(|(key, value)| (key.clone(), obfuscated(value))).collect::<Map>().into()
        }
        Value::List(items) => items.iter().map(obfuscated).collect::<Vec<_>>().into(),
        other => format!("<{}>", other.type_name()).into(),
    }
}

/// Stands for "no default given".
const UNSET: &str = "__unset__";

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "data", signature: "*args, **kwargs", doc: "The same as pillar.items." },
    FunctionSpec {
        name: "fetch",
        signature: "key, default='__unset__', merge=False, merge_nested_lists=None, delimiter=':', pillarenv=None, saltenv=None, unmask=None",
        doc: "The same as pillar.get.",
    },
    FunctionSpec {
        name: "file_exists",
        signature: "path, saltenv=None",
        doc: "Tells whether a file is in the local pillar roots.",
    },
    FunctionSpec {
        name: "filter_by",
        signature: "lookup_dict, pillar, merge=None, default='default', base=None",
        doc: "Returns the entry of a map that the value of a pillar key chooses.",
    },
    FunctionSpec {
        name: "get",
        signature: "key, default='__unset__', merge=False, merge_nested_lists=None, delimiter=':', pillarenv=None, saltenv=None, unmask=None",
        doc: "Returns a pillar value from memory, nested names separated by the delimiter.",
    },
    FunctionSpec {
        name: "item",
        signature: "*args, **kwargs",
        doc: "Returns the named pillar values from memory as a map.",
    },
    FunctionSpec {
        name: "items",
        signature: "*args, **kwargs",
        doc: "Asks the master for the pillar and returns it; with names, only those.",
    },
    FunctionSpec {
        name: "keys",
        signature: "key, delimiter=':', unmask=None",
        doc: "Lists the keys of a pillar mapping.",
    },
    FunctionSpec {
        name: "ls",
        signature: "*args, **kwargs",
        doc: "Asks the master for the pillar and lists its names.",
    },
    FunctionSpec {
        name: "obfuscate",
        signature: "*args, **kwargs",
        doc: "Asks the master for the pillar and shows the types of its values.",
    },
    FunctionSpec {
        name: "raw",
        signature: "key=None, unmask=None",
        doc: "Returns the pillar in memory without asking the master.",
    },
    FunctionSpec {
        name: "refresh",
        signature: "",
        doc: "Asks the master for the pillar and keeps it in memory.",
    },
];
