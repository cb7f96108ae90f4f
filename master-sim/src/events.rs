//! The event log: every event's tag and data, one JSON line each, in `cachedir/events.jsonl`.
//!
//! Salt's event bus, made durable and readable by any tool: `master-sim events` follows it. A job appears
//! without arguments and a return without its value, which may hold secrets; both are in the job cache. The log is turned
//! over to `events.jsonl.1` at 16 MiB, so it takes at most twice that.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use proto::{Event, Map, Value};

use crate::config::Config;
use crate::disk;

/// Appends events.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    turn: Mutex<()>,
}

impl EventLog {
    /// The log below `cachedir`.
    pub fn new(config: &Config) -> Self {
        Self { path: path(config), turn: Mutex::new(()) }
    }

    /// Appends one event. A log that cannot be written is reported and loses the event, never a request.
    pub fn fire(&self, event: &Event) {
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = self.append(event) {
            tracing::warn!(tag = event.tag, %error, path = %self.path.display(), "an event could not be logged");
        }
    }

    fn append(&self, event: &Event) -> std::io::Result<()> {
        if std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > LIMIT) {
            std::fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        let mut line = Map::new();
        line.insert("tag", event.tag.as_str());
        line.insert("data", event.data.clone());
        line.insert("_stamp", chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f").to_string());
        let mut line = json(&line.into()).to_string();
        line.push('\n');
        let mut file = disk::private_options().append(true).create(true).open(&self.path)?;
        file.write_all(line.as_bytes())
    }
}

/// Where the log is.
pub fn path(config: &Config) -> PathBuf {
    config.cachedir.join("events.jsonl")
}

/// A value as JSON: keys become text, bytes become text with replacements, as Salt's json outputter has them.
pub fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(map) => map.iter().map(|(name, value)| (key(name), json(value))).collect(),
    }
}

fn key(name: &Value) -> String {
    match json(name) {
        serde_json::Value::String(text) => text,
        other @ (serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_)) => other.to_string(),
    }
}

const LIMIT: u64 = 16 << 20;
