//! One pass of one job: from its stored progress up to a bound taken at the start, then the sweep when it is due.
//!
//! Reads page after page, writes each as a batch and records it with the new progress in one transaction. A pass can be
//! dropped at any point; the next one starts from what the store says. It never reads above its bound, so it ends. Between
//! two pages it gives way: to a full spool, to quiet hours, to jobs that wait for the connection.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::Local;

use crate::config::Config;
use crate::mssql::{Session, SqlError};
use crate::platform::space;
use crate::policy::switches::{Switch, Switches};
use crate::schema::Found;
use crate::store::Store;
use crate::tasks::Tasks;

use super::SyncError;
use super::cursor::{Progress, Watermark};
use super::error::explain;
use super::faults::Faults;
use super::gate::{Gate, Ticket};
use super::governor::{Budget, Cost, Governor, Servers};
use super::herald::Herald;
use super::ledger::{JobState, Ledger};
use super::names::JobName;
use super::note::Note;
use super::pace::Pace;
use super::query::PageQuery;
use super::reader::{ReadPage, Reader, Tally};
use super::repair::Repair;
use super::spec::{CodePages, Cursor};
use super::spool::{Bound, Spool};
use super::sweep::Depth;

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
    /// How many connections read at the same time.
    pub gate: Gate,
    /// The practice's own switches, which outrank every declaration.
    pub switches: Option<Switches>,
    /// What a pass may take of the server in a second.
    pub budget: Budget,
    /// What passes have seen of their servers.
    pub servers: Servers,
    /// Says how jobs stand.
    pub herald: Herald,
    /// Rung when a batch was recorded.
    pub recorded: Arc<tokio::sync::Notify>,
    /// Rung when a batch was delivered.
    pub freed: Arc<tokio::sync::Notify>,
}

impl SyncRoom {
    /// The room of this process: the spool lies in the data folder, its bound is the options `agent:sync:spool_max_mb` (2048) and `spool_max_hours` (720),
    /// `agent:sync:connections` (1) jobs read at a time, and a pass takes at most `agent:sync:max_rows_per_second` and
    /// `agent:sync:max_mb_per_second` (unbounded), and `agent:sync:percent_among_others` (0.5) of the time while others work on the server.
    #[must_use]
    pub fn new(config: &Config, store: Arc<Store>, tasks: Tasks) -> Self {
        let number = |name: &str| {
            let given = config.agent_opt(name).and_then(states::Value::as_int);
            given.and_then(|given| u64::try_from(given).ok())
        };
        let megabytes = number("sync:spool_max_mb").unwrap_or(DEFAULT_SPOOL_MB);
        let width = number("sync:connections").and_then(|width| usize::try_from(width).ok());
        let hours = number("sync:spool_max_hours").unwrap_or(DEFAULT_SPOOL_HOURS);
        let spool = Spool::new(config.data_dir.join("spool"), megabytes << 20)
            .for_at_most(Duration::from_secs(hours.saturating_mul(3600)))
            .leaving(space::KEPT_FREE);
        let parts = Self::over(Ledger::new(store), spool, tasks);
        let bytes = number("sync:max_mb_per_second").map(|megabytes| megabytes << 20);
        let percent = config.agent_opt("sync:percent_among_others").and_then(states::Value::as_float);
        let unset = Budget::default();
        let budget = Budget {
            rows: number("sync:max_rows_per_second"),
            bytes,
            percent_among_others: percent.unwrap_or(unset.percent_among_others),
        };
        Self { budget, gate: Gate::new(width.unwrap_or(1)), switches: Some(Switches::new(config)), ..parts }
    }

    /// # Errors
    /// [`SyncError::Paused`] when the practice has paused reading.
    fn check_switch(&self) -> Result<(), SyncError> {
        match self.switches.as_ref().and_then(|switches| switches.paused(Switch::Sync)) {
            Some(pause) => Err(SyncError::Paused { pause: pause.to_string() }),
            None => Ok(()),
        }
    }

