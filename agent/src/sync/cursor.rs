//! How far a job has read: what is stored between two passes, and how it moves.
//!
//! A snapshot takes its bound before it reads anything and goes in key order; increments begin exactly at that bound. So a
//! row changed while the snapshot runs is left to the increments. A rowversion bound is `MIN_ACTIVE_ROWVERSION()`: rows of
//! transactions still open lie at or above it and are never passed over (Microsoft, "MIN_ACTIVE_ROWVERSION"). A Change
//! Tracking bound is `CHANGE_TRACKING_CURRENT_VERSION()`, which counts commits. A datetime bound is the server's clock, and
//! reading begins an overlap before it. Beside that runs the sweep, which looks at every row in key order on its own
//! interval, for what the cursor cannot see.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mssql::Param;
use crate::store::sync_rows::Hash;

/// A value of the cursor: of the rowversion counter, of Change Tracking, or a moment in 100 ns since 0001-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Watermark(u64);

impl Watermark {
    /// From the 8 bytes of a rowversion, most significant first.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(u64::from_be_bytes(bytes)))
    }

    /// From a number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The value just below; rows above it are those at or above `self`.
    #[must_use]
    pub fn below(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As a rowversion's bytes.
    pub fn bytes(self) -> Param {
        Param::Bytes(self.0.to_be_bytes().to_vec())
    }

    /// As a Change Tracking version.
    pub fn version(self) -> Param {
        Param::BigInt(self.0.cast_signed())
    }

    /// As a `datetime2(7)`, `earlier` units of 100 ns before it.
    pub fn moment(self, earlier: u64) -> Param {
        let ticks = self.0.saturating_sub(earlier);
        let days = u32::try_from(ticks / TICKS_PER_DAY).unwrap_or(u32::MAX);
        Param::DateTime2(days, ticks % TICKS_PER_DAY, 7)
    }

    /// From a `datetime2(7)`.
    pub fn from_moment(days: u32, increments: u64) -> Self {
        Self(u64::from(days) * TICKS_PER_DAY + increments)
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:016X}", self.0)
    }
}

/// How far a job has read within its epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// What the cursor has read.
    pub reading: Reading,
    /// What the sweep has looked at.
    pub sweep: Sweep,
    /// What a full job delivered last.
    pub content: Option<Hash>,
}

/// What the cursor has read.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Reading {
    /// Declared; nothing read.
    #[default]
    New,
    /// In the snapshot: rows below `bound` with keys up to `after` are read.
    Snapshot {
        /// Taken before the first page.
        bound: Watermark,
        /// Key of the last row read; empty before the first.
        after: Vec<Param>,
    },
    /// After the snapshot: every row at or below (`after`, `key`) is read.
    Increments {
        /// Cursor value of the last row read, or the end of what is known to be read.
        after: Watermark,
        /// Key of the last row read; empty when all of `after` is read.
        key: Vec<Param>,
    },
    /// Nothing but sweeps.
    Sweeps,
    /// Everything, every time.
    Whole,
}

/// What the sweep has looked at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sweep {
    /// Counts the sweeps of the epoch from 1; 0 before the first.
    pub round: u64,
    /// Key of the last row looked at, empty before the first; nothing between two sweeps.
    pub after: Option<Vec<Param>>,
    /// When the one under way or the last one began, in seconds since 1970.
    pub began: u64,
    /// When the last one ended, in seconds since 1970.
    pub ended: u64,
    /// The one under way compares whole rows, also where keys would do.
    #[serde(default)]
    pub deep: bool,
    /// When the last one that compared whole rows ended, in seconds since 1970.
    #[serde(default)]
    pub audited: u64,
}

/// Where a row stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// Its cursor value as it was read, when the cursor has one.
    pub cursor: Option<Param>,
    /// Its key.
    pub key: Vec<Param>,
}

impl Position {
    /// The cursor value as a watermark; 0 when it is no rowversion and no version.
    pub fn watermark(&self) -> Watermark {
        if let Some(Param::Bytes(bytes)) = &self.cursor {
            return Watermark::from_bytes(bytes).unwrap_or_default();
        }
        if let Some(Param::BigInt(version)) = &self.cursor {
            return Watermark(version.cast_unsigned());
        }
        Watermark(0)
    }
}

