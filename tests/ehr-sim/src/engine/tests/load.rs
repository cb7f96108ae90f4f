//! What a server that has much to do shows: tasks that wait for a processor.

use std::thread;
use std::time::{Duration, Instant};

use super::{Engine, Session, clinic, fails, login, ok};
use crate::types::{Cancel, Request};

const RUNNABLE: &str =
    "SELECT SUM(runnable_tasks_count) FROM sys.dm_os_schedulers WHERE status = N'VISIBLE ONLINE'";

fn number(session: &mut Session, sql: &str) -> usize {
    ok(session, sql)[0].parse().unwrap()
}

/// Sessions that run `sql` until they are told to stop.
fn at_once(engine: &Engine, count: usize, sql: &'static str) -> (Cancel, Vec<thread::JoinHandle<()>>) {
    let stop = Cancel::new();
    let one = |_| {
        let (mut session, stop) = (engine.local_session("busy"), stop.clone());
        thread::spawn(move || {
            let mut told = super::Recorder::default();
            let _ = session.execute(Request::Batch(sql.into()), &mut told, &stop);
        })
    };
    let running = (0..count).map(one).collect();
    (stop, running)
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn requests_that_compute_wait_for_processors_and_those_that_wait_for_time_do_not() {
    let (engine, mut s) = clinic();
    let processors = number(&mut s, "SELECT COUNT(*) FROM sys.dm_os_schedulers");
    assert_eq!(processors, thread::available_parallelism().unwrap().get());
    assert_eq!(number(&mut s, RUNNABLE), 0, "the one that asks has a processor");
    let (stop, idle) = at_once(&engine, processors + 3, "WAITFOR DELAY '01:00:00'");
    let delayed =
        "SELECT COUNT(*) FROM sys.dm_exec_requests WHERE status = N'suspended' AND wait_type = N'WAITFOR'";
    wait_until("they wait", || number(&mut s, delayed) == processors + 3);
    assert_eq!(number(&mut s, RUNNABLE), 0);
    let tasks = "SELECT SUM(current_tasks_count) FROM sys.dm_os_schedulers";
    assert_eq!(number(&mut s, tasks), processors + 4, "they are tasks nevertheless");
    stop.cancel();
    idle.into_iter().for_each(|thread| thread.join().unwrap());
    let (stop, busy) = at_once(&engine, processors + 3, "DECLARE @n int = 0; WHILE 1 = 1 SET @n = 1 - @n");
    // One for each processor runs, this one among them.
    wait_until("they compute", || number(&mut s, RUNNABLE) == 4);
    stop.cancel();
    busy.into_iter().for_each(|thread| thread.join().unwrap());
    wait_until("they are gone", || number(&mut s, RUNNABLE) == 0);
}

#[test]
fn schedulers_are_shown_to_whom_the_server_state_is() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE LOGIN least WITH PASSWORD = 'Kx7-quartz-9'; CREATE USER least FOR LOGIN least");
    let mut least = login(&engine, "least", "Kx7-quartz-9", "Clinic").unwrap();
    assert_eq!(fails(&mut least, RUNNABLE).0, 300);
    ok(&mut s, "USE master; GRANT VIEW SERVER STATE TO least");
    assert_eq!(number(&mut least, RUNNABLE), 0);
}
