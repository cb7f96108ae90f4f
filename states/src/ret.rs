//! What a state function returns, and when it ran.

use std::time::Duration;

use chrono::NaiveTime;

use crate::{Map, Value};

/// The return of a state function.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateReturn {
    /// True: as declared. False: failed. `None`: would change (test mode only).
    pub result: Option<bool>,
    /// What happened, for the operator.
    pub comment: String,
    /// What changed, or would; an empty mapping when nothing.
    pub changes: Value,
    /// Remarks that do not make the state fail.
    pub warnings: Vec<String>,
    /// Further keys of the return as they are: `pchanges`, `skip_watch`, `data`, `sub_state_run` …
    /// A `name` here replaces the chunk's own in the return.
    pub extra: Map,
}

impl StateReturn {
    /// A success without changes.
    pub fn ok(comment: impl Into<String>) -> StateReturn {
        StateReturn::new(Some(true), comment, Map::new())
    }

    /// A success with these changes.
    pub fn changed(comment: impl Into<String>, changes: Map) -> StateReturn {
        StateReturn::new(Some(true), comment, changes)
    }

    /// In test mode: these changes would be made.
    pub fn would_change(comment: impl Into<String>, changes: Map) -> StateReturn {
        StateReturn::new(None, comment, changes)
    }

    /// A failure.
    pub fn failed(comment: impl Into<String>) -> StateReturn {
        StateReturn::new(Some(false), comment, Map::new())
    }

    fn new(result: Option<bool>, comment: impl Into<String>, changes: Map) -> StateReturn {
        StateReturn {
            result,
            comment: comment.into(),
            changes: Value::Map(changes),
            warnings: Vec::new(),
            extra: Map::new(),
        }
    }
}

/// When a state function started, in local time, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Local time of day at the start.
    pub start: NaiveTime,
    /// Wall time it took.
    pub duration: Duration,
}
