//! Delivery: the oldest batch of the spool to the sink, one after the other, for ever.
//!
//! Each sink that jobs name is served on its own: one that fails holds up none of the others.
//! A batch leaves the index only when the sink took it, and its file only after that; a crash between the two leaves a
//! file that the next start removes. A failure is tried again with growing pauses; it is logged when it begins and when
//! its reason changes, not at every try.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::store::sync::BatchRow;

use super::SyncError;
use super::error::explain;
use super::faults::Step;
use super::pass::SyncRoom;
use super::sink::{Sink, SinkError, Told};

/// Why deliveries do not go on, by sink, when they do not.
#[derive(Debug, Clone, Default)]
pub struct DeliveryTrouble(Arc<Mutex<HashMap<SinkName, String>>>);

/// The sink that a job names; the agent's own when none.
type SinkName = Option<String>;

impl DeliveryTrouble {
    /// The reason of the last failed try at that sink; `None` when the last one succeeded.
    pub fn reason(&self, sink: Option<&str>) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&sink.map(str::to_owned)).cloned()
    }

    /// Sets the reason and gives the former one.
    fn replace(&self, sink: &SinkName, reason: Option<String>) -> Option<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => all.insert(sink.clone(), reason),
            None => all.remove(sink),
        }
    }
}

/// Sinks that failed, until when they are left alone and for how long the next time.
#[derive(Debug, Default)]
struct Resting(HashMap<SinkName, (Instant, Duration)>);

impl Resting {
    fn failed(&mut self, sink: &SinkName) {
        let pause = self.0.get(sink).map_or(FIRST_PAUSE, |(_, pause)| (*pause * 2).min(LONGEST_PAUSE));
        self.0.insert(sink.clone(), (Instant::now() + pause, pause));
    }

    fn rests(&self, sink: &SinkName) -> bool {
        self.0.get(sink).is_some_and(|(until, _)| *until > Instant::now())
    }

    /// Until the first of them is tried again.
    fn shortest(&self) -> Option<Duration> {
        let waits = self.0.values().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        waits.filter(|wait| !wait.is_zero()).min()
    }
}

/// Delivers until `cancel`.
pub async fn run(room: SyncRoom, sink: Arc<dyn Sink>, trouble: DeliveryTrouble, cancel: CancellationToken) {
    let mut resting = Resting::default();
    loop {
        let step = tokio::select! {
            () = cancel.cancelled() => return,
            step = step(&room, sink.as_ref(), &mut resting, &trouble) => step,
        };
        match step {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!("the spool cannot be read: {}", explain(&error));
                resting.failed(&None);
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = rest(&room, resting.shortest()) => {}
        }
    }
}

/// Delivers the oldest batch whose sink does not rest; false when there is none.
async fn step(
    room: &SyncRoom,
    sink: &dyn Sink,
    resting: &mut Resting,
    trouble: &DeliveryTrouble,
) -> Result<bool, SyncError> {
    let mut next = room.ledger.next_batch().await?;
    if next.as_ref().is_some_and(|batch| resting.rests(&batch.sink)) {
        let first = room.ledger.next_batches().await?;
        next = first.into_iter().find(|batch| !resting.rests(&batch.sink));
    }
    let Some(batch) = next else { return Ok(false) };
    let to = batch.sink.clone();
    match deliver(room, sink, batch).await {
        Ok(()) => {
            resting.0.remove(&to);
            if trouble.replace(&to, None).is_some() {
                tracing::info!("sync batches are delivered again");
            }
        }
        Err(error) => {
            let reason = explain(&error);
            if trouble.replace(&to, Some(reason.clone())).as_ref() != Some(&reason) {
                tracing::warn!("a sync batch waits in the spool: {reason}");
            }
            resting.failed(&to);
        }
    }
    Ok(true)
}

/// Delivers the oldest batch; false when there is none.
///
/// # Errors
/// The sink did not take it, or the store failed.
pub async fn deliver_next(room: &SyncRoom, sink: &dyn Sink) -> Result<bool, DeliveryError> {
    let Some(batch) = room.ledger.next_batch().await.map_err(SyncError::from)? else { return Ok(false) };
    deliver(room, sink, batch).await?;
    Ok(true)
}

async fn deliver(room: &SyncRoom, sink: &dyn Sink, batch: BatchRow) -> Result<(), DeliveryError> {
    let file = room.spool.path_of(&batch);
    let event = match sink.deliver(&batch, &file, &room.faults).await? {
        Told::Master => None,
        Told::Nobody(place) => Some(with_place(&batch.event, place)?),
    };
    room.ledger.delivered(batch.clone(), event).await.map_err(SyncError::from)?;
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
    Ok(())
}

/// The event of a batch that lies elsewhere than at the master.
fn with_place(event: &str, place: String) -> Result<String, DeliveryError> {
    let mut event: serde_json::Value = serde_json::from_str(event).map_err(SinkError::from)?;
    if let Some(event) = event.as_object_mut() {
        event.insert("path".to_owned(), place.into());
    }
    Ok(event.to_string())
}

/// Sends what masters have not heard, in order, until `cancel`.
pub async fn announce(room: SyncRoom, cancel: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        // Made before the look, so that what is delivered meanwhile is not slept over.
        let freed = room.freed.notified();
        let heard = tokio::select! {
            () = cancel.cancelled() => return,
            heard = announce_next(&room) => heard,
        };
        let wait = match heard {
            Ok(true) => {
                pause = FIRST_PAUSE;
                continue;
            }
            Ok(false) => LONGEST_PAUSE,
            Err(reason) => {
                tracing::debug!("an event of a batch waits for a master: {reason}");
                pause = (pause * 2).min(LONGEST_PAUSE);
                pause
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = freed, if pause == FIRST_PAUSE => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Sends the oldest event; false when there is none.
async fn announce_next(room: &SyncRoom) -> Result<bool, String> {
    let next = room.ledger.next_event().await.map_err(|error| error.to_string())?;
    let Some((id, tag, data)) = next else { return Ok(false) };
    let data = serde_json::from_str(&data).map_err(|error| error.to_string())?;
    room.herald.fire(&tag, &data).await?;
    room.ledger.event_sent(id).await.map_err(|error| error.to_string())?;
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

/// Until a resting sink is tried again, or a batch is recorded.
async fn rest(room: &SyncRoom, pause: Option<Duration>) {
    let recorded = room.recorded.notified();
    match pause {
        Some(pause) => drop(tokio::time::timeout(pause, recorded).await),
        None => recorded.await,
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
