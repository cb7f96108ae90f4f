//! Protection of the key that guards the store.
//!
//! On Windows the key file holds what DPAPI made of the key with a secret of the machine: the file, copied with the disk's
//! content, opens nowhere else. A bare key that an earlier version wrote is still read, and wrapped when it is written next.
//! Elsewhere the file's mode is the protection. It guards against a copied file, not against who owns the account.

use std::io;

/// What stands before a wrapped key.
const MARK: &[u8] = b"DPAPI1\n";

/// The content of the key file for a key.
///
/// # Errors
/// The system refused.
pub fn wrap(key: &[u8]) -> io::Result<Vec<u8>> {
    if cfg!(windows) { Ok([MARK, &sealed(key)?[..]].concat()) } else { Ok(key.to_vec()) }
}

/// The key in a key file.
///
/// # Errors
/// It was made on another machine, or the system refused.
pub fn unwrap(content: &[u8]) -> io::Result<Vec<u8>> {
    match content.strip_prefix(MARK) {
        Some(sealed) => opened(sealed),
        None => Ok(content.to_vec()),
    }
}

#[cfg(windows)]
fn sealed(key: &[u8]) -> io::Result<Vec<u8>> {
    super::windows::protect(key)
}

#[cfg(windows)]
fn opened(sealed: &[u8]) -> io::Result<Vec<u8>> {
    super::windows::unprotect(sealed)
}

#[cfg(not(windows))]
fn sealed(key: &[u8]) -> io::Result<Vec<u8>> {
    Ok(key.to_vec())
}

#[cfg(not(windows))]
fn opened(_sealed: &[u8]) -> io::Result<Vec<u8>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the key was protected by Windows on another machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrapped_opens_and_a_bare_key_is_read() {
        assert_eq!(unwrap(&wrap(b"key of 32 bytes").unwrap()).unwrap(), b"key of 32 bytes");
        assert_eq!(unwrap(&[7; 32]).unwrap(), [7; 32]);
        assert!(unwrap(b"DPAPI1\nof another machine").is_err());
    }
}
