//! From a verified target to a version folder.
//!
//! The bytes go to `incoming/<sha256>.part`; a transfer that broke off goes on where it stopped, because the name says what the
//! whole must be. Only when size and digest are those of the signed target is the program moved into a folder, and the folder
//! into `versions`: a version is whole or absent, wherever the power fails. The rate is bounded, so an update never fills a
//! practice's line.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use ring::digest::{Context, SHA256};
use thiserror::Error;
use tokio::time::Instant;

use super::{
    layout::Layout,
    repository::{Program, Target},
    source::{Source, SourceError},
};
use crate::{
    files::hex,
    platform::{paths, space},
};

/// Why a version could not be put on disk. The running version stays.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// The source could not be asked; the next attempt goes on from here.
    #[error(
        "the download of {path} broke off after {at} of {length} bytes and is continued by the next attempt: {source}"
    )]
    Source {
        /// The target.
        path: String,
        /// How far it came.
        at: u64,
        /// The whole.
        length: u64,
        /// The reason.
        source: SourceError,
    },
    /// Fewer bytes are served than the signed metadata says, or none.
    #[error("{courier} serves {at} of the {length} bytes of {path}")]
    Truncated {
        /// Who carries it.
        courier: String,
        /// The target.
        path: String,
        /// How many came.
        at: u64,
        /// How many there should be.
        length: u64,
    },
    /// What came is not what was signed.
    #[error("{path} is not what was signed: its SHA-256 differs; it was deleted")]
    Digest {
        /// The target.
        path: String,
    },
    /// It would leave too little on the disk.
    #[error(
        "{path} needs {} MB and {} MB are free for {}, of which {} MB are left alone: make room there",
        needed.div_ceil(1 << 20), free >> 20, place.display(), space::KEPT_FREE >> 20
    )]
    NoRoom {
        /// The target.
        path: String,
        /// Where it was to lie.
        place: PathBuf,
        /// How many bytes are still to come.
        needed: u64,
        /// How many are free.
        free: u64,
    },
    /// The disk does not take it.
    #[error("{} cannot be written (is the disk full, or does an antivirus hold it?): {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A step after which the process may die without harm; the tests let it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Some bytes are on disk.
    Received,
    /// All bytes are on disk and are the signed ones.
    Verified,
    /// The programs lie in a folder beside `versions`.
    Staged,
    /// The folder is the version's.
    Placed,
}

/// Puts versions on disk.
pub struct Downloader {
    /// Where it comes from.
    pub source: Source,
    /// The installation.
    pub layout: Layout,
    /// How many bytes a second may come; 0 for as many as do.
    pub bytes_per_second: u64,
    /// How many bytes of the disk are left alone: [`space::KEPT_FREE`].
    pub kept_free: u64,
    /// The test hook: where to die.
    pub die_after: Option<Step>,
}

impl Downloader {
    /// Fetches, verifies and places a version. One that is there is kept.
    ///
    /// # Errors
    /// See [`DownloadError`].
    pub async fn install(&self, target: &Target) -> Result<(), DownloadError> {
        let version = &target.offer.version;
        if self.layout.agent(version).is_file() {
            return Ok(());
        }
        let incoming = self.layout.incoming();
        fs::create_dir_all(&incoming).map_err(|source| disk(&incoming, source))?;
        let agent = self.verified(&target.agent).await?;
        let supervisor = match &target.supervisor {
            Some(program) => Some(self.verified(program).await?),
            None => None,
        };
        self.pass(Step::Verified)?;
        let staged = incoming.join(version.to_string());
        let parts = [(Some(agent), "agent"), (supervisor, "supervisor")];
        stage(&staged, &parts).map_err(|source| disk(&staged, source))?;
        self.pass(Step::Staged)?;
        let versions = self.layout.versions();
        let place = self.layout.version(version);
        let placed = fs::create_dir_all(&versions).and_then(|()| fs::rename(&staged, &place));
        placed.and_then(|()| sync_folder(&versions)).map_err(|source| disk(&place, source))?;
        self.pass(Step::Placed)?;
        // What an earlier attempt left; it is in the way of nobody.
        let _ = fs::remove_dir_all(&incoming);
        Ok(())
    }

    /// The file with a program's bytes, which are the signed ones.
    async fn verified(&self, program: &Program) -> Result<PathBuf, DownloadError> {
        let part = self.layout.incoming().join(format!("{}.part", hex(&program.sha256)));
        self.fetch(program, &part).await?;
        if digest_of(&part).map_err(|source| disk(&part, source))? != program.sha256 {
            fs::remove_file(&part).map_err(|source| disk(&part, source))?;
            return Err(DownloadError::Digest { path: program.path.clone() });
        }
        Ok(part)
    }

