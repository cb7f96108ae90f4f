//! Salt's `data` module: small values kept on this minion, which targets of the type `data` see.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    data_store,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
};

/// The module.
pub struct Data;

impl Module for Data {
    fn name(&self) -> &'static str {
        "data"
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
        Box::pin(std::future::ready(answer(fun, &args, call)))
    }
}

fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let config = &call.services.config;
    let mut held = states::to_value(&data_store::load(config)).as_map().cloned().unwrap_or_default();
    let key = args.get("key");
    let save = |held: &Map| {
        let wire = proto::to_value(held).into_map().unwrap_or_default();
        data_store::save(config, &wire)
            .map_err(|error| ModuleError::Execution(format!("the data store cannot be written: {error}")))
    };
    Ok(match fun {
        "load" | "items" => held.into(),
        "get" | "getval" => match key {
            Value::List(keys) => {
                let default = Some(args.get("default")).filter(|default| !default.is_nil());
                let found = keys.iter().filter_map(|key| held.get_value(key).or(default).cloned());
                found.collect::<Vec<_>>().into()
            }
            key => held.get_value(key).cloned().unwrap_or_else(|| args.get("default").clone()),
        },
        "has_key" => held.get_value(key).is_some().into(),
        "keys" => held.keys().cloned().collect::<Vec<_>>().into(),
        "values" => held.values().cloned().collect::<Vec<_>>().into(),
        "clear" => {
            save(&Map::new())?;
            true.into()
        }
        "dump" => match args.get("new_data") {
            Value::Map(new) => {
                save(new)?;
                true.into()
            }
            other if other.is_truthy() => false.into(),
            _ => {
                save(&Map::new())?;
                true.into()
            }
        },
        "update" => {
            held.insert(key.clone(), args.get("value").clone());
            save(&held)?;
            true.into()
        }
        "pop" => {
            let taken = held.remove_value(key);
            save(&held)?;
            taken.unwrap_or_else(|| args.get("default").clone())
        }
        "cas" => {
            if held.get_value(key).is_none_or(|held| held != args.get("old_value")) {
                return Ok(false.into());
            }
            held.insert(key.clone(), args.get("value").clone());
            save(&held)?;
            true.into()
        }
        _ => return Err(ModuleError::NotAvailable { fun: format!("data.{fun}") }),
    })
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "cas",
        signature: "key, value, old_value",
        doc: "Sets a value when it is what it is thought to be.",
    },
    FunctionSpec { name: "clear", signature: "", doc: "Forgets all values." },
    FunctionSpec { name: "dump", signature: "new_data", doc: "Replaces all values." },
    FunctionSpec {
        name: "get",
        signature: "key, default=None",
        doc: "Returns a value, or those of several keys.",
    },
    FunctionSpec { name: "has_key", signature: "key", doc: "Tells whether there is a value." },
    FunctionSpec { name: "items", signature: "", doc: "Returns all values." },
    FunctionSpec { name: "keys", signature: "", doc: "Lists the keys." },
    FunctionSpec { name: "load", signature: "", doc: "Returns all values." },
    FunctionSpec { name: "pop", signature: "key, default=None", doc: "Takes a value out." },
    FunctionSpec { name: "update", signature: "key, value", doc: "Sets a value." },
    FunctionSpec { name: "values", signature: "", doc: "Lists the values." },
];
