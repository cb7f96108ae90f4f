//! `cargo demo`: the whole system on loopback, with every figure checked.
//!
//! Starts a simulated SQL Server, the bundled master and the agent as separate programs, tells the story of
//! a practice being connected (key, state file, snapshot, live changes) and holds what arrived at the master
//! against what the database says. Owns nothing of the programs it starts: it drives them by the commands an
//! operator would type and reads the database through the SQL client.

mod report;
mod setup;
mod stack;
mod story;

use clap::Parser;

/// Runs the whole system on this machine and checks that every row arrived exactly once.
#[derive(Parser)]
#[command(name = "cargo demo")]
struct Options {
    /// Stop after the checks; exit 0 only if every check held.
    #[arg(long)]
    once: bool,
    /// Print the summary as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// Rows of the simulated appointment book.
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
    /// Live changes made after the snapshot.
    #[arg(long, default_value_t = 500)]
    changes: u32,
}

fn main() -> anyhow::Result<std::process::ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let mut report = report::Report::new(options.json);
    let held = runtime.block_on(story::tell(&options, &mut report));
    Ok(report.close(held))
}
