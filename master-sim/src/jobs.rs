//! The job cache: what was published and what came back, as files below `cachedir/jobs/<jid>`.
//!
//! `load` is the publish with the minions it was meant for, and each minion's return is a file in `returns` named by its
//! id, both in msgpack that tells text from bytes. Files appear whole, so a command line may watch the folder while the
//! server writes. A minion's later return of the same job replaces the earlier one. Jobs older than `keep_jobs_seconds`
//! are forgotten.

use std::path::PathBuf;
use std::time::Duration;

use proto::jid::Jid;
use proto::{JobReturn, Map, MinionId, Value, msgpack};

use crate::config::Config;
use crate::disk;
use crate::secrets::is_older;

/// A job that cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A file.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing is known of the job.
    #[error("no job {0} is known")]
    Unknown(String),
}

/// One published job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    /// The publish as the command line asked for it.
    pub load: Map,
    /// Whom it was sent to.
    pub minions: Vec<String>,
}

/// All jobs.
#[derive(Debug, Clone)]
pub struct JobCache {
    folder: PathBuf,
    keep: Duration,
}

impl JobCache {
    /// The cache below `cachedir`.
    pub fn new(config: &Config) -> Self {
        Self { folder: config.cachedir.join("jobs"), keep: config.keep_jobs }
    }

    /// Keeps a job that is about to be published.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, jid: &Jid, record: JobRecord) -> Result<(), JobError> {
        let mut file = Map::new();
        file.insert("load", record.load);
        file.insert("minions", Value::from_iter(record.minions));
        self.write(self.job(jid).join(LOAD), &file.into())
    }

    /// Keeps a return.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add_return(&self, jid: &Jid, id: &MinionId, ret: JobReturn) -> Result<(), JobError> {
        self.write(self.returns(jid).join(id.as_str()), &ret.into_load().into())
    }

    /// A job's publish.
    ///
    /// # Errors
    /// [`JobError::Unknown`].
    pub fn record(&self, jid: &Jid) -> Result<JobRecord, JobError> {
        let unknown = || JobError::Unknown(jid.to_string());
        let mut file = self.read(&self.job(jid).join(LOAD)).and_then(Value::into_map).ok_or_else(unknown)?;
        let minions = file.remove("minions").unwrap_or_default();
        let minions = minions.as_list().unwrap_or_default().iter().filter_map(Value::as_str);
        let minions = minions.map(str::to_owned).collect();
        Ok(JobRecord { minions, load: file.remove("load").and_then(Value::into_map).unwrap_or_default() })
    }

    /// Who returned a job so far.
    pub fn returned(&self, jid: &Jid) -> Vec<MinionId> {
        let entries = std::fs::read_dir(self.returns(jid)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| !name.starts_with('.')).filter_map(|name| MinionId::parse(&name).ok()).collect()
    }

    /// One minion's return.
    pub fn of(&self, jid: &Jid, id: &MinionId) -> Option<JobReturn> {
        let load = self.read(&self.returns(jid).join(id.as_str()))?.into_map()?;
        JobReturn::from_load(load).ok()
    }

    /// All jobs, oldest first.
    pub fn list(&self) -> Vec<Jid> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut jids: Vec<Jid> = names.filter_map(|name| name.parse().ok()).collect();
        jids.sort();
        jids
    }

    /// Forgets jobs that are too old.
    pub fn clean(&self) {
        for jid in self.list() {
            let path = self.job(&jid);
            let written = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
            if written.is_ok_and(|at| is_older(at, self.keep)) {
                let _ = std::fs::remove_dir_all(path);
            }
        }
    }

    fn job(&self, jid: &Jid) -> PathBuf {
        self.folder.join(jid.as_str())
    }

    fn returns(&self, jid: &Jid) -> PathBuf {
        self.job(jid).join("returns")
    }

    fn write(&self, path: PathBuf, value: &Value) -> Result<(), JobError> {
        disk::write(&path, &msgpack::encode_modern(value)).map_err(|source| JobError::File { path, source })
    }

    fn read(&self, path: &PathBuf) -> Option<Value> {
        msgpack::decode(&std::fs::read(path).ok()?).ok()
    }
}

const LOAD: &str = "load";
