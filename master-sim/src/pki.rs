//! The master's keys on disk, in Salt's own layout.
//!
//! `master.pem` and `master.pub`; minion keys as `minions/<id>` (accepted), `minions_pre/<id>` (waiting),
//! `minions_rejected/<id>`, `minions_denied/<id>`. An id has at most one key outside `minions_denied`. Moves are
//! renames, so a key is never in two folders; folders are made for their owner alone. A stock salt-master can take
//! these folders over, and the other way round. Specified by Salt's `salt/key.py`.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proto::{Fingerprint, KeyError, MinionId, PrivateKey, PublicKey, Random};
use thiserror::Error;

/// What the operator decided about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyState {
    /// The minion is trusted.
    Accepted,
    /// Another key came under an id that has one.
    Denied,
    /// The key waits for a decision.
    Pending,
    /// The operator refused it.
    Rejected,
}

impl KeyState {
    /// Every state, in the order `salt-key -L` lists them.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Denied, Self::Pending, Self::Rejected];

    /// The folder below `pki_dir`, which is also the name in Salt's key lists.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Accepted => "minions",
            Self::Denied => "minions_denied",
            Self::Pending => "minions_pre",
            Self::Rejected => "minions_rejected",
        }
    }

    /// The heading of `salt-key -L`.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted Keys:",
            Self::Denied => "Denied Keys:",
            Self::Pending => "Unaccepted Keys:",
            Self::Rejected => "Rejected Keys:",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Denied => "denied",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
        })
    }
}

/// Why a key operation failed.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A file or folder could not be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key file holds no key.
    #[error("{} holds no usable key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
}

/// The key folders of a master.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// The key folders below `dir`, made when missing.
    ///
    /// # Errors
    /// [`PkiError::Io`] when a folder cannot be made.
    pub fn open(dir: &Path) -> Result<Self, PkiError> {
        for state in KeyState::ALL {
            private_folder(&dir.join(state.folder()))?;
        }
        private_folder(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The master's key pair, made with `bits` when there is none.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub fn master_key(&self, bits: usize, rng: &mut dyn Random) -> Result<PrivateKey, PkiError> {
        let path = self.dir.join("master.pem");
        let bad = |source| PkiError::Key { path: path.clone(), source };
        match fs::read_to_string(&path) {
            Ok(pem) => PrivateKey::from_pem(&pem).map_err(bad),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = PrivateKey::generate(bits, rng).map_err(bad)?;
                write_whole(&path, key.to_pem().map_err(bad)?.as_bytes(), 0o400)?;
                let public = key.public_key().map_err(bad)?;
                write_whole(&self.dir.join("master.pub"), public.pem().as_bytes(), 0o644)?;
                Ok(key)
            }
            Err(source) => Err(PkiError::Io { what: "read", path, source }),
        }
    }

    /// The ids with a key in `state`, sorted.
    ///
    /// # Errors
    /// [`PkiError::Io`] when the folder cannot be read.
    pub fn list(&self, state: KeyState) -> Result<Vec<MinionId>, PkiError> {
        let folder = self.dir.join(state.folder());
        let entries =
            fs::read_dir(&folder).map_err(|source| PkiError::Io { what: "list", path: folder, source })?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<MinionId> = names
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| MinionId::parse(&name).ok())
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// The state and key of an id, denied keys apart.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub fn find(&self, id: &MinionId) -> Result<Option<(KeyState, PublicKey)>, PkiError> {
        for state in [KeyState::Rejected, KeyState::Accepted, KeyState::Pending] {
            if let Some(key) = self.key(id, state)? {
                return Ok(Some((state, key)));
            }
        }
        Ok(None)
    }

    /// The key of an id in one state.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub fn key(&self, id: &MinionId, state: KeyState) -> Result<Option<PublicKey>, PkiError> {
        let path = self.path(id, state);
        match fs::read_to_string(&path) {
            Ok(pem) => PublicKey::from_pem(&pem).map(Some).map_err(|source| PkiError::Key { path, source }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PkiError::Io { what: "read", path, source }),
        }
    }

    /// Writes a key that a minion offered.
    ///
    /// # Errors
    /// [`PkiError::Io`] when it cannot be written.
    pub fn store(&self, id: &MinionId, state: KeyState, key: &PublicKey) -> Result<(), PkiError> {
        write_whole(&self.path(id, state), key.pem().as_bytes(), 0o644)
    }

    /// Moves a key from one state to another; `false` when there was none.
    ///
    /// # Errors
    /// [`PkiError::Io`] when it cannot be moved.
    pub fn shift(&self, id: &MinionId, from: KeyState, to: KeyState) -> Result<bool, PkiError> {
        let (source, target) = (self.path(id, from), self.path(id, to));
        match fs::rename(&source, &target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(PkiError::Io { what: "move", path: source, source: error }),
        }
    }

    /// Deletes a key; `false` when there was none.
    ///
    /// # Errors
    /// [`PkiError::Io`] when it cannot be deleted.
    pub fn delete(&self, id: &MinionId, state: KeyState) -> Result<bool, PkiError> {
        let path = self.path(id, state);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(PkiError::Io { what: "delete", path, source }),
        }
    }

    /// The fingerprint of the master's own key, when it has one.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub fn master_fingerprint(&self) -> Result<Option<Fingerprint>, PkiError> {
        let path = self.dir.join("master.pub");
        match fs::read_to_string(&path) {
            Ok(pem) => {
                let key = PublicKey::from_pem(&pem).map_err(|source| PkiError::Key { path, source })?;
                Ok(Some(key.fingerprint()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PkiError::Io { what: "read", path, source }),
        }
    }

    fn path(&self, id: &MinionId, state: KeyState) -> PathBuf {
        self.dir.join(state.folder()).join(id.as_str())
    }
}

