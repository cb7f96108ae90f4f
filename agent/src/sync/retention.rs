//! Removes what a job's retention keeps no longer, at the job's sink.
//!
//! A job is looked at when a batch of it was delivered, and every hour. Its epoch counts as whole when its snapshot is read
//! and nothing of it waits in the spool; until then nothing is removed, so a sink never has less than one whole epoch.
//! What the agent itself keeps needs no retention: a delivered batch is gone from disk and store, marks of rows are those of
//! the newest epoch alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::SyncError;
use super::cursor::Reading;
use super::error::explain;
use super::ledger::JobState;
use super::names::{Epoch, JobName};
use super::pass::SyncRoom;
use super::sink::{Replaced, Sink};

/// Removes until `cancel`.
pub async fn run(room: SyncRoom, sink: Arc<dyn Sink>, cancel: CancellationToken) {
    let mut looked: HashMap<JobName, (Epoch, Instant)> = HashMap::new();
    loop {
        let freed = room.freed.notified();
        let pruned = tokio::select! {
            () = cancel.cancelled() => return,
            pruned = prune_all(&room, sink.as_ref(), &mut looked) => pruned,
        };
        if let Err(error) = pruned {
            tracing::warn!("replaced epochs could not be looked for: {}", explain(&error));
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = freed => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn prune_all(
    room: &SyncRoom,
    sink: &dyn Sink,
    looked: &mut HashMap<JobName, (Epoch, Instant)>,
) -> Result<(), SyncError> {
    for job in room.ledger.jobs().await? {
        let lately =
            looked.get(&job.spec.name).is_some_and(|(epoch, at)| *epoch == job.epoch && at.elapsed() < EVERY);
        if lately || job.spec.retention.is_none() {
            continue;
        }
        match prune(room, sink, &job).await {
            Ok(Some(_)) => drop(looked.insert(job.spec.name, (job.epoch, Instant::now()))),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(job = %job.spec.name, "replaced epochs stay at the sink: {error}");
                looked.insert(job.spec.name, (job.epoch, Instant::now()));
            }
        }
    }
    Ok(())
}

/// Removes what the job keeps no longer; `None` while its newest epoch is not whole at the sink.
///
/// # Errors
/// The sink or the store failed.
pub async fn prune(room: &SyncRoom, sink: &dyn Sink, job: &JobState) -> Result<Option<usize>, String> {
    let Some(retention) = job.spec.retention else { return Ok(None) };
    let waiting = room.ledger.depth(Some(&job.spec.name)).await.map_err(|error| error.to_string())?;
    if waiting.batches > 0 || !is_read(job) {
        return Ok(None);
    }
    let replaced = Replaced {
        sink: job.spec.sink.clone(),
        folder: job.spec.name.path_component(),
        whole: job.epoch.get(),
        retention,
    };
    let removed = sink.prune(&replaced).await.map_err(|error| explain(&error))?;
    if removed > 0 {
        tracing::info!(job = %job.spec.name, removed, "files of replaced epochs are removed from the sink");
    }
    Ok(Some(removed))
}

/// Whether the snapshot of the job's epoch is read to its end.
fn is_read(job: &JobState) -> bool {
    let progress = &job.progress;
    match progress.reading {
        Reading::New | Reading::Snapshot { .. } => false,
        Reading::Increments { .. } => true,
        // The first sweep of an epoch is its snapshot.
        Reading::Sweeps => progress.sweep.ended > 0,
        Reading::Whole => progress.content.is_some(),
    }
}

const EVERY: Duration = Duration::from_secs(3600);
