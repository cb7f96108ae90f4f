//! The master's shared secrets on disk: each minion's session key, and the root key of the command line.
//!
//! Files as Salt has them: `sessions/<id>` and `.root_key` in `cachedir`. The key of publishes is in memory only. It
//! is renewed when it is older than `publish_session`, and when the drop file `.dfn` asks for it. Whoever can read
//! `.root_key` may publish: that is this user and root.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use proto::{Crypticle, MinionId, Random};

use crate::cli::DROP_FILE;
use crate::config::Config;
use crate::disk;

/// A secret that cannot be read, made or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A file.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The session keys of all minions.
#[derive(Debug)]
pub struct Sessions {
    folder: PathBuf,
    lifetime: Duration,
    turn: Mutex<()>,
}

impl Sessions {
    /// The sessions below `cachedir`.
    pub fn new(config: &Config) -> Self {
        Self {
            folder: config.cachedir.join("sessions"),
            lifetime: config.publish_session,
            turn: Mutex::default(),
        }
    }

    /// A minion's key, renewed when it is too old.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn of(&self, id: &MinionId, rng: &mut dyn Random) -> Result<Crypticle, SecretError> {
        // Two requests at once must not make two keys, of which a minion would learn the one that is not kept.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(id.as_str());
        let written = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let fresh = written.is_ok_and(|at| !is_older(at, self.lifetime));
        if fresh
            && let Ok(text) = std::fs::read_to_string(&path)
            && let Ok(key) = Crypticle::from_text(&text)
        {
            return Ok(key);
        }
        let key = Crypticle::generate(rng);
        write(&path, key.text().as_bytes())?;
        Ok(key)
    }

    /// Ends a minion's session.
    pub fn forget(&self, id: &MinionId) {
        let _ = std::fs::remove_file(self.folder.join(id.as_str()));
    }
}

/// The words whoever publishes from a command line has to know, made anew at each start of the server.
///
/// # Errors
/// When the file cannot be written.
pub fn make_root_key(config: &Config, rng: &mut dyn Random) -> Result<String, SecretError> {
    let key = Crypticle::generate(rng).text().to_owned();
    write(&root_key_path(config), key.as_bytes())?;
    Ok(key)
}

/// Reads the running server's root key.
///
/// # Errors
/// When the file cannot be read, for want of a running server or of the right to.
pub fn root_key(config: &Config) -> Result<String, SecretError> {
    let path = root_key_path(config);
    std::fs::read_to_string(&path).map_err(|source| SecretError::File { path, source })
}

/// Takes the request for a new key of publishes away; true when there was one.
pub fn take_rotation_request(config: &Config) -> bool {
    std::fs::remove_file(drop_file(config)).is_ok()
}

/// True when a moment is further back than `age`. A clock set back makes nothing old.
pub(crate) fn is_older(at: SystemTime, age: Duration) -> bool {
    at.elapsed().is_ok_and(|elapsed| elapsed > age)
}

fn root_key_path(config: &Config) -> PathBuf {
    config.cachedir.join(".root_key")
}

fn drop_file(config: &Config) -> PathBuf {
    config.cachedir.join(DROP_FILE)
}

fn write(path: &Path, content: &[u8]) -> Result<(), SecretError> {
    disk::write(path, content).map_err(|source| SecretError::File { path: path.to_owned(), source })
}
