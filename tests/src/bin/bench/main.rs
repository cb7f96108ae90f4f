//! Side by side on one real master: our agent, an unmodified salt-minion, and the least that can answer a ping.
//!
//! Start to first ping, idle memory of the whole process tree (PSS), `test.ping` p50 and p95, a 100-state SLS, the returns per
//! second of 100 jobs at once; with `--writes`, the latency of writes. Timing is done inside the master's driver process, so no command-line start is in a figure. Figures are printed, never judged.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tests::{binaries::Profile, salt::Series};

mod measure;
mod minimal;
mod table;
mod writes;

/// Compare our agent with Salt's own minion.
#[derive(Debug, Parser)]
struct Options {
    /// The series of the real master and minion.
    #[arg(long, value_enum, default_value = "3006")]
    series: SeriesName,
    /// Pings per peer.
    #[arg(long, default_value_t = 100)]
    pings: u32,
    /// Runs of the 100-state SLS per peer, and starts per peer.
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Measure this program; the release build is made and measured when none is given.
    #[arg(long)]
    agent: Option<PathBuf>,
    /// Measure so many writes and nothing else: submission to outcome at the master.
    #[arg(long, value_name = "N")]
    writes: Option<u32>,
    /// Measure programs of the dev profile: quicker to build, slower to run.
    #[arg(long)]
    dev: bool,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
    /// Be the minimal peer of this id at `--ret-port`; the benchmark starts itself so.
    #[arg(long, hide = true, requires = "ret_port")]
    minimal: Option<String>,
    #[arg(long, hide = true)]
    ret_port: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SeriesName {
    #[value(name = "3006")]
    S3006,
    #[value(name = "3007")]
    S3007,
    #[value(name = "3008")]
    S3008,
}

impl From<SeriesName> for Series {
    fn from(name: SeriesName) -> Self {
        match name {
            SeriesName::S3006 => Self::S3006,
            SeriesName::S3007 => Self::S3007,
            SeriesName::S3008 => Self::S3008,
        }
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let (Some(id), Some(port)) = (&options.minimal, options.ret_port) {
        minimal::answer_pings(id, port)?;
    }
    let series = Series::from(options.series);
    if let Err(why) = series.installed() {
        table::say(&format!("cannot run: {why}"))?;
        return Ok(ExitCode::from(69));
    }
    if let Some(count) = options.writes {
        let profile = if options.dev { Profile::Dev } else { Profile::Release };
        table::print_latencies(&writes::all(series, count, profile)?, options.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let agent = options.agent.clone().map_or_else(measure::release, Ok)?;
    let figures = measure::all(series, &agent, (options.pings, options.runs))?;
    table::print(series, &figures, options.json)?;
    Ok(ExitCode::SUCCESS)
}