    /// A room over these parts, for one connection.
    #[must_use]
    pub fn over(ledger: Ledger, spool: Spool, tasks: Tasks) -> Self {
        Self {
            ledger,
            spool,
            tasks,
            faults: Faults::default(),
            gate: Gate::new(1),
            switches: None,
            budget: Budget::default(),
            servers: Servers::default(),
            herald: Herald::default(),
            recorded: Arc::default(),
            freed: Arc::default(),
        }
    }
}

/// What a pass did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassReport {
    /// Rows read from the server.
    pub read: u64,
    /// Rows put into batches, deletes among them.
    pub rows: u64,
    /// Deletes among them.
    pub deletes: u64,
    /// Batches recorded.
    pub batches: u64,
    /// Cells delivered as NULL because their type does not have their value.
    pub bad_cells: u64,
    /// How far it could read; none for jobs that read everything.
    pub reach: Option<Reach>,
    /// What was committed before is read, when it caught up and nothing held it back.
    pub began: SystemTime,
    /// How long it took, the wait for its turn left out.
    pub took: Duration,
    /// How long of that it left the server to others who worked on it.
    pub rested: Duration,
    /// What it cost the server, by the connection with which it ended.
    pub cost: Cost,
    /// What was added to the table since the job was declared.
    pub added: Vec<String>,
    /// Why it is not up to date although it caught up, in plain words.
    pub cause: Option<String>,
    /// Why it ended.
    pub ending: Ending,
}

/// How far a pass could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The bound it read up to, itself included.
    pub bound: Watermark,
    /// How far the bound lies behind the cursor's end because of open transactions.
    pub behind: u64,
}

impl Reach {
    /// How far the bound lies behind the cursor's end: 0 unless an open transaction holds it back.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.behind
    }
}

/// Why a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything below the bound is read.
    CaughtUp,
    /// The spool is full; it goes on when deliveries have made room.
    SpoolFull,
    /// A batch waits for its delivery for too long; it goes on when that is delivered.
    SpoolOld,
    /// The disk has no more room than is left to others; it goes on when there is some again.
    DiskFull,
    /// Others waited for the connection; it goes on after them.
    GaveWay,
    /// Quiet hours have begun; it goes on after them.
    Quiet,
    /// The server has enough to do; it goes on soon.
    Busy,
}

/// A pass under way.
pub(super) struct Pass<'r> {
    pub(super) room: &'r SyncRoom,
    pub(super) session: Session,
    pub(super) state: JobState,
    pub(super) pace: Pace,
    pub(super) tally: Tally,
    pub(super) reach: Option<Reach>,
    pub(super) cause: Option<String>,
    governor: Governor,
    began: Instant,
    /// When the last page began, until the rest after it.
    page_began: Option<Instant>,
    rested: Duration,
    /// Whether it was said that others are why the pass takes long.
    told: bool,
    /// The last page, when it is not recorded yet.
    waiting: Option<ReadPage<'r>>,
}

/// What a pass is run for.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// What is new.
    News,
    /// What is new, and every row compared with what was delivered of it, whether or not its time has come.
    Audit,
    /// Rows delivered again.
    Repair(Repair),
}

/// Runs one pass of `job` and notes how the job stands.
///
/// # Errors
/// SQL Server, the disk or the store failed; the table is not as declared. What was recorded stays.
pub async fn run_pass(room: &SyncRoom, job: &JobName, want: Want) -> Result<PassReport, SyncError> {
    let (outcome, cost) = match Turn::come(room, job, &want).await {
        Ok(turn) => turn.run(want).await,
        Err(error) => (Err(error), None),
    };
    if let Err(SyncError::NoJob { .. } | SyncError::Superseded { .. } | SyncError::Fault { .. }) = outcome {
        return outcome;
    }
    let told = outcome.as_ref().map_err(|error| explain(error));
    let former = room.ledger.note(job).await?;
    let drift = room.ledger.schemas().drift(job).await?;
    let ehr_version = room.ledger.schemas().ehr_version(job).await?;
    let note = Note { drift, ehr_version, cost, ..Note::after(former.clone(), told, SystemTime::now()) };
    room.ledger.put_note(job, &note).await?;
    room.herald.tell(job, former.as_ref(), &note);
    outcome
}

