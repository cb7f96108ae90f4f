//! The command line: `agent run`, `agent call`, `agent status`, `agent pause`, `agent resume`.
//!
//! `agent call` takes salt-call's flags and prints as salt-call does. The configuration is read whole before
//! anything starts; a bad one ends with exit code 64.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::{self, Config, EXIT_BAD_CONFIG, Overrides},
    doctor,
    policy::switches::{Pause, Switch, Switches},
    version,
};

mod access;
pub mod arguments;
mod call;
mod logging;
mod print;
mod release;
mod service;

/// A Salt minion for practice servers.
#[derive(Debug, Parser)]
#[command(name = "agent", version = version::LINE, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// The folder that holds the `minion` file.
    #[arg(short = 'c', long, global = true, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// The log level: all, garbage, trace, debug, info, warning, error, critical or quiet.
    #[arg(short = 'l', long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connects to the master and serves it until stopped.
    Run,
    /// Calls one function on this machine, as salt-call does.
    Call(Box<CallArgs>),
    /// Shows what the agent on this machine does.
    Status(StatusArgs),
    /// Pauses reading or writing on this machine until it is resumed here; the master cannot undo it.
    Pause(SwitchArgs),
    /// Resumes what was paused.
    Resume(SwitchArgs),
    /// Tells what the agent may do with SQL Server.
    #[command(subcommand)]
    Access(access::AccessCommand),
    /// Checks whether this machine has what the agent needs: ports, SQL Server, disk, clock, antivirus.
    Doctor(StatusArgs),
    /// Installs, removes, starts and stops the service.
    #[command(subcommand)]
    Service(service::Verb),
    /// Shows the versions on this machine, and goes back to an earlier one.
    #[command(subcommand)]
    Release(release::Verb),
}

