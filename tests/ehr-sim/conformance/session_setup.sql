-- page: SET statements (Transact-SQL); what FreeTDS, pymssql and tedious send when they have logged in
-- https://learn.microsoft.com/sql/t-sql/statements/set-statements-transact-sql

SET ARITHABORT ON;SET CONCAT_NULL_YIELDS_NULL ON;SET ANSI_NULLS ON;SET ANSI_NULL_DFLT_ON ON;SET ANSI_PADDING ON;SET ANSI_WARNINGS ON;SET ANSI_NULL_DFLT_ON ON;SET CURSOR_CLOSE_ON_COMMIT ON;SET QUOTED_IDENTIFIER ON;SET TEXTSIZE 2147483647;
GO
set ansi_nulls on
set ansi_null_dflt_on on
set ansi_padding on
set ansi_warnings on
set arithabort on
set concat_null_yields_null on
set datefirst 7
set dateformat mdy
set implicit_transactions off
set language us_english
set numeric_roundabort off
set quoted_identifier on
set textsize 2147483647
set transaction isolation level read committed
set xact_abort off
GO
SET LOCK_TIMEOUT 5000; SET DEADLOCK_PRIORITY LOW; SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT @@LOCK_TIMEOUT AS ms;
--> ms
--> 5000
GO
SET NOCOUNT ON;
SELECT @@TRANCOUNT AS trancount, @@OPTIONS & 512 AS nocount, DB_NAME() AS same_database, @@SPID AS spid;
--> trancount | nocount | same_database | spid
--> 0 | 512 | * | *
GO
SET NO_SUCH_OPTION ON;
--> error 195: 'NO_SUCH_OPTION' is not a recognized SET option.
GO
USE no_such_database;
--> error 911: Database 'no_such_database' does not exist. Make sure that the name is entered correctly.
GO
SELECT @@VERSION AS v, SERVERPROPERTY('ProductVersion') AS p, SUSER_SNAME() AS login_, ORIGINAL_LOGIN() AS original_;
--> v | p | login_ | original_
--> * | * | * | *
GO