    async fn fetch(&self, target: &Program, part: &Path) -> Result<(), DownloadError> {
        let path = format!("targets/{}", target.path);
        let mut file =
            File::options().create(true).append(true).open(part).map_err(|source| disk(part, source))?;
        let mut at = file.metadata().map_err(|source| disk(part, source))?.len();
        if at > target.length {
            file.set_len(0).map_err(|source| disk(part, source))?;
            at = 0;
        }
        let (begun, from) = (Instant::now(), at);
        if at == target.length {
            // It may have come whole just before the power failed.
            return file.sync_all().map_err(|source| disk(part, source));
        }
        if let Some(found) = space::of(part).filter(|found| found.free < target.length - at + self.kept_free)
        {
            let (path, place, needed) = (target.path.clone(), part.to_owned(), target.length - at);
            return Err(DownloadError::NoRoom { path, place, needed, free: found.free });
        }
        let broke_off = |at| {
            move |source| DownloadError::Source {
                path: target.path.clone(),
                at,
                length: target.length,
                source,
            }
        };
        let pieces = self.source.open(&path, at).await.map_err(broke_off(at))?;
        let mut pieces = pieces.unwrap_or_else(|| stream::empty().boxed());
        while at < target.length {
            let data = pieces.next().await.transpose().map_err(broke_off(at))?.unwrap_or_default();
            let left = usize::try_from(target.length - at).unwrap_or(usize::MAX);
            let taken = &data[..data.len().min(left)];
            if taken.is_empty() {
                return Err(DownloadError::Truncated {
                    courier: self.source.to_string(),
                    path: target.path.clone(),
                    at,
                    length: target.length,
                });
            }
            file.write_all(taken).map_err(|source| disk(part, source))?;
            at += taken.len() as u64;
            self.pass(Step::Received)?;
            tokio::time::sleep_until(begun + earliest(at - from, self.bytes_per_second)).await;
        }
        file.sync_all().map_err(|source| disk(part, source))
    }

    fn pass(&self, step: Step) -> Result<(), DownloadError> {
        if self.die_after == Some(step) {
            return Err(disk(Path::new("the test"), io::Error::other("died here")));
        }
        Ok(())
    }
}

/// Moves the programs into a folder of their own.
fn stage(staged: &Path, parts: &[(Option<PathBuf>, &str)]) -> io::Result<()> {
    if staged.exists() {
        fs::remove_dir_all(staged)?;
    }
    fs::create_dir_all(staged)?;
    for (part, name) in parts {
        let Some(part) = part else { continue };
        let program = staged.join(paths::program(name));
        fs::rename(part, &program)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        }
    }
    sync_folder(staged)
}

/// How long after its begin a transfer may have brought so many bytes.
fn earliest(bytes: u64, bytes_per_second: u64) -> Duration {
    Duration::from_millis((bytes.saturating_mul(1000)).checked_div(bytes_per_second).unwrap_or(0))
}

