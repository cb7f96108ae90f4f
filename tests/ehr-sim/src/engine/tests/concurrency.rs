//! Several sessions at once: blocking, time-outs, deadlocks, row versions, the rowversion holdback, cancelling.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Engine, Recorder, Session, clinic, fails, ok, run};
use crate::types::{Cancel, Request};

/// A session of `sa` in `Clinic`.
fn another(engine: &Engine) -> Session {
    let mut session = engine.local_session("other");
    ok(&mut session, "USE Clinic");
    session
}

/// Waits until `count` sessions wait for a lock.
fn wait_for_waiters(s: &mut Session, count: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let waiting = ok(s, "SELECT COUNT(*) FROM sys.dm_os_waiting_tasks")[0].parse::<usize>().unwrap();
        if waiting >= count {
            return;
        }
        assert!(Instant::now() < end, "{waiting} of {count} sessions wait");
        thread::sleep(Duration::from_millis(5));
    }
}

fn two_rows(s: &mut Session) {
    ok(
        s,
        "CREATE TABLE t (id int PRIMARY KEY, v int, rv rowversion); INSERT INTO t (id, v) VALUES (1, 10), (2, 20)",
    );
}

#[test]
fn readers_wait_for_writers_and_time_out_with_1222() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "BEGIN TRAN; UPDATE t SET v = 11 WHERE id = 1");
    let mut other = another(&engine);
    assert_eq!(ok(&mut other, "SELECT v FROM t WHERE id = 2"), ["20"]);
    assert_eq!(
        fails(&mut other, "SET LOCK_TIMEOUT 20; SELECT v FROM t WHERE id = 1"),
        (1222, "Lock request time out period exceeded.".into())
    );
    assert_eq!(ok(&mut other, "SELECT v FROM t WITH (NOLOCK) WHERE id = 1"), ["11"], "dirty");
    assert_eq!(ok(&mut other, "SELECT id FROM t WITH (READPAST)"), ["2"]);
    let reader = thread::spawn(move || ok(&mut other, "SET LOCK_TIMEOUT -1; SELECT v FROM t WHERE id = 1"));
    wait_for_waiters(&mut s, 1);
    ok(&mut s, "COMMIT");
    assert_eq!(reader.join().unwrap(), ["11"]);
}

#[test]
fn a_deadlock_has_one_victim_of_the_lower_priority() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "BEGIN TRAN; UPDATE t SET v = 11 WHERE id = 1");
    let mut low = another(&engine);
    ok(&mut low, "SET DEADLOCK_PRIORITY LOW; BEGIN TRAN; UPDATE t SET v = 21 WHERE id = 2");
    let waiting = thread::spawn(move || {
        let recorder = run(&mut low, "UPDATE t SET v = 12 WHERE id = 1; SELECT 'not reached'");
        let after = ok(&mut low, "SELECT @@TRANCOUNT");
        (recorder, after)
    });
    wait_for_waiters(&mut s, 1);
    ok(&mut s, "UPDATE t SET v = 22 WHERE id = 2; COMMIT");
    let (recorder, after) = waiting.join().unwrap();
    assert_eq!(recorder.errors(), [1205]);
    assert!(recorder.text().is_empty());
    assert_eq!(after, ["0"], "the victim's transaction is gone");
    assert_eq!(ok(&mut s, "SELECT v FROM t"), ["11", "22"]);
}

#[test]
fn min_active_rowversion_stays_below_an_open_transaction() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    let mut writer = another(&engine);
    ok(&mut writer, "BEGIN TRAN; INSERT INTO t (id, v) VALUES (3, 30)");
    ok(&mut s, "INSERT INTO t (id, v) VALUES (4, 40)");
    let held = ok(
        &mut s,
        "SELECT CASE WHEN MIN_ACTIVE_ROWVERSION() = (SELECT rv FROM t WITH (NOLOCK) WHERE id = 3) THEN 1 ELSE 0 END, CASE WHEN @@DBTS = (SELECT rv FROM t WHERE id = 4) THEN 1 ELSE 0 END",
    );
    assert_eq!(held, ["1|1"]);
    let found = ok(
        &mut s,
        "SELECT s.program_name FROM sys.dm_tran_session_transactions x JOIN sys.dm_tran_active_transactions a ON a.transaction_id = x.transaction_id JOIN sys.dm_exec_sessions s ON s.session_id = x.session_id",
    );
    assert_eq!(found, ["other"]);
    ok(&mut writer, "COMMIT");
    assert_eq!(
        ok(
            &mut s,
            "SELECT CASE WHEN CAST(MIN_ACTIVE_ROWVERSION() AS bigint) = CAST(@@DBTS AS bigint) + 1 THEN 1 ELSE 0 END"
        ),
        ["1"]
    );
}

