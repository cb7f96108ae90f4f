//! The return queue: every return is sent until the master took it, oldest first.
//!
//! The queue lives in the store, so it survives a restart. While the master is away the sender backs off with
//! jitter up to [`LONGEST_WAIT`]; a return that the master refuses [`REFUSALS`] times is dropped with an error,
//! so that it cannot hold up the others. The policy of the bound (`agent: {returns_max_mb: 256}`): what waits stays; a
//! return for which there is no room is replaced by a short failure that says so under the same jid.

use std::{sync::Arc, time::Duration};

use proto::{Map, Value, msgpack};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::MasterLink,
    config::Config,
    store::{
        Store, StoreError,
        jobs::{self, Entry, Kept},
    },
};

/// Sends returns. Clones share one queue.
#[derive(Clone)]
pub struct ReturnQueue {
    store: Arc<Store>,
    link: Arc<dyn MasterLink>,
    news: Arc<Notify>,
    most: i64,
}

impl ReturnQueue {
    /// A queue over the store's returns.
    #[must_use]
    pub fn new(config: &Config, store: Arc<Store>, link: Arc<dyn MasterLink>) -> Self {
        let megabytes = config.agent_opt("returns_max_mb").and_then(states::Value::as_int);
        let most = megabytes.filter(|given| *given > 0).unwrap_or(DEFAULT_MB).saturating_mul(1024 * 1024);
        Self { store, link, news: Arc::new(Notify::new()), most }
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
        let entry = self.entry(&load);
        let jid = entry.jid.clone();
        match self.store.run(move |tx| jobs::enqueue(tx, &entry)).await {
            Ok(kept) => self.queued(&jid, kept),
            Err(error) => tracing::error!(jid, %error, "a return could not be queued and is lost"),
        }
    }

    /// Marks a job done and queues its return, in one step that a crash cannot part.
    pub async fn finish(&self, load: Map) {
        let entry = self.entry(&load);
        let jid = entry.jid.clone();
        match self.store.run(move |tx| jobs::finish(tx, &entry)).await {
            Ok(kept) => self.queued(&jid, kept),
            Err(error) => {
                tracing::error!(jid, %error, "the return could not be queued and is sent once");
                self.send_now(load).await;
            }
        }
    }

    fn entry(&self, load: &Map) -> Entry {
        let jid = load.get("jid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let record = msgpack::encode_map(load);
        let notice = msgpack::encode_map(&notice(load, record.len(), self.most));
        Entry { jid, load: record, notice, most: self.most }
    }

    fn queued(&self, jid: &str, kept: Kept) {
        match kept {
            Kept::Whole => {}
            Kept::AsNotice => {
                tracing::error!(
                    jid,
                    "the return queue is full; the master will be told that this return is lost"
                );
            }
            Kept::Lost => tracing::error!(jid, "the return queue is full; this return is lost"),
        }
        self.wake();
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
                    tokio::time::sleep(SHORTEST_WAIT * 2_u32.pow(refusals)).await;
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

/// The return that goes in the place of one for which there is no room.
fn notice(load: &Map, bytes: usize, most: i64) -> Map {
    let mut notice = Map::new();
    for key in ["jid", "fun", "fun_args", "user", "schedule"] {
        // Arguments may be what makes the return large.
        if let Some(echo) = load.get(key).filter(|echo| msgpack::encode(echo).len() < NOTICE_FIELD) {
            notice.insert(key, echo.clone());
        }
    }
    let text = format!(
        "ERROR: the job ran, but its return of {bytes} bytes is lost: the minion's return queue was full (agent: \
         {{returns_max_mb: {}}}) because the master did not take returns",
        most / (1024 * 1024)
    );
    notice.insert("return", text);
    notice.insert("retcode", 1);
    notice.insert("success", false);
    notice.insert("out", "nested");
    notice
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::Rng::gen_range(&mut rand::thread_rng(), 0.75..1.25))
}

const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often an idle queue is looked at without news.
const IDLE_LOOK: Duration = Duration::from_secs(60);
/// How many megabytes of returns may wait when `agent: {returns_max_mb}` is unset.
const DEFAULT_MB: i64 = 256;
/// The largest echo in a notice.
const NOTICE_FIELD: usize = 1024;
/// How often a return may be refused before it is dropped.
const REFUSALS: u32 = 5;
