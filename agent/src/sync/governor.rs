//! Whether the server can bear another page, and what the job has cost it.
//!
//! Practice editions of SQL Server have no Resource Governor, so the agent looks before each page, at most once a second:
//! requests that wait for each other, a backup that runs, and more work than processors for it end the pass for a while. Seeing
//! that takes VIEW SERVER STATE (2022: VIEW SERVER PERFORMANCE STATE); without it the agent is guided by its own page times and
//! lock timeouts alone. A look that is refused is not tried again in that pass, and the other one goes on. Budgets in rows and
//! bytes per second hold between pages.
//!
//! Before every page it asks whether others work on the server (see [`super::others`]). While they do, pages are
//! short and the pass rests between them, so that all passes together take no more than [`Budget::percent_among_others`] of the time. What a
//! pass saw of others and of the load the next ones know ([`Servers`]): a job's pass is often shorter than one look.
//!
//! What waits for a processor is `runnable_tasks_count` of "sys.dm_os_schedulers": workers with work, by scheduler. One scheduler
//! serves one processor, and the visible ones run requests. It is a count of one instant, so only [`LOOKS`] in a row say
//! that the server is busy.
//!
//! What the session itself cost is visible to every login: its own row of `sys.dm_exec_sessions` and, from SQL Server 2016 on,
//! its own waits ("sys.dm_exec_session_wait_stats", Permissions: without VIEW SERVER STATE the current session is seen; SQL
//! Server 2022 asks for VIEW SERVER PERFORMANCE STATE). What the server does not tell is not reported, and never as 0.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tiberius::Row;

use crate::mssql::param::{integer, text};
use crate::mssql::{Session, SqlError};

use super::others::{Count, Others};

/// What a pass may take of the server in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Rows; unbounded when nothing.
    pub rows: Option<u64>,
    /// Bytes of batches; unbounded when nothing.
    pub bytes: Option<u64>,
    /// Of the time, while others work on the server; from 100 on it goes on as if they did not.
    pub percent_among_others: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rows: None, bytes: None, percent_among_others: PERCENT_AMONG_OTHERS }
    }
}

impl Budget {
    /// Whether others who work on the server make any difference.
    #[must_use]
    pub fn gives_way(self) -> bool {
        self.percent_among_others < 100.0
    }

    /// How long to leave the server to the others after a page that took so long with all that belongs to it, while so many passes
    /// read: they share the percentage.
    #[must_use]
    pub fn rest_among_others(self, took: Duration, passes: usize) -> Duration {
        let percent = (self.percent_among_others / passes.max(1) as f64).max(LEAST_PERCENT);
        let times = ((100.0 - percent) / percent).max(0.0);
        took.mul_f64(times).min(LONGEST_REST)
    }

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Pages of 8 KB read from memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_reads: Option<u64>,
    /// Pages of 8 KB read from disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<u64>,
    /// How often it waited for a lock that somebody else held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_waits: Option<u64>,
    /// How long it waited for locks in all, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_wait_ms: Option<u64>,
    /// The connection was lost: the figures are those of the last look before that, and the pass cost more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

impl Cost {
    /// The session's counters since it logged in.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn of(session: &mut Session) -> Result<Self, SqlError> {
        let [cpu_ms, logical_reads, reads] = counters(session, COST).await?;
        let [lock_waits, lock_wait_ms] = counters(session, LOCK_WAITS).await?;
        Ok(Self { cpu_ms, logical_reads, reads, lock_waits, lock_wait_ms, partial: false })
    }

    /// What the session computed and read so far; to be told only if no more can be learnt.
    async fn so_far(session: &mut Session) -> Result<Self, SqlError> {
        let [cpu_ms, logical_reads, reads] = counters(session, COST).await?;
        Ok(Self { cpu_ms, logical_reads, reads, partial: true, ..Self::default() })
    }

