//! The release repository: signed metadata and targets, read through the master's file server, a web server or a bucket.
//!
//! The metadata is TUF's (the update framework), verified by `tough`: signatures with thresholds, expiry, no version older
//! than one seen before, no mixed sets, sizes bounded. The chain begins at `release-root.json` in the agent's configuration
//! folder, which the practice or the installer puts there; without it nothing is installed. Who carries it (`release/source.rs`)
//! can withhold a release, and cannot make one.

use std::path::Path;

use futures_util::StreamExt as _;
use semver::Version;
use serde::Deserialize;
use thiserror::Error;
use tough::{
    Bytes, ExpirationEnforcement, Limits, RepositoryLoader, Transport, TransportError, TransportErrorKind,
    TransportStream, async_trait,
};
use url::Url;

use super::{choose::Offer, source::Source};

/// A verified release.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What it says of itself.
    pub offer: Offer,
    /// The agent.
    pub agent: Program,
    /// The later supervisor that it carries; most carry none.
    pub supervisor: Option<Program>,
}

/// A verified file: where it is, and what its bytes must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Its path below `targets/` of the repository.
    pub path: String,
    /// Its size in bytes.
    pub length: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Vec<u8>,
}

/// What a supervisor's target says of itself, signed, under `custom: {supervisor: …}`: the release that carries it.
#[derive(Deserialize)]
struct Carried {
    version: Version,
    platform: String,
}

/// Why the repository cannot be used. The running version stays.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// There is no anchor of trust.
    #[error("{path} is missing: copy the repository's root.json there to allow updates of this agent")]
    NoAnchor {
        /// Where it should be.
        path: String,
    },
    /// A file cannot be used.
    #[error("{path} cannot be used")]
    File {
        /// The file or folder.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The metadata did not verify, or was not served.
    #[error("the release metadata of {courier} is refused: {why}")]
    Refused {
        /// Who carried it.
        courier: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads and verifies the metadata; gives the targets that are agents. `seen` keeps what was seen before, against roll-backs.
///
/// # Errors
/// See [`RepositoryError`].
pub async fn targets(source: &Source, anchor: &Path, seen: &Path) -> Result<Vec<Target>, RepositoryError> {
    let shown = |path: &Path| path.display().to_string();
    let root = match std::fs::read(anchor) {
        Ok(root) => root,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(RepositoryError::NoAnchor { path: shown(anchor) });
        }
        Err(source) => return Err(RepositoryError::File { path: shown(anchor), source }),
    };
    std::fs::create_dir_all(seen).map_err(|source| RepositoryError::File { path: shown(seen), source })?;
    let refused = |error: &dyn std::error::Error| RepositoryError::Refused {
        courier: source.to_string(),
        why: words(error),
    };
    let base =
        |folder: &str| Url::parse(&format!("release://source/{folder}/")).map_err(|error| refused(&error));
    let loader = RepositoryLoader::new(&root, base("metadata")?, base("targets")?)
        .transport(Door(source.clone()))
        .limits(LIMITS)
        .datastore(seen)
        .expiration_enforcement(ExpirationEnforcement::Safe);
    let repository = loader.load().await.map_err(|error| refused(&error))?;
    let program = |name: &tough::TargetName, target: &tough::schema::Target| Program {
        path: name.resolved().to_owned(),
        length: target.length,
        sha256: target.hashes.sha256.to_vec(),
    };
    let carried: Vec<(Carried, Program)> = repository
        .all_targets()
        .filter_map(|(name, target)| {
            let carried = serde_json::from_value(target.custom.get("supervisor")?.clone()).ok()?;
            Some((carried, program(name, target)))
        })
        .collect();
    let read = |(name, target): (&tough::TargetName, &tough::schema::Target)| {
        let offer: Offer = serde_json::from_value(target.custom.get("agent")?.clone()).ok()?;
        let of_it =
            |(it, _): &&(Carried, Program)| it.version == offer.version && it.platform == offer.platform;
        let supervisor = carried.iter().find(of_it).map(|(_, program)| program.clone());
        Some(Target { offer, agent: program(name, target), supervisor })
    };
    Ok(repository.all_targets().filter_map(read).collect())
}

/// `tough`'s door to the source.
#[derive(Clone, Debug)]
struct Door(Source);

#[async_trait]
impl Transport for Door {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let path = url.path().trim_start_matches('/').to_owned();
        let failed = |error| TransportError::new_with_cause(TransportErrorKind::Other, &url, error);
        let pieces = self.0.open(&path, 0).await.map_err(failed)?;
        let pieces = pieces.ok_or_else(|| TransportError::new(TransportErrorKind::FileNotFound, &url))?;
        let told = move |piece: Result<Vec<u8>, _>| {
            let failed = |error| TransportError::new_with_cause(TransportErrorKind::Other, &url, error);
            piece.map(Bytes::from).map_err(failed)
        };
        Ok(Box::pin(Synced(std::sync::Mutex::new(pieces.map(told).boxed()))))
    }
}

/// `tough` asks for a stream that is `Sync`. This one is only ever polled through a unique reference, which needs no lock.
struct Synced<S>(std::sync::Mutex<S>);

impl<S: futures_util::Stream + Unpin> futures_util::Stream for Synced<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let stream = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::pin::Pin::new(stream).poll_next(context)
    }
}

/// An error with its causes on one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Against metadata that never ends.
const LIMITS: Limits = Limits {
    max_root_size: 256 << 10,
    max_targets_size: 4 << 20,
    max_timestamp_size: 64 << 10,
    max_snapshot_size: 256 << 10,
    max_root_updates: 128,
};
