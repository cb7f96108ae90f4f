//! Rows out, side by side from one simulated SQL Server in one run: the agent's snapshot to sealed Parquet, its client into
//! nothing, and the readers that others wrote; and what a front desk feels while the agent reads.
//!
//! Every reader is a process of its own, so that processor time and memory are the system's figures for it. Figures are
//! printed, never judged. MB/s are those of the server's answer before encryption: what a proxy counted of it once.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

mod desk;
mod outside;
mod peers;
mod readers;

use desk::{Desk, Felt};
use peers::Peer;

/// Compare readers of one table.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Rows of the table.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Transactions of the front desk, alone and beside an agent; 0 leaves it out.
    #[arg(long, default_value_t = 120_000)]
    desk: u32,
    /// Run each reader a second time over TLS.
    #[arg(long)]
    tls: bool,
    /// Run only these readers.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Reader>,
    /// Be this reader of the server at `--port`; the benchmark starts itself so.
    #[arg(long, hide = true, requires = "port")]
    reader: Option<Reader>,
    /// Whether that reader encrypts.
    #[arg(long, hide = true, default_value = "off")]
    wire: Wire,
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
    Client,
    /// tiberius alone, as it is.
    Tiberius,
    /// Microsoft's client, a value made of every cell.
    MssqlTds,
    /// The same, every cell let go as it lies in the packet.
    MssqlTdsCells,
    /// FreeTDS' bulk copy.
    Freebcp,
    /// FreeTDS under Python.
    Pymssql,
    /// connectorx to Parquet.
    Connectorx,
    /// dlt to Parquet.
    Dlt,
}

/// Whether the rows are encrypted on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wire {
    /// They are not.
    Off,
    /// TLS.
    On,
}

/// What a reader took.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Figures {
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

impl Figures {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

impl Reader {
    fn shown(self) -> &'static str {
        match self {
            Self::Agent => "agent to sealed Parquet",
            Self::AgentMarks => "agent to sealed Parquet, with marks",
            Self::Client => "agent's client into nothing",
            Self::Tiberius => "tiberius into nothing",
            Self::MssqlTds => "mssql-tds into nothing",
            Self::MssqlTdsCells => "mssql-tds, no values made",
            Self::Freebcp => "FreeTDS freebcp to a file",
            Self::Pymssql => "pymssql fetchmany into nothing",
            Self::Connectorx => "connectorx to Parquet",
            Self::Dlt => "dlt to Parquet",
        }
    }

    fn goes_into_nothing(self) -> bool {
        matches!(self, Self::Client | Self::Tiberius | Self::MssqlTds | Self::MssqlTdsCells | Self::Pymssql)
    }

