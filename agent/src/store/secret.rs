//! Secrets in memory and at rest.
//!
//! [`Secret`] is a text that never shows itself in `Debug`, errors or logs. [`SealingKey`] is the store's own AES-256-GCM
//! key, made once and kept in a file only the agent can read; it guards against a copied database file, not against who
//! already owns the agent's account.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::StoreError;
use crate::platform::protect;

/// A password or the like. Read it with [`Secret::reveal`] only where it goes onto the wire.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a clear text.
    pub fn new(clear: impl Into<String>) -> Self {
        Self(clear.into())
    }

    /// The clear text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True when nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Seals values of the store.
pub(super) struct SealingKey {
    key: LessSafeKey,
    hash: [u8; KEY_BYTES],
    random: SystemRandom,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

impl SealingKey {
    /// Reads the key file, or makes it on first use.
    pub(super) fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        let random = SystemRandom::new();
        let bytes = key_file(path, || {
            let mut bytes = vec![0u8; KEY_BYTES];
            random.fill(&mut bytes).map_err(|_| bad_key(path))?;
            Ok(bytes)
        })?;
        let unbound = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| bad_key(path))?;
        let hash = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"keyed hashes of the store");
        let hash = hash.as_ref().try_into().map_err(|_| bad_key(path))?;
        Ok(Self { key: LessSafeKey::new(unbound), hash, random })
    }

    /// A key for hashes that nobody without the key file can compute.
    pub(super) fn hash_key(&self) -> &[u8; KEY_BYTES] {
        &self.hash
    }

    /// Nonce, ciphertext and tag of `clear`, bound to `purpose`.
    pub(super) fn seal(&self, purpose: &str, clear: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0u8; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| StoreError::Sealed { purpose: purpose.to_owned() })?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + clear.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(clear);
        let body = sealed.get_mut(NONCE_LEN..).unwrap_or_default();
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), body)
            .map_err(|_| StoreError::Sealed { purpose: purpose.to_owned() })?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The inverse of [`SealingKey::seal`].
    pub(super) fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let refused = || StoreError::Sealed { purpose: purpose.to_owned() };
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut body = body.to_vec();
        let clear = self.key.open_in_place(nonce, Aad::from(purpose), &mut body).map_err(|_| refused())?;
        Ok(clear.to_vec())
    }
}

/// Reads a key file, or makes it on first use with what `make` gives. Protected as the system can.
pub(super) fn key_file(
    path: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, StoreError>,
) -> Result<Vec<u8>, StoreError> {
    match read_key(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => create_key(path, make()?),
        Err(source) => Err(StoreError::Key { path: path.into(), source }),
    }
}

fn read_key(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(LARGEST_KEY_FILE).read_to_end(&mut content)?;
    protect::unwrap(&content)
}

fn create_key(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    protect::wrap(&bytes)
        .and_then(|content| write_key(path, &content))
        .map_err(|source| StoreError::Key { path: path.into(), source })?;
    Ok(bytes)
}

/// Written under a temporary name first: a key file is whole or absent.
fn write_key(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

pub(super) fn bad_key(path: &Path) -> StoreError {
    StoreError::Key { path: path.into(), source: std::io::Error::from(ErrorKind::InvalidData) }
}

const KEY_BYTES: usize = 32;
const LARGEST_KEY_FILE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_for_its_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(&folder.path().join("k")).unwrap();
        let sealed = key.seal("job/a", b"pa55").unwrap();
        assert!(!sealed.windows(4).any(|w| w == b"pa55"));
        assert_eq!(key.unseal("job/a", &sealed).unwrap(), b"pa55");
        assert!(key.unseal("job/b", &sealed).is_err());
        assert!(key.unseal("job/a", &sealed[..5]).is_err());
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("pa55")), "Secret(***)");
    }
}
