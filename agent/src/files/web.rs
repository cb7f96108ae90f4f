//! Files from `http(s)` servers, kept below `<cachedir>/extrn_files` as Salt keeps them.
//!
//! A file whose hash is known is fetched once; a transfer that broke off goes on where it stopped. It is written
//! beside its place, checked, and moved there in one step; two runs that want the same file wait for each other by a
//! lock file, so neither sees half of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{SourceHash, hash_file};
use crate::{
    http::{self, HttpError, HttpRequest},
    tasks::Tasks,
};

/// The cache of files from other servers.
#[derive(Clone)]
pub struct WebFiles {
    cache: PathBuf,
    tasks: Tasks,
}

/// Why a file could not be had.
#[derive(Debug, Error)]
pub enum WebError {
    /// The server gave no file.
    #[error("Failed to cache {url}: {why}")]
    Fetch {
        /// The address without credentials.
        url: String,
        /// What happened.
        why: String,
    },
    /// It is not the file that was promised.
    #[error(
        "Specified {kind} checksum for {url} ({wanted}) does not match actual checksum ({actual}). If the 'source_hash' value refers to a remote file with multiple possible matches, then it may be necessary to set 'source_hash_name'."
    )]
    Hash {
        /// The address without credentials.
        url: String,
        /// The hash's type.
        kind: &'static str,
        /// What was promised.
        wanted: String,
        /// What came.
        actual: String,
    },
    /// The cache cannot be written.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Whether a source is on another server.
#[must_use]
pub fn is_web(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

impl WebFiles {
    pub(super) fn new(cachedir: &Path, tasks: Tasks) -> Self {
        Self { cache: cachedir.join("extrn_files"), tasks }
    }

    /// The place of a file in the cache, there or not.
    #[must_use]
    pub fn place(&self, saltenv: &str, url: &str) -> PathBuf {
        let plain = http::redacted(url).replace("<redacted>@", "");
        let rest = plain.split_once("://").map_or(plain.as_str(), |(_, rest)| rest);
        let parts = rest.split(['/', '\\']).filter(|part| !part.is_empty() && *part != "." && *part != "..");
        let named = |part: &str| -> String {
            part.chars().map(|c| if c.is_alphanumeric() || "-_.=+,".contains(c) { c } else { '_' }).collect()
        };
        parts.fold(self.cache.join(named(saltenv)), |place, part| place.join(named(part)))
    }

    /// A local file with what the address holds.
    ///
    /// # Errors
    /// See [`WebError`].
    pub async fn cache(
        &self,
        saltenv: &str,
        url: &str,
        wanted: Option<&SourceHash>,
    ) -> Result<PathBuf, WebError> {
        let place = self.place(saltenv, url);
        let fetch = Fetch { url: url.to_owned(), shown: http::redacted(url), wanted: wanted.cloned(), place };
        let shown = fetch.shown.clone();
        let done = self.tasks.blocking(move || fetch.run()).await;
        done.map_err(|error| WebError::Fetch { url: shown, why: error.to_string() })?
    }
}

/// One transfer.
struct Fetch {
    url: String,
    shown: String,
    wanted: Option<SourceHash>,
    place: PathBuf,
}

impl Fetch {
    fn run(&self) -> Result<PathBuf, WebError> {
        let refuse = |source| WebError::Io { path: self.place.clone(), source };
        fs::create_dir_all(self.place.parent().unwrap_or(&self.place)).map_err(refuse)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(self.beside("lock"));
        let lock = lock.map_err(refuse)?;
        lock.lock().map_err(refuse)?;
        let done = if self.is_current() { Ok(()) } else { self.fetch() };
        // Not removed: whoever waits for it has it open.
        drop(lock);
        done.map(|()| self.place.clone())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let name = self.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.place.with_file_name(format!(".{name}.{ending}"))
    }

    /// Whether the cached file is known to be the wanted one.
    fn is_current(&self) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        hash_file(&self.place, wanted.kind()).is_ok_and(|held| held.as_deref() == Some(wanted.hash()))
    }

    fn fetch(&self) -> Result<(), WebError> {
        let part = self.beside("part");
        // Without a hash nobody could tell whether the halves belong together.
        let mut at =
            if self.wanted.is_some() { fs::metadata(&part).map_or(0, |found| found.len()) } else { 0 };
        let mut tries = 0;
        loop {
            let begun_at = at;
            match self.transfer(&part, &mut at) {
                Ok(()) => match self.check(&part) {
                    Err(WebError::Hash { .. }) if begun_at > 0 => at = 0,
                    Err(error) => {
                        let _ = fs::remove_file(&part);
                        return Err(error);
                    }
                    Ok(()) => break,
                },
                Err(error) => {
                    tries += 1;
                    let went_on = at > begun_at && self.wanted.is_some();
                    if !went_on || tries >= MOST_TRIES {
                        return Err(error);
                    }
                }
            }
        }
        fs::rename(&part, &self.place).map_err(|source| WebError::Io { path: self.place.clone(), source })
    }

    /// Asks for the file from `at` on; `at` follows what is on the disk.
    fn transfer(&self, part: &Path, at: &mut u64) -> Result<(), WebError> {
        let failed = |why: String| WebError::Fetch { url: self.shown.clone(), why };
        let mut request = HttpRequest { url: self.url.clone(), ..HttpRequest::default() };
        if *at > 0 {
            request.headers.push(("Range".to_owned(), format!("bytes={at}-")));
        }
        let mut answer = http::send(&request).map_err(|error: HttpError| failed(error.to_string()))?;
        match answer.status {
            206 if *at > 0 => {}
            200 => *at = 0,
            416 => {
                *at = 0;
                return self.transfer(part, at);
            }
            status => {
                let words = format!("Error: HTTP {status}: {} reading {}", answer.reason, self.shown);
                return Err(failed(words));
            }
        }
        let length = answer.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let wanted = length.map(|length| length + *at);
        let refuse = |source| WebError::Io { path: part.to_owned(), source };
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).open(part).map_err(refuse)?;
        file.set_len(*at).map_err(refuse)?;
        file.seek(SeekFrom::Start(*at)).map_err(refuse)?;
        copy(&mut answer.reader(), &mut file, at).map_err(|error| failed(error.to_string()))?;
        file.sync_all().map_err(refuse)?;
        match wanted {
            Some(wanted) if wanted != *at => {
                Err(failed(format!("it broke off after {at} of {wanted} bytes")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check(&self, part: &Path) -> Result<(), WebError> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        let held = hash_file(part, wanted.kind());
        let held =
            held.map_err(|error| WebError::Fetch { url: self.shown.clone(), why: error.to_string() })?;
        let actual = held.unwrap_or_default();
        if actual == wanted.hash() {
            return Ok(());
        }
        let (kind, wanted) = (wanted.kind(), wanted.hash().to_owned());
        Err(WebError::Hash { url: self.shown.clone(), kind, wanted, actual })
    }
}

fn copy(from: &mut impl Read, to: &mut File, at: &mut u64) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            read => {
                to.write_all(&buffer[..read])?;
                *at += read as u64;
                if *at > LARGEST_FILE {
                    return Err(io::Error::other("it is larger than 8 GiB"));
                }
            }
        }
    }
}

const MOST_TRIES: u32 = 5;
const LARGEST_FILE: u64 = 8 << 30;

#[cfg(test)]
mod tests;
