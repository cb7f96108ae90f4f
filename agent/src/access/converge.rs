//! From a plan to a state's return: shown with `test=True`, run, or written down for whoever may run it.

use states::{Map, StateReturn};

use crate::mssql::Session;
use crate::state_modules::RunMode;

use super::plan::Atomicity;
use super::{AccessError, Plan, admin};

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
        Err(error) if admin::lacks_rights(session, &error).await => {
            for_the_dba(words, plan, how.1, &error.to_string())
        }
        Err(error) => failed(subject, verb, &error),
    }
}

/// The return of a state that only someone with more rights can make so: neither success nor failure.
pub fn for_the_dba(words: &Words, plan: &Plan, atomicity: Atomicity, why: &str) -> StateReturn {
    let Words { subject, verb, .. } = words;
    let script = plan.script_for_others(atomicity);
    let secret = if script.contains("***") { " (put the secret in place of ***)" } else { "" };
    let comment = format!(
        "{subject} is not {verb}: the rights of this login do not suffice. {why}\nNothing was changed. Whoever \
         administers this SQL Server can run the following{secret}; then this state has nothing to do:\n{script}"
    );
    StateReturn::would_change(comment, Map::new())
}

/// A failure in Salt's words; an argument that makes no sense stands alone, as in Salt.
pub fn failed(subject: &str, verb: &str, error: &AccessError) -> StateReturn {
    if let AccessError::Argument(text) = error {
        return StateReturn::failed(text);
    }
    StateReturn::failed(format!("{subject} failed to be {verb}: {error}"))
}
