//! Salt's `beacons` module: what this minion looks at by itself.
//!
//! Comments and shapes: `salt/modules/beacons.py`.

use futures_util::future::BoxFuture;
use states::{
    Map, Value,
    yaml::{self, Style},
};

use crate::{
    beacons::{Kind, Refused, flat},
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
};

/// The module.
pub struct Beacons;

impl Module for Beacons {
    fn name(&self) -> &'static str {
        "beacons"
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

fn said(comment: impl Into<Value>, result: bool) -> Value {
    [("comment", comment.into()), ("result", Value::Bool(result))].into_iter().collect::<Map>().into()
}

fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let name =
        args.keyword("name").filter(|name| !name.is_nil()).map(ToString::to_string).unwrap_or_default();
    let trial = args.keyword("test").is_some_and(Value::is_truthy);
    let beacons = &call.services.beacons;
    Ok(match fun {
        "list" => {
            let all = beacons.all(args.truth("include_pillar"), args.truth("include_opts"));
            listed(args, "beacons", all.into())
        }
        "list_available" => {
            let names = Kind::ALL.map(|kind| Value::from(kind.name())).to_vec();
            listed(args, "beacons", names.into())
        }
        "add" => add(&name, trial, args, call),
        "modify" => modify(&name, trial, args, call),
        "delete" if trial => said(format!("Beacon: {name} would be deleted."), true),
        "delete" => match beacons.remove(&name) {
            Ok(()) => said(format!("Deleted beacon: {name}."), true),
            Err(_) => said(format!("Cannot delete beacon item {name}, it is configured in pillar."), false),
        },
        "enable" | "disable" => {
            let (word, done) =
                if fun == "enable" { ("Enabled", "enabled") } else { ("Disabled", "disabled") };
            if trial {
                return Ok(said(format!("Beacons would be {done}."), true));
            }
            beacons.enable_all(fun == "enable");
            said(format!("{word} beacons on minion."), true)
        }
        "enable_beacon" | "disable_beacon" => switch(fun, &name, trial, call),
        "reset" if trial => said("Beacons would be reset.", true),
        "reset" => {
            beacons.replace(Map::new());
            said("Beacon configuration reset.", true)
        }
        "save" => match beacons.save(&call.services.config) {
            Ok(path) => said(format!("Beacons saved to {}.", path.display()), true),
            Err(error) => said(format!("Unable to write to beacons file: {error}"), false),
        },
        _ => return Err(ModuleError::NotAvailable { fun: format!("beacons.{fun}") }),
    })
}

fn listed(args: &Arguments, key: &str, value: Value) -> Value {
    if !args.truth("return_yaml") {
        return value;
    }
    yaml::dump(&Value::Map([(key, value)].into_iter().collect()), Style::Block).into()
}

/// Why settings cannot be used, in Salt's words; `adding` or `modifying`.
fn invalid(name: &str, data: &Value, doing: &str) -> Option<Value> {
    let module = flat(data).get("beacon_module").map_or_else(|| name.to_owned(), ToString::to_string);
    let why = Kind::named(&module)?.validate(data).err()?;
    Some(said(format!("Beacon {name} configuration invalid, not {doing}.\n{why}"), false))
}

fn add(name: &str, trial: bool, args: &Arguments, call: &CallContext) -> Value {
    let data = args.get("beacon_data");
    if call.services.beacons.all(true, true).contains_key(name) {
        return said(format!("Beacon {name} is already configured."), true);
    }
    let module = flat(data).get("beacon_module").map_or_else(|| name.to_owned(), ToString::to_string);
    if Kind::named(&module).is_none() {
        return said(format!("Beacon \"{module}\" is not available."), false);
    }
    if trial {
        return said(format!("Beacon: {name} would be added."), true);
    }
    if let Some(refusal) = invalid(name, data, "adding") {
        return refusal;
    }
    match call.services.beacons.set(name, data.clone()) {
        Ok(()) => said(format!("Added beacon: {name}."), true),
        Err(_) => {
            said(format!("Cannot update beacon item {name}, because it is configured in pillar."), false)
        }
    }
}

fn modify(name: &str, trial: bool, args: &Arguments, call: &CallContext) -> Value {
    let data = args.get("beacon_data");
    let Some(held) = call.services.beacons.all(true, true).remove(name) else {
        return said(format!("Beacon {name} is not configured."), true);
    };
    if trial {
        return said(format!("Beacon: {name} would be modified."), true);
    }
    if let Some(refusal) = invalid(name, data, "modifying") {
        return refusal;
    }
    if held == *data {
        return said(format!("Job {name} in correct state"), true);
    }
    match call.services.beacons.set(name, data.clone()) {
        Ok(()) => {
            let changes: Map = [("old", held), ("new", data.clone())].into_iter().collect();
            let mut answer = said(format!("Modified beacon: {name}."), true);
            if let Some(answer) = answer.as_map_mut() {
                answer.insert("changes", changes);
            }
            answer
        }
        Err(_) => said(format!("Cannot modify beacon item {name}, it is configured in pillar."), false),
    }
}

fn switch(fun: &str, name: &str, trial: bool, call: &CallContext) -> Value {
    let on = fun == "enable_beacon";
    let (word, verb) = if on { ("Enabled", "enable") } else { ("Disabled", "disable") };
    if name.is_empty() {
        return said("Beacon name is required.", false);
    }
    if trial {
        return said(
            if on {
                format!("Beacon {name} would be enabled.")
            } else {
                "Beacons would be disabled.".to_owned()
            },
            true,
        );
    }
    match call.services.beacons.enable(name, on) {
        Ok(()) => said(format!("{word} beacon {name} on minion."), true),
        Err(Refused::Unknown) => said(format!("Beacon {name} is not currently configured."), false),
        Err(Refused::Pillar) => {
            said(format!("Cannot {verb} beacon item {name}, it is configured in pillar."), false)
        }
    }
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "add", signature: "name, beacon_data, **kwargs", doc: "Adds a beacon." },
    FunctionSpec { name: "delete", signature: "name, **kwargs", doc: "Takes a beacon out." },
    FunctionSpec { name: "disable", signature: "**kwargs", doc: "Turns all beacons off." },
    FunctionSpec { name: "disable_beacon", signature: "name, **kwargs", doc: "Turns a beacon off." },
    FunctionSpec { name: "enable", signature: "**kwargs", doc: "Turns the beacons on." },
    FunctionSpec { name: "enable_beacon", signature: "name, **kwargs", doc: "Turns a beacon on." },
    FunctionSpec {
        name: "list",
        signature: "return_yaml=True, include_pillar=True, include_opts=True, **kwargs",
        doc: "Lists the configured beacons, as YAML by default.",
    },
    FunctionSpec {
        name: "list_available",
        signature: "return_yaml=True, **kwargs",
        doc: "Lists the kinds of beacon that there are.",
    },
    FunctionSpec {
        name: "modify",
        signature: "name, beacon_data, **kwargs",
        doc: "Replaces a beacon's settings.",
    },
    FunctionSpec { name: "reset", signature: "**kwargs", doc: "Takes all beacons out." },
    FunctionSpec {
        name: "save",
        signature: "**kwargs",
        doc: "Writes the beacons beside the configuration, so that they survive a restart.",
    },
];
