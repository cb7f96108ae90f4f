//! Key files in Salt's layout: `minion.pem`, `minion.pub`, `minion_master.pub`, `master_sign.pub`.
//!
//! An existing pair is used as it is; a missing one is made. The private key is readable by its owner only from the
//! first byte on, and files are replaced whole, so a crash leaves the old or the new, never a part.
//!
//! Refuses to overwrite a private key that cannot be read: losing it would lose the minion's acceptance.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use proto::{KeyError, PrivateKey, PublicKey};
use thiserror::Error;

const PRIVATE_MODE: u32 = 0o400;
const PUBLIC_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o700;

/// Why keys cannot be used. This machine's operator has to act.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// A key file cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key file cannot be written.
    #[error("cannot write the key file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key file holds no key of its kind.
    #[error("the key file {} cannot be used", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// `verify_master_pubkey_sign` is on, and the operator's key is not here.
    #[error("verify_master_pubkey_sign is on, but the operator's key {} is missing: copy it from the master", path.display())]
    NoSigner {
        /// Where it should be.
        path: PathBuf,
    },
    /// A key pair could not be made.
    #[error("no key pair can be made")]
    Generate(#[source] KeyError),
}

/// The minion's own keys.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// `minion.pem`.
    pub private: PrivateKey,
    /// `minion.pub`.
    pub public: PublicKey,
}

/// The folder of the keys (Salt's `pki_dir`).
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
}

impl KeyFolder {
    /// Names the folder; nothing is read or made yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The minion's pair, made with `bits` if there is none. Slow when it has to be made.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub fn minion_pair(&self, bits: usize) -> Result<KeyPair, KeyFileError> {
        let (private_path, public_path) = (self.path.join("minion.pem"), self.path.join("minion.pub"));
        let private = match read(&private_path)? {
            Some(pem) => parse(&private_path, PrivateKey::from_pem(&pem))?,
            None => {
                let key =
                    PrivateKey::generate(bits, &mut rand::rngs::OsRng).map_err(KeyFileError::Generate)?;
                let pem = key.to_pem().map_err(KeyFileError::Generate)?;
                self.write(&private_path, &pem, PRIVATE_MODE)?;
                key
            }
        };
        let public = parse(&private_path, private.public_key())?;
        // The private half decides; a public file that differs would only mislead whoever compares fingerprints.
        let written = read(&public_path)?.map(|pem| PublicKey::from_pem(&pem));
        if written != Some(Ok(public.clone())) {
            self.write(&public_path, public.pem(), PUBLIC_MODE)?;
        }
        Ok(KeyPair { private, public })
    }

    /// The master's key as it was met first, if one was met.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub fn pinned_master(&self) -> Result<Option<PublicKey>, KeyFileError> {
        self.public_key("minion_master.pub")
    }

    /// Stores the master's key.
    ///
    /// # Errors
    /// [`KeyFileError::Write`].
    pub fn pin_master(&self, key: &PublicKey) -> Result<(), KeyFileError> {
        self.write(&self.path.join("minion_master.pub"), key.pem(), PUBLIC_MODE)
    }

    /// The operator's key under which master keys are signed. It has to be there: nobody asked for less.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub fn signer(&self, name: &str) -> Result<PublicKey, KeyFileError> {
        self.public_key(name)?.ok_or_else(|| KeyFileError::NoSigner { path: self.path.join(name) })
    }

    fn public_key(&self, name: &str) -> Result<Option<PublicKey>, KeyFileError> {
        let path = self.path.join(name);
        read(&path)?.map(|pem| parse(&path, PublicKey::from_pem(&pem))).transpose()
    }

    fn write(&self, path: &Path, text: &str, mode: u32) -> Result<(), KeyFileError> {
        let failed = |source| KeyFileError::Write { path: path.to_owned(), source };
        create_folder(&self.path).map_err(failed)?;
        let mut draft = tempfile::Builder::new().prefix(".key-").tempfile_in(&self.path).map_err(failed)?;
        io::Write::write_all(&mut draft, text.as_bytes()).map_err(failed)?;
        set_mode(draft.path(), mode).map_err(failed)?;
        draft.as_file().sync_all().map_err(failed)?;
        draft.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn parse<T>(path: &Path, key: Result<T, KeyError>) -> Result<T, KeyFileError> {
    key.map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Option<String>, KeyFileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyFileError::Read { path: path.to_owned(), source }),
    }
}

fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    set_mode(path, FOLDER_MODE)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Elsewhere the folder's access list decides, which the installer sets.
#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn makes_a_pair_once_in_salts_layout_and_modes() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(&dir.path().join("pki/minion"));
        let first = keys.minion_pair(2048).unwrap().public;
        let second = keys.minion_pair(2048).unwrap().public;
        assert_eq!(first, second, "the pair on disk is used again");
        let pem = dir.path().join("pki/minion/minion.pem");
        assert!(fs::read_to_string(&pem).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        #[cfg(unix)]
        {
            assert_eq!(mode(&pem), 0o400);
            assert_eq!(mode(&dir.path().join("pki/minion")), 0o700);
            assert_eq!(mode(&dir.path().join("pki/minion/minion.pub")), 0o644);
        }
    }

    #[test]
    fn mends_a_public_file_that_is_not_the_private_keys() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(dir.path());
        let key = keys.minion_pair(2048).unwrap().public;
        fs::write(dir.path().join("minion.pub"), "nonsense").unwrap();
        keys.minion_pair(2048).unwrap();
        assert_eq!(keys.public_key("minion.pub").unwrap(), Some(key));
    }

    #[test]
    fn never_replaces_a_private_key_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("minion.pem");
        fs::write(&path, "damaged").unwrap();
        let error = KeyFolder::new(dir.path()).minion_pair(2048).unwrap_err();
        assert!(error.to_string().contains("minion.pem"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "damaged");
    }

    #[test]
    fn a_missing_operators_key_is_an_error_and_not_a_weaker_check() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(dir.path());
        assert!(matches!(keys.signer("master_sign.pub"), Err(KeyFileError::NoSigner { .. })));
        let key = keys.minion_pair(2048).unwrap().public;
        fs::write(dir.path().join("master_sign.pub"), key.pem()).unwrap();
        assert_eq!(keys.signer("master_sign.pub").unwrap(), key);
    }

    #[test]
    fn pins_a_master_and_finds_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(dir.path());
        assert_eq!(keys.pinned_master().unwrap(), None);
        let key = keys.minion_pair(2048).unwrap().public;
        keys.pin_master(&key).unwrap();
        assert_eq!(keys.pinned_master().unwrap(), Some(key));
    }
}
