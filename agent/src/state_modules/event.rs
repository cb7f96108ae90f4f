//! Salt's `event` state module: an event on the master's bus.

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::state_modules::{RunMode, StateArgs, StateContext, StateModule};

/// The module.
pub struct Event;

impl StateModule for Event {
    fn name(&self) -> &'static str {
        "event"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["fire_master", "mod_watch", "send", "wait"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            match fun {
                // Only a watch that fires sends it.
                "wait" => StateReturn::ok(""),
                _ => send(args, run).await,
            }
        })
    }
}

async fn send(args: &StateArgs, run: &StateContext) -> StateReturn {
    let data = args.args.get("data").cloned().unwrap_or_default();
    let changes: Map = match args.flag("show_changed", true) {
        true => [("tag", Value::from(args.name.as_str())), ("data", data)].into_iter().collect(),
        false => Map::new(),
    };
    if run.mode == RunMode::Test {
        return StateReturn::would_change("Event would have been fired", changes);
    }
    let own = |key: &Value| !matches!(key.as_str(), Some("show_changed" | "sfun" | "__reqs__"));
    let mut kwargs: Map = args
        .args
        .iter()
        .filter(|(key, _)| own(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    kwargs.insert("tag", args.name.as_str());
    match run.execute("event.send", Vec::new(), kwargs).await {
        Ok(sent) => {
            StateReturn { result: Some(sent.is_truthy()), ..StateReturn::changed("Event fired", changes) }
        }
        Err(error) => StateReturn::failed(error.to_string()),
    }
}