/// A pass that is connected, and its place at the gate.
struct Turn<'r> {
    pass: Pass<'r>,
    began: SystemTime,
    clock: Instant,
    _ticket: Ticket,
}

impl<'r> Turn<'r> {
    /// Waits for the turn and connects.
    async fn come(room: &'r SyncRoom, job: &JobName, want: &Want) -> Result<Self, SyncError> {
        let priority = room.ledger.job(job).await?.spec.timing.priority;
        let ticket = room.gate.enter(priority).await;
        room.check_switch()?;
        let state = room.ledger.job(job).await?;
        if *want == Want::Audit && !state.spec.keeps_marks() {
            return Err(SyncError::NoMarks { job: job.to_string() });
        }
        let (began, clock) = (SystemTime::now(), Instant::now());
        let session = Session::connect(&state.spec.connection).await?;
        Ok(Self { pass: Pass::new(room, session, state), began, clock, _ticket: ticket })
    }

    /// Runs the pass; tells what it cost the server also when it failed, as far as that is known.
    async fn run(mut self, want: Want) -> (Result<PassReport, SyncError>, Option<Cost>) {
        let done = self.pass.verify_and_run(want).await;
        let cost = self.pass.cost().await;
        let took = self.clock.elapsed();
        let began = match self.pass.state.spec.cursor {
            // A sweep that went on where it was interrupted knows the rows before that as they were then.
            Cursor::Digest => UNIX_EPOCH + Duration::from_secs(self.pass.state.progress.sweep.began),
            Cursor::Rowversion(_) | Cursor::ChangeTracking | Cursor::Datetime(_) | Cursor::Full => self.began,
        };
        let Pass { session, tally, reach, cause, rested, .. } = self.pass;
        session.close().await;
        let Tally { read, rows, deletes, batches, bad } = tally;
        let report = done.map(|(added, ending)| PassReport {
            read,
            rows,
            deletes,
            batches,
            bad_cells: bad,
            reach,
            began,
            took,
            rested,
            cost: cost.unwrap_or_default(),
            cause,
            added,
            ending,
        });
        (report, cost)
    }
}

impl<'r> Pass<'r> {
    pub(super) fn new(room: &'r SyncRoom, session: Session, state: JobState) -> Self {
        let governor = Governor::new(&room.servers, session.server());
        Self {
            room,
            session,
            pace: Pace::new(state.spec.batch_rows),
            state,
            tally: Tally::default(),
            reach: None,
            cause: None,
            governor,
            began: Instant::now(),
            page_began: None,
            rested: Duration::ZERO,
            told: false,
            waiting: None,
        }
    }

    /// What it cost the server; on a connection that no longer answers, what the last look between two pages saw.
    async fn cost(&mut self) -> Option<Cost> {
        let session = &mut self.session;
        let whole = if session.is_usable() { Cost::of(session).await.ok() } else { None };
        whole.or_else(|| self.governor.known_cost())
    }

    /// Gives the columns that were added, and why it ended.
    async fn verify_and_run(&mut self, want: Want) -> Result<(Vec<String>, Ending), SyncError> {
        let added = self.verify().await?;
        Ok((added, self.run_through(want).await?))
    }

