-- page: SET TRANSACTION ISOLATION LEVEL; ALTER DATABASE SET options (READ_COMMITTED_SNAPSHOT, ALLOW_SNAPSHOT_ISOLATION)
-- https://learn.microsoft.com/sql/t-sql/statements/alter-database-transact-sql-set-options
-- https://learn.microsoft.com/sql/t-sql/statements/set-transaction-isolation-level-transact-sql

CREATE TABLE dbo.S (ID int NOT NULL PRIMARY KEY, V int NOT NULL);
INSERT INTO dbo.S VALUES (1, 10);
GO
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;
BEGIN TRANSACTION;
SELECT V FROM dbo.S;
--> error 3952: Snapshot isolation transaction failed accessing database
GO
IF @@TRANCOUNT > 0 ROLLBACK;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON;
GO
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;
BEGIN TRANSACTION;
SELECT V FROM dbo.S;
--> V
--> 10
GO
-- session 2
UPDATE dbo.S SET V = 20;
GO
-- The transaction keeps reading what was committed when it began, and may not write what changed since.
SELECT V FROM dbo.S;
--> V
--> 10
GO
UPDATE dbo.S SET V = 30;
--> error 3960: Snapshot isolation transaction aborted due to update conflict.
GO
SELECT @@TRANCOUNT AS n;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT V FROM dbo.S;
--> n
--> 0
-->
--> V
--> 20
GO
