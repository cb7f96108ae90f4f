//! The only place that spawns tasks: named, cancelled by one token, joined at shutdown.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The tasks of one server.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<&'static str>,
    token: CancellationToken,
}

impl Tasks {
    /// The token that ends them.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts one. When any ends, all end.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.set.spawn(async move {
            task.await;
            token.cancel();
            name
        });
    }

    /// Starts one of many short ones, whose end ends nothing.
    pub fn add(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        // The ended ones are taken out, so that the set stays as small as the work at hand.
        while self.set.try_join_next().is_some() {}
        self.set.spawn(async move {
            task.await;
            "short"
        });
    }

    /// Waits for all that were added.
    pub async fn drain(mut self) {
        while self.set.join_next().await.is_some() {}
    }

    /// Waits for the token, then gives every task the grace period to end.
    pub async fn finish(mut self, grace: Duration) {
        self.token.cancelled().await;
        let ended =
            tokio::time::timeout(grace, async { while self.set.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(left = self.set.len(), "tasks were aborted at shutdown");
            self.set.abort_all();
        }
    }
}
