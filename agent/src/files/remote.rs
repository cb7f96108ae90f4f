//! The master's file server, with a cache of what was fetched.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use proto::{Map, Value};

use super::{FileClientError, SaltPath, hash_file};
use crate::channel::{LinkError, MasterLink};

#[derive(Clone)]
pub(super) struct Remote {
    link: Arc<dyn MasterLink>,
    cache: PathBuf,
}

/// What a fetch came to.
enum Fetched {
    Missing,
    WrongHash,
    Placed,
}

impl Remote {
    pub(super) fn new(link: Arc<dyn MasterLink>, cache: PathBuf) -> Self {
        Self { link, cache }
    }

    pub(super) async fn cache_file(
        &self,
        saltenv: &str,
        path: &SaltPath,
    ) -> Result<Option<PathBuf>, FileClientError> {
        let Some((hash, hash_type)) = self.hash(saltenv, path).await? else { return Ok(None) };
        let place = self.place(saltenv, path);
        if place.is_file() && hash_file(&place, &hash_type)?.is_some_and(|held| held == hash) {
            return Ok(Some(place));
        }
        match self.fetch(saltenv, path, &place, (&hash, &hash_type)).await? {
            Fetched::Placed => return Ok(Some(place)),
            Fetched::Missing => return Ok(None),
            Fetched::WrongHash => {}
        }
        // The file may have been replaced between the hash and the data: ask for both once more.
        let Some((hash, hash_type)) = self.hash(saltenv, path).await? else { return Ok(None) };
        match self.fetch(saltenv, path, &place, (&hash, &hash_type)).await? {
            Fetched::Placed => Ok(Some(place)),
            Fetched::Missing => Ok(None),
            Fetched::WrongHash => Err(FileClientError::Hash { path: path.0.clone(), hash_type }),
        }
    }

    pub(super) async fn hash(
        &self,
        saltenv: &str,
        path: &SaltPath,
    ) -> Result<Option<(String, String)>, FileClientError> {
        let load: Map = [("path", path.as_str()), ("saltenv", saltenv)].into_iter().collect();
        let reply =
            self.link.request("_file_hash", load).await.map_err(|error| failed(path.as_str(), error))?;
        let text = |key: &str| reply.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        Ok(text("hsum").map(|hash| (hash.to_owned(), text("hash_type").unwrap_or("sha256").to_owned())))
    }

    pub(super) async fn list(&self, saltenv: &str, prefix: &str) -> Result<Vec<String>, FileClientError> {
        let load: Map = [("saltenv", saltenv), ("prefix", prefix)].into_iter().collect();
        let reply = self.link.request("_file_list", load).await.map_err(|error| failed(prefix, error))?;
        let mut paths = texts(&reply);
        paths.sort();
        Ok(paths)
    }

    pub(super) async fn envs(&self) -> Result<Vec<String>, FileClientError> {
        let reply = self.link.request("_file_envs", Map::new()).await.map_err(|error| failed("", error))?;
        Ok(texts(&reply))
    }

    fn place(&self, saltenv: &str, path: &SaltPath) -> PathBuf {
        let env: String =
            saltenv.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
        path.as_str().split('/').fold(self.cache.join(env), |place, part| place.join(part))
    }

    /// Fetches the file in chunks to a temporary file beside its place, checks it and moves it there.
    async fn fetch(
        &self,
        saltenv: &str,
        path: &SaltPath,
        place: &Path,
        (hash, hash_type): (&str, &str),
    ) -> Result<Fetched, FileClientError> {
        let refuse = |source| FileClientError::Io { path: place.to_owned(), source };
        let folder = place.parent().unwrap_or(&self.cache);
        std::fs::create_dir_all(folder).map_err(refuse)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(refuse)?;
        let mut at: u64 = 0;
        loop {
            let Some(chunk) = self.chunk(saltenv, path, at).await? else { return Ok(Fetched::Missing) };
            if chunk.is_empty() {
                break;
            }
            file.write_all(&chunk).map_err(refuse)?;
            at += chunk.len() as u64;
        }
        file.flush().map_err(refuse)?;
        if hash_file(file.path(), hash_type)?.is_some_and(|got| got != hash) {
            return Ok(Fetched::WrongHash);
        }
        file.persist(place).map_err(|error| refuse(error.error))?;
        Ok(Fetched::Placed)
    }

    /// The data at an offset; empty at the end, `None` when the master has no such file.
    async fn chunk(
        &self,
        saltenv: &str,
        path: &SaltPath,
        at: u64,
    ) -> Result<Option<Vec<u8>>, FileClientError> {
        let mut load: Map = [("path", path.as_str()), ("saltenv", saltenv)].into_iter().collect();
        load.insert("loc", Value::Int(i64::try_from(at).unwrap_or(i64::MAX)));
        let reply =
            self.link.request_raw("_serve_file", load).await.map_err(|error| failed(path.as_str(), error))?;
        let wrong = |why| FileClientError::Answer { path: path.0.clone(), why };
        let data = reply.get("data").and_then(Value::as_bytes).ok_or_else(|| wrong("it carries no data"))?;
        let dest = reply.get("dest").and_then(Value::as_bytes).unwrap_or_default();
        if data.is_empty() && dest.is_empty() && at == 0 {
            return Ok(None);
        }
        if at.saturating_add(data.len() as u64) > LARGEST_FILE {
            return Err(wrong("the file is larger than 8 GiB"));
        }
        Ok(Some(data.to_vec()))
    }
}

fn failed(path: &str, source: LinkError) -> FileClientError {
    FileClientError::Link { path: path.to_owned(), source }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_list().unwrap_or_default().iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Beyond this a transfer is taken for an endless one.
const LARGEST_FILE: u64 = 8 << 30;
