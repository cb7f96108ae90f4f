//! A hook between every two steps of a write, for tests that kill the agent or cut its connection there.
//!
//! A hook that answers true makes the step fail as if the process had died: nothing after it runs, and the connection
//! is dropped as it is. In the agent the hook is empty.

use std::fmt;
use std::sync::Arc;

use super::error::WriteError;

/// A point between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The request is accepted, nothing was sent to SQL Server.
    Accepted,
    /// The transaction is open.
    Begun,
    /// The ledger row is inserted, or the external id is seen to be free.
    Reserved,
    /// The preconditions hold.
    Checked,
    /// The first statement ran.
    FirstStatement,
    /// Every statement ran.
    Written,
    /// The rows are read back, the ledger row holds the outcome; COMMIT is not sent.
    Completed,
    /// COMMIT was acknowledged; the agent's store does not know.
    Committed,
    /// The agent's store knows the outcome; nobody was told.
    Recorded,
}

impl Step {
    /// Every point, in the order of a write's life.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Begun,
        Self::Reserved,
        Self::Checked,
        Self::FirstStatement,
        Self::Written,
        Self::Completed,
        Self::Committed,
        Self::Recorded,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Begun => "begun",
            Self::Reserved => "reserved",
            Self::Checked => "checked",
            Self::FirstStatement => "first statement",
            Self::Written => "written",
            Self::Completed => "completed",
            Self::Committed => "committed",
            Self::Recorded => "recorded",
        }
    }
}

type Hook = dyn Fn(Step) -> bool + Send + Sync;

/// The hook; empty by default.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Hook>>);

impl Faults {
    /// Asks `hook` at every step; true kills.
    pub fn new(hook: impl Fn(Step) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Goes on, or fails when the hook says so.
    ///
    /// # Errors
    /// [`WriteError::Fault`].
    pub fn pass(&self, step: Step) -> Result<(), WriteError> {
        match &self.0 {
            Some(hook) if hook(step) => Err(WriteError::Fault { step: step.name() }),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(hooked)" } else { "Faults" })
    }
}