fn digest_of(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, mut context) = (File::open(path)?, Context::new(&SHA256));
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(context.finish().as_ref().to_vec()),
            read => context.update(&buffer[..read]),
        }
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// NTFS journals the rename; a folder cannot be synced there.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn disk(path: &Path, source: io::Error) -> DownloadError {
    DownloadError::Disk { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::BoxFuture;
    use proto::{Map, Value};
    use semver::Version;

    use super::{super::choose::Offer, *};
    use crate::channel::{LinkError, MasterLink};

    /// A file server with one target, eight bytes at a time, which notes from where it was asked.
    #[derive(Default)]
    struct Server {
        content: Vec<u8>,
        asked: Mutex<Vec<i64>>,
    }

    impl MasterLink for Server {
        fn request<'a>(&'a self, _cmd: &'a str, _load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
            Box::pin(std::future::ready(Err(LinkError::Local)))
        }

        fn request_raw<'a>(&'a self, cmd: &'a str, load: Map) -> BoxFuture<'a, Result<Value, LinkError>> {
            assert_eq!(cmd, "_serve_file");
            let at = load.get("loc").and_then(Value::as_i64).unwrap();
            let content = match load.get("path").and_then(Value::as_str) {
                Some("release/targets/1.1.0/p/agent") => {
                    self.asked.lock().unwrap().push(at);
                    &self.content[..]
                }
                Some("release/targets/1.1.0/p/supervisor") => SUPERVISOR,
                other => panic!("{other:?} was asked for"),
            };
            let at = usize::try_from(at).unwrap().min(content.len());
            let data = content[at..(at + 8).min(content.len())].to_vec();
            let reply: Map = [("data", Value::Bytes(data)), ("dest", Value::Bytes(b"agent".to_vec()))]
                .into_iter()
                .collect();
            Box::pin(std::future::ready(Ok(reply.into())))
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

    fn target(content: &[u8]) -> Target {
        let program = |name: &str, content: &[u8]| Program {
            path: format!("1.1.0/p/{name}"),
            length: content.len() as u64,
            sha256: ring::digest::digest(&SHA256, content).as_ref().to_vec(),
        };
        Target {
            offer: Offer {
                version: Version::new(1, 1, 0),
                platform: "p".into(),
                minimum: None,
                channels: [].into(),
                withdrawn: false,
            },
            agent: program("agent", content),
            supervisor: Some(program("supervisor", SUPERVISOR)),
        }
    }

    fn downloader(root: &Path, content: &[u8], die_after: Option<Step>) -> (Downloader, Arc<Server>) {
        let server = Arc::new(Server { content: content.to_vec(), ..Server::default() });
        let source = Source::Master(Arc::clone(&server) as Arc<dyn MasterLink>);
        (
            Downloader { source, layout: Layout::new(root), bytes_per_second: 0, kept_free: 0, die_after },
            server,
        )
    }

    const SUPERVISOR: &[u8] = b"a supervisor";
    const CONTENT: &[u8] = b"a program of more than eight bytes";

    #[tokio::test]
    async fn a_version_is_whole_or_absent_wherever_the_power_fails() {
        for step in [Step::Received, Step::Verified, Step::Staged, Step::Placed] {
            let folder = tempfile::tempdir().unwrap();
            let (dying, _) = downloader(folder.path(), CONTENT, Some(step));
            dying.install(&target(CONTENT)).await.unwrap_err();
            let there = !dying.layout.installed().unwrap().is_empty();
            assert_eq!(there, step == Step::Placed, "{step:?}");
            let (next, server) = downloader(folder.path(), CONTENT, None);
            next.install(&target(CONTENT)).await.unwrap();
            let program = fs::read(next.layout.agent(&Version::new(1, 1, 0))).unwrap();
            assert_eq!(program, CONTENT, "{step:?}");
            let carried = fs::read(next.layout.carried_supervisor(&Version::new(1, 1, 0))).unwrap();
            assert_eq!(carried, SUPERVISOR, "{step:?}");
            let asked = server.asked.lock().unwrap().clone();
            match step {
                Step::Received => assert_eq!(asked.first(), Some(&8), "the transfer did not go on"),
                Step::Verified | Step::Placed => assert!(asked.is_empty(), "{step:?}: {asked:?}"),
                Step::Staged => {}
            }
        }
    }

    #[tokio::test]
    async fn refuses_what_was_not_signed_and_what_is_too_short() {
        let folder = tempfile::tempdir().unwrap();
        let (downloader_of_other, _) = downloader(folder.path(), b"another program of more than 8 byt", None);
        let error = downloader_of_other.install(&target(CONTENT)).await.unwrap_err();
        assert!(matches!(error, DownloadError::Digest { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
        let (short, _) = downloader(folder.path(), &CONTENT[..10], None);
        let error = short.install(&target(CONTENT)).await.unwrap_err();
        assert!(matches!(error, DownloadError::Truncated { at: 10, .. }), "{error}");
        let (endless, server) = downloader(folder.path(), &CONTENT.repeat(1000), None);
        endless.install(&target(CONTENT)).await.unwrap();
        assert!(server.asked.lock().unwrap().len() < 6, "it read past the signed length");
    }

    #[tokio::test]
    async fn a_disk_without_room_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (downloader, server) = downloader(folder.path(), CONTENT, None);
        let error = Downloader { kept_free: u64::MAX >> 1, ..downloader }
            .install(&target(CONTENT))
            .await
            .unwrap_err();
        assert!(matches!(error, DownloadError::NoRoom { .. }), "{error}");
        assert!(error.to_string().contains("make room there"), "{error}");
        assert!(server.asked.lock().unwrap().is_empty());
    }

    #[test]
    fn keeps_to_its_byte_budget() {
        assert_eq!(earliest(0, 10), Duration::ZERO);
        assert_eq!(earliest(3 << 20, 2 << 20), Duration::from_millis(1500));
        assert_eq!(earliest(1 << 30, 0), Duration::ZERO);
    }
}