/// The arguments of `agent pause` and `agent resume`.
#[derive(Args, Debug)]
struct SwitchArgs {
    /// What to pause or resume.
    #[arg(value_enum)]
    what: Paused,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Paused {
    /// Reading rows.
    Sync,
    /// Writing to the EHR.
    Writes,
}

/// The arguments of `agent call`.
#[derive(Args, Debug)]
pub struct CallArgs {
    /// The function: test.ping.
    #[arg(required_unless_present_any = ["grains", "doc"])]
    fun: Option<String>,
    /// Its arguments, as `value` or `name=value`; values are YAML.
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// Prints this machine's grains.
    #[arg(short = 'g', long)]
    grains: bool,
    /// Prints what functions do: all, or those whose name starts with FUN.
    #[arg(short = 'd', long, visible_alias = "documentation")]
    doc: bool,
    /// Works without a master.
    #[arg(long)]
    local: bool,
    /// The master to ask, in place of the configured ones.
    #[arg(long)]
    master: Option<String>,
    /// With --local: the folder of the base environment's files.
    #[arg(long, value_name = "DIR")]
    file_root: Option<PathBuf>,
    /// With --local: the folder of the base environment's pillar.
    #[arg(long, value_name = "DIR")]
    pillar_root: Option<PathBuf>,
    /// The minion id.
    #[arg(long)]
    id: Option<String>,
    /// Does not tell the master what was called.
    #[arg(long)]
    no_return_event: bool,
    /// Exits with the function's own retcode.
    #[arg(long)]
    retcode_passthrough: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// How a call is printed.
#[derive(Args, Debug)]
pub struct OutputArgs {
    /// The layout of the output: nested, highstate, json, yaml, txt, raw, newline_values_only or quiet.
    #[arg(long, visible_alias = "output", value_name = "LAYOUT")]
    out: Option<String>,
    /// Spaces per level of JSON; a negative number puts it on one line.
    #[arg(long, visible_alias = "output-indent", value_name = "SPACES", allow_negative_numbers = true)]
    out_indent: Option<i64>,
    /// Writes the output to a file.
    #[arg(long, visible_alias = "output-file", value_name = "FILE")]
    out_file: Option<PathBuf>,
    /// Adds to the file of --out-file.
    #[arg(long, visible_alias = "output-file-append")]
    out_file_append: bool,
    /// Prints without colours.
    #[arg(long, visible_alias = "no-colour")]
    no_color: bool,
    /// Prints with colours even when piped.
    #[arg(long, visible_alias = "force-colour")]
    force_color: bool,
    /// How much of each state is printed: full, terse, mixed or changes.
    #[arg(long, alias = "state_output", value_name = "MODE")]
    state_output: Option<String>,
    /// Whether states without changes are printed: True or False.
    #[arg(long, alias = "state_verbose", value_name = "BOOL")]
    state_verbose: Option<String>,
}

/// The arguments of `agent status`.
#[derive(Args, Debug)]
struct StatusArgs {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the program; the process' exit code is the result.
#[must_use]
pub fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::platform::allocator::share_one_arena();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // Where clap cannot print there is nobody to tell.
            let _ = error.print();
            return if usage { ExitCode::from(EXIT_BAD_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    // These must work where there is no configuration yet, or a broken one.
    if let Command::Service(verb) = &cli.command {
        return service::run(verb);
    }
    if let Command::Release(verb) = &cli.command {
        return release::run(verb);
    }
    let config_dir = cli.config_dir.clone().unwrap_or_else(config::default_config_dir);
    let config = match Config::load(&config_dir, &cli.overrides()) {
        Ok(config) => config,
        Err(error) => {
            print::error(&chain(&error));
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    if let Err(error) = logging::start(&config, matches!(cli.command, Command::Run)) {
        print::error(&chain(&*error));
        return ExitCode::from(EXIT_BAD_CONFIG);
    }
    match cli.command {
        Command::Run => run(config),
        Command::Call(args) => call::run(config, &args),
        Command::Status(args) => status(&config, args.json),
        Command::Access(command) => access::run(config, &command),
        Command::Pause(args) => switch(&config, &args, Some(&pause_now())),
        Command::Resume(args) => switch(&config, &args, None),
        Command::Doctor(args) => doctor(&config, if args.json { Shown::Json } else { Shown::Lines }),
        Command::Service(verb) => service::run(&verb),
        Command::Release(verb) => release::run(&verb),
    }
}

impl Cli {
    fn overrides(&self) -> Overrides {
        let log_level = self.log_level.clone();
        match &self.command {
            Command::Call(call) => Overrides {
                local: call.local,
                id: call.id.clone(),
                file_root: call.file_root.clone(),
                pillar_root: call.pillar_root.clone(),
                master: call.master.clone(),
                log_level,
            },
            Command::Run
            | Command::Status(_)
            | Command::Pause(_)
            | Command::Resume(_)
            | Command::Access(_)
            | Command::Doctor(_)
            | Command::Service(_)
            | Command::Release(_) => Overrides { log_level, ..Overrides::default() },
        }
    }
}

/// A runtime with few threads: the agent waits far more than it works.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).max_blocking_threads(16).thread_keep_alive(std::time::Duration::from_secs(2));
    builder.thread_name("agent").enable_all().build()
}

fn run(config: Config) -> ExitCode {
    let done = runtime()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(crate::minion::run(config)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn status(config: &Config, json: bool) -> ExitCode {
    match crate::status::read(config) {
        Ok(status) => {
            print::status(&status, json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print::error(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Pauses, or resumes without a pause; doing what is done already is no failure.
fn switch(config: &Config, args: &SwitchArgs, pause: Option<&Pause>) -> ExitCode {
    let what = match args.what {
        Paused::Sync => Switch::Sync,
        Paused::Writes => Switch::Writes,
    };
    let switches = Switches::new(config);
    let done = pause.map_or_else(|| switches.resume(what), |pause| switches.pause(what, pause));
    match done {
        Ok(changed) => {
            print::switched(what, switches.paused(what).as_ref(), changed, args.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print::error(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn pause_now() -> Pause {
    let account = ["SUDO_USER", "USER", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    Pause {
        since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        by: account.filter(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned()),
    }
}

/// How what the doctor found is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown {
    Lines,
    Json,
    Nothing,
}

/// Prints what the doctor found; the exit code is 1 when something failed.
fn doctor(config: &Config, shown: Shown) -> ExitCode {
    let examined = runtime().map(|runtime| runtime.block_on(doctor::examine(config, &states::Value::Nil)));
    let findings = match examined {
        Ok(findings) => findings,
        Err(error) => {
            print::error(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match shown {
        Shown::Json => print::line(&serde_json::to_string(&findings).unwrap_or_default()),
        Shown::Lines => findings.iter().for_each(|finding| print::line(&finding.to_string())),
        Shown::Nothing => {}
    }
    if doctor::is_well(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
