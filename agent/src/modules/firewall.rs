//! Salt's `firewall` module: rules and profiles of the firewall of Windows. Absent elsewhere, as with Salt.

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    firewall::{self, FirewallError, Rule},
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    policy,
};

/// The module.
pub struct Firewall;

impl Module for Firewall {
    fn name(&self) -> &'static str {
        "firewall"
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
            if !matches!(fun, "get_config" | "get_rule" | "rule_exists") {
                policy::may_change_firewall(&call.services.config)
                    .map_err(|error| ModuleError::Execution(error.to_string()))?;
            }
            answer(fun, &args).await
        })
    }
}

async fn answer(fun: &str, args: &Arguments) -> Result<Value, ModuleError> {
    match fun {
        "get_config" => Ok(firewall::profiles().await.map_err(failed)?.into_iter().collect::<Map>().into()),
        "get_rule" => {
            let name = args.text("name")?;
            let shown = firewall::show(&name).await.map_err(failed)?;
            Ok([(name, shown)].into_iter().collect::<Map>().into())
        }
        "rule_exists" => match firewall::show(&args.text("name")?).await {
            Ok(_) => Ok(true.into()),
            Err(FirewallError::Refused(_)) => Ok(false.into()),
            Err(error) => Err(failed(error)),
        },
        "enable" | "disable" => {
            let set = firewall::set_profile(&args.text("profile")?, fun == "enable").await;
            set.map(|()| true.into()).map_err(failed)
        }
        "add_rule" => firewall::add(&rule(args)?).await.map(|()| true.into()).map_err(failed),
        "delete_rule" => firewall::delete(&rule(args)?).await.map(|()| true.into()).map_err(failed),
        _ => Err(ModuleError::NotAvailable { fun: format!("firewall.{fun}") }),
    }
}

fn failed(error: FirewallError) -> ModuleError {
    ModuleError::Execution(error.to_string())
}

fn rule(args: &Arguments) -> Result<Rule, ModuleError> {
    Ok(Rule {
        name: args.text("name")?,
        localport: args.optional_text("localport")?,
        protocol: args.optional_text("protocol")?,
        action: args.optional_text("action")?,
        direction: args.optional_text("dir")?,
        remoteip: args.optional_text("remoteip")?,
        remoteport: None,
    })
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "add_rule",
        signature: "name, localport, protocol='tcp', action='allow', dir='in', remoteip='any'",
        doc: "Adds a rule.",
    },
    FunctionSpec {
        name: "delete_rule",
        signature: "name=None, localport=None, protocol=None, dir=None, remoteip=None",
        doc: "Removes the rules that fit.",
    },
    FunctionSpec { name: "disable", signature: "profile='allprofiles'", doc: "Turns a profile off." },
    FunctionSpec { name: "enable", signature: "profile='allprofiles'", doc: "Turns a profile on." },
    FunctionSpec { name: "get_config", signature: "", doc: "Tells which profiles are on." },
    FunctionSpec { name: "get_rule", signature: "name='all'", doc: "Shows the rules of a name." },
    FunctionSpec {
        name: "rule_exists",
        signature: "name",
        doc: "Tells whether there is a rule of that name.",
    },
];