#[test]
fn row_versions_let_readers_pass() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "ALTER DATABASE Clinic SET READ_COMMITTED_SNAPSHOT ON");
    let mut writer = another(&engine);
    ok(
        &mut writer,
        "BEGIN TRAN; UPDATE t SET v = 99 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t (id, v) VALUES (3, 30)",
    );
    assert_eq!(ok(&mut s, "SELECT id, v FROM t"), ["1|10", "2|20"]);
    ok(&mut writer, "COMMIT");
    assert_eq!(ok(&mut s, "SELECT id, v FROM t"), ["1|99", "3|30"]);
}

#[test]
fn snapshot_isolation_reads_one_moment_and_refuses_conflicts() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    assert_eq!(fails(&mut s, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SELECT * FROM t").0, 3952);
    ok(&mut s, "ALTER DATABASE Clinic SET ALLOW_SNAPSHOT_ISOLATION ON; BEGIN TRAN");
    assert_eq!(ok(&mut s, "SELECT v FROM t WHERE id = 1"), ["10"]);
    let mut writer = another(&engine);
    ok(&mut writer, "UPDATE t SET v = 50 WHERE id = 1; INSERT INTO t (id, v) VALUES (3, 30)");
    assert_eq!(ok(&mut s, "SELECT id, v FROM t"), ["1|10", "2|20"]);
    assert_eq!(fails(&mut s, "UPDATE t SET v = 60 WHERE id = 1").0, 3960);
    assert_eq!(ok(&mut s, "SELECT @@TRANCOUNT"), ["0"]);
    assert_eq!(ok(&mut s, "SELECT id, v FROM t"), ["1|50", "2|20", "3|30"]);
}

#[test]
fn serializable_keeps_phantoms_out() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN TRAN; SELECT COUNT(*) FROM t");
    let mut writer = another(&engine);
    assert_eq!(fails(&mut writer, "SET LOCK_TIMEOUT 20; INSERT INTO t (id, v) VALUES (3, 30)").0, 1222);
    ok(&mut s, "COMMIT");
    ok(&mut writer, "INSERT INTO t (id, v) VALUES (3, 30)");
}

#[test]
fn an_attention_ends_a_lock_wait_and_a_delay() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "BEGIN TRAN; UPDATE t SET v = 11 WHERE id = 1");
    for batch in ["SELECT v FROM t WHERE id = 1", "WAITFOR DELAY '00:10:00'"] {
        let mut other = another(&engine);
        let cancel = Cancel::new();
        let handle = cancel.clone();
        let (started, begun) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let mut recorder = Recorder::default();
            started.send(()).unwrap();
            other.execute(Request::Batch(batch.into()), &mut recorder, &cancel).unwrap();
            (recorder.errors(), ok(&mut other, "SELECT 1"))
        });
        begun.recv().unwrap();
        handle.cancel();
        assert_eq!(waiting.join().unwrap(), (vec![], vec!["1".to_owned()]), "{batch}");
    }
}

#[test]
fn inserts_of_one_key_wait_for_each_other() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "BEGIN TRAN; INSERT INTO t (id, v) VALUES (5, 1)");
    let mut other = another(&engine);
    let second = thread::spawn(move || run(&mut other, "INSERT INTO t (id, v) VALUES (5, 2)").errors());
    wait_for_waiters(&mut s, 1);
    ok(&mut s, "ROLLBACK");
    assert_eq!(second.join().unwrap(), Vec::<u32>::new());
    assert_eq!(ok(&mut s, "SELECT v FROM t WHERE id = 5"), ["2"]);
}

