-- page: String functions (Transact-SQL)
-- https://learn.microsoft.com/sql/t-sql/functions/string-functions-transact-sql

SELECT LEN('abc  ') AS without_trailing, LEN('  abc') AS with_leading, DATALENGTH('abc  ') AS bytes, DATALENGTH(N'abc') AS unicode_bytes;
--> without_trailing | with_leading | bytes | unicode_bytes
--> 3 | 5 | 5 | 6
GO
SELECT SUBSTRING('abcdef', 2, 3) AS middle, SUBSTRING('abcdef', 0, 3) AS from_zero, SUBSTRING('abcdef', 5, 10) AS past_end;
--> middle | from_zero | past_end
--> bcd | ab | ef
GO
SELECT STUFF('abcdef', 2, 3, 'ijklmn') AS stuffed, REPLACE('abcdefghicde', 'cde', 'xxx') AS replaced, REVERSE('abc') AS reversed;
--> stuffed | replaced | reversed
--> aijklmnef | abxxxfghixxx | cba
GO
SELECT LEFT('abcdefg', 2) AS left_, RIGHT('abcdefg', 2) AS right_, CHARINDEX('D', 'abcd') AS ignoring_case, CHARINDEX('x', 'abc') AS absent;
--> left_ | right_ | ignoring_case | absent
--> ab | fg | 4 | 0
GO
SELECT UPPER('abc') AS u, LOWER('ABC') AS l, LTRIM('  a ') + '.' AS lt, '.' + RTRIM(' a  ') + '.' AS rt, REPLICATE('ab', 3) AS r, '.' + SPACE(2) + '.' AS s;
--> u | l | lt | rt | r | s
--> ABC | abc | a . | . a. | ababab | .  .
GO
SELECT QUOTENAME('abc[]def') AS bracketed, QUOTENAME('it''s', '''') AS quoted;
--> bracketed | quoted
--> [abc[]]def] | 'it''s'
GO
SELECT ASCII('A') AS a, CHAR(66) AS b, UNICODE(N'é') AS c, NCHAR(233) AS d;
--> a | b | c | d
--> 65 | B | 233 | é
GO
SELECT LEFT('abc', -1) AS x;
--> error 537: Invalid length parameter passed to the LEFT or SUBSTRING function.
GO
SELECT HASHBYTES('SHA2_256', 'abc') AS digest;
--> digest
--> 0xBA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD
GO
SELECT UPPER(N'straße') AS upper_, LOWER(N'ÄÖ') AS lower_;
--> upper_ | lower_
--> STRAßE | äö
GO
