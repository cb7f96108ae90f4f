//! The scheduler around passes that cannot reach their server, and deliveries from what a former process left.

use std::path::Path;

use futures_util::future::BoxFuture;

use super::*;
use crate::store::Store;
use crate::store::sync::BatchRow;
use crate::sync::cursor::Progress;
use crate::sync::faults::Faults;
use crate::sync::ledger::{Ledger, RowChanges};
use crate::sync::sink::{Replaced, SinkError, Told};
use crate::sync::spec::tests::spec;
use crate::sync::spool::Spool;
use crate::tasks::Tasks;

/// Notes what it was given.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Sink for Notes {
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        _: &'a Faults,
    ) -> BoxFuture<'a, Result<Told, SinkError>> {
        Box::pin(async move {
            let content = std::fs::read_to_string(file)
                .map_err(|source| SinkError::Read { path: file.into(), source })?;
            lock(&self.0).push(format!("{}: {content}", batch.file));
            Ok(Told::Master)
        })
    }

    fn prune<'a>(&'a self, _: &'a Replaced) -> BoxFuture<'a, Result<usize, SinkError>> {
        Box::pin(async { Ok(0) })
    }
}

fn scheduler(folder: &Path) -> Arc<SyncScheduler> {
    let store = Arc::new(Store::open(&folder.join("store")).unwrap());
    let spool = Spool::new(folder.join("spool"), u64::MAX);
    Arc::new(SyncScheduler::new(SyncRoom::over(Ledger::new(store), spool, Tasks::new())))
}

/// A job on a port where nobody listens.
async fn unreachable() -> JobSpec {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut spec = spec(&["AppointmentID"]);
    spec.connection.server.host = "127.0.0.1".into();
    spec.connection.server.endpoint = crate::mssql::options::Endpoint::Port(free);
    spec
}

async fn wait_for(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited for {what} in vain");
}

#[tokio::test]
async fn a_job_without_server_says_so_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let scheduler = scheduler(folder.path());
    scheduler.start(Arc::new(Notes::default())).await.unwrap();
    let spec = unreachable().await;
    assert!(matches!(scheduler.declare(spec.clone()).await.unwrap(), Declared::Snapshot(_)));
    let error = scheduler.run(&spec.name).await.unwrap_err();
    assert!(error.contains("cannot be reached"), "{error}");
    let status = scheduler.status(Some(&spec.name)).await.unwrap().remove(0);
    assert_eq!(status.last.error.as_deref(), Some(error.as_str()));
    assert_eq!(status.state.progress, Progress::default());
    assert!(scheduler.remove(&spec.name).await.unwrap());
    assert!(scheduler.run(&spec.name).await.unwrap_err().contains("there is no sync job"));
    scheduler.room.tasks.shutdown(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn declaring_the_same_again_leaves_the_running_job_alone() {
    let folder = tempfile::tempdir().unwrap();
    let scheduler = scheduler(folder.path());
    scheduler.start(Arc::new(Notes::default())).await.unwrap();
    let spec = unreachable().await;
    scheduler.declare(spec.clone()).await.unwrap();
    let before = lock(&scheduler.running)[&spec.name].handle.id();
    assert_eq!(scheduler.declare(spec.clone()).await.unwrap(), Declared::Unchanged);
    assert_eq!(lock(&scheduler.running)[&spec.name].handle.id(), before);
    let faster = JobSpec { timing: Timing::every(Duration::from_secs(5)), ..spec.clone() };
    assert_eq!(scheduler.declare(faster).await.unwrap(), Declared::Updated);
    assert_ne!(lock(&scheduler.running)[&spec.name].handle.id(), before);
    scheduler.room.tasks.shutdown(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_start_delivers_what_is_recorded_and_removes_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = scheduler(folder.path());
    let spec = unreachable().await;
    first.declare(spec.clone()).await.unwrap();
    let state = first.room.ledger.job(&spec.name).await.unwrap();
    let row = BatchRow {
        id: 0,
        job: spec.name.to_string(),
        epoch: state.epoch.get(),
        sequence: 1,
        folder: "f".into(),
        sink: None,
        file: "known".into(),
        bytes: 1,
        rows: 4,
        event: "{}".into(),
    };
    std::fs::create_dir_all(folder.path().join("spool/f")).unwrap();
    std::fs::write(folder.path().join("spool/f/known"), "content").unwrap();
    std::fs::write(folder.path().join("spool/f/unknown.part"), "rest").unwrap();
    first.room.ledger.record(row, &Progress::default(), RowChanges::none()).await.unwrap();
    drop(first);
    let second = scheduler(folder.path());
    let notes = Arc::new(Notes::default());
    second.start(Arc::clone(&notes) as Arc<dyn Sink>).await.unwrap();
    wait_for("delivery", async || {
        second.status(None).await.unwrap().iter().all(|job| job.spool.batches == 0)
    })
    .await;
    wait_for("an empty spool", async || {
        std::fs::read_dir(folder.path().join("spool/f")).unwrap().count() == 0
    })
    .await;
    assert_eq!(*lock(&notes.0), ["known: content"]);
    assert_eq!(second.status(None).await.unwrap()[0].state.delivered_rows, 4);
    second.room.tasks.shutdown(Duration::from_secs(60)).await;
}

#[test]
fn a_pass_that_met_quiet_hours_goes_on_when_they_end() {
    use chrono::TimeZone;
    let mut timing = Timing::every(Duration::from_secs(600));
    timing.quiet = vec!["22:00-23:00".parse().unwrap()];
    let at = |hour, minute| Local.with_ymd_and_hms(2026, 6, 1, hour, minute, 0).unwrap();
    let rest = Rest::UntilQuietEnds;
    assert_eq!(rest.pause(&timing, at(22, 45)), Duration::from_secs(900));
    assert_eq!(rest.pause(&timing, at(23, 0)), Duration::ZERO);
    assert!(rest.follows_the_clock(&timing), "quiet hours end by the clock of the practice");
    assert!(!Rest::For(Duration::from_secs(1)).follows_the_clock(&timing));
}
