//! Logins, users, roles, permissions and what the catalog shows of them.

use super::{clinic, fails, login, ok};

const SETUP: &str = "CREATE TABLE dbo.T (ID int PRIMARY KEY, Name nvarchar(20), Secret nvarchar(20)); INSERT INTO T VALUES (1, 'a', 'b');
    CREATE LOGIN [reader] WITH PASSWORD = N'Pass-word1', CHECK_POLICY = OFF, DEFAULT_DATABASE=[Clinic]; CREATE USER [reader] FOR LOGIN [reader]";

#[test]
fn refuses_logins_with_sql_servers_numbers() {
    let (engine, mut s) = clinic();
    ok(&mut s, SETUP);
    let numbers = |user: &str, password: &str, database: &str| -> Vec<u32> {
        login(&engine, user, password, database).err().unwrap().iter().map(|m| m.number).collect()
    };
    assert_eq!(numbers("nobody", "x", ""), [18456]);
    assert_eq!(numbers("reader", "wrong", ""), [18456]);
    assert_eq!(numbers("reader", "Pass-word1", "Nowhere"), [4060, 18456]);
    assert!(login(&engine, "READER", "Pass-word1", "").is_ok());
    assert!(login(&engine, "sa", "Right-1", "").is_ok());
    ok(&mut s, "ALTER LOGIN reader DISABLE");
    assert_eq!(numbers("reader", "Pass-word1", ""), [18470]);
    ok(
        &mut s,
        "ALTER LOGIN reader ENABLE; ALTER LOGIN reader WITH PASSWORD = N'Other-1', CHECK_POLICY = OFF",
    );
    assert!(login(&engine, "reader", "Other-1", "").is_ok());
    assert_eq!(fails(&mut s, "CREATE LOGIN reader WITH PASSWORD = 'x', CHECK_POLICY = OFF").0, 15025);
    assert_eq!(fails(&mut s, "CREATE LOGIN weak WITH PASSWORD = 'short'").0, 15116);
    assert_eq!(fails(&mut s, "DROP LOGIN nobody").0, 15151);
    assert_eq!(fails(&mut s, "CREATE USER reader FOR LOGIN reader").0, 15023);
    assert_eq!(fails(&mut s, "CREATE USER x FOR LOGIN nobody").0, 15007);
}

#[test]
fn enforces_grants_down_to_columns() {
    let (engine, mut s) = clinic();
    ok(&mut s, SETUP);
    let mut r = login(&engine, "reader", "Pass-word1", "").unwrap();
    assert_eq!(
        fails(&mut r, "SELECT ID FROM T"),
        (229, "The SELECT permission was denied on the object 'T', database 'Clinic', schema 'dbo'.".into())
    );
    assert_eq!(ok(&mut r, "SELECT COUNT(*) FROM sys.tables"), ["0"], "what one may not use one does not see");
    ok(&mut s, "GRANT SELECT ON OBJECT::[dbo].[T] ([ID],[Name]) TO [reader]");
    assert_eq!(ok(&mut r, "SELECT ID, Name FROM T"), ["1|a"]);
    assert_eq!(
        fails(&mut r, "SELECT * FROM T"),
        (230, "The SELECT permission was denied on the column 'Secret' of the object 'T', database 'Clinic', schema 'dbo'.".into())
    );
    assert_eq!(ok(&mut r, "SELECT name FROM sys.tables"), ["T"]);
    ok(&mut s, "GRANT SELECT ON T TO reader; DENY SELECT ON T (Secret) TO reader");
    assert_eq!(fails(&mut r, "SELECT Secret FROM T").0, 230);
    ok(&mut s, "REVOKE SELECT ON T (Secret) FROM reader");
    assert_eq!(ok(&mut r, "SELECT Secret FROM T"), ["b"]);
    ok(&mut s, "ALTER ROLE db_datareader ADD MEMBER reader; DENY SELECT ON SCHEMA::dbo TO reader");
    assert_eq!(fails(&mut r, "SELECT ID FROM T").0, 229);
    ok(&mut s, "REVOKE SELECT ON SCHEMA::dbo FROM reader; REVOKE SELECT ON T FROM reader");
    assert_eq!(ok(&mut r, "SELECT ID FROM T"), ["1"]);
    assert_eq!(fails(&mut r, "INSERT INTO T VALUES (2, 'x', 'y')").0, 229);
    assert_eq!(
        fails(&mut r, "CREATE TABLE mine (a int)"),
        (262, "CREATE TABLE permission denied in database 'Clinic'.".into())
    );
    assert_eq!(fails(&mut r, "CREATE LOGIN z WITH PASSWORD = 'x', CHECK_POLICY = OFF").0, 15247);
    assert_eq!(fails(&mut r, "SELECT * FROM sys.dm_tran_active_transactions").0, 300);
    assert_eq!(fails(&mut r, "DROP TABLE T").0, 3701);
}

