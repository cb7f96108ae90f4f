//! Where batches go. A sink takes a batch wholly or not at all, and taking the same batch again changes nothing.
//!
//! Built: `master`, Salt's own file receive, so that an unmodified master stores the files.

mod master;

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use crate::channel::LinkError;
use crate::store::sync::BatchRow;

use super::SyncError;
use super::faults::Faults;

pub use master::MasterSink;

/// A place for batches.
pub trait Sink: Send + Sync {
    /// Hands one batch over; `Ok` means that it lies there whole and synced as far as the sink promises, and that its
    /// event was sent.
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        faults: &'a Faults,
    ) -> BoxFuture<'a, Result<(), SinkError>>;
}

/// Why a batch was not taken. Every kind is tried again; the batch stays in the spool.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The master could not be asked.
    #[error("the batch does not reach the master")]
    Link(#[from] LinkError),
    /// The master said no.
    #[error(
        "the master does not take files: set file_recv: True in its configuration, and file_recv_max_size to at least \
         {megabytes} (MB)"
    )]
    Refused {
        /// What the file needs.
        megabytes: u64,
    },
    /// The spool file cannot be read.
    #[error("the spool file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The spool file is not what was recorded.
    #[error("the spool file {} was changed since it was written: it is not delivered", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The recorded event cannot be read.
    #[error("the recorded event of the batch cannot be read")]
    Event(#[from] serde_json::Error),
    /// A test's fault hook fired.
    #[error(transparent)]
    Fault(Box<SyncError>),
}

impl From<SyncError> for SinkError {
    fn from(error: SyncError) -> Self {
        Self::Fault(Box::new(error))
    }
}
