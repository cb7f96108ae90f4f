//! What sessions have cost: pages, processor time, waits of their real length.

use std::thread;
use std::time::{Duration, Instant};

use super::{Engine, Session, clinic, login, ok};

const MINE: &str =
    "FROM sys.dm_exec_session_wait_stats WHERE session_id = @@SPID AND wait_type LIKE N'LCK[_]M[_]%'";

fn another(engine: &Engine) -> Session {
    let mut session = engine.local_session("other");
    ok(&mut session, "USE Clinic");
    session
}

fn number(session: &mut Session, sql: &str) -> u64 {
    ok(session, sql)[0].parse().unwrap()
}

#[test]
fn a_wait_for_a_lock_is_counted_with_its_length_by_the_one_that_waited() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10)");
    ok(&mut s, "BEGIN TRAN; UPDATE t SET v = 11 WHERE id = 1");
    let mut other = another(&engine);
    assert_eq!(number(&mut other, &format!("SELECT COUNT(*) {MINE}")), 0);
    let begun = Instant::now();
    let reader = thread::spawn(move || {
        assert_eq!(ok(&mut other, "SELECT v FROM t WHERE id = 1"), ["11"]);
        (begun.elapsed(), other)
    });
    let waited = "SELECT COALESCE(MAX(wait_duration_ms), 0) FROM sys.dm_os_waiting_tasks";
    while number(&mut s, waited) < 120 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody waits");
        thread::sleep(Duration::from_millis(5));
    }
    ok(&mut s, "COMMIT");
    let (took, mut other) = reader.join().unwrap();
    assert_eq!(ok(&mut other, &format!("SELECT wait_type, waiting_tasks_count {MINE}")), ["LCK_M_S|1"]);
    let told = number(&mut other, &format!("SELECT wait_time_ms {MINE}"));
    assert!((120..=took.as_millis() as u64).contains(&told), "{told} ms of {took:?}");
    assert_eq!(number(&mut s, &format!("SELECT COUNT(*) {MINE}")), 0, "the holder did not wait");
    other.reset();
    assert_eq!(number(&mut other, &format!("SELECT COUNT(*) {MINE}")), 0, "a reset session begins anew");
}

#[test]
fn a_read_touches_the_pages_of_its_range_and_one_more_for_each_row_looked_up() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int PRIMARY KEY, v int, w int); CREATE INDEX i ON t (v)");
    ok(
        &mut s,
        "DECLARE @n int = 1; WHILE @n <= 500 BEGIN INSERT INTO t VALUES (@n, @n, 0); SET @n = @n + 1 END",
    );
    let mut other = another(&engine);
    let mut cost = |sql: &str| {
        let reads = "SELECT logical_reads FROM sys.dm_exec_sessions WHERE session_id = @@SPID";
        let before = number(&mut other, reads);
        ok(&mut other, sql);
        number(&mut other, reads) - before
    };
    assert_eq!(cost("SELECT 1"), 0);
    assert_eq!(cost("SELECT w FROM t"), 10, "500 rows, 50 to a page");
    assert_eq!(cost("SELECT w FROM t WHERE id = 7"), 1);
    assert_eq!(cost("SELECT w FROM t WHERE id = 7000"), 1, "looking for nothing is looking");
    assert_eq!(cost("SELECT w FROM t WHERE v = 7"), 2, "the index, and the row behind it");
}

#[test]
fn processor_time_is_that_of_the_session_that_computed() {
    let (engine, mut s) = clinic();
    let cpu = "SELECT cpu_time FROM sys.dm_exec_sessions WHERE session_id = @@SPID";
    ok(&mut s, "DECLARE @n int = 0; WHILE @n < 200000 SET @n = @n + 1");
    let busy = number(&mut s, cpu);
    let mut idle = another(&engine);
    let other = number(&mut idle, cpu);
    assert!(busy > other, "{busy} ms of the busy one, {other} ms of the idle one");
}

#[test]
fn a_login_without_rights_sees_its_own_row_alone() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE LOGIN least WITH PASSWORD = 'Kx7-quartz-9'; CREATE USER least FOR LOGIN least");
    let mut least = login(&engine, "least", "Kx7-quartz-9", "Clinic").unwrap();
    assert_eq!(number(&mut least, "SELECT COUNT(*) FROM sys.dm_exec_sessions"), 1);
    assert_eq!(number(&mut least, &format!("SELECT COUNT(*) {MINE}")), 0);
}
