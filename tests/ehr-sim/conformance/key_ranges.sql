-- page: Transaction Locking and Row Versioning Guide (key-range locking); Table hints; SET TRANSACTION ISOLATION LEVEL
-- https://learn.microsoft.com/sql/relational-databases/sql-server-transaction-locking-and-row-versioning-guide#key-range-locking
-- https://learn.microsoft.com/sql/t-sql/queries/hints-transact-sql-table
-- https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors

CREATE TABLE dbo.K (ID int NOT NULL PRIMARY KEY, V int NOT NULL);
INSERT INTO dbo.K VALUES (10, 1), (20, 2), (30, 3), (40, 4), (50, 5);
GO
-- A serializable read keeps its range as it was read: no row comes in, none in it changes or goes.
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
BEGIN TRANSACTION;
SELECT COUNT(*) AS n FROM dbo.K WHERE ID BETWEEN 20 AND 30;
--> n
--> 2
GO
-- session 2
SET LOCK_TIMEOUT 100;
INSERT INTO dbo.K VALUES (25, 0);
--> error 1222
GO
-- session 2
DELETE FROM dbo.K WHERE ID = 20;
--> error 1222
GO
-- session 2
-- Far from the range a row comes in at once.
INSERT INTO dbo.K VALUES (45, 0);
SELECT ID FROM dbo.K WHERE ID = 45;
--> ID
--> 45
GO
SELECT COUNT(*) AS n FROM dbo.K WHERE ID BETWEEN 20 AND 30;
COMMIT TRANSACTION;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
--> n
--> 2
GO
-- session 2
INSERT INTO dbo.K VALUES (25, 0);
SELECT ID FROM dbo.K WHERE ID = 25;
--> ID
--> 25
GO
-- UPDLOCK with HOLDLOCK on a key that is not there: the second one waits until the first has made its row.
BEGIN TRANSACTION;
SELECT COUNT(*) AS n FROM dbo.K WITH (UPDLOCK, HOLDLOCK) WHERE ID = 35;
--> n
--> 0
GO
-- session 2, without waiting
SET LOCK_TIMEOUT -1;
SELECT V FROM dbo.K WITH (UPDLOCK, HOLDLOCK) WHERE ID = 35;
--> V
--> 7
GO
WHILE NOT EXISTS (SELECT * FROM sys.dm_os_waiting_tasks WHERE blocking_session_id = @@SPID) WAITFOR DELAY '00:00:00.020';
INSERT INTO dbo.K VALUES (35, 7);
COMMIT TRANSACTION;
GO
-- An exclusive table lock lasts to the end of the transaction.
BEGIN TRANSACTION;
SELECT COUNT(*) AS n FROM dbo.K WITH (TABLOCKX) WHERE ID = 10;
--> n
--> 1
GO
-- session 2
SET LOCK_TIMEOUT 100;
SELECT V FROM dbo.K WHERE ID = 50;
--> error 1222
GO
COMMIT TRANSACTION;
GO
SELECT V FROM dbo.K WITH (NOLOCK, HOLDLOCK);
--> error 1047: Conflicting locking hints specified.
GO
UPDATE dbo.K WITH (NOLOCK) SET V = 1;
--> error 1065
GO
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
SELECT V FROM dbo.K WITH (READPAST);
--> error 650
GO
