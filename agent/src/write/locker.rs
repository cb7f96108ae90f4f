//! Who holds the lock that a write waits for.
//!
//! The one moment to see it is while the write waits, so a second connection looks after a while. It takes VIEW SERVER
//! STATE to see other sessions; without it the lock's holder stays unknown and the outcome says so.

use std::time::Duration;

use crate::mssql::param::{integer, text};
use crate::mssql::{ConnectionOptions, Param, SqlError};

use super::pool::Pool;

/// Runs `work`; when it takes long, looks who blocks session `spid` and gives that beside the result.
pub async fn watched<T>(
    work: impl Future<Output = T>,
    (pool, options, spid): (&Pool, &ConnectionOptions, i64),
) -> (T, Option<String>) {
    let looking = look(pool, options, spid);
    tokio::pin!(work, looking);
    let mut holder = None;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return (done, holder),
            found = &mut looking, if holder.is_none() => holder = Some(found),
        }
    }
}

/// Looks again and again; ends when somebody is seen, or when nobody may be seen.
async fn look(pool: &Pool, options: &ConnectionOptions, spid: i64) -> String {
    loop {
        tokio::time::sleep(LOOK_AFTER).await;
        match ask(pool, options, spid).await {
            Ok(Some(holder)) => return holder,
            Ok(None) => {}
            Err(error) if matches!(error.number(), Some(297 | 300)) => return HIDDEN.to_owned(),
            Err(_) => return "a program that could not be looked up".to_owned(),
        }
    }
}

async fn ask(pool: &Pool, options: &ConnectionOptions, spid: i64) -> Result<Option<String>, SqlError> {
    let mut lease = pool.take(options).await?;
    let rows = lease.session.query(BLOCKER, &[Param::Int(i32::try_from(spid).unwrap_or_default())]).await?;
    pool.give_back(options, lease);
    let Some(row) = rows.first() else { return Ok(None) };
    let cell = |at: usize| row.get_column_data(at).ok();
    let name = |at: usize| cell(at).and_then(text).filter(|name| !name.is_empty());
    let session = cell(0).and_then(integer).unwrap_or_default();
    Ok(Some(match name(1) {
        Some(program) => format!(
            "{program} (session {session}, login {}, host {})",
            name(2).unwrap_or_else(|| "unknown".to_owned()),
            name(3).unwrap_or_else(|| "unknown".to_owned())
        ),
        None => format!("session {session}, whose program does not show"),
    }))
}

const BLOCKER: &str = "SELECT r.blocking_session_id, s.program_name, s.login_name, s.host_name \
     FROM sys.dm_exec_requests AS r \
     LEFT JOIN sys.dm_exec_sessions AS s ON s.session_id = r.blocking_session_id \
     WHERE r.session_id = @P1 AND r.blocking_session_id <> 0";
const HIDDEN: &str = "a program that the login may not see: grant it VIEW SERVER STATE to learn which";
/// A write that waits for longer is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(200);
