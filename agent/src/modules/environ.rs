//! Salt's `environ` module: variables of this process as the commands of later jobs see them.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    environment,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
};

/// The module.
pub struct Environ;

impl Module for Environ {
    fn name(&self) -> &'static str {
        "environ"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        _call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(std::future::ready(answer(fun, &args)))
    }
}

fn answer(fun: &str, args: &Arguments) -> Result<Value, ModuleError> {
    let held = |key: &Value| key.as_str().and_then(environment::get);
    Ok(match fun {
        "get" | "has_value" if args.get("key").as_str().is_none() => false.into(),
        "get" => held(args.get("key")).map_or_else(|| args.get("default").clone(), Value::Str),
        "has_value" => match (held(args.get("key")), args.get("value")) {
            (None, _) => false.into(),
            (Some(_), Value::Nil) => true.into(),
            (Some(held), wanted) => (wanted.as_str() == Some(held.as_str())).into(),
        },
        "item" => {
            let keys = match args.get("keys") {
                Value::List(several) => several.clone(),
                one => vec![one.clone()],
            };
            let value = |key: &Value| held(key).map_or_else(|| args.get("default").clone(), Value::Str);
            keys.iter().map(|key| (key.clone(), value(key))).collect::<Map>().into()
        }
        "items" => environment::all().into_iter().collect::<Map>().into(),
        "setval" => setval(args.get("key"), args.get("val"), args.truth("false_unsets")),
        "setenv" => setenv(args),
        _ => return Err(ModuleError::NotAvailable { fun: format!("environ.{fun}") }),
    })
}

/// Sets a variable to a text. False makes it empty, or unsets it; anything else is refused with False.
fn setval(key: &Value, val: &Value, false_unsets: bool) -> Value {
    let Some(key) = key.as_str().filter(|key| !key.is_empty() && !key.contains(['=', '\0'])) else {
        return false.into();
    };
    match val {
        Value::Bool(false) if false_unsets => {
            environment::set(key, None);
            Value::Nil
        }
        Value::Bool(false) => {
            environment::set(key, Some(""));
            "".into()
        }
        Value::Str(text) if !text.contains('\0') => {
            environment::set(key, Some(text));
            val.clone()
        }
        Value::Nil
        | Value::Bool(true)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_) => false.into(),
    }
}

fn setenv(args: &Arguments) -> Value {
    let Value::Map(wanted) = args.get("environ") else { return false.into() };
    let false_unsets = args.truth("false_unsets");
    let mut done = Map::new();
    if args.truth("clear_all") {
        for key in environment::all().into_keys().filter(|key| !wanted.contains_key(key)) {
            let key = Value::from(key);
            let value = setval(&key, &false.into(), false_unsets);
            done.insert(key, value);
        }
    }
    for (key, value) in wanted {
        if !matches!(value, Value::Str(_) | Value::Bool(false)) {
            return false.into();
        }
        let value = setval(key, value, false_unsets);
        done.insert(key.clone(), value);
    }
    done.into()
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "get", signature: "key, default=''", doc: "Returns a variable, or the default." },
    FunctionSpec {
        name: "has_value",
        signature: "key, value=None",
        doc: "Tells whether a variable is set, or has a value.",
    },
    FunctionSpec {
        name: "item",
        signature: "keys, default=''",
        doc: "Returns one or more variables as a map.",
    },
    FunctionSpec { name: "items", signature: "", doc: "Returns all variables." },
    FunctionSpec {
        name: "setenv",
        signature: "environ, false_unsets=False, clear_all=False, update_minion=False, permanent=False",
        doc: "Sets several variables for the commands of this minion until it restarts.",
    },
    FunctionSpec {
        name: "setval",
        signature: "key, val, false_unsets=False, permanent=False",
        doc: "Sets a variable for the commands of this minion until it restarts.",
    },
];
