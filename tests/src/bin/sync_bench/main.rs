//! Rows out, side by side from one simulated SQL Server in one run: the agent's snapshot to sealed Parquet, the same client
//! into nothing, FreeTDS `freebcp`, pymssql `fetchmany`; and what a front desk feels while the agent reads.
//!
//! Every reader is a process of its own, so that processor time and memory are the system's figures for it. Figures are
//! printed, never judged.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

mod desk;
mod outside;
mod readers;

/// Compare readers of one table.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Rows of the table.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Transactions of the front desk in each of its two runs.
    #[arg(long, default_value_t = 3000)]
    desk: u32,
    /// Be this reader of the server at `--port`; the benchmark starts itself so.
    #[arg(long, hide = true, requires = "port")]
    reader: Option<Reader>,
    /// Read from the simulated server on this port of 127.0.0.1, which has `--rows` rows, and start none.
    #[arg(long)]
    port: Option<u16>,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reader {
    /// The agent, without marks of rows.
    Agent,
    /// The agent, with the marks that a delete sweep needs.
    AgentMarks,
    /// The agent's SQL client alone.
    Nothing,
}

/// What a reader took.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    /// Who.
    pub name: String,
    /// Rows read.
    pub rows: u64,
    /// Wall time.
    pub seconds: f64,
    /// Processor time of the reader.
    pub cpu_seconds: f64,
    /// Its greatest resident memory.
    pub peak_mb: f64,
    /// What it left on disk.
    pub megabytes: f64,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let (Some(reader), Some(port)) = (options.reader, options.port) {
        say(&serde_json::to_string(&readers::read(reader, port)?)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let sim = match options.port {
        Some(_) => None,
        None => Some(outside::Sim::serve(options.rows)?),
    };
    let port = sim.as_ref().map(|sim| sim.port).or(options.port).unwrap_or_default();
    compare(&options, port)?;
    Ok(ExitCode::SUCCESS)
}

fn compare(options: &Options, port: u16) -> Result<()> {
    say(&format!("{} rows of 12 columns (dbo.Appointment), one connection each\n", options.rows))?;
    say(&format!(
        "{:34} {:>10} {:>9} {:>13} {:>9} {:>9}",
        "reader", "rows/s", "seconds", "CPU s/1M rows", "peak MB", "MB left"
    ))?;
    for reader in [Reader::Nothing, Reader::Agent, Reader::AgentMarks] {
        show(&outside::own(reader, port)?)?;
    }
    for outside in [outside::freebcp, outside::pymssql] {
        match outside(port) {
            Ok(figures) => show(&figures)?,
            Err(why) => say(&format!("SKIPPED: {why:#}"))?,
        }
    }
    let quiet = desk::work(port, options.desk)?;
    let reading = outside::Reading::start(port)?;
    let busy = desk::work(port, options.desk)?;
    let snapshots = reading.stop();
    say(&format!("\nfront desk, {} transactions, milliseconds", options.desk))?;
    say(&format!("alone:                     p50 {:.2}  p99 {:.2}", quiet.p50, quiet.p99))?;
    say(&format!(
        "while the agent snapshots: p50 {:.2}  p99 {:.2}  ({snapshots} snapshots)",
        busy.p50, busy.p99
    ))?;
    Ok(())
}

fn show(figures: &Figures) -> Result<()> {
    let Figures { name, rows, seconds, cpu_seconds, peak_mb, megabytes } = figures;
    let (rate, cpu) = (*rows as f64 / seconds, cpu_seconds * 1e6 / *rows as f64);
    say(&format!("{name:34} {rate:>10.0} {seconds:>9.2} {cpu:>13.2} {peak_mb:>9.0} {megabytes:>9.1}"))
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
