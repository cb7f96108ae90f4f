//! Delivery: the oldest batch of the spool to the sink, one after the other, for ever.
//!
//! A batch leaves the index only when the sink took it, and its file only after that; a crash between the two leaves a
//! file that the next start removes. A failure is tried again with growing pauses; it is logged when it begins and when
//! its reason changes, not at every try.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::SyncError;
use super::error::explain;
use super::faults::Step;
use super::pass::SyncRoom;
use super::sink::{Sink, SinkError};

/// Why deliveries do not go on, when they do not.
#[derive(Debug, Clone, Default)]
pub struct DeliveryTrouble(Arc<Mutex<Option<String>>>);

impl DeliveryTrouble {
    /// The reason of the last failed try; `None` when the last one succeeded.
    pub fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the reason and gives the former one.
    fn replace(&self, reason: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), reason)
    }
}

/// Delivers until `cancel`.
pub async fn run(room: SyncRoom, sink: Arc<dyn Sink>, trouble: DeliveryTrouble, cancel: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let step = tokio::select! {
            () = cancel.cancelled() => return,
            step = deliver_next(&room, sink.as_ref()) => step,
        };
        let wait = match step {
            Ok(true) => {
                if trouble.replace(None).is_some() {
                    tracing::info!("sync batches are delivered again");
                }
                pause = FIRST_PAUSE;
                continue;
            }
            Ok(false) => None,
            Err(error) => {
                let reason = explain(&error);
                if trouble.replace(Some(reason.clone())).as_ref() != Some(&reason) {
                    tracing::warn!("a sync batch waits in the spool: {reason}");
                }
                let wait = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                Some(wait)
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = rest(&room, wait) => {}
        }
    }
}

/// Delivers the oldest batch; false when there is none.
///
/// # Errors
/// The sink did not take it, or the store failed.
pub async fn deliver_next(room: &SyncRoom, sink: &dyn Sink) -> Result<bool, DeliveryError> {
    let Some(batch) = room.ledger.next_batch().await.map_err(SyncError::from)? else {
        return Ok(false);
    };
    let file = room.spool.path_of(&batch);
    sink.deliver(&batch, &file, &room.faults).await?;
    room.ledger.delivered(batch.clone()).await.map_err(SyncError::from)?;
    room.faults.pass(Step::Freed)?;
    room.spool.remove(&batch)?;
    tracing::debug!(
        job = batch.job,
        epoch = batch.epoch,
        sequence = batch.sequence,
        rows = batch.rows,
        "batch delivered"
    );
    room.freed.notify_waiters();
    Ok(true)
}

/// A failed delivery.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The sink did not take the batch.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Store or spool failed.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// Until the pause is over, or until a batch is recorded when there is nothing to do.
async fn rest(room: &SyncRoom, pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => room.recorded.notified().await,
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
