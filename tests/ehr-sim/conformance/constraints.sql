-- page: CREATE TABLE (Transact-SQL); Database engine errors 515, 547, 2601, 2627, 2628, 544
-- https://learn.microsoft.com/sql/t-sql/statements/create-table-transact-sql
-- https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors

CREATE TABLE dbo.Parent (ID int NOT NULL CONSTRAINT PK_Parent PRIMARY KEY, Code varchar(5) NOT NULL, Qty int NULL CONSTRAINT CK_Qty CHECK (Qty > 0));
CREATE UNIQUE INDEX IX_Code ON dbo.Parent (Code);
CREATE TABLE dbo.Child (ID int IDENTITY(10, 5) PRIMARY KEY, ParentID int NOT NULL CONSTRAINT FK_Child_Parent REFERENCES dbo.Parent (ID), Made datetime NOT NULL DEFAULT '20240101');
GO
INSERT INTO dbo.Parent (ID, Code, Qty) VALUES (1, 'A', 5), (2, 'B', NULL);
INSERT INTO dbo.Child (ParentID) VALUES (1), (2);
SELECT ID, ParentID, Made FROM dbo.Child ORDER BY ID;
--> ID | ParentID | Made
--> 10 | 1 | 2024-01-01 00:00:00
--> 15 | 2 | 2024-01-01 00:00:00
GO
INSERT INTO dbo.Parent (ID, Code) VALUES (1, 'C');
--> error 2627: Violation of PRIMARY KEY constraint 'PK_Parent'. Cannot insert duplicate key in object 'dbo.Parent'. The duplicate key value is (1).
GO
INSERT INTO dbo.Parent (ID, Code) VALUES (3, 'A');
--> error 2601: Cannot insert duplicate key row in object 'dbo.Parent' with unique index 'IX_Code'. The duplicate key value is (A).
GO
INSERT INTO dbo.Parent (ID) VALUES (3);
--> error 515: Cannot insert the value NULL into column 'Code'
GO
INSERT INTO dbo.Parent (ID, Code, Qty) VALUES (3, 'C', 0);
--> error 547: The INSERT statement conflicted with the CHECK constraint "CK_Qty".
GO
INSERT INTO dbo.Child (ParentID) VALUES (99);
--> error 547: The INSERT statement conflicted with the FOREIGN KEY constraint "FK_Child_Parent".
GO
DELETE FROM dbo.Parent WHERE ID = 1;
--> error 547: The DELETE statement conflicted with the REFERENCE constraint "FK_Child_Parent".
GO
INSERT INTO dbo.Parent (ID, Code) VALUES (3, 'TOO LONG');
--> error 2628: String or binary data would be truncated in table
GO
INSERT INTO dbo.Child (ID, ParentID) VALUES (1, 1);
--> error 544: Cannot insert explicit value for identity column in table 'Child' when IDENTITY_INSERT is set to OFF.
GO
-- A failed statement leaves nothing behind, but uses up its identity value.
INSERT INTO dbo.Child (ParentID) VALUES (1);
SELECT MAX(ID) AS after_one_failure, SCOPE_IDENTITY() AS scope_, @@IDENTITY AS session_ FROM dbo.Child;
--> after_one_failure | scope_ | session_
--> 25 | 25 | 25
GO
INSERT INTO dbo.Parent VALUES (7);
--> error 213: Column name or number of supplied values does not match table definition.
GO
INSERT INTO dbo.Parent (ID, Code) VALUES (7);
--> error 109
GO
CREATE TABLE dbo.Parent (ID int);
--> error 2714: There is already an object named 'Parent' in the database.
GO
DROP TABLE dbo.Parent;
--> error 3726: Could not drop object 'dbo.Parent' because it is referenced by a FOREIGN KEY constraint.
GO
DROP TABLE dbo.Absent;
--> error 3701: Cannot drop the table 'dbo.Absent', because it does not exist or you do not have permission.
GO
-- "ALTER TABLE": a column of a key, or of an index that it would not outgrow, is not altered.
CREATE TABLE dbo.Altered (ID int NOT NULL PRIMARY KEY, Code varchar(5) NULL, Free varchar(5) NULL DEFAULT 'x');
CREATE INDEX IX_Code ON dbo.Altered (Code);
ALTER TABLE dbo.Altered ALTER COLUMN Code varchar(9) NULL;
ALTER TABLE dbo.Altered ALTER COLUMN Free varchar(2) NULL;
SELECT COL_LENGTH('dbo.Altered', 'Code') AS code, COL_LENGTH('dbo.Altered', 'Free') AS free_;
--> code | free_
--> 9 | 2
GO
ALTER TABLE dbo.Altered ALTER COLUMN Code varchar(3) NULL;
--> error 5074: The index 'IX_Code' is dependent on column 'Code'.
GO
ALTER TABLE dbo.Altered ALTER COLUMN ID bigint NOT NULL;
--> error 5074
GO
