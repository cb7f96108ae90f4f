//! One table into nothing through Microsoft's `mssql-tds`: `mssql-tds-reader rows|cells PORT PASSWORD off|on`.
//!
//! `rows` makes a value of every cell, as tiberius does; `cells` is the least a reader can do: each cell is handed over as
//! it lies in the packet and let go. Prints what the benchmark prints of every reader, as one JSON object.

use std::borrow::Cow;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mssql_tds::connection::client_context::ClientContext;
use mssql_tds::connection::tds_client::{ResultSet, TdsClient};
use mssql_tds::connection_provider::tds_connection_provider::TdsConnectionProvider;
use mssql_tds::core::{EncryptionOptions, EncryptionSetting};
use mssql_tds::datatypes::column_values::{
    SqlDate, SqlDateTime, SqlDateTime2, SqlDateTimeOffset, SqlMoney, SqlSmallDateTime, SqlSmallMoney,
    SqlTime, SqlXml,
};
use mssql_tds::datatypes::decoder::DecimalParts;
use mssql_tds::datatypes::row_writer::RowWriter;
use mssql_tds::datatypes::sql_json::SqlJson;
use mssql_tds::datatypes::sql_string::EncodingType;
use mssql_tds::datatypes::sql_vector::SqlVector;
use uuid::Uuid;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, port, password, tls] = arguments.as_slice() else { bail!("rows|cells PORT PASSWORD off|on") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let begun = Instant::now();
    let rows = runtime.block_on(read(kind, port, password, tls == "on"))?;
    let seconds = begun.elapsed().as_secs_f64();
    let figures = serde_json::json!({
        "rows": rows,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds()?,
        "peak_mb": peak_mb()?,
        "megabytes": 0.0,
    });
    println!("{figures}");
    Ok(())
}

async fn read(kind: &str, port: &str, password: &str, tls: bool) -> Result<u64> {
    let mut client = connect(port, password, tls).await?;
    client.execute("SELECT * FROM dbo.Appointment".into(), ()).await?;
    let mut rows = 0;
    match kind {
        "rows" => {
            while client.next_row().await?.is_some() {
                rows += 1;
            }
        }
        "cells" => {
            while client.next_row_into(&mut Nothing).await? {
                rows += 1;
            }
        }
        other => bail!("{other} is neither rows nor cells"),
    }
    client.close_query().await?;
    Ok(rows)
}

async fn connect(port: &str, password: &str, tls: bool) -> Result<TdsClient> {
    let mut context = ClientContext::default();
    context.user_name = "sa".into();
    context.password = password.into();
    context.database = "Main_OMS".into();
    context.packet_size = 16_384;
    let mode = if tls { EncryptionSetting::Required } else { EncryptionSetting::PreferOff };
    context.encryption_options =
        EncryptionOptions { mode, trust_server_certificate: true, ..EncryptionOptions::new() };
    Ok(TdsConnectionProvider {}.create_client(context, &format!("tcp:127.0.0.1,{port}"), None).await?)
}

/// Lets every cell go.
struct Nothing;

impl RowWriter for Nothing {
    fn write_null(&mut self, _: usize) {}
    fn write_bool(&mut self, _: usize, _: bool) {}
    fn write_u8(&mut self, _: usize, _: u8) {}
    fn write_i16(&mut self, _: usize, _: i16) {}
    fn write_i32(&mut self, _: usize, _: i32) {}
    fn write_i64(&mut self, _: usize, _: i64) {}
    fn write_f32(&mut self, _: usize, _: f32) {}
    fn write_f64(&mut self, _: usize, _: f64) {}
    fn write_string(&mut self, _: usize, _: Cow<'_, [u8]>, _: EncodingType) {}
    fn write_bytes(&mut self, _: usize, _: Cow<'_, [u8]>) {}
    fn write_decimal(&mut self, _: usize, _: DecimalParts) {}
    fn write_numeric(&mut self, _: usize, _: DecimalParts) {}
    fn write_date(&mut self, _: usize, _: SqlDate) {}
    fn write_time(&mut self, _: usize, _: SqlTime) {}
    fn write_datetime(&mut self, _: usize, _: SqlDateTime) {}
    fn write_smalldatetime(&mut self, _: usize, _: SqlSmallDateTime) {}
    fn write_datetime2(&mut self, _: usize, _: SqlDateTime2) {}
    fn write_datetimeoffset(&mut self, _: usize, _: SqlDateTimeOffset) {}
    fn write_money(&mut self, _: usize, _: SqlMoney) {}
    fn write_smallmoney(&mut self, _: usize, _: SqlSmallMoney) {}
    fn write_uuid(&mut self, _: usize, _: Uuid) {}
    fn write_xml(&mut self, _: usize, _: SqlXml) {}
    fn write_json(&mut self, _: usize, _: SqlJson) {}
    fn write_vector(&mut self, _: usize, _: SqlVector) {}
    fn end_row(&mut self) {}
}

/// Of this process, all threads.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(") ").context("/proc/self/stat")?.1.split(' ').collect();
    // utime and stime are fields 14 and 15; Linux counts 100 a second.
    let [user, system] =
        [fields.get(11), fields.get(12)].map(|text| text.and_then(|text| text.parse::<f64>().ok()));
    Ok((user.context("utime")? + system.context("stime")?) / 100.0)
}

fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
