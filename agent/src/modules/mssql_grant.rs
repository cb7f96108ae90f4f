//! The `mssql_grant` module: access compared with its declaration.

use futures_util::future::BoxFuture;
use states::Value;

use crate::access::{drift, report};
use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};

/// The module.
pub struct MssqlGrant;

impl Module for MssqlGrant {
    fn name(&self) -> &'static str {
        "mssql_grant"
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
            let services = &call.services;
            let refused = |error: crate::access::AccessError| ModuleError::Execution(error.to_string());
            match fun {
                "diff" => {
                    let found = drift::check(services).await.map_err(refused)?;
                    let shown = found.iter().map(|(_, declared, drift)| drift.shown(declared).into());
                    Ok(Value::List(shown.collect()))
                }
                "drift" => {
                    let found = drift::check_and_tell(services).await.map_err(refused)?;
                    let some = found.iter().filter(|(_, drift)| !drift.is_none());
                    Ok(Value::List(some.map(|(declared, drift)| drift.shown(declared).into()).collect()))
                }
                "report" => {
                    let report = report::make(services).await.map_err(refused)?;
                    let json = serde_json::to_string(&report).unwrap_or_default();
                    states::yaml::load(&json).map_err(|error| ModuleError::Execution(error.to_string()))
                }
                _ => Err(ModuleError::NotAvailable { fun: format!("mssql_grant.{fun}") }),
            }
        })
    }
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "diff",
        signature: "",
        doc: "How each declared access stands: what is missing, what is in excess, why a login does not work, and the \
              T-SQL that puts it right.",
    },
    FunctionSpec {
        name: "drift",
        signature: "",
        doc: "Looks for drift now and fires the event agent/access/drift for what was not told yet; gives what is not \
              as declared.",
    },
    FunctionSpec {
        name: "report",
        signature: "",
        doc: "What each login of the agent may do and through which role, what it needs and for which job, what is in \
              excess, and the T-SQL that ends it; agent access report shows the same for people.",
    },
];
