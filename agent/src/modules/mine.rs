//! Salt's `mine` module: results kept by the master for other minions.

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    channel::LinkError,
    mine::{self, Definition},
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
};

/// The module.
pub struct Mine;

impl Module for Mine {
    fn name(&self) -> &'static str {
        "mine"
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
                "update" => update(&args, call).await,
                "send" => send(&args, call).await,
                "get" => get(&args, call).await,
                "delete" => {
                    let load = [("fun", proto::Value::from(args.text("fun")?))].into_iter().collect();
                    told("_mine_delete", load, call).await
                }
                "flush" => told("_mine_flush", proto::Map::new(), call).await,
                "valid" => Ok(valid(call)),
                _ => Err(ModuleError::NotAvailable { fun: format!("mine.{fun}") }),
            }
        })
    }
}

fn failed(error: LinkError) -> ModuleError {
    ModuleError::Execution(error.to_string())
}

async fn update(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let functions = match args.get("mine_functions") {
        Value::Map(given) => given.clone(),
        Value::List(names) => names.iter().map(|name| (name.clone(), Value::Map(Map::new()))).collect(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bytes(_) => {
            mine::functions(&call.services)
        }
    };
    if functions.is_empty() {
        return Ok(Value::Nil);
    }
    mine::update(call, functions, args.truth("clear")).await.map(Value::Bool).map_err(failed)
}

async fn send(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let own = |key: &Value| !key.as_str().is_some_and(|key| key.starts_with("__"));
    let kwargs: Map = args
        .keywords
        .iter()
        .filter(|(key, _)| own(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let definition = Definition::read(&kwargs.into());
    let name = args.text("name")?;
    let fun = definition.fun.clone().unwrap_or_else(|| name.clone());
    match call.services.modules.call(&fun, args.rest.clone(), definition.kwargs.clone(), call).await {
        Ok(result) => {
            let data = [(name, definition.wrap(result))].into_iter().collect();
            mine::send(&call.services, data, false).await.map(Value::Bool).map_err(failed)
        }
        Err(error) => {
            tracing::error!(fun, %error, "the function for the mine failed");
            Ok(false.into())
        }
    }
}

async fn get(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let mut load = proto::Map::new();
    for key in ["tgt", "fun", "tgt_type"] {
        load.insert(key, proto::to_value(args.get(key)));
    }
    let reply = call.services.link.request("_mine_get", load).await.map_err(failed)?;
    let mut found = states::to_value(&reply);
    if args.truth("exclude_minion")
        && let Some(map) = found.as_map_mut()
    {
        map.remove(call.services.config.id.as_str());
    }
    Ok(found)
}

async fn told(cmd: &str, load: proto::Map, call: &CallContext) -> Result<Value, ModuleError> {
    let reply = call.services.link.request(cmd, load).await.map_err(failed)?;
    Ok(reply.as_bool().unwrap_or(true).into())
}

/// The functions that would be sent.
fn valid(call: &CallContext) -> Value {
    let mut known = Map::new();
    for (name, entry) in &mine::functions(&call.services) {
        let definition = Definition::read(entry);
        let fun = definition.fun.clone().unwrap_or_else(|| name.to_string());
        if call.services.modules.find(&fun).is_none() {
            continue;
        }
        let shown = match &definition.fun {
            None => entry.clone(),
            Some(fun) => {
                let keywords = definition
                    .kwargs
                    .iter()
                    .map(|(key, value)| Value::Map([(key.clone(), value.clone())].into_iter().collect()));
                let all: Vec<Value> = definition.args.iter().cloned().chain(keywords).collect();
                [(fun.as_str(), all)].into_iter().collect::<Map>().into()
            }
        };
        known.insert(name.clone(), shown);
    }
    if known.is_empty() { Value::Nil } else { known.into() }
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "delete", signature: "fun", doc: "Takes a function's result out of the mine." },
    FunctionSpec { name: "flush", signature: "", doc: "Takes all results of this minion out of the mine." },
    FunctionSpec {
        name: "get",
        signature: "tgt, fun, tgt_type='glob', exclude_minion=False",
        doc: "Returns results of other minions from the mine.",
    },
    FunctionSpec {
        name: "send",
        signature: "name, *args, **kwargs",
        doc: "Runs a function and sends its result to the mine.",
    },
    FunctionSpec {
        name: "update",
        signature: "clear=False, mine_functions=None",
        doc: "Runs the configured mine functions and sends their results.",
    },
    FunctionSpec { name: "valid", signature: "", doc: "Returns the configured mine functions that exist." },
];
