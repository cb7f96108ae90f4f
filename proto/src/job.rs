//! What a minion sends on its own: job returns (`_return`) and events (`_minion_event`).
//!
//! A return names its job by jid; [`JobReturn::jid`] `req` asks the master to choose one. Unknown fields of a return
//! survive reading, so that a master stores what a newer minion sends.

use crate::{Map, Value};

/// One minion's return of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReturn {
    /// The job, or `req`.
    pub jid: String,
    /// The function, or a list of them.
    pub fun: Value,
    /// The arguments as published.
    pub fun_args: Value,
    /// What the function returned.
    pub value: Value,
    /// 0 for success. A map keyed by function when there are several.
    pub retcode: Value,
    /// Whether the job succeeded. A map keyed by function when there are several.
    pub success: Value,
    /// The outputter, if it is not the default.
    pub out: Option<String>,
    /// Fields echoed from the publish and whatever else there is.
    pub rest: Map,
}

/// A return that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the return has no valid {field:?}")]
pub struct JobReturnError {
    field: &'static str,
}

impl JobReturn {
    /// The load of the `_return` request.
    pub fn into_load(self) -> Map {
        let mut load = Map::new();
        load.insert("cmd", "_return");
        load.insert("fun", self.fun);
        load.insert("fun_args", self.fun_args);
        load.insert("jid", self.jid);
        load.insert("return", self.value);
        load.insert("retcode", self.retcode);
        load.insert("success", self.success);
        if let Some(out) = self.out {
            load.insert("out", out);
        }
        for (name, value) in self.rest {
            load.insert(name, value);
        }
        load
    }

    /// Reads the load at the master.
    ///
    /// # Errors
    /// When `jid` or `return` is missing.
    pub fn from_load(mut load: Map) -> Result<Self, JobReturnError> {
        let jid = load.remove("jid").as_ref().and_then(Value::as_str).map(str::to_owned);
        let jid = jid.filter(|jid| !jid.is_empty()).ok_or(JobReturnError { field: "jid" })?;
        let value = load.remove("return").ok_or(JobReturnError { field: "return" })?;
        load.remove("cmd");
        Ok(Self {
            jid,
            value,
            fun: load.remove("fun").unwrap_or_default(),
            fun_args: load.remove("fun_args").unwrap_or_default(),
            retcode: load.remove("retcode").unwrap_or(Value::Int(0)),
            success: load.remove("success").unwrap_or(Value::Bool(true)),
            out: load.remove("out").as_ref().and_then(Value::as_str).map(str::to_owned),
            rest: load,
        })
    }
}

/// One event of a minion.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The tag listeners filter by.
    pub tag: String,
    /// What is told.
    pub data: Value,
}

impl Event {
    /// The load of a `_minion_event` request with this one event.
    pub fn into_load(self) -> Map {
        let mut load = Map::new();
        load.insert("cmd", "_minion_event");
        load.insert("tag", self.tag);
        load.insert("data", self.data);
        load.insert("pretag", Value::Nil);
        load
    }

    /// The events of a `_minion_event` load as a master fires them: a single one with the whole load as its data,
    /// those of a list each with its own and, when `pretag` is set, once more under it. Tags that only a master
    /// may fire are left out of lists, as Salt does.
    pub fn from_load(load: &Map) -> Vec<Self> {
        if let Some(tag) = load.get("tag").and_then(Value::as_str)
            && load.contains_key("data")
        {
            return vec![Self { tag: tag.to_owned(), data: load.clone().into() }];
        }
        let pretag = load.get("pretag").and_then(Value::as_str);
        let listed = load.get("events").and_then(Value::as_list).unwrap_or_default();
        let mut events = Vec::new();
        for event in listed {
            let Some(tag) = event.get("tag").and_then(Value::as_str) else { continue };
            if is_masters_own(tag) {
                continue;
            }
            let data = event.get("data").cloned().unwrap_or_default();
            events.push(Self { tag: tag.to_owned(), data: data.clone() });
            if let Some(pretag) = pretag {
                events.push(Self { tag: format!("{pretag}/{tag}"), data });
            }
        }
        events
    }
}

/// Tags by which a minion could pose as the master to whoever listens.
fn is_masters_own(tag: &str) -> bool {
    let parts: Vec<&str> = tag.split('/').collect();
    matches!(
        parts.as_slice(),
        ["salt", "job", _, "publish" | "new" | "return", ..]
            | ["salt", "key" | "cloud" | "run" | "cluster", ..]
            | ["salt", "wheel", _, "new" | "return", ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned() -> JobReturn {
        JobReturn {
            jid: "20240101000000000000".into(),
            fun: "test.ping".into(),
            fun_args: Value::List(vec![]),
            value: true.into(),
            retcode: 0.into(),
            success: true.into(),
            out: Some("nested".into()),
            rest: [("user", "root")].into(),
        }
    }

    #[test]
    fn a_return_reads_back_as_it_was_written() {
        assert_eq!(JobReturn::from_load(returned().into_load()).unwrap(), returned());
    }

    #[test]
    fn a_return_without_job_or_value_is_refused() {
        for field in ["jid", "return"] {
            let mut load = returned().into_load();
            load.remove(field);
            assert_eq!(JobReturn::from_load(load).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_single_event_carries_the_whole_load() {
        let load = Event { tag: "minion_start".into(), data: "up".into() }.into_load();
        let events = Event::from_load(&load);
        assert_eq!(events, [Event { tag: "minion_start".into(), data: load.into() }]);
    }

    #[test]
    fn listed_events_cannot_pose_as_the_masters() {
        let tags = [
            "a/b",
            "salt/job/1/return",
            "salt/key",
            "salt/run/1/new",
            "salt/wheel/1/new",
            "salt/job/1/prog/m/0",
        ];
        let listed = tags.map(|tag| Value::from(Map::from([("tag", tag), ("data", "x")])));
        let load = Map::from([("events", Value::List(listed.into())), ("pretag", "pre".into())]);
        let fired: Vec<String> = Event::from_load(&load).into_iter().map(|event| event.tag).collect();
        assert_eq!(fired, ["a/b", "pre/a/b", "salt/job/1/prog/m/0", "pre/salt/job/1/prog/m/0"]);
    }
}
