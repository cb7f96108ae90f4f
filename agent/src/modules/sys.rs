//! Salt's `sys` module: what functions there are, and how to call them.

use futures_util::future::BoxFuture;
use proto::target::fnmatch;
use states::{Map, Value};

use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError, Signature};

/// The module.
pub struct Sys;

impl Module for Sys {
    fn name(&self) -> &'static str {
        "sys"
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
    let wanted: Vec<String> = args.rest.iter().map(ToString::to_string).collect();
    Ok(match fun {
        "doc" => {
            every(call, &wanted).map(|(name, spec)| (name, Value::from(spec.doc))).collect::<Map>().into()
        }
        "list_functions" => {
            every(call, &wanted).map(|(name, _)| Value::from(name)).collect::<Vec<_>>().into()
        }
        "list_modules" => {
            let names = call.services.modules.modules().map(|module| module.name());
            let chosen =
                names.filter(|name| wanted.is_empty() || wanted.iter().any(|glob| fnmatch(name, glob)));
            chosen.map(Value::from).collect::<Vec<_>>().into()
        }
        "argspec" => {
            let module = args.text("module")?;
            if module.is_empty() {
                return Ok(Map::new().into());
            }
            every(call, &[module]).map(|(name, spec)| (name, argspec(spec))).collect::<Map>().into()
        }
        "list_state_modules" => {
            let names = call.services.state_modules.modules().map(|module| module.name());
            let chosen =
                names.filter(|name| wanted.is_empty() || wanted.iter().any(|glob| fnmatch(name, glob)));
            chosen.map(Value::from).collect::<Vec<_>>().into()
        }
        "list_state_functions" => {
            let names = call.services.state_modules.modules().flat_map(|module| {
                module.functions().iter().map(move |fun| format!("{}.{fun}", module.name()))
            });
            let mut names: Vec<String> = names
                .filter(|name| wanted.is_empty() || wanted.iter().any(|glob| names_function(glob, name)))
                .collect();
            names.sort();
            names.into_iter().map(Value::from).collect::<Vec<_>>().into()
        }
        "list_renderers" => {
            let names = RENDERERS.iter().map(|(name, _)| *name);
            let chosen =
                names.filter(|name| wanted.is_empty() || wanted.iter().any(|glob| fnmatch(name, glob)));
            chosen.map(Value::from).collect::<Vec<_>>().into()
        }
        "renderer_doc" => {
            let named =
                |name: &str| wanted.is_empty() || wanted.iter().any(|glob| names_function(glob, name));
            let docs = RENDERERS.iter().map(|(name, doc)| (format!("{name}.render"), *doc));
            docs.filter(|(name, _)| named(name)).collect::<Map>().into()
        }
        // A minion has no runners, and this one hands its returns to its master alone.
        "list_returners" | "list_returner_functions" | "list_runners" | "list_runner_functions" => {
            Value::List(Vec::new())
        }
        "returner_doc" | "returner_argspec" | "runner_doc" | "runner_argspec" => Map::new().into(),
        "reload_modules" => true.into(),
        _ => return Err(ModuleError::NotAvailable { fun: format!("sys.{fun}") }),
    })
}

/// The functions that the given modules, functions or globs name, all when none is given; sorted.
fn every<'c>(
    call: &'c CallContext,
    wanted: &[String],
) -> impl Iterator<Item = (String, &'static FunctionSpec)> + use<'c> {
    let modules = call.services.modules.modules();
    let all = modules.flat_map(|module| {
        module.functions().iter().map(move |spec| (format!("{}.{}", module.name(), spec.name), spec))
    });
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|glob| names_function(glob, name));
    let mut found: Vec<_> = all.filter(|(name, _)| chosen(name)).collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.into_iter()
}

/// `test` and `test.` name all functions of a module, `test.ping` one, `test.p*` those that match.
fn names_function(wanted: &str, name: &str) -> bool {
    let module = name.split('.').next().unwrap_or_default();
    if wanted.contains('*') {
        return fnmatch(name, wanted);
    }
    wanted == name || wanted.trim_end_matches('.') == module
}

fn argspec(spec: &FunctionSpec) -> Value {
    let signature = Signature::parse(spec.signature);
    let names = signature.params.iter().map(|param| Value::from(param.name)).collect::<Vec<_>>();
    let defaults: Vec<Value> = signature.params.iter().filter_map(|param| param.default.clone()).collect();
    let defaults = if defaults.is_empty() { Value::Nil } else { Value::List(defaults) };
    let flag = |name: Option<&str>| if name.is_some() { Value::Bool(true) } else { Value::Nil };
    [
        ("args", Value::List(names)),
        ("varargs", flag(signature.varargs)),
        ("kwargs", flag(signature.keywords)),
        ("defaults", defaults),
    ]
    .into_iter()
    .collect::<Map>()
    .into()
}

const RENDERERS: &[(&str, &str)] =
    &[("jinja", "Renders Jinja templates."), ("json", "Reads JSON."), ("yaml", "Reads YAML as Salt does.")];

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "argspec",
        signature: "module=''",
        doc: "Returns the parameters and defaults of functions, by module, function or glob.",
    },
    FunctionSpec {
        name: "doc",
        signature: "*args",
        doc: "Returns what functions do, by module, function or glob; all when none is named.",
    },
    FunctionSpec {
        name: "list_functions",
        signature: "*args, **kwargs",
        doc: "Lists functions, by module or glob; all when none is named.",
    },
    FunctionSpec { name: "list_modules", signature: "*args", doc: "Lists execution modules." },
    FunctionSpec { name: "list_renderers", signature: "*args", doc: "Lists the renderers of state files." },
    FunctionSpec {
        name: "list_state_functions",
        signature: "*args, **kwargs",
        doc: "Lists state functions, by module or glob.",
    },
    FunctionSpec { name: "list_state_modules", signature: "*args", doc: "Lists state modules." },
    FunctionSpec {
        name: "reload_modules",
        signature: "initial_load=False, context=None",
        doc: "Answers True: this minion's modules are built in and always loaded.",
    },
    FunctionSpec {
        name: "list_returner_functions",
        signature: "*args, **kwargs",
        doc: "Returns an empty list: returns go to the master.",
    },
    FunctionSpec {
        name: "list_returners",
        signature: "*args",
        doc: "Returns an empty list: returns go to the master.",
    },
    FunctionSpec {
        name: "list_runner_functions",
        signature: "*args, **kwargs",
        doc: "Returns an empty list: runners run on a master.",
    },
    FunctionSpec {
        name: "list_runners",
        signature: "*args",
        doc: "Returns an empty list: runners run on a master.",
    },
    FunctionSpec { name: "renderer_doc", signature: "*args", doc: "Returns what the renderers do." },
    FunctionSpec {
        name: "returner_argspec",
        signature: "module=''",
        doc: "Returns an empty map: returns go to the master.",
    },
    FunctionSpec {
        name: "returner_doc",
        signature: "*args",
        doc: "Returns an empty map: returns go to the master.",
    },
    FunctionSpec {
        name: "runner_argspec",
        signature: "module=''",
        doc: "Returns an empty map: runners run on a master.",
    },
    FunctionSpec {
        name: "runner_doc",
        signature: "*args",
        doc: "Returns an empty map: runners run on a master.",
    },
];
