//! The readers that are ours, each in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use agent::mssql::quote::ObjectName;
use agent::mssql::{ConnectionOptions, RowBlock, Session};
use agent::store::{Secret, Store};
use agent::sync::SyncRoom;
use agent::sync::check::{CursorRequest, JobRequest, SweepRequest};
use agent::sync::ledger::Ledger;
use agent::sync::names::JobName;
use agent::sync::pass::{Want, run_pass};
use agent::sync::spec::Seal;
use agent::sync::spool::Spool;
use agent::tasks::Tasks;
use anyhow::{Context, Result, anyhow, bail};
use futures_util::TryStreamExt;
use tests::ehr::EhrSim;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;

use super::{Figures, Reader, Wire};

/// Reads the table as `reader` and says what it took.
pub fn read(reader: Reader, port: u16, wire: Wire) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let begun = Instant::now();
    let connection = connection(port, wire);
    let (rows, megabytes) = runtime.block_on(async {
        match reader {
            Reader::Client => client_alone(&connection).await.map(|rows| (rows, 0.0)),
            Reader::Tiberius => tiberius_alone(port, wire).await.map(|rows| (rows, 0.0)),
            Reader::Agent => snapshot(connection, SweepRequest::Never).await,
            Reader::AgentMarks => snapshot(connection, SweepRequest::AsNeeded).await,
            Reader::MssqlTds
            | Reader::MssqlTdsCells
            | Reader::Freebcp
            | Reader::Pymssql
            | Reader::Connectorx
            | Reader::Dlt => bail!("{reader:?} is not ours"),
        }
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Figures { rows, seconds, cpu_seconds: cpu_seconds()?, peak_mb: peak_mb()?, megabytes })
}

/// How `sa` connects to the table's database.
pub fn connection(port: u16, wire: Wire) -> ConnectionOptions {
    let lookup = |name: &str| match name {
        "server" => Some("127.0.0.1".to_owned()),
        "port" => Some(port.to_string()),
        "encrypt" => Some((wire == Wire::On).to_string()),
        // The simulator's certificate is its own.
        "trust_server_certificate" => Some("true".to_owned()),
        _ => None,
    };
    let options = ConnectionOptions::read(lookup).unwrap_or_else(|error| panic!("{error}"));
    options.with_login("sa", Secret::new(EhrSim::SA_PASSWORD)).with_database("Main_OMS")
}

async fn client_alone(connection: &ConnectionOptions) -> Result<u64> {
    let mut session = Session::connect(connection).await?;
    let mut stream = session.stream("SELECT * FROM dbo.Appointment", &[]).await?;
    let (mut rows, mut some) = (0, RowBlock::default());
    while stream.next(&mut some).await? {
        rows += some.len() as u64;
    }
    Ok(rows)
}

async fn tiberius_alone(port: u16, wire: Wire) -> Result<u64> {
    let mut config = Config::new();
    config.host("127.0.0.1");
    config.port(port);
    config.database("Main_OMS");
    config.authentication(AuthMethod::sql_server("sa", EhrSim::SA_PASSWORD));
    config.packet_size(16_384);
    config.trust_cert();
    config.encryption(match wire {
        Wire::Off => EncryptionLevel::NotSupported,
        Wire::On => EncryptionLevel::Required,
    });
    drop(rustls::crypto::ring::default_provider().install_default());
    let stream = TcpStream::connect(config.get_addr()).await?;
    stream.set_nodelay(true)?;
    let mut client = Client::connect(config, stream.compat_write()).await?;
    let mut stream = client.simple_query("SELECT * FROM dbo.Appointment").await?;
    let mut rows = 0;
    while let Some(item) = stream.try_next().await? {
        rows += u64::from(item.into_row().is_some());
    }
    Ok(rows)
}

async fn snapshot(connection: ConnectionOptions, sweep: SweepRequest) -> Result<(u64, f64)> {
    let folder = tempfile::tempdir()?;
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let (name, table) = (JobName::new("bench")?, ObjectName::parse("Appointment")?);
    let request = JobRequest {
        cursor: CursorRequest::Rowversion(None),
        sweep,
        ..JobRequest::new(name.clone(), connection, table, Seal::Recipients(vec![recipient]))
    };
    let store = Arc::new(Store::open(&folder.path().join("store.sqlite"))?);
    let spool = Spool::new(folder.path().join("spool"), u64::MAX);
    let room = SyncRoom::over(Ledger::new(store), spool, Tasks::new());
    room.ledger.declare(request.check().await?.spec, SystemTime::now()).await?;
    let report = run_pass(&room, &name, Want::News).await?;
    Ok((report.rows, size(&folder.path().join("spool"))? as f64 / 1e6))
}

fn size(path: &Path) -> Result<u64> {
    let meta = std::fs::metadata(path)?;
    if meta.is_file() {
        return Ok(meta.len());
    }
    std::fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

/// Of this process, all threads.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").context("/proc/self/stat")?.1;
    let ticks = |at: usize| fields.split(' ').nth(at).and_then(|text| text.parse::<f64>().ok());
    // utime and stime are fields 14 and 15; Linux counts 100 a second on every platform it runs us on.
    ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / 100.0).ok_or(anyhow!("/proc/self/stat"))
}

fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
