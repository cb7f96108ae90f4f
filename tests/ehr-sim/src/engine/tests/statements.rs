//! Statements: DML with its constraints, variables, control of flow, transactions, prepared calls.

use super::{Recorder, clinic, fails, ok, run};
use crate::types::{Cancel, Datum, Length, Param, Request, Rpc, SqlType};

#[test]
fn dml_keeps_its_constraints() {
    let (_engine, mut s) = clinic();
    ok(
        &mut s,
        "CREATE TABLE dbo.P (ID int NOT NULL CONSTRAINT PK_P PRIMARY KEY, Name nvarchar(5) NOT NULL, Age int CHECK (Age > 0), At datetime NOT NULL DEFAULT GETDATE());
         CREATE TABLE dbo.C (ID int IDENTITY(10,5) PRIMARY KEY, PID int NULL CONSTRAINT FK_C_P REFERENCES dbo.P(ID));
         INSERT INTO P (ID, Name, Age) VALUES (1, N'Ann', 3)",
    );
    for (batch, number, text) in [
        (
            "INSERT INTO P (ID, Name) VALUES (1, N'x')",
            2627,
            "Violation of PRIMARY KEY constraint 'PK_P'. Cannot insert duplicate key in object 'dbo.P'. The duplicate key value is (1).",
        ),
        (
            "INSERT INTO P (ID, Name) VALUES (2, NULL)",
            515,
            "Cannot insert the value NULL into column 'Name', table 'Clinic.dbo.P'; column does not allow nulls. INSERT fails.",
        ),
        (
            "INSERT INTO P (ID, Name) VALUES (2, N'toolong')",
            2628,
            "String or binary data would be truncated in table 'Clinic.dbo.P', column 'Name'. Truncated value: 'toolo'.",
        ),
        (
            "INSERT INTO C (PID) VALUES (9)",
            547,
            "The INSERT statement conflicted with the FOREIGN KEY constraint \"FK_C_P\". The conflict occurred in database \"Clinic\", table \"dbo.P\", column 'ID'.",
        ),
        (
            "INSERT INTO C (ID) VALUES (1)",
            544,
            "Cannot insert explicit value for identity column in table 'C' when IDENTITY_INSERT is set to OFF.",
        ),
    ] {
        assert_eq!(fails(&mut s, batch), (number, text.to_owned()), "{batch}");
    }
    assert_eq!(fails(&mut s, "INSERT INTO P (ID, Name, Age) VALUES (2, N'x', 0)").0, 547);
    assert_eq!(
        ok(&mut s, "INSERT INTO C (PID) OUTPUT inserted.ID, inserted.PID VALUES (1), (NULL)"),
        ["15|1", "20|NULL"],
        "the refused row used up 10"
    );
    assert_eq!(ok(&mut s, "SELECT SCOPE_IDENTITY(), @@ROWCOUNT"), ["20|2"]);
    let (number, text) = fails(&mut s, "DELETE FROM P WHERE ID = 1");
    assert_eq!(
        (
            number,
            text.starts_with("The DELETE statement conflicted with the REFERENCE constraint \"FK_C_P\".")
        ),
        (547, true)
    );
    assert_eq!(
        ok(&mut s, "UPDATE P SET Name = N'Bea', Age += 2 OUTPUT deleted.Name, inserted.Age WHERE ID = 1"),
        ["Ann|5"]
    );
    assert_eq!(
        ok(&mut s, "DELETE c FROM C c JOIN P p ON p.ID = c.PID WHERE p.Name = 'bea'; SELECT @@ROWCOUNT"),
        ["1"]
    );
    assert_eq!(ok(&mut s, "SELECT ID FROM C"), ["20"]);
}