    /// Runs to its end, over what one more try gets past: changes that are forgotten, texts that cannot be read.
    async fn run_through(&mut self, want: Want) -> Result<Ending, SyncError> {
        let (room, job, mut begun_anew) = (self.room, self.state.spec.name.clone(), false);
        loop {
            match self.run(want.clone()).await {
                Err(error @ SyncError::ChangesForgotten { .. }) if !begun_anew => {
                    tracing::warn!(%job, "sync job begins a new epoch: {error}");
                    let code_pages = self.state.spec.code_pages.take();
                    self.state = room.ledger.resnapshot(&job, SystemTime::now()).await?;
                    self.state.spec.code_pages = code_pages;
                    self.cause = Some(error.to_string());
                    begun_anew = true;
                }
                Err(SyncError::Sql(SqlError::Text)) if self.state.spec.code_pages.is_none() => {
                    self.read_texts_as_bytes().await?;
                }
                Err(SyncError::Sql(SqlError::Text)) => {
                    return Err(SyncError::KeyText { table: self.state.spec.table.to_string() });
                }
                done => return done,
            }
        }
    }

    /// Goes on from what is recorded, over a new connection: nothing after such a text can be read on the old one.
    async fn read_texts_as_bytes(&mut self) -> Result<(), SyncError> {
        let state = self.room.ledger.job(&self.state.spec.name).await?;
        tracing::debug!(job = %state.spec.name, "a text cannot be read; the pass goes on with texts as bytes");
        self.session = Session::connect(&state.spec.connection).await?;
        let pages = CodePages::read(&mut self.session, &state.spec.columns).await?;
        self.state = state;
        self.state.spec.code_pages = Some(pages);
        Ok(())
    }

    async fn run(&mut self, want: Want) -> Result<Ending, SyncError> {
        if let Want::Repair(repair) = want {
            return self.repair(repair).await;
        }
        match self.state.spec.cursor {
            Cursor::Full => return self.whole().await,
            Cursor::Digest => return self.sweep(Depth::Rows).await,
            Cursor::Rowversion(_) | Cursor::ChangeTracking | Cursor::Datetime(_) => {}
        }
        let ending = self.read_new().await?;
        if ending != Ending::CaughtUp {
            return Ok(ending);
        }
        if want == Want::Audit || self.audit_is_due() {
            // With what is left of the slice, one that was asked for might end before its first page.
            self.began = Instant::now();
            self.audit().await
        } else if self.sweep_is_due() {
            self.sweep(self.depth()).await
        } else {
            Ok(ending)
        }
    }

    /// Why the pass must end before the next page; `None` when it may go on. At its end everything read is recorded.
    pub(super) async fn must_stop(&mut self) -> Result<Option<Ending>, SyncError> {
        let stop = self.look_around().await;
        if !matches!(stop, Ok(None)) {
            self.record_waiting().await?;
        }
        stop
    }

    async fn look_around(&mut self) -> Result<Option<Ending>, SyncError> {
        self.give_way().await?;
        self.room.check_switch()?;
        let timing = &self.state.spec.timing;
        if timing.quiet_for(Local::now().naive_local()).is_some() {
            return Ok(Some(Ending::Quiet));
        }
        if self.began.elapsed() > SLICE && self.room.gate.is_wanted(timing.priority) {
            return Ok(Some(Ending::GaveWay));
        }
        if let Some(trouble) = self.governor.trouble(&mut self.session).await? {
            self.cause = Some(trouble);
            return Ok(Some(Ending::Busy));
        }
        Ok(self.spool_bound().await?.map(|bound| match bound {
            Bound::Bytes => Ending::SpoolFull,
            Bound::Age => Ending::SpoolOld,
            Bound::Disk => Ending::DiskFull,
        }))
    }

    /// The bound that the spool has reached.
    async fn spool_bound(&mut self) -> Result<Option<Bound>, SyncError> {
        if let Some(waiting) = &self.waiting {
            let mut depth = self.room.ledger.depth(None).await?;
            depth.bytes += waiting.bytes();
            if self.room.spool.reached(depth, unix_now()).is_none() {
                return Ok(None);
            }
            // A batch takes less than its rows do: how much less is known once it is recorded.
            self.record_waiting().await?;
        }
        let depth = self.room.ledger.depth(None).await?;
        Ok(self.room.spool.reached(depth, unix_now()))
    }

