//! Where the log goes: the terminal with `agent call`, the terminal and Salt's `log_file` with `agent run`.

use std::{fs::OpenOptions, io, sync::Mutex};

use thiserror::Error;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::config::Config;

/// Why there can be no log.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// `log_level` is none of Salt's.
    #[error(
        "the log level {0:?} is not one of all, garbage, trace, debug, info, warning, error, critical, quiet"
    )]
    Level(String),
}

/// Starts logging. A log file that cannot be written is reported on the terminal and does not stop the agent.
///
/// # Errors
/// See [`LoggingError`].
pub fn start(config: &Config, service: bool) -> Result<(), Box<LoggingError>> {
    let level = config.str_opt("log_level").unwrap_or_else(|| "warning".to_owned());
    let filter = || filter(&level);
    let terminal = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_target(false)
        .with_filter(filter()?);
    let file = config.str_opt("log_file").filter(|_| service).and_then(|path| {
        let path = std::path::PathBuf::from(path);
        path.parent().map(std::fs::create_dir_all);
        OpenOptions::new().create(true).append(true).open(path).ok()
    });
    let file = match file {
        Some(file) => Some(
            tracing_subscriber::fmt::layer()
                .with_writer(Mutex::new(file))
                .with_ansi(false)
                .with_target(false)
                .with_filter(filter()?),
        ),
        None => None,
    };
    // A second start in one process (tests) keeps the first.
    let _ = registry().with(terminal).with(file).try_init();
    Ok(())
}

/// Salt's level names as a filter; libraries stay a level quieter than the agent itself.
fn filter(level: &str) -> Result<EnvFilter, Box<LoggingError>> {
    let ours = match level.to_lowercase().as_str() {
        "all" | "garbage" | "trace" => "trace",
        "profile" | "debug" => "debug",
        "info" => "info",
        "warning" | "warn" => "warn",
        "error" | "critical" => "error",
        "quiet" => "off",
        _ => return Err(Box::new(LoggingError::Level(level.to_owned()))),
    };
    let others = if ours == "trace" { "debug" } else { "warn" };
    let others = if matches!(ours, "error" | "off") { ours } else { others };
    // The SQL client logs every error of the server as its own, also one that a check asked for; what matters of them is
    // told where it is decided, as a state comment, a job return or a line of the agent.
    let sql_client = if ours == "trace" { "debug" } else { "off" };
    Ok(EnvFilter::new(format!("{others},tiberius={sql_client},agent={ours},proto={ours},states={ours}")))
}
