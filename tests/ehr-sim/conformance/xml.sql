-- page: xml (Transact-SQL); Create instances of XML data
-- https://learn.microsoft.com/sql/t-sql/xml/xml-transact-sql
-- https://learn.microsoft.com/sql/relational-databases/xml/create-instances-of-xml-data

CREATE TABLE dbo.X (ID int NOT NULL PRIMARY KEY, Doc xml NULL);
GO
-- White space that means nothing goes, and so does the declaration; an element without content is closed in itself.
INSERT INTO dbo.X VALUES (1, '<?xml version="1.0"?><a x="1">
  <b></b>
  <c>t</c>
</a>'), (2, 'text alone'), (3, NULL), (4, '<one/><two/>');
SELECT ID, Doc FROM dbo.X ORDER BY ID;
--> ID | Doc
--> 1 | <a x="1"><b/><c>t</c></a>
--> 2 | text alone
--> 3 | NULL
--> 4 | <one/><two/>
GO
INSERT INTO dbo.X VALUES (5, '<a>1');
--> error 9400: unexpected end of input
GO
INSERT INTO dbo.X VALUES (5, '<a><b></a>');
--> error 9436: end tag does not match start tag
GO
INSERT INTO dbo.X VALUES (5, 'fish & chips');
--> error 9421: illegal name character
GO
SELECT CAST(1 AS xml) AS x;
--> error 529: Explicit conversion from data type int to xml is not allowed.
GO
SELECT COUNT(*) AS n FROM dbo.X;
--> n
--> 4
GO
