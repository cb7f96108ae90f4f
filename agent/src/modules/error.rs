//! What a function's failure looks like in a job's return.
//!
//! The texts are Salt's, word for word (`salt/minion.py`, `_thread_return`), because operators and their
//! scripts match on them.

use thiserror::Error;

/// Why a function gave no result.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ModuleError {
    /// No such function.
    #[error("'{fun}' is not available.")]
    NotAvailable {
        /// The name asked for.
        fun: String,
    },
    /// The function ran and could not do its work (Salt's CommandExecutionError).
    #[error("{0}")]
    Execution(String),
    /// The caller asked for something that makes no sense (Salt's SaltInvocationError).
    #[error("{0}")]
    Invocation(String),
    /// The arguments do not fit the signature (Python's TypeError).
    #[error("{0}")]
    Arguments(String),
    /// Any other exception, with the class name that Salt would show.
    #[error("{class}: {message}")]
    Exception {
        /// The Python class: `ValueError`.
        class: &'static str,
        /// Its message.
        message: String,
    },
    /// The job was killed or the process is ending.
    #[error("the job was terminated")]
    Cancelled,
}

impl ModuleError {
    /// The text that a job returns for this error of function `fun`, whose doc is `doc`.
    #[must_use]
    pub fn return_text(&self, fun: &str, doc: &str) -> String {
        match self {
            Self::NotAvailable { fun } => format!("'{fun}' is not available."),
            Self::Execution(message) => format!("ERROR: {message}"),
            Self::Invocation(message) => format!("ERROR executing '{fun}': {message}"),
            Self::Arguments(message) => format!("Passed invalid arguments to {fun}: {message}\n{doc}"),
            Self::Exception { class, message } => {
                format!("The minion function caused an exception: {class}: {message}\n")
            }
            Self::Cancelled => format!("ERROR: '{fun}' was terminated before it finished"),
        }
    }
}
