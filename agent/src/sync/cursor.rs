//! The rowversion cursor: how far a job has read, and the statement that reads on.
//!
//! A snapshot takes its bound before it reads anything and selects only rows below it, in key order; increments begin
//! exactly at that bound, in (rowversion, key) order. So a row changed while the snapshot runs is left to the
//! increments, and every version of a row that a pass sees is delivered once. A bound is `MIN_ACTIVE_ROWVERSION()`: rows
//! of transactions still open lie at or above it and are never passed over (Microsoft, "MIN_ACTIVE_ROWVERSION").

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mssql::Param;

use super::spec::{Cursor, JobSpec};

/// A value of the database's rowversion counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rowversion(u64);

impl Rowversion {
    /// From the 8 bytes SQL Server sends, most significant first.
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

    fn param(self) -> Param {
        Param::Bytes(self.0.to_be_bytes().to_vec())
    }
}

impl fmt::Display for Rowversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:016X}", self.0)
    }
}

/// How far a job has read within its epoch.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Declared; nothing read.
    New,
    /// In the snapshot: rows below `bound` with keys up to `after` are read.
    Snapshot {
        /// Taken before the first page.
        bound: Rowversion,
        /// Key of the last row read; empty before the first.
        after: Vec<Param>,
    },
    /// After the snapshot: every row at or below (`after`, `key`) is read.
    Increments {
        /// Rowversion of the last row read, or the end of what is known to be read.
        after: Rowversion,
        /// Key of the last row read; empty when all of `after` is read.
        key: Vec<Param>,
    },
    /// Reading everything by key and comparing digests: rows with keys up to `after` are compared in this round.
    Sweep {
        /// Counts the sweeps of the epoch from 1.
        round: u64,
        /// Key of the last row compared; empty before the first.
        after: Vec<Param>,
    },
    /// Between two sweeps: everything that the last one found is delivered.
    Swept {
        /// The last sweep.
        round: u64,
    },
}

/// Where the last row of a page stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// Its rowversion.
    pub rowversion: Rowversion,
    /// Its key.
    pub key: Vec<Param>,
}

/// A statement that reads one page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageQuery {
    /// T-SQL with `@P1 …`.
    pub sql: String,
    /// Their values.
    pub params: Vec<Param>,
}

impl Progress {
    /// What is read once the rows up to `last` are delivered.
    #[must_use]
    pub fn advanced(&self, last: Position) -> Self {
        match self {
            Self::New => Self::New,
            Self::Snapshot { bound, .. } => Self::Snapshot { bound: *bound, after: last.key },
            Self::Increments { .. } => Self::Increments { after: last.rowversion, key: last.key },
            Self::Sweep { .. } | Self::Swept { .. } => self.clone(),
        }
    }

    /// What is read once a page below `bound` came back without filling up.
    #[must_use]
    pub fn exhausted(&self, bound: Rowversion) -> Self {
        match self {
            Self::New => Self::New,
            Self::Snapshot { bound, .. } => Self::Increments { after: bound.below(), key: Vec::new() },
            Self::Increments { .. } => Self::Increments { after: bound.below(), key: Vec::new() },
            Self::Sweep { .. } | Self::Swept { .. } => self.clone(),
        }
    }

    /// `snapshot` or `increment`, as events and status name it.
    pub fn phase(&self) -> &'static str {
        match self {
            Self::New | Self::Snapshot { .. } => "snapshot",
            Self::Increments { .. } => "increment",
            Self::Sweep { .. } | Self::Swept { .. } => "sweep",
        }
    }

    /// The rowversion below which everything is read; `None` until the snapshot is done.
    pub fn watermark(&self) -> Option<Rowversion> {
        match self {
            Self::New | Self::Snapshot { .. } | Self::Sweep { .. } | Self::Swept { .. } => None,
            Self::Increments { after, .. } => Some(*after),
        }
    }

    /// The round of the sweep; 0 outside sweeps.
    pub fn round(&self) -> u64 {
        match self {
            Self::New | Self::Snapshot { .. } | Self::Increments { .. } => 0,
            Self::Sweep { round, .. } | Self::Swept { round } => *round,
        }
    }

    /// The statement for the next page of at most `rows` rows; `bound` is this pass' bound. `None` for a new job.
    pub fn page(&self, spec: &JobSpec, bound: Rowversion, rows: u32) -> Option<PageQuery> {
        let mut params = vec![Param::BigInt(rows.into())];
        let cursor = match &spec.cursor {
            Cursor::Rowversion(column) => column.quoted(),
            Cursor::Digest => return None,
        };
        let below =
            |params: &mut Vec<Param>, bound: Rowversion| format!("{cursor} < {}", rowversion(params, bound));
        let (filter, order) = match self {
            Self::New | Self::Sweep { .. } | Self::Swept { .. } => return None,
            Self::Snapshot { bound, after } => {
                let mut filter = below(&mut params, *bound);
                if !after.is_empty() {
                    filter = format!("{filter} AND {}", beyond(&mut params, &key_terms(spec), after));
                }
                (filter, spec.key_list())
            }
            Self::Increments { after, key } => {
                let filter = below(&mut params, bound);
                let more = increments(&mut params, (&cursor.to_string(), spec), *after, key);
                (format!("{filter} AND {more}"), format!("{cursor}, {}", spec.key_list()))
            }
        };
        let (columns, table) = (spec.select_list(), spec.table.quoted());
        let sql = format!(
            "SELECT TOP (@P1) {columns} FROM {table} WHERE {filter} ORDER BY {order} OPTION (MAXDOP 1)"
        );
        Some(PageQuery { sql, params })
    }
}

