//! Runs declared jobs on their interval and answers for them.
//!
//! One loop per job, so a job never overlaps itself; one loop for deliveries. A pass that failed for a passing reason is
//! tried again sooner than the interval, one that needs someone to act waits for the interval; neither ends the loop.
//! Intervals are measured on the monotonic clock; what waits for a time of day looks again when the machine's clock was set.
//! Until [`SyncScheduler::start`] nothing runs by itself: `agent call --local` declares and runs passes in place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SyncError;
use super::deliver::{self, DeliveryTrouble};
use super::error::explain;
use super::ledger::{Declared, JobState};
use super::names::{Epoch, JobName};
use super::note::Note;
use super::pass::{Ending, PassReport, SyncRoom, Want, run_pass};
use super::retention;
use super::sink::Sink;
use super::spec::{JobSpec, Timing};
use crate::clock;
use crate::store::sync::SpoolDepth;

/// The jobs of this process.
pub struct SyncScheduler {
    room: SyncRoom,
    running: Mutex<HashMap<JobName, Running>>,
    statuses: Mutex<HashMap<JobName, LastPass>>,
    started: Mutex<Option<CancellationToken>>,
    trouble: DeliveryTrouble,
}

struct Running {
    cancel: CancellationToken,
    requests: mpsc::Sender<Request>,
    handle: JoinHandle<()>,
}

struct Request {
    want: Want,
    answer: oneshot::Sender<Result<PassReport, String>>,
}

/// How the last pass of a job went, in this process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LastPass {
    /// A pass runs right now.
    pub running: bool,
    /// When the last one ended.
    pub ended: Option<SystemTime>,
    /// What it did, when it went well.
    pub report: Option<PassReport>,
    /// Why it failed, when it did.
    pub error: Option<String>,
    /// When the next one begins.
    pub next: Option<SystemTime>,
}

/// A job as status shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStatus {
    /// Declaration and progress.
    pub state: JobState,
    /// What waits in the spool for the sink.
    pub spool: SpoolDepth,
    /// The last pass.
    pub last: LastPass,
    /// How it stands.
    pub note: Note,
    /// Why deliveries do not go on.
    pub delivery_trouble: Option<String>,
}

impl SyncScheduler {
    /// A scheduler at rest.
    pub fn new(room: SyncRoom) -> Self {
        Self {
            room,
            running: Mutex::default(),
            statuses: Mutex::default(),
            started: Mutex::default(),
            trouble: DeliveryTrouble::default(),
        }
    }

    /// Cleans the spool, then runs every declared job and delivers to `sink` until the process' tasks are cancelled.
    ///
    /// # Errors
    /// Store or spool cannot be read.
    pub async fn start(self: &Arc<Self>, sink: Arc<dyn Sink>) -> Result<(), SyncError> {
        let known = self.room.ledger.batches().await?;
        let left = self.room.spool.clean(&known)?;
        if left > 0 {
            tracing::info!(left, "removed spool files of interrupted passes; their rows are read again");
        }
        let token = self.room.tasks.token();
        *lock(&self.started) = Some(token.clone());
        let announce = deliver::announce(self.room.clone(), token.clone());
        self.room.tasks.spawn("sync events", announce);
        let retention = retention::run(self.room.clone(), Arc::clone(&sink), token.clone());
        self.room.tasks.spawn("sync retention", retention);
        let delivery = deliver::run(self.room.clone(), sink, self.trouble.clone(), token);
        self.room.tasks.spawn("sync delivery", delivery);
        for job in self.room.ledger.jobs().await? {
            self.begin(&job.spec, First::InItsTime).await;
        }
        Ok(())
    }

    /// Writes a checked declaration and runs it from now on.
    ///
    /// # Errors
    /// The store failed.
    pub async fn declare(self: &Arc<Self>, spec: JobSpec) -> Result<Declared, SyncError> {
        let declared = self.room.ledger.declare(spec.clone(), SystemTime::now()).await?;
        if declared != Declared::Unchanged {
            self.begin(&spec, First::InItsTime).await;
        }
        Ok(declared)
    }

