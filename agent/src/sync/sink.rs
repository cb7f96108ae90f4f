//! Where batches go. A sink takes a batch wholly or not at all, and taking the same batch again changes nothing.
//!
//! `master` is Salt's own file receive, so that an unmodified master stores the files; `folder` is a disk or a mounted share;
//! `object_store` is S3 and what speaks its protocol. Pillar or option `agent:sync:sink` (`master`, `folder` with
//! `agent:sync:folder`, `object_store` with `agent:sync:object_store`) takes what names no other; a job may name one of the
//! three, or an entry of `agent:sync:sinks`, which has the same keys.
//!
//! A master hears of every batch: of one that lies elsewhere by an event that is kept until it was sent, because such a sink
//! works without a master. Replaced epochs are removed where the job's `retention` says so and the sink can.

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
use super::spec::Retention;

pub use chosen::{ChosenSink, CurrentPillar, SinkOptions};
pub use folder::FolderSink;
pub use master::MasterSink;
pub use object_store::{ObjectStoreSink, StoreSettings, open_store, store_reason};

/// A sink that the configuration asks for and that is none.
#[derive(Debug, thiserror::Error)]
pub enum BadSink {
    /// No such sink.
    #[error(
        "the sink is '{given}'; it must be master, folder, object_store, or for a job a name of agent:sync:sinks"
    )]
    Unknown {
        /// What was asked for.
        given: String,
    },
    /// The folder is not named.
    #[error("the sink is folder, and `folder` beside it, as agent:sync:folder, does not say which")]
    NoFolder,
    /// The master removes nothing.
    #[error(
        "the argument retention is for folder and object_store sinks: a Salt master has no request that removes a file; \
         remove old epochs below minions/<id>/files/agent/sync in its cache there"
    )]
    KeepsAll,
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
    /// event was sent or stands beside it.
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        faults: &'a Faults,
    ) -> BoxFuture<'a, Result<Told, SinkError>>;

    /// Removes the batches of epochs that are kept no longer; gives how many.
    fn prune<'a>(&'a self, replaced: &'a Replaced) -> BoxFuture<'a, Result<usize, SinkError>>;
}

/// Who knows that a batch was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The master: the event was sent.
    Master,
    /// Nobody yet; it lies at this address.
    Nobody(String),
}

/// What a job's sink need not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The sink that the job names.
    pub sink: Option<String>,
    /// The job's folder there.
    pub folder: String,
    /// The newest epoch that arrived wholly.
    pub whole: u64,
    /// What is kept.
    pub retention: Retention,
}

impl Replaced {
    /// The names, of those that are there, that are kept no longer; what tells of a batch goes after it.
    fn outlived<'n>(&self, there: &[&'n str], now: u64) -> Vec<&'n str> {
        let epochs: Vec<u64> = there.iter().filter_map(|name| epoch_of(name)).collect();
        let gone = self.retention.outlived(&epochs, self.whole, now);
        let is_gone = |name: &&&str| epoch_of(name).is_some_and(|epoch| gone.contains(&epoch));
        let mut names: Vec<&str> = there.iter().filter(is_gone).copied().collect();
        names.sort_by_key(|name| !name.contains(".parquet") || name.ends_with(".json"));
        names
    }
}

/// The epoch of a batch, of what tells of it, or of a consumer's note.
fn epoch_of(name: &str) -> Option<u64> {
    let (epoch, rest) = name.split_once(['-', '.'])?;
    let ours = rest == "taken" || rest.contains(".parquet");
    if ours { epoch.parse().ok() } else { None }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_whole_epoch_replaced_goes_and_facts_go_last() {
        let there = [
            "100-0000000001.parquet.age.json",
            "100-0000000001.parquet.age",
            "100.taken",
            "200-0000000001.parquet",
            "300-0000000001.parquet",
            "notes.txt",
            "100.txt",
        ];
        let replaced = |whole, epochs| Replaced {
            sink: None,
            folder: "j".into(),
            whole,
            retention: Retention { epochs: Some(epochs), days: None },
        };
        let gone = replaced(200, 0).outlived(&there, 1000);
        assert_eq!(gone, ["100-0000000001.parquet.age", "100-0000000001.parquet.age.json", "100.taken"]);
        assert!(replaced(200, 1).outlived(&there, 1000).is_empty());
        assert!(replaced(100, 0).outlived(&there, 1000).is_empty(), "200 and 300 are still on their way");
    }
}