/// The statement that reads on by key alone, for a sweep.
pub fn sweep_page(spec: &JobSpec, after: &[Param], rows: u32) -> PageQuery {
    let mut params = vec![Param::BigInt(rows.into())];
    let filter = match after {
        [] => String::new(),
        after => format!(" WHERE {}", beyond(&mut params, &key_terms(spec), after)),
    };
    let (columns, table, order) = (spec.select_list(), spec.table.quoted(), spec.key_list());
    let sql = format!("SELECT TOP (@P1) {columns} FROM {table}{filter} ORDER BY {order} OPTION (MAXDOP 1)");
    PageQuery { sql, params }
}

fn increments(
    params: &mut Vec<Param>,
    (cursor, spec): (&str, &JobSpec),
    after: Rowversion,
    key: &[Param],
) -> String {
    if key.is_empty() {
        return format!("{cursor} > {}", rowversion(params, after));
    }
    let mut terms = vec![Term { column: cursor.to_string(), sql_type: Some(ROWVERSION_TYPE.to_owned()) }];
    terms.extend(key_terms(spec));
    let mut values = vec![after.param()];
    values.extend_from_slice(key);
    beyond(params, &terms, &values)
}

/// One column of a keyset comparison; a parameter is cast to `sql_type` so that it compares exactly as stored.
struct Term {
    column: String,
    sql_type: Option<String>,
}

fn key_terms(spec: &JobSpec) -> Vec<Term> {
    spec.key_columns()
        .map(|column| Term {
            column: column.name.quoted().to_string(),
            sql_type: exact_type(&column.sql_type),
        })
        .collect()
}

/// Integers compare exactly as they come; everything else is cast to the column's own type.
fn exact_type(sql_type: &str) -> Option<String> {
    let whole = matches!(sql_type, "tinyint" | "smallint" | "int" | "bigint" | "bit");
    (!whole).then(|| sql_type.to_owned())
}

/// `(a, b, …) > (values)` in the form that SQL Server seeks on: `a >= @1 AND (a > @1 OR (a = @1 AND (b > @2 …)))`.
fn beyond(params: &mut Vec<Param>, terms: &[Term], values: &[Param]) -> String {
    let names: Vec<String> = terms.iter().zip(values).map(|(term, value)| term.bind(params, value)).collect();
    let mut nested = String::new();
    for (term, name) in terms.iter().zip(&names).rev() {
        let column = &term.column;
        nested = if nested.is_empty() {
            format!("{column} > {name}")
        } else {
            format!("({column} > {name} OR ({column} = {name} AND {nested}))")
        };
    }
    match (terms.first(), names.first()) {
        (Some(first), Some(name)) if terms.len() > 1 => format!("{} >= {name} AND {nested}", first.column),
        _ => nested,
    }
}

impl Term {
    fn bind(&self, params: &mut Vec<Param>, value: &Param) -> String {
        params.push(value.clone());
        let name = format!("@P{}", params.len());
        match &self.sql_type {
            Some(sql_type) => format!("CAST({name} AS {sql_type})"),
            None => name,
        }
    }
}

fn rowversion(params: &mut Vec<Param>, value: Rowversion) -> String {
    Term { column: String::new(), sql_type: Some(ROWVERSION_TYPE.to_owned()) }.bind(params, &value.param())
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
        /// A rowversion, or the round of a sweep.
        at: u64,
        /// The last key; empty for none.
        key: Vec<Param>,
    },
}

/// The phases of the first stored form.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum PhaseV1 {
    New,
    Snapshot,
    Increments,
    Sweep,
    Swept,
}

impl From<&Progress> for StoredProgress {
    fn from(progress: &Progress) -> Self {
        let (phase, at, key) = match progress {
            Progress::New => (PhaseV1::New, 0, Vec::new()),
            Progress::Snapshot { bound, after } => (PhaseV1::Snapshot, bound.0, after.clone()),
            Progress::Increments { after, key } => (PhaseV1::Increments, after.0, key.clone()),
            Progress::Sweep { round, after } => (PhaseV1::Sweep, *round, after.clone()),
            Progress::Swept { round } => (PhaseV1::Swept, *round, Vec::new()),
        };
        Self::V1 { phase, at, key }
    }
}

impl From<StoredProgress> for Progress {
    fn from(stored: StoredProgress) -> Self {
        let StoredProgress::V1 { phase, at, key } = stored;
        match phase {
            PhaseV1::New => Self::New,
            PhaseV1::Snapshot => Self::Snapshot { bound: Rowversion(at), after: key },
            PhaseV1::Increments => Self::Increments { after: Rowversion(at), key },
            PhaseV1::Sweep => Self::Sweep { round: at, after: key },
            PhaseV1::Swept => Self::Swept { round: at },
        }
    }
}

/// A rowversion's bytes as SQL Server compares them.
const ROWVERSION_TYPE: &str = "binary(8)";

#[cfg(test)]
mod tests;
