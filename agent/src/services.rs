//! What every job, state and background task shares: one value, built once at start.
//!
//! Nothing here runs by itself.

use std::sync::{Arc, PoisonError, RwLock};

use states::Value;

use crate::{modules::ModuleTable, state_modules::StateModuleTable, store::Store, tasks::Tasks};

/// The process' shared parts.
pub struct Services {
    /// The durable store.
    pub store: Arc<Store>,
    /// The only spawner.
    pub tasks: Tasks,
    /// The grains as last gathered.
    pub grains: Shared,
    /// The pillar as last compiled.
    pub pillar: Shared,
    /// The execution modules.
    pub modules: ModuleTable,
    /// The state modules.
    pub state_modules: StateModuleTable,
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
