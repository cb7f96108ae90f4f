//! Hashes of files under the names of Salt's `hash_type`.

use std::{fmt::Write, io::Read, path::Path};

use ring::digest;

use super::FileClientError;

/// Lowercase hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash of a file; `None` for a hash type that is not built in.
///
/// # Errors
/// [`FileClientError::Io`] when the file cannot be read.
pub fn hash_file(path: &Path, hash_type: &str) -> Result<Option<String>, FileClientError> {
    let Some(mut hash) = Hash::of(hash_type) else { return Ok(None) };
    let refuse = |source| FileClientError::Io { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(refuse)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).map_err(refuse)? {
            0 => return Ok(Some(hash.finish())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// A hash in the making.
enum Hash {
    Ring(digest::Context),
    Md5(md5::Md5),
}

impl Hash {
    fn of(hash_type: &str) -> Option<Self> {
        let algorithm = match hash_type {
            "md5" => return Some(Self::Md5(md5::Md5::default())),
            "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &digest::SHA256,
            "sha384" => &digest::SHA384,
            "sha512" => &digest::SHA512,
            _ => return None,
        };
        Some(Self::Ring(digest::Context::new(algorithm)))
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Ring(hash) => hash.update(bytes),
            Self::Md5(hash) => md5::Digest::update(hash, bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Ring(hash) => hex(hash.finish().as_ref()),
            Self::Md5(hash) => hex(&md5::Digest::finalize(hash)),
        }
    }
}
