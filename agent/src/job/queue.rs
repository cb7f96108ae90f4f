//! The return queue: every return is sent until the master took it, oldest first.
//!
//! The queue lives in the store, so it survives a restart. While the master is away the sender backs off with
//! jitter up to [`LONGEST_WAIT`]; a return that the master refuses [`REFUSALS`] times is dropped with an error,
//! so that it cannot hold up the others.

use std::{sync::Arc, time::Duration};

use proto::{Map, Value, msgpack};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::MasterLink,
    store::{Store, StoreError, jobs},
};

/// Sends returns. Clones share one queue.
#[derive(Clone)]
pub struct ReturnQueue {
    store: Arc<Store>,
    link: Arc<dyn MasterLink>,
    news: Arc<Notify>,
}

impl ReturnQueue {
    /// A queue over the store's returns.
    #[must_use]
    pub fn new(store: Arc<Store>, link: Arc<dyn MasterLink>) -> Self {
        Self { store, link, news: Arc::new(Notify::new()) }
    }

    /// Says that there may be something to send, or that the link is back.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Sends a return without queueing it first; queues it when that fails.
    pub async fn send_now(&self, load: Map) {
        let Err(error) = self.link.return_job(load.clone()).await else { return };
        tracing::debug!(%error, "a return is queued");
        self.enqueue(load).await;
    }

    /// Queues a return that belongs to no recorded job.
    pub async fn enqueue(&self, load: Map) {
        let jid = load.get("jid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let record = msgpack::encode_map(&load);
        let queued = self.store.run(move |tx| jobs::enqueue(tx, &jid, &record)).await;
        match queued {
            Ok(Some(_)) => self.wake(),
            Ok(None) => tracing::error!("the return queue is full; a return is dropped"),
            Err(error) => tracing::error!(%error, "a return could not be queued and is lost"),
        }
    }

    /// Sends until the token is cancelled.
    pub async fn drain(self, stop: CancellationToken) {
        let mut wait = SHORTEST_WAIT;
        loop {
            let sent = tokio::select! {
                sent = self.send_all() => sent,
                () = stop.cancelled() => return,
            };
            let pause = if sent { None } else { Some(wait) };
            wait = if sent { SHORTEST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
            tokio::select! {
                () = self.news.notified() => {}
                () = tokio::time::sleep(pause.map_or(IDLE_LOOK, jittered)) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Sends what waits for as long as the link takes it; the shutdown's last act.
    pub async fn flush(&self) {
        self.send_all().await;
    }

    /// Sends everything that waits. `false` when the link failed in between.
    async fn send_all(&self) -> bool {
        let mut refusals = 0;
        loop {
            let next = self.store.run(|tx| jobs::next_return(tx, 0)).await;
            let queued = match next {
                Ok(Some(queued)) => queued,
                Ok(None) => return true,
                Err(error) => {
                    tracing::error!(%error, "the return queue cannot be read");
                    return false;
                }
            };
            let Some(load) = msgpack::decode(&queued.load).ok().and_then(Value::into_map) else {
                tracing::error!(id = queued.id, "a queued return is damaged and is dropped");
                self.forget(queued.id).await;
                continue;
            };
            let jid = load.get("jid").and_then(Value::as_str).unwrap_or_default().to_owned();
            match self.link.return_job(load).await {
                Ok(()) => self.forget(queued.id).await,
                Err(error) if error.is_retryable() => {
                    tracing::info!(jid, %error, "a return waits for the master");
                    return false;
                }
                Err(error) if refusals + 1 < REFUSALS => {
                    refusals += 1;
                    tracing::warn!(jid, %error, refusals, "the master refused a return; it is sent again");
                    tokio::time::sleep(SHORTEST_WAIT).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(jid, %error, "the master refuses this return; it is dropped");
                    self.forget(queued.id).await;
                }
            }
            refusals = 0;
        }
    }

    async fn forget(&self, id: i64) {
        let done: Result<(), StoreError> = self.store.run(move |tx| jobs::delivered(tx, id)).await;
        if let Err(error) = done {
            tracing::error!(id, %error, "a delivered return could not be taken off the queue");
        }
    }
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::Rng::gen_range(&mut rand::thread_rng(), 0.75..1.25))
}

const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often an idle queue is looked at without news.
const IDLE_LOOK: Duration = Duration::from_secs(60);
/// How often a return may be refused before it is dropped.
const REFUSALS: u32 = 5;