    /// Ends a job; true when there was one. What it read is still delivered.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove(&self, name: &JobName) -> Result<bool, SyncError> {
        self.end(name).await;
        lock(&self.statuses).remove(name);
        self.room.ledger.remove(name).await
    }

    /// Begins a new epoch of a job and its snapshot with it.
    ///
    /// # Errors
    /// No such job, or the store failed.
    pub async fn resnapshot(self: &Arc<Self>, name: &JobName) -> Result<Epoch, SyncError> {
        let state = self.room.ledger.resnapshot(name, SystemTime::now()).await?;
        self.begin(&state.spec, First::Now).await;
        Ok(state.epoch)
    }

    /// Runs a pass of `name` for what is new and waits for it.
    ///
    /// # Errors
    /// No such job, or why the pass failed.
    pub async fn run(&self, name: &JobName) -> Result<PassReport, String> {
        self.run_for(name, Want::News).await
    }

    /// Runs a pass of `name` for `want` and waits for it.
    ///
    /// # Errors
    /// No such job, or why the pass failed.
    pub async fn run_for(&self, name: &JobName, want: Want) -> Result<PassReport, String> {
        self.room.ledger.job(name).await.map_err(|error| explain(&error))?;
        let requests = lock(&self.running).get(name).map(|running| running.requests.clone());
        let Some(requests) = requests else {
            return run_pass(&self.room, name, want).await.map_err(|error| explain(&error));
        };
        let (answer, report) = oneshot::channel();
        let gone = |_| format!("sync job {name} was declared anew or removed meanwhile");
        requests.send(Request { want, answer }).await.map_err(|_| gone(()))?;
        report.await.map_err(|_| gone(()))?
    }

    /// The declared jobs with what is known of them; all, or the one of that name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn status(&self, only: Option<&JobName>) -> Result<Vec<JobStatus>, SyncError> {
        let mut jobs = Vec::new();
        for state in self.room.ledger.jobs().await? {
            if only.is_some_and(|name| *name != state.spec.name) {
                continue;
            }
            let spool = self.room.ledger.depth(Some(&state.spec.name)).await?;
            let last = lock(&self.statuses).get(&state.spec.name).cloned().unwrap_or_default();
            let note = self.room.ledger.note(&state.spec.name).await?.unwrap_or_default();
            let delivery_trouble = self.trouble.reason(state.spec.sink.as_deref());
            jobs.push(JobStatus { state, spool, last, note, delivery_trouble });
        }
        Ok(jobs)
    }

    /// The job of that name as it is declared.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find(&self, name: &JobName) -> Result<Option<JobState>, SyncError> {
        self.room.ledger.find(name).await
    }

    /// (Re)starts the loop of a job, when the scheduler runs.
    async fn begin(self: &Arc<Self>, spec: &JobSpec, first: First) {
        self.end(&spec.name).await;
        let Some(parent) = lock(&self.started).clone() else { return };
        let cancel = parent.child_token();
        let (requests, received) = mpsc::channel(REQUESTS);
        let (name, timing) = (spec.name.clone(), spec.timing.clone());
        let job = JobLoop { scheduler: Arc::clone(self), name, timing, first };
        let work = job.run(received, cancel.clone());
        let handle = self.room.tasks.spawn(format!("sync job {}", spec.name), work);
        lock(&self.running).insert(spec.name.clone(), Running { cancel, requests, handle });
    }

    async fn end(&self, name: &JobName) {
        let running = lock(&self.running).remove(name);
        if let Some(Running { cancel, handle, .. }) = running {
            cancel.cancel();
            drop(handle.await);
        }
    }

    fn note(&self, name: &JobName, change: impl FnOnce(&mut LastPass)) {
        change(lock(&self.statuses).entry(name.clone()).or_default());
    }
}

/// The loop of one job.
struct JobLoop {
    scheduler: Arc<SyncScheduler>,
    name: JobName,
    timing: Timing,
    first: First,
}

/// When the first pass of a loop runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// At once: somebody asked for it.
    Now,
    /// At once for a job that runs on an interval; at its next time for one that has a cron line, because an agent that
    /// is started at noon must not read a table whose time is the night.
    InItsTime,
}

/// How long a job rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// For so long, whatever the clock says.
    For(Duration),
    /// Until its interval is over or the time of its cron line comes.
    UntilItsTime,
    /// Until the quiet hours end.
    UntilQuietEnds,
}

impl Rest {
    fn pause(self, timing: &Timing, now: DateTime<Local>) -> Duration {
        match self {
            Self::For(pause) => pause,
            Self::UntilItsTime => timing.pause(now),
            Self::UntilQuietEnds => timing.quiet_for(now.naive_local()).unwrap_or_default(),
        }
    }

