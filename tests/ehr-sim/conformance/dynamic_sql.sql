-- page: sp_executesql (Transact-SQL); EXECUTE (Transact-SQL); SET Statements (Transact-SQL); SET CONTEXT_INFO
-- https://learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-executesql-transact-sql
-- https://learn.microsoft.com/sql/t-sql/language-elements/execute-transact-sql
-- https://learn.microsoft.com/sql/t-sql/statements/set-statements-transact-sql
-- https://learn.microsoft.com/sql/t-sql/statements/set-context-info-transact-sql

DECLARE @got int;
EXEC sp_executesql N'SET @x = @y * 2', N'@x int OUTPUT, @y int', @x = @got OUTPUT, @y = 21;
SELECT @got AS got;
--> got
--> 42
GO
-- A change of database lasts to the end of the dynamic text.
DECLARE @before sysname = DB_NAME();
EXEC ('USE master');
SELECT CASE WHEN DB_NAME() = @before THEN 'same' ELSE 'other' END AS db;
--> db
--> same
GO
-- So do SET options.
EXEC ('SET LOCK_TIMEOUT 77');
SELECT @@LOCK_TIMEOUT AS timeout;
--> timeout
--> -1
GO
-- Named by database, the text runs in that database.
EXEC master.sys.sp_executesql N'SELECT DB_NAME() AS db';
--> db
--> master
GO
-- Dynamic text does not see the caller's variables.
DECLARE @mine int = 1;
EXEC ('SELECT @mine AS x');
--> error 137: Must declare the scalar variable "@mine".
GO
-- Temporary tables of the caller are seen; the text's own go with it.
CREATE TABLE #outer (ID int);
EXEC ('INSERT INTO #outer VALUES (1); CREATE TABLE #inner (ID int)');
SELECT ID FROM #outer;
SELECT ID FROM #inner;
--> error 208: Invalid object name '#inner'.
GO
EXEC sp_executesql N'SELECT @a AS a', N'@a int';
--> error 8178: expects the parameter '@a', which was not supplied.
GO
-- CONTEXT_INFO belongs to the session, and is 128 bytes.
DECLARE @info varbinary(128) = 0x0102;
SET CONTEXT_INFO @info;
SELECT SUBSTRING(CONTEXT_INFO(), 1, 3) AS head, DATALENGTH(CONTEXT_INFO()) AS size;
--> head | size
--> 0x010200 | 128
GO
SET CONTEXT_INFO NULL;
--> error 102
GO
-- A savepoint's name may come from a variable.
CREATE TABLE dbo.S (ID int NOT NULL);
DECLARE @point varchar(20) = 'half';
BEGIN TRANSACTION;
INSERT INTO dbo.S VALUES (1);
SAVE TRANSACTION @point;
INSERT INTO dbo.S VALUES (2);
ROLLBACK TRANSACTION half;
COMMIT;
SELECT ID FROM dbo.S;
--> ID
--> 1
GO
ROLLBACK TRANSACTION nowhere;
--> error 3903
GO
BEGIN TRANSACTION;
ROLLBACK TRANSACTION nowhere;
--> error 6401: Cannot roll back nowhere. No transaction or savepoint of that name was found.
GO
ROLLBACK;
GO
EXEC ('SELECT 1 AS a; SELEC 2');
--> error 102
GO
EXEC sp_execute 4711;
--> error 8179: Could not find prepared statement with handle 4711.
GO