    /// Each figure that is known, by its name.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("cpu_ms", self.cpu_ms),
            ("logical_reads", self.logical_reads),
            ("reads", self.reads),
            ("lock_waits", self.lock_waits),
            ("lock_wait_ms", self.lock_wait_ms),
        ];
        all.into_iter().filter_map(|(name, figure)| Some((name, figure?))).collect()
    }

    /// In words, what is known of it.
    #[must_use]
    pub fn words(&self) -> String {
        let cpu = self.cpu_ms.map(|ms| format!("{ms} ms of processor time"));
        let pages = self.logical_reads.map(|pages| format!("{pages} pages"));
        let waits = self.lock_waits.zip(self.lock_wait_ms);
        let waits = waits.map(|(count, ms)| format!("{count} lock waits of {ms} ms"));
        let known = cpu.into_iter().chain(pages).chain(waits).collect::<Vec<_>>().join(", ");
        if self.partial && !known.is_empty() { format!("at least {known}") } else { known }
    }
}

/// The whole numbers of a row about the session itself; nothing where the server has no such view or does not show it.
async fn counters<const N: usize>(session: &mut Session, sql: &str) -> Result<[Option<u64>; N], SqlError> {
    let rows = match session.query(sql, &[]).await {
        Err(error) if error.number().is_some() => return Ok([None; N]),
        rows => rows?,
    };
    let mut all = [None; N];
    let Some(row) = rows.first() else { return Ok(all) };
    for (at, counter) in all.iter_mut().enumerate() {
        *counter = integer(row.get_column_data(at)?).and_then(|value| u64::try_from(value).ok());
    }
    Ok(all)
}

/// What the passes of this process have seen of the servers they read. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Servers(Arc<Mutex<BTreeMap<SocketAddr, Seen>>>);

impl Servers {
    /// What was seen of the server at this address; nothing where it is not known.
    fn seen(&self, server: Option<SocketAddr>) -> Seen {
        server.map(|server| lock(&self.0).entry(server).or_default().clone()).unwrap_or_default()
    }
}

/// What was seen of one server.
#[derive(Debug, Clone, Default)]
struct Seen {
    others: Arc<Mutex<Others>>,
    load: Arc<Mutex<Load>>,
}

/// Looks at the server between pages, for one pass.
#[derive(Debug)]
pub(super) struct Governor {
    looked: Option<Instant>,
    requests: Look,
    schedulers: Look,
    packets: Look,
    seen: Seen,
    cost: Option<Cost>,
}

/// Whether the server lets the login see a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Open,
    Refused,
}

/// How many looks in a row have found too much work for the processors.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    in_a_row: u32,
    /// When the last one of them was, or the last that found little.
    counted: Option<Instant>,
}

impl Governor {
    /// For a pass that reads the server at this address.
    pub(super) fn new(servers: &Servers, server: Option<SocketAddr>) -> Self {
        Self {
            looked: None,
            requests: Look::Open,
            schedulers: Look::Open,
            packets: Look::Open,
            seen: servers.seen(server),
            cost: None,
        }
    }

    /// Why the next page should wait; `None` when it need not, or nobody can tell.
    pub(super) async fn trouble(&mut self, session: &mut Session) -> Result<Option<String>, SqlError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < PAUSE) {
            return Ok(None);
        }
        self.looked = Some(Instant::now());
        self.cost = Some(Cost::so_far(session).await?);
        let jam = match self.requests.row(session, BUSY).await? {
            Some(row) => {
                let blocked = integer(row.get_column_data(0)?).unwrap_or_default();
                reason(blocked, text(row.get_column_data(1)?).as_deref())
            }
            None => None,
        };
        let load = match self.schedulers.row(session, LOAD).await? {
            Some(row) => {
                let processors = integer(row.get_column_data(0)?).unwrap_or_default();
                let waiting = integer(row.get_column_data(1)?).unwrap_or_default();
                lock(&self.seen.load).seen(Instant::now(), processors, waiting)
            }
            None => None,
        };
        Ok(jam.or(load))
    }

    /// Asks whether others work on the server; no, where it does not say.
    pub(super) async fn looks_for_others(&mut self, session: &mut Session) -> Result<bool, SqlError> {
        if let Some(row) = self.packets.row(session, PACKETS).await?
            && let Some(received) =
                integer(row.get_column_data(0)?).and_then(|count| i32::try_from(count).ok())
        {
            let count = Count { at: Instant::now(), received, sent: session.packets_sent() };
            lock(&self.seen.others).counted(count);
        }
        Ok(self.others_work())
    }

    /// Whether others worked on the server when it was asked last.
    pub(super) fn others_work(&self) -> bool {
        lock(&self.seen.others).work(Instant::now())
    }

    /// What the pass had cost at the last look, for one whose connection was lost; nothing when there was none.
    pub(super) fn known_cost(&self) -> Option<Cost> {
        self.cost.filter(|cost| !cost.figures().is_empty())
    }
}

