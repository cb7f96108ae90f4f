//! SELECT: values, conversions, joins, grouping, ordering, subqueries.

use super::{clinic, fails, ok, run};

#[test]
fn evaluates_expressions_with_documented_types() {
    let (_engine, mut s) = clinic();
    for (query, result) in [
        ("SELECT 1", "1"),
        ("SELECT 7 / 2, 7 % 2, 7 / 2.0", "3|1|3.500000"),
        ("SELECT 'a' + 'b', N'x' + 'y'", "ab|xy"),
        ("SELECT CAST(1.005 AS decimal(5,2)), CAST(-1.005 AS decimal(5,2))", "1.01|-1.01"),
        ("SELECT CASE WHEN 1 = 2 THEN 'no' ELSE 'yes' END", "yes"),
        ("SELECT COALESCE(NULL, 3), ISNULL(NULL, 'z'), NULLIF(2, 2)", "3|z|NULL"),
        ("SELECT LEN('ab  '), DATALENGTH(N'ab'), UPPER('aé'), SUBSTRING('abcdef', 2, 3)", "2|4|AÉ|bcd"),
        (
            "SELECT CHARINDEX('C', 'abc'), REPLACE('Abab', 'AB', 'x'), STUFF('abcdef', 2, 3, 'ijklmn')",
            "3|xx|aijklmnef",
        ),
        ("SELECT QUOTENAME('a]b'), CONCAT(1, NULL, 'x'), LEFT('abc', 2), RIGHT('abc', 2)", "[a]]b]|1x|ab|bc"),
        (
            "SELECT CONVERT(varchar(30), CAST('2026-11-22 13:05:09.123' AS datetime), 121)",
            "2026-11-22 13:05:09.123",
        ),
        ("SELECT CONVERT(varchar(30), CAST('2026-11-22 13:05:09' AS datetime))", "Nov 22 2026  1:05PM"),
        (
            "SELECT DATEADD(month, 1, CAST('2026-01-31' AS date)), DATEDIFF(day, '2026-01-01', '2026-03-01')",
            "2026-02-28|59",
        ),
        (
            "SELECT HASHBYTES('SHA2_256', 'abc')",
            "0xBA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        ),
        ("SELECT CAST(0x0000000000000A AS bigint), CONVERT(varchar(10), 0xAB, 1)", "10|0xAB"),
        (
            "SELECT CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier)",
            "6F9619FF-8B86-D011-B42D-00C04FC964FF",
        ),
        ("SELECT IIF(1 > 0, 'a', 'bb')", "a"),
        ("SELECT -2147483648, 2147483648, 1e3, $1.5", "-2147483648|2147483648|1000|1.50"),
    ] {
        assert_eq!(ok(&mut s, query), [result], "{query}");
    }
}

#[test]
fn refuses_in_sql_servers_words() {
    let (_engine, mut s) = clinic();
    for (query, number, text) in [
        ("SELEC 1", 2812, "Could not find stored procedure 'SELEC'."),
        ("SELECT FROM t", 156, "Incorrect syntax near the keyword 'FROM'."),
        ("SELECT 1 +", 102, "Incorrect syntax near '+'."),
        ("SELECT * FROM t LIMIT 5", 102, "Incorrect syntax near '5'."),
        ("SELECT 'abc", 105, "Unclosed quotation mark after the character string 'abc'."),
        ("SELECT * FROM Nowhere", 208, "Invalid object name 'Nowhere'."),
        ("SELECT nope FROM sys.tables", 207, "Invalid column name 'nope'."),
        ("SELECT 1/0", 8134, "Divide by zero error encountered."),
        (
            "SELECT CAST('x' AS int)",
            245,
            "Conversion failed when converting the varchar value 'x' to data type int.",
        ),
        ("SELECT CAST(300 AS tinyint)", 220, "Arithmetic overflow error for data type tinyint, value = 300."),
        (
            "SELECT CAST('2026-13-01' AS date)",
            241,
            "Conversion failed when converting date and/or time from character string.",
        ),
        ("SELECT nosuch(1)", 195, "'nosuch' is not a recognized built-in function name."),
        ("SELECT @x", 137, "Must declare the scalar variable \"@x\"."),
        ("EXEC nosuch", 2812, "Could not find stored procedure 'nosuch'."),
        (
            "USE Nowhere",
            911,
            "Database 'Nowhere' does not exist. Make sure that the name is entered correctly.",
        ),
        (
            "SELECT 1 WHERE 1",
            4145,
            "An expression of non-boolean type specified in a context where a condition is expected, near '1'.",
        ),
    ] {
        assert_eq!(fails(&mut s, query), (number, text.to_owned()), "{query}");
    }
}

#[test]
fn reports_the_line_of_the_statement_at_fault() {
    let (_engine, mut s) = clinic();
    let recorder = run(&mut s, "SELECT 1\n\nSELECT 1/0\nSELECT 2");
    assert_eq!(recorder.messages[0].line, 3);
    assert_eq!(recorder.text(), ["1", "2"]);
    assert_eq!(run(&mut s, "SELECT 1\nSELECT )").messages[0].line, 2);
}

fn people(s: &mut super::Session) {
    ok(
        s,
        "CREATE TABLE dbo.Person (ID int IDENTITY PRIMARY KEY, Name nvarchar(20) NOT NULL, City varchar(20) NULL, Age int);
         CREATE TABLE dbo.Visit (ID int IDENTITY PRIMARY KEY, PersonID int NOT NULL REFERENCES dbo.Person(ID), Fee money);
         INSERT INTO dbo.Person (Name, City, Age) VALUES (N'Ann', 'Bonn', 30), (N'bob', NULL, 40), (N'Cid', 'Bonn', 50);
         INSERT INTO dbo.Visit (PersonID, Fee) VALUES (1, 10), (1, 20.5), (3, 7);",
    );
}

#[test]
fn joins_groups_and_orders() {
    let (_engine, mut s) = clinic();
    people(&mut s);
    for (query, rows) in [
        ("SELECT Name FROM Person ORDER BY Name DESC", vec!["Cid", "bob", "Ann"]),
        ("SELECT TOP (1) Name FROM Person WHERE City = 'BONN' ORDER BY Age DESC", vec!["Cid"]),
        (
            "SELECT p.Name, v.Fee FROM Person p JOIN Visit v ON v.PersonID = p.ID ORDER BY v.ID",
            vec!["Ann|10.00", "Ann|20.50", "Cid|7.00"],
        ),
        (
            "SELECT p.Name, v.ID FROM Person p LEFT JOIN Visit v ON v.PersonID = p.ID AND v.Fee > 15 ORDER BY p.ID",
            vec!["Ann|2", "bob|NULL", "Cid|NULL"],
        ),
        (
            "SELECT p.Name, SUM(v.Fee) AS total, COUNT(*) n FROM Person p JOIN Visit v ON v.PersonID = p.ID GROUP BY p.Name HAVING COUNT(*) > 1",
            vec!["Ann|30.50|2"],
        ),
        ("SELECT COUNT(*), COUNT(City), AVG(Age), MIN(Name), MAX(Age) FROM Person", vec!["3|2|40|Ann|50"]),
        ("SELECT COUNT_BIG(*) FROM Person WHERE 1 = 0", vec!["0"]),
        ("SELECT Name FROM Person WHERE ID IN (SELECT PersonID FROM Visit) ORDER BY ID", vec!["Ann", "Cid"]),
        (
            "SELECT Name FROM Person p WHERE NOT EXISTS (SELECT 1 FROM Visit WHERE PersonID = p.ID)",
            vec!["bob"],
        ),
        (
            "SELECT Name, (SELECT COUNT(*) FROM Visit v WHERE v.PersonID = p.ID) FROM Person p ORDER BY 1",
            vec!["Ann|2", "bob|0", "Cid|1"],
        ),
        (
            "WITH c AS (SELECT City, Age FROM Person WHERE City IS NOT NULL) SELECT City, MAX(Age) FROM c GROUP BY City",
            vec!["Bonn|50"],
        ),
        ("SELECT DISTINCT City FROM Person ORDER BY City", vec!["NULL", "Bonn"]),
        ("SELECT Name FROM Person ORDER BY ID OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY", vec!["bob"]),
        ("SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 2 ORDER BY n DESC", vec!["2", "2", "1"]),
        ("SELECT Name FROM Person WHERE Name LIKE '[AC]%' AND Age BETWEEN 30 AND 45", vec!["Ann"]),
        (
            "SELECT x.n FROM (SELECT ROW_NUMBER() OVER (ORDER BY Age DESC) AS n, Name FROM Person) x WHERE x.Name = 'Ann'",
            vec!["3"],
        ),
        ("SELECT v.a, v.b FROM (VALUES (1, 'x'), (2, NULL)) AS v(a, b)", vec!["1|x", "2|NULL"]),
        (
            "SELECT p.Name, l.Fee FROM Person p CROSS APPLY (SELECT TOP 1 Fee FROM Visit v WHERE v.PersonID = p.ID ORDER BY Fee DESC) l",
            vec!["Ann|20.50", "Cid|7.00"],
        ),
        (
            "SELECT p.Name FROM Visit v RIGHT JOIN Person p ON v.PersonID = p.ID WHERE v.ID IS NULL",
            vec!["bob"],
        ),
        (
            "SELECT sys.objects.name FROM sys.objects JOIN sys.schemas ON sys.objects.schema_id = sys.schemas.schema_id WHERE sys.schemas.name = 'dbo' AND sys.objects.type = 'U' ORDER BY 1",
            vec!["Person", "Visit"],
        ),
    ] {
        assert_eq!(ok(&mut s, query), rows, "{query}");
    }
    assert_eq!(fails(&mut s, "SELECT dbo.objects.name FROM sys.objects").0, 207);
    assert_eq!(fails(&mut s, "SELECT sys.objects.name FROM sys.objects o").0, 4104);
    assert_eq!(fails(&mut s, "SELECT Name, COUNT(*) FROM Person").0, 8120);
    assert_eq!(fails(&mut s, "SELECT ID FROM Person p JOIN Visit v ON 1 = 1").0, 209);
    assert_eq!(fails(&mut s, "SELECT x.Name FROM Person p").0, 4104);
    assert_eq!(fails(&mut s, "SELECT (SELECT ID FROM Person)").0, 512);
}

#[test]
fn keyset_pages_by_rowversion_neither_skip_nor_repeat() {
    let (_engine, mut s) = clinic();
    ok(&mut s, "CREATE TABLE t (id int PRIMARY KEY, rv rowversion); CREATE UNIQUE INDEX ix ON t(rv)");
    for n in (1..=500).rev() {
        ok(&mut s, &format!("INSERT INTO t (id) VALUES ({n})"));
    }
    ok(&mut s, "UPDATE t SET id = id WHERE id % 7 = 0");
    let bound = ok(&mut s, "SELECT MIN_ACTIVE_ROWVERSION()")[0].clone();
    let (mut rv, mut key) = ("0x0000000000000000".to_owned(), "0".to_owned());
    let mut seen = Vec::new();
    loop {
        let page = ok(
            &mut s,
            &format!(
                "SELECT TOP (37) [id], [rv] FROM [dbo].[t] WHERE [rv] < {bound} AND ([rv] > {rv} OR ([rv] = {rv} AND [id] > {key})) ORDER BY [rv], [id] OPTION (MAXDOP 1)"
            ),
        );
        let Some(last) = page.last() else { break };
        let (id, version) = last.split_once('|').unwrap();
        (rv, key) = (version.to_owned(), id.to_owned());
        seen.extend(page.iter().map(|r| r.split_once('|').unwrap().0.parse::<i32>().unwrap()));
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=500).collect::<Vec<_>>());
    assert_eq!(seen[0], 500, "rows come in the order of their stamps");
}

