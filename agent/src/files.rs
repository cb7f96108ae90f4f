//! The file client: `salt://` files from the master, or from local roots with `--local`.
//!
//! A fetched file is kept below `<cachedir>/files/<saltenv>/` and fetched again only when the master's hash of
//! it differs. It is written beside its place, its hash is checked, and then it replaces the old one in one
//! step, so a reader never sees half a file. Paths that would leave the root are refused.
//! Requests: `_file_hash`, `_serve_file`, `_file_list`, `_file_envs` (Salt's `salt/fileclient.py`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    channel::{LinkError, MasterLink},
    config::Config,
    tasks::Tasks,
};

mod digest;
mod local;
mod push;
mod remote;
mod source_hash;
mod web;

pub use digest::{hash_file, hex};
pub use push::push;
pub use source_hash::SourceHash;
pub use web::{WebError, WebFiles, is_web};

/// A path on the file server: relative, forward slashes, no way out of the root.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SaltPath(String);

impl SaltPath {
    /// Takes `salt://a/b`, `a/b` or `/a/b`; a `?saltenv=` ending is given back apart.
    ///
    /// # Errors
    /// [`FileClientError::Path`] for a path that leaves the root or is empty.
    pub fn parse(url: &str) -> Result<(Self, Option<String>), FileClientError> {
        let path = url.strip_prefix("salt://").unwrap_or(url);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let saltenv = query.strip_prefix("saltenv=").map(str::to_owned);
        let path = path.trim_start_matches(['/', '|']);
        let leaves = path.split(['/', '\\']).any(|part| part == "..");
        let odd = path.is_empty() || path.contains('\0') || Path::new(path).has_root() || path.contains(':');
        if leaves || odd {
            return Err(FileClientError::Path { path: url.to_owned() });
        }
        Ok((Self(path.to_owned()), saltenv))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a file could not be had. A file that does not exist is `None`, not an error.
#[derive(Debug, Error)]
pub enum FileClientError {
    /// The path is not one of a file server. The state file's fault.
    #[error("{path:?} is not a path of the file server")]
    Path {
        /// The path as given.
        path: String,
    },
    /// The master could not be asked.
    #[error("salt://{path} could not be fetched: {source}")]
    Link {
        /// The path or the listing.
        path: String,
        /// What the link said.
        source: LinkError,
    },
    /// The master answered with something else than a file's data.
    #[error("the master's answer for salt://{path} makes no sense: {why}")]
    Answer {
        /// The path.
        path: String,
        /// What was wrong.
        why: &'static str,
    },
    /// What arrived is not what the master said it would be, twice in a row.
    #[error(
        "salt://{path} arrived with the wrong {hash_type} hash twice; is it being changed on the master?"
    )]
    Hash {
        /// The path.
        path: String,
        /// Salt's `hash_type`.
        hash_type: String,
    },
    /// A local file could not be read or written.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Reads the file server of this process. Cheap to clone.
#[derive(Clone)]
pub struct FileClient {
    source: Source,
    web: WebFiles,
}

#[derive(Clone)]
enum Source {
    Local(local::Roots),
    Master(remote::Remote),
}

impl FileClient {
    /// The client that the configuration asks for.
    #[must_use]
    pub fn new(config: &Arc<Config>, link: Arc<dyn MasterLink>, tasks: Tasks) -> Self {
        let source = if config.local {
            Source::Local(local::Roots::new(Arc::clone(config), "file_roots"))
        } else {
            Source::Master(remote::Remote::new(link, config.cachedir.join("files")))
        };
        Self { source, web: WebFiles::new(&config.cachedir, tasks) }
    }

    /// A local file with the content of `salt://path`, fetched when it is not there or not current.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn cache_file(
        &self,
        saltenv: &str,
        path: &SaltPath,
    ) -> Result<Option<PathBuf>, FileClientError> {
        match &self.source {
            Source::Local(roots) => Ok(roots.find(saltenv, path)),
            Source::Master(remote) => remote.cache_file(saltenv, path).await,
        }
    }

    /// A local file with what a web address holds.
    ///
    /// # Errors
    /// See [`WebError`].
    pub async fn cache_web(
        &self,
        saltenv: &str,
        url: &str,
        wanted: Option<&SourceHash>,
    ) -> Result<PathBuf, WebError> {
        self.web.cache(saltenv, url, wanted).await
    }

    /// Where a web address's file is kept, there or not.
    #[must_use]
    pub fn web_place(&self, saltenv: &str, url: &str) -> PathBuf {
        self.web.place(saltenv, url)
    }

