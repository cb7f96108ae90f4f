//! States with `parallel: true`, each in a task of its own beside the run.
//!
//! At most `state_max_parallel` of them are called at a time, when the minion has that option. A run that is killed takes
//! them along: they see the same cancellation, and are aborted when the run is dropped.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use states::{Parallel, ParallelStep, Run};
use tokio::{sync::Semaphore, task::AbortHandle};

use super::caller::Caller;

/// The parallel states of one run.
pub(super) struct Beside {
    caller: Caller,
    allowed: Option<Arc<Semaphore>>,
    started: FuturesUnordered<BoxFuture<'static, Result<Parallel, usize>>>,
    aborts: Vec<AbortHandle>,
}

impl Beside {
    /// None started yet; `most` at a time, when it is more than nothing.
    pub(super) fn new(caller: Caller, most: Option<i64>) -> Self {
        let most = most.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0);
        let allowed = most.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Self { caller, allowed, started: FuturesUnordered::new(), aborts: Vec::new() }
    }

    /// Starts one.
    pub(super) fn start(&mut self, parallel: Parallel) {
        let (caller, allowed, chunk) = (self.caller.clone(), self.allowed.clone(), parallel.chunk());
        let name = format!("parallel state {}", parallel.call().chunk.id);
        let task = self.caller.services.tasks.spawn(name, async move {
            let _permit = match &allowed {
                Some(allowed) => allowed.acquire().await.ok(),
                None => None,
            };
            run_to_its_end(parallel, &caller).await
        });
        self.aborts.push(task.abort_handle());
        self.started.push(async move { task.await.map_err(|_| chunk) }.boxed());
    }

    /// Hands those back that are over.
    pub(super) fn hand_back(&mut self, run: &mut Run) {
        while let Some(Some(over)) = self.started.next().now_or_never() {
            give(over, run);
        }
    }

    /// Waits for the next that is over, or for the end of the run's job.
    pub(super) async fn wait(&mut self, run: &mut Run) {
        tokio::select! {
            over = self.started.next() => if let Some(over) = over { give(over, run) },
            () = self.caller.cancel.cancelled() => {}
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        for abort in &self.aborts {
            abort.abort();
        }
    }
}

fn give(over: Result<Parallel, usize>, run: &mut Run) {
    match over {
        Ok(parallel) => run.ended(parallel),
        Err(chunk) => run.lost(chunk),
    }
}

async fn run_to_its_end(mut parallel: Parallel, caller: &Caller) -> Parallel {
    loop {
        let (ret, timing) = caller.call(parallel.call()).await;
        match parallel.record(ret, timing) {
            ParallelStep::Over => return parallel,
            ParallelStep::Call(pause) => tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = caller.cancel.cancelled() => return parallel,
            },
        }
    }
}
