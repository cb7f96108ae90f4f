//! `agent service install|uninstall|start|stop`.
//!
//! Exit codes: 0 done, 1 failed, 64 a bad command line, 69 installed and running, but the doctor found what keeps the agent
//! from its work, 73 the folder cannot be trusted, 77 not enough rights. With `--silent` nothing is printed and the exit code
//! tells.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{Shown, print};
use crate::config::{Config, Overrides};
use crate::platform::{
    install::{self, Wishes},
    paths, service,
};

/// The verbs of `agent service`.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Installs this program as a service that starts with the machine, and starts it.
    Install(Install),
    /// Stops and removes the service and its programs; configuration, keys and data stay.
    Uninstall(Uninstall),
    /// Starts the service.
    Start(Quiet),
    /// Stops the service.
    Stop(Quiet),
}

/// The arguments of `agent service install`.
#[derive(Args, Debug)]
pub(super) struct Install {
    /// The master's address.
    #[arg(long, value_name = "HOST")]
    master: Option<String>,
    /// The fingerprint of the master's key.
    #[arg(long, value_name = "FINGERPRINT")]
    finger: Option<String>,
    /// A word that the master accepts new minions by, as the grain enrolment_token.
    #[arg(long, value_name = "WORD")]
    token: Option<String>,
    /// The minion id; the host's name when none is given.
    #[arg(long)]
    id: Option<String>,
    /// Takes id and keys from a stock Salt minion, which is left as it is.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = SALT_CONFIG_DIR)]
    adopt_salt: Option<PathBuf>,
    /// The account of the service, for example `NT AUTHORITY\LocalService`; the system's when none is given.
    #[arg(long)]
    account: Option<String>,
    /// The install folder.
    #[arg(long, value_name = "DIR", default_value = paths::INSTALL_DIR)]
    root: PathBuf,
    /// Does not start the service.
    #[arg(long)]
    no_start: bool,
    #[command(flatten)]
    quiet: Quiet,
}

/// The arguments of `agent service uninstall`.
#[derive(Args, Debug)]
pub(super) struct Uninstall {
    /// Removes configuration, keys and data as well.
    #[arg(long)]
    everything: bool,
    /// The install folder.
    #[arg(long, value_name = "DIR", default_value = paths::INSTALL_DIR)]
    root: PathBuf,
    #[command(flatten)]
    quiet: Quiet,
}

/// Whether to print.
#[derive(Args, Debug)]
pub(super) struct Quiet {
    /// Prints nothing; the exit code tells.
    #[arg(long)]
    silent: bool,
}

/// Runs a verb.
pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::Install(args) => install(args),
        Verb::Uninstall(args) => match install::uninstall(&args.root, args.everything) {
            Ok(()) => said(&args.quiet, "the service is removed", ExitCode::SUCCESS),
            Err(error) => said(&args.quiet, &error.to_string(), ExitCode::from(error.exit_code())),
        },
        Verb::Start(quiet) => done(quiet, service::start(), "the service runs"),
        Verb::Stop(quiet) => done(quiet, service::stop(), "the service is stopped"),
    }
}

fn install(args: &Install) -> ExitCode {
    let wishes = Wishes {
        master: args.master.clone(),
        finger: args.finger.clone(),
        token: args.token.clone(),
        id: args.id.clone(),
        root: args.root.clone(),
        account: args.account.clone(),
        adopt: args.adopt_salt.clone(),
    };
    match install::install(&wishes) {
        Ok(notes) => {
            for note in notes {
                said(&args.quiet, &note, ExitCode::SUCCESS);
            }
            if args.no_start {
                return said(&args.quiet, "the service is installed", ExitCode::SUCCESS);
            }
            match service::start() {
                Ok(()) => examine(args),
                Err(why) => said(&args.quiet, &why, ExitCode::FAILURE),
            }
        }
        Err(error) => said(&args.quiet, &error.to_string(), ExitCode::from(error.exit_code())),
    }
}

/// The service runs; whether it can work here is the doctor's to say.
fn examine(args: &Install) -> ExitCode {
    let config = match Config::load(&args.root.join("conf"), &Overrides::default()) {
        Ok(config) => config,
        Err(error) => return said(&args.quiet, &super::chain(&error), ExitCode::from(EXIT_UNWELL)),
    };
    if super::doctor(&config, if args.quiet.silent { Shown::Nothing } else { Shown::Lines })
        == ExitCode::SUCCESS
    {
        return said(&args.quiet, "the service is installed and runs", ExitCode::SUCCESS);
    }
    let text =
        "the service is installed and runs, but a check failed: see above; `agent doctor` checks again";
    said(&args.quiet, text, ExitCode::from(EXIT_UNWELL))
}

fn done(quiet: &Quiet, done: Result<(), String>, text: &str) -> ExitCode {
    match done {
        Ok(()) => said(quiet, text, ExitCode::SUCCESS),
        Err(why) => said(quiet, &why, ExitCode::FAILURE),
    }
}

fn said(quiet: &Quiet, text: &str, code: ExitCode) -> ExitCode {
    if !quiet.silent {
        print::error(text);
    }
    code
}

/// EX_UNAVAILABLE.
const EXIT_UNWELL: u8 = 69;

#[cfg(windows)]
const SALT_CONFIG_DIR: &str = r"C:\ProgramData\Salt Project\Salt\conf";
#[cfg(not(windows))]
const SALT_CONFIG_DIR: &str = "/etc/salt";
