//! One pass of one job: from its stored progress up to a bound taken at the start.
//!
//! Reads page after page, writes each as a batch and records it with the new progress in one transaction. A pass can be
//! dropped at any point; the next one starts from what the store says. It never reads above its bound, so it ends.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::mssql::catalog::TableInfo;
use crate::mssql::param::bytes;
use crate::mssql::{Session, SqlError};
use crate::store::Store;
use crate::tasks::Tasks;

use super::SyncError;
use super::cursor::{Progress, Rowversion};
use super::faults::{Faults, Step};
use super::ledger::{JobState, Ledger};
use super::names::JobName;
use super::pace::Pace;
use super::page::read_page;
use super::spec::Cursor;
use super::spool::Spool;
use super::sweep::sweep;

/// What passes and deliveries share.
#[derive(Debug, Clone)]
pub struct SyncRoom {
    /// Declarations, progress, spool index.
    pub ledger: Ledger,
    /// Batch files.
    pub spool: Spool,
    /// The only spawner.
    pub tasks: Tasks,
    /// The test hook.
    pub faults: Faults,
    /// Rung when a batch was recorded.
    pub recorded: Arc<tokio::sync::Notify>,
    /// Rung when a batch was delivered.
    pub freed: Arc<tokio::sync::Notify>,
}

impl SyncRoom {
    /// The room of this process: the spool lies in the data folder, its bound is the option `agent:sync:spool_max_mb`.
    #[must_use]
    pub fn new(config: &Config, store: Arc<Store>, tasks: Tasks) -> Self {
        let megabytes = config.agent_opt("sync:spool_max_mb").and_then(states::Value::as_int);
        let megabytes = megabytes.and_then(|given| u64::try_from(given).ok()).unwrap_or(DEFAULT_SPOOL_MB);
        Self {
            ledger: Ledger::new(store),
            spool: Spool::new(config.data_dir.join("spool"), megabytes << 20),
            tasks,
            faults: Faults::default(),
            recorded: Arc::default(),
            freed: Arc::default(),
        }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassReport {
    /// Rows read into batches.
    pub rows: u64,
    /// Batches recorded.
    pub batches: u64,
    /// How far it could read; none for a sweep, which reads everything.
    pub reach: Option<Reach>,
    /// Why it ended.
    pub ending: Ending,
}

/// How far a rowversion pass could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The bound it read up to.
    pub bound: Rowversion,
    /// The last value the database's counter had given out when the pass began.
    pub counter: Rowversion,
}

impl Reach {
    /// How many counter values lie between the bound and the counter's end: 0 unless an open transaction holds the bound
    /// back.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        (self.counter.get() + 1).saturating_sub(self.bound.get())
    }
}

/// Why a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything below the bound is read.
    CaughtUp,
    /// The spool is full; it goes on when deliveries have made room.
    SpoolFull,
}

/// Runs one pass of `job`.
///
/// # Errors
/// SQL Server, the disk or the store failed; the table is not as declared. What was recorded stays.
pub async fn run_pass(room: &SyncRoom, job: &JobName) -> Result<PassReport, SyncError> {
    let mut state = room.ledger.job(job).await?;
    let mut session = Session::connect(&state.spec.connection).await?;
    verify(&mut session, &state).await?;
    if state.spec.cursor == Cursor::Digest {
        let (swept, ending) = sweep(room, &mut session, &mut state).await?;
        session.close().await;
        return Ok(PassReport { rows: swept.rows, batches: swept.batches, reach: None, ending });
    }
    let report = read_new(room, &mut session, &mut state).await?;
    session.close().await;
    Ok(report)
}

/// Reads what lies between the progress and a bound taken now.
async fn read_new(
    room: &SyncRoom,
    session: &mut Session,
    state: &mut JobState,
) -> Result<PassReport, SyncError> {
    let (bound, counter) = bound(session).await?;
    check_direction(state, bound)?;
    let reach = Some(Reach { bound, counter });
    let mut report = PassReport { rows: 0, batches: 0, reach, ending: Ending::CaughtUp };
    if state.progress == Progress::New {
        let begun = Progress::Snapshot { bound, after: Vec::new() };
        room.ledger.move_progress(state, &begun).await?;
        room.faults.pass(Step::Begun)?;
        state.progress = begun;
    }
    let mut pace = Pace::new(state.spec.batch_rows);
    loop {
        if room.spool.is_full(room.ledger.depth(None).await?) {
            report.ending = Ending::SpoolFull;
            break;
        }
        let in_snapshot = matches!(state.progress, Progress::Snapshot { .. });
        let begun = Instant::now();
        let page = read_page(room, session, state, (bound, pace.rows())).await?;
        pace = pace.after(begun.elapsed());
        report.rows += page.rows;
        report.batches += page.batches;
        if page.is_last && !in_snapshot {
            break;
        }
    }
    Ok(report)
}

async fn verify(session: &mut Session, state: &JobState) -> Result<(), SyncError> {
    let spec = &state.spec;
    match TableInfo::read(session, &spec.table).await? {
        Some(table) => spec.verify(&table),
        None => Err(SyncError::NoTable {
            table: spec.table.to_string(),
            database: spec.connection.database.clone(),
            login: spec.connection.user.clone(),
        }),
    }
}

/// The bound of a pass that begins now, and the counter's last value.
async fn bound(session: &mut Session) -> Result<(Rowversion, Rowversion), SyncError> {
    let rows = session.query("SELECT MIN_ACTIVE_ROWVERSION(), @@DBTS", &[]).await?;
    let cell = |at: usize| {
        let value = rows.first().and_then(|row| row.get_column_data(at).ok()).and_then(bytes);
        value.and_then(Rowversion::from_bytes)
    };
    match (cell(0), cell(1)) {
        (Some(bound), Some(counter)) => Ok((bound, counter)),
        _ => Err(SqlError::Protocol { reason: "MIN_ACTIVE_ROWVERSION() is not 8 bytes".into() }.into()),
    }
}

/// A counter never runs backwards, unless the database was restored.
fn check_direction(state: &JobState, bound: Rowversion) -> Result<(), SyncError> {
    let watermark = match &state.progress {
        Progress::New | Progress::Sweep { .. } | Progress::Swept { .. } => return Ok(()),
        Progress::Snapshot { bound, .. } => bound.below(),
        Progress::Increments { after, .. } => *after,
    };
    if watermark < bound {
        return Ok(());
    }
    Err(SyncError::WentBack {
        database: state.spec.connection.database.clone(),
        bound: bound.to_string(),
        watermark: watermark.to_string(),
    })
}

const DEFAULT_SPOOL_MB: u64 = 2048;