    /// Every folder of a saltenv, sorted.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn dirs(&self, saltenv: &str) -> Result<Vec<String>, FileClientError> {
        match &self.source {
            Source::Local(roots) => roots.dirs(saltenv),
            Source::Master(remote) => remote.dirs(saltenv).await,
        }
    }

    /// The folders of a saltenv that hold nothing, sorted.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn empty_dirs(&self, saltenv: &str) -> Result<Vec<String>, FileClientError> {
        let (files, dirs) = (self.list(saltenv, "").await?, self.dirs(saltenv).await?);
        let within = |dir: &str, path: &String| {
            path.len() > dir.len() && path[dir.len()..].starts_with('/') && path.starts_with(dir)
        };
        let holds = |dir: &String| files.iter().chain(&dirs).any(|path| within(dir, path));
        Ok(dirs.iter().filter(|dir| !holds(dir)).cloned().collect())
    }

    /// The symbolic links of a saltenv below a prefix, with what they lead to.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn symlinks(
        &self,
        saltenv: &str,
        prefix: &str,
    ) -> Result<Vec<(String, String)>, FileClientError> {
        match &self.source {
            Source::Local(roots) => roots.symlinks(saltenv, prefix),
            Source::Master(remote) => remote.symlinks(saltenv, prefix).await,
        }
    }

    /// The mode of `salt://path`.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn mode(&self, saltenv: &str, path: &SaltPath) -> Result<Option<u32>, FileClientError> {
        match &self.source {
            Source::Local(roots) => Ok(roots.find(saltenv, path).and_then(|file| local::mode(&file))),
            Source::Master(remote) => remote.mode(saltenv, path).await,
        }
    }

    /// The content of `salt://path`.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn read(&self, saltenv: &str, path: &SaltPath) -> Result<Option<Vec<u8>>, FileClientError> {
        let Some(file) = self.cache_file(saltenv, path).await? else { return Ok(None) };
        match tokio::fs::read(&file).await {
            Ok(content) => Ok(Some(content)),
            Err(source) => Err(FileClientError::Io { path: file, source }),
        }
    }

    /// The SHA-256 (or the master's hash type) of `salt://path`, with the name of the hash.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn hash(
        &self,
        saltenv: &str,
        path: &SaltPath,
    ) -> Result<Option<(String, String)>, FileClientError> {
        match &self.source {
            Source::Local(roots) => match roots.find(saltenv, path) {
                Some(file) => {
                    Ok(Some((hash_file(&file, "sha256")?.unwrap_or_default(), "sha256".to_owned())))
                }
                None => Ok(None),
            },
            Source::Master(remote) => remote.hash(saltenv, path).await,
        }
    }

    /// Every file of a saltenv, sorted; those that start with `prefix` when one is given.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn list(&self, saltenv: &str, prefix: &str) -> Result<Vec<String>, FileClientError> {
        match &self.source {
            Source::Local(roots) => roots.list(saltenv, prefix),
            Source::Master(remote) => remote.list(saltenv, prefix).await,
        }
    }

    /// The saltenvs.
    ///
    /// # Errors
    /// See [`FileClientError`].
    pub async fn envs(&self) -> Result<Vec<String>, FileClientError> {
        match &self.source {
            Source::Local(roots) => Ok(roots.envs()),
            Source::Master(remote) => remote.envs().await,
        }
    }
}

/// Replaces a file's content in one step; the folder must exist or be made.
///
/// # Errors
/// The system's reason; the old content is then still there.
pub fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The local pillar roots of `--local`, as a file server.
#[must_use]
pub fn pillar_roots(config: &Arc<Config>, tasks: Tasks) -> FileClient {
    let source = Source::Local(local::Roots::new(Arc::clone(config), "pillar_roots"));
    FileClient { source, web: WebFiles::new(&config.cachedir, tasks) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_salt_urls_and_refuses_ways_out() {
        let parsed = |url: &str| SaltPath::parse(url).map(|(path, env)| (path.0, env)).ok();
        assert_eq!(parsed("salt://a/b.sls"), Some(("a/b.sls".to_owned(), None)));
        assert_eq!(parsed("salt://a?saltenv=dev"), Some(("a".to_owned(), Some("dev".to_owned()))));
        assert_eq!(parsed("/a"), Some(("a".to_owned(), None)));
        for bad in ["salt://../a", "salt://a/../../b", "salt://", "salt://c:/x", "a\\..\\b", "a\0"] {
            assert_eq!(parsed(bad), None, "{bad:?}");
        }
    }
}
