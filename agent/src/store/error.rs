//! What can go wrong with the local store, and whose fault it is.

use std::path::{Path, PathBuf};

/// A failure of the local store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder that should hold the store cannot be made.
    #[error("the folder {} for the agent's store cannot be made", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// SQLite cannot open or prepare the file.
    #[error("the agent's store {} cannot be opened", path.display())]
    Open {
        /// The store file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// SQLite's own check found damage.
    #[error("the agent's store {} is damaged ({verdict}): move it away, the agent rebuilds it", path.display())]
    Damaged {
        /// The store file.
        path: PathBuf,
        /// The first finding of `PRAGMA quick_check`.
        verdict: String,
    },
    /// A newer agent brought it into a form that this one cannot read.
    #[error(
        "the agent's store {} was rewritten by a newer agent: its area {area} needs an agent that reads version {needs}, this one reads {reads}",
        path.display()
    )]
    Newer {
        /// The store file.
        path: PathBuf,
        /// The group of tables.
        area: String,
        /// The reader it needs.
        needs: u32,
        /// The newest version this agent reads.
        reads: u32,
    },
    /// It has the form of an older agent, and who opens it may not rewrite it.
    #[error(
        "the agent's store {} has the form of an older agent (area {area}); `agent run`, which the service starts, rewrites it",
        path.display()
    )]
    Older {
        /// The store file.
        path: PathBuf,
        /// The group of tables.
        area: String,
    },
    /// The key file beside the store cannot be used.
    #[error("the store's key file {} cannot be used", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A sealed value does not open.
    #[error(
        "a sealed value of the store ({purpose}) does not open: it was changed, or the key file was replaced"
    )]
    Sealed {
        /// What the value is for.
        purpose: String,
    },
    /// A stored value has a form this agent does not know.
    #[error("the stored {what} is of a form this agent does not know")]
    Form {
        /// The kind of value.
        what: &'static str,
    },
    /// A statement failed.
    #[error("the agent's store refused a statement")]
    Statement(#[from] rusqlite::Error),
    /// The agent is shutting down.
    #[error("the agent is stopping; the store takes no more work")]
    Stopped,
}

impl StoreError {
    pub(super) fn open(path: &Path, source: rusqlite::Error) -> Self {
        Self::Open { path: path.into(), source }
    }
}