    fn run(self, port: u16, wire: Wire) -> Result<Figures> {
        match self {
            Self::Agent | Self::AgentMarks | Self::Client | Self::Tiberius => outside::own(self, port, wire),
            Self::MssqlTds => Peer::MssqlTds("rows").run(port, wire),
            Self::MssqlTdsCells => Peer::MssqlTds("cells").run(port, wire),
            Self::Freebcp => Peer::System("freebcp").run(port, wire),
            Self::Pymssql => Peer::Python("pymssql", "tds-clients").run(port, wire),
            Self::Connectorx => Peer::Python("connectorx", "tds-readers").run(port, wire),
            Self::Dlt => Peer::Python("dlt", "tds-readers").run(port, wire),
        }
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let (Some(reader), Some(port)) = (options.reader, options.port) {
        say(&serde_json::to_string(&readers::read(reader, port, options.wire)?)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let sim = match options.port {
        Some(_) => None,
        None => Some(outside::Sim::serve(options.rows)?),
    };
    let port = sim.as_ref().map(|sim| sim.port).or(options.port).unwrap_or_default();
    compare(&options, port)?;
    if options.desk > 0 {
        front_desk(&options, port)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(options: &Options, port: u16) -> Result<()> {
    let answer = outside::count(port)?;
    let per_row = answer as f64 / options.rows as f64;
    say(&format!(
        "{} rows of 12 columns (dbo.Appointment, {per_row:.0} bytes of the wire each), one connection each\n",
        options.rows
    ))?;
    say(&format!(
        "{:40} {:>10} {:>7} {:>9} {:>13} {:>9} {:>9}",
        "reader", "rows/s", "MB/s", "seconds", "CPU s/1M rows", "peak MB", "MB left"
    ))?;
    let wires: &[Wire] = if options.tls { &[Wire::Off, Wire::On] } else { &[Wire::Off] };
    let mut seen = Vec::new();
    for reader in Reader::value_variants() {
        if !options.only.is_empty() && !options.only.contains(reader) {
            continue;
        }
        for wire in wires {
            let name = match wire {
                Wire::Off => reader.shown().to_owned(),
                Wire::On => format!("{}, TLS", reader.shown()),
            };
            match reader.run(port, *wire) {
                Ok(figures) => {
                    show(&name, &figures, per_row)?;
                    seen.push((*reader, *wire, figures));
                }
                Err(why) => say(&format!("{name:40} SKIPPED: {why:#}"))?,
            }
        }
    }
    ratios(&seen)
}

/// The agent beside the best that reads into nothing, and TLS beside none.
fn ratios(seen: &[(Reader, Wire, Figures)]) -> Result<()> {
    let of = |reader, wire| seen.iter().find(|(r, w, _)| (*r, *w) == (reader, wire)).map(|(_, _, f)| f);
    let idle = seen.iter().filter(|(reader, wire, _)| reader.goes_into_nothing() && *wire == Wire::Off);
    let best = idle.max_by(|(_, _, one), (_, _, other)| one.rate().total_cmp(&other.rate()));
    say("")?;
    for reader in [Reader::Agent, Reader::AgentMarks] {
        let Some(figures) = of(reader, Wire::Off) else { continue };
        if let Some((other, _, best)) = best {
            let share = 100.0 * figures.rate() / best.rate();
            say(&format!("{}: {share:.0} % of the rows/s of {}", reader.shown(), other.shown()))?;
        }
        if let Some(encrypted) = of(reader, Wire::On) {
            let share = 100.0 * encrypted.rate() / figures.rate();
            say(&format!("{}: with TLS {share:.0} % of the rows/s without", reader.shown()))?;
        }
    }
    Ok(())
}

/// In turns, so that what else the machine does falls on both alike: alone, and while an agent takes a snapshot.
fn front_desk(options: &Options, port: u16) -> Result<()> {
    let mut desk = Desk::open(port)?;
    let (mut alone, mut beside, mut ratios) = (Felt::default(), Felt::default(), Vec::new());
    let reading = outside::Reading::start(port)?;
    // The agent begins and sees that somebody works.
    desk.work(SETTLING)?;
    for _ in 0..TURNS {
        let transactions = options.desk.div_ceil(TURNS);
        let mut with = desk.work(transactions)?;
        reading.hold()?;
        let mut without = desk.work(transactions)?;
        reading.go_on()?;
        ratios.push(with.percentile(99.0) / without.percentile(99.0));
        beside.extend(&with);
        alone.extend(&without);
    }
    reading.stop()?;
    say(&format!("\nfront desk, {} transactions each, milliseconds", options.desk))?;
    let most = alone.percentile(99.0);
    for (name, felt) in [("alone", &mut alone), ("while an agent takes a snapshot", &mut beside)] {
        let [half, now] = [50.0, 99.0].map(|share| felt.percentile(share));
        let (slower, above) = (100.0 * now / most - 100.0, felt.share_above(most));
        say(&format!(
            "{name:32} p50 {half:.2}  p99 {now:.2} ({slower:+.1} %; {above:.2} % above {most:.2})"
        ))?;
    }
    ratios.sort_by(f64::total_cmp);
    let turns: Vec<String> = ratios.iter().map(|ratio| format!("{:+.1} %", 100.0 * ratio - 100.0)).collect();
    say(&format!("p99 turn by turn, sorted: {}", turns.join(", ")))
}

/// How often the front desk works alone and not. An agent that was held reads a page as soon as it goes on, so a turn must be longer than
/// its rests are.
const TURNS: u32 = 6;
const SETTLING: u32 = 3000;

fn show(name: &str, figures: &Figures, per_row: f64) -> Result<()> {
    let Figures { rows, seconds, cpu_seconds, peak_mb, megabytes } = figures;
    let (rate, cpu) = (figures.rate(), cpu_seconds * 1e6 / *rows as f64);
    let wire = rate * per_row / 1e6;
    say(&format!(
        "{name:40} {rate:>10.0} {wire:>7.1} {seconds:>9.2} {cpu:>13.2} {peak_mb:>9.0} {megabytes:>9.1}"
    ))
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
