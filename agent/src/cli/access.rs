//! `agent access report`: what the agent may do with SQL Server, for the practice's IT person.
//!
//! Works without a master and beside a running service. As text, as JSON, or as a page to print and sign.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{print, runtime};
use crate::{
    access::report::{self, html, text},
    channel::LocalLink,
    config::Config,
    minion,
    services::Services,
    store::Store,
    tasks::Tasks,
};

/// What is asked of access.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Tells each login's permissions, what they are needed for, what is in excess, and how to end them.
    Report(ReportArgs),
}

/// The arguments of `agent access report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Prints one JSON object.
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Gives a page for a browser or a printer.
    #[arg(long)]
    html: bool,
    /// Writes to this file and not to the terminal.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(config: Config, command: &AccessCommand) -> ExitCode {
    let AccessCommand::Report(args) = command;
    let done =
        runtime().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(make(config, args)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn make(config: Config, args: &ReportArgs) -> anyhow::Result<()> {
    let store = Arc::new(Store::open_beside(&config.data_dir.join(minion::STORE_FILE))?);
    let services = Services::new(Arc::new(config), Arc::new(LocalLink), store, Tasks::new());
    let report = report::make(&services).await?;
    services.tasks.shutdown(Duration::from_secs(5)).await;
    let shown = match (args.json, args.html) {
        (true, _) => serde_json::to_string(&report)? + "\n",
        (false, true) => html::render(&report),
        (false, false) => text::render(&report),
    };
    match &args.output {
        Some(file) => std::fs::write(file, shown).with_context(|| format!("cannot write {}", file.display())),
        None => {
            print::text(&shown);
            Ok(())
        }
    }
}
