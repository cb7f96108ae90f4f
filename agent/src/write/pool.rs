//! Connections that stay open between writes.
//!
//! A session serves one write at a time and comes back only when it ended in order; one that idled is asked before it is
//! used. `keep` holds one open per login, so that a write does not pay for connecting, and closes those that idle for
//! long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::mssql::param::integer;
use crate::mssql::{ConnectionOptions, Session, SqlError};

/// The open sessions that nobody uses.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Idle>>>);

#[derive(Debug)]
struct Idle {
    options: ConnectionOptions,
    lease: Lease,
    since: Instant,
}

/// A session in use.
#[derive(Debug)]
pub struct Lease {
    /// The session.
    pub session: Session,
    /// Its number on the server (`@@SPID`).
    pub spid: i64,
    /// Whether it was open before: one that breaks at once was stale.
    pub reused: bool,
}

impl Pool {
    /// An open session, or a new one.
    ///
    /// # Errors
    /// The server cannot be reached or refuses the login.
    pub async fn take(&self, options: &ConnectionOptions) -> Result<Lease, SqlError> {
        while let Some(Idle { mut lease, since, .. }) = self.pop(options) {
            if since.elapsed() < TRUSTED || is_alive(&mut lease.session).await {
                lease.reused = true;
                return Ok(lease);
            }
        }
        open(options).await
    }

    /// Takes back a session that ended in order; one that is broken is dropped.
    pub fn give_back(&self, options: &ConnectionOptions, lease: Lease) {
        let mut idle = self.idle();
        let kept = idle.iter().filter(|held| held.options == *options).count();
        if lease.session.is_usable() && kept < MOST_IDLE {
            idle.push(Idle { options: options.clone(), lease, since: Instant::now() });
        }
    }

    /// How many sessions stand ready.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.idle().len()
    }

    /// Keeps one session open for each of `wanted` until the token is cancelled.
    pub async fn keep(self, wanted: impl Fn() -> Vec<ConnectionOptions> + Send, token: CancellationToken) {
        loop {
            let wanted = wanted();
            self.idle().retain(|held| wanted.contains(&held.options));
            for options in &wanted {
                tokio::select! {
                    () = self.refresh(options) => {}
                    () = token.cancelled() => return,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(KEEP_EVERY) => {}
                () = token.cancelled() => return,
            }
        }
    }

    /// Sees that one session is open and alive.
    async fn refresh(&self, options: &ConnectionOptions) {
        match self.take(options).await {
            Ok(mut lease) => {
                if !lease.reused || is_alive(&mut lease.session).await {
                    self.give_back(options, lease);
                }
            }
            Err(error) => tracing::debug!(%error, "no connection is kept open for writes"),
        }
    }

    fn pop(&self, options: &ConnectionOptions) -> Option<Idle> {
        let mut idle = self.idle();
        let at = idle.iter().rposition(|held| held.options == *options)?;
        Some(idle.remove(at))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(options: &ConnectionOptions) -> Result<Lease, SqlError> {
    let mut session = Session::connect(options).await?;
    // What DML on tables with indexed views, computed columns or filtered indexes needs (error 1934).
    session.batch(SETTINGS).await?;
    let rows = session.query("SELECT @@SPID", &[]).await?;
    let spid = rows.first().and_then(|row| row.get_column_data(0).ok()).and_then(integer);
    Ok(Lease { session, spid: spid.unwrap_or_default(), reused: false })
}

async fn is_alive(session: &mut Session) -> bool {
    matches!(tokio::time::timeout(CHECK_TIMEOUT, session.batch("SELECT 1")).await, Ok(Ok(_)))
}

const SETTINGS: &str = "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, \
     QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET XACT_ABORT ON";
/// How long a session may idle before it is asked whether it lives.
const TRUSTED: Duration = Duration::from_secs(20);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_EVERY: Duration = Duration::from_secs(15);
const MOST_IDLE: usize = 4;
