-- page: Operators (Transact-SQL); Data type precedence (Transact-SQL); Precision, scale, and length (Transact-SQL)
-- https://learn.microsoft.com/sql/t-sql/language-elements/operators-transact-sql
-- https://learn.microsoft.com/sql/t-sql/data-types/data-type-precedence-transact-sql
-- https://learn.microsoft.com/sql/t-sql/data-types/precision-scale-and-length-transact-sql

SELECT 5 / 2 AS int_division, 5 / 2.0 AS numeric_division, -7 % 3 AS remainder, 7 - 2 * 3 AS precedence;
--> int_division | numeric_division | remainder | precedence
--> 2 | 2.5 | -1 | 1
GO
SELECT 1 / 0 AS x;
--> error 8134: Divide by zero error encountered.
GO
SELECT NULL + 1 AS n, 'a' + NULL AS s, CONCAT('a', NULL, 'b') AS c;
--> n | s | c
--> NULL | NULL | ab
GO
SELECT 170 & 75 AS and_, 170 | 75 AS or_, 170 ^ 75 AS xor_, ~CAST(170 AS int) AS not_;
--> and_ | or_ | xor_ | not_
--> 10 | 235 | 225 | -171
GO
-- int outranks varchar: the string is converted.
SELECT 1 + '2' AS n;
--> n
--> 3
GO
SELECT 'x' + 2 AS n;
--> error 245: Conversion failed when converting the varchar value 'x' to data type int.
GO
SELECT CASE WHEN 'abc' = 'ABC  ' THEN 1 ELSE 0 END AS case_and_padding, CASE WHEN NULL = NULL THEN 1 ELSE 0 END AS nulls;
--> case_and_padding | nulls
--> 1 | 0
GO
SELECT CASE WHEN 1 NOT IN (2, NULL) THEN 'yes' ELSE 'unknown' END AS not_in_null;
--> not_in_null
--> unknown
GO
SELECT 2147483647 + 1 AS x;
--> error 8115: Arithmetic overflow error converting expression to data type int.
GO
SELECT CASE WHEN 'abc' LIKE 'A_C' THEN 1 ELSE 0 END AS underscore, CASE WHEN 'a%b' LIKE 'a!%b' ESCAPE '!' THEN 1 ELSE 0 END AS escaped,
       CASE WHEN 'b' LIKE '[^a-c]' THEN 1 ELSE 0 END AS outside, CASE WHEN 'b' LIKE '[a-c]' THEN 1 ELSE 0 END AS inside;
--> underscore | escaped | outside | inside
--> 1 | 1 | 0 | 1
GO
SELECT ISNULL(NULL, 'other') AS isnull_, COALESCE(NULL, NULL, 3) AS coalesce_, NULLIF(4, 4) AS nullif_, IIF(1 > 2, 'a', 'b') AS iif_;
--> isnull_ | coalesce_ | nullif_ | iif_
--> other | 3 | NULL | b
GO
-- ISNULL takes the type of its first argument and cuts the second to it; COALESCE does not.
DECLARE @short varchar(2);
SELECT ISNULL(@short, 'long') AS cut, COALESCE(@short, 'long') AS kept;
--> cut | kept
--> lo | long
GO
-- Beside a decimal an integer constant has as many digits as it is written with: scale 6, not 12.
SELECT 7.0 / 2 AS a, 1.0 / 3 AS b, CAST(1 AS decimal(10, 2)) / 3 AS c, CAST(1 AS decimal(10, 2)) / CAST(3 AS int) AS d;
--> a | b | c | d
--> 3.500000 | 0.333333 | 0.333333 | 0.3333333333333
GO
SELECT CAST('2024-01-01' AS date) + 1 AS x;
--> error 206: Operand type clash: date is incompatible with int
GO
