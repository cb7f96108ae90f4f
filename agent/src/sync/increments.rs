//! The snapshot and what came after it, by cursor.
//!
//! `rowversion` and Change Tracking go on exactly where they were. A datetime cursor cannot: rows come late, clocks differ
//! and columns lie, so each pass reads again from an overlap before the last one's start and delivers what differs from its
//! marks. What lies outside the overlap is the sweep's.

use tiberius::ColumnData;

use crate::mssql::param::{bytes, integer};
use crate::mssql::{Param, SqlError};

use super::SyncError;
use super::cursor::{Phase, Progress, Reading, Watermark};
use super::faults::Step;
use super::holder::Holder;
use super::pass::{Ending, Pass, Reach, unix_now};
use super::query::{PageQuery, increment_page, null_page, overlap_page, snapshot_page};
use super::reader::{Keep, Reader};
use super::spec::{Clock, Cursor, DatetimeCursor};

impl Pass<'_> {
    /// Reads what lies between the progress and a bound taken here.
    pub(super) async fn read_new(&mut self) -> Result<Ending, SyncError> {
        let reach = self.bound().await?;
        self.check_direction(reach.bound)?;
        self.reach = Some(reach);
        if self.state.progress.reading == Reading::New {
            let mut begun = self.state.progress.clone();
            begun.reading = Reading::Snapshot { bound: reach.bound, after: Vec::new() };
            self.room.ledger.move_progress(&self.state, &begun).await?;
            self.room.faults.pass(Step::Begun)?;
            self.state.progress = begun;
        }
        while matches!(self.state.progress.reading, Reading::Snapshot { .. }) {
            if let Some(ending) = self.must_stop().await? {
                return Ok(ending);
            }
            let query = snapshot_page(&self.state.spec, self.progress(), self.pace.rows());
            let keep = if self.state.spec.keeps_marks() { Keep::Marks } else { Keep::Nothing };
            self.page(query, Phase::Snapshot, keep, reach.bound).await?;
        }
        match self.state.spec.cursor.clone() {
            Cursor::Datetime(cursor) => self.read_overlap(&cursor, reach.bound).await,
            Cursor::Rowversion(_) | Cursor::ChangeTracking | Cursor::Digest | Cursor::Full => {
                self.read_increments(reach.bound).await
            }
        }
    }

    async fn read_increments(&mut self, bound: Watermark) -> Result<Ending, SyncError> {
        let keep = if self.state.spec.keeps_marks() { Keep::Marks } else { Keep::Nothing };
        loop {
            if let Some(ending) = self.must_stop().await? {
                return Ok(ending);
            }
            let query = increment_page(&self.state.spec, self.progress(), bound, self.pace.rows());
            if self.page(query, Phase::Increment, keep, bound).await? {
                return Ok(Ending::CaughtUp);
            }
        }
    }

    /// Reads a page, to be recorded with the next one; true when nothing more lies below the bound, and everything is recorded.
    async fn page(
        &mut self,
        query: Option<PageQuery>,
        phase: Phase,
        keep: Keep,
        bound: Watermark,
    ) -> Result<bool, SyncError> {
        let Some(query) = query else { return Err(self.superseded()) };
        let limit = u64::from(self.pace.rows());
        let mut reader = Reader::new(self.room, phase, keep);
        self.timed_read(&mut reader, &query).await?;
        self.check_tracking().await?;
        let is_last = reader.tally.read < limit;
        let mut progress = match &reader.last {
            Some(last) => self.state.progress.advanced(phase, last),
            None => self.state.progress.clone(),
        };
        if !is_last {
            self.record_later(reader, progress);
            return Ok(false);
        }
        progress = progress.exhausted(phase, bound);
        if phase == Phase::Snapshot {
            progress.sweep.ended = unix_now();
            progress.sweep.audited = progress.sweep.ended;
        }
        reader.record(&mut self.state, progress).await?;
        self.tally.add(reader.tally);
        Ok(true)
    }

    /// Reads everything younger than the last pass less the overlap, then what has no moment at all.
    async fn read_overlap(&mut self, cursor: &DatetimeCursor, now: Watermark) -> Result<Ending, SyncError> {
        let Reading::Increments { after, .. } = self.state.progress.reading else {
            return Err(self.superseded());
        };
        let earlier = u64::try_from(cursor.overlap.as_nanos() / 100).unwrap_or(u64::MAX);
        let since = after.moment(earlier);
        for with_moment in [true, false] {
            let mut beyond: Vec<Param> = Vec::new();
            loop {
                if let Some(ending) = self.must_stop().await? {
                    return Ok(ending);
                }
                let (spec, rows) = (&self.state.spec, self.pace.rows());
                let query = if with_moment {
                    overlap_page(spec, cursor, since.clone(), &beyond, rows)
                } else {
                    null_page(spec, cursor, &beyond, rows)
                };
                let mut reader = Reader::new(self.room, Phase::Overlap, Keep::Compare);
                self.timed_read(&mut reader, &query).await?;
                let progress = self.state.progress.clone();
                reader.record(&mut self.state, progress).await?;
                self.tally.add(reader.tally);
                if let Some(last) = reader.last {
                    beyond = last.cursor.into_iter().chain(last.key).collect();
                }
                if reader.tally.read < u64::from(rows) {
                    break;
                }
            }
        }
        let mut done = self.state.progress.clone();
        // A clock that was set back must not hold the next pass' beginning in the future.
        done.reading = Reading::Increments { after: now, key: Vec::new() };
        self.room.ledger.move_progress(&self.state, &done).await?;
        self.state.progress = done;
        Ok(Ending::CaughtUp)
    }

    /// Up to where a pass that begins now may read.
    async fn bound(&mut self) -> Result<Reach, SyncError> {
        match self.state.spec.cursor.clone() {
            Cursor::Rowversion(_) => self.rowversion_bound().await,
            Cursor::ChangeTracking => {
                let current = self.number("SELECT CHANGE_TRACKING_CURRENT_VERSION()", &[]).await?;
                let bound = current.ok_or_else(|| self.not_tracked())?;
                self.check_tracking().await?;
                Ok(Reach { bound: Watermark::new(bound), behind: 0 })
            }
            Cursor::Datetime(cursor) => self.moment_bound(&cursor).await,
            Cursor::Digest | Cursor::Full => Err(self.superseded()),
        }
    }

    async fn rowversion_bound(&mut self) -> Result<Reach, SyncError> {
        let rows = self.session.query("SELECT MIN_ACTIVE_ROWVERSION(), @@DBTS", &[]).await?;
        let cell = |at: usize| {
            let value = rows.first().and_then(|row| row.get_column_data(at).ok()).and_then(bytes);
            value.and_then(Watermark::from_bytes)
        };
        let (Some(open), Some(counter)) = (cell(0), cell(1)) else { return Err(odd().into()) };
        let bound = open.below();
        let behind = counter.get().saturating_sub(bound.get());
        if behind > 0 {
            self.held_back().await;
        }
        Ok(Reach { bound, behind })
    }

    /// The server's clock, less the age of the oldest transaction that may still commit rows stamped before.
    async fn moment_bound(&mut self, cursor: &DatetimeCursor) -> Result<Reach, SyncError> {
        let sql = match cursor.clock {
            Clock::Local => "SELECT SYSDATETIME()",
            Clock::Utc => "SELECT SYSUTCDATETIME()",
        };
        let rows = self.session.query(sql, &[]).await?;
        let cell = rows.first().and_then(|row| row.get_column_data(0).ok());
        let Some(ColumnData::DateTime2(Some(now))) = cell else { return Err(odd().into()) };
        let scale = u32::from(7u8.saturating_sub(now.time().scale()));
        let now = Watermark::from_moment(now.date().days(), now.time().increments() * 10u64.pow(scale));
        let age = match Holder::oldest(&mut self.session).await {
            Ok(Some(holder)) if holder.seconds > cursor.overlap.as_secs() => {
                self.cause = Some(holder.to_string());
                holder.seconds + 1
            }
            Ok(Some(holder)) => holder.seconds + 1,
            Ok(None) => 0,
            Err(error) if error.number().is_some() => 0,
            Err(error) => return Err(error.into()),
        };
        let behind = age * TICKS_PER_SECOND;
        Ok(Reach { bound: Watermark::new(now.get().saturating_sub(behind)), behind })
    }

    /// Says who holds the bound back, as far as the login may see it.
    async fn held_back(&mut self) {
        self.cause = Some(match Holder::oldest(&mut self.session).await {
            Ok(Some(holder)) => holder.to_string(),
            Ok(None) => "held back by a transaction that ended meanwhile".to_owned(),
            Err(error) => format!(
                "held back by an open transaction; login {} may not see whose (VIEW SERVER STATE): {error}",
                self.state.spec.connection.user
            ),
        });
    }

    /// A Change Tracking job that was away for longer than changes are kept has lost some: everything is read again.
    async fn check_tracking(&mut self) -> Result<(), SyncError> {
        if self.state.spec.cursor != Cursor::ChangeTracking {
            return Ok(());
        }
        let table = [Param::Text(self.state.spec.table.quoted())];
        let oldest = self.number("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(@P1))", &table).await?;
        let oldest = oldest.ok_or_else(|| self.not_tracked())?;
        let since = match &self.state.progress.reading {
            Reading::Increments { after, key } if key.is_empty() => after.get(),
            Reading::Increments { after, .. } => after.below().get(),
            Reading::Snapshot { bound, .. } => bound.get(),
            Reading::New | Reading::Sweeps | Reading::Whole => return Ok(()),
        };
        if since >= oldest {
            return Ok(());
        }
        Err(SyncError::ChangesForgotten { table: self.state.spec.table.to_string(), since, oldest })
    }

    fn not_tracked(&self) -> SyncError {
        SyncError::NotTracked {
            table: self.state.spec.table.to_string(),
            database: self.state.spec.connection.database.clone(),
            login: self.state.spec.connection.user.clone(),
        }
    }

    async fn number(&mut self, sql: &str, params: &[Param]) -> Result<Option<u64>, SyncError> {
        let rows = self.session.query(sql, params).await?;
        let value = rows.first().and_then(|row| row.get_column_data(0).ok()).and_then(integer);
        Ok(value.and_then(|value| u64::try_from(value).ok()))
    }

    /// A counter never runs backwards, unless the database was restored.
    fn check_direction(&self, bound: Watermark) -> Result<(), SyncError> {
        let watermark = match (&self.state.spec.cursor, &self.state.progress.reading) {
            // A clock may be set back; the overlap and the sweep see to that.
            (Cursor::Datetime(_), _) => return Ok(()),
            (_, Reading::Snapshot { bound, .. }) => *bound,
            (_, Reading::Increments { after, .. }) => *after,
            (_, Reading::New | Reading::Sweeps | Reading::Whole) => return Ok(()),
        };
        if watermark <= bound {
            return Ok(());
        }
        Err(SyncError::WentBack {
            database: self.state.spec.connection.database.clone(),
            bound: self.shown(bound),
            watermark: self.shown(watermark),
        })
    }

    fn shown(&self, watermark: Watermark) -> String {
        self.state.spec.cursor.shown_watermark(watermark)
    }

    /// The job is not in the state that was read: somebody declared it anew.
    pub(super) fn superseded(&self) -> SyncError {
        SyncError::Superseded { job: self.state.spec.name.to_string() }
    }
}

impl Progress {
    /// True when increments are read: the snapshot is delivered.
    pub fn has_snapshot(&self) -> bool {
        matches!(self.reading, Reading::Increments { .. })
    }
}

fn odd() -> SqlError {
    SqlError::Protocol { reason: "the server's own counters are not of the documented types".into() }
}

const TICKS_PER_SECOND: u64 = 10_000_000;