/// Makes a folder that only its owner may enter.
///
/// # Errors
/// [`PkiError::Io`] when it cannot be made.
pub fn private_folder(path: &Path) -> Result<(), PkiError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| PkiError::Io {
        what: "make the folder",
        path: path.to_owned(),
        source,
    })
}

/// Writes a file whole or not at all, with the given mode where the system has modes.
///
/// # Errors
/// [`PkiError::Io`] when it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let write = || -> std::io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = path.with_file_name(format!(".{name}.part"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        let mut file = options.open(&part)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|source| PkiError::Io { what: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> MinionId {
        MinionId::parse(name).unwrap()
    }

    #[test]
    fn a_key_moves_between_folders_and_is_in_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::open(folder.path()).unwrap();
        let key = PrivateKey::generate(512, &mut rand::thread_rng()).unwrap().public_key().unwrap();
        pki.store(&id("web"), KeyState::Pending, &key).unwrap();
        assert!(pki.shift(&id("web"), KeyState::Pending, KeyState::Accepted).unwrap());
        assert!(!pki.shift(&id("web"), KeyState::Pending, KeyState::Accepted).unwrap());
        assert_eq!(pki.find(&id("web")).unwrap(), Some((KeyState::Accepted, key)));
        assert_eq!(pki.list(KeyState::Accepted).unwrap(), [id("web")]);
        assert!(pki.list(KeyState::Pending).unwrap().is_empty());
        assert!(pki.delete(&id("web"), KeyState::Accepted).unwrap());
        assert_eq!(pki.find(&id("web")).unwrap(), None);
    }

    #[test]
    fn the_master_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::open(folder.path()).unwrap();
        assert_eq!(pki.master_fingerprint().unwrap(), None);
        let first = pki.master_key(512, &mut rand::thread_rng()).unwrap().public_key().unwrap();
        let second = pki.master_key(512, &mut rand::thread_rng()).unwrap().public_key().unwrap();
        assert_eq!(first, second);
        assert_eq!(pki.master_fingerprint().unwrap(), Some(first.fingerprint()));
    }
}
