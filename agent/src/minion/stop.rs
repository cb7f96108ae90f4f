//! The request to stop: SIGTERM or SIGINT, Ctrl-C on Windows.

use std::io;

/// Returns when the process is asked to stop.
#[cfg(unix)]
pub(super) async fn requested() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Returns when the process is asked to stop.
#[cfg(not(unix))]
pub(super) async fn requested() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
