//! An ordered run as a state machine: it says what to call next, and is told what came of it.
//!
//! The caller asks `Run::next` for a step, does it (asynchronously if it likes), and hands the
//! outcome to `record` or `answer`. Requisites, `failhard`, retries and guards are decided here, as
//! Salt's requisite documentation (`doc/ref/states/requisites.rst`) and its minion do.

use std::time::Duration;

use crate::{LowChunk, Map, Series, Value};

/// What the run needs to know about state modules.
pub trait StateFunctions: Send + Sync {
    /// Whether there is a state function of this name, `module.function`. Also asked for
    /// `module.mod_watch`.
    fn exists(&self, full_name: &str) -> bool;
}

/// How a run behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// Predict only.
    pub test: bool,
    /// Stop at the first failure, as the minion's `failhard` option.
    pub failhard: bool,
    /// Which series to follow.
    pub series: Series,
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Call a state function, then `record` its return.
    Call(Box<Call>),
    /// Find something out for a guard (`onlyif`, `unless`, `creates`, `check_cmd`), then `answer`.
    Ask(Question),
    /// Wait before a retry, then ask for the next step.
    Pause(Duration),
    /// The run is over: the returns by tag, in the order they ran.
    Done(Map),
}

/// One call of a state function.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The chunk; `args` are what the function gets beside `name`.
    pub chunk: LowChunk,
    /// The function to call: the chunk's own, or `mod_watch`.
    pub fun: String,
    /// Whether to predict only: the run's mode, or the dry run of a `prereq`.
    pub test: bool,
}

/// What a guard needs to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// The exit code of a shell command.
    Command {
        /// The command line.
        command: String,
        /// The chunk's keywords that shape the call: `runas`, `cwd`, `env`, `umask`, `timeout` …
        options: Map,
    },
    /// The result of an execution module function.
    Function {
        /// `module.function`.
        fun: String,
        /// Positional arguments.
        args: Vec<Value>,
        /// Keyword arguments.
        kwargs: Map,
    },
    /// Whether a path exists.
    Path(String),
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The exit code of the command.
    Exit(i64),
    /// What the function returned.
    Value(Value),
    /// Whether the path exists.
    Exists(bool),
    /// It could not be found out, or policy forbids; the state fails with this comment.
    Refused(String),
}
