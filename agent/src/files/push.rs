//! Sending a file to the master (`_file_recv`).
//!
//! Chunks go in order; Salt appends a chunk whose `loc` is not 0, so a transfer that broke is never continued
//! but starts again from 0.

use std::{io::Read, path::Path};

use proto::{Map, Value};

use super::FileClientError;
use crate::channel::MasterLink;

/// Sends a file to `<master cachedir>/minions/<id>/files/<upload>`. `false` when the master does not take it.
///
/// # Errors
/// The file cannot be read, or the master cannot be reached.
pub async fn push(link: &dyn MasterLink, file: &Path, upload: &str) -> Result<bool, FileClientError> {
    let refuse = |source| FileClientError::Io { path: file.to_owned(), source };
    let mut source = std::fs::File::open(file).map_err(refuse)?;
    let parts: Vec<Value> = upload
        .split(['/', '\\'])
        .filter(|part| !part.is_empty() && !part.ends_with(':'))
        .map(Value::from)
        .collect();
    let size = source.metadata().map_err(refuse)?.len();
    let mut at: u64 = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk).map_err(refuse)?;
        let read = chunk.len() as u64;
        if read == 0 && at > 0 {
            return Ok(true);
        }
        let mut load = Map::new();
        load.insert("path", Value::List(parts.clone()));
        load.insert("size", i64::try_from(size).unwrap_or(i64::MAX));
        load.insert("loc", i64::try_from(at).unwrap_or(i64::MAX));
        load.insert("data", Value::Bytes(chunk));
        let reply = link.request("_file_recv", load).await;
        let reply = reply.map_err(|source| FileClientError::Link { path: upload.to_owned(), source })?;
        if reply.as_bool() != Some(true) {
            tracing::warn!(
                upload,
                "the master did not take the file; its file_recv must be True and its limit high enough"
            );
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        at += read;
    }
}

const CHUNK: usize = 512 * 1024;
