//! Salt's `event` module: events on the master's bus.

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError};

/// The module.
pub struct Event;

impl Module for Event {
    fn name(&self) -> &'static str {
        "event"
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
            let data = match fun {
                "fire" => return fire(&args.text("tag")?, call).await,
                "send" => send_data(&args, call).await,
                "fire_master" => args.get("data").clone(),
                _ => return Err(ModuleError::NotAvailable { fun: format!("event.{fun}") }),
            };
            let tag = args.text("tag")?;
            match call.services.link.fire_event(&tag, proto::to_value(&data)).await {
                Ok(()) => Ok(true.into()),
                Err(error) => {
                    tracing::warn!(tag, %error, "an event could not be sent");
                    Ok(false.into())
                }
            }
        })
    }
}

/// An event on the minion's own bus. Nobody listens there but the agent, which understands Salt's two refreshes.
async fn fire(tag: &str, call: &CallContext) -> Result<Value, ModuleError> {
    if tag.starts_with("grains_refresh") {
        call.services.refresh_grains().await;
    }
    if tag.starts_with("grains_refresh") || tag.starts_with("pillar_refresh") {
        let refreshed = crate::pillar::refresh(&call.services).await;
        return Ok(refreshed.is_ok().into());
    }
    Ok(true.into())
}

/// The data of `event.send`: the given map, keyword arguments, and what was asked to be added.
async fn send_data(args: &Arguments, call: &CallContext) -> Value {
    let mut data = Map::new();
    let mut with = |key: &str, value: Value, wanted: bool| {
        if wanted {
            data.insert(key, value);
        }
    };
    let services = &call.services;
    with("__opts", crate::config::shown(&services.config).into(), args.truth("with_env_opts"));
    with("grains", (*services.grains_ready().await).clone(), args.truth("with_grains"));
    with("pillar", (*call.pillar()).clone(), args.truth("with_pillar"));
    if let Value::Map(given) = args.get("data") {
        data.extend(given.clone());
    }
    let own = |key: &Value| !key.as_str().is_some_and(|key| key.starts_with("__"));
    data.extend(
        args.keywords.iter().filter(|(key, _)| own(key)).map(|(key, value)| (key.clone(), value.clone())),
    );
    for (key, value) in &call.publish {
        data.insert(format!("__pub_{key}"), value.clone());
    }
    data.into()
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "fire",
        signature: "data, tag",
        doc: "Fires an event on the minion's own bus: pillar_refresh and grains_refresh are understood.",
    },
    FunctionSpec {
        name: "fire_master",
        signature: "data, tag, preload=None",
        doc: "Fires an event with this data on the master's bus.",
    },
    FunctionSpec {
        name: "send",
        signature: "tag, data=None, preload=None, with_env=False, with_grains=False, with_pillar=False, with_env_opts=False, timeout=60, **kwargs",
        doc: "Fires an event on the master's bus; keyword arguments become its data.",
    },
];
