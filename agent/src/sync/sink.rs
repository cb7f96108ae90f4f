//! Where batches go. A sink takes a batch wholly or not at all, and taking the same batch again changes nothing.
//!
//! `master` is Salt's own file receive, so that an unmodified master stores the files; `folder` is a disk or a mounted share;
//! `object_store` is S3 and what speaks its protocol. One sink takes everything of an agent: pillar or option
//! `agent:sync:sink` (`master`, `folder` with `agent:sync:folder`, `object_store` with `agent:sync:object_store`).

mod chosen;
mod folder;
mod master;
mod object_store;

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use crate::channel::LinkError;
use crate::store::sync::BatchRow;

use super::SyncError;
use super::faults::Faults;

pub use chosen::{ChosenSink, CurrentPillar};
pub use folder::FolderSink;
pub use master::MasterSink;
pub use object_store::{ObjectStoreSink, StoreSettings, open_store, store_reason};

/// A sink that the configuration asks for and that is none.
#[derive(Debug, thiserror::Error)]
pub enum BadSink {
    /// No such sink.
    #[error("agent:sync:sink is '{given}'; it must be master, folder or object_store")]
    Unknown {
        /// What was asked for.
        given: String,
    },
    /// The folder is not named.
    #[error("agent:sync:sink is folder, and agent:sync:folder does not say which")]
    NoFolder,
    /// An option of the object store is missing or wrong.
    #[error("agent:sync:object_store:{name} must be {expected}")]
    Option {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

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
    /// The sink's folder cannot be written.
    #[error("{} cannot be written", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another content lies under the batch's name.
    #[error("{} holds something else than the batch of that name: it is not overwritten", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
    },
    /// The batch before this one is not there.
    #[error("{} is not there: batches are taken in their order", path.display())]
    Gap {
        /// The missing file.
        path: PathBuf,
    },
    /// The object store did not take it.
    #[error("{place}: {why}")]
    Store {
        /// Which object.
        place: String,
        /// Why, without anything that the store quotes.
        why: String,
    },
    /// What is asked for as a sink is none.
    #[error(transparent)]
    Choice(#[from] BadSink),
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopped,
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
