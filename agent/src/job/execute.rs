//! One function call of a job: arguments as they arrive, the call, and the outcome in Salt's words.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use states::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use crate::{
    modules::{CallContext, ModuleError, Signature},
    services::Services,
};

/// The job that a call belongs to, when it belongs to one.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The job id.
    pub jid: Option<String>,
    /// The publish load, for `__pub_*` keywords.
    pub publish: Map,
    /// When the job was accepted.
    pub accepted: Option<SystemTime>,
}

/// Calls one function and never fails: whatever goes wrong is the outcome's text.
pub async fn execute(
    services: &Arc<Services>,
    fun: &str,
    args: Vec<Value>,
    origin: Origin,
    cancel: CancellationToken,
) -> Outcome {
    let mut call = CallContext::new(Arc::clone(services), cancel.clone());
    if let Some(jid) = &origin.jid {
        call = call.of_job(jid, origin.publish.clone());
    }
    call.accepted = origin.accepted;
    let Some((_, spec)) = services.modules.find(fun) else {
        tracing::info!(fun, "unknown function");
        return Outcome::of_error(ModuleError::NotAvailable { fun: fun.to_owned() }, fun, "");
    };
    let signature = Signature::parse(spec.signature);
    let (positional, mut keywords) = split(args, &signature);
    if signature.keywords.is_some() {
        for (key, value) in &origin.publish {
            keywords.insert(format!("__pub_{key}"), value.clone());
        }
    }
    let called = until_cancelled(services.modules.call(fun, positional, keywords, &call), &cancel).await;
    match called {
        Ok(value) => Outcome::returned(value, call.retcode(), outputter(fun)),
        Err(error) => {
            tracing::info!(fun, %error, "function failed");
            Outcome::of_error(error, fun, spec.doc)
        }
    }
}

/// Waits for a call. Once cancelled, the function has a moment to end what it started, a statement on its server or a
/// process with its children; then it is dropped.
async fn until_cancelled<T>(
    call: impl Future<Output = Result<T, ModuleError>>,
    cancel: &CancellationToken,
) -> Result<T, ModuleError> {
    tokio::pin!(call);
    tokio::select! {
        called = &mut call => called,
        () = cancel.cancelled() => match tokio::time::timeout(CANCEL_GRACE, call).await {
            Ok(called) => called,
            Err(_elapsed) => Err(ModuleError::Cancelled),
        },
    }
}

/// Parts positional from keyword arguments: maps marked `__kwarg__`, and texts `name=value` whose name the
/// function takes, as Salt's `load_args_and_kwargs` does.
pub(super) fn split(args: Vec<Value>, signature: &Signature) -> (Vec<Value>, Map) {
    let (mut positional, mut keywords) = (Vec::new(), Map::new());
    for arg in args {
        match arg {
            Value::Map(map) if map.get("__kwarg__").and_then(Value::as_bool) == Some(true) => {
                let given = map.into_iter().filter(|(key, _)| key.as_str() != Some("__kwarg__"));
                keywords.extend(given);
            }
            Value::Str(text) => match crate::cli::arguments::keyword(&text) {
                Some((name, value)) if signature.takes_keyword(name) => {
                    keywords.insert(name, crate::cli::arguments::yamlify(value));
                }
                _ => positional.push(Value::Str(text)),
            },
            other => positional.push(other),
        }
    }
    (positional, keywords)
}

/// Salt's `__outputter__` hints.
#[must_use]
pub fn outputter(fun: &str) -> Option<&'static str> {
    match fun {
        "state.apply" | "state.highstate" | "state.single" | "state.sls" | "state.sls_id" | "state.top"
        | "state.template" | "state.template_str" | "state.test" => Some("highstate"),
        "grains.item" | "grains.items" | "grains.setval" => Some("nested"),
        _ => None,
    }
}

/// How long a cancelled function may take to end by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
