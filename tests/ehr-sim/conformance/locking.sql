-- page: SET LOCK_TIMEOUT; SET TRANSACTION ISOLATION LEVEL; Table hints; SET DEADLOCK_PRIORITY; ALTER DATABASE SET options
-- https://learn.microsoft.com/sql/t-sql/statements/set-lock-timeout-transact-sql
-- https://learn.microsoft.com/sql/t-sql/statements/set-transaction-isolation-level-transact-sql
-- https://learn.microsoft.com/sql/t-sql/statements/set-deadlock-priority-transact-sql

CREATE TABLE dbo.L (ID int NOT NULL PRIMARY KEY, V int NOT NULL);
INSERT INTO dbo.L VALUES (1, 10), (2, 20);
GO
BEGIN TRANSACTION;
UPDATE dbo.L SET V = 11 WHERE ID = 1;
GO
-- session 2
SET LOCK_TIMEOUT 50;
SELECT V FROM dbo.L WHERE ID = 1;
--> error 1222: Lock request time out period exceeded.
GO
-- session 2
SELECT V FROM dbo.L WITH (NOLOCK) WHERE ID = 1;
--> V
--> 11
GO
-- session 2
SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;
SELECT V FROM dbo.L WHERE ID = 1;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
--> V
--> 11
GO
-- session 2
SELECT ID, V FROM dbo.L WITH (READPAST) ORDER BY ID;
--> ID | V
--> 2 | 20
GO
-- session 2
-- Another row of the same table is free.
UPDATE dbo.L SET V = 21 WHERE ID = 2;
SELECT V FROM dbo.L WHERE ID = 2;
--> V
--> 21
GO
-- session 2, without waiting
-- Waits until the writer is done, then reads what it committed.
SET LOCK_TIMEOUT -1;
SELECT V FROM dbo.L WHERE ID = 1;
--> V
--> 11
GO
WHILE NOT EXISTS (SELECT * FROM sys.dm_os_waiting_tasks WHERE blocking_session_id = @@SPID) WAITFOR DELAY '00:00:00.020';
COMMIT;
GO
-- A deadlock: the session of lower priority is the victim, its transaction is rolled back, the other goes on.
BEGIN TRANSACTION;
UPDATE dbo.L SET V = 100 WHERE ID = 1;
GO
-- session 2
SET DEADLOCK_PRIORITY LOW;
BEGIN TRANSACTION;
UPDATE dbo.L SET V = 200 WHERE ID = 2;
GO
-- session 2, without waiting
UPDATE dbo.L SET V = 201 WHERE ID = 1;
--> error 1205: was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.
GO
WHILE NOT EXISTS (SELECT * FROM sys.dm_os_waiting_tasks WHERE blocking_session_id = @@SPID) WAITFOR DELAY '00:00:00.020';
UPDATE dbo.L SET V = 101 WHERE ID = 2;
COMMIT;
SELECT ID, V FROM dbo.L ORDER BY ID;
--> ID | V
--> 1 | 100
--> 2 | 101
GO
-- session 2
SELECT @@TRANCOUNT AS n;
--> n
--> 0
GO
