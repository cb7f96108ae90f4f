//! From a plan to a state's return: shown with `test=True`, else run.

use states::StateReturn;

use crate::mssql::Session;
use crate::state_modules::RunMode;

use super::plan::Atomicity;
use super::{AccessError, Plan};

/// The words for one object, as Salt's states put them.
#[derive(Debug, Clone)]
pub struct Words {
    /// `Login sync`, `User sync`, …
    pub subject: String,
    /// What was done and is set to be done: `added`, `changed`, `removed`.
    pub verb: &'static str,
    /// The comment when there is nothing to do.
    pub nothing: String,
}

/// Shows or runs the plan.
pub async fn converge(
    session: &mut Session,
    plan: &Plan,
    how: (RunMode, Atomicity),
    words: &Words,
) -> StateReturn {
    let Words { subject, verb, nothing } = words;
    if plan.is_empty() {
        return StateReturn::ok(nothing);
    }
    let changes = plan.changes.clone();
    if how.0 == RunMode::Test {
        let comment = format!("{subject} is set to be {verb}\n{}", plan.script());
        return StateReturn::would_change(comment, changes);
    }
    match plan.apply(session, how.1).await {
        Ok(()) => StateReturn::changed(format!("{subject} has been {verb}"), changes),
        Err(error) => failed(subject, verb, &error),
    }
}

/// A failure in Salt's words; an argument that makes no sense stands alone, as in Salt.
pub fn failed(subject: &str, verb: &str, error: &AccessError) -> StateReturn {
    if let AccessError::Argument(text) = error {
        return StateReturn::failed(text);
    }
    StateReturn::failed(format!("{subject} failed to be {verb}: {error}"))
}
