-- page: CAST and CONVERT (Transact-SQL)
-- https://learn.microsoft.com/sql/t-sql/functions/cast-and-convert-transact-sql

SELECT CAST(10.6496 AS int) AS trunc1, CAST(-10.6496 AS int) AS trunc2,
       CAST(10.6496 AS numeric) AS round1, CAST(-10.6496 AS numeric) AS round2;
--> trunc1 | trunc2 | round1 | round2
--> 10 | -10 | 11 | -11
GO
SELECT CAST(10.3496847 AS money) AS m, CAST(1 AS bit) AS one, CAST(-5 AS bit) AS any_other, CAST(0 AS bit) AS zero;
--> m | one | any_other | zero
--> 10.3497 | 1 | 1 | 0
GO
SELECT CONVERT(varchar(10), CAST('2006-04-25T15:50:59.997' AS datetime), 101) AS us,
       CONVERT(varchar(10), CAST('2006-04-25T15:50:59.997' AS datetime), 104) AS german,
       CONVERT(varchar(8), CAST('2006-04-25T15:50:59.997' AS datetime), 112) AS iso,
       CONVERT(varchar(30), CAST('2006-04-25T15:50:59.997' AS datetime), 126) AS iso8601,
       CONVERT(varchar(30), CAST('2006-04-25T15:50:59.997' AS datetime), 121) AS odbc;
--> us | german | iso | iso8601 | odbc
--> 04/25/2006 | 25.04.2006 | 20060425 | 2006-04-25T15:50:59.997 | 2006-04-25 15:50:59.997
GO
-- The page's table of binary styles.
SELECT CONVERT(char(8), 0x4E616D65, 0) AS style0, CONVERT(char(8), 0x4E616D65, 1) AS style1,
       CONVERT(char(8), 0x4E616D65, 2) AS style2;
--> style0 | style1 | style2
--> Name | 0x4E616D | 4E616D65
GO
SELECT CONVERT(binary(8), 'Name', 0) AS style0, CONVERT(binary(4), '0x4E616D65', 1) AS style1,
       CONVERT(binary(4), '4E616D65', 2) AS style2;
--> style0 | style1 | style2
--> 0x4E616D6500000000 | 0x4E616D65 | 0x4E616D65
GO
SELECT CAST('abc' AS int) AS x;
--> error 245: Conversion failed when converting the varchar value 'abc' to data type int.
GO
SELECT CAST('1.5x' AS decimal(5, 2)) AS x;
--> error 8114: Error converting data type varchar to numeric.
GO
SELECT CAST('2006-13-45' AS datetime) AS x;
--> error 242: The conversion of a varchar data type to a datetime data type resulted in an out-of-range value.
GO
SELECT CAST('tomorrow' AS date) AS x;
--> error 241: Conversion failed when converting date and/or time from character string.
GO
SELECT CAST(300 AS tinyint) AS x;
--> error 220: Arithmetic overflow error for data type tinyint, value = 300.
GO
SELECT CAST(123456.7 AS decimal(5, 2)) AS x;
--> error 8115: Arithmetic overflow error converting numeric to data type numeric.
GO
SELECT TRY_CAST('abc' AS int) AS no, TRY_CAST('12' AS int) AS yes, TRY_CONVERT(date, '2024-02-30') AS never;
--> no | yes | never
--> NULL | 12 | NULL
GO
-- Truncating when converting: a character string is cut, a number that does not fit becomes an asterisk.
SELECT CAST('abcdef' AS varchar(3)) AS cut, CAST(12345 AS varchar(3)) AS star, CAST('ab' AS char(4)) + '.' AS padded;
--> cut | star | padded
--> abc | * | ab  .
GO
SELECT CAST(0x0102 AS int) AS from_binary, CAST(258 AS binary(4)) AS to_binary, CAST(1 AS binary(2)) AS short;
--> from_binary | to_binary | short
--> 258 | 0x00000102 | 0x0001
GO
-- Bytes become integers as they are, the last ones that fit.
SELECT CAST(0xFFFFFFFF AS int) AS minus_one, CAST(0x0102030405 AS int) AS cut, CAST(CAST(-1 AS int) AS varbinary(4)) AS back;
--> minus_one | cut | back
--> -1 | 33752069 | 0xFFFFFFFF
GO
SELECT CAST(3000000000 AS int) AS x;
--> error 8115: Arithmetic overflow error converting expression to data type int.
GO
SELECT CAST('99999.9' AS decimal(5, 2)) AS x;
--> error 8115: Arithmetic overflow error converting varchar to data type numeric.
GO
SELECT CAST(123.456 AS varchar(3)) AS x;
--> error 8115: Arithmetic overflow error converting numeric to data type varchar.
GO
SELECT CAST('a' AS varchar(8001)) AS x;
--> error 131
GO
SELECT CAST(1 AS decimal(5, 6)) AS x;
--> error 192
GO
-- The style of a date says in which order its numbers are written.
SELECT CONVERT(date, '05/01/2024', 103) AS british, CONVERT(date, '05/01/2024', 101) AS us,
       CONVERT(date, '05.01.2024', 104) AS german, CONVERT(date, '2024/01/05', 111) AS japan;
--> british | us | german | japan
--> 2024-01-05 | 2024-05-01 | 2024-01-05 | 2024-01-05
GO
SELECT CONVERT(date, '2024-01-05', 103) AS x;
--> error 9807: The input character string does not follow style 103
GO
