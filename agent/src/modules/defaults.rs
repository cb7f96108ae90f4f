//! Salt's `defaults` module: values of a formula, from its `defaults.yaml` or `defaults.json` and over it the pillar.

use futures_util::future::BoxFuture;
use states::{Map, Value, yaml};

use super::slsutil::{mapping, update};
use crate::{
    files::SaltPath,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError, lookup::traverse},
};

/// The module.
pub struct Defaults;

impl Module for Defaults {
    fn name(&self) -> &'static str {
        "defaults"
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
                "get" => get(&args, call).await,
                "deepcopy" => Ok(args.get("source").clone()),
                "merge" => merge(&args),
                "update" => each(&args),
                _ => Err(ModuleError::NotAvailable { fun: format!("defaults.{fun}") }),
            }
        })
    }
}

fn merge(args: &Arguments) -> Result<Value, ModuleError> {
    let (dest, src) = (args.get("dest"), args.get("src"));
    let convert = args.truth("convert_none");
    if dest.is_nil() && convert && args.truth("in_place") {
        let message = "Can't perform in-place merge into NoneType".to_owned();
        return Err(ModuleError::Exception { class: "TypeError", message });
    }
    let or_empty = |value: &Value| if value.is_nil() && convert { Ok(Map::new()) } else { mapping(value) };
    let mut merged = or_empty(dest)?;
    update(&mut merged, &or_empty(src)?, args.truth("merge_lists"));
    Ok(merged.into())
}

/// Puts the same defaults below every value of a mapping.
fn each(args: &Arguments) -> Result<Value, ModuleError> {
    let defaults = mapping(args.get("defaults"))?;
    let mut whole = Map::new();
    for (key, own) in &mapping(args.get("dest"))? {
        let mut merged = defaults.clone();
        let own = if own.is_nil() { Map::new() } else { mapping(own)? };
        update(&mut merged, &own, args.truth("merge_lists"));
        whole.insert(key.clone(), merged);
    }
    Ok(whole.into())
}

async fn get(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let key = args.text("key")?;
    let (formula, rest) = key.split_once(':').unwrap_or((key.as_str(), ""));
    let pillar = call.services.modules.call("pillar.get", vec![key.clone().into()], Map::new(), call).await?;
    if pillar.is_truthy() {
        return Ok(pillar);
    }
    let files = &call.services.files;
    for ending in ["json", "yaml"] {
        let url = format!("salt://{}/defaults.{ending}", formula.replace('.', "/"));
        let refuse = |error: &dyn ToString| ModuleError::Execution(format!("{url}: {}", error.to_string()));
        let (path, _) = SaltPath::parse(&url).map_err(|error| refuse(&error))?;
        let Some(bytes) = files.read("base", &path).await.map_err(|error| refuse(&error))? else { continue };
        // JSON is YAML.
        let data = yaml::load(&String::from_utf8_lossy(&bytes)).map_err(|error| refuse(&error))?;
        let found = if rest.is_empty() { Some(&data) } else { traverse(&data, rest, ":") };
        return Ok(found.unwrap_or_else(|| args.get("default")).clone());
    }
    Ok(args.get("default").clone())
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "deepcopy", signature: "source", doc: "Returns a copy." },
    FunctionSpec {
        name: "get",
        signature: "key, default=''",
        doc: "Returns a value of the pillar, or of the defaults file of a formula.",
    },
    FunctionSpec {
        name: "merge",
        signature: "dest, src, merge_lists=False, in_place=True, convert_none=True",
        doc: "Merges a mapping into another; in templates the first is changed.",
    },
    FunctionSpec {
        name: "update",
        signature: "dest, defaults, merge_lists=True, in_place=True, convert_none=True",
        doc: "Puts defaults below every value of a mapping; in templates the mapping is changed.",
    },
];