/// What a page is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Of the snapshot, in key order.
    Snapshot,
    /// What is new, in the order of cursor and key.
    Increment,
    /// What may be new, again; the watermark moves when the pass is through.
    Overlap,
    /// Everything in key order, to compare or to see what is gone.
    Sweep,
    /// Rows that an operator asked for again.
    Repair,
}

impl Phase {
    /// As events and footers name it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Increment | Self::Overlap => "increment",
            Self::Sweep => "sweep",
            Self::Repair => "repair",
        }
    }
}

impl Progress {
    /// A job at this point of its reading, before any sweep.
    pub fn at(reading: Reading) -> Self {
        Self { reading, ..Self::default() }
    }

    /// What is read once the rows up to `last` are delivered.
    #[must_use]
    pub fn advanced(&self, phase: Phase, last: &Position) -> Self {
        let mut progress = self.clone();
        match (phase, &mut progress.reading) {
            (Phase::Snapshot, Reading::Snapshot { after, .. }) => after.clone_from(&last.key),
            (Phase::Increment, Reading::Increments { after, key }) => {
                *after = last.watermark();
                key.clone_from(&last.key);
            }
            (Phase::Sweep, _) => progress.sweep.after = Some(last.key.clone()),
            _ => {}
        }
        progress
    }

    /// What is read once a page below `bound` came back without filling up; a sweep's end is told apart.
    #[must_use]
    pub fn exhausted(&self, phase: Phase, bound: Watermark) -> Self {
        let mut progress = self.clone();
        match (phase, &self.reading) {
            (Phase::Snapshot, Reading::Snapshot { bound, .. }) => {
                progress.reading = Reading::Increments { after: *bound, key: Vec::new() };
            }
            (Phase::Increment, Reading::Increments { .. }) => {
                progress.reading = Reading::Increments { after: bound, key: Vec::new() };
            }
            _ => {}
        }
        progress
    }

    /// `snapshot`, `increment`, `sweep` or `full`, as status names it.
    pub fn phase(&self) -> &'static str {
        match self.reading {
            Reading::New | Reading::Snapshot { .. } => "snapshot",
            Reading::Increments { .. } => "increment",
            Reading::Sweeps => "sweep",
            Reading::Whole => "full",
        }
    }

    /// The value up to which everything is read; `None` until the snapshot is done.
    pub fn watermark(&self) -> Option<Watermark> {
        match self.reading {
            Reading::New | Reading::Snapshot { .. } | Reading::Sweeps | Reading::Whole => None,
            Reading::Increments { after, .. } => Some(after),
        }
    }
}

/// The progress as it is stored: a versioned form apart from the live one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredProgress {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// What the numbers mean.
        phase: PhaseV1,
        /// A watermark.
        at: u64,
        /// The last key; empty for none.
        key: Vec<Param>,
        /// The sweep.
        sweep: Sweep,
        /// What a full job delivered last.
        content: Option<Hash>,
    },
}

/// The phases of the first stored form.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum PhaseV1 {
    New,
    Snapshot,
    Increments,
    Sweeps,
    Whole,
}

impl From<&Progress> for StoredProgress {
    fn from(progress: &Progress) -> Self {
        let (phase, at, key) = match &progress.reading {
            Reading::New => (PhaseV1::New, 0, Vec::new()),
            Reading::Snapshot { bound, after } => (PhaseV1::Snapshot, bound.0, after.clone()),
            Reading::Increments { after, key } => (PhaseV1::Increments, after.0, key.clone()),
            Reading::Sweeps => (PhaseV1::Sweeps, 0, Vec::new()),
            Reading::Whole => (PhaseV1::Whole, 0, Vec::new()),
        };
        Self::V1 { phase, at, key, sweep: progress.sweep.clone(), content: progress.content }
    }
}

impl From<StoredProgress> for Progress {
    fn from(stored: StoredProgress) -> Self {
        let StoredProgress::V1 { phase, at, key, sweep, content } = stored;
        let reading = match phase {
            PhaseV1::New => Reading::New,
            PhaseV1::Snapshot => Reading::Snapshot { bound: Watermark(at), after: key },
            PhaseV1::Increments => Reading::Increments { after: Watermark(at), key },
            PhaseV1::Sweeps => Reading::Sweeps,
            PhaseV1::Whole => Reading::Whole,
        };
        Self { reading, sweep, content }
    }
}

/// Units of 100 ns in a day.
pub(crate) const TICKS_PER_DAY: u64 = 864_000_000_000;

#[cfg(test)]
mod tests;
