//! The command line: a noun, then a verb; what is printed and with which exit code.
//!
//! `-c/--config-dir` is Salt's. The only files that print are this one and the ones below it. Exit codes: 0 done, 1 it
//! could not be done, 2 the command line is wrong, 64 the configuration cannot be used.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's output files")]

mod events;
mod job;
mod key;
mod release;
mod run;
mod serve;
mod tree;

pub(crate) use key::DROP_FILE;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, EXIT_BAD_CONFIG, SALT_CONFIG_DIR};

/// The bundled master: a small salt-master for a first hour, for tests and for small fleets.
#[derive(Debug, Parser)]
#[command(name = "master-sim", version)]
struct Cli {
    /// The folder with `master` and `master.d/*.conf`.
    #[arg(short, long, global = true, default_value = SALT_CONFIG_DIR)]
    config_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves minions until it is told to stop.
    Serve(serve::Serve),
    /// Runs a function on minions.
    Run(Box<run::Run>),
    /// Shows what was run and what came back.
    Job {
        #[command(subcommand)]
        verb: job::Verb,
    },
    /// Follows the event log.
    Events(events::Events),
    /// Lists, accepts, rejects and deletes minion keys.
    Key {
        #[command(subcommand)]
        verb: key::Verb,
    },
    /// Makes, signs and offers releases of the agent.
    Release(release::Release),
    /// Gives a state tree to a share of the fleet first.
    Tree(tree::Tree),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::load(&cli.config_dir) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.into());
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    let done = match cli.command {
        Command::Serve(options) => serve::run(config, &options),
        Command::Run(run) => run::run(&config, &run),
        Command::Job { verb } => job::run(&config, &verb),
        Command::Events(options) => events::run(&config, &options),
        Command::Key { verb } => key::run(&config, &verb),
        Command::Release(args) => release::run(&config, &args),
        Command::Tree(args) => tree::run(&config, &args),
    };
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

fn complain(error: &anyhow::Error) {
    eprintln!("master-sim: {error:#}");
}
