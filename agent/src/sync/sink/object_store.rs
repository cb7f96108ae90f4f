//! An object store as a sink: Amazon S3 and what speaks its protocol; `file:///…` is the `folder` sink.
//!
//! A batch is the object `<prefix>/<minion>/<job>/<file>`, its event the object `<file>.json` beside it, written first: a
//! batch that is there has its facts. The batch is put under the condition that nothing is there (`If-None-Match: *`);
//! what is there already counts as delivered when its content has the recorded digest and is never overwritten
//! otherwise. A batch above [`PART_ABOVE`] goes up in parts, after a look that nothing is there, and is completed under the same
//! condition (`http`). A sequence whose
//! predecessor is not there is refused, unless a consumer took it away and says so in `<epoch>.taken`, as with `folder`.
//!
//! Options, below pillar or option `agent:sync:object_store`: `url` (`s3://bucket/prefix` or `file:///folder`), `endpoint`
//! (of stores that are not Amazon's), `region`, `access_key_id`, `secret_access_key`, `session_token`,
//! `virtual_hosted` (default: without an endpoint), `allow_http`. Keys belong in the pillar.

mod http;
mod settings;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use ring::digest::{Context, SHA256};

use crate::store::sync::BatchRow;
use crate::sync::batch::hex;
use crate::sync::faults::{Faults, Step};
use crate::sync::pass::unix_now;
use crate::tasks::Tasks;

use super::folder::predecessor;
use super::{Replaced, Sink, SinkError, Told};
use http::{UreqConnector, retries};

pub use http::reason as store_reason;
pub use settings::StoreSettings;

/// Delivers into a bucket.
pub struct ObjectStoreSink {
    store: AmazonS3,
    /// Bucket, prefix and minion, as messages name them.
    place: String,
    prefix: String,
    part_above: usize,
    /// The last sequence known to be there, by job and epoch.
    last: Mutex<HashMap<(String, u64), u64>>,
}

impl ObjectStoreSink {
    /// A sink over a bucket that is there.
    ///
    /// # Errors
    /// The settings do not make an address.
    pub fn open(settings: &StoreSettings, tasks: Tasks) -> Result<Self, SinkError> {
        let place = format!("s3://{}/{}", settings.bucket, settings.prefix);
        let store = open_store(settings, tasks).map_err(|error| failed(&place, &error))?;
        let prefix = settings.prefix.clone();
        Ok(Self { store, place, prefix, part_above: PART_ABOVE, last: Mutex::default() })
    }

    /// The same, with parts from this size on.
    #[must_use]
    pub fn with_parts_above(self, bytes: usize) -> Self {
        Self { part_above: bytes, ..self }
    }

    async fn put(&self, batch: &BatchRow, file: &Path, faults: &Faults) -> Result<(), SinkError> {
        let content = read(batch, file).await?;
        let (wanted, sha256) = (self.key(batch, &batch.file)?, digest(&content));
        self.check_order(batch).await?;
        let facts = self.key(batch, &format!("{}.json", batch.file))?;
        self.store
            .put(&facts, PutPayload::from(batch.event.clone().into_bytes()))
            .await
            .map_err(|error| self.failed(&facts, &error))?;
        faults.pass(Step::ChunkSent)?;
        let put = if content.len() > self.part_above {
            self.put_parts(&wanted, content).await
        } else {
            let new = self.store.put_opts(&wanted, content.into(), PutMode::Create.into()).await;
            new.map(drop)
        };
        match put {
            Ok(()) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                self.compare(&wanted, &sha256).await
            }
            Err(error) => Err(self.failed(&wanted, &error)),
        }
    }

    async fn put_parts(&self, wanted: &Key, content: Bytes) -> Result<(), object_store::Error> {
        match self.store.head(wanted).await {
            Ok(_) => {
                let path = wanted.to_string();
                return Err(object_store::Error::AlreadyExists { path, source: "it is there".into() });
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut upload = self.store.put_multipart(wanted).await?;
        let sent = send_parts(upload.as_mut(), content).await;
        if sent.is_err() {
            // Best effort: parts that stay cost storage until the bucket's own rule removes them.
            drop(upload.abort().await);
        }
        sent
    }

    /// Whether what is there is this batch.
    async fn compare(&self, wanted: &Key, sha256: &str) -> Result<(), SinkError> {
        let there = self.store.get(wanted).await.map_err(|error| self.failed(wanted, &error))?;
        let there = there.bytes().await.map_err(|error| self.failed(wanted, &error))?;
        if digest(&there) == sha256 { Ok(()) } else { Err(SinkError::Differs { path: self.shown(wanted) }) }
    }

    /// The batch before this one is there, or was taken away.
    async fn check_order(&self, batch: &BatchRow) -> Result<(), SinkError> {
        let Some(before) = predecessor(batch) else { return Ok(()) };
        let epoch = (batch.job.clone(), batch.epoch);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).get(&epoch).copied();
        if last.is_some_and(|last| last + 1 >= batch.sequence) {
            return Ok(());
        }
        let before = self.key(batch, &before)?;
        match self.store.head(&before).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(self.failed(&before, &error)),
        }
        let taken = self.key(batch, &format!("{}.taken", batch.epoch))?;
        let taken = match self.store.get(&taken).await {
            Ok(found) => found.bytes().await.map_err(|error| self.failed(&taken, &error))?,
            Err(object_store::Error::NotFound { .. }) => Bytes::new(),
            Err(error) => return Err(self.failed(&taken, &error)),
        };
        let taken: u64 = String::from_utf8_lossy(&taken).trim().parse().unwrap_or(0);
        if taken + 1 < batch.sequence { Err(SinkError::Gap { path: self.shown(&before) }) } else { Ok(()) }
    }

    fn note(&self, batch: &BatchRow) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert((batch.job.clone(), batch.epoch), batch.sequence);
    }

    fn key(&self, batch: &BatchRow, name: &str) -> Result<Key, SinkError> {
        self.below(&batch.folder, Some(name))
    }

    fn below(&self, folder: &str, name: Option<&str>) -> Result<Key, SinkError> {
        let path = [self.prefix.as_str(), folder].into_iter().chain(name);
        let path: Vec<&str> = path.filter(|part| !part.is_empty()).collect();
        Key::parse(path.join("/")).map_err(|error| failed(&self.place, &error.into()))
    }

    fn shown(&self, key: &Key) -> std::path::PathBuf {
        let bucket = self.place.split('/').take(3).collect::<Vec<_>>().join("/");
        format!("{bucket}/{key}").into()
    }

    fn failed(&self, key: &Key, error: &object_store::Error) -> SinkError {
        failed(&self.shown(key).to_string_lossy(), error)
    }
}

