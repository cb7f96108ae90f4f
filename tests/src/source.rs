//! The database's own word: reads whole tables from the simulated SQL Server and changes rows in it.
//!
//! A row becomes one canonical line of text per column value, so that it can be held against what came out
//! of a Parquet file without either side knowing the other's types.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel, Row};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

/// A table's rows as canonical text, by primary key.
pub type Rows = BTreeMap<i64, Vec<String>>;

/// A connection with the administrator's login.
pub struct Source {
    client: Client<Compat<TcpStream>>,
}

impl Source {
    /// Logs in to database `Main_OMS`.
    ///
    /// # Errors
    /// When the server cannot be reached or the login fails.
    pub async fn connect(port: u16, password: &str) -> Result<Self> {
        // Two providers are in the tree; a second call finds the first one's choice, which is the same.
        let _first_or_same = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::new();
        config.host("127.0.0.1");
        config.port(port);
        config.database("Main_OMS");
        config.application_name("demo");
        config.authentication(AuthMethod::sql_server("sa", password));
        config.encryption(EncryptionLevel::Required);
        config.trust_cert();
        let tcp = TcpStream::connect(config.get_addr()).await?;
        tcp.set_nodelay(true)?;
        let client = Client::connect(config, tcp.compat_write()).await.context("sa cannot log in")?;
        Ok(Self { client })
    }

    /// Rows of a table.
    pub async fn count(&mut self, table: &str) -> Result<u64> {
        let rows = self.first_result(&format!("SELECT COUNT_BIG(*) FROM {table}")).await?;
        let count: i64 = rows.first().and_then(|row| row.get(0)).context("COUNT_BIG gave no row")?;
        Ok(count.unsigned_abs())
    }

    /// All rows of a table; the first of the columns is its integer key.
    pub async fn read(&mut self, table: &str, columns: &str) -> Result<Rows> {
        let mut all = Rows::new();
        for row in self.first_result(&format!("SELECT {columns} FROM {table}")).await? {
            let key = row.get::<i32, _>(0).context("the key is NULL")?;
            all.insert(i64::from(key), row.cells().map(|(_, cell)| canonical(cell)).collect());
        }
        Ok(all)
    }

    /// E-mail addresses of some patients.
    pub async fn addresses(&mut self, most: u32) -> Result<Vec<String>> {
        let sql =
            format!("SELECT TOP ({most}) Email FROM dbo.Patient WHERE Email IS NOT NULL ORDER BY PatientID");
        let rows = self.first_result(&sql).await?;
        Ok(rows.iter().filter_map(|row| row.get::<&str, _>(0).map(str::to_owned)).collect())
    }

    /// Runs a statement for what it does.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn execute(&mut self, sql: &str) -> Result<()> {
        self.first_result(sql).await.map(drop)
    }

    /// Books, moves and cancels appointments, one statement and so one transaction each, and no row twice.
    pub async fn change(&mut self, changes: u32) -> Result<()> {
        for change in 0..changes {
            let number = i32::try_from(change)?;
            let (sql, key) = match change % 3 {
                0 => (BOOK, number % 50 + 1),
                1 => (MOVE, number + 1),
                _ => (CANCEL, number + 1),
            };
            let touched = self.client.execute(sql, &[&key, &number]).await?.total();
            anyhow::ensure!(touched == 1, "change {change} touched {touched} rows");
        }
        Ok(())
    }

    async fn first_result(&mut self, sql: &str) -> Result<Vec<Row>> {
        Ok(self.client.simple_query(sql).await?.into_first_result().await?)
    }
}

const BOOK: &str = "INSERT INTO dbo.Appointment (PatientID, ProviderID, ChairID, StartTime, LengthMinutes, \
    Status, Reason, Note, Fee, CreatedAt) VALUES (@P1, 1, 1, DATEADD(minute, @P2, '2026-12-01T08:00:00'), 30, \
    N'Booked', N'Check-up', NULL, 85.50, SYSUTCDATETIME())";
const MOVE: &str = "UPDATE dbo.Appointment SET StartTime = DATEADD(minute, @P2, '2026-12-02T08:00:00'), \
    Status = N'Moved' WHERE AppointmentID = @P1";
const CANCEL: &str = "UPDATE dbo.Appointment SET Status = N'Cancelled', Note = CONCAT(N'cancelled by phone: ', @P2) \
    WHERE AppointmentID = @P1";

fn canonical(cell: &ColumnData<'_>) -> String {
    let text = match cell {
        ColumnData::U8(value) => value.map(|v| v.to_string()),
        ColumnData::I16(value) => value.map(|v| v.to_string()),
        ColumnData::I32(value) => value.map(|v| v.to_string()),
        ColumnData::I64(value) => value.map(|v| v.to_string()),
        ColumnData::F32(value) => value.map(|v| v.to_string()),
        // The client gives money as a float; four digits are exact for every amount the simulator makes.
        ColumnData::F64(value) => value.map(|v| format!("{v:.4}")),
        ColumnData::Bit(value) => value.map(|v| v.to_string()),
        ColumnData::String(value) => value.as_ref().map(|v| v.to_string()),
        ColumnData::Guid(value) => value.map(|v| v.to_string().to_uppercase()),
        ColumnData::Binary(value) => value.as_ref().map(|v| hex(v)),
        ColumnData::Numeric(value) => value.map(|v| decimal(v.value(), v.scale())),
        ColumnData::Xml(value) => value.as_ref().map(|v| v.to_string()),
        ColumnData::DateTime(value) => value
            .map(|v| instant(i64::from(v.days()) + DAYS_TO_1900, f64::from(v.seconds_fragments()) / 300.0)),
        ColumnData::SmallDateTime(value) => value
            .map(|v| instant(i64::from(v.days()) + DAYS_TO_1900, f64::from(v.seconds_fragments()) * 60.0)),
        ColumnData::Time(value) => value.map(|v| instant(0, seconds(v))),
        ColumnData::Date(value) => value.map(|v| v.days().to_string()),
        ColumnData::DateTime2(value) => value.map(|v| instant(i64::from(v.date().days()), seconds(v.time()))),
        ColumnData::DateTimeOffset(value) => value.map(|v| {
            let inner = v.datetime2();
            instant(i64::from(inner.date().days()), seconds(inner.time()))
        }),
    };
    text.unwrap_or_else(|| NULL.to_owned())
}

/// How NULL is written in a canonical row.
pub const NULL: &str = "\0";
/// Days from 0001-01-01 to 1900-01-01.
const DAYS_TO_1900: i64 = 693_595;

#[expect(clippy::cast_precision_loss, reason = "a day has fewer than 2^53 ticks of 100 ns")]
fn seconds(time: tiberius::time::Time) -> f64 {
    time.increments() as f64 / 10f64.powi(i32::from(time.scale()))
}

/// Whole milliseconds since 0001-01-01, rounded to the nearest.
#[expect(clippy::cast_possible_truncation, reason = "a day's milliseconds fit")]
fn instant(days: i64, seconds: f64) -> String {
    (days * 86_400_000 + (seconds * 1000.0).round() as i64).to_string()
}

/// A decimal with exactly `scale` digits after the point.
pub fn decimal(unscaled: i128, scale: u8) -> String {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, part) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if unscaled < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
