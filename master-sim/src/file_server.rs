//! The file server: what `salt://` names, served from `file_roots`, and files that minions send.
//!
//! Answers `_file_envs`, `_file_list`, `_dir_list`, `_file_list_emptydirs`, `_symlink_list`, `_file_find`,
//! `_file_hash`, `_file_hash_and_stat`, `_serve_file` and `_file_recv` with the shapes of Salt's `roots` backend
//! (`salt/fileserver/roots.py`, `salt/master.py`). Symbolic links are followed, as `fileserver_followsymlinks` does by
//! default. Replies are never compressed, which every minion accepts. No path leaves its root: names with `..`, drive
//! letters or an absolute start are answered as absent.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use proto::{Map, MinionId, Value};
use ring::digest::{Context, SHA256};
use thiserror::Error;

use crate::config::Roots;

/// The files of a master.
#[derive(Clone, Debug)]
pub struct FileServer {
    roots: Roots,
}

impl FileServer {
    /// Serves the given roots.
    pub fn new(roots: Roots) -> Self {
        Self { roots }
    }

    /// `_file_envs`.
    pub fn envs(&self) -> Value {
        Value::List(self.roots.envs().map(Value::from).collect())
    }

    /// `_file_list`, `_dir_list`, `_file_list_emptydirs`: relative names that start with `prefix`, sorted.
    pub fn list(&self, saltenv: &str, prefix: &str, kind: Listed) -> Value {
        let mut names: Vec<String> = self
            .entries(saltenv)
            .into_iter()
            .filter(|entry| entry.is_listed_as(kind) && entry.name.starts_with(prefix.trim_matches('/')))
            .map(|entry| entry.name)
            .collect();
        names.sort();
        names.dedup();
        Value::List(names.into_iter().map(Value::from).collect())
    }

    /// `_symlink_list`: links that stay inside their root, with what they point to.
    pub fn symlinks(&self, saltenv: &str, prefix: &str) -> Value {
        let mut links = Map::new();
        for entry in self.entries(saltenv) {
            if let (Some(target), true) = (&entry.link, entry.name.starts_with(prefix.trim_matches('/'))) {
                links.insert(entry.name.as_str(), target.as_str());
            }
        }
        Value::Map(links)
    }

    /// `_file_find`: where a name lies, with its `stat`; empty texts when there is no such file.
    pub fn find(&self, saltenv: &str, path: &str) -> Value {
        let mut found = Map::new();
        let full = self.locate(saltenv, path);
        found.insert("path", full.as_deref().map(Path::to_string_lossy).unwrap_or_default().into_owned());
        found.insert("rel", if full.is_some() { path } else { "" });
        if let Some(full) = full {
            found.insert("stat", stat(&full));
        }
        Value::Map(found)
    }

    /// `_file_hash`: `{hash_type, hsum}`, empty when there is no such file.
    pub fn hash(&self, saltenv: &str, path: &str) -> Value {
        let mut hash = Map::new();
        if let Some(sum) = self.locate(saltenv, path).and_then(|full| sha256(&full).ok()) {
            hash.insert("hash_type", "sha256");
            hash.insert("hsum", sum);
        }
        Value::Map(hash)
    }

    /// `_file_hash_and_stat`: both in one list.
    pub fn hash_and_stat(&self, saltenv: &str, path: &str) -> Value {
        let stat = self.locate(saltenv, path).map_or(Value::Nil, |full| stat(&full));
        Value::List(vec![self.hash(saltenv, path), stat])
    }

    /// `_serve_file`: the chunk at `loc`. Empty data with `dest` is the end, empty `dest` is no such file.
    pub fn serve(&self, saltenv: &str, path: &str, loc: u64) -> Value {
        let chunk = self.locate(saltenv, path).and_then(|full| read_chunk(&full, loc).ok());
        let mut reply = Map::new();
        reply.insert("dest", if chunk.is_some() { path } else { "" });
        reply.insert("data", Value::Bytes(chunk.unwrap_or_default()));
        Value::Map(reply)
    }

    /// The text of a file, for the master's own rendering.
    ///
    /// # Errors
    /// What the system said; `Ok(None)` when there is no such file.
    pub fn read(&self, saltenv: &str, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.locate(saltenv, path).map(fs::read).transpose()
    }

    fn locate(&self, saltenv: &str, path: &str) -> Option<PathBuf> {
        let inner = inner_path(path)?;
        self.roots.of(saltenv).iter().map(|root| root.join(&inner)).find(|full| full.is_file())
    }

