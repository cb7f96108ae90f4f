//! What `agent status` shows: the running agent's own word, and what waits in the store.
//!
//! The service writes a small file when its link changes; the store is read directly, so the queue is right even
//! when the service does not run.

use std::{collections::BTreeMap, fs, io, path::PathBuf, time::SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::Config,
    minion::STORE_FILE,
    policy::switches::{Pause, Switch, Switches},
    store::{Store, StoreError, jobs, sync},
    sync::{governor::Cost, note::Note},
    version,
};

/// The agent's state, as `agent status --json` prints it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// The minion id.
    pub id: String,
    /// This program's version.
    pub version: String,
    /// Whether the service runs.
    pub running: bool,
    /// What the service last said of itself.
    pub service: Option<ServiceStatus>,
    /// Returns that wait for the master.
    pub waiting_returns: i64,
    /// Jobs that were accepted and have no return yet.
    pub unfinished_jobs: usize,
    /// What the practice has paused: `sync`, `writes`.
    #[serde(default)]
    pub paused: BTreeMap<String, Pause>,
    /// How each sync job stands.
    #[serde(default)]
    pub syncs: BTreeMap<String, SyncStatus>,
}

/// How a sync job stands.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SyncStatus {
    /// Seconds since the moment up to which everything is read.
    pub age_seconds: Option<u64>,
    /// What keeps it from being fresher.
    pub behind_because: Option<String>,
    /// Batches that wait for the sink.
    pub spool_batches: u64,
    /// Their bytes.
    pub spool_bytes: u64,
    /// What its last pass cost the server; what is not known is left out.
    #[serde(default)]
    pub server_cost: Option<Cost>,
    /// How long its last pass took, and how long of that it left the server to others who worked on it, in milliseconds.
    #[serde(default)]
    pub pass_ms: u64,
    /// See `pass_ms`.
    #[serde(default)]
    pub left_to_others_ms: u64,
}

/// What the service writes about itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServiceStatus {
    /// Its process id.
    pub pid: u32,
    /// The link in words: `connected`, or why not.
    pub link: String,
    /// The master, when connected.
    pub master: Option<String>,
    /// Since when, in RFC 3339.
    pub since: String,
}

/// Why the state cannot be shown.
#[derive(Debug, Error)]
pub enum StatusError {
    /// The store cannot be read.
    #[error("the agent's store cannot be read")]
    Store(#[from] StoreError),
    /// The status file cannot be written or read.
    #[error("the status file {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Writes the service's word. Called when the link changes.
///
/// # Errors
/// [`StatusError::File`].
pub fn write(config: &Config, link: &str, master: Option<&str>) -> Result<(), StatusError> {
    let status = ServiceStatus {
        pid: std::process::id(),
        link: link.to_owned(),
        master: master.map(str::to_owned),
        since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    };
    let path = file(config);
    let text = serde_json::to_vec(&status).unwrap_or_default();
    fs::write(&path, text).map_err(|source| StatusError::File { path, source })
}

/// Removes the service's word at its orderly end.
pub fn clear(config: &Config) {
    // A file that stays behind names a process that is gone, which `read` sees.
    let _ = fs::remove_file(file(config));
}

/// Reads the agent's state.
///
/// # Errors
/// See [`StatusError`].
pub fn read(config: &Config) -> Result<Status, StatusError> {
    of_store(config, &Store::open_beside(&config.data_dir.join(STORE_FILE))?)
}

/// Reads the agent's state over a store that is open already.
///
/// # Errors
/// See [`StatusError`].
pub fn of_store(config: &Config, store: &Store) -> Result<Status, StatusError> {
    let service = read_service(config);
    let (waiting_returns, unfinished) =
        store.with(|tx| Ok::<_, StoreError>((jobs::waiting(tx)?, jobs::unfinished(tx)?)))?;
    let syncs = store.with(syncs)?;
    Ok(Status {
        id: config.id.to_string(),
        version: version::LINE.to_owned(),
        running: service.is_some(),
        service,
        waiting_returns,
        unfinished_jobs: unfinished.len(),
        paused: paused(config),
        syncs,
    })
}

fn syncs(tx: &rusqlite::Transaction<'_>) -> Result<BTreeMap<String, SyncStatus>, StoreError> {
    let mut syncs = BTreeMap::new();
    for (job, text) in sync::notes(tx)? {
        // A note of another version of the agent is replaced by the next pass.
        let note: Note = serde_json::from_str(&text).unwrap_or_default();
        let depth = sync::depth(tx, Some(&job))?;
        let status = SyncStatus {
            age_seconds: note.age(SystemTime::now()).map(|age| age.as_secs()),
            behind_because: note.cause().map(str::to_owned),
            spool_batches: depth.batches,
            spool_bytes: depth.bytes,
            server_cost: note.cost,
            pass_ms: note.took_ms,
            left_to_others_ms: note.rested_ms,
        };
        syncs.insert(job, status);
    }
    Ok(syncs)
}

fn paused(config: &Config) -> BTreeMap<String, Pause> {
    let switches = Switches::new(config);
    let held = |switch: Switch| Some((switch.name().to_owned(), switches.paused(switch)?));
    Switch::ALL.into_iter().filter_map(held).collect()
}

/// What the service said of itself, when it still runs.
#[must_use]
pub fn read_service(config: &Config) -> Option<ServiceStatus> {
    let text = fs::read(file(config)).ok()?;
    let service: ServiceStatus = serde_json::from_slice(&text).ok()?;
    is_alive(service.pid).then_some(service)
}

fn is_alive(pid: u32) -> bool {
    let Ok(mut system) = sysinfo::System::new() else { return false };
    let pid = sysinfo::Pid::from_u32(pid);
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
    system.process(pid).is_some()
}

fn file(config: &Config) -> PathBuf {
    config.data_dir.join("status.json")
}
