-- page: GRANT object permissions (Transact-SQL); DENY; HAS_PERMS_BY_NAME; EXECUTE AS; ALTER ROLE
-- https://learn.microsoft.com/sql/t-sql/statements/grant-object-permissions-transact-sql
-- https://learn.microsoft.com/sql/t-sql/functions/has-perms-by-name-transact-sql

CREATE TABLE dbo.P (ID int NOT NULL PRIMARY KEY, Open_ int NULL, Secret int NULL);
INSERT INTO dbo.P VALUES (1, 2, 3);
CREATE USER reader WITHOUT LOGIN;
CREATE USER nobody WITHOUT LOGIN;
GRANT SELECT ON OBJECT::dbo.P (ID, Open_) TO reader;
GO
EXECUTE AS USER = 'reader';
SELECT ID, Open_ FROM dbo.P;
REVERT;
--> ID | Open_
--> 1 | 2
GO
EXECUTE AS USER = 'reader';
SELECT Secret FROM dbo.P;
REVERT;
--> error 230: The SELECT permission was denied on the column 'Secret' of the object 'P'
GO
REVERT;
EXECUTE AS USER = 'nobody';
SELECT ID FROM dbo.P;
--> error 229: The SELECT permission was denied on the object 'P'
GO
REVERT;
EXECUTE AS USER = 'reader';
SELECT HAS_PERMS_BY_NAME('dbo.P', 'OBJECT', 'SELECT', 'ID', 'COLUMN') AS col, HAS_PERMS_BY_NAME('dbo.P', 'OBJECT', 'INSERT') AS ins, USER_NAME() AS who;
REVERT;
--> col | ins | who
--> 1 | 0 | reader
GO
-- A DENY beats a GRANT, whatever gave it.
ALTER ROLE db_datareader ADD MEMBER nobody;
DENY SELECT ON OBJECT::dbo.P TO nobody;
EXECUTE AS USER = 'nobody';
SELECT ID FROM dbo.P;
--> error 229
GO
REVERT;
REVOKE SELECT ON OBJECT::dbo.P FROM nobody;
EXECUTE AS USER = 'nobody';
SELECT ID FROM dbo.P;
REVERT;
--> ID
--> 1
GO
EXECUTE AS USER = 'nobody';
INSERT INTO dbo.P (ID) VALUES (5);
--> error 229: The INSERT permission was denied on the object 'P'
GO
REVERT;
GRANT SELECT ON OBJECT::dbo.P TO no_such_user;
--> error 15151: Cannot find the user 'no_such_user', because it does not exist or you do not have permission.
GO
CREATE USER reader WITHOUT LOGIN;
--> error 15023: User, group, or role 'reader' already exists in the current database.
GO
EXECUTE AS USER = 'reader';
CREATE TABLE dbo.Mine (ID int);
--> error 262: CREATE TABLE permission denied in database
GO
REVERT;
SELECT IS_MEMBER('db_owner') AS owner_, IS_ROLEMEMBER('db_datareader', 'nobody') AS member, IS_ROLEMEMBER('db_datareader', 'reader') AS other;
--> owner_ | member | other
--> 1 | 1 | 0
GO
GRANT INSERT ON dbo.P(ID) TO nobody;
--> error 1020: Sub-entity lists (such as column or security expressions) cannot be specified for entity-level permissions.
GO
GRANT EXECUTE ON dbo.P TO nobody;
--> error 4606: Granted or revoked privilege EXECUTE is not compatible with object.
GO
