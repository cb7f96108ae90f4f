//! The request to stop: SIGTERM or SIGINT, Ctrl-C on Windows, or the supervisor's word.

use std::io;

use crate::release::supervised::Supervised;

/// Returns when the process is asked to stop.
pub(super) async fn requested(supervised: Option<&Supervised>) -> io::Result<()> {
    match supervised {
        Some(supervised) => tokio::select! {
            signalled = signalled() => signalled,
            () = supervised.stop_requested() => Ok(()),
        },
        None => signalled().await,
    }
}

#[cfg(unix)]
async fn signalled() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signalled() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
