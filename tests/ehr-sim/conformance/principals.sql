-- page: CREATE LOGIN; ALTER LOGIN; DROP LOGIN; CREATE USER; ALTER USER; DROP USER; ALTER ROLE; DROP ROLE; ALTER AUTHORIZATION
-- https://learn.microsoft.com/sql/t-sql/statements/create-login-transact-sql
-- https://learn.microsoft.com/sql/t-sql/statements/alter-user-transact-sql
-- https://learn.microsoft.com/sql/t-sql/statements/alter-role-transact-sql
-- https://learn.microsoft.com/sql/sql-server/failover-clusters/troubleshoot-orphaned-users-sql-server
-- https://learn.microsoft.com/sql/t-sql/functions/pwdcompare-transact-sql

CREATE LOGIN [ehr_sim o'ne] WITH PASSWORD = N'Right-Passw0rd', SID = 0x5A3B1C00112233445566778899AABBCC, CHECK_POLICY = OFF;
SELECT name, CONVERT(varchar(34), sid, 1) AS sid, is_disabled, is_policy_checked AS policy, default_database_name AS db FROM sys.sql_logins WHERE name LIKE 'ehr_sim o%';
--> name | sid | is_disabled | policy | db
--> ehr_sim o'ne | 0x5A3B1C00112233445566778899AABBCC | 0 | 0 | master
GO
CREATE LOGIN [EHR_SIM O'NE] WITH PASSWORD = N'Right-Passw0rd', CHECK_POLICY = OFF;
--> error 15025: The server principal 'EHR_SIM O'NE' already exists.
GO
CREATE LOGIN ehr_sim_two WITH PASSWORD = N'Right-Passw0rd', SID = 0x5A3B1C00112233445566778899AABBCC, CHECK_POLICY = OFF;
--> error 15433: Supplied parameter sid is in use.
GO
SELECT PWDCOMPARE(N'Right-Passw0rd', password_hash) AS right_, PWDCOMPARE(N'wrong', password_hash) AS wrong FROM sys.sql_logins WHERE name = 'ehr_sim o''ne';
--> right_ | wrong
--> 1 | 0
GO
ALTER LOGIN [ehr_sim o'ne] DISABLE;
SELECT is_disabled FROM sys.sql_logins WHERE name = 'ehr_sim o''ne';
--> is_disabled
--> 1
GO
CREATE USER one FOR LOGIN [ehr_sim o'ne] WITH DEFAULT_SCHEMA = dbo;
SELECT type_desc, default_schema_name AS s, authentication_type_desc AS auth FROM sys.database_principals WHERE name = 'one';
--> type_desc | s | auth
--> SQL_USER | dbo | INSTANCE
GO
CREATE USER other FOR LOGIN [ehr_sim o'ne];
--> error 15063: The login already has an account under a different user name.
GO
CREATE USER nobody FOR LOGIN no_such_login;
--> error 15007: 'no_such_login' is not a valid login or you do not have permission.
GO
CREATE ROLE readers AUTHORIZATION dbo;
ALTER ROLE readers ADD MEMBER one;
SELECT IS_ROLEMEMBER('readers', 'one') AS member;
--> member
--> 1
GO
ALTER ROLE readers ADD MEMBER no_such_user;
--> error 15151: Cannot add the principal 'no_such_user', because it does not exist or you do not have permission.
GO
DROP ROLE readers;
--> error 15144: The role has members. It must be empty before it can be dropped.
GO
CREATE SCHEMA owned AUTHORIZATION one;
GO
DROP USER one;
--> error 15138: The database principal owns a schema in the database, and cannot be dropped.
GO
ALTER AUTHORIZATION ON SCHEMA::owned TO dbo;
GO
-- A login that goes leaves its user behind, an orphan; a login with the same SID takes it up again.
DROP LOGIN [ehr_sim o'ne];
SELECT u.name FROM sys.database_principals AS u LEFT JOIN sys.server_principals AS l ON l.sid = u.sid WHERE u.type = 'S' AND u.principal_id > 4 AND l.sid IS NULL;
--> name
--> one
GO
CREATE LOGIN ehr_sim_three WITH PASSWORD = N'Right-Passw0rd', CHECK_POLICY = OFF;
ALTER USER one WITH LOGIN = ehr_sim_three;
SELECT l.name FROM sys.database_principals AS u JOIN sys.server_principals AS l ON l.sid = u.sid WHERE u.name = 'one';
--> name
--> ehr_sim_three
GO
CREATE LOGIN ehr_sim_four WITH PASSWORD = N'Right-Passw0rd', CHECK_POLICY = OFF;
CREATE USER alone WITHOUT LOGIN;
ALTER USER alone WITH LOGIN = ehr_sim_four;
--> error 33016: The user cannot be remapped to a login. Remapping can only be done for users that were mapped to Windows or SQL logins.
GO
ALTER USER one WITH NAME = uno;
SELECT IS_ROLEMEMBER('readers', 'uno') AS member;
--> member
--> 1
GO
DROP USER no_such_user;
--> error 15151: Cannot drop the user 'no_such_user', because it does not exist or you do not have permission.
GO
DROP USER uno;
DROP ROLE readers;
DROP LOGIN ehr_sim_three;
DROP LOGIN ehr_sim_four;
SELECT COUNT(*) AS n FROM sys.server_principals WHERE name LIKE 'ehr_sim[_]%';
--> n
--> 0
GO
DROP LOGIN ehr_sim_three;
--> error 15151: Cannot drop the login 'ehr_sim_three', because it does not exist or you do not have permission.
GO
CREATE LOGIN ehr_sim_weak WITH PASSWORD = N'x', CHECK_POLICY = OFF, DEFAULT_DATABASE = no_such_database;
--> error 15010: The database 'no_such_database' does not exist. Supply a valid database name. To see available databases, use sys.databases.
GO
-- Which options of a login go together ("ALTER LOGIN", remarks on CHECK_POLICY, CHECK_EXPIRATION and MUST_CHANGE).
CREATE LOGIN ehr_sim_five WITH PASSWORD = N'Right-Passw0rd' MUST_CHANGE, CHECK_POLICY = OFF, CHECK_EXPIRATION = OFF;
--> error 15128: The CHECK_POLICY and CHECK_EXPIRATION options cannot be turned OFF when MUST_CHANGE is ON.
GO
CREATE LOGIN ehr_sim_five WITH PASSWORD = N'Right-Passw0rd' MUST_CHANGE, CHECK_EXPIRATION = ON;
ALTER LOGIN ehr_sim_five WITH CHECK_POLICY = OFF;
--> error 15128
GO
ALTER LOGIN ehr_sim_five WITH PASSWORD = N'Other-Passw0rd';
ALTER LOGIN ehr_sim_five WITH CHECK_POLICY = OFF;
SELECT is_policy_checked, is_expiration_checked FROM sys.sql_logins WHERE name = 'ehr_sim_five';
--> is_policy_checked | is_expiration_checked
--> 0 | 0
GO
ALTER LOGIN ehr_sim_five WITH CHECK_EXPIRATION = ON;
--> error 15122: The CHECK_EXPIRATION option cannot be used when CHECK_POLICY is OFF.
GO
ALTER LOGIN ehr_sim_five WITH CHECK_POLICY = ON;
SELECT is_policy_checked, is_expiration_checked FROM sys.sql_logins WHERE name = 'ehr_sim_five';
--> is_policy_checked | is_expiration_checked
--> 1 | 1
GO
DROP LOGIN ehr_sim_five;
CREATE LOGIN ehr_sim_five WITH PASSWORD = N'Right-Passw0rd', CHECK_POLICY = OFF, DEFAULT_LANGUAGE = klingon;
--> error 15033: 'klingon' is not a valid official language name.
GO
CREATE USER [] WITHOUT LOGIN;
--> error 1038
GO
DROP USER dbo;
--> error 15150: Cannot drop the user 'dbo'.
GO
DROP USER guest;
--> error 15539
GO
