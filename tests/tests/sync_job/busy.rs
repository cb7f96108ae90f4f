//! A server that has too much to do, seen by its own views, is left alone for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::mssql::Session;
use agent::policy::switches::{Pause, Switch, Switches};
use agent::sync::check::JobRequest;
use agent::sync::faults::Faults;
use agent::sync::governor::Budget;
use agent::sync::pass::{Ending, PassReport, Want, run_pass};
use agent::sync::{SyncError, SyncRoom};
use ehr_sim::client::{ConnectOptions, connect};
use tiberius::EncryptionLevel;
use tokio::task::JoinHandle;

use crate::check_content;
use crate::joins::least;
use crate::life::{Agent, job};
use crate::sim::{PASSWORD, Sim};

/// Tasks that wait for a processor, and processors.
async fn load(session: &mut Session) -> (i32, i32) {
    let sql = "SELECT SUM(runnable_tasks_count), COUNT(*) FROM sys.dm_os_schedulers";
    let row = session.query(sql, &[]).await.unwrap().remove(0);
    (row.get(0).unwrap(), row.get(1).unwrap())
}

/// Computes until the table is empty.
const COMPUTE: &str = "DECLARE @n int = 0; WHILE EXISTS (SELECT 1 FROM dbo.Report) SET @n = @n % 1000 + 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_processors_have_too_much_to_do_is_left_alone_until_they_have_not() {
    let sim = Sim::start().await;
    sim.book(1, 40).await;
    let plain = Agent::declare(&sim, 5).await;
    let spec = plain.request(&sim, 5).check().await.unwrap().spec;
    let connection = least(&sim, &spec).await;
    sim.batch("USE master; GRANT VIEW SERVER STATE TO least").await;
    let agent = Agent::declare_as(&sim, |request| JobRequest { connection, batch_rows: 5, ..request }).await;
    // A page takes a second at least, so the pass is long enough for several looks.
    let budget = Budget { rows: Some(5), ..Budget::default() };
    let room = SyncRoom { budget, ..agent.room(Faults::default()) };
    sim.batch("CREATE TABLE dbo.Report (ID int NOT NULL PRIMARY KEY); INSERT INTO dbo.Report VALUES (1)")
        .await;
    let mut watch = sim.session("Clinic").await;
    let (_, processors) = load(&mut watch).await;
    let mut reports = Vec::new();
    for _ in 0..4 * processors {
        let mut session = sim.session("Clinic").await;
        reports.push(tokio::spawn(async move { session.batch(COMPUTE).await }));
    }
    let begun = Instant::now();
    while load(&mut watch).await.0 < 3 * processors {
        assert!(begun.elapsed() < Duration::from_secs(60), "the processors have little to do");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let busy = run_pass(&room, &job(), Want::News).await.unwrap();
    assert_eq!(busy.ending, Ending::Busy);
    let cause = busy.cause.unwrap();
    let said = format!(" tasks wait for {processors} processors");
    let tasks = cause.strip_prefix("the server is busy: ").and_then(|rest| rest.strip_suffix(&said));
    assert!((2 * processors..=4 * processors).contains(&tasks.unwrap().parse().unwrap()), "{cause}");
    assert!(busy.took >= Duration::from_secs(2) && busy.read > 0, "one look is not enough: {:?}", busy.took);
    assert_eq!(agent.note().await.cause(), Some(cause.as_str()));
    watch.batch("DELETE FROM dbo.Report").await.unwrap();
    for report in reports {
        report.await.unwrap().unwrap();
    }
    assert_eq!(agent.live(Faults::default()).await.unwrap().ending, Ending::CaughtUp);
    check_content(&sim, &agent, "after the load").await;
    assert_eq!(agent.note().await.cause(), None);
}

/// What the requests that run a backup say they do.
async fn backups(session: &mut Session) -> Vec<String> {
    let sql = "SELECT command FROM sys.dm_exec_requests WHERE command LIKE N'BACKUP%'";
    let rows = session.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get::<&str, _>(0).unwrap().to_owned()).collect()
}

/// 8192 rows, which fill 164 pages.
const ARCHIVE: &str = "CREATE TABLE dbo.Archive (ID int NOT NULL PRIMARY KEY); INSERT INTO dbo.Archive VALUES (1); \
     DECLARE @n int = 1; \
     WHILE @n < 8000 BEGIN INSERT INTO dbo.Archive SELECT ID + @n FROM dbo.Archive; SET @n = @n * 2 END";

