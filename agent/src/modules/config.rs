//! Salt's `config` module: options of this minion, with grains and pillar behind them.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    config,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError, lookup::traverse},
};

/// The module.
pub struct Config;

impl Module for Config {
    fn name(&self) -> &'static str {
        "config"
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
                "option" => option(&args, call).await,
                "items" => Ok(config::shown(&call.services.config).into()),
                "dot_vals" => Ok(dot_vals(&args.text("value")?, call)),
                "backup_mode" | "manage_mode" | "valid_fileproto" => plain(fun, &args, call),
                _ => Err(ModuleError::NotAvailable { fun: format!("config.{fun}") }),
            }
        })
    }
}

/// Options, then grains, then pillar, in Salt's order; nested names separated by the delimiter.
async fn get(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let key = args.text("key")?;
    let delimiter = args.optional_text("delimiter")?.unwrap_or_else(|| ":".to_owned());
    let options = Value::Map(config::shown(&call.services.config));
    let omit = |name: &str| args.truth(name);
    if !omit("omit_opts")
        && let Some(found) = options.get(&key).or_else(|| traverse(&options, &key, &delimiter))
    {
        return Ok(found.clone());
    }
    let (grains, pillar) = (call.services.grains_ready().await, call.pillar());
    for (source, omitted) in [(&grains, omit("omit_grains")), (&pillar, omit("omit_pillar"))] {
        if let Some(found) = traverse(source, &key, &delimiter).filter(|_| !omitted) {
            return Ok(found.clone());
        }
    }
    if let Some(found) = pillar.get("master").and_then(|master| traverse(master, &key, &delimiter))
        && !omit("omit_master")
    {
        return Ok(found.clone());
    }
    Ok(args.get("default").clone())
}

async fn option(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let key = args.text("value")?;
    let options = config::shown(&call.services.config);
    if let Some(found) = options.get(&key).filter(|_| !args.truth("omit_opts")) {
        return Ok(found.clone());
    }
    let pillar = call.pillar();
    let grains = call.services.grains_ready().await;
    let found = pillar.get(&key).filter(|_| !args.truth("omit_pillar"));
    Ok(found.or_else(|| grains.get(&key)).unwrap_or_else(|| args.get("default")).clone())
}

/// Options and pillar values whose names start with `value.`.
fn dot_vals(value: &str, call: &CallContext) -> Value {
    let prefix = format!("{value}.");
    let pillar = call.pillar();
    let options = config::shown(&call.services.config);
    let sources = [pillar.as_map().cloned().unwrap_or_default(), options];
    let named = |key: &Value| key.as_str().is_some_and(|key| key.starts_with(&prefix));
    sources.into_iter().flatten().filter(|(key, _)| named(key)).collect::<Map>().into()
}

fn plain(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    Ok(match fun {
        "backup_mode" => match args.text("backup")? {
            given if !given.is_empty() => given.into(),
            _ => call.services.config.opts.get("backup_mode").cloned().unwrap_or_else(|| "".into()),
        },
        "manage_mode" => match args.get("mode") {
            Value::Nil => Value::Nil,
            mode => {
                let text = mode.to_string();
                let digits = text.trim_start_matches("0o").trim_start_matches('0');
                format!("0{}", if digits.is_empty() { "000" } else { digits }).into()
            }
        },
        _ => {
            let uri = args.text("uri")?;
            Value::Bool(["salt://", "file://"].iter().any(|scheme| uri.starts_with(scheme)))
        }
    })
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "backup_mode",
        signature: "backup=''",
        doc: "Returns the backup mode, the argument winning over the option.",
    },
    FunctionSpec {
        name: "dot_vals",
        signature: "value",
        doc: "Returns options and pillar values whose names start with a word and a dot.",
    },
    FunctionSpec {
        name: "get",
        signature: "key, default='', delimiter=':', merge=None, omit_opts=False, omit_pillar=False, omit_master=False, omit_grains=False",
        doc: "Looks a name up in the options, the grains and the pillar.",
    },
    FunctionSpec { name: "items", signature: "", doc: "Returns the minion's options, secrets left out." },
    FunctionSpec {
        name: "manage_mode",
        signature: "mode",
        doc: "Returns a file mode in its usual spelling.",
    },
    FunctionSpec {
        name: "option",
        signature: "value, default='', omit_opts=False, omit_grains=False, omit_master=False, omit_pillar=False, wildcard=False",
        doc: "Looks a name up in the options, the pillar and the grains.",
    },
    FunctionSpec {
        name: "valid_fileproto",
        signature: "uri",
        doc: "Tells whether a source of that scheme can be fetched.",
    },
];