impl Sink for ObjectStoreSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        faults: &'a Faults,
    ) -> BoxFuture<'a, Result<Told, SinkError>> {
        Box::pin(async move {
            self.put(batch, file, faults).await?;
            self.note(batch);
            faults.pass(Step::FileSent)?;
            faults.pass(Step::EventSent)?;
            let place = self.shown(&self.key(batch, &batch.file)?);
            Ok(Told::Nobody(place.to_string_lossy().into_owned()))
        })
    }

    fn prune<'a>(&'a self, replaced: &'a Replaced) -> BoxFuture<'a, Result<usize, SinkError>> {
        Box::pin(async move {
            let folder = self.below(&replaced.folder, None)?;
            let listed: Result<Vec<_>, _> = self.store.list(Some(&folder)).try_collect().await;
            let listed = listed.map_err(|error| self.failed(&folder, &error))?;
            let names: Vec<&str> = listed.iter().filter_map(|object| object.location.filename()).collect();
            let gone = replaced.outlived(&names, unix_now());
            for name in &gone {
                let key = self.below(&replaced.folder, Some(name))?;
                self.store.delete(&key).await.map_err(|error| self.failed(&key, &error))?;
            }
            Ok(gone.len())
        })
    }
}

async fn send_parts(upload: &mut dyn MultipartUpload, content: Bytes) -> Result<(), object_store::Error> {
    let mut rest = content;
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(PART_BYTES));
        upload.put_part(part.into()).await?;
    }
    upload.complete().await.map(drop)
}

/// The way into a bucket.
///
/// # Errors
/// The settings do not make an address.
pub fn open_store(settings: &StoreSettings, tasks: Tasks) -> Result<AmazonS3, object_store::Error> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(&settings.access_key_id)
        .with_secret_access_key(settings.secret_access_key.reveal())
        .with_virtual_hosted_style_request(settings.virtual_hosted)
        .with_allow_http(settings.allow_http)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retries())
        .with_http_connector(UreqConnector::new(tasks));
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(token) = &settings.session_token {
        builder = builder.with_token(token.reveal());
    }
    builder.build()
}

/// The file, when it is what was recorded.
async fn read(batch: &BatchRow, file: &Path) -> Result<Bytes, SinkError> {
    let content = tokio::fs::read(file).await;
    let content = content.map_err(|source| SinkError::Read { path: file.to_owned(), source })?;
    let event: serde_json::Value = serde_json::from_str(&batch.event)?;
    if event["sha256"].as_str() != Some(digest(&content).as_str()) {
        return Err(SinkError::Changed { path: file.to_owned() });
    }
    Ok(content.into())
}

fn digest(content: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(content);
    hex(context.finish().as_ref())
}

fn failed(place: &str, error: &object_store::Error) -> SinkError {
    SinkError::Store { place: place.to_owned(), why: http::reason(error) }
}

/// A single request takes what a batch usually is; above it a broken line would cost too much.
const PART_ABOVE: usize = 24 << 20;
/// Stores take parts of at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
