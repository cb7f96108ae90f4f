//! Salt's `grains` module: what this machine says of itself.

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::modules::{
    Arguments, CallContext, FunctionSpec, Module, ModuleError,
    lookup::{DELIMITER, traverse},
};

mod set;

/// The module.
pub struct Grains;

impl Module for Grains {
    fn name(&self) -> &'static str {
        "grains"
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
                "append" | "delkey" | "delval" | "remove" | "set" | "setval" | "setvals" => {
                    set::change(fun, &args, call).await
                }
                _ => answer(fun, &args, &*call.services.grains_ready().await),
            }
        })
    }
}

fn answer(fun: &str, args: &Arguments, grains: &Value) -> Result<Value, ModuleError> {
    let get = |key: &str, delimiter: &str| traverse(grains, key, delimiter).cloned();
    Ok(match fun {
        "items" if args.truth("sanitize") => sanitized(grains.as_map().cloned().unwrap_or_default()).into(),
        "items" => grains.clone(),
        "get" | "fetch" => {
            get(&args.text("key")?, &args.text("delimiter")?).unwrap_or_else(|| args.get("default").clone())
        }
        "has_value" => get(&args.text("key")?, DELIMITER).is_some().into(),
        "equals" => {
            let held = get(&args.text("key")?, DELIMITER).unwrap_or_else(|| "".into());
            (held.to_string() == args.get("value").to_string()).into()
        }
        "ls" => {
            let mut names: Vec<Value> = grains.as_map().into_iter().flat_map(Map::keys).cloned().collect();
            names.sort_by_key(ToString::to_string);
            names.into()
        }
        "item" => item(args, grains).into(),
        "filter_by" => filter_by(args, grains)?,
        _ => return Err(ModuleError::NotAvailable { fun: format!("grains.{fun}") }),
    })
}

fn item(args: &Arguments, grains: &Value) -> Map {
    let delimiter = args.keywords.get("delimiter").and_then(Value::as_str).unwrap_or(DELIMITER);
    let default = args.keywords.get("default").cloned().unwrap_or_else(|| "".into());
    let held = |key: &Value| {
        let value = traverse(grains, &key.to_string(), delimiter).cloned();
        (key.clone(), value.unwrap_or_else(|| default.clone()))
    };
    let items = args.rest.iter().map(held).collect();
    if args.keywords.get("sanitize").is_some_and(Value::is_truthy) { sanitized(items) } else { items }
}

/// Salt's replacements for grains that name a machine or its owner.
fn sanitized(mut grains: Map) -> Map {
    let replacements = [
        ("serialnumber", "X"),
        ("domain", "domain"),
        ("fqdn", "MINION.DOMAINNAME"),
        ("host", "MINION"),
        ("localhost", "MINION"),
        ("nodename", "MINION"),
    ];
    for (key, text) in replacements {
        if grains.contains_key(key) {
            grains.insert(key, text);
        }
    }
    grains
}

/// Salt's `filter_by`: the entry of a lookup map that a grain's value chooses, over a base and under a merge.
pub(super) fn filter_by(args: &Arguments, grains: &Value) -> Result<Value, ModuleError> {
    let Value::Map(lookup) = args.get("lookup_dict") else {
        return Err(ModuleError::Invocation("lookup_dict must be a mapping".to_owned()));
    };
    let values = match traverse(grains, &args.text("grain")?, DELIMITER) {
        Some(Value::List(values)) => values.clone(),
        Some(value) => vec![value.clone()],
        None => Vec::new(),
    };
    let matching = |value: &Value| {
        let text = value.to_string();
        lookup.iter().find(|(key, _)| proto::target::fnmatch(&text, &key.to_string())).map(|(_, entry)| entry)
    };
    let chosen = values.iter().find_map(matching).or_else(|| lookup.get(&args.get("default").to_string()));
    let mut result = chosen.cloned().unwrap_or_default();
    if let Some(base) = args.optional_text("base")?
        && let Some(Value::Map(base)) = lookup.get(&base).cloned()
    {
        result = merged(base, result);
    }
    if let Value::Map(over) = args.get("merge")
        && let Value::Map(under) = result
    {
        result = merged(under, Value::Map(over.clone()));
    }
    Ok(result)
}

/// Merges a map into another, maps in maps too.
pub(crate) fn merged(mut under: Map, over: Value) -> Value {
    let Value::Map(over) = over else { return Value::Map(under) };
    for (key, value) in over {
        let value = match (under.get_value(&key), value) {
            (Some(Value::Map(held)), value @ Value::Map(_)) => merged(held.clone(), value),
            (_, value) => value,
        };
        under.insert(key, value);
    }
    Value::Map(under)
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "append",
        signature: "key, val, convert=False, delimiter=':'",
        doc: "Adds a value to a grain that is a list, and keeps it in the grains file.",
    },
    FunctionSpec {
        name: "delkey",
        signature: "key, force=False",
        doc: "Takes a grain out of the grains file.",
    },
    FunctionSpec {
        name: "delval",
        signature: "key, destructive=False, force=False",
        doc: "Sets a grain to None, or takes it out with destructive=True.",
    },
    FunctionSpec {
        name: "remove",
        signature: "key, val, delimiter=':'",
        doc: "Takes a value out of a grain that is a list.",
    },
    FunctionSpec {
        name: "set",
        signature: "key, val='', force=False, destructive=False, delimiter=':'",
        doc: "Sets a grain, nested ones too; refuses to change its shape without force=True.",
    },
    FunctionSpec {
        name: "setval",
        signature: "key, val, destructive=False, refresh_pillar=True",
        doc: "Sets a grain and keeps it in the grains file.",
    },
    FunctionSpec {
        name: "setvals",
        signature: "grains, destructive=False, refresh_pillar=True",
        doc: "Sets several grains and keeps them in the grains file.",
    },
    FunctionSpec {
        name: "equals",
        signature: "key, value",
        doc: "Tells whether a grain has a value, compared as text.",
    },
    FunctionSpec {
        name: "fetch",
        signature: "key, default='', delimiter=':', ordered=True",
        doc: "The same as grains.get.",
    },
    FunctionSpec {
        name: "filter_by",
        signature: "lookup_dict, grain='os_family', merge=None, default='default', base=None",
        doc: "Returns the entry of a map that the value of a grain chooses.",
    },
    FunctionSpec {
        name: "get",
        signature: "key, default='', delimiter=':', ordered=True",
        doc: "Returns a grain, nested names separated by the delimiter; the default when there is none.",
    },
    FunctionSpec { name: "has_value", signature: "key", doc: "Tells whether a grain exists." },
    FunctionSpec { name: "item", signature: "*args, **kwargs", doc: "Returns the named grains as a map." },
    FunctionSpec { name: "items", signature: "sanitize=False", doc: "Returns all grains." },
    FunctionSpec { name: "ls", signature: "", doc: "Lists the names of all grains." },
];
