//! Salt's `slsutil` module: what templates merge, write and look for.

use futures_util::future::BoxFuture;
use states::{Map, Value, json, yaml};

use crate::{
    files::SaltPath,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
};

/// The module.
pub struct Slsutil;

impl Module for Slsutil {
    fn name(&self) -> &'static str {
        "slsutil"
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
                "file_exists" | "dir_exists" | "path_exists" => is_served(fun, &args, call).await,
                _ => answer(fun, &args),
            }
        })
    }
}

fn answer(fun: &str, args: &Arguments) -> Result<Value, ModuleError> {
    Ok(match fun {
        "boolstr" => args.get(if args.truth("value") { "true" } else { "false" }).clone(),
        "update" => {
            let mut dest = mapping(args.get("dest"))?;
            let over = mapping(args.get("upd"))?;
            if args.truth("recursive_update") {
                update(&mut dest, &over, args.truth("merge_lists"));
            } else {
                dest.extend(over);
            }
            dest.into()
        }
        "merge" => {
            let (under, over) = (mapping(args.get("obj_a"))?, mapping(args.get("obj_b"))?);
            merged(&args.text("strategy")?, under, &over, args.truth("merge_lists")).into()
        }
        "merge_all" => {
            let strategy = args.text("strategy")?;
            let mut whole = Map::new();
            for part in args.get("lst").as_list().unwrap_or_default() {
                whole = merged(&strategy, whole, &mapping(part)?, args.truth("merge_lists"));
            }
            whole.into()
        }
        "serialize" => serialized(args)?,
        "deserialize" => {
            let text = args.get("stream_or_string").to_string();
            let failed = |why: String| ModuleError::Execution(why);
            match args.text("serializer")?.as_str() {
                "json" => serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?,
                "yaml" => yaml::load(&text).map_err(|error| failed(error.to_string()))?,
                other => return Err(unknown(other)),
            }
        }
        _ => return Err(ModuleError::NotAvailable { fun: format!("slsutil.{fun}") }),
    })
}

fn serialized(args: &Arguments) -> Result<Value, ModuleError> {
    let indent = args.keywords.get("indent").and_then(Value::as_int);
    Ok(match args.text("serializer")?.as_str() {
        "json" => {
            let sort_keys = args.keywords.get("sort_keys").is_some_and(Value::is_truthy);
            json::dump(args.get("obj"), &json::Layout { indent, sort_keys, ascii: true }).into()
        }
        "yaml" => {
            let flow = args.keywords.get("default_flow_style").is_none_or(Value::is_truthy);
            yaml::dump(args.get("obj"), if flow { yaml::Style::Flow } else { yaml::Style::Block }).into()
        }
        other => return Err(unknown(other)),
    })
}

fn unknown(serializer: &str) -> ModuleError {
    ModuleError::Execution(format!(
        "The serializer '{serializer}' is not supported by this minion: use json or yaml"
    ))
}

/// A mapping, as Python's `dictupdate` wants it.
pub(super) fn mapping(value: &Value) -> Result<Map, ModuleError> {
    value.as_map().cloned().ok_or_else(|| ModuleError::Exception {
        class: "TypeError",
        message: "Cannot update using non-dict types in dictupdate.update()".to_owned(),
    })
}

/// Salt's `dictupdate.update`: mappings are merged, lists replaced or, when wanted, joined.
pub(super) fn update(dest: &mut Map, over: &Map, lists: bool) {
    for (key, value) in over {
        let new = match (dest.get_value(key), value) {
            (Some(Value::Map(held)), Value::Map(over)) => {
                let mut held = held.clone();
                update(&mut held, over, lists);
                Value::Map(held)
            }
            (Some(Value::List(held)), Value::List(more)) if lists => {
                let mut held = held.clone();
                for item in more {
                    if !held.contains(item) {
                        held.push(item.clone());
                    }
                }
                Value::List(held)
            }
            (_, value) => value.clone(),
        };
        dest.insert(key.clone(), new);
    }
}

/// `dictupdate.merge` by strategy; one that nobody knows is `recurse`, as with Salt.
fn merged(strategy: &str, mut under: Map, over: &Map, lists: bool) -> Map {
    match strategy {
        "list" => {
            for (key, value) in under.iter_mut() {
                if let Some(other) = over.get_value(key) {
                    *value = Value::List(vec![value.clone(), other.clone()]);
                }
            }
            under
        }
        "overwrite" => {
            under.extend(over.clone());
            under
        }
        _ => {
            update(&mut under, over, lists);
            under
        }
    }
}

async fn is_served(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let (path, saltenv) = (args.text("path")?, args.text("saltenv")?);
    let refuse = |error: &dyn ToString| ModuleError::Execution(error.to_string());
    let path = path.trim_start_matches("salt://").trim_end_matches('/');
    let files = &call.services.files;
    let is_dir = || async {
        let dirs = files.dirs(&saltenv).await.map_err(|error| refuse(&error))?;
        Ok::<bool, ModuleError>(dirs.iter().any(|dir| dir.trim_end_matches('/') == path))
    };
    if fun == "dir_exists" {
        return Ok(is_dir().await?.into());
    }
    let (parsed, _) = SaltPath::parse(&format!("salt://{path}")).map_err(|error| refuse(&error))?;
    let is_file = files.read(&saltenv, &parsed).await.map_err(|error| refuse(&error))?.is_some();
    Ok((is_file || fun == "path_exists" && is_dir().await?).into())
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "boolstr",
        signature: "value, true='true', false='false'",
        doc: "Returns one of two texts.",
    },
    FunctionSpec {
        name: "deserialize",
        signature: "serializer, stream_or_string, **mod_kwargs",
        doc: "Reads JSON or YAML.",
    },
    FunctionSpec {
        name: "dir_exists",
        signature: "path, saltenv='base'",
        doc: "Tells whether the master serves a folder.",
    },
    FunctionSpec {
        name: "file_exists",
        signature: "path, saltenv='base'",
        doc: "Tells whether the master serves a file.",
    },
    FunctionSpec {
        name: "merge",
        signature: "obj_a, obj_b, strategy='smart', renderer='yaml', merge_lists=False",
        doc: "Merges two mappings: smart, recurse, aggregate, list, overwrite.",
    },
    FunctionSpec {
        name: "merge_all",
        signature: "lst, strategy='smart', renderer='yaml', merge_lists=False",
        doc: "Merges a list of mappings.",
    },
    FunctionSpec {
        name: "path_exists",
        signature: "path, saltenv='base'",
        doc: "Tells whether the master serves a file or folder.",
    },
    FunctionSpec {
        name: "serialize",
        signature: "serializer, obj, **mod_kwargs",
        doc: "Writes JSON or YAML.",
    },
    FunctionSpec {
        name: "update",
        signature: "dest, upd, recursive_update=True, merge_lists=False",
        doc: "Merges a mapping into another; in templates the first is changed.",
    },
];
