//! How a job behaves at a server that is busy or shall be left alone, and what it reads and does not read there.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use agent::channel::MasterLink;
use agent::mssql::Session;
use agent::sync::check::{CursorRequest, JobRequest, MaskRequest};
use agent::sync::faults::Faults;
use agent::sync::pass::Ending;
use agent::sync::scheduler::SyncScheduler;
use agent::sync::sink::MasterSink;
use agent::sync::spec::{Mask, Timing};
use chrono::{Local, TimeDelta, Timelike};

use crate::check_content;
use crate::cursors::{cursors, track};
use crate::joins::least;
use crate::life::{Agent, job};
use crate::sim::Sim;

/// Quiet hours from `before` to `after` this moment, in minutes.
fn quiet(before: i64, after: i64) -> Timing {
    let at = |minutes| (Local::now() + TimeDelta::minutes(minutes)).format("%H:%M");
    let hours = format!("{}-{}", at(before), at(after));
    Timing { quiet: vec![hours.parse().unwrap()], ..Timing::every(Duration::from_secs(600)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_quiet_hours_no_row_is_read_by_any_cursor_and_the_note_says_why() {
    for cursor in cursors() {
        let what = format!("{cursor:?}");
        let sim = Sim::start().await;
        track(&sim).await;
        sim.book(1, 5).await;
        let timing = quiet(-60, 60);
        let agent = Agent::declare_as(&sim, |request| JobRequest { cursor, timing, ..request }).await;
        let report = agent.live(Faults::default()).await.unwrap();
        assert_eq!((report.ending, report.read), (Ending::Quiet, 0), "{what}");
        assert_eq!(agent.note().await.cause(), Some("quiet hours"), "{what}");
    }
    let sim = Sim::start().await;
    sim.book(1, 5).await;
    let timing = quiet(60, 120);
    let agent = Agent::declare_as(&sim, |request| JobRequest { timing, ..request }).await;
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 5, "outside of them it reads");
}

/// How many requests wait for a lock.
async fn blocked(session: &mut Session) -> i32 {
    let sql = "SELECT COUNT(*) FROM sys.dm_exec_requests WHERE blocking_session_id <> 0";
    session.query(sql, &[]).await.unwrap()[0].get::<i32, _>(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_whose_requests_wait_for_each_other_is_left_alone_until_they_do_not() {
    let sim = Sim::start().await;
    sim.book(1, 5).await;
    let agent = Agent::declare(&sim, 10).await;
    sim.batch("CREATE TABLE dbo.Chair (ID int NOT NULL PRIMARY KEY, Free int NULL)").await;
    sim.batch("INSERT INTO dbo.Chair (ID, Free) VALUES (1, 1)").await;
    let mut holder = sim.session("Clinic").await;
    holder.batch("BEGIN TRANSACTION; UPDATE dbo.Chair SET Free = 0").await.unwrap();
    let mut front_desk = Vec::new();
    for _ in 0..2 {
        let mut session = sim.session("Clinic").await;
        session.batch("SET LOCK_TIMEOUT -1").await.unwrap();
        front_desk.push(tokio::spawn(async move { session.batch("UPDATE dbo.Chair SET Free = 2").await }));
    }
    let begun = Instant::now();
    while blocked(&mut holder).await < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let busy = agent.live(Faults::default()).await.unwrap();
    assert_eq!((busy.ending, busy.read), (Ending::Busy, 0));
    assert_eq!(busy.cause.as_deref(), Some("the server is busy: 2 requests wait for locks"));
    holder.batch("COMMIT TRANSACTION").await.unwrap();
    for desk in front_desk {
        desk.await.unwrap().unwrap();
    }
    assert_eq!(agent.live(Faults::default()).await.unwrap().ending, Ending::CaughtUp);
    check_content(&sim, &agent, "after the jam").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_whose_moment_of_change_is_null_are_delivered_and_their_changes_as_well() {
    let sim = Sim::start().await;
    sim.book(1, 12).await;
    sim.batch("UPDATE dbo.Visit SET Changed = NULL WHERE VisitID % 2 = 0").await;
    let cursor = CursorRequest::Datetime("Changed".into());
    let agent = Agent::declare_as(&sim, |request| JobRequest { cursor, batch_rows: 2, ..request }).await;
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 12);
    check_content(&sim, &agent, "snapshot").await;
    assert_eq!(agent.live(Faults::default()).await.unwrap().rows, 0, "nothing changed");
    sim.batch("UPDATE dbo.Visit SET Fee = Fee + 1 WHERE VisitID IN (2, 8)").await;
    sim.batch("INSERT INTO dbo.Visit (VisitID, Branch) VALUES (900, N'b0')").await;
    let news = agent.live(Faults::default()).await.unwrap();
    assert_eq!(news.rows, 3, "two that changed and one that is new, none with a moment of change");
    check_content(&sim, &agent, "changes without a moment").await;
    sim.batch("UPDATE dbo.Visit SET Changed = SYSDATETIME() WHERE VisitID = 4").await;
    sim.batch("UPDATE dbo.Visit SET Changed = NULL WHERE VisitID = 5").await;
    agent.live(Faults::default()).await.unwrap();
    check_content(&sim, &agent, "rows that get a moment and lose it").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_masked_column_is_neither_granted_nor_read_by_any_cursor_and_what_is_delivered_is_masked() {
    for cursor in cursors() {
        let what = format!("{cursor:?}");
        let sim = Sim::start().await;
        track(&sim).await;
        sim.book(1, 6).await;
        let masked = |request: JobRequest| JobRequest {
            cursor: cursor.clone(),
            mask: vec![
                ("Booked".into(), MaskRequest::Drop),
                ("Fee".into(), MaskRequest::As(Mask::Null)),
                ("Note".into(), MaskRequest::As(Mask::Truncate(4))),
                ("ExternalID".into(), MaskRequest::As(Mask::Hash)),
            ],
            ..request
        };
        let plain = Agent::declare_as(&sim, masked).await;
        let spec = masked(plain.request(&sim, 10)).check().await.unwrap().spec;
        let connection = least(&sim, &spec).await;
        let mut login = Session::connect(&connection).await.unwrap();
        for hidden in ["Booked", "Fee"] {
            let refused = login.batch(&format!("SELECT {hidden} FROM dbo.Visit")).await.unwrap_err();
            assert_eq!(refused.number(), Some(230), "{what}: {hidden} is not granted");
        }
        let agent = Agent::declare_as(&sim, |request| masked(JobRequest { connection, ..request })).await;
        agent.live(Faults::default()).await.unwrap();
        sim.batch("UPDATE dbo.Visit SET Balance = 1, Fee = 9, Changed = SYSDATETIME() WHERE VisitID = 3")
            .await;
        agent.live(Faults::default()).await.unwrap();
        let delivered = agent.master.newest(&agent.identity);
        assert_eq!(delivered.len(), 6, "{what}");
        for rest in delivered.values() {
            assert_eq!((rest[0].as_str(), rest[1].as_str()), ("Zoë ", "NULL"), "{what}");
            assert!(rest[3].len() == 64 && rest[3].bytes().all(|byte| byte.is_ascii_hexdigit()), "{what}");
        }
        assert_eq!(delivered[&("b0".to_owned(), 3)][2], "10000", "{what}: the change arrived");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_with_a_cron_line_waits_for_its_time_unless_somebody_asks() {
    let sim = Sim::start().await;
    sim.book(1, 5).await;
    let far = Local::now() + TimeDelta::hours(2);
    let mut timing = Timing::every(Duration::from_secs(600));
    timing.cron = Some(format!("{} {} * * *", far.minute(), far.hour()));
    let agent = Agent::declare_as(&sim, |request| JobRequest { timing, ..request }).await;
    let scheduler = Arc::new(SyncScheduler::new(agent.room(Faults::default())));
    let sink = MasterSink::new(Arc::clone(&agent.master) as Arc<dyn MasterLink>);
    scheduler.start(Arc::new(sink)).await.unwrap();
    let begun = Instant::now();
    let last = async || scheduler.status(Some(&job())).await.unwrap().remove(0).last;
    while last().await.next.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody says when it runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let hours = |next: Option<SystemTime>| next.unwrap().duration_since(SystemTime::now()).unwrap().as_secs();
    let first = last().await;
    assert!(
        (3600..3 * 3600).contains(&hours(first.next)),
        "what is to be read at night is not read at noon: {first:?}"
    );
    assert!(first.ended.is_none() && !first.running);
    assert_eq!(scheduler.run(&job()).await.unwrap().rows, 5);
    let begun = Instant::now();
    while last().await.next == first.next || hours(last().await.next) < 3600 {
        assert!(begun.elapsed() < Duration::from_secs(60), "its next time is not its cron line's");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = last().await.ended;
    scheduler.resnapshot(&job()).await.unwrap();
    while last().await.ended == before {
        assert!(begun.elapsed() < Duration::from_secs(120), "a snapshot that was asked for begins at once");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(last().await.report.unwrap().rows, 5);
}
