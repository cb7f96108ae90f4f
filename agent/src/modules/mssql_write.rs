//! The `mssql_write` module: declared writes submitted, looked up and listed.
//!
//! `submit` answers one typed outcome (`write::outcome`); its job succeeds when the rows are written. There is no SQL text
//! in a submission: it names a declared write and gives parameters and a request id.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::access::required::Requires;
use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};
use crate::mssql::quote::SqlName;
use crate::write::WriteError;
use crate::write::book::Declared;
use crate::write::definition::Once;
use crate::write::names::{RequestId, WriteName};
use crate::write::outcome::{Outcome, Verdict};
use crate::write::preview::{Preview, preview};
use crate::write::room::{Answer, Submission};
use crate::write::unseal::Given;

/// The module.
pub struct MssqlWrite;

impl Module for MssqlWrite {
    fn name(&self) -> &'static str {
        "mssql_write"
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
                "submit" => submit(&args, call).await,
                "status" => status(&args, call).await,
                "list" => list(call).await,
                "recipient" => recipient(call).await,
                _ => Err(ModuleError::NotAvailable { fun: format!("mssql_write.{fun}") }),
            }
        })
    }
}

async fn submit(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let submission = submission(args, call)?;
    if args.truth("test") {
        let preview = preview(&call.services.writes, &submission).await;
        return Ok(shown_preview(&submission, &preview.map_err(failed)?));
    }
    let answer = call.services.writes.submit(submission.clone()).await.map_err(failed)?;
    if !answer.outcome.verdict.has_landed() {
        call.set_retcode(1);
        tell_of(&submission, &answer.outcome, call);
    }
    let shown = shown_answer(&submission, &answer);
    tracing::info!(
        write = %submission.write,
        request = %submission.request,
        outcome = answer.outcome.verdict.word(),
        attempts = answer.attempts,
        "write submitted"
    );
    Ok(shown)
}

/// Fires `agent/write/<name>/failed` for what is a fault of the definition, its permissions or its schema: who rolls state files
/// out stops at it. What the rows themselves forbid is the submitter's matter and in the return alone.
fn tell_of(submission: &Submission, outcome: &Outcome, call: &CallContext) {
    let faults = [Verdict::Constraint, Verdict::Permission, Verdict::SchemaChanged, Verdict::Refused];
    if !faults.contains(&outcome.verdict) {
        return;
    }
    let data: proto::Map = [
        ("write", submission.write.as_str()),
        ("request", submission.request.as_str()),
        ("outcome", outcome.verdict.word()),
        ("reason", outcome.reason.as_str()),
    ]
    .into_iter()
    .collect();
    let (tag, link) = (format!("agent/write/{}/failed", submission.write), Arc::clone(&call.services.link));
    call.services.tasks.spawn("write event", async move {
        if let Err(error) = link.fire_event(&tag, data.into()).await {
            tracing::warn!(tag, %error, "the event of a failed write did not reach the master; its return has the same");
        }
    });
}

async fn status(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let request = request(args)?;
    match call.services.writes.recorded(&request).await.map_err(failed)? {
        Some((write, outcome)) => Ok(Value::Map(shown_outcome(&write, request.as_str(), &outcome))),
        None => Err(ModuleError::Execution(format!("no final outcome of the request {request} is recorded"))),
    }
}

async fn recipient(call: &CallContext) -> Result<Value, ModuleError> {
    let identity = call.services.writes.identity.clone();
    let told = call.services.tasks.blocking(move || identity.recipient()).await;
    match told {
        Ok(Ok(recipient)) => Ok(recipient.into()),
        Ok(Err(error)) => Err(ModuleError::Execution(error.to_string())),
        Err(error) => Err(ModuleError::Execution(error.to_string())),
    }
}

async fn list(call: &CallContext) -> Result<Value, ModuleError> {
    let all = call.services.writes.book.all().await.map_err(failed)?;
    Ok(all
        .iter()
        .map(|declared| (declared.spec.name.to_string(), shown_write(declared)))
        .collect::<Map>()
        .into())
}

fn submission(args: &Arguments, call: &CallContext) -> Result<Submission, ModuleError> {
    let invalid = |error: &dyn std::error::Error| ModuleError::Invocation(error.to_string());
    Ok(Submission {
        write: WriteName::new(args.text("name")?).map_err(|error| invalid(&error))?,
        request: request(args)?,
        params: given(args)?,
        issued: issued(args, call)?,
        jid: call.jid.clone(),
    })
}

/// The parameters, in clear or sealed.
pub(crate) fn given(args: &Arguments) -> Result<Given, ModuleError> {
    let invalid = |text: &str| Err(ModuleError::Invocation(text.to_owned()));
    match (args.get("params"), args.get("params_sealed")) {
        (Value::Nil, Value::Nil) => Ok(Given::Clear(Map::new())),
        (Value::Map(map), Value::Nil) => Ok(Given::Clear(map.clone())),
        (Value::Nil, Value::Str(text)) => Ok(Given::Sealed(text.clone())),
        (_, Value::Nil) => invalid("the argument 'params' must be a mapping"),
        (Value::Nil, _) => invalid("the argument 'params_sealed' must be a text: an age file in base64"),
        (_, _) => invalid("give 'params' or 'params_sealed', not both"),
    }
}

fn request(args: &Arguments) -> Result<RequestId, ModuleError> {
    RequestId::new(args.text("request")?).map_err(|error| ModuleError::Invocation(error.to_string()))
}

