//! The mine: results of functions that the master keeps for other minions.
//!
//! `mine_functions` of the configuration and of the pillar name the functions; they run when the minion connects and
//! every `mine_interval` minutes. A function that fails is left out and logged; the others are sent.
//! Shapes: Salt's `salt/modules/mine.py` and `salt/utils/mine.py`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{sync::Arc, time::Duration};

use states::{Map, Value};

use crate::{
    channel::LinkError,
    modules::{CallContext, merge_maps},
    services::Services,
};

/// One entry of `mine_functions`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// The function, when it is not the entry's own name.
    pub fun: Option<String>,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its keyword arguments.
    pub kwargs: Map,
    /// Who may read it (`allow_tgt`, `allow_tgt_type`).
    pub allow: Map,
}

impl Definition {
    /// Reads an entry: a list of arguments and maps of keywords, or one map of keywords.
    #[must_use]
    pub fn read(entry: &Value) -> Self {
        let mut definition = Self::default();
        match entry {
            Value::Map(map) => definition.kwargs.extend(map.clone()),
            Value::List(items) => {
                for item in items {
                    match item {
                        Value::Map(map) => definition.kwargs.extend(map.clone()),
                        other => definition.args.push(other.clone()),
                    }
                }
            }
            Value::Nil
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Bytes(_) => {}
        }
        definition.fun = definition.kwargs.remove("mine_function").map(|fun| fun.to_string());
        for key in ["allow_tgt", "allow_tgt_type"] {
            if let Some(value) = definition.kwargs.remove(key).filter(Value::is_truthy) {
                definition.allow.insert(key, value);
            }
        }
        definition
    }

    /// The result as the master keeps it: bare, or wrapped with who may read it.
    #[must_use]
    pub fn wrap(&self, result: Value) -> Value {
        if !self.allow.contains_key("allow_tgt") {
            return result;
        }
        let mut wrapped: Map =
            [("__data__", result), ("__saltmine_acl__", Value::Int(1))].into_iter().collect();
        wrapped.extend(self.allow.clone());
        wrapped.into()
    }
}

/// The entries of the configuration and the pillar, the pillar winning.
#[must_use]
pub fn functions(services: &Services) -> Map {
    let configured = services.config.opts.get("mine_functions").and_then(Value::as_map).cloned();
    let pillar = services.pillar.current();
    let given = pillar.get("mine_functions").cloned().unwrap_or_default();
    merge_maps(configured.unwrap_or_default(), given).as_map().cloned().unwrap_or_default()
}

/// Runs the functions and sends what they returned. `false` when there are none.
///
/// # Errors
/// The master could not be reached.
pub async fn update(call: &CallContext, functions: Map, clear: bool) -> Result<bool, LinkError> {
    if functions.is_empty() {
        return Ok(false);
    }
    let mut data = Map::new();
    for (name, entry) in &functions {
        let (name, definition) = (name.to_string(), Definition::read(entry));
        let fun = definition.fun.clone().unwrap_or_else(|| name.clone());
        let called =
            call.services.modules.call(&fun, definition.args.clone(), definition.kwargs.clone(), call).await;
        match called {
            Ok(result) => drop(data.insert(name, definition.wrap(result))),
            Err(error) => tracing::error!(fun, %error, "a mine function failed and is left out"),
        }
    }
    send(&call.services, data, clear).await
}

/// Sends results to the mine.
///
/// # Errors
/// The master could not be reached.
pub async fn send(services: &Services, data: Map, clear: bool) -> Result<bool, LinkError> {
    let mut load = proto::Map::new();
    load.insert("data", proto::to_value(&Value::Map(data)));
    load.insert("clear", clear);
    let reply = services.link.request("_mine", load).await?;
    Ok(reply.as_bool().unwrap_or(true))
}

/// Updates the mine every `mine_interval` minutes; the first time comes with the first connection.
pub async fn keep_updated(services: Arc<Services>) {
    let minutes = services.config.int_opt("mine_interval").and_then(|minutes| u64::try_from(minutes).ok());
    let interval = Duration::from_secs(60 * minutes.filter(|minutes| *minutes > 0).unwrap_or(60));
    let token = services.tasks.token();
    loop {
        if services.config.bool_opt("mine_enabled", true) {
            let call = CallContext::new(Arc::clone(&services), token.clone());
            if let Err(error) = update(&call, functions(&services), false).await {
                tracing::warn!(%error, "the mine could not be updated");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = token.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_arguments_keywords_and_readers() {
        let entry =
            states::yaml::load("[{mine_function: grains.get}, os, {default: x, allow_tgt: 'web*'}]").unwrap();
        let definition = Definition::read(&entry);
        assert_eq!(definition.fun.as_deref(), Some("grains.get"));
        assert_eq!(definition.args, [Value::from("os")]);
        assert_eq!(definition.kwargs.get("default"), Some(&"x".into()));
        let wrapped = definition.wrap("Debian".into());
        assert_eq!(wrapped.get("__data__"), Some(&"Debian".into()));
        assert_eq!(wrapped.get("allow_tgt"), Some(&"web*".into()));
        assert_eq!(Definition::read(&Value::List(vec![])).wrap(1.into()), Value::Int(1));
    }
}
