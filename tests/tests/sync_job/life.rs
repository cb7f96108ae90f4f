//! The sync half of an agent from start to death, over one data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use agent::mssql::quote::ObjectName;
use agent::policy::switches::Switches;
use agent::store::Store;
use agent::sync::check::{CursorRequest, JobRequest};
use agent::sync::deliver::deliver_next;
use agent::sync::faults::{Faults, Step};
use agent::sync::ledger::Ledger;
use agent::sync::names::JobName;
use agent::sync::note::Note;
use agent::sync::pass::{PassReport, Want, run_pass};
use agent::sync::sink::MasterSink;
use agent::sync::spec::Seal;
use agent::sync::spool::Spool;
use agent::sync::{SyncError, SyncRoom, explain};
use agent::tasks::Tasks;

use crate::master::Master;
use crate::sim::Sim;

/// One data folder and what its agent is to do.
pub struct Agent {
    folder: tempfile::TempDir,
    pub identity: age::x25519::Identity,
    pub master: Arc<Master>,
    pub spool_bytes: u64,
    pub switches: Option<Switches>,
}

/// The job's name.
pub fn job() -> JobName {
    JobName::new("clinic/Visit").unwrap()
}

impl Agent {
    /// A fresh folder with the job declared over `dbo.Visit` by rowversion, batches of `batch_rows` rows.
    pub async fn declare(sim: &Sim, batch_rows: u32) -> Self {
        Self::declare_by(sim, batch_rows, CursorRequest::Rowversion(None)).await
    }

    /// The same by another cursor.
    pub async fn declare_by(sim: &Sim, batch_rows: u32, cursor: CursorRequest) -> Self {
        Self::declare_as(sim, |request| JobRequest { cursor, batch_rows, ..request }).await
    }

    /// The job as `change` makes it of the plain one.
    pub async fn declare_as(sim: &Sim, change: impl FnOnce(JobRequest) -> JobRequest) -> Self {
        let agent = Self {
            folder: tempfile::tempdir().unwrap(),
            identity: age::x25519::Identity::generate(),
            master: Arc::default(),
            spool_bytes: u64::MAX,
            switches: None,
        };
        let request = change(agent.request(sim, 10));
        let checked = request.check().await.unwrap();
        agent.room(Faults::default()).ledger.declare(checked.spec, SystemTime::now()).await.unwrap();
        agent
    }

    /// Runs one pass for `want`, delivers everything.
    pub async fn live_for(&self, want: Want) -> Result<PassReport, String> {
        let room = self.room(Faults::default());
        let report = run_pass(&room, &job(), want).await.map_err(|error| explain(&error))?;
        self.deliver(&room).await?;
        Ok(report)
    }

    /// How the job stands.
    pub async fn note(&self) -> Note {
        self.room(Faults::default()).ledger.note(&job()).await.unwrap().unwrap()
    }

    /// The declaration over `dbo.Visit`.
    pub fn request(&self, sim: &Sim, batch_rows: u32) -> JobRequest {
        let seal = Seal::Recipients(vec![self.identity.to_public().to_string()]);
        let table = ObjectName::parse("Visit").unwrap();
        JobRequest {
            cursor: CursorRequest::Rowversion(None),
            batch_rows,
            ..JobRequest::new(job(), sim.connection("Clinic"), table, seal)
        }
    }

    /// A new process over the folder.
    pub fn room(&self, faults: Faults) -> SyncRoom {
        let store = Arc::new(Store::open(&self.folder.path().join("store.sqlite")).unwrap());
        let spool = Spool::new(self.spool_folder(), self.spool_bytes);
        SyncRoom {
            faults,
            switches: self.switches.clone(),
            ..SyncRoom::over(Ledger::new(store), spool, Tasks::new())
        }
    }

    /// Starts, runs one pass, delivers everything; dies where the hook says.
    pub async fn live(&self, faults: Faults) -> Result<PassReport, String> {
        let room = self.room(faults);
        let known = room.ledger.batches().await.map_err(|error| explain(&error))?;
        room.spool.clean(&known).map_err(|error| explain(&error))?;
        let passed = run_pass(&room, &job(), Want::News).await;
        let delivered = self.deliver(&room).await;
        room.tasks.shutdown(Duration::from_secs(30)).await;
        if let Err(SyncError::Fault { step }) = &passed {
            return Err(format!("died at {step:?}"));
        }
        delivered?;
        passed.map_err(|error| explain(&error))
    }

    /// Delivers everything that waits, unless the pass before died.
    async fn deliver(&self, room: &SyncRoom) -> Result<(), String> {
        let sink = MasterSink::new(Arc::clone(&self.master) as Arc<dyn agent::channel::MasterLink>);
        while deliver_next(room, &sink).await.map_err(|error| explain(&error))? {}
        Ok(())
    }

    /// Every file below the data folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(self.folder.path(), &mut files);
        files
    }

    fn spool_folder(&self) -> PathBuf {
        self.folder.path().join("spool")
    }
}

/// A hook that dies the `nth` time it passes `step`, and lets nothing pass after that.
pub fn die_at(step: Step, nth: usize) -> Faults {
    let seen = AtomicUsize::new(0);
    let dead = std::sync::atomic::AtomicBool::new(false);
    Faults::new(move |at| {
        if at == step && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            dead.store(true, Ordering::SeqCst);
        }
        dead.load(Ordering::SeqCst)
    })
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}
