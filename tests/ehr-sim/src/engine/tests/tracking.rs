//! Change Tracking: versions, net changes, what switches it on and off.

use super::{clinic, fails, login, ok};

const SETUP: &str =
    "ALTER DATABASE Clinic SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON);
    CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
    ALTER TABLE t ENABLE CHANGE_TRACKING";

fn changes(s: &mut super::Session, since: i64) -> Vec<String> {
    ok(
        s,
        &format!(
            "SELECT c.id, c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_VERSION, t.v FROM CHANGETABLE(CHANGES t, {since}) AS c LEFT JOIN t ON t.id = c.id ORDER BY c.id"
        ),
    )
}

#[test]
fn shows_net_changes_since_a_version() {
    let (_engine, mut s) = clinic();
    ok(&mut s, SETUP);
    assert_eq!(
        ok(
            &mut s,
            "SELECT CHANGE_TRACKING_CURRENT_VERSION(), CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))"
        ),
        ["0|0"]
    );
    assert!(changes(&mut s, 0).is_empty());
    ok(&mut s, "UPDATE t SET v = 20 WHERE id = 2");
    ok(
        &mut s,
        "BEGIN TRAN; INSERT INTO t VALUES (4, 4); UPDATE t SET v = 40 WHERE id = 4; DELETE FROM t WHERE id = 1; COMMIT",
    );
    ok(&mut s, "BEGIN TRAN; UPDATE t SET v = 0; ROLLBACK");
    assert_eq!(changes(&mut s, 0), ["1|D|2|NULL", "2|U|1|20", "4|I|2|40"]);
    assert_eq!(changes(&mut s, 1), ["1|D|2|NULL", "4|I|2|40"]);
    ok(&mut s, "UPDATE t SET v = 41 WHERE id = 4; UPDATE t SET id = 5 WHERE id = 3");
    assert_eq!(changes(&mut s, 2), ["3|D|4|NULL", "4|U|3|41", "5|I|4|3"]);
    assert_eq!(changes(&mut s, 0)[3], "4|I|3|41", "inserted and then updated is an insert");
    assert_eq!(ok(&mut s, "SELECT CHANGE_TRACKING_CURRENT_VERSION()"), ["4"]);
    ok(&mut s, "TRUNCATE TABLE t");
    assert!(changes(&mut s, 0).is_empty());
    assert_eq!(ok(&mut s, "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))"), ["5"]);
}

#[test]
fn refuses_what_change_tracking_cannot_do() {
    let (engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE h (a int); CREATE TABLE u (a int CONSTRAINT PK_u PRIMARY KEY)");
    assert_eq!(fails(&mut s, "ALTER TABLE u ENABLE CHANGE_TRACKING").0, 1718);
    assert_eq!(fails(&mut s, "ALTER DATABASE master SET CHANGE_TRACKING = ON").0, 5090);
    ok(&mut s, SETUP);
    assert_eq!(fails(&mut s, "ALTER DATABASE Clinic SET CHANGE_TRACKING = ON").0, 5088);
    assert_eq!(fails(&mut s, "ALTER TABLE h ENABLE CHANGE_TRACKING").0, 4997);
    assert_eq!(fails(&mut s, "ALTER TABLE t ENABLE CHANGE_TRACKING").0, 4996);
    assert_eq!(fails(&mut s, "ALTER TABLE u DISABLE CHANGE_TRACKING").0, 4998);
    assert_eq!(fails(&mut s, "SELECT * FROM CHANGETABLE(CHANGES u, 0) AS c").0, 22105);
    assert_eq!(fails(&mut s, "SELECT * FROM CHANGETABLE(CHANGES t, 0)").0, 22104);
    assert_eq!(fails(&mut s, "ALTER DATABASE Clinic SET CHANGE_TRACKING = OFF").0, 22115);
    ok(&mut s, "ALTER TABLE u ENABLE CHANGE_TRACKING");
    assert_eq!(fails(&mut s, "ALTER TABLE u DROP CONSTRAINT PK_u").0, 3735);
    ok(
        &mut s,
        "CREATE LOGIN r WITH PASSWORD = 'x', CHECK_POLICY = OFF, DEFAULT_DATABASE = Clinic; CREATE USER r; GRANT SELECT ON t TO r",
    );
    let mut r = login(&engine, "r", "x", "").unwrap();
    let (number, text) = fails(&mut r, "SELECT id FROM CHANGETABLE(CHANGES t, 0) AS c");
    assert_eq!(
        (number, text.starts_with("The VIEW CHANGE TRACKING permission was denied on the object 't'")),
        (229, true)
    );
    ok(&mut s, "GRANT VIEW CHANGE TRACKING ON t TO r");
    assert!(ok(&mut r, "SELECT id FROM CHANGETABLE(CHANGES t, 0) AS c").is_empty());
}

#[test]
fn a_snapshot_sees_the_changes_of_its_moment() {
    let (engine, mut s) = clinic();
    ok(&mut s, SETUP);
    ok(&mut s, "ALTER DATABASE Clinic SET ALLOW_SNAPSHOT_ISOLATION ON; UPDATE t SET v = 20 WHERE id = 2");
    let mut reader = engine.local_session("reader");
    ok(&mut reader, "USE Clinic; SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN");
    assert_eq!(ok(&mut reader, "SELECT CHANGE_TRACKING_CURRENT_VERSION()"), ["1"]);
    ok(&mut s, "UPDATE t SET v = 21 WHERE id = 2; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (9, 9)");
    assert_eq!(changes(&mut reader, 0), ["2|U|1|20"], "later changes are not there, the earlier one is");
    assert_eq!(ok(&mut reader, "SELECT CHANGE_TRACKING_CURRENT_VERSION()"), ["1"]);
    ok(&mut reader, "COMMIT");
    assert_eq!(changes(&mut reader, 1), ["1|D|3|NULL", "2|U|2|21", "9|I|4|9"]);
}

#[test]
fn changes_past_retention_are_forgotten_on_command() {
    let (engine, mut s) = clinic();
    ok(&mut s, SETUP);
    ok(&mut s, "UPDATE t SET v = 20 WHERE id = 2; INSERT INTO t VALUES (4, 4)");
    engine.inject(&crate::engine::Fault::CleanTracking("Clinic".into())).unwrap();
    assert_eq!(ok(&mut s, "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))"), ["2"]);
    assert!(changes(&mut s, 0).is_empty());
    ok(&mut s, "UPDATE t SET v = 5 WHERE id = 4");
    assert_eq!(changes(&mut s, 2), ["4|U|3|5"]);
}
