//! BACKUP DATABASE to NUL: how long it lasts, what it shows, and who may.

use std::thread;
use std::time::{Duration, Instant};

use super::load::wait_until;
use super::{Session, clinic, login, ok, run};
use crate::engine::Fault;

#[test]
fn a_backup_lasts_as_long_as_its_pages_and_says_what_it_is() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
    ok(&mut s, "DECLARE @n int = 0; WHILE @n < 120 BEGIN INSERT INTO t VALUES (@n); SET @n = @n + 1 END");
    engine.inject(&Fault::SlowDisk(Duration::from_millis(150))).unwrap();
    let mut operator = engine.local_session("backup");
    let begun = Instant::now();
    let backup =
        thread::spawn(move || run(&mut operator, "BACKUP DATABASE Clinic TO DISK = N'nul' WITH INIT"));
    let command = "SELECT command FROM sys.dm_exec_requests WHERE session_id <> @@SPID";
    wait_until("it runs", || ok(&mut s, command) == ["BACKUP DATABASE"]);
    let told = backup.join().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(450), "three pages: {:?}", begun.elapsed());
    let words: Vec<&str> = told.messages.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(words[0], "Processed 3 pages for database 'Clinic', file 'Clinic' on file 1.");
    assert!(words[1].starts_with("BACKUP DATABASE successfully processed 3 pages in 0."), "{words:?}");
    assert!(ok(&mut s, command).is_empty());
}

#[test]
fn a_backup_is_refused_as_sql_server_refuses_it() {
    let (engine, mut s) = clinic();
    let numbers = |session: &mut Session, batch: &str| run(session, batch).errors();
    const BACKUP: &str = "BACKUP DATABASE Clinic TO DISK = N'NUL'";
    assert_eq!(numbers(&mut s, &format!("BEGIN TRANSACTION; {BACKUP}")), [3021, 3013]);
    ok(&mut s, "ROLLBACK");
    assert_eq!(numbers(&mut s, "BACKUP DATABASE Nowhere TO DISK = N'NUL'"), [911, 3013]);
    assert_eq!(numbers(&mut s, "BACKUP DATABASE tempdb TO DISK = N'NUL'"), [3147, 3013]);
    for file in ["BACKUP DATABASE Clinic TO DISK = N'/tmp/clinic.bak'", "BACKUP LOG Clinic TO DISK = N'NUL'"]
    {
        assert_eq!(numbers(&mut s, file), [40517], "{file}");
    }
    assert_eq!(
        ok(
            &mut s,
            &format!(
                "BEGIN TRANSACTION; BEGIN TRY {BACKUP} END TRY BEGIN CATCH SELECT ERROR_NUMBER() END CATCH"
            )
        ),
        ["3013"]
    );
    ok(
        &mut s,
        "ROLLBACK; CREATE LOGIN least WITH PASSWORD = 'Kx7-quartz-9'; CREATE USER least FOR LOGIN least",
    );
    let mut least = login(&engine, "least", "Kx7-quartz-9", "Clinic").unwrap();
    assert_eq!(numbers(&mut least, BACKUP), [262, 3013]);
    ok(&mut s, "ALTER ROLE db_backupoperator ADD MEMBER least");
    ok(&mut least, BACKUP);
}
