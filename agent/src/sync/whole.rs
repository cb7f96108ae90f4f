//! A pass of a full job: everything, as a new epoch, when it differs from what was delivered last.
//!
//! Needs no key, so it cannot go on after an interruption: the next pass begins another epoch. The last batch of an epoch is
//! flagged `complete`; an empty table gives an empty one. A table that fits into one batch and is as it was delivers nothing.

use std::time::SystemTime;

use crate::mssql::RowBlock;
use crate::store::sync_rows::Hash;

use super::SyncError;
use super::cursor::{Phase, Progress, Reading};
use super::faults::Step;
use super::ledger::{JobState, RowChanges};
use super::open_batch::{News, OpenBatch, UPSERT, batch_row};
use super::pass::{Ending, Pass, SyncRoom};
use super::query::whole;
use super::reader::Tally;
use super::texts;

impl Pass<'_> {
    /// Reads the table, and delivers it when it is not as it was.
    pub(super) async fn whole(&mut self) -> Result<Ending, SyncError> {
        if let Some(ending) = self.must_stop().await? {
            return Ok(ending);
        }
        let mut hasher = self.room.ledger.row_hasher();
        let query = whole(&self.state.spec);
        let mut epoch = NewEpoch::after(self.room, &self.state);
        let mut batch = epoch.open()?;
        let (mut content, mut rows) = (0u128, 0u64);
        let mut some = RowBlock::default();
        let mut stream = self.session.stream(&query.sql, &query.params).await?;
        while stream.next(&mut some).await? {
            texts::decode(&self.state.spec, &mut some);
            for row in some.rows() {
                let digest = hasher.digest(row, query.layout.columns);
                content = content.wrapping_add(u128::from_le_bytes(digest));
                rows += 1;
                batch.push_row(UPSERT, row)?;
                batch.pass_on().await?;
                if batch.is_full() {
                    epoch.deliver(batch, None).await?;
                    batch = epoch.open()?;
                }
            }
        }
        drop(stream);
        self.session.stream_ended();
        self.tally.read += rows;
        let content: Hash = content.wrapping_add(u128::from(rows)).to_le_bytes();
        if epoch.tally.batches == 0 && self.state.progress.content == Some(content) {
            return Ok(Ending::CaughtUp);
        }
        epoch.deliver(batch, Some(content)).await?;
        self.tally.add(epoch.tally);
        self.tally.rows += rows;
        self.state = epoch.state;
        Ok(Ending::CaughtUp)
    }
}

/// The epoch that a pass may begin. It is in the store from its first batch on.
struct NewEpoch<'r> {
    room: &'r SyncRoom,
    former: JobState,
    state: JobState,
    tally: Tally,
}

impl<'r> NewEpoch<'r> {
    /// The declared epoch when nothing was read in it yet, else the next.
    fn after(room: &'r SyncRoom, former: &JobState) -> Self {
        let mut state = former.clone();
        if former.progress.reading != Reading::New {
            state = state.next_epoch(SystemTime::now());
        }
        state.progress = Progress::at(Reading::Whole);
        Self { room, former: former.clone(), state, tally: Tally::default() }
    }

    fn open(&self) -> Result<OpenBatch, SyncError> {
        OpenBatch::new(self.room, &self.state, Phase::Snapshot)
    }

    /// Records a batch; the last one brings the digest of all.
    async fn deliver(&mut self, batch: OpenBatch, complete: Option<Hash>) -> Result<(), SyncError> {
        if self.tally.batches == 0 {
            self.room.ledger.begin(&self.former, &self.state).await?;
            self.room.faults.pass(Step::Begun)?;
        }
        let (written, bad) = batch.finish().await?;
        self.tally.bad += bad.total();
        bad.tell(&self.state);
        let news = News {
            phase: Phase::Snapshot,
            watermark: None,
            deletes: 0,
            complete: Some(complete.is_some()),
            bad,
        };
        let progress = Progress { content: complete, ..Progress::at(Reading::Whole) };
        self.room
            .ledger
            .record(batch_row(&self.state, &written, &news), &progress, RowChanges::none())
            .await?;
        self.state.sequence += 1;
        self.state.progress = progress;
        self.tally.batches += 1;
        self.room.recorded.notify_one();
        self.room.faults.pass(Step::Recorded)
    }
}
