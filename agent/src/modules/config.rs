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
                "merge" => merge(&args, call),
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

/// A name in the options, the grains, the pillar and the master's options in it; with `wildcard`, all that a glob names.
async fn option(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let key = args.text("value")?;
    let omitted = |name: &str| args.truth(name) || args.truth("omit_all");
    let pillar = call.pillar();
    let grains = call.services.grains_ready().await;
    let options = Value::Map(config::shown(&call.services.config));
    let empty = Value::Map(Map::new());
    let sources = [
        (&options, omitted("omit_opts")),
        (&*grains, omitted("omit_grains")),
        (&*pillar, omitted("omit_pillar")),
        (pillar.get("master").unwrap_or(&empty), omitted("omit_master")),
    ];
    let used = sources.into_iter().filter(|(_, omitted)| !omitted).map(|(source, _)| source);
    if args.truth("wildcard") {
        let named = |name: &Value| name.as_str().is_some_and(|name| proto::target::fnmatch(name, &key));
        let pairs = used.rev().filter_map(Value::as_map).flat_map(Map::iter).filter(|(name, _)| named(name));
        let found: Map = pairs.map(|(name, value)| (name.clone(), value.clone())).collect();
        return Ok(if found.is_empty() && !args.get("default").is_nil() {
            args.get("default").clone()
        } else {
            found.into()
        });
    }
    let found = used.filter_map(|source| source.get(&key)).next().cloned();
    Ok(found.unwrap_or_else(|| match args.get("default") {
        Value::Nil => "".into(),
        default => default.clone(),
    }))
}

/// A name in the options, the master's options and the pillar; lists are joined and maps merged, the options winning.
fn merge(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let key = args.text("value")?;
    let pillar = call.pillar();
    let options = Value::Map(config::shown(&call.services.config));
    let sources = [
        (Some(&options), "omit_opts"),
        (pillar.get("master"), "omit_master"),
        (Some(&*pillar), "omit_pillar"),
    ];
    let mut held: Option<Value> = None;
    for (source, omit) in sources {
        let Some(found) = source.filter(|_| !args.truth(omit)).and_then(|source| source.get(&key)) else {
            continue;
        };
        held = Some(match (held, found) {
            (None, text @ Value::Str(_)) => return Ok(text.clone()),
            (None, found) => found.clone(),
            (Some(Value::Map(over)), Value::Map(under)) => {
                let mut under = under.clone();
                under.extend(over);
                under.into()
            }
            (Some(Value::List(mut first)), Value::List(more)) => {
                first.extend(more.iter().cloned());
                first.into()
            }
            (Some(held), _) => held,
        });
    }
    Ok(held.unwrap_or_else(|| args.get("default").clone()))
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
        name: "merge",
        signature: "value, default='', omit_opts=False, omit_master=False, omit_pillar=False",
        doc: "Looks a name up in the options and the pillar, and merges what both have.",
    },
    FunctionSpec {
        name: "option",
        signature: "value, default=None, omit_opts=False, omit_grains=False, omit_pillar=False, omit_master=False, omit_all=False, wildcard=False",
        doc: "Looks a name up in the options, the grains and the pillar.",
    },
    FunctionSpec {
        name: "valid_fileproto",
        signature: "uri",
        doc: "Tells whether a source of that scheme can be fetched.",
    },
];
