//! The master as a sink: Salt's `_file_recv`, then the event `agent/sync/<job>/batch`.
//!
//! Salt truncates the file at `loc` 0 and *appends* at any other (`salt/master.py`, `_file_recv`), so a later chunk that is
//! executed twice, or late, spoils the file. A batch is therefore sent as one chunk: executed twice, late or in any order
//! it gives the same file. Only a batch that a single huge row made larger than [`CHUNK_BYTES`] goes in several, and after any
//! doubt from 0 again. The file is checked against its recorded digest while it is read; the event is sent only when that
//! held.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ring::digest::{Context, SHA256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::channel::MasterLink;
use crate::store::sync::BatchRow;
use crate::sync::batch::hex;
use crate::sync::faults::{Faults, Step};

use super::{BadSink, Replaced, Sink, SinkError, Told};

/// Delivers to the connected master.
pub struct MasterSink {
    link: Arc<dyn MasterLink>,
}

impl MasterSink {
    /// A sink behind `link`.
    pub fn new(link: Arc<dyn MasterLink>) -> Self {
        Self { link }
    }

    async fn send_file(&self, batch: &BatchRow, file: &Path, faults: &Faults) -> Result<(), SinkError> {
        let read = |source| SinkError::Read { path: file.into(), source };
        let mut source = File::open(file).await.map_err(read)?;
        let mut digest = Context::new(&SHA256);
        let mut loc = 0u64;
        loop {
            let mut chunk = Vec::new();
            let mut part = (&mut source).take(CHUNK_BYTES as u64);
            let length = part.read_to_end(&mut chunk).await.map_err(read)?;
            if length == 0 && loc > 0 {
                break;
            }
            digest.update(&chunk);
            self.send_chunk(batch, loc, chunk).await?;
            if loc == 0 {
                faults.pass(Step::ChunkSent)?;
            }
            loc += length as u64;
            if length < CHUNK_BYTES {
                break;
            }
        }
        let event: serde_json::Value = serde_json::from_str(&batch.event)?;
        if event["sha256"].as_str() != Some(hex(digest.finish().as_ref()).as_str()) {
            return Err(SinkError::Changed { path: file.into() });
        }
        Ok(())
    }

    async fn send_chunk(&self, batch: &BatchRow, loc: u64, data: Vec<u8>) -> Result<(), SinkError> {
        let path = ["agent", "sync", batch.folder.as_str(), batch.file.as_str()];
        let mut load = proto::Map::new();
        load.insert("path", proto::Value::List(path.into_iter().map(proto::Value::from).collect()));
        load.insert("size", proto::Value::UInt(batch.bytes));
        load.insert("loc", proto::Value::UInt(loc));
        load.insert("data", proto::Value::Bytes(data));
        match self.link.request("_file_recv", load).await?.as_bool() {
            Some(true) => Ok(()),
            Some(false) | None => Err(SinkError::Refused { megabytes: batch.bytes.div_ceil(1 << 20) }),
        }
    }

    async fn send_event(&self, batch: &BatchRow) -> Result<(), SinkError> {
        let event: serde_json::Value = serde_json::from_str(&batch.event)?;
        let tag = format!("agent/sync/{}/batch", batch.folder);
        Ok(self.link.fire_event(&tag, proto::to_value(&event)).await?)
    }
}

impl Sink for MasterSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        faults: &'a Faults,
    ) -> BoxFuture<'a, Result<Told, SinkError>> {
        Box::pin(async move {
            self.send_file(batch, file, faults).await?;
            faults.pass(Step::FileSent)?;
            self.send_event(batch).await?;
            faults.pass(Step::EventSent)?;
            Ok(Told::Master)
        })
    }

    fn prune<'a>(&'a self, _: &'a Replaced) -> BoxFuture<'a, Result<usize, SinkError>> {
        Box::pin(async { Err(BadSink::KeepsAll.into()) })
    }
}

/// Above the size at which batches are cut, far below the 100 MB that masters take by default (`file_recv_max_size`).
const CHUNK_BYTES: usize = 20 << 20;

#[cfg(test)]
mod tests;
