//! Rows as the agent streams them, beside the same rows as tiberius decodes them, from the simulated SQL Server.

#![expect(clippy::unwrap_used, reason = "every line of this file is a test")]

use agent::mssql::{Cell, ConnectionOptions, RowBlock, Session, SqlError};
use agent::store::Secret;
use tests::ehr::EhrSim;
use tiberius::ColumnData;

type Cells = Vec<ColumnData<'static>>;

const TYPES: &str = "SELECT * FROM (VALUES
    (1, CAST(1 AS bit), CAST(255 AS tinyint), CAST(-7 AS smallint), CAST(-9000000000 AS bigint), CAST(1.5 AS real),
     CAST(-2.25 AS float), CAST('-1234567890123456789012345678.0123456789' AS decimal(38,10)), CAST(99.99 AS decimal(5,2)),
     CAST('9999-12-31' AS date), CAST('23:59:59.9999999' AS time(7)), CAST('01:02:03' AS time(0)),
     CAST('2024-02-29 12:34:56.997' AS datetime), CAST('2024-02-29 12:34' AS smalldatetime),
     CAST('0001-01-01 00:00:00.0000001' AS datetime2(7)), CAST('2024-02-29 12:34:56.789' AS datetime2(3)),
     CAST('2024-02-29 12:34:56.7654321 +05:30' AS datetimeoffset(7)),
     CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier),
     CAST('Zoe' AS varchar(20)), CAST(N'Zoë €' AS varchar(20)), CAST(N'Zoë 😀' AS nvarchar(20)),
     CAST('fixed' AS char(9)), CAST(N'fest' AS nchar(9)),
     CAST(0x00FF AS varbinary(8)), CAST(0x01 AS binary(4)),
     REPLICATE(CAST('long ' AS varchar(max)), 9000), REPLICATE(CAST(N'länger' AS nvarchar(max)), 9000),
     CAST(0xABCDEF AS varbinary(max))),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
  ) AS v(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, bb) ORDER BY a";

/// What the stream leaves to tiberius, among what it does not.
const LEFT: &str =
    "SELECT AppointmentID, CAST(AppointmentID AS money) AS m, CAST('<a/>' AS xml) AS x FROM dbo.Appointment";

async fn session(sim: &EhrSim, encrypt: &str) -> Session {
    let lookup = |name: &str| match name {
        "server" => Some("127.0.0.1".to_owned()),
        "port" => Some(sim.port.to_string()),
        "encrypt" => Some(encrypt.to_owned()),
        "trust_server_certificate" => Some("true".to_owned()),
        _ => None,
    };
    let options = ConnectionOptions::read(lookup).unwrap();
    let options = options.with_login("sa", Secret::new(EhrSim::SA_PASSWORD)).with_database("Main_OMS");
    Session::connect(&options).await.unwrap()
}

async fn streamed(session: &mut Session, sql: &str) -> Result<Vec<Cells>, SqlError> {
    let (mut rows, mut some) = (Vec::new(), RowBlock::default());
    let mut stream = session.stream(sql, &[]).await?;
    while stream.next(&mut some).await? {
        rows.extend(some.rows().map(|row| row.cells().map(Cell::into_owned).collect::<Cells>()));
    }
    drop(stream);
    session.stream_ended();
    Ok(rows)
}

async fn decoded_by_tiberius(session: &mut Session, sql: &str) -> Vec<Cells> {
    let rows = session.query(sql, &[]).await.unwrap();
    rows.into_iter().map(|row| row.into_iter().collect()).collect()
}

#[tokio::test]
async fn streamed_rows_are_those_that_tiberius_decodes() {
    let sim = EhrSim::serve("dolphin", 5000).unwrap();
    for encrypt in ["true", "login"] {
        let mut session = session(&sim, encrypt).await;
        for (sql, count) in [(TYPES, 2), ("SELECT * FROM dbo.Appointment", 5000), (LEFT, 5000)] {
            let expected = decoded_by_tiberius(&mut session, sql).await;
            assert_eq!(expected.len(), count, "{encrypt}: {sql}");
            let found = streamed(&mut session, sql).await.unwrap();
            assert!(
                found == expected,
                "{encrypt}: {sql}: {:?} and not {:?}",
                found.first(),
                expected.first()
            );
        }
        let none =
            streamed(&mut session, "SELECT * FROM dbo.Appointment WHERE AppointmentID < 0").await.unwrap();
        assert_eq!(none, Vec::<Cells>::new());
    }
}

#[tokio::test]
async fn an_error_among_the_rows_is_told_and_a_session_whose_stream_was_left_is_not_usable() {
    let sim = EhrSim::serve("dolphin", 5000).unwrap();
    let mut broken = session(&sim, "true").await;
    let error =
        streamed(&mut broken, "SELECT 1 / (AppointmentID - 4000) FROM dbo.Appointment").await.unwrap_err();
    assert_eq!(error.number(), Some(8134), "{error}");

    let mut left = session(&sim, "true").await;
    let mut stream = left.stream("SELECT * FROM dbo.Appointment", &[]).await.unwrap();
    assert!(stream.next(&mut RowBlock::default()).await.unwrap());
    drop(stream);
    assert!(!left.is_usable());
    left.interrupt().await;
}
