//! The `mssql_schema` module: the schema that a sync job or a write was approved for, and the one that is there.

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};
use crate::schema::{Approved, Named, SchemaError, Subject, approve, look};
use crate::sync::explain;

/// The module.
pub struct MssqlSchema;

impl Module for MssqlSchema {
    fn name(&self) -> &'static str {
        "mssql_schema"
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
                "fingerprint" => fingerprint(&args, call).await,
                _ => Err(ModuleError::NotAvailable { fun: format!("mssql_schema.{fun}") }),
            }
        })
    }
}

async fn fingerprint(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let given = args.optional_text("fingerprint")?;
    let subject = look(&call.services, &args.text("name")?).await.map_err(failed)?;
    let mut map = shown(&subject);
    if let Some(given) = given {
        let approved = approve(&call.services, subject, &given).await.map_err(failed)?;
        map.insert("approved", given.as_str());
        map.extend(shown_approval(&approved));
    }
    Ok(map.into())
}

/// What was approved and what is there.
pub(crate) fn shown(subject: &Subject) -> Map {
    let texts = |all: Vec<String>| Value::List(all.into_iter().map(Value::from).collect());
    let mut map = Map::new();
    match &subject.named {
        Named::Sync(state) => {
            map.insert("sync_job", state.spec.name.as_str());
            map.insert("database", state.spec.connection.database.as_str());
        }
        Named::Write(declared) => {
            map.insert("write", declared.spec.name.as_str());
            map.insert("database", declared.spec.connection.database.as_str());
        }
    }
    map.insert("tables", texts(subject.tables()));
    map.insert(
        "approved",
        subject.approved.as_ref().map_or(Value::Nil, |approved| approved.fingerprint().into()),
    );
    map.insert("found", subject.found.fingerprint());
    map.insert("differences", texts(subject.differences()));
    map.insert("added", texts(subject.added()));
    if let Some(version) = &subject.version {
        map.insert("ehr_version", version.map());
    }
    map
}

/// What an approval came to.
pub(crate) fn shown_approval(approved: &Approved) -> Map {
    let stopped: Map = approved.stopped.iter().map(|(write, why)| (write.as_str(), why.as_str())).collect();
    let mut map = Map::new();
    map.insert("writes", Value::List(approved.writes.iter().map(|write| write.as_str().into()).collect()));
    map.insert("stopped", stopped);
    map.insert("snapshot", approved.snapshot);
    map
}

fn failed(error: SchemaError) -> ModuleError {
    match error {
        SchemaError::Nobody { .. } => ModuleError::Invocation(error.to_string()),
        SchemaError::Another { .. }
        | SchemaError::Sync(_)
        | SchemaError::Write(_)
        | SchemaError::Sql(_)
        | SchemaError::Store(_) => ModuleError::Execution(explain(&error)),
    }
}

const FUNCTIONS: &[FunctionSpec] = &[FunctionSpec {
    name: "fingerprint",
    signature: "name, fingerprint=None",
    doc: "The schema that a sync job or a write was approved for, the one that is there, and exactly what differs. With the \
          fingerprint of what is there it is approved: writes into its tables go on.",
}];
