//! Faults on command, and the states of a database that put sessions out.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{clinic, fails, login, ok, run};
use crate::engine::{Fault, FaultError};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)";

#[test]
fn a_full_log_refuses_writes_and_leaves_reads_alone() {
    let (engine, mut s) = clinic();
    ok(&mut s, TABLE);
    ok(&mut s, "EXEC sys.xp_ehrsim_fault N'fill-log', N'Clinic'");
    for write in [
        "INSERT INTO t VALUES (3, 3)",
        "UPDATE t SET v = 5",
        "DELETE FROM t",
        "CREATE TABLE u (id int)",
        "TRUNCATE TABLE t",
    ] {
        let (number, text) = fails(&mut s, write);
        assert_eq!(number, 9002, "{write}");
        assert_eq!(text, "The transaction log for database 'Clinic' is full due to 'ACTIVE_TRANSACTION'.");
    }
    assert_eq!(
        ok(&mut s, "SELECT v FROM t; SELECT log_reuse_wait_desc FROM sys.databases WHERE name = 'Clinic'"),
        ["1", "2", "ACTIVE_TRANSACTION"]
    );
    ok(&mut s, "CREATE DATABASE Other; SELECT * INTO Other.dbo.t FROM t; UPDATE Other.dbo.t SET v = 9");
    engine.inject(&Fault::FreeLog("clinic".into())).unwrap();
    ok(&mut s, "UPDATE t SET v = 5");
}

#[test]
fn a_held_lock_blocks_until_it_is_released_or_its_session_killed() {
    let (engine, mut s) = clinic();
    ok(&mut s, TABLE);
    engine.inject(&Fault::HoldLock("Clinic.dbo.t".into())).unwrap();
    assert_eq!(fails(&mut s, "SET LOCK_TIMEOUT 20; SELECT v FROM t").0, 1222);
    const WHO: &str = "SELECT s.program_name FROM sys.dm_tran_session_transactions t JOIN sys.dm_exec_sessions s ON s.session_id = t.session_id";
    assert_eq!(ok(&mut s, WHO), ["Vendor service"]);
    engine.inject(&Fault::ReleaseLocks).unwrap();
    assert_eq!(ok(&mut s, "SELECT v FROM t"), ["1", "2"]);
    engine.inject(&Fault::HoldLock("Clinic.dbo.t".into())).unwrap();
    let spid = ok(&mut s, "SELECT request_session_id FROM sys.dm_tran_locks WHERE request_mode = 'X'");
    ok(&mut s, &format!("KILL {}", spid[0]));
    assert_eq!(ok(&mut s, "SELECT v FROM t"), ["1", "2"]);
    assert_eq!(engine.inject(&Fault::HoldLock("dbo.t".into())), Err(FaultError::Table("dbo.t".into())));
}

#[test]
fn logins_expire_and_lock_until_they_are_mended() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE LOGIN desk WITH PASSWORD = 'Pass-word1', CHECK_POLICY = ON");
    let numbers = |password: &str| -> Vec<u32> {
        login(&engine, "desk", password, "master")
            .err()
            .unwrap_or_default()
            .iter()
            .map(|m| m.number)
            .collect()
    };
    engine.inject(&Fault::ExpirePassword("desk".into())).unwrap();
    assert_eq!(numbers("Pass-word1"), [18487]);
    ok(&mut s, "ALTER LOGIN desk WITH PASSWORD = 'Pass-word2'");
    assert_eq!(numbers("Pass-word2"), [0u32; 0]);
    engine.inject(&Fault::LockLogin("desk".into())).unwrap();
    assert_eq!(numbers("Pass-word2"), [18486]);
    ok(&mut s, "ALTER LOGIN desk WITH PASSWORD = 'Pass-word3' UNLOCK");
    assert_eq!(numbers("Pass-word3"), [0u32; 0]);
}

#[test]
fn a_slow_disk_shows_as_waits() {
    let (engine, mut s) = clinic();
    ok(&mut s, TABLE);
    let mut reader = engine.local_session("reader");
    ok(&mut reader, "USE Clinic");
    engine.inject(&Fault::SlowDisk(Duration::from_secs(600))).unwrap();
    let cancel = crate::types::Cancel::new();
    let stop = cancel.clone();
    let (ended, end) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut recorder = super::Recorder::default();
        let request = crate::types::Request::Batch("SELECT v FROM t".into());
        reader.execute(request, &mut recorder, &cancel).unwrap();
        ended.send(recorder.text()).unwrap();
    });
    const WAITS: &str = "SELECT r.status, r.wait_type FROM sys.dm_exec_requests r JOIN sys.dm_os_waiting_tasks w ON w.session_id = r.session_id";
    while ok(&mut s, WAITS) != ["suspended|PAGEIOLATCH_SH"] {
        thread::yield_now();
    }
    stop.cancel();
    reading.join().unwrap();
    assert!(end.recv().unwrap().is_empty());
    engine.inject(&Fault::SlowDisk(Duration::ZERO)).unwrap();
    assert_eq!(ok(&mut s, "SELECT v FROM t"), ["1", "2"]);
}

