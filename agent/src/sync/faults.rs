//! A hook between every two durable steps, for tests that kill the agent there.
//!
//! A hook that answers true makes the step fail as if the process had died: nothing after it runs. In the agent the
//! hook is empty.

use std::fmt;
use std::sync::Arc;

use super::SyncError;

/// A point between two durable steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The bound of a snapshot is stored, nothing is read.
    Begun,
    /// Rows are read, the batch file is written under its temporary name.
    Written,
    /// The batch file has its name and is synced; the store does not know it.
    Renamed,
    /// The store knows the batch and the new watermark.
    Recorded,
    /// The first chunk of a file reached the sink.
    ChunkSent,
    /// The whole file reached the sink.
    FileSent,
    /// The batch event reached the master.
    EventSent,
    /// The store knows that the batch is delivered; its file is still in the spool.
    Freed,
}

impl Step {
    /// Every point, in the order of a batch's life.
    pub const ALL: [Self; 8] = [
        Self::Begun,
        Self::Written,
        Self::Renamed,
        Self::Recorded,
        Self::ChunkSent,
        Self::FileSent,
        Self::EventSent,
        Self::Freed,
    ];
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
    /// [`SyncError::Fault`].
    pub fn pass(&self, step: Step) -> Result<(), SyncError> {
        match &self.0 {
            Some(hook) if hook(step) => Err(SyncError::Fault { step }),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.0.is_some())
    }
}
