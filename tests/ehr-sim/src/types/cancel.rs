//! The cancel flag of a running request: set by an attention, a kill or a lost client; wakes whatever waits.
//!
//! Invariant `wakes-waiters`: setting the flag wakes [`Cancel::wait_timeout`] and runs every registered hook,
//! so neither a lock wait nor `WAITFOR` outlives it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

type Hook = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Shared {
    flag: AtomicBool,
    next: AtomicU64,
    hooks: Mutex<Vec<(u64, Hook)>>,
    gate: Mutex<()>,
    wake: Condvar,
}

/// A shareable cancel flag; clones share it.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Shared>);

/// Keeps a hook registered until dropped.
pub struct CancelHook {
    shared: Arc<Shared>,
    id: u64,
}

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes every waiter.
    pub fn cancel(&self) {
        self.0.flag.store(true, Ordering::SeqCst);
        drop(self.0.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.wake.notify_all();
        let hooks: Vec<Hook> = lock(&self.0.hooks).iter().map(|(_, hook)| hook.clone()).collect();
        hooks.iter().for_each(|hook| hook());
    }

    /// Clears the flag before the next request.
    pub fn reset(&self) {
        self.0.flag.store(false, Ordering::SeqCst);
    }

    /// Whether it is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.flag.load(Ordering::Relaxed)
    }

    /// Waits until set or until `timeout` has passed; answers whether it is set.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.wake.wait_timeout_while(gate, timeout, |()| !self.is_cancelled());
        drop(waited);
        self.is_cancelled()
    }

    /// Runs `hook` when the flag is set, until the guard is dropped.
    pub fn on_cancel(&self, hook: impl Fn() + Send + Sync + 'static) -> CancelHook {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.hooks).push((id, Arc::new(hook)));
        CancelHook { shared: self.0.clone(), id }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

impl Drop for CancelHook {
    fn drop(&mut self) {
        lock(&self.shared.hooks).retain(|(id, _)| *id != self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
