//! What every job, state and background task shares: one value, built once at start.
//!
//! Nothing here runs by itself. The link is a trait object, so that `agent call --local` works with a
//! link that refuses ([`LocalLink`]) and tests with a scripted one.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::BoxFuture;
use states::Value;

use crate::{
    channel::{LinkError, MasterLink},
    config::Config,
    files::FileClient,
    job::JobTable,
    modules::ModuleTable,
    state_modules::StateModuleTable,
    store::Store,
    tasks::Tasks,
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
    /// The grains as last gathered.
    pub grains: Shared,
    /// The pillar as last compiled.
    pub pillar: Shared,
    /// The jobs that run.
    pub jobs: Arc<JobTable>,
    /// The execution modules.
    pub modules: ModuleTable,
    /// The state modules.
    pub state_modules: StateModuleTable,
    /// The file client.
    pub files: FileClient,
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