#[test]
fn extreme_operands_end_in_values_or_errors() {
    let (_engine, mut s) = clinic();
    assert_eq!(
        ok(&mut s, "SELECT CAST(1 AS decimal(38,20)) / CAST(3 AS decimal(38,0))"),
        ["0.33333333333333333333"]
    );
    for query in [
        "SELECT SUBSTRING('abc', 9223372036854775807, 9223372036854775807)",
        "SELECT STUFF('abc', 1, 9223372036854775807, 'x')",
        "SELECT ROUND(1.5, -9223372036854775808), ABS(CAST(-922337203685477.5808 AS money))",
        "SELECT CAST(0.5 AS decimal(38,38)) * CAST(0.5 AS decimal(38,38))",
        "SELECT -CAST(-9223372036854775808 AS bigint), CAST(-9223372036854775808 AS bigint) / -1",
        "SELECT DATEADD(year, 2147483647, GETDATE()), REPLICATE('x', 2147483647)",
        "SELECT 99999999999999999999999999999999999999 * 99999999999999999999999999999999999999",
        "SELECT CAST('9999-12-31 23:59:59.999' AS datetime), CAST(1e300 AS decimal(38,0))",
    ] {
        run(&mut s, query);
    }
    let long = "é".repeat(200);
    assert_eq!(fails(&mut s, &format!("SELECT 1 AS [{long}]")).0, 103);
    assert_eq!(fails(&mut s, &format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000))).0, 191);
    assert_eq!(ok(&mut s, "SELECT 1"), ["1"], "the session lives on");
}
