-- page: rowversion (Transact-SQL); MIN_ACTIVE_ROWVERSION (Transact-SQL); @@DBTS (Transact-SQL)
-- https://learn.microsoft.com/sql/t-sql/data-types/rowversion-transact-sql
-- https://learn.microsoft.com/sql/t-sql/functions/min-active-rowversion-transact-sql

CREATE TABLE dbo.R (ID int NOT NULL PRIMARY KEY, V int NULL, RV rowversion);
GO
INSERT INTO dbo.R (ID) VALUES (1), (2);
SELECT CASE WHEN MIN(RV) < MAX(RV) THEN 1 ELSE 0 END AS differ, CASE WHEN MAX(RV) = @@DBTS THEN 1 ELSE 0 END AS newest FROM dbo.R;
--> differ | newest
--> 1 | 1
GO
-- With nothing open, the minimum active value is the next one to be given out.
SELECT CASE WHEN CAST(MIN_ACTIVE_ROWVERSION() AS bigint) = CAST(@@DBTS AS bigint) + 1 THEN 1 ELSE 0 END AS next_one;
--> next_one
--> 1
GO
-- Every update stamps, even one that changes nothing.
DECLARE @before binary(8) = (SELECT RV FROM dbo.R WHERE ID = 1);
UPDATE dbo.R SET V = V WHERE ID = 1;
SELECT CASE WHEN RV > @before THEN 1 ELSE 0 END AS stamped FROM dbo.R WHERE ID = 1;
--> stamped
--> 1
GO
-- A transaction's first stamp holds the minimum down until it ends; @@DBTS goes past it.
BEGIN TRANSACTION;
UPDATE dbo.R SET V = 1 WHERE ID = 1;
UPDATE dbo.R SET V = 1 WHERE ID = 2;
SELECT CASE WHEN MIN_ACTIVE_ROWVERSION() = (SELECT RV FROM dbo.R WHERE ID = 1) THEN 1 ELSE 0 END AS first_stamp,
       CASE WHEN MIN_ACTIVE_ROWVERSION() < @@DBTS THEN 1 ELSE 0 END AS held;
ROLLBACK;
SELECT CASE WHEN MIN_ACTIVE_ROWVERSION() > @@DBTS THEN 1 ELSE 0 END AS released;
--> first_stamp | held
--> 1 | 1
-->
--> released
--> 1
GO
INSERT INTO dbo.R (ID, RV) VALUES (3, 0x01);
--> error 273: Cannot insert an explicit value into a timestamp column.
GO
UPDATE dbo.R SET RV = 0x01;
--> error 272: Cannot update a timestamp column.
GO
CREATE TABLE dbo.Two (A rowversion, B rowversion);
--> error 2738: A table can only have one timestamp column.
GO
SELECT DATALENGTH(RV) AS bytes FROM dbo.R WHERE ID = 1;
--> bytes
--> 8
GO
