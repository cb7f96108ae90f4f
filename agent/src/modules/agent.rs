//! The agent's own module: what Salt has no name for.

use futures_util::future::BoxFuture;
use states::Value;

use crate::{
    doctor,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    status, version,
};

/// The module.
pub struct Agent;

impl Module for Agent {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        _args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "doctor" => {
                    let pillar = call.services.pillar.current();
                    Ok(doctor::shown(&doctor::examine(&call.services.config, &pillar).await))
                }
                "version" => Ok(version::AGENT.into()),
                "status" => {
                    let config = std::sync::Arc::clone(&call.services.config);
                    let store = std::sync::Arc::clone(&call.services.store);
                    let read = call.services.tasks.blocking(move || status::of_store(&config, &store)).await;
                    match read {
                        Ok(Ok(status)) => Ok(states::to_value(&status)),
                        Ok(Err(error)) => Err(ModuleError::Execution(error.to_string())),
                        Err(error) => Err(ModuleError::Execution(error.to_string())),
                    }
                }
                _ => Err(ModuleError::NotAvailable { fun: format!("agent.{fun}") }),
            }
        })
    }
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "doctor",
        signature: "",
        doc: "Returns what `agent doctor` finds: ports, SQL Server, disk, clock, antivirus; nothing is changed.",
    },
    FunctionSpec {
        name: "status",
        signature: "",
        doc: "Returns what `agent status` shows: the link, waiting returns, unfinished jobs.",
    },
    FunctionSpec {
        name: "version",
        signature: "",
        doc: "Returns the agent's own version; test.version gives the Salt release that it is compatible with.",
    },
];
