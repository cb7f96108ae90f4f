//! Names of writes, parameters and requests, parsed once.

use std::fmt;

/// The name of a declared write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteName(String);

/// What the sender calls one request; the same id means the same request for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(String);

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must have 1 to {most} characters and no control characters")]
pub struct BadName {
    what: &'static str,
    most: usize,
}

impl WriteName {
    /// Takes a name.
    ///
    /// # Errors
    /// Empty, too long, or with control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
        plain(name.into(), "the name of a write", LONGEST_NAME).map(Self)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RequestId {
    /// Takes an id.
    ///
    /// # Errors
    /// Empty, too long, or with control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, BadName> {
        plain(id.into(), "a request id", LONGEST_REQUEST).map(Self)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the id: the ledger's key, which no collation folds.
    pub fn digest(&self) -> Vec<u8> {
        ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes()).as_ref().to_vec()
    }
}

impl fmt::Display for WriteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn plain(text: String, what: &'static str, most: usize) -> Result<String, BadName> {
    let fits = !text.is_empty() && text.encode_utf16().count() <= most;
    if fits && !text.chars().any(char::is_control) { Ok(text) } else { Err(BadName { what, most }) }
}

const LONGEST_NAME: usize = 128;
/// Fits the ledger's column and leaves room in CONTEXT_INFO.
const LONGEST_REQUEST: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(WriteName::new("reschedule").is_ok() && RequestId::new("r-1").is_ok());
        assert!(WriteName::new("").is_err() && RequestId::new("a\nb").is_err());
        assert!(RequestId::new("é".repeat(100)).is_ok() && RequestId::new("é".repeat(101)).is_err());
    }

    #[test]
    fn ids_that_differ_in_case_alone_are_two_requests() {
        let digest = |id: &str| RequestId::new(id).unwrap().digest();
        assert_ne!(digest("abc"), digest("ABC"));
        assert_eq!(digest("abc"), digest("abc"));
    }
}