    fn entries(&self, saltenv: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        for root in self.roots.of(saltenv) {
            walk(root, root, 0, &mut entries);
        }
        entries
    }
}

/// What a listing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Files.
    Files,
    /// Folders.
    Dirs,
    /// Folders without anything in them.
    EmptyDirs,
}

struct Entry {
    name: String,
    is_dir: bool,
    is_empty: bool,
    link: Option<String>,
}

impl Entry {
    fn is_listed_as(&self, kind: Listed) -> bool {
        match kind {
            Listed::Files => !self.is_dir,
            Listed::Dirs => self.is_dir,
            Listed::EmptyDirs => self.is_dir && self.is_empty,
        }
    }
}

/// Why a file that a minion sent was not taken.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// The load lacks a part, or a part is of the wrong kind.
    #[error("the load has no usable `{0}`")]
    Load(&'static str),
    /// The name would leave the minion's folder.
    #[error("the name {0:?} leaves the minion's folder")]
    Name(String),
    /// The file is larger than `file_recv_max_size`.
    #[error("{name:?} is larger than file_recv_max_size ({limit} MiB)")]
    TooLarge {
        /// The name.
        name: String,
        /// The limit in MiB.
        limit: u64,
    },
    /// It could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// `_file_recv`: writes one chunk below `<cachedir>/minions/<id>/files`. `loc` 0 starts the file anew; any other chunk goes where
/// it says. Salt appends it; a chunk that is sent again because its answer was lost would then be there twice.
///
/// # Errors
/// See [`ReceiveError`]; the minion is answered `false`.
pub fn receive(cachedir: &Path, id: &MinionId, load: &Value, limit: u64) -> Result<(), ReceiveError> {
    let parts = load.get("path").and_then(Value::as_list).ok_or(ReceiveError::Load("path"))?;
    let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
    let name = parts.ok_or(ReceiveError::Load("path"))?.join("/");
    let loc = load.get("loc").and_then(Value::as_u64).ok_or(ReceiveError::Load("loc"))?;
    let data = load.get("data").and_then(Value::as_bytes).ok_or(ReceiveError::Load("data"))?;
    if loc + data.len() as u64 > limit * 1024 * 1024 {
        return Err(ReceiveError::TooLarge { name, limit });
    }
    let inner = inner_path(&name).ok_or_else(|| ReceiveError::Name(name.clone()))?;
    let path = cachedir.join("minions").join(id.as_str()).join("files").join(inner);
    write_chunk(&path, loc, data).map_err(|source| ReceiveError::Write { path, source })
}

fn write_chunk(path: &Path, loc: u64, data: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(loc == 0).open(path)?;
    let len = file.metadata()?.len();
    if loc > len {
        let gap = format!("the chunk at {loc} leaves a gap: the file has {len} bytes");
        return Err(io::Error::new(ErrorKind::InvalidInput, gap));
    }
    file.seek(SeekFrom::Start(loc))?;
    file.write_all(data)?;
    file.sync_data()
}

/// A relative path without any way out; `None` for every other.
fn inner_path(path: &str) -> Option<PathBuf> {
    if path.is_empty() || path.contains(['\0', '\\']) {
        return None;
    }
    let inner = Path::new(path);
    inner
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        .then(|| inner.to_owned())
}

fn read_chunk(path: &Path, loc: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(loc))?;
    let mut chunk = Vec::new();
    file.take(FILE_BUFFER_SIZE).read_to_end(&mut chunk)?;
    Ok(chunk)
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => context.update(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The ten numbers of Python's `os.stat`, zero where the system has none.
fn stat(path: &Path) -> Value {
    let Ok(meta) = fs::metadata(path) else { return Value::Nil };
    let seconds = |time: io::Result<std::time::SystemTime>| {
        let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
    };
    let size = i64::try_from(meta.len()).unwrap_or(i64::MAX);
    let (mode, ino, dev, nlink, uid, gid) = unix_numbers(&meta);
    let times = [seconds(meta.accessed()), seconds(meta.modified()), seconds(meta.created())];
    let numbers = [mode, ino, dev, nlink, uid, gid, size].into_iter().chain(times);
    Value::List(numbers.map(Value::Int).collect())
}

#[cfg(unix)]
fn unix_numbers(meta: &fs::Metadata) -> (i64, i64, i64, i64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let ids = (i64::from(meta.uid()), i64::from(meta.gid()));
    (i64::from(meta.mode()), wide(meta.ino()), wide(meta.dev()), wide(meta.nlink()), ids.0, ids.1)
}

#[cfg(not(unix))]
fn unix_numbers(_meta: &fs::Metadata) -> (i64, i64, i64, i64, i64, i64) {
    (0o100_644, 0, 0, 1, 0, 0)
}

fn walk(root: &Path, folder: &Path, depth: usize, entries: &mut Vec<Entry>) {
    let Ok(children) = fs::read_dir(folder) else { return };
    if depth > MAX_DEPTH {
        return;
    }
    for child in children.flatten() {
        let path = child.path();
        let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        let is_dir = path.is_dir();
        let is_empty = is_dir && fs::read_dir(&path).is_ok_and(|mut inside| inside.next().is_none());
        let link = link_inside(root, &path);
        entries.push(Entry { name: name.replace('\\', "/"), is_dir, is_empty, link });
        if is_dir {
            walk(root, &path, depth + 1, entries);
        }
    }
}

fn link_inside(root: &Path, path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    let inside = fs::canonicalize(path).ok()?.starts_with(fs::canonicalize(root).ok()?);
    inside.then(|| target.to_string_lossy().into_owned())
}

/// Salt's `file_buffer_size`.
const FILE_BUFFER_SIZE: u64 = 1024 * 1024;
/// Folders below a root are followed this deep, which ends a loop of links.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> (tempfile::TempDir, FileServer) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("root/web/empty")).unwrap();
        fs::write(folder.path().join("secret"), "no").unwrap();
        fs::write(folder.path().join("root/web/init.sls"), "a: b\n").unwrap();
        let roots = Roots(vec![("base".to_owned(), vec![folder.path().join("root")])]);
        (folder, FileServer::new(roots))
    }

    fn load(path: &[&str], loc: i64, data: &[u8]) -> Value {
        let mut load = Map::new();
        load.insert("path", Value::List(path.iter().map(|part| Value::from(*part)).collect()));
        load.insert("loc", loc);
        load.insert("data", Value::Bytes(data.to_vec()));
        Value::Map(load)
    }

    #[test]
    fn lists_and_serves_what_lies_below_the_root() {
        let (_folder, files) = served();
        assert_eq!(files.list("base", "", Listed::Files), Value::List(vec!["web/init.sls".into()]));
        assert_eq!(files.list("base", "", Listed::EmptyDirs), Value::List(vec!["web/empty".into()]));
        assert_eq!(files.list("dev", "", Listed::Files), Value::List(vec![]));
        let whole = files.serve("base", "web/init.sls", 0);
        assert_eq!(whole.get("data").and_then(Value::as_bytes), Some(&b"a: b\n"[..]));
        let end = files.serve("base", "web/init.sls", 5);
        assert_eq!(end.get("data").and_then(Value::as_bytes), Some(&b""[..]));
        assert_eq!(end.get("dest").and_then(Value::as_str), Some("web/init.sls"));
    }

    #[test]
    fn no_name_leaves_its_root() {
        let (folder, files) = served();
        for name in ["../secret", "web/../../secret", "/etc/passwd", "..\\secret", ""] {
            let reply = files.serve("base", name, 0);
            assert_eq!(reply.get("dest").and_then(Value::as_str), Some(""), "{name}");
            assert_eq!(files.hash("base", name), Value::Map(Map::new()), "{name}");
        }
        let id = MinionId::parse("m").unwrap();
        for path in [&["..", "x"][..], &["a", "../../../x"], &["/etc/x"]] {
            let refused = receive(folder.path(), &id, &load(path, 0, b"x"), 1);
            assert!(matches!(refused, Err(ReceiveError::Name(_))), "{path:?}");
        }
    }

    #[test]
    fn a_received_file_starts_anew_at_zero_and_grows_after() {
        let (folder, _files) = served();
        let id = MinionId::parse("m").unwrap();
        for (loc, data) in [(0, b"old!"), (0, b"abcd"), (4, b"efgh"), (4, b"efgh")] {
            receive(folder.path(), &id, &load(&["a", "b.bin"], loc, data), 1).unwrap();
        }
        assert_eq!(fs::read(folder.path().join("minions/m/files/a/b.bin")).unwrap(), b"abcdefgh");
        let refused = receive(folder.path(), &id, &load(&["big"], 1024 * 1024, b"x"), 1);
        assert!(matches!(refused, Err(ReceiveError::TooLarge { .. })));
        let gap = receive(folder.path(), &id, &load(&["gap"], 3, b"x"), 1);
        assert!(matches!(gap, Err(ReceiveError::Write { .. })));
    }
}
