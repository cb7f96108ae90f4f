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

/// The hash of a file; `None` for a hash type that is not built in (`md5` among them).
///
/// # Errors
/// [`FileClientError::Io`] when the file cannot be read.
pub fn hash_file(path: &Path, hash_type: &str) -> Result<Option<String>, FileClientError> {
    let Some(algorithm) = algorithm(hash_type) else { return Ok(None) };
    let refuse = |source| FileClientError::Io { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(refuse)?;
    let mut hash = digest::Context::new(algorithm);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).map_err(refuse)? {
            0 => return Ok(Some(hex(hash.finish().as_ref()))),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// The algorithm of a `hash_type`.
#[must_use]
pub fn algorithm(hash_type: &str) -> Option<&'static digest::Algorithm> {
    match hash_type {
        "sha1" => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        "sha256" => Some(&digest::SHA256),
        "sha384" => Some(&digest::SHA384),
        "sha512" => Some(&digest::SHA512),
        _ => None,
    }
}
