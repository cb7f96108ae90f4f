//! Where the release repository is read from: the master's file server, a web server or an object store.
//!
//! None of them is trusted. Each is a courier of signed metadata and of files whose digests are signed: it can withhold a
//! release, and cannot make one. A file is read from any byte on, so a transfer that broke off goes on where it stopped.

use std::{fmt, io::Read as _, sync::Arc};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use object_store::{ObjectStoreExt as _, aws::AmazonS3, path::Path as Key};
use proto::{Map, Value as Answer};
use states::Value;
use thiserror::Error;

use crate::{
    channel::{LinkError, MasterLink},
    http::{self, HttpRequest},
    sync::sink::{BadSink, StoreSettings, open_store, store_reason},
    tasks::Tasks,
};

/// The pieces of a file, in order.
pub type Pieces = BoxStream<'static, Result<Vec<u8>, SourceError>>;

/// A courier.
#[derive(Clone)]
pub enum Source {
    /// The master's file server: `salt://release`.
    Master(Arc<dyn MasterLink>),
    /// A web server: `https://host/path`.
    Web {
        /// The address of the repository's folder.
        base: String,
        /// Where its requests run.
        tasks: Tasks,
    },
    /// A bucket: `s3://bucket/prefix`.
    Bucket {
        /// The way in.
        store: Arc<AmazonS3>,
        /// What every key begins with.
        prefix: String,
        /// Bucket and prefix, as messages name them.
        place: String,
    },
}

/// Why a source cannot be one.
#[derive(Debug, Error)]
pub enum BadSource {
    /// It is no address that is known.
    #[error("source {0:?} must be salt://release, http(s)://host/path or s3://bucket/prefix")]
    Unknown(String),
    /// An option of the bucket is missing or wrong.
    #[error(
        "source {place}: {why} (the options of the bucket are read below `agent:release:object_store` of the pillar)"
    )]
    Bucket {
        /// Bucket and prefix.
        place: String,
        /// What is wrong.
        why: BadSink,
    },
    /// The options make no address.
    #[error("source {place}: {why}")]
    Address {
        /// Bucket and prefix.
        place: String,
        /// What is wrong.
        why: String,
    },
}

/// Why a file could not be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The master could not be asked.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server could not be asked, or refused.
    #[error("{0}")]
    Server(String),
}

impl Source {
    /// The source that a state asks for. `options` is `agent:release:object_store` of the pillar or of the configuration.
    ///
    /// # Errors
    /// See [`BadSource`].
    pub fn of(
        asked: Option<&str>,
        options: &Value,
        link: Arc<dyn MasterLink>,
        tasks: Tasks,
    ) -> Result<Self, BadSource> {
        let asked = asked.unwrap_or(ON_THE_MASTER).trim_end_matches('/');
        if asked == ON_THE_MASTER {
            return Ok(Self::Master(link));
        }
        if asked.starts_with("http://") || asked.starts_with("https://") {
            return Ok(Self::Web { base: asked.to_owned(), tasks });
        }
        if !asked.starts_with("s3://") {
            return Err(BadSource::Unknown(http::redacted(asked)));
        }
        let place = asked.to_owned();
        let mut told = options.as_map().cloned().unwrap_or_default();
        told.insert("url", asked);
        let settings = StoreSettings::read(&Value::Map(told), "")
            .map_err(|why| BadSource::Bucket { place: place.clone(), why })?;
        let store = open_store(&settings, tasks)
            .map_err(|error| BadSource::Address { place: place.clone(), why: store_reason(&error) })?;
        let prefix = settings.prefix.trim_matches('/').to_owned();
        Ok(Self::Bucket { store: Arc::new(store), prefix, place })
    }

