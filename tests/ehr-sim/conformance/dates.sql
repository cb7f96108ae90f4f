-- page: Date and time data types and functions (Transact-SQL); datetime; smalldatetime; DATEADD; DATEDIFF
-- https://learn.microsoft.com/sql/t-sql/functions/date-and-time-data-types-and-functions-transact-sql
-- https://learn.microsoft.com/sql/t-sql/data-types/datetime-transact-sql
-- https://learn.microsoft.com/sql/t-sql/functions/datediff-transact-sql

-- datetime is rounded to increments of .000, .003, or .007 seconds.
SELECT CAST('1998-01-01 23:59:59.999' AS datetime) AS a, CAST('1998-01-01 23:59:59.996' AS datetime) AS b,
       CAST('1998-01-01 23:59:59.994' AS datetime) AS c, CAST('1998-01-01 23:59:59.991' AS datetime) AS d;
--> a | b | c | d
--> 1998-01-02 00:00:00.000 | 1998-01-01 23:59:59.997 | 1998-01-01 23:59:59.993 | 1998-01-01 23:59:59.990
GO
-- smalldatetime: 29.998 seconds or less are rounded down, 29.999 or more up.
SELECT CAST('2007-05-08 12:35:29.998' AS smalldatetime) AS down, CAST('2007-05-08 12:35:29.999' AS smalldatetime) AS up;
--> down | up
--> 2007-05-08 12:35:00 | 2007-05-08 12:36:00
GO
-- DATEADD: a month that lacks the day gives its last day.
SELECT DATEADD(month, 1, CAST('2006-08-31' AS date)) AS next_month, DATEADD(day, -1, CAST('2024-03-01' AS date)) AS leap,
       DATEADD(year, 1, CAST('2024-02-29' AS date)) AS next_year, DATEADD(minute, 90, CAST('2024-01-01T23:00:00' AS datetime)) AS late;
--> next_month | leap | next_year | late
--> 2006-09-30 | 2024-02-29 | 2025-02-28 | 2024-01-02 00:30:00
GO
-- DATEDIFF counts the boundaries crossed, not the time between.
SELECT DATEDIFF(year, '2005-12-31 23:59:59.9999999', '2006-01-01 00:00:00.0000000') AS y,
       DATEDIFF(month, '2005-12-31 23:59:59.9999999', '2006-01-01 00:00:00.0000000') AS m,
       DATEDIFF(day, '2005-12-31 23:59:59.9999999', '2006-01-01 00:00:00.0000000') AS d,
       DATEDIFF(second, '2005-12-31 23:59:59.9999999', '2006-01-01 00:00:00.0000000') AS s;
--> y | m | d | s
--> 1 | 1 | 1 | 1
GO
SELECT DATEPART(year, '2007-10-30 12:15:32.1234567') AS y, DATEPART(month, '2007-10-30 12:15:32.1234567') AS m,
       DATEPART(day, '2007-10-30 12:15:32.1234567') AS d, DATEPART(hour, '2007-10-30 12:15:32.1234567') AS h,
       DATEPART(minute, '2007-10-30 12:15:32.1234567') AS mi, DATEPART(second, '2007-10-30 12:15:32.1234567') AS s;
--> y | m | d | h | mi | s
--> 2007 | 10 | 30 | 12 | 15 | 32
GO
SELECT YEAR('2007-04-30') AS y, MONTH('2007-04-30') AS m, DAY('2007-04-30') AS d, DATENAME(month, '2007-10-30') AS name;
--> y | m | d | name
--> 2007 | 4 | 30 | October
GO
SELECT CAST('2024-01-02 03:04:05.1234567' AS datetime2(7)) AS full_, CAST('2024-01-02 03:04:05.1235567' AS datetime2(3)) AS rounded,
       CAST('2024-01-02 23:59:59.9' AS datetime2(0)) AS next_day;
--> full_ | rounded | next_day
--> 2024-01-02 03:04:05.123 | 2024-01-02 03:04:05.124 | 2024-01-03 00:00:00
GO
SELECT CAST('1752-12-31' AS datetime) AS x;
--> error 242
GO
SELECT DATEADD(year, 9000, CAST('2024-01-01' AS date)) AS x;
--> error 517: Adding a value to a 'date' column caused an overflow.
GO
SELECT DATEADD(hour, 1, CAST('2024-01-01' AS date)) AS x;
--> error 9810: The datepart hour is not supported by date function dateadd for data type date.
GO
SELECT DATEPART(day, CAST('10:00' AS time)) AS x;
--> error 9810
GO
