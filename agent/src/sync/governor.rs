//! Whether the server can bear another page, and what the job has cost it.
//!
//! Practice editions of SQL Server have no Resource Governor, so the agent looks before each page, at most once a second:
//! requests that wait for each other and a backup that runs end the pass for a while. Seeing that takes VIEW SERVER STATE (2022: VIEW
//! SERVER PERFORMANCE STATE); without it the agent is guided by its own page times and lock timeouts alone. Budgets in
//! rows and bytes per second hold between pages. What the session itself cost is visible to every login.

use std::time::{Duration, Instant};

use crate::mssql::param::{integer, text};
use crate::mssql::{Session, SqlError};

/// What a pass may take of the server in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Rows; unbounded when nothing.
    pub rows: Option<u64>,
    /// Bytes of batches; unbounded when nothing.
    pub bytes: Option<u64>,
}

impl Budget {
    /// How long to rest after `took` in which so much was read.
    #[must_use]
    pub fn rest(self, rows: u64, bytes: u64, took: Duration) -> Duration {
        let due = |read: u64, limit: Option<u64>| match limit {
            Some(limit) => Duration::from_secs_f64(read as f64 / limit.max(1) as f64),
            None => Duration::ZERO,
        };
        due(rows, self.rows).max(due(bytes, self.bytes)).saturating_sub(took)
    }
}

/// What a pass cost the server, by its own session's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Processor time in milliseconds.
    pub cpu_ms: u64,
    /// Pages read from memory.
    pub logical_reads: u64,
    /// Pages read from disk.
    pub reads: u64,
}

impl Cost {
    /// The session's counters.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn of(session: &mut Session) -> Result<Option<Self>, SqlError> {
        let rows = match session.query(COST, &[]).await {
            Err(error) if error.number().is_some() => return Ok(None),
            rows => rows?,
        };
        let Some(row) = rows.first() else { return Ok(None) };
        let number = |at: usize| -> Result<u64, SqlError> {
            let value = integer(row.get_column_data(at)?);
            Ok(value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default())
        };
        Ok(Some(Self { cpu_ms: number(0)?, logical_reads: number(1)?, reads: number(2)? }))
    }
}

/// Looks at the server between pages.
#[derive(Debug)]
pub(super) struct Governor {
    looked: Option<Instant>,
    may_look: bool,
}

impl Governor {
    pub(super) fn new() -> Self {
        Self { looked: None, may_look: true }
    }

    /// Why the next page should wait; `None` when it need not, or nobody can tell.
    pub(super) async fn trouble(&mut self, session: &mut Session) -> Result<Option<String>, SqlError> {
        if !self.may_look || self.looked.is_some_and(|looked| looked.elapsed() < PAUSE) {
            return Ok(None);
        }
        self.looked = Some(Instant::now());
        match session.query(BUSY, &[]).await {
            Ok(rows) => match rows.first() {
                Some(row) => {
                    let blocked = integer(row.get_column_data(0)?).unwrap_or_default();
                    let backup = text(row.get_column_data(1)?);
                    Ok(reason(blocked, backup.as_deref()))
                }
                None => Ok(None),
            },
            Err(error) if error.number().is_some() => {
                self.may_look = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn reason(blocked: i64, backup: Option<&str>) -> Option<String> {
    match (backup, blocked) {
        (Some(command), _) => Some(format!("the server is busy with {command}")),
        (None, MANY_BLOCKED..) => Some(format!("the server is busy: {blocked} requests wait for locks")),
        (None, _) => None,
    }
}

const COST: &str =
    "SELECT cpu_time, logical_reads, reads FROM sys.dm_exec_sessions WHERE session_id = @@SPID";
const BUSY: &str = "SELECT SUM(CASE WHEN blocking_session_id <> 0 THEN 1 ELSE 0 END), \
     MAX(CASE WHEN command LIKE 'BACKUP%' OR command LIKE 'RESTORE%' OR command LIKE 'DBCC%' THEN command END) \
     FROM sys.dm_exec_requests WHERE session_id <> @@SPID";
/// One request that waits a moment for another is everyday life.
const MANY_BLOCKED: i64 = 2;
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_makes_a_quick_page_rest_and_a_slow_one_not() {
        let budget = Budget { rows: Some(1000), bytes: None };
        assert_eq!(budget.rest(500, 0, Duration::from_millis(100)), Duration::from_millis(400));
        assert_eq!(budget.rest(500, 0, Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(Budget::default().rest(u64::MAX, u64::MAX, Duration::ZERO), Duration::ZERO);
        let both = Budget { rows: Some(1000), bytes: Some(1 << 20) };
        assert_eq!(both.rest(1, 3 << 20, Duration::ZERO), Duration::from_secs(3));
    }

    #[test]
    fn blocking_and_backups_are_told() {
        assert_eq!(reason(1, None), None);
        assert_eq!(reason(3, None).unwrap(), "the server is busy: 3 requests wait for locks");
        assert_eq!(reason(0, Some("BACKUP DATABASE")).unwrap(), "the server is busy with BACKUP DATABASE");
    }
}
