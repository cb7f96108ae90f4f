//! The release repository: signed metadata and targets below `salt://release`, read through the master's file server.
//!
//! The metadata is TUF's (the update framework), verified by `tough`: signatures with thresholds, expiry, no version older
//! than one seen before, no mixed sets, sizes bounded. The chain begins at `release-root.json` in the agent's configuration
//! folder, which the practice or the installer puts there; without it nothing is installed. The master is a courier: it can
//! withhold a release, and cannot make one.

use std::{fmt, path::Path, sync::Arc};

use futures_util::{StreamExt as _, stream};
use proto::{Map, Value};
use thiserror::Error;
use tough::{
    Bytes, ExpirationEnforcement, Limits, RepositoryLoader, Transport, TransportError, TransportErrorKind,
    TransportStream, async_trait,
};
use url::Url;

use super::choose::Offer;
use crate::channel::{LinkError, MasterLink};

/// A verified target: what it is, and what its bytes must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its path below `salt://release/targets/`.
    pub path: String,
    /// What it says of itself.
    pub offer: Offer,
    /// Its size in bytes.
    pub length: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Vec<u8>,
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
    /// The metadata did not verify, or the master did not serve it.
    #[error("the release metadata of the master is refused: {0}")]
    Refused(String),
}

/// Reads and verifies the metadata; gives the targets that are agents. `seen` keeps what was seen before, against roll-backs.
///
/// # Errors
/// See [`RepositoryError`].
pub async fn targets(
    link: Arc<dyn MasterLink>,
    anchor: &Path,
    seen: &Path,
) -> Result<Vec<Target>, RepositoryError> {
    let shown = |path: &Path| path.display().to_string();
    let root = match std::fs::read(anchor) {
        Ok(root) => root,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(RepositoryError::NoAnchor { path: shown(anchor) });
        }
        Err(source) => return Err(RepositoryError::File { path: shown(anchor), source }),
    };
    std::fs::create_dir_all(seen).map_err(|source| RepositoryError::File { path: shown(seen), source })?;
    let base = |folder: &str| {
        Url::parse(&format!("salt://master/{FOLDER}/{folder}/"))
            .map_err(|error| RepositoryError::Refused(error.to_string()))
    };
    let loader = RepositoryLoader::new(&root, base("metadata")?, base("targets")?)
        .transport(MasterFiles(link))
        .limits(LIMITS)
        .datastore(seen)
        .expiration_enforcement(ExpirationEnforcement::Safe);
    let repository = loader.load().await.map_err(|error| RepositoryError::Refused(words(&error)))?;
    let read = |(name, target): (&tough::TargetName, &tough::schema::Target)| {
        let offer = serde_json::from_value(target.custom.get("agent")?.clone()).ok()?;
        let sha256 = target.hashes.sha256.to_vec();
        Some(Target { path: name.resolved().to_owned(), offer, length: target.length, sha256 })
    };
    Ok(repository.all_targets().filter_map(read).collect())
}

/// One chunk of a file of the file server; `None` when there is no such file.
///
/// # Errors
/// The link's reason.
pub(super) async fn chunk(link: &dyn MasterLink, path: &str, at: u64) -> Result<Option<Vec<u8>>, LinkError> {
    let mut load: Map = [("path", path), ("saltenv", "base")].into_iter().collect();
    load.insert("loc", i64::try_from(at).unwrap_or(i64::MAX));
    let reply = link.request_raw("_serve_file", load).await?;
    let bytes = |key: &str| reply.get(key).and_then(Value::as_bytes).unwrap_or_default().to_vec();
    let data = bytes("data");
    let missing = data.is_empty() && bytes("dest").is_empty();
    Ok((!missing || at > 0).then_some(data))
}

/// `tough`'s door to the master's file server.
#[derive(Clone)]
struct MasterFiles(Arc<dyn MasterLink>);

impl fmt::Debug for MasterFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MasterFiles")
    }
}

#[async_trait]
impl Transport for MasterFiles {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let path = url.path().trim_start_matches('/').to_owned();
        let failed = |url: &Url, kind, error: LinkError| TransportError::new_with_cause(kind, url, error);
        let first = chunk(&*self.0, &path, 0)
            .await
            .map_err(|error| failed(&url, TransportErrorKind::Other, error))?
            .ok_or_else(|| TransportError::new(TransportErrorKind::FileNotFound, &url))?;
        let (link, at) = (Arc::clone(&self.0), first.len() as u64);
        let rest = stream::unfold(Some(at), move |at| {
            let (link, path, url) = (Arc::clone(&link), path.clone(), url.clone());
            async move {
                let at = at?;
                match chunk(&*link, &path, at).await {
                    Ok(Some(data)) if !data.is_empty() => {
                        let next = at + data.len() as u64;
                        Some((Ok(Bytes::from(data)), Some(next)))
                    }
                    Ok(_) => None,
                    Err(error) => Some((Err(failed(&url, TransportErrorKind::Other, error)), None)),
                }
            }
        });
        let whole = stream::once(std::future::ready(Ok(Bytes::from(first))))
            .chain(Synced(std::sync::Mutex::new(rest.boxed())));
        Ok(Box::pin(whole))
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

/// The folder of the repository on the file server.
pub const FOLDER: &str = "release";

/// Against metadata that never ends.
const LIMITS: Limits = Limits {
    max_root_size: 256 << 10,
    max_targets_size: 4 << 20,
    max_timestamp_size: 64 << 10,
    max_snapshot_size: 256 << 10,
    max_root_updates: 128,
};
