//! The only place that spawns tasks.
//!
//! Every task has a name, sees one cancellation token, and is joined at shutdown: what does not end
//! within the grace period is aborted and named in one line. Blocking work (rendering, SQLite,
//! grains) runs through [`Tasks::blocking`] so that it is counted and joined as well.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns, names, cancels and joins every task of the process. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

impl Tasks {
    /// An empty table with a fresh cancellation token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The token that is cancelled when the process shuts down.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.inner.token.clone()
    }

    /// Spawns a future under a name; it is joined by [`Tasks::shutdown`].
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let entry = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let name = name.into();
        let guard = Registered { inner: Arc::clone(&self.inner), entry };
        let mut live = self.inner.live.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = self.inner.tracker.spawn(async move {
            let _guard = guard;
            future.await
        });
        live.insert(entry, Live { name, abort: handle.abort_handle() });
        handle
    }

    /// Runs blocking work on the blocking pool and waits for it.
    ///
    /// # Errors
    /// The [`JoinError`] of work that panicked.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, JoinError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.inner.tracker.spawn_blocking(work).await
    }

    /// The names of the tasks that still run.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        let live = self.inner.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.values().map(|task| task.name.to_string()).collect()
    }

    /// Cancels the token, waits up to `grace` for all tasks, aborts and names what was left.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.token.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(grace, self.inner.tracker.wait()).await.is_ok() {
            tracing::info!("all tasks ended");
            return;
        }
        let left = self.running();
        for task in self.inner.live.lock().unwrap_or_else(PoisonError::into_inner).values() {
            task.abort.abort();
        }
        tracing::warn!(left = left.join(", "), "tasks did not end within the grace period and were aborted");
    }
}

/// A thread for work that can neither wait for a token nor be cancelled: it ends with the process.
///
/// # Errors
/// The system gives no thread.
pub fn thread_of_the_process(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

#[derive(Debug, Default)]
struct Inner {
    token: CancellationToken,
    tracker: TaskTracker,
    next: AtomicU64,
    live: Mutex<BTreeMap<u64, Live>>,
}

#[derive(Debug)]
struct Live {
    name: Cow<'static, str>,
    abort: AbortHandle,
}

/// Takes a task off the table when its future is dropped, however it ended.
struct Registered {
    inner: Arc<Inner>,
    entry: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.inner.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn joins_tasks_that_heed_the_token() {
        let tasks = Tasks::new();
        let token = tasks.token();
        let handle = tasks.spawn("waits for the token", async move { token.cancelled().await });
        assert_eq!(tasks.running(), ["waits for the token"]);
        tasks.shutdown(Duration::from_secs(60)).await;
        handle.await.unwrap();
        assert!(tasks.running().is_empty());
    }

    #[tokio::test]
    async fn aborts_tasks_that_do_not_end() {
        let tasks = Tasks::new();
        let handle = tasks.spawn("never ends", std::future::pending::<()>());
        tasks.shutdown(Duration::ZERO).await;
        assert!(handle.await.unwrap_err().is_cancelled());
    }
}
