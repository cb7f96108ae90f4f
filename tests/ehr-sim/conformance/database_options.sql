-- page: ALTER DATABASE SET Options (Transact-SQL); Database engine errors 911, 924, 942, 1801, 3702, 3906, 5061; sys.databases
-- https://learn.microsoft.com/sql/t-sql/statements/alter-database-transact-sql-set-options
-- https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
-- https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-databases-transact-sql

CREATE DATABASE ehr_sim_states;
GO
CREATE DATABASE ehr_sim_states;
--> error 1801: Database 'ehr_sim_states' already exists. Choose a different database name.
GO
CREATE TABLE ehr_sim_states.dbo.T (ID int NOT NULL PRIMARY KEY);
INSERT INTO ehr_sim_states.dbo.T VALUES (1);
GO
ALTER DATABASE ehr_sim_states SET READ_ONLY;
INSERT INTO ehr_sim_states.dbo.T VALUES (2);
--> error 3906: Failed to update database "ehr_sim_states" because the database is read-only.
GO
SELECT ID FROM ehr_sim_states.dbo.T;
--> ID
--> 1
GO
ALTER DATABASE ehr_sim_states SET READ_WRITE;
INSERT INTO ehr_sim_states.dbo.T VALUES (2);
SELECT COUNT(*) AS n FROM ehr_sim_states.dbo.T;
--> n
--> 2
GO
-- session 2
USE ehr_sim_states;
GO
ALTER DATABASE ehr_sim_states SET OFFLINE WITH NO_WAIT;
--> error 5061: ALTER DATABASE failed because a lock could not be placed on database 'ehr_sim_states'. Try again later.
GO
DROP DATABASE ehr_sim_states;
--> error 3702: Cannot drop database "ehr_sim_states" because it is currently in use.
GO
-- session 2
USE master;
GO
ALTER DATABASE ehr_sim_states SET OFFLINE;
SELECT state_desc FROM sys.databases WHERE name = 'ehr_sim_states';
--> state_desc
--> OFFLINE
GO
USE ehr_sim_states;
--> error 942: Database 'ehr_sim_states' cannot be opened because it is offline.
GO
ALTER DATABASE ehr_sim_states SET ONLINE;
SELECT state_desc, user_access_desc FROM sys.databases WHERE name = 'ehr_sim_states';
--> state_desc | user_access_desc
--> ONLINE | MULTI_USER
GO
-- session 2
USE ehr_sim_states;
ALTER DATABASE ehr_sim_states SET SINGLE_USER;
GO
USE ehr_sim_states;
--> error 924: Database 'ehr_sim_states' is already open and can only have one user at a time.
GO
-- session 2
ALTER DATABASE ehr_sim_states SET MULTI_USER;
USE master;
GO
ALTER DATABASE ehr_sim_states SET READ_COMMITTED_SNAPSHOT ON;
ALTER DATABASE ehr_sim_states SET ALLOW_SNAPSHOT_ISOLATION ON;
ALTER DATABASE ehr_sim_states SET RECOVERY FULL;
SELECT is_read_committed_snapshot_on AS rcsi, snapshot_isolation_state_desc AS snap, recovery_model_desc AS recovery FROM sys.databases WHERE name = 'ehr_sim_states';
--> rcsi | snap | recovery
--> 1 | ON | FULL
GO
BEGIN TRANSACTION;
ALTER DATABASE ehr_sim_states SET RECOVERY SIMPLE;
--> error 226: ALTER DATABASE statement not allowed within multi-statement transaction.
GO
ROLLBACK;
GO
BEGIN TRANSACTION;
DROP DATABASE ehr_sim_states;
--> error 226: DROP DATABASE statement not allowed within multi-statement transaction.
GO
ROLLBACK;
DROP DATABASE ehr_sim_states;
GO
DROP DATABASE ehr_sim_states;
--> error 3701: Cannot drop the database 'ehr_sim_states', because it does not exist or you do not have permission.
GO
DROP DATABASE IF EXISTS ehr_sim_states;
GO
USE ehr_sim_states;
--> error 911: Database 'ehr_sim_states' does not exist. Make sure that the name is entered correctly.
GO
-- Options that reach beyond the database ("CREATE DATABASE", external_access_option).
CREATE DATABASE ehr_sim_options WITH TRUSTWORTHY ON, DB_CHAINING OFF;
SELECT is_trustworthy_on, is_db_chaining_on, containment_desc FROM sys.databases WHERE name = 'ehr_sim_options';
--> is_trustworthy_on | is_db_chaining_on | containment_desc
--> 1 | 0 | NONE
GO
ALTER DATABASE ehr_sim_options SET TRUSTWORTHY OFF;
ALTER DATABASE ehr_sim_options SET DB_CHAINING ON;
SELECT is_trustworthy_on, is_db_chaining_on FROM sys.databases WHERE name = 'ehr_sim_options';
--> is_trustworthy_on | is_db_chaining_on
--> 0 | 1
GO
-- What is defined in a read-only database is refused as what is written.
ALTER DATABASE ehr_sim_options SET READ_ONLY;
CREATE TABLE ehr_sim_options.dbo.T (a int);
--> error 3906
GO
DROP DATABASE ehr_sim_options;
GO
