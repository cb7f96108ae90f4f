//! The agent's local ledger: one SQLite file in WAL mode with full sync.
//!
//! Owns opening, migrations and the single writer. What is in the tables belongs to the rooms below: `store/jobs.rs`
//! keeps jids and waiting returns, `store/sync.rs` keeps sync jobs, watermarks and the spool index, `store/writes.rs`
//! declared writes and the outcomes of requests. Invariants: a closure given to [`Store::with`] is one transaction, it
//! commits only when it returns `Ok`; no password and no row value is stored in clear ([`Store::seal`]); a store that a
//! newer agent added to is worked on, one that it rewrote is refused and left as it is (`store/format.rs`).

pub mod access;
mod error;
pub mod format;
pub mod held_returns;
pub mod jobs;
pub mod migrations;
pub mod schema;
mod secret;
pub mod sync;
pub mod sync_rows;
pub mod writes;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rows::digest::RowHasher;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use error::StoreError;
use migrations::Opener;
pub use secret::Secret;

/// The open store. Cheap to share as `Arc<Store>`; every call blocks its thread for the length of a disk sync.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    key: secret::SealingKey,
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or makes the store at `path` (parent folders included) and brings its tables up to date.
    ///
    /// The key that seals secrets lies beside it as `<path>.key`, readable by the agent alone.
    ///
    /// # Errors
    /// The folder cannot be written, the file is damaged or was rewritten by a newer agent.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_as(path, Opener::Agent)
    }

    /// [`Store::open`] for a command beside the agent, which may be of another version: it never rewrites what is there.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Older`] when the store would have to be rewritten.
    pub fn open_beside(path: &Path) -> Result<Self, StoreError> {
        Self::open_as(path, Opener::Command)
    }

    fn open_as(path: &Path, opener: Opener) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| StoreError::Folder { path: folder.into(), source })?;
        }
        // What cannot be made is told by SQLite, in its own words.
        drop(make_private(path));
        let mut connection = Connection::open(path).map_err(|source| StoreError::open(path, source))?;
        Self::prepare(&mut connection, path, opener)?;
        let key = secret::SealingKey::load_or_create(&beside(path, ".key"))?;
        Ok(Self { path: path.into(), key, connection: Mutex::new(connection) })
    }

    /// Runs `work` as one transaction on the calling thread: committed when it returns `Ok`, else rolled back.
    ///
    /// # Errors
    /// What `work` returned, or SQLite's refusal to commit.
    pub fn with<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let mut connection = self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
        let done = work(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(done)
    }

    /// [`Store::with`] on a blocking thread, for callers on the async runtime.
    ///
    /// # Errors
    /// As [`Store::with`]; [`StoreError::Stopped`] when the runtime is shutting down.
    pub async fn run<T, E, F>(self: &Arc<Self>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let store = Arc::clone(self);
        match tokio::task::spawn_blocking(move || store.with(work)).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Stopped.into()),
        }
    }

    /// Seals `clear` for storage in a column; `purpose` must be the same when it is opened.
    ///
    /// # Errors
    /// The random source failed.
    pub fn seal(&self, purpose: &str, clear: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.key.seal(purpose, clear)
    }

    /// Opens what [`Store::seal`] made.
    ///
    /// # Errors
    /// The bytes were changed, or sealed for another purpose or by another store's key.
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.key.unseal(purpose, sealed)
    }

    /// Hashes row values: equal ones give equal hashes, and nobody without the key file can try values.
    pub fn row_hasher(&self) -> RowHasher {
        RowHasher::new(self.key.hash_key())
    }

    /// A hash of `bytes` by the same key.
    pub fn keyed_hash(&self, bytes: &[u8]) -> Vec<u8> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.key.hash_key());
        ring::hmac::sign(&key, bytes).as_ref().to_vec()
    }

    /// The key in the file `<path><suffix>`, made on first use; protected as the key that seals this store is.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub fn key_beside(&self, suffix: &str, make: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, StoreError> {
        // The transaction keeps a second process from making another one meanwhile.
        self.with(|_| secret::key_file(&beside(&self.path, suffix), || Ok(make())))
    }

    /// The refusal of a key file whose content is none.
    #[must_use]
    pub fn bad_key_beside(&self, suffix: &str) -> StoreError {
        secret::bad_key(&beside(&self.path, suffix))
    }

    /// How the store stands: which agents can work on it.
    ///
    /// # Errors
    /// SQLite refused a statement.
    pub fn held(&self) -> Result<format::Held, StoreError> {
        self.with(|tx| migrations::held(tx))
    }

    /// Where the store lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn prepare(connection: &mut Connection, path: &Path, opener: Opener) -> Result<(), StoreError> {
        let refused = |source| StoreError::open(path, source);
        connection.busy_timeout(BUSY_TIMEOUT).map_err(refused)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(refused)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(refused)?;
        connection.pragma_update(None, "foreign_keys", "ON").map_err(refused)?;
        connection.pragma_update(None, "cache_size", -512).map_err(refused)?;
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(refused)?;
        if verdict != "ok" {
            return Err(StoreError::Damaged { path: path.into(), verdict });
        }
        migrations::apply(connection, path, opener)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// How long a second process (`agent call` beside the service) waits for the writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes the file readable by the agent's own account alone; SQLite gives the files beside it the same rights.
#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let rights = file.metadata()?.permissions();
    if rights.mode() & 0o077 == 0 { Ok(()) } else { file.set_permissions(PermissionsExt::from_mode(0o600)) }
}

/// The folder's access list is that of its files.
#[cfg(not(unix))]
fn make_private(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a/store.sqlite")).unwrap();
        let outcome: Result<(), StoreError> = store.with(|tx| {
            tx.execute("INSERT INTO migration (area, version) VALUES ('x', 1)", [])?;
            Err(StoreError::Stopped)
        });
        assert!(matches!(outcome, Err(StoreError::Stopped)));
        let rows: i64 = store
            .with(|tx| {
                Ok::<_, StoreError>(tx.query_row(
                    "SELECT count(*) FROM migration WHERE area = 'x'",
                    [],
                    |r| r.get(0),
                )?)
            })
            .unwrap();
        assert_eq!(rows, 0);
    }

    #[test]
    fn opening_twice_keeps_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        let sealed = Store::open(&path).unwrap().seal("p", b"secret").unwrap();
        let again = Store::open(&path).unwrap();
        assert_eq!(again.unseal("p", &sealed).unwrap(), b"secret");
        let mode: String = again
            .with(|tx| Ok::<_, StoreError>(tx.query_row("PRAGMA journal_mode", [], |r| r.get(0))?))
            .unwrap();
        assert_eq!(mode, "wal");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_store_also_when_an_earlier_agent_made_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        let rights = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
        drop(Store::open(&path).unwrap());
        assert_eq!(rights(&path), 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let _open = Store::open(&path).unwrap();
        assert_eq!([rights(&path), rights(&path.with_file_name("store.sqlite-wal"))], [0o600, 0o600]);
    }

    #[test]
    fn a_damaged_store_is_named_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        std::fs::write(&path, [7u8; 4096]).unwrap();
        let error = Store::open(&path).unwrap_err().to_string();
        assert!(error.contains("store.sqlite"), "{error}");
    }

    #[test]
    fn a_store_that_a_newer_agent_rewrote_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        Store::open(&path)
            .unwrap()
            .with(|tx| {
                Ok::<_, StoreError>(tx.execute("UPDATE migration SET version = 999, readable_by = 999", [])?)
            })
            .unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Newer { .. })));
    }
}
