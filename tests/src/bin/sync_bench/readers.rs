//! The readers that are ours, each in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use agent::mssql::quote::ObjectName;
use agent::mssql::{ConnectionOptions, Session};
use agent::store::{Secret, Store};
use agent::sync::SyncRoom;
use agent::sync::check::{CursorRequest, JobRequest, SweepRequest};
use agent::sync::ledger::Ledger;
use agent::sync::names::JobName;
use agent::sync::pass::{Want, run_pass};
use agent::sync::spec::Seal;
use agent::sync::spool::Spool;
use agent::tasks::Tasks;
use anyhow::{Context, Result, anyhow};
use tests::ehr::EhrSim;

use super::{Figures, Reader};

/// Reads the table as `reader` and says what it took.
pub fn read(reader: Reader, port: u16) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let begun = Instant::now();
    let (rows, megabytes) = runtime.block_on(async {
        match reader {
            Reader::Nothing => nothing(port).await.map(|rows| (rows, 0.0)),
            Reader::Agent => snapshot(port, SweepRequest::Never).await,
            Reader::AgentMarks => snapshot(port, SweepRequest::AsNeeded).await,
        }
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let name = match reader {
        Reader::Nothing => "tiberius into nothing",
        Reader::Agent => "agent to sealed Parquet",
        Reader::AgentMarks => "agent to sealed Parquet, with marks",
    };
    let (cpu_seconds, peak_mb) = (cpu_seconds()?, peak_mb()?);
    Ok(Figures { name: name.into(), rows, seconds, cpu_seconds, peak_mb, megabytes })
}

/// How `sa` connects to the table's database.
pub fn connection(port: u16) -> ConnectionOptions {
    let lookup = |name: &str| match name {
        "server" => Some("127.0.0.1".to_owned()),
        "port" => Some(port.to_string()),
        "encrypt" => Some("false".to_owned()),
        _ => None,
    };
    let options = ConnectionOptions::read(lookup).unwrap_or_else(|error| panic!("{error}"));
    options.with_login("sa", Secret::new(EhrSim::SA_PASSWORD)).with_database("Main_OMS")
}

async fn nothing(port: u16) -> Result<u64> {
    use futures_util::TryStreamExt;
    let mut session = Session::connect(&connection(port)).await?;
    let mut stream = session.stream("SELECT * FROM dbo.Appointment", &[]).await?;
    let mut rows = 0;
    while let Some(item) = stream.try_next().await? {
        rows += u64::from(item.into_row().is_some());
    }
    Ok(rows)
}

async fn snapshot(port: u16, sweep: SweepRequest) -> Result<(u64, f64)> {
    let folder = tempfile::tempdir()?;
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let (name, table) = (JobName::new("bench")?, ObjectName::parse("Appointment")?);
    let request = JobRequest {
        cursor: CursorRequest::Rowversion(None),
        sweep,
        ..JobRequest::new(name.clone(), connection(port), table, Seal::Recipients(vec![recipient]))
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