impl Look {
    /// The first row that `sql` gives; nothing once the server has refused it.
    async fn row(&mut self, session: &mut Session, sql: &str) -> Result<Option<Row>, SqlError> {
        if *self == Self::Refused {
            return Ok(None);
        }
        match session.query(sql, &[]).await {
            Ok(rows) => Ok(rows.into_iter().next()),
            Err(error) if error.number().is_some() => {
                *self = Self::Refused;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Load {
    /// Counts a look that found so many tasks waiting for so many processors; says so when it was one too many. Of looks
    /// of several passes at about the same time one counts.
    fn seen(&mut self, now: Instant, processors: i64, waiting: i64) -> Option<String> {
        let much = processors > 0 && waiting >= processors.saturating_mul(WAITING_PER_PROCESSOR);
        let since = self.counted.map(|counted| now.saturating_duration_since(counted));
        if !much || since.is_none_or(|since| since >= PAUSE) {
            let goes_on = much && since.is_some_and(|since| since <= IN_A_ROW);
            self.in_a_row = if goes_on { self.in_a_row.saturating_add(1) } else { u32::from(much) };
            self.counted = Some(now);
        }
        (self.in_a_row >= LOOKS)
            .then(|| format!("{BUSY_WORDS}: {waiting} tasks wait for {processors} processors"))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reason(blocked: i64, backup: Option<&str>) -> Option<String> {
    match (backup, blocked) {
        (Some(command), _) => Some(format!("{BUSY_WORDS} with {command}")),
        (None, MANY_BLOCKED..) => Some(format!("{BUSY_WORDS}: {blocked} requests wait for locks")),
        (None, _) => None,
    }
}

const COST: &str =
    "SELECT cpu_time, logical_reads, reads FROM sys.dm_exec_sessions WHERE session_id = @@SPID";
const LOCK_WAITS: &str = "SELECT COALESCE(SUM(waiting_tasks_count), 0), COALESCE(SUM(wait_time_ms), 0) \
     FROM sys.dm_exec_session_wait_stats WHERE session_id = @@SPID AND wait_type LIKE N'LCK[_]M[_]%'";
const BUSY: &str = "SELECT SUM(CASE WHEN blocking_session_id <> 0 THEN 1 ELSE 0 END), \
     MAX(CASE WHEN command LIKE 'BACKUP%' OR command LIKE 'RESTORE%' OR command LIKE 'DBCC%' THEN command END) \
     FROM sys.dm_exec_requests WHERE session_id <> @@SPID";
const PACKETS: &str = "SELECT @@PACK_RECEIVED";
const LOAD: &str =
    "SELECT COUNT(*), SUM(runnable_tasks_count) FROM sys.dm_os_schedulers WHERE status = N'VISIBLE ONLINE'";
/// What every reason of the governor begins with.
pub(super) const BUSY_WORDS: &str = "the server is busy";
/// One request that waits a moment for another is everyday life.
const MANY_BLOCKED: i64 = 2;
/// With as many waiting as running a task waits one turn of a few milliseconds; from twice as many on it waits longer than it runs.
const WAITING_PER_PROCESSOR: i64 = 2;
/// Looks are at least [`PAUSE`] apart, so these take two seconds: a report that opens or a query that runs in parallel is
/// often done by then, and somebody who waits so long has noticed.
const LOOKS: u32 = 3;
/// Looks that are farther apart tell nothing together.
const IN_A_ROW: Duration = Duration::from_secs(30);
/// What a front desk does not feel, see `tests/sync-bench`.
const PERCENT_AMONG_OTHERS: f64 = 0.5;
/// So that a pass does not stand still.
const LEAST_PERCENT: f64 = 0.01;
/// A server on which a short page takes so long is not left alone for ever.
const LONGEST_REST: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_makes_a_quick_page_rest_and_a_slow_one_not() {
        let budget = Budget { rows: Some(1000), ..Budget::default() };
        assert_eq!(budget.rest(500, 0, Duration::from_millis(100)), Duration::from_millis(400));
        assert_eq!(budget.rest(500, 0, Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(Budget::default().rest(u64::MAX, u64::MAX, Duration::ZERO), Duration::ZERO);
        let both = Budget { rows: Some(1000), bytes: Some(1 << 20), ..Budget::default() };
        assert_eq!(both.rest(1, 3 << 20, Duration::ZERO), Duration::from_secs(3));
    }

    #[test]
    fn others_get_the_rest_of_the_time() {
        let percent = |percent_among_others| Budget { percent_among_others, ..Budget::default() };
        let page = Duration::from_millis(20);
        assert_eq!(percent(2.0).rest_among_others(page, 1), Duration::from_millis(980));
        assert_eq!(percent(50.0).rest_among_others(page, 1), page);
        assert_eq!(percent(8.0).rest_among_others(page, 4), Duration::from_millis(980), "four share it");
        assert_eq!(percent(900.0).rest_among_others(page, 1), Duration::ZERO);
        assert!(percent(99.9).gives_way() && !percent(100.0).gives_way());
        assert_eq!(percent(0.5).rest_among_others(page, 1), Duration::from_millis(3980));
        assert_eq!(
            percent(0.0).rest_among_others(page / 1000, 1),
            Duration::from_micros(199_980),
            "never for ever"
        );
        assert_eq!(percent(2.0).rest_among_others(Duration::from_secs(9), 1), LONGEST_REST);
    }

    #[test]
    fn what_the_server_does_not_tell_is_left_out() {
        let known = Cost { cpu_ms: Some(12), logical_reads: Some(340), reads: Some(0), ..Cost::default() };
        assert_eq!(known.words(), "12 ms of processor time, 340 pages");
        assert_eq!(known.figures(), [("cpu_ms", 12), ("logical_reads", 340), ("reads", 0)]);
        let json = serde_json::to_string(&known).unwrap();
        assert_eq!(json, r#"{"cpu_ms":12,"logical_reads":340,"reads":0}"#);
        let all = Cost { lock_waits: Some(1), lock_wait_ms: Some(205), ..known };
        assert_eq!(all.words(), "12 ms of processor time, 340 pages, 1 lock waits of 205 ms");
        let partial = Cost { partial: true, ..known };
        assert_eq!(partial.words(), "at least 12 ms of processor time, 340 pages");
        assert_eq!(Cost { partial: true, ..Cost::default() }.words(), "");
        let json = serde_json::to_string(&partial).unwrap();
        assert_eq!(json, r#"{"cpu_ms":12,"logical_reads":340,"reads":0,"partial":true}"#);
    }

    #[test]
    fn blocking_and_backups_are_told() {
        assert_eq!(reason(1, None), None);
        assert_eq!(reason(3, None).unwrap(), "the server is busy: 3 requests wait for locks");
        assert_eq!(reason(0, Some("BACKUP DATABASE")).unwrap(), "the server is busy with BACKUP DATABASE");
    }
    #[test]
    fn only_looks_in_a_row_make_the_processors_busy() {
        let (mut load, mut now) = (Load::default(), Instant::now());
        let mut after = |pause: Duration, processors, waiting| {
            now += pause;
            load.seen(now, processors, waiting)
        };
        let mut seen = |processors, waiting| after(PAUSE, processors, waiting);
        assert_eq!((seen(2, 9), seen(2, 4)), (None, None), "a burst");
        assert_eq!(seen(2, 3), None, "fewer than twice the processors begin the count anew");
        assert_eq!((seen(2, 9), seen(2, 9)), (None, None));
        assert_eq!(seen(2, 9).unwrap(), "the server is busy: 9 tasks wait for 2 processors");
        assert!(seen(2, 4).is_some(), "it is as long as it lasts");
        assert_eq!(seen(2, 0), None);
        for _ in 0..5 {
            assert_eq!(seen(8, 15), None, "many tasks are not many for eight processors");
            assert_eq!(seen(0, 0), None, "nothing is known of a server that shows no scheduler");
        }
        assert_eq!((after(PAUSE, 2, 9), after(PAUSE, 2, 9)), (None, None));
        for _ in 0..3 {
            assert_eq!(after(PAUSE / 4, 2, 9), None, "passes that begin together look at the same moment");
        }
        assert!(after(PAUSE / 4, 2, 9).is_some());
        assert_eq!(after(IN_A_ROW * 2, 2, 9), None, "what a pass saw long ago is forgotten");
    }
}