#[test]
fn many_writers_lose_no_update() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let mut session = another(&engine);
            thread::spawn(move || {
                for _ in 0..50 {
                    ok(&mut session, "UPDATE t SET v = v + 1 WHERE id = 1");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|w| w.join().unwrap());
    assert_eq!(ok(&mut s, "SELECT v FROM t WHERE id = 1"), ["210"]);
}

#[test]
fn a_serializable_read_keeps_only_its_range_free() {
    let (engine, mut s) = clinic();
    ok(
        &mut s,
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (20, 20), (40, 40)",
    );
    ok(&mut s, "CREATE INDEX iv ON t (v)");
    ok(
        &mut s,
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN TRAN; SELECT v FROM t WHERE id BETWEEN 10 AND 30",
    );
    let mut writer = another(&engine);
    ok(&mut writer, "SET LOCK_TIMEOUT 20");
    for blocked in [
        "INSERT INTO t VALUES (15, 1)",
        "INSERT INTO t VALUES (30, 1)",
        "UPDATE t SET v = 21 WHERE id = 20",
        "DELETE FROM t WHERE id = 20",
        "UPDATE t SET id = 25 WHERE id = 1",
    ] {
        assert_eq!(fails(&mut writer, blocked).0, 1222, "{blocked}");
    }
    ok(
        &mut writer,
        "INSERT INTO t VALUES (9, 1), (31, 1); UPDATE t SET v = 41 WHERE id = 40; SELECT v FROM t",
    );
    let shown =
        ok(&mut writer, "SELECT request_mode FROM sys.dm_tran_locks WHERE request_mode LIKE 'Range%'");
    assert_eq!(shown, ["RangeS-S"]);
    ok(&mut s, "COMMIT; BEGIN TRAN; SELECT id FROM t WITH (INDEX (iv)) WHERE v > 100");
    assert_eq!(fails(&mut writer, "UPDATE t SET v = 101 WHERE id = 1").0, 1222);
    ok(&mut writer, "UPDATE t SET v = 99 WHERE id = 1");
    ok(&mut s, "COMMIT");
    ok(&mut writer, "UPDATE t SET v = 101 WHERE id = 1");
}

#[test]
fn updlock_with_holdlock_on_a_missing_key_lets_one_after_the_other_through() {
    const UPSERT: &str = "BEGIN TRAN; IF NOT EXISTS (SELECT 1 FROM t WITH (UPDLOCK, HOLDLOCK) WHERE id = 7) \
                          INSERT INTO t (id, v) VALUES (7, 1) ELSE UPDATE t SET v = v + 1 WHERE id = 7; COMMIT";
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let mut session = another(&engine);
            thread::spawn(move || {
                for _ in 0..25 {
                    ok(&mut session, UPSERT);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|w| w.join().unwrap());
    assert_eq!(ok(&mut s, "SELECT v FROM t WHERE id = 7"), ["100"]);
}

#[test]
fn two_serializable_readers_that_both_insert_are_a_deadlock() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    const READ: &str =
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN TRAN; SELECT COUNT(*) FROM t WHERE id > 5";
    ok(&mut s, READ);
    let mut other = another(&engine);
    ok(&mut other, READ);
    let waiting =
        thread::spawn(move || run(&mut other, "INSERT INTO t (id, v) VALUES (8, 1); COMMIT").errors());
    let mut watcher = another(&engine);
    wait_for_waiters(&mut watcher, 1);
    let wait = ok(&mut watcher, "SELECT wait_type FROM sys.dm_os_waiting_tasks");
    assert_eq!(wait, ["LCK_M_RI_N"]);
    let mine = run(&mut s, "INSERT INTO t (id, v) VALUES (9, 1); COMMIT").errors();
    let theirs = waiting.join().unwrap();
    assert_eq!(usize::from(mine == [1205]) + usize::from(theirs == [1205]), 1, "{mine:?} {theirs:?}");
}

#[test]
fn an_update_under_row_versions_sees_what_it_writes() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "ALTER DATABASE Clinic SET READ_COMMITTED_SNAPSHOT ON");
    ok(&mut s, "BEGIN TRAN; UPDATE t SET v = 20 WHERE id = 1");
    let mut other = another(&engine);
    let waiting = thread::spawn(move || ok(&mut other, "UPDATE t SET v = 0 WHERE v = 20; SELECT @@ROWCOUNT"));
    wait_for_waiters(&mut s, 1);
    ok(&mut s, "COMMIT");
    assert_eq!(waiting.join().unwrap(), ["2"]);
}

#[test]
fn an_exclusive_table_lock_lasts_to_the_end_of_the_transaction() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    ok(&mut s, "BEGIN TRAN; SELECT COUNT(*) FROM t WITH (TABLOCKX)");
    let mut other = another(&engine);
    assert_eq!(fails(&mut other, "SET LOCK_TIMEOUT 20; SELECT v FROM t").0, 1222);
    ok(&mut s, "COMMIT");
    ok(&mut other, "SELECT v FROM t");
}

#[test]
fn hints_that_contradict_are_refused() {
    let (_, mut s) = clinic();
    two_rows(&mut s);
    assert_eq!(fails(&mut s, "SELECT v FROM t WITH (NOLOCK, UPDLOCK)").0, 1047);
    assert_eq!(fails(&mut s, "UPDATE t WITH (NOLOCK) SET v = 1").0, 1065);
    let uncommitted = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SELECT v FROM t WITH (READPAST)";
    assert_eq!(fails(&mut s, uncommitted).0, 650);
}

#[test]
fn a_reader_that_has_waited_reads_before_the_next_writer() {
    let (engine, mut s) = clinic();
    two_rows(&mut s);
    for round in 1..=50 {
        ok(&mut s, &format!("BEGIN TRAN; UPDATE t SET v = {round} WHERE id = 1"));
        let mut other = another(&engine);
        let reader = thread::spawn(move || ok(&mut other, "SELECT v FROM t WHERE id = 1"));
        wait_for_waiters(&mut s, 1);
        ok(&mut s, "COMMIT; BEGIN TRAN; UPDATE t SET v = -1 WHERE id = 1");
        assert_eq!(reader.join().unwrap(), [round.to_string()], "read while the second transaction is open");
        ok(&mut s, "ROLLBACK");
    }
}
