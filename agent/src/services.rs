//! What every job, state and background task shares: one value, built once at start.
//!
//! Nothing here runs by itself. The link is a trait object, so that `agent call --local` works with a
//! link that refuses and tests with a scripted one.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use states::Value;
use tokio::sync::watch;

use crate::{
    beacons::Beacons,
    channel::{MasterAddress, MasterLink},
    config::Config,
    files::FileClient,
    grains::Gatherer,
    job::JobTable,
    modules::ModuleTable,
    release::supervised::Supervised,
    schedule::Schedule,
    schema::SchemaBook,
    state_modules::StateModuleTable,
    store::Store,
    sync::{SyncRoom, SyncScheduler, herald::Herald},
    tasks::Tasks,
    write::WriteRoom,
};

/// The process' shared parts.
pub struct Services {
    /// The configuration, immutable.
    pub config: Arc<Config>,
    /// The request channel to the master.
    pub link: Arc<dyn MasterLink>,
    /// The durable store.
    pub store: Arc<Store>,
    /// The only spawner.
    pub tasks: Tasks,
    /// Gathers the grains.
    pub gatherer: Gatherer,
    /// The grains as last gathered.
    pub grains: Shared,
    /// The pillar as last compiled.
    pub pillar: Shared,
    /// The jobs that run.
    pub jobs: JobTable,
    /// The file client.
    pub files: FileClient,
    /// The beacons.
    pub beacons: Beacons,
    /// The schedule.
    pub schedule: Schedule,
    /// The sync jobs.
    pub syncs: Arc<SyncScheduler>,
    /// The writes.
    pub writes: WriteRoom,
    /// The execution modules.
    pub modules: ModuleTable,
    /// The state modules.
    pub state_modules: StateModuleTable,
    /// How many states of the run in progress are through, and of how many.
    pub states_done: watch::Sender<(usize, usize)>,
    /// The supervisor, when one started this process.
    pub release: Option<Arc<Supervised>>,
    gathered: watch::Sender<bool>,
    greeted: Mutex<HashSet<MasterAddress>>,
}

/// How well a master that connects is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// The first master of this process.
    First,
    /// Another master.
    New,
    /// It was greeted before.
    Known,
}

impl Services {
    /// Puts the parts together, with every built-in module.
    #[must_use]
    pub fn new(config: Arc<Config>, link: Arc<dyn MasterLink>, store: Arc<Store>, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self {
            files: FileClient::new(&config, Arc::clone(&link), tasks.clone()),
            beacons: Beacons::of(&config),
            schedule: Schedule::of(&config),
            syncs: Arc::new(SyncScheduler::new(SyncRoom {
                herald: Herald::new(Arc::clone(&link), tasks.clone()),
                ..SyncRoom::new(&config, Arc::clone(&store), tasks.clone())
            })),
            writes: WriteRoom::new(&config, Arc::clone(&store), tasks.clone()),
            config,
            link,
            store,
            tasks,
            gatherer: Gatherer::default(),
            grains: Shared::default(),
            pillar: Shared::default(),
            jobs: JobTable::default(),
            modules: ModuleTable::new(crate::modules::built_in()),
            state_modules: StateModuleTable::new(crate::state_modules::built_in()),
            states_done: watch::Sender::new((0, 0)),
            release: Supervised::of_environment(),
            gathered: watch::Sender::new(false),
            greeted: Mutex::default(),
        })
    }

    /// The approved schemas.
    #[must_use]
    pub fn schemas(&self) -> SchemaBook {
        SchemaBook::new(Arc::clone(&self.store))
    }

    /// Gathers the grains anew; those that are slow keep their last values.
    pub async fn refresh_grains(&self) -> Arc<Value> {
        let grains = self.gatherer.gather(&self.tasks, &self.config).await;
        self.grains.replace(grains.into());
        self.gathered.send_replace(true);
        self.grains.current()
    }

    /// Takes grains in that came late. Whether anything changed.
    pub fn take_late_grains(&self) -> bool {
        let grains = Value::from(self.gatherer.current(&self.config));
        let changed = *self.grains.current() != grains;
        self.grains.replace(grains);
        changed
    }

    /// Notes that a master is greeted, and tells how well it was known before.
    pub fn greet(&self, master: &MasterAddress) -> Acquaintance {
        let mut greeted = self.greeted.lock().unwrap_or_else(PoisonError::into_inner);
        match (greeted.is_empty(), greeted.insert(master.clone())) {
            (true, _) => Acquaintance::First,
            (false, true) => Acquaintance::New,
            (false, false) => Acquaintance::Known,
        }
    }

    /// The grains, once they were gathered for the first time.
    pub async fn grains_ready(&self) -> Arc<Value> {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.gathered.subscribe().wait_for(|done| *done).await;
        self.grains.current()
    }
}

/// A value that is replaced whole; readers keep the one they took.
#[derive(Debug, Default)]
pub struct Shared(RwLock<Arc<Value>>);

impl Shared {
    /// Holds `value`.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value of this moment.
    #[must_use]
    pub fn current(&self) -> Arc<Value> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the value.
    pub fn replace(&self, value: Value) -> Arc<Value> {
        let value = Arc::new(value);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&value);
        value
    }
}
