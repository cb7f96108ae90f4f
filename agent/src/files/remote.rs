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

    pub(super) async fn dirs(&self, saltenv: &str) -> Result<Vec<String>, FileClientError> {
        let load: Map = [("saltenv", saltenv), ("prefix", "")].into_iter().collect();
        let reply = self.link.request("_dir_list", load).await.map_err(|error| failed("", error))?;
        let mut paths = texts(&reply);
        paths.sort();
        Ok(paths)
    }

    pub(super) async fn symlinks(
        &self,
        saltenv: &str,
        prefix: &str,
    ) -> Result<Vec<(String, String)>, FileClientError> {
        let load: Map = [("saltenv", saltenv), ("prefix", prefix)].into_iter().collect();
        let reply = self.link.request("_symlink_list", load).await.map_err(|error| failed(prefix, error))?;
        let links = reply.as_map().into_iter().flat_map(Map::iter);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut links: Vec<(String, String)> =
            links.filter_map(|(link, to)| Some((text(link)?, text(to)?))).collect();
        links.sort();
        Ok(links)
    }

    /// The mode of a file on the master.
    pub(super) async fn mode(&self, saltenv: &str, path: &SaltPath) -> Result<Option<u32>, FileClientError> {
        let load: Map = [("path", path.as_str()), ("saltenv", saltenv)].into_iter().collect();
        let reply =
            self.link.request("_file_find", load).await.map_err(|error| failed(path.as_str(), error))?;
        let mode = reply.get("stat").and_then(Value::as_list).and_then(|stat| stat.first()?.as_i64());
        Ok(mode.and_then(|mode| u32::try_from(mode & 0o7777).ok()))
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

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::future::BoxFuture;

    use super::*;

    /// A file server with one file, `a/b.bin`, served three bytes at a time.
    struct FileServer {
        content: Mutex<Vec<u8>>,
        claimed: Mutex<Option<String>>,
        chunks: AtomicUsize,
    }

    impl FileServer {
        fn with(content: &[u8]) -> Arc<Self> {
            Arc::new(Self {
                content: Mutex::new(content.to_vec()),
                claimed: Mutex::default(),
                chunks: AtomicUsize::new(0),
            })
        }

        fn answer(&self, cmd: &str, load: &Map) -> Value {
            let content = self.content.lock().unwrap();
            let known = load.get("path").and_then(Value::as_str) == Some("a/b.bin");
            let answer: Map = match cmd {
                "_file_hash" if known => {
                    let hash = ring::digest::digest(&ring::digest::SHA256, &content);
                    let hash = self
                        .claimed
                        .lock()
                        .unwrap()
                        .clone()
                        .unwrap_or_else(|| super::super::hex(hash.as_ref()));
                    [("hash_type", Value::from("sha256")), ("hsum", hash.into())].into_iter().collect()
                }
                "_serve_file" if known => {
                    self.chunks.fetch_add(1, Ordering::SeqCst);
                    let at = usize::try_from(load.get("loc").and_then(Value::as_i64).unwrap()).unwrap();
                    let data = content[at.min(content.len())..(at + 3).min(content.len())].to_vec();
                    [("data", Value::Bytes(data)), ("dest", Value::Bytes(b"a/b.bin".to_vec()))]
                        .into_iter()
                        .collect()
                }
                _ => Map::new(),
            };
            answer.into()
        }
    }

    impl MasterLink for FileServer {
        fn request<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
            Box::pin(std::future::ready(Ok(self.answer(cmd, &load))))
        }

        fn request_raw<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
            self.request(cmd, load)
        }

        fn pillar<'a>(&'a self, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
            Box::pin(std::future::ready(Err(LinkError::Local)))
        }

        fn fire_event<'a>(&'a self, _tag: &'a str, _data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
            Box::pin(std::future::ready(Err(LinkError::Local)))
        }

        fn return_job<'a>(&'a self, _ret: Map) -> BoxFuture<'a, Result<(), LinkError>> {
            Box::pin(std::future::ready(Err(LinkError::Local)))
        }
    }

    fn path(url: &str) -> SaltPath {
        SaltPath::parse(url).unwrap().0
    }

    #[tokio::test]
    async fn fetches_in_chunks_and_again_only_when_the_hash_changed() {
        let (folder, server) = (tempfile::tempdir().unwrap(), FileServer::with(b"\x00\xff12345678"));
        let remote = Remote::new(Arc::clone(&server) as _, folder.path().join("files"));
        let place = remote.cache_file("base", &path("salt://a/b.bin")).await.unwrap().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"\x00\xff12345678");
        let asked = server.chunks.load(Ordering::SeqCst);
        remote.cache_file("base", &path("salt://a/b.bin")).await.unwrap();
        assert_eq!(server.chunks.load(Ordering::SeqCst), asked);
        *server.content.lock().unwrap() = b"new".to_vec();
        remote.cache_file("base", &path("salt://a/b.bin")).await.unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"new");
    }

    #[tokio::test]
    async fn keeps_the_old_file_when_the_new_one_is_not_what_the_master_promised() {
        let (folder, server) = (tempfile::tempdir().unwrap(), FileServer::with(b"old"));
        let remote = Remote::new(Arc::clone(&server) as _, folder.path().join("files"));
        let place = remote.cache_file("base", &path("salt://a/b.bin")).await.unwrap().unwrap();
        *server.claimed.lock().unwrap() = Some("0".repeat(64));
        let error = remote.cache_file("base", &path("salt://a/b.bin")).await.unwrap_err();
        assert!(matches!(error, FileClientError::Hash { .. }), "{error}");
        assert_eq!(std::fs::read(&place).unwrap(), b"old");
        let files = std::fs::read_dir(place.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "a temporary file was left");
    }

    #[tokio::test]
    async fn a_missing_file_is_none() {
        let (folder, server) = (tempfile::tempdir().unwrap(), FileServer::with(b""));
        let remote = Remote::new(server as _, folder.path().join("files"));
        assert!(remote.cache_file("base", &path("salt://other")).await.unwrap().is_none());
    }
}