#[test]
fn rowversion_is_stamped_at_the_statement_and_refuses_values() {
    let (_engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int PRIMARY KEY, v int, rv rowversion)");
    assert_eq!(
        ok(&mut s, "SELECT @@DBTS, MIN_ACTIVE_ROWVERSION()"),
        ["0x00000000000007D0|0x00000000000007D1"]
    );
    ok(&mut s, "INSERT INTO t (id, v) VALUES (1, 1)");
    assert_eq!(ok(&mut s, "SELECT rv FROM t"), ["0x00000000000007D1"]);
    ok(&mut s, "UPDATE t SET v = 2");
    assert_eq!(ok(&mut s, "SELECT rv FROM t"), ["0x00000000000007D2"]);
    assert_eq!(fails(&mut s, "INSERT INTO t (id, rv) VALUES (2, 0x01)").0, 273);
    assert_eq!(fails(&mut s, "UPDATE t SET rv = 0x01").0, 272);
    ok(&mut s, "BEGIN TRAN; UPDATE t SET v = 3; ROLLBACK");
    assert_eq!(ok(&mut s, "SELECT v, rv, @@DBTS FROM t"), ["2|0x00000000000007D2|0x00000000000007D3"]);
}

#[test]
fn variables_and_flow() {
    let (_engine, mut s) = clinic();
    let batch = "DECLARE @n int = 0, @s varchar(10) = 'x';
        WHILE @n < 10 BEGIN SET @n += 1; IF @n = 3 CONTINUE; IF @n > 5 BREAK; SET @s = @s + CAST(@n AS varchar(3)) END
        SELECT @n, @s";
    assert_eq!(ok(&mut s, batch), ["6|x1245"]);
    let batch = "BEGIN TRY SELECT 1/0 END TRY BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_MESSAGE(), ERROR_LINE() END CATCH";
    assert_eq!(ok(&mut s, batch), ["8134|Divide by zero error encountered.|1"]);
    assert_eq!(fails(&mut s, "BEGIN TRY SELECT 1/0 END TRY BEGIN CATCH THROW END CATCH").0, 8134);
    assert_eq!(fails(&mut s, "THROW 50001, N'mine', 3"), (50001, "mine".into()));
    assert_eq!(fails(&mut s, "RAISERROR('bad %s %d', 16, 1, 'x', 7)"), (50000, "bad x 7".into()));
    assert_eq!(run(&mut s, "PRINT 'hello'").messages[0].text, "hello");
    assert_eq!(
        ok(&mut s, "DECLARE @t TABLE (a int); INSERT @t VALUES (1), (2); SELECT SUM(a) FROM @t"),
        ["3"]
    );
    ok(&mut s, "CREATE TABLE #x (a int); INSERT INTO #x VALUES (5)");
    assert_eq!(ok(&mut s, "SELECT a FROM #x"), ["5"]);
    assert_eq!(ok(&mut s, "SELECT a INTO copied FROM #x; SELECT * FROM copied"), ["5"]);
}

#[test]
fn transactions_nest_save_and_undo() {
    let (_engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int PRIMARY KEY)");
    ok(
        &mut s,
        "BEGIN TRAN; INSERT INTO t VALUES (1); SAVE TRAN s; INSERT INTO t VALUES (2); ROLLBACK TRAN s; COMMIT",
    );
    assert_eq!(ok(&mut s, "SELECT id FROM t"), ["1"]);
    let recorder = run(
        &mut s,
        "BEGIN TRAN; INSERT INTO t VALUES (5); INSERT INTO t VALUES (1); COMMIT; SELECT COUNT(*) FROM t",
    );
    assert_eq!(
        (recorder.errors(), recorder.text()),
        (vec![2627], vec!["2".to_owned()]),
        "only the statement is undone"
    );
    let recorder = run(
        &mut s,
        "SET XACT_ABORT ON; BEGIN TRAN; INSERT INTO t VALUES (6); INSERT INTO t VALUES (1); COMMIT",
    );
    assert_eq!(recorder.errors(), [2627]);
    assert_eq!(ok(&mut s, "SELECT @@TRANCOUNT, COUNT(*) FROM t"), ["0|2"]);
    assert_eq!(fails(&mut s, "COMMIT").0, 3902);
    assert_eq!(fails(&mut s, "ROLLBACK").0, 3903);
    ok(
        &mut s,
        "BEGIN TRAN; CREATE TABLE gone (a int); INSERT INTO gone VALUES (1); EXEC ('CREATE SCHEMA x'); ROLLBACK",
    );
    assert_eq!(fails(&mut s, "SELECT * FROM gone").0, 208);
    assert_eq!(ok(&mut s, "SELECT SCHEMA_ID('x')"), ["NULL"]);
}