    /// Where reading goes on.
    pub(super) fn progress(&self) -> &Progress {
        self.waiting.as_ref().and_then(ReadPage::progress).unwrap_or(&self.state.progress)
    }

    /// Leaves a page that was read to be recorded while the next one is read, or at the next stop.
    pub(super) fn record_later(&mut self, reader: Reader<'r>, progress: Progress) {
        self.waiting = Some(ReadPage::new(reader, progress));
    }

    async fn record_waiting(&mut self) -> Result<(), SyncError> {
        let Some(mut waiting) = self.waiting.take() else { return Ok(()) };
        waiting.record(&mut self.state).await?;
        self.tally.add(waiting.tally());
        Ok(())
    }

    /// Leaves the server to others who work on it, for so long that the page before was a small part of the time.
    async fn give_way(&mut self) -> Result<(), SyncError> {
        if !self.room.budget.gives_way() {
            return Ok(());
        }
        let others_work = self.governor.looks_for_others(&mut self.session).await?;
        let Some(page_began) = self.page_began.take().filter(|_| others_work) else { return Ok(()) };
        self.record_waiting().await?;
        let rest = self.room.budget.rest_among_others(page_began.elapsed(), self.room.gate.inside());
        let mut left = rest;
        while !left.is_zero() {
            // The practice pauses now, not after the rest.
            self.room.check_switch()?;
            let part = left.min(SWITCH_LOOKS);
            tokio::time::sleep(part).await;
            left -= part;
        }
        self.rested += rest;
        if self.rested > SLICE && !self.told {
            self.told = true;
            self.tell_of_others().await?;
        }
        Ok(())
    }

    /// Says while the pass still runs why it takes long.
    async fn tell_of_others(&self) -> Result<(), SyncError> {
        let (ledger, job) = (&self.room.ledger, &self.state.spec.name);
        let percent = self.room.budget.percent_among_others;
        let why = format!(
            "others work on the server, and reading takes {percent} % of the time (agent:sync:percent_among_others)"
        );
        let former = ledger.note(job).await?;
        let note = Note { behind: Some(why), ..former.clone().unwrap_or_default() };
        ledger.put_note(job, &note).await?;
        self.room.herald.tell(job, former.as_ref(), &note);
        Ok(())
    }

    /// Reads a page, records the one before and lets the pace know how long it took.
    pub(super) async fn timed_read(
        &mut self,
        reader: &mut Reader<'r>,
        query: &PageQuery,
    ) -> Result<(), SyncError> {
        let begun = Instant::now();
        let read = reader.read(&mut self.session, &mut self.state, query, self.waiting.as_mut()).await;
        self.record_waiting().await?;
        read?;
        let took = begun.elapsed();
        self.page_began = Some(begun);
        self.pace = match self.governor.others_work() {
            true => self.pace.among_others(took),
            false => self.pace.after(took),
        };
        let rest = self.room.budget.rest(reader.tally.read, reader.bytes(), took);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        Ok(())
    }

    /// Compares the table with the declaration; gives the columns that were added to it.
    async fn verify(&mut self) -> Result<Vec<String>, SyncError> {
        let spec = &self.state.spec;
        let (tables, version) = spec.look(&mut self.session).await?;
        let schemas = self.room.ledger.schemas();
        let found = Found { shape: tables.shape, version };
        schemas.seen(&spec.name, &spec.connection, found, SystemTime::now()).await?;
        spec.verify(&tables.query)
    }
}

pub(in crate::sync) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const DEFAULT_SPOOL_MB: u64 = 2048;
/// Thirty days: longer than a practice is shut.
const DEFAULT_SPOOL_HOURS: u64 = 720;
/// How often the practice's switch is looked at in a rest.
const SWITCH_LOOKS: Duration = Duration::from_secs(1);
/// How long a pass reads before it looks whether others wait.
const SLICE: Duration = Duration::from_secs(5);