#[test]
fn a_restart_keeps_what_is_committed_and_nothing_else() {
    let (engine, mut s) = clinic();
    ok(&mut s, TABLE);
    ok(&mut s, "CREATE TABLE tempdb.dbo.scratch (id int)");
    let killed = s.killed();
    engine.inject(&Fault::Restart(Duration::ZERO)).unwrap();
    assert!(killed.is_cancelled());
    let mut after = engine.local_session("after");
    ok(&mut after, "USE Clinic");
    assert_eq!(ok(&mut after, "SELECT v FROM t"), ["1", "2"]);
    assert_eq!(ok(&mut after, "SELECT COUNT(*) FROM tempdb.sys.tables"), ["0"]);
    const USED: &str = "SELECT COUNT(*) FROM sys.dm_db_index_usage_stats WHERE user_updates > 0";
    assert_eq!(ok(&mut after, USED), ["0"], "counts of use begin anew");
}

#[test]
fn faults_are_for_sysadmins_and_by_name() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE LOGIN desk WITH PASSWORD = 'Pass-word1'");
    let mut desk = login(&engine, "desk", "Pass-word1", "").unwrap();
    assert_eq!(fails(&mut desk, "EXEC sys.xp_ehrsim_fault N'fill-log', N'master'").0, 229);
    let (number, text) = fails(&mut s, "EXEC sys.xp_ehrsim_fault N'earthquake'");
    assert!(number == 50000 && text.contains("the faults are slow-disk"), "{text}");
    assert_eq!(
        Fault::HoldLock("a.b.c'd".into()).statement(),
        "EXEC sys.xp_ehrsim_fault N'hold-lock', N'a.b.c''d', 0"
    );
}

#[test]
fn a_database_changes_state_when_nobody_is_in_it() {
    let (engine, mut s) = clinic();
    ok(&mut s, TABLE);
    ok(&mut s, "USE master");
    let mut inside = engine.local_session("inside");
    ok(&mut inside, "USE Clinic; BEGIN TRAN; UPDATE t SET v = 7");
    assert_eq!(fails(&mut s, "ALTER DATABASE Clinic SET OFFLINE WITH NO_WAIT").0, 5061);
    assert_eq!(fails(&mut s, "ALTER DATABASE Clinic SET READ_COMMITTED_SNAPSHOT ON WITH NO_WAIT").0, 5061);
    let killed = inside.killed();
    let serving = thread::spawn(move || {
        while !killed.wait_timeout(Duration::from_secs(60)) {}
        drop(inside);
    });
    ok(&mut s, "ALTER DATABASE Clinic SET OFFLINE WITH ROLLBACK IMMEDIATE");
    serving.join().unwrap();
    assert_eq!(fails(&mut s, "USE Clinic").0, 942);
    assert_eq!(fails(&mut s, "SELECT v FROM Clinic.dbo.t").0, 942);
    let refused = login(&engine, "sa", "Right-1", "Clinic").err().unwrap();
    assert_eq!(refused.iter().map(|m| m.number).collect::<Vec<_>>(), [4060, 18456]);
    ok(&mut s, "ALTER DATABASE Clinic SET ONLINE");
    assert_eq!(ok(&mut s, "SELECT v FROM Clinic.dbo.t"), ["1", "2"]);
}

#[test]
fn a_single_user_keeps_others_out() {
    let (engine, mut s) = clinic();
    ok(&mut s, "ALTER DATABASE Clinic SET SINGLE_USER");
    let mut other = engine.local_session("other");
    assert_eq!(fails(&mut other, "USE Clinic").0, 924);
    assert_eq!(fails(&mut other, "ALTER DATABASE Clinic SET MULTI_USER").0, 5064);
    assert!(login(&engine, "sa", "Right-1", "Clinic").is_err());
    ok(&mut s, "SELECT 1; ALTER DATABASE Clinic SET RESTRICTED_USER");
    ok(&mut other, "USE Clinic; USE master");
    ok(&mut s, "CREATE LOGIN desk WITH PASSWORD = 'Pass-word1'; CREATE USER desk FOR LOGIN desk");
    let mut desk = login(&engine, "desk", "Pass-word1", "").unwrap();
    assert_eq!(fails(&mut desk, "USE Clinic").0, 923);
    ok(&mut s, "ALTER LOGIN desk WITH DEFAULT_DATABASE = Clinic");
    let refused = login(&engine, "desk", "Pass-word1", "").err().unwrap();
    assert_eq!(refused.iter().map(|m| m.number).collect::<Vec<_>>(), [4064, 18456]);
    ok(&mut s, "ALTER ROLE db_owner ADD MEMBER desk");
    ok(&mut desk, "USE Clinic");
    ok(&mut s, "ALTER DATABASE Clinic SET MULTI_USER");
    assert!(run(&mut other, "USE Clinic").errors().is_empty());
}