    fn follows_the_clock(self, timing: &Timing) -> bool {
        match self {
            Self::For(_) => false,
            Self::UntilItsTime => timing.cron.is_some(),
            Self::UntilQuietEnds => true,
        }
    }
}

impl JobLoop {
    async fn run(self, mut requests: mpsc::Receiver<Request>, cancel: CancellationToken) {
        let mut rest = match self.first {
            First::InItsTime if self.timing.cron.is_some() => Rest::UntilItsTime,
            First::InItsTime | First::Now => Rest::For(Duration::ZERO),
        };
        loop {
            let asked = tokio::select! {
                () = cancel.cancelled() => return,
                () = self.rest(rest) => None,
                request = requests.recv() => request,
            };
            rest = tokio::select! {
                () = cancel.cancelled() => return,
                rest = self.pass(asked) => rest,
            };
        }
    }

    /// Waits; a time of day is reckoned anew when the clock was set, and one that the clock leapt over by little has come.
    async fn rest(&self, rest: Rest) {
        loop {
            let (now, pause) = (Local::now(), rest.pause(&self.timing, Local::now()));
            self.scheduler.note(&self.name, |last| last.next = Some(SystemTime::now() + pause));
            tokio::select! {
                () = tokio::time::sleep(pause) => return,
                _ = clock::jumped(), if rest.follows_the_clock(&self.timing) => {}
            }
            let late = Local::now() - (now + pause);
            if late.to_std().is_ok_and(|late| late <= LATE) {
                return;
            }
        }
    }

    /// Runs a pass, answers who asked for it and gives the rest until the next.
    async fn pass(&self, asked: Option<Request>) -> Rest {
        let room = &self.scheduler.room;
        self.scheduler.note(&self.name, |last| last.running = true);
        let (want, mut answer) = asked.map_or((Want::News, None), |asked| (asked.want, Some(asked.answer)));
        let pass = run_pass(room, &self.name, want);
        let outcome = match &mut answer {
            None => pass.await,
            // Dropped, it closes its connection, which ends its statement; what it recorded stays.
            Some(answer) => tokio::select! {
                outcome = pass => outcome,
                () = answer.closed() => Err(SyncError::Killed),
            },
        };
        let rest = self.rest_after(&outcome);
        let ending = outcome.as_ref().map(|report| report.ending).ok();
        let outcome = outcome.map_err(|error| explain(&error));
        self.scheduler.note(&self.name, |last| record(last, &self.name, outcome.clone()));
        if let Some(answer) = answer {
            drop(answer.send(outcome));
        }
        if matches!(ending, Some(Ending::SpoolFull | Ending::SpoolOld | Ending::DiskFull)) {
            drop(tokio::time::timeout(self.timing.interval, room.freed.notified()).await);
        }
        rest
    }

    fn rest_after(&self, outcome: &Result<PassReport, SyncError>) -> Rest {
        let soon = Rest::For(self.timing.interval.min(RETRY_PAUSE));
        match outcome {
            Ok(PassReport {
                ending: Ending::SpoolFull | Ending::SpoolOld | Ending::DiskFull | Ending::GaveWay,
                ..
            }) => Rest::For(Duration::ZERO),
            Ok(PassReport { ending: Ending::Busy, .. }) => soon,
            Ok(PassReport { ending: Ending::Quiet, .. }) => Rest::UntilQuietEnds,
            Err(error) if error.is_retryable() => soon,
            Ok(PassReport { ending: Ending::CaughtUp, .. }) | Err(_) => Rest::UntilItsTime,
        }
    }
}

/// Notes how a pass ended; the log hears of a failure when its reason is new.
fn record(last: &mut LastPass, name: &JobName, outcome: Result<PassReport, String>) {
    let before = last.error.take();
    last.running = false;
    last.ended = Some(SystemTime::now());
    match outcome {
        Ok(report) => {
            if before.is_some() {
                tracing::info!(job = %name, "sync job runs again");
            }
            tracing::debug!(job = %name, rows = report.rows, batches = report.batches, "sync pass done");
            last.report = Some(report);
        }
        Err(reason) => {
            if before.as_ref() != Some(&reason) {
                tracing::warn!(job = %name, "sync pass failed: {reason}");
            }
            last.error = Some(reason);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const REQUESTS: usize = 8;
/// A time of day that the clock leapt over by no more has come; a longer leap is a clock that was set right, or a machine that
/// slept, and the next such time is waited for.
const LATE: Duration = Duration::from_secs(3600);
const RETRY_PAUSE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
