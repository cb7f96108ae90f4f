//! The `mssql_schema` state module: `fingerprint` approves the schema of a sync job or of a write.
//!
//! Arguments: `name` (the sync job or write) and `fingerprint`, the word that the event `agent/sync/<job>/schema`, a
//! refused write or `mssql_schema.fingerprint` named. Without `fingerprint` the state holds when nothing differs. What is
//! there must have exactly that fingerprint: a state file approves what somebody looked at and nothing that came later.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::modules::mssql_schema::{shown, shown_approval};
use crate::schema::{SchemaError, Subject, approve, look};
use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};
use crate::sync::explain;

/// The module.
pub struct MssqlSchema;

impl StateModule for MssqlSchema {
    fn name(&self) -> &'static str {
        "mssql_schema"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["fingerprint"]
    }

    fn call<'a>(
        &'a self,
        _fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            fingerprint(args, run).await.unwrap_or_else(|error| {
                StateReturn::failed(format!(
                    "The schema of {} is not approved: {}",
                    args.name,
                    explain(&error)
                ))
            })
        })
    }
}

async fn fingerprint(args: &StateArgs, run: &StateContext) -> Result<StateReturn, SchemaError> {
    let subject = look(&run.services, &args.name).await?;
    let found = subject.found.fingerprint();
    let Some(given) = args.text("fingerprint") else { return Ok(held(&args.name, &subject)) };
    if found == given && subject.is_approved() {
        return Ok(StateReturn::ok(format!("The schema of {} is approved: {found}", args.name)));
    }
    if found == given && run.mode == RunMode::Test {
        let comment = format!("The schema of {} is set to be approved: {found}", args.name);
        return Ok(StateReturn::would_change(comment, shown(&subject)));
    }
    let mut changes = shown(&subject);
    let approved = approve(&run.services, subject, &given).await?;
    changes.extend(shown_approval(&approved));
    Ok(StateReturn::changed(format!("The schema of {} is approved: {found}", args.name), changes))
}

/// Whether what is there is what was approved.
fn held(name: &str, subject: &Subject) -> StateReturn {
    let found = subject.found.fingerprint();
    if subject.is_approved() {
        return StateReturn::ok(format!("The schema of {name} is approved: {found}"));
    }
    let differences = subject.differences();
    let why = if differences.is_empty() { "never looked at".to_owned() } else { differences.join(", ") };
    let changes: Map = [("differences", Value::from(why.as_str()))].into_iter().collect();
    let version =
        subject.version.as_ref().map(|version| format!(". {}", version.words())).unwrap_or_default();
    let comment = format!(
        "The schema of {name} is not the approved one: {why}; approve it with `fingerprint: {found}`{version}"
    );
    StateReturn { changes: changes.into(), ..StateReturn::failed(comment) }
}
