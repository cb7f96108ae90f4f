-- page: About Change Tracking; CHANGETABLE (Transact-SQL); Enable and Disable Change Tracking
-- https://learn.microsoft.com/sql/relational-databases/track-changes/about-change-tracking-sql-server
-- https://learn.microsoft.com/sql/relational-databases/system-functions/changetable-transact-sql

ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON);
GO
CREATE TABLE dbo.T (ID int NOT NULL CONSTRAINT PK_T PRIMARY KEY, V int NULL);
CREATE TABLE dbo.H (V int NULL);
INSERT INTO dbo.T (ID, V) VALUES (1, 1), (2, 2), (3, 3);
ALTER TABLE dbo.T ENABLE CHANGE_TRACKING;
GO
ALTER TABLE dbo.H ENABLE CHANGE_TRACKING;
--> error 4997: Cannot enable change tracking on table 'H'.
GO
-- Rows there before tracking began are no changes.
SELECT COUNT(*) AS n FROM CHANGETABLE(CHANGES dbo.T, 0) AS c;
--> n
--> 0
GO
UPDATE dbo.T SET V = 20 WHERE ID = 2;
BEGIN TRANSACTION;
INSERT INTO dbo.T (ID, V) VALUES (4, 4);
UPDATE dbo.T SET V = 40 WHERE ID = 4;
DELETE FROM dbo.T WHERE ID = 1;
COMMIT;
GO
-- Net changes by key: inserted and then updated is an insert.
SELECT c.ID, c.SYS_CHANGE_OPERATION AS op FROM CHANGETABLE(CHANGES dbo.T, 0) AS c ORDER BY c.ID;
--> ID | op
--> 1 | D
--> 2 | U
--> 4 | I
GO
-- What was rolled back is no change.
DECLARE @version bigint = CHANGE_TRACKING_CURRENT_VERSION();
BEGIN TRANSACTION;
UPDATE dbo.T SET V = 0;
ROLLBACK;
SELECT COUNT(*) AS n FROM CHANGETABLE(CHANGES dbo.T, @version) AS c;
--> n
--> 0
GO
SELECT * FROM CHANGETABLE(CHANGES dbo.H, 0) AS c;
--> error 22105: Change tracking is not enabled on table 'dbo.H'.
GO
SELECT * FROM CHANGETABLE(CHANGES dbo.T, 0);
--> error 22104: A table returned by the CHANGETABLE function must be aliased.
GO
-- Truncating starts over: the minimum valid version passes everything known before.
DECLARE @version bigint = CHANGE_TRACKING_CURRENT_VERSION();
TRUNCATE TABLE dbo.T;
SELECT COUNT(*) AS n FROM CHANGETABLE(CHANGES dbo.T, 0) AS c;
SELECT CASE WHEN CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('dbo.T')) > @version THEN 1 ELSE 0 END AS restarted;
--> n
--> 0
-->
--> restarted
--> 1
GO
-- Under snapshot isolation changes and rows are of one moment.
ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON;
CREATE TABLE dbo.Moment (ID int NOT NULL PRIMARY KEY, V int NULL);
ALTER TABLE dbo.Moment ENABLE CHANGE_TRACKING;
INSERT INTO dbo.Moment VALUES (1, 1);
GO
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;
BEGIN TRANSACTION;
SELECT COUNT(*) AS n FROM CHANGETABLE(CHANGES dbo.Moment, 0) AS c JOIN dbo.Moment AS m ON m.ID = c.ID;
--> n
--> 1
GO
-- session 2
INSERT INTO dbo.Moment VALUES (2, 2);
GO
SELECT c.ID, c.SYS_CHANGE_OPERATION AS op, m.V FROM CHANGETABLE(CHANGES dbo.Moment, 0) AS c LEFT JOIN dbo.Moment AS m ON m.ID = c.ID;
COMMIT;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
--> ID | op | V
--> 1 | I | 1
GO
SELECT c.ID, c.SYS_CHANGE_OPERATION AS op, m.V FROM CHANGETABLE(CHANGES dbo.Moment, 0) AS c LEFT JOIN dbo.Moment AS m ON m.ID = c.ID ORDER BY c.ID;
--> ID | op | V
--> 1 | I | 1
--> 2 | I | 2
GO