fn param(name: &str, ty: SqlType, value: Datum) -> Param {
    Param { name: name.into(), ty, value, output: false }
}

fn text(value: &str) -> Param {
    param("", SqlType::NVarChar(Length::Max), Datum::text(value))
}

#[test]
fn executes_parameterized_text_and_prepared_handles() {
    let (_engine, mut s) = clinic();
    let mut call = |procedure: &str, params: Vec<Param>| {
        let mut recorder = Recorder::default();
        let rpc = Rpc { procedure: procedure.into(), params };
        s.execute(Request::Rpc(rpc), &mut recorder, &Cancel::new()).unwrap();
        recorder
    };
    let recorder = call(
        "sp_executesql",
        vec![
            text("SELECT @a + 1, @b; SET @a = 9"),
            text("@a int OUTPUT, @b nvarchar(5)"),
            Param { output: true, ..param("@a", SqlType::Int, Datum::Int(4)) },
            param("@b", SqlType::NVarChar(Length::Of(20)), Datum::text("longer")),
        ],
    );
    assert_eq!(recorder.text(), ["5|longe"]);
    assert_eq!((recorder.status, recorder.returned[0].value.clone()), (Some(0), Datum::Int(9)));
    let handle = Param { output: true, ..param("", SqlType::Int, Datum::Null) };
    let recorder = call(
        "sp_prepexec",
        vec![handle, text("@x int"), text("SELECT @x * 2"), param("", SqlType::Int, Datum::Int(21))],
    );
    assert_eq!(recorder.text(), ["42"]);
    let handle = recorder.returned[0].value.clone();
    let recorder = call(
        "sp_execute",
        vec![param("", SqlType::Int, handle.clone()), param("", SqlType::Int, Datum::Int(3))],
    );
    assert_eq!(recorder.text(), ["6"]);
    call("sp_unprepare", vec![param("", SqlType::Int, handle.clone())]);
    assert_eq!(call("sp_execute", vec![param("", SqlType::Int, handle)]).errors(), [8179]);
    assert_eq!(call("sp_who_knows", Vec::new()).errors(), [2812]);
}

#[test]
fn alters_tables_with_rows_in_them() {
    let (_engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int PRIMARY KEY, a varchar(5)); INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    ok(&mut s, "ALTER TABLE t ADD b int NOT NULL CONSTRAINT df DEFAULT 7, rv rowversion");
    assert_eq!(
        ok(&mut s, "SELECT id, a, b, CASE WHEN rv > 0x0 THEN 1 ELSE 0 END FROM t"),
        ["1|x|7|1", "2|y|7|1"]
    );
    assert_eq!(fails(&mut s, "ALTER TABLE t ADD c int NOT NULL").0, 4901);
    assert_eq!(fails(&mut s, "ALTER TABLE t DROP COLUMN b").0, 5074);
    ok(
        &mut s,
        "ALTER TABLE t DROP CONSTRAINT df; ALTER TABLE t DROP COLUMN b; CREATE UNIQUE INDEX ua ON t(a)",
    );
    assert_eq!(fails(&mut s, "INSERT INTO t (id, a) VALUES (3, 'X')").0, 2601);
    assert_eq!(
        ok(&mut s, "SELECT name FROM sys.columns WHERE object_id = OBJECT_ID('dbo.t') ORDER BY column_id"),
        ["id", "a", "rv"]
    );
    ok(
        &mut s,
        "DROP INDEX ua ON t; INSERT INTO t (id, a) VALUES (3, 'X'); EXEC ('CREATE VIEW v AS SELECT id, UPPER(a) AS a FROM t')",
    );
    assert_eq!(ok(&mut s, "SELECT a FROM v WHERE id = 2"), ["Y"]);
    ok(&mut s, "DROP VIEW v; DROP TABLE t; DROP TABLE IF EXISTS t");
    assert_eq!(fails(&mut s, "DROP TABLE t").0, 3701);
}

