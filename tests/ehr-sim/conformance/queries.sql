-- page: SELECT (Transact-SQL); ORDER BY clause; GROUP BY; TOP; FROM; OUTPUT clause; Database engine errors 207, 208, 209, 8120
-- https://learn.microsoft.com/sql/t-sql/queries/select-transact-sql
-- https://learn.microsoft.com/sql/t-sql/queries/select-order-by-clause-transact-sql
-- https://learn.microsoft.com/sql/t-sql/queries/output-clause-transact-sql

CREATE TABLE dbo.A (ID int NOT NULL PRIMARY KEY, G varchar(10) NULL, N int NULL);
CREATE TABLE dbo.B (ID int NOT NULL PRIMARY KEY, AID int NULL, T nvarchar(10) NULL);
INSERT INTO dbo.A VALUES (1, 'x', 10), (2, 'x', NULL), (3, 'y', 30), (4, NULL, 40);
INSERT INTO dbo.B VALUES (1, 1, N'one'), (2, 1, N'two'), (3, 9, N'none');
GO
-- NULL sorts lowest.
SELECT ID, G FROM dbo.A ORDER BY G, ID DESC;
--> ID | G
--> 4 | NULL
--> 2 | x
--> 1 | x
--> 3 | y
GO
-- Aggregates pass over NULL; COUNT(*) does not; grouping puts NULLs together.
SELECT G, COUNT(*) AS n, COUNT(N) AS counted, SUM(N) AS total, AVG(N) AS mean, MIN(N) AS low, MAX(N) AS high FROM dbo.A GROUP BY G ORDER BY G;
--> G | n | counted | total | mean | low | high
--> NULL | 1 | 1 | 40 | 40 | 40 | 40
--> x | 2 | 1 | 10 | 10 | 10 | 10
--> y | 1 | 1 | 30 | 30 | 30 | 30
GO
SELECT COUNT(*) AS n, SUM(N) AS total FROM dbo.A WHERE ID > 99;
--> n | total
--> 0 | NULL
GO
SELECT a.ID, b.T FROM dbo.A AS a LEFT JOIN dbo.B AS b ON b.AID = a.ID ORDER BY a.ID, b.ID;
--> ID | T
--> 1 | one
--> 1 | two
--> 2 | NULL
--> 3 | NULL
--> 4 | NULL
GO
SELECT TOP (2) ID FROM dbo.A ORDER BY ID DESC;
--> ID
--> 4
--> 3
GO
SELECT ID FROM dbo.A ORDER BY ID OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY;
--> ID
--> 2
--> 3
GO
SELECT DISTINCT AID FROM dbo.B WHERE EXISTS (SELECT * FROM dbo.A WHERE A.ID = B.AID) UNION ALL SELECT 77;
--> AID
--> 1
--> 77
GO
SELECT G, COUNT(*) AS n FROM dbo.A GROUP BY G HAVING COUNT(*) > 1;
--> G | n
--> x | 2
GO
WITH big AS (SELECT ID, N FROM dbo.A WHERE N >= 30) SELECT COUNT(*) AS n FROM big;
--> n
--> 2
GO
SELECT nope FROM dbo.A;
--> error 207: Invalid column name 'nope'.
GO
SELECT * FROM dbo.Nope;
--> error 208: Invalid object name 'dbo.Nope'.
GO
SELECT ID FROM dbo.A JOIN dbo.B ON A.ID = B.AID;
--> error 209: Ambiguous column name 'ID'.
GO
SELECT G, N FROM dbo.A GROUP BY G;
--> error 8120: is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause.
GO
SELEC * FROM dbo.A;
--> error 102: Incorrect syntax near '*'.
GO
SELECT 1 FROM;
--> error 102: Incorrect syntax near ';'.
GO
UPDATE dbo.A SET N = N + 1 OUTPUT deleted.N AS was, inserted.N AS is_ WHERE ID = 1;
--> was | is_
--> 10 | 11
GO
DELETE FROM dbo.A OUTPUT deleted.ID WHERE ID = 4;
--> ID
--> 4
GO
INSERT INTO dbo.A (ID, G) OUTPUT inserted.ID, inserted.N VALUES (9, 'z');
SELECT @@ROWCOUNT AS n;
--> ID | N
--> 9 | NULL
-->
--> n
--> 1
GO
EXEC sp_executesql N'SELECT ID FROM dbo.A WHERE ID = @id', N'@id int', @id = 9;
--> ID
--> 9
GO
EXEC dbo.no_such_procedure;
--> error 2812: Could not find stored procedure 'dbo.no_such_procedure'.
GO
