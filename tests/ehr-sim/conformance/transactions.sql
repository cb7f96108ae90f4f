-- page: Transactions (Transact-SQL); TRY...CATCH (Transact-SQL); THROW (Transact-SQL); RAISERROR (Transact-SQL); @@TRANCOUNT
-- https://learn.microsoft.com/sql/t-sql/language-elements/transactions-transact-sql
-- https://learn.microsoft.com/sql/t-sql/language-elements/try-catch-transact-sql

CREATE TABLE dbo.T (ID int NOT NULL PRIMARY KEY, V int NOT NULL);
GO
BEGIN TRANSACTION;
INSERT INTO dbo.T VALUES (1, 1);
BEGIN TRANSACTION;
SELECT @@TRANCOUNT AS nested;
COMMIT;
ROLLBACK;
SELECT @@TRANCOUNT AS after_rollback, COUNT(*) AS n FROM dbo.T;
--> nested
--> 2
-->
--> after_rollback | n
--> 0 | 0
GO
COMMIT TRANSACTION;
--> error 3902: The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.
GO
ROLLBACK TRANSACTION;
--> error 3903: The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.
GO
BEGIN TRANSACTION;
INSERT INTO dbo.T VALUES (1, 1);
SAVE TRANSACTION half;
INSERT INTO dbo.T VALUES (2, 2);
ROLLBACK TRANSACTION half;
COMMIT;
SELECT ID FROM dbo.T ORDER BY ID;
--> ID
--> 1
GO
BEGIN TRY
    SELECT 1 / 0 AS x;
END TRY
BEGIN CATCH
    SELECT ERROR_NUMBER() AS number, ERROR_SEVERITY() AS severity, ERROR_STATE() AS state_, ERROR_LINE() AS line, ERROR_MESSAGE() AS message;
END CATCH;
--> x
-->
--> number | severity | state_ | line | message
--> 8134 | 16 | 1 | 2 | Divide by zero error encountered.
GO
-- A statement that fails inside a transaction is undone alone; the transaction goes on.
BEGIN TRANSACTION;
INSERT INTO dbo.T VALUES (5, 5);
BEGIN TRY
    INSERT INTO dbo.T VALUES (6, 6), (5, 5);
END TRY
BEGIN CATCH
    SELECT ERROR_NUMBER() AS number, XACT_STATE() AS state_;
END CATCH;
COMMIT;
SELECT ID FROM dbo.T ORDER BY ID;
--> number | state_
--> 2627 | 1
-->
--> ID
--> 1
--> 5
GO
-- XACT_ABORT dooms the transaction.
SET XACT_ABORT ON;
BEGIN TRANSACTION;
BEGIN TRY
    INSERT INTO dbo.T VALUES (5, 5);
END TRY
BEGIN CATCH
    SELECT XACT_STATE() AS state_;
    ROLLBACK;
END CATCH;
SELECT @@TRANCOUNT AS n;
SET XACT_ABORT OFF;
--> state_
--> -1
-->
--> n
--> 0
GO
THROW 51000, 'The record does not exist.', 1;
--> error 51000: The record does not exist.
GO
RAISERROR ('Custom %s %d', 16, 1, 'text', 7);
--> error 50000: Custom text 7
GO
SELECT @undeclared AS x;
--> error 137: Must declare the scalar variable "@undeclared".
GO
DECLARE @n int = 3, @i int = 0;
WHILE @i < @n SET @i = @i + 1;
IF @i = 3 SELECT 'three' AS word ELSE SELECT 'other' AS word;
--> word
--> three
GO
-- A table variable keeps what a transaction that is rolled back wrote into it ("table (Transact-SQL)"); a statement that
-- fails is undone in it as everywhere.
DECLARE @kept TABLE (ID int PRIMARY KEY);
BEGIN TRANSACTION;
INSERT INTO @kept VALUES (1);
SAVE TRANSACTION half;
INSERT INTO @kept VALUES (2);
ROLLBACK TRANSACTION half;
BEGIN TRY
    INSERT INTO @kept VALUES (3), (1);
END TRY
BEGIN CATCH
END CATCH;
ROLLBACK;
SELECT ID FROM @kept ORDER BY ID;
--> ID
--> 1
--> 2
GO