#[test]
fn insert_top_inserts_only_so_many_rows() {
    let (_, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int)");
    ok(
        &mut s,
        "INSERT TOP (2) INTO t VALUES (1), (2), (3); INSERT TOP (50) PERCENT INTO t SELECT id + 10 FROM t",
    );
    assert_eq!(ok(&mut s, "SELECT id FROM t"), ["1", "2", "11"]);
}

#[test]
fn index_use_is_counted_once_a_statement() {
    let (_, mut s) = clinic();
    ok(
        &mut s,
        "CREATE TABLE t (id int PRIMARY KEY, v int, w int); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)",
    );
    ok(&mut s, "CREATE INDEX iv ON t (v)");
    const USAGE: &str = "SELECT index_id, user_seeks, user_scans, user_lookups, user_updates, \
        CASE WHEN last_user_update IS NULL THEN 0 ELSE 1 END FROM sys.dm_db_index_usage_stats \
        WHERE database_id = DB_ID() AND object_id = OBJECT_ID('t') ORDER BY index_id";
    assert_eq!(ok(&mut s, USAGE), ["1|0|0|0|1|1"]);
    ok(
        &mut s,
        "SELECT w FROM t WHERE v = 2; SELECT w FROM t; SELECT w FROM t WHERE id = 1; UPDATE t SET w = 3 WHERE id = 1",
    );
    assert_eq!(ok(&mut s, USAGE), ["1|2|1|1|2|1", "2|1|0|0|1|1"]);
}

#[test]
fn text_of_its_own_has_its_own_database_and_options() {
    let (_, mut s) = clinic();
    assert_eq!(
        ok(&mut s, "EXEC master.sys.sp_executesql N'SELECT DB_NAME()'; SELECT DB_NAME()"),
        ["master", "Clinic"]
    );
    assert_eq!(
        ok(
            &mut s,
            "EXEC ('USE master; SET LOCK_TIMEOUT 5; SET XACT_ABORT ON'); SELECT DB_NAME(), @@LOCK_TIMEOUT, @@OPTIONS & 16384"
        ),
        ["Clinic|-1|0"]
    );
    assert_eq!(
        ok(&mut s, "EXEC sp_executesql N'SET CONTEXT_INFO 0x01'; SELECT SUBSTRING(CONTEXT_INFO(), 1, 1)"),
        ["0x01"]
    );
    assert_eq!(fails(&mut s, "EXEC Nowhere.sys.sp_executesql N'SELECT 1'").0, 911);
    assert_eq!(fails(&mut s, "EXEC other.sp_executesql N'SELECT 1'").0, 2812);
}

#[test]
fn bytes_become_integers_as_they_are() {
    let (_, mut s) = clinic();
    let shown = "SELECT CAST(0xFFFFFFFF AS int), CAST(0x0102030405 AS int), CAST(0xFF AS smallint), CAST(0x1FF AS tinyint)";
    assert_eq!(ok(&mut s, shown), ["-1|33752069|255|255"]);
}

#[test]
fn fmtonly_tells_columns_and_does_nothing() {
    let (_, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int, name nvarchar(10)); INSERT INTO t VALUES (1, N'a')");
    let recorder = run(&mut s, "SET FMTONLY ON select * from t DELETE FROM t SET FMTONLY OFF");
    assert!(recorder.errors().is_empty() && recorder.rows.is_empty());
    assert_eq!(recorder.columns[0].iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["id", "name"]);
    assert_eq!(ok(&mut s, "SELECT name FROM t"), ["a"]);
}

#[test]
fn floats_that_do_not_fit_are_refused_with_232() {
    let (_, mut s) = clinic();
    let text = "Arithmetic overflow error for type int, value = 2147483648.000000.";
    assert_eq!(fails(&mut s, "SELECT POWER(2, 31)"), (232, text.into()));
    assert_eq!(fails(&mut s, "SELECT CAST(1e10 AS int)").0, 232);
    ok(&mut s, "SELECT c.precision, c.scale FROM sys.columns AS c");
    ok(&mut s, "CREATE TABLE t (id int)");
    assert_eq!(fails(&mut s, "WITH d AS (SELECT id FROM t) DELETE FROM d").0, 40517);
}