#[test]
fn roles_users_and_context() {
    let (engine, mut s) = clinic();
    ok(&mut s, SETUP);
    ok(
        &mut s,
        "CREATE ROLE desk; ALTER ROLE desk ADD MEMBER reader; GRANT INSERT, SELECT ON T TO desk; CREATE DATABASE Other",
    );
    let mut r = login(&engine, "reader", "Pass-word1", "").unwrap();
    ok(&mut r, "INSERT INTO T VALUES (2, 'x', 'y')");
    assert_eq!(
        ok(
            &mut r,
            "SELECT IS_ROLEMEMBER('desk'), IS_ROLEMEMBER('db_owner'), IS_SRVROLEMEMBER('sysadmin'), HAS_DBACCESS('Other')"
        ),
        ["1|0|0|0"]
    );
    assert_eq!(
        fails(&mut r, "SELECT * FROM Other.dbo.x"),
        (916, "The server principal \"reader\" is not able to access the database \"Other\" under the current security context.".into())
    );
    assert_eq!(
        ok(
            &mut r,
            "SELECT HAS_PERMS_BY_NAME('dbo.T', 'OBJECT', 'INSERT'), HAS_PERMS_BY_NAME('dbo.T', 'OBJECT', 'DELETE')"
        ),
        ["1|0"]
    );
    assert_eq!(
        ok(
            &mut r,
            "SELECT permission_name FROM fn_my_permissions('dbo.T', 'OBJECT') WHERE subentity_name = '' ORDER BY 1"
        ),
        ["INSERT", "SELECT"]
    );
    assert_eq!(
        ok(
            &mut s,
            "EXECUTE AS USER = 'reader'; SELECT USER_NAME(), SUSER_SNAME(), ORIGINAL_LOGIN(); REVERT; SELECT USER_NAME()"
        ),
        ["reader|reader|sa", "dbo"]
    );
    assert_eq!(
        ok(
            &mut s,
            "SELECT name, is_policy_checked, PWDCOMPARE(N'Pass-word1', password_hash), PWDCOMPARE(N'no', password_hash) FROM sys.sql_logins WHERE name = 'reader'"
        ),
        ["reader|0|1|0"]
    );
    assert_eq!(
        ok(
            &mut s,
            "SELECT p.permission_name, p.state_desc FROM sys.database_permissions p JOIN sys.database_principals u ON u.principal_id = p.grantee_principal_id WHERE u.name = 'desk' ORDER BY 1"
        ),
        ["INSERT|GRANT", "SELECT|GRANT"]
    );
    assert_eq!(
        ok(
            &mut s,
            "SELECT r.name FROM sys.database_role_members m JOIN sys.database_principals r ON r.principal_id = m.role_principal_id JOIN sys.database_principals u ON u.principal_id = m.member_principal_id WHERE u.name = N'reader'"
        ),
        ["desk"]
    );
    assert_eq!(fails(&mut s, "DROP ROLE desk").0, 15144);
    assert_eq!(fails(&mut s, "DROP LOGIN reader").0, 15434, "its session is open");
    drop(r);
    ok(&mut s, "DROP USER reader; DROP LOGIN reader; DROP ROLE desk");
    ok(
        &mut s,
        "BEGIN TRAN; CREATE LOGIN half WITH PASSWORD = 'x', CHECK_POLICY = OFF; CREATE USER half FOR LOGIN half; ROLLBACK",
    );
    assert_eq!(ok(&mut s, "SELECT SUSER_ID('half'), USER_ID('half')"), ["NULL|NULL"]);
}
