//! `master-sim serve`: the master, until it is told to stop.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::server::Server;

/// The flags of `serve`.
#[derive(Args, Debug)]
pub struct Serve {
    /// Print the ports as one JSON object: `publish_port`, `ret_port`.
    #[arg(long)]
    json: bool,
}

/// Serves until SIGINT or SIGTERM.
pub fn run(config: Config, options: &Serve) -> Result<ExitCode> {
    log(&config.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let interface = config.interface.clone();
        let server = Server::start(config).await?;
        let (publish, ret) = (server.ports.publish_port, server.ports.ret_port);
        if options.json {
            println!("{}", serde_json::to_string(&server.ports)?);
        } else {
            println!("Publishing on tcp://{interface}:{publish}, requests on tcp://{interface}:{ret}");
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::select! {
            () = server.run(stopped) => {}
            signal = told_to_stop(stop) => signal?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Cancels at the first signal; then never ends, so that the server ends by itself.
async fn told_to_stop(stop: CancellationToken) -> Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    std::future::pending().await
}

/// Salt's level names, on standard error. `RUST_LOG` wins.
fn log(level: &str) {
    let level = match level {
        "quiet" => "off",
        "critical" | "error" => "error",
        "info" | "profile" => "info",
        "debug" => "debug",
        "trace" | "garbage" | "all" => "trace",
        _ => "warn",
    };
    let default = format!("{level},zeromq=warn");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}
