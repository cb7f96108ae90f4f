-- page: TRY...CATCH (Transact-SQL), "Errors unaffected by a TRY...CATCH construct"; DECLARE @local_variable; CREATE VIEW; THROW; EXECUTE
-- https://learn.microsoft.com/sql/t-sql/language-elements/try-catch-transact-sql
-- https://learn.microsoft.com/sql/t-sql/language-elements/declare-local-variable-transact-sql
-- https://learn.microsoft.com/sql/t-sql/language-elements/throw-transact-sql

CREATE TABLE dbo.T (ID int NOT NULL PRIMARY KEY, V int NOT NULL);
INSERT INTO dbo.T VALUES (1, 1);
GO
-- A batch that cannot be compiled runs no statement at all.
INSERT INTO dbo.T VALUES (2, 2);
SELECT Missing FROM dbo.T;
--> error 207: Invalid column name 'Missing'.
GO
INSERT INTO dbo.T VALUES (2, 2);
SELECT @undeclared;
--> error 137: Must declare the scalar variable "@undeclared".
GO
INSERT INTO dbo.T VALUES (2, 2);
SELECT ID, COUNT(*) FROM dbo.T;
--> error 8120
GO
INSERT INTO dbo.T VALUES (2, 2);
IF 1 = 0 SELECT NO_SUCH_FUNCTION(1);
--> error 195
GO
INSERT INTO dbo.T VALUES (2, 2);
DECLARE @twice int;
DECLARE @twice int;
--> error 134
GO
INSERT INTO dbo.T VALUES (2, 2);
THROW;
--> error 10704
GO
INSERT INTO dbo.T VALUES (2, 2);
BREAK;
--> error 135
GO
SELECT COUNT(*) AS n FROM dbo.T;
--> n
--> 1
GO
-- A column added in the same batch is not there when the batch is compiled.
ALTER TABLE dbo.T ADD Later int NULL;
SELECT Later FROM dbo.T;
--> error 207
GO
-- A table that is not there yet waits for its turn (deferred name resolution).
CREATE TABLE dbo.Young (A int);
INSERT INTO dbo.Young VALUES (7);
SELECT A FROM dbo.Young;
--> A
--> 7
GO
IF OBJECT_ID('dbo.Nowhere') IS NOT NULL SELECT A FROM dbo.Nowhere;
SELECT 1 AS reached;
--> reached
--> 1
GO
-- The page's example: the error of name resolution is not handled by CATCH at its own level ...
BEGIN TRY
    SELECT * FROM dbo.NonexistentTable;
END TRY
BEGIN CATCH
    SELECT ERROR_NUMBER() AS number;
END CATCH;
--> error 208: Invalid object name 'dbo.NonexistentTable'.
GO
-- ... and is handled one level up.
BEGIN TRY
    EXECUTE ('SELECT * FROM dbo.NonexistentTable');
END TRY
BEGIN CATCH
    SELECT ERROR_NUMBER() AS number;
END CATCH;
--> number
--> 208
GO
BEGIN TRY
    EXECUTE sp_executesql N'SELECT Missing FROM dbo.T';
END TRY
BEGIN CATCH
    SELECT ERROR_NUMBER() AS number;
END CATCH;
--> number
--> 207
GO
-- A variable is declared for the whole batch, wherever its DECLARE stands.
IF 1 = 0 DECLARE @x int = 5;
SELECT @x AS x;
--> x
--> NULL
GO
DECLARE @i int = 0;
WHILE @i < 3
BEGIN
    DECLARE @kept int;
    SET @kept = ISNULL(@kept, 0) + 1;
    SET @i += 1;
END;
SELECT @kept AS kept;
--> kept
--> 3
GO
-- A table variable is not visible to text that is executed.
DECLARE @t TABLE (a int);
INSERT INTO @t VALUES (1);
EXECUTE ('SELECT a FROM @t');
--> error 1087: Must declare the table variable "@t".
GO
SELECT 1 AS one;
CREATE VIEW dbo.Late AS SELECT ID FROM dbo.T;
--> error 111: 'CREATE VIEW' must be the first statement in a query batch.
GO
-- Without the semicolon before it, THROW is an alias.
SELECT 1 THROW
--> THROW
--> 1
GO
SELECT * FROM (SELECT ID FROM dbo.T ORDER BY ID) AS d;
--> error 1033
GO
WITH c AS (SELECT ID FROM dbo.T ORDER BY ID) SELECT * FROM c;
--> error 1033
GO
SELECT ID FROM dbo.T ORDER BY 1 + 1;
--> error 408
GO
SELECT TOP (1) WITH TIES ID FROM dbo.T;
--> error 1062
GO
SELECT COALESCE(NULL, NULL) AS x;
--> error 4127
GO
SELECT CASE WHEN 1 = 1 THEN NULL END AS x;
--> error 8133
GO
SELECT NULLIF(NULL, 1) AS x;
--> error 4151
GO
CREATE TABLE dbo.Key_ (a int NULL PRIMARY KEY);
--> error 8111
GO
EXECUTE sp_executesql 'SELECT 1 AS one';
--> error 214: Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.
GO
EXECUTE sp_executesql N'SELECT @n AS n', N'@n int', @n = 'abc';
--> error 8114: Error converting data type varchar to int.
GO
RAISERROR ('told', 10, 1);
SELECT @@ERROR AS number;
--> number
--> 0
GO
RAISERROR ('grave', 19, 1);
--> error 2754
GO
SELECT 1 AS one
WITH c AS (SELECT 1 AS x) SELECT x FROM c;
--> error 319
GO
DECLARE @procedure nvarchar(60) = N'sp_executesql';
EXECUTE @procedure N'SELECT 5 AS five';
--> five
--> 5
GO
CREATE TABLE #once (a int);
GO
CREATE TABLE #once (a int);
--> error 2714: There is already an object named '#once' in the database.
GO
SELECT 1 AS a INTO #once;
--> error 2714
GO
DROP TABLE #once;
GO