/// When the request was made: as it says, else when its job was accepted, else now.
fn issued(args: &Arguments, call: &CallContext) -> Result<SystemTime, ModuleError> {
    let expected = || {
        ModuleError::Invocation(
            "the argument 'issued' must be a moment with its offset (2026-01-31T14:30:00Z) or seconds since 1970".to_owned(),
        )
    };
    match args.get("issued") {
        Value::Nil => Ok(call.accepted.unwrap_or_else(SystemTime::now)),
        Value::Str(text) => {
            let moment = DateTime::parse_from_rfc3339(text).map_err(|_| expected())?;
            Ok(SystemTime::from(moment))
        }
        given => {
            let seconds = given.as_float().filter(|seconds| *seconds >= 0.0).ok_or_else(expected)?;
            Ok(UNIX_EPOCH + Duration::try_from_secs_f64(seconds).map_err(|_| expected())?)
        }
    }
}

fn shown_answer(submission: &Submission, answer: &Answer) -> Value {
    let mut map = shown_outcome(submission.write.as_str(), submission.request.as_str(), &answer.outcome);
    // What `module.run` and a job's retcode judge by.
    map.insert("result", answer.outcome.verdict.has_landed());
    map.insert("attempts", i64::from(answer.attempts));
    map.insert("milliseconds", i64::try_from(answer.took.as_millis()).unwrap_or(i64::MAX));
    map.into()
}

fn shown_outcome(write: &str, request: &str, outcome: &Outcome) -> Map {
    let mut map = Map::new();
    map.insert("outcome", outcome.verdict.word());
    map.insert("write", write);
    map.insert("request", request);
    map.insert("reason", outcome.reason.as_str());
    map.insert("final", outcome.verdict.is_final());
    if !outcome.names.is_empty() {
        map.insert("names", Value::List(outcome.names.iter().map(|name| name.as_str().into()).collect()));
    }
    if !outcome.keys.is_empty() {
        map.insert("keys", states::to_value(&outcome.keys));
    }
    if !outcome.read_back.is_empty() {
        map.insert("read_back", states::to_value(&outcome.read_back));
    }
    if let Some(sealed) = &outcome.sealed {
        map.insert("sealed", sealed.as_str());
    }
    if outcome.in_doubt {
        map.insert("in_doubt", true);
    }
    map.insert("at", outcome.at.as_str());
    map
}

fn shown_preview(submission: &Submission, preview: &Preview) -> Value {
    let step = |step: &crate::write::preview::PreviewStep| -> Value {
        let mut map = Map::new();
        map.insert("step", step.name.as_str());
        map.insert("sql", step.sql.as_str());
        map.insert("bound", Value::List(step.bound.iter().map(|bound| bound.as_str().into()).collect()));
        map.insert(
            "rows",
            step.rows.map_or(Value::Nil, |rows| i64::try_from(rows).unwrap_or(i64::MAX).into()),
        );
        map.into()
    };
    let mut map = Map::new();
    map.insert("test", true);
    map.insert("would", preview.would.word());
    map.insert("write", submission.write.as_str());
    map.insert("request", submission.request.as_str());
    map.insert("reason", preview.reason.as_str());
    map.insert("steps", Value::List(preview.steps.iter().map(step).collect()));
    if let Some(sealed) = &preview.sealed {
        map.insert("sealed", sealed.as_str());
    }
    map.into()
}

/// What an integrator needs to know to submit, and a DBA to grant.
fn shown_write(declared: &Declared) -> Value {
    let spec = &declared.spec;
    let mut map = Map::new();
    map.insert("database", spec.connection.database.as_str());
    map.insert("login", spec.connection.user.as_str());
    let parameters: Map =
        spec.parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.shown())).collect();
    map.insert("parameters", parameters);
    map.insert(
        "once_by",
        match &spec.once {
            Once::Ledger(database) => format!("ledger in {database}"),
            Once::ExternalId(column) => format!("external id in {column}"),
        },
    );
    let needs = spec.requirement().permissions.into_iter().map(|needed| {
        let columns: Vec<&str> = needed.columns.iter().map(SqlName::as_str).collect();
        let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        Value::from(format!(
            "{} on {}.{}{columns}",
            needed.permission.as_str(),
            needed.database,
            needed.securable
        ))
    });
    map.insert("permissions", Value::List(needs.collect()));
    map.insert("deadline", Value::Float(spec.deadline.as_secs_f64()));
    map.insert("expires", spec.expires.map_or(Value::Nil, |expires| Value::Float(expires.as_secs_f64())));
    map.insert("schema", spec.shape.fingerprint());
    map.into()
}

fn failed(error: WriteError) -> ModuleError {
    match error {
        WriteError::Parameter { .. } | WriteError::Sealed { .. } | WriteError::NoWrite { .. } => {
            ModuleError::Invocation(error.to_string())
        }
        error => ModuleError::Execution(error.to_string()),
    }
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "list",
        signature: "",
        doc: "The writes declared on this minion: parameters with types and limits, permissions, deadline, expiry.",
    },
    FunctionSpec {
        name: "recipient",
        signature: "",
        doc: "The age public key of this minion: what is sealed for it can be submitted as `params_sealed`.",
    },
    FunctionSpec { name: "status", signature: "request", doc: "The recorded outcome of a request id." },
    FunctionSpec {
        name: "submit",
        signature: "name, request, params=None, issued=None, test=False, params_sealed=None, **kwargs",
        doc: "Submits a declared write by name with parameters and a request id, and gives one typed outcome: landed, \
              already_landed, precondition_failed, conflict, constraint, permission, locked, schema_changed, expired, paused, \
              unreachable or refused. `params_sealed` takes the parameters as an age file in base64, sealed for the key that \
              mssql_write.recipient tells. The same request id gives the same outcome for 30 days. With test=True it shows the exact \
              statements and the rows that they would touch, and touches none.",
    },
];