    /// The pieces of a file from byte `at` on; `None` when there is no such file.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn open(&self, path: &str, at: u64) -> Result<Option<Pieces>, SourceError> {
        match self {
            Self::Master(link) => of_master(Arc::clone(link), format!("release/{path}"), at).await,
            Self::Web { base, tasks } => of_web(tasks.clone(), format!("{base}/{path}"), at).await,
            Self::Bucket { store, prefix, .. } => {
                let parts = [prefix.as_str(), path].into_iter().filter(|part| !part.is_empty());
                of_bucket(store, &parts.collect::<Vec<_>>().join("/"), at).await
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master(_) => formatter.write_str("the master"),
            Self::Web { base, .. } => formatter.write_str(&http::redacted(base)),
            Self::Bucket { place, .. } => formatter.write_str(place),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Source({self})")
    }
}

async fn of_master(link: Arc<dyn MasterLink>, path: String, at: u64) -> Result<Option<Pieces>, SourceError> {
    let Some(first) = served(&*link, &path, at).await? else { return Ok(None) };
    let next = (!first.is_empty()).then_some(at + first.len() as u64);
    let rest = stream::unfold(next, move |at| {
        let (link, path) = (Arc::clone(&link), path.clone());
        async move {
            let at = at?;
            match served(&*link, &path, at).await {
                Ok(Some(data)) if !data.is_empty() => {
                    let next = at + data.len() as u64;
                    Some((Ok(data), Some(next)))
                }
                Ok(_) => None,
                Err(error) => Some((Err(error.into()), None)),
            }
        }
    });
    Ok(Some(stream::once(std::future::ready(Ok(first))).chain(rest).boxed()))
}

/// One piece of a file of the file server; `None` when there is no such file.
async fn served(link: &dyn MasterLink, path: &str, at: u64) -> Result<Option<Vec<u8>>, LinkError> {
    let mut load: Map = [("path", path), ("saltenv", "base")].into_iter().collect();
    load.insert("loc", i64::try_from(at).unwrap_or(i64::MAX));
    let reply = link.request_raw("_serve_file", load).await?;
    let bytes = |key: &str| reply.get(key).and_then(Answer::as_bytes).unwrap_or_default().to_vec();
    let data = bytes("data");
    let missing = data.is_empty() && bytes("dest").is_empty();
    Ok((!missing || at > 0).then_some(data))
}

async fn of_web(tasks: Tasks, url: String, at: u64) -> Result<Option<Pieces>, SourceError> {
    let shown = http::redacted(&url);
    let gone = |why: String| SourceError::Server(format!("{shown}: {why}"));
    let mut request = HttpRequest { url, ..HttpRequest::default() };
    // Lengths and places are those of the file itself, so it must come as it is.
    request.headers.push(("Accept-Encoding".to_owned(), "identity".to_owned()));
    if at > 0 {
        request.headers.push(("Range".to_owned(), format!("bytes={at}-")));
    }
    let answer =
        tasks.blocking(move || http::send(&request)).await.map_err(|error| gone(error.to_string()))?;
    let answer = answer.map_err(|error| SourceError::Server(error.to_string()))?;
    let to_skip = match answer.status {
        206 if at > 0 => 0,
        // A server that knows no ranges sends all of it.
        200 => at,
        // As stores answer for what is not there when its listing is not allowed.
        403 | 404 | 410 => return Ok(None),
        416 => return Ok(Some(stream::empty().boxed())),
        status => return Err(gone(format!("HTTP {status} {}", answer.reason))),
    };
    let reader: Box<dyn std::io::Read + Send> = Box::new(answer.into_reader());
    let pieces = stream::unfold(Some((reader, to_skip)), move |open| {
        let (tasks, shown) = (tasks.clone(), shown.clone());
        async move {
            let (reader, to_skip) = open?;
            let failed = |why: String| SourceError::Server(format!("{shown} broke off: {why}"));
            match tasks.blocking(move || next_piece(reader, to_skip)).await {
                Ok(Ok((piece, _))) if piece.is_empty() => None,
                Ok(Ok((piece, reader))) => Some((Ok(piece), Some((reader, 0)))),
                Ok(Err(error)) => Some((Err(failed(error.to_string())), None)),
                Err(error) => Some((Err(failed(error.to_string())), None)),
            }
        }
    });
    Ok(Some(pieces.boxed()))
}

type Reader = Box<dyn std::io::Read + Send>;

/// The next piece of a body, after so many bytes that nobody wants; empty at its end.
fn next_piece(mut reader: Reader, to_skip: u64) -> std::io::Result<(Vec<u8>, Reader)> {
    std::io::copy(&mut reader.by_ref().take(to_skip), &mut std::io::sink())?;
    let mut piece = Vec::with_capacity(PIECE);
    reader.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((piece, reader))
}

async fn of_bucket(store: &AmazonS3, path: &str, at: u64) -> Result<Option<Pieces>, SourceError> {
    let failed =
        |error: &object_store::Error| SourceError::Server(format!("{path}: {}", store_reason(error)));
    let key = Key::parse(path).map_err(|error| failed(&error.into()))?;
    let length = match store.head(&key).await {
        Ok(found) => found.size,
        Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(&error)),
    };
    // Whatever the bucket says of its length: the reader stops at the signed one.
    let (store, path) = (store.clone(), path.to_owned());
    let pieces = stream::try_unfold(at, move |at| {
        let (store, key, path) = (store.clone(), key.clone(), path.clone());
        async move {
            if at >= length {
                return Ok(None);
            }
            let end = length.min(at + OF_BUCKET);
            let piece = store.get_range(&key, at..end).await;
            let piece = piece.map_err(|error| {
                SourceError::Server(format!("{path} broke off: {}", store_reason(&error)))
            })?;
            Ok(Some((piece.to_vec(), end)))
        }
    });
    Ok(Some(pieces.boxed()))
}

/// The repository on the master's file server.
const ON_THE_MASTER: &str = "salt://release";
/// What is read of a body at once.
const PIECE: usize = 256 << 10;
/// What is asked of a bucket at once.
const OF_BUCKET: u64 = 2 << 20;

#[cfg(test)]
mod tests;