/// How much longer every page takes from now on.
async fn slow_disk(session: &mut Session, milliseconds: u32) {
    let sql = format!("EXEC sys.xp_ehrsim_fault N'slow-disk', N'', {milliseconds}");
    session.batch(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_backed_up_is_left_alone_until_that_is_done() {
    let sim = Sim::start().await;
    sim.book(1, 5).await;
    sim.batch(ARCHIVE).await;
    let agent = Agent::declare(&sim, 10).await;
    let mut watch = sim.session("Clinic").await;
    slow_disk(&mut watch, 200).await;
    let mut operator = sim.session("master").await;
    let backup = "BACKUP DATABASE Clinic TO DISK = N'NUL' WITH COPY_ONLY";
    let backup = tokio::spawn(async move { operator.batch(backup).await });
    let begun = Instant::now();
    while backups(&mut watch).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no backup runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(backups(&mut watch).await, ["BACKUP DATABASE"]);
    let busy = agent.live(Faults::default()).await.unwrap();
    assert_eq!((busy.ending, busy.read), (Ending::Busy, 0));
    assert_eq!(busy.cause.as_deref(), Some("the server is busy with BACKUP DATABASE"));
    assert_eq!(agent.note().await.cause(), busy.cause.as_deref());
    slow_disk(&mut watch, 0).await;
    backup.await.unwrap().unwrap();
    let after = agent.live(Faults::default()).await.unwrap();
    assert_eq!((after.ending, after.rows), (Ending::CaughtUp, 5));
    check_content(&sim, &agent, "after the backup").await;
}

/// A front desk whose packets are not this process' own, as far as the agent knows.
struct Desk {
    stop: Arc<AtomicBool>,
    work: JoinHandle<u32>,
}

impl Desk {
    async fn opens(sim: &Sim, pause: Duration) -> Self {
        let options = ConnectOptions {
            host: "127.0.0.1".into(),
            port: sim.port(),
            user: "sa".into(),
            password: PASSWORD.into(),
            database: "Clinic".into(),
            encryption: EncryptionLevel::NotSupported,
        };
        let mut client = connect(&options, "front desk").await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = tokio::spawn(async move {
            let mut looks = 0;
            while !stopped.load(Ordering::Relaxed) {
                let look =
                    client.query("SELECT Note FROM dbo.Visit WHERE Branch = N'b1' AND VisitID = 1", &[]);
                look.await.unwrap().into_results().await.unwrap();
                looks += 1;
                tokio::time::sleep(pause).await;
            }
            looks
        });
        Self { stop, work }
    }

    /// Closes; how often it looked.
    async fn closes(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.work.await.unwrap()
    }
}

fn among_others(percent_among_others: f64) -> Budget {
    Budget { percent_among_others, ..Budget::default() }
}

/// A pass of eight pages beside a desk that pauses so long between two looks.
async fn pass_beside_a_desk(pause: Duration, budget: Budget) -> PassReport {
    let sim = Sim::start().await;
    sim.book(1, 40).await;
    let agent = Agent::declare(&sim, 5).await;
    let desk = Desk::opens(&sim, pause).await;
    let room = SyncRoom { budget, ..agent.room(Faults::default()) };
    let report = run_pass(&room, &job(), Want::News).await.unwrap();
    assert!(desk.closes().await > 0);
    assert_eq!((report.ending, report.rows), (Ending::CaughtUp, 40));
    assert_eq!(u128::from(agent.note().await.rested_ms), report.rested.as_millis());
    assert_eq!(agent.live(Faults::default()).await.unwrap().ending, Ending::CaughtUp);
    check_content(&sim, &agent, "beside the desk").await;
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_leaves_the_server_to_others_who_work_on_it() {
    let busy = pass_beside_a_desk(Duration::ZERO, among_others(2.0)).await;
    // The pages before the others were seen are not followed by a rest.
    assert!(busy.rested * 4 > busy.took * 3, "{:?} of {:?}", busy.rested, busy.took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_goes_on_beside_a_service_that_looks_for_news_and_when_it_is_told_to() {
    // Long enough for the service to send more packets than are let pass in a short time.
    let slow = Budget { rows: Some(10), ..among_others(2.0) };
    let quiet = pass_beside_a_desk(Duration::from_millis(200), slow).await;
    assert_eq!(quiet.rested, Duration::ZERO);
    assert!(quiet.took > Duration::from_secs(3), "{:?}", quiet.took);
    let told = pass_beside_a_desk(Duration::ZERO, among_others(100.0)).await;
    assert_eq!(told.rested, Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pass_saw_of_others_the_next_one_knows() {
    let sim = Sim::start().await;
    sim.book(1, 40).await;
    let agent = Agent::declare(&sim, 5).await;
    let room = SyncRoom { budget: among_others(20.0), ..agent.room(Faults::default()) };
    let desk = Desk::opens(&sim, Duration::ZERO).await;
    assert!(run_pass(&room, &job(), Want::News).await.unwrap().rested > Duration::ZERO);
    assert!(desk.closes().await > 0);
    sim.book(41, 20).await;
    let next = run_pass(&room, &job(), Want::News).await.unwrap();
    assert_eq!((next.ending, next.rows), (Ending::CaughtUp, 20));
    assert!(next.rested > Duration::ZERO, "they were there a moment ago");
}

/// What came of a pause by the practice once the first page was recorded.
struct Paused {
    /// How long the pass went on after it.
    went_on: Duration,
    /// Batches of the pass.
    recorded: usize,
}

async fn paused_after_the_first_page(sim: &Sim, desk: Option<Desk>, budget: Budget) -> Paused {
    let mut agent = Agent::declare(sim, 5).await;
    let folder = tempfile::tempdir().unwrap();
    let switches = Switches::in_folder(folder.path());
    agent.switches = Some(switches.clone());
    let room = SyncRoom { budget, ..agent.room(Faults::default()) };
    let (name, begun) = (job(), Instant::now());
    let pause = async {
        while room.ledger.batches().await.unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no page is recorded");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pause = Pause { since: "2026-01-01T00:00:00Z".into(), by: "it@practice".into() };
        switches.pause(Switch::Sync, &pause).unwrap();
        Instant::now()
    };
    let (done, paused) = tokio::join!(run_pass(&room, &name, Want::News), pause);
    let went_on = paused.elapsed();
    assert!(matches!(done, Err(SyncError::Paused { .. })), "{done:?}");
    if let Some(desk) = desk {
        assert!(desk.closes().await > 0);
    }
    switches.resume(Switch::Sync).unwrap();
    let recorded = room.ledger.batches().await.unwrap().len();
    let after = agent.live(Faults::default()).await.unwrap();
    assert_eq!((after.ending, after.read), (Ending::CaughtUp, 40 - 5 * recorded as u64));
    check_content(sim, &agent, "after the pause").await;
    Paused { went_on, recorded }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_was_read_is_recorded_when_the_practice_pauses() {
    let sim = Sim::start().await;
    sim.book(1, 40).await;
    // The first page is recorded while the second one is read, and after that one is a rest of two seconds.
    let budget = Budget { rows: Some(2), ..Budget::default() };
    assert_eq!(paused_after_the_first_page(&sim, None, budget).await.recorded, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_does_not_wait_for_the_end_of_a_rest_among_others() {
    let sim = Sim::start().await;
    sim.book(1, 40).await;
    let desk = Desk::opens(&sim, Duration::ZERO).await;
    // The rest after a page takes ten seconds.
    let paused = paused_after_the_first_page(&sim, Some(desk), among_others(0.01)).await;
    assert!(paused.went_on < Duration::from_secs(7), "{:?}", paused.went_on);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_that_others_hold_up_for_long_says_so_while_it_runs() {
    let sim = Sim::start().await;
    sim.book(1, 200).await;
    let agent = Agent::declare(&sim, 5).await;
    let desk = Desk::opens(&sim, Duration::ZERO).await;
    let room = agent.room(Faults::default());
    let (name, told) = (job(), async {
        loop {
            let note = agent.room(Faults::default()).ledger.note(&job()).await.unwrap();
            if let Some(cause) = note.and_then(|note| note.cause().map(str::to_owned)) {
                return cause;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let cause = tokio::select! {
        report = run_pass(&room, &name, Want::News) => panic!("{report:?} before it was said"),
        cause = told => cause,
    };
    assert_eq!(
        cause,
        "others work on the server, and reading takes 0.5 % of the time (agent:sync:percent_among_others)"
    );
    assert!(desk.closes().await > 0);
    assert_eq!(agent.live(Faults::default()).await.unwrap().ending, Ending::CaughtUp);
    assert_eq!(agent.note().await.cause(), None);
    check_content(&sim, &agent, "after the others").await;
}
