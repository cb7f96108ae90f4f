//! What stops a sync job, whose fault it is and what to do.
//!
//! No variant carries a row value. [`explain`] gives an error with its causes in one line, for logs and state comments.

use std::error::Error;
use std::path::PathBuf;

use crate::mssql::{OptionsError, SqlError, quote::NameError};
use crate::store::StoreError;

use super::names::BadJobName;
use rows::columns::CellError;

/// A declaration or a pass that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// SQL Server refused or could not be reached.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A connection option is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// An object name is wrong.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The job name is wrong.
    #[error(transparent)]
    JobName(#[from] BadJobName),
    /// An argument of the state is wrong.
    #[error("the argument {name} must be {expected}")]
    Argument {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: String,
    },
    /// The table is not there, or the login may not see it.
    #[error("no table {table} in database {database}, or login {login} may not see it")]
    NoTable {
        /// Schema and table.
        table: String,
        /// The database.
        database: String,
        /// Who looked.
        login: String,
    },
    /// The column is not there, or the login may not see it.
    #[error("table {table} has no column {column}, or the login may not see it")]
    NoColumn {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
    },
    /// No key was given and the table has none.
    #[error("table {table} has no primary key: name the columns that identify a row in `key`")]
    NoKey {
        /// Schema and table.
        table: String,
    },
    /// The cursor cannot be a rowversion because the table has none.
    #[error(
        "table {table} has no rowversion column: it can be synchronized by `cursor: digest` alone, which reads the whole \
         table at every pass"
    )]
    NoRowversion {
        /// Schema and table.
        table: String,
    },
    /// The cursor column is of another type.
    #[error("the cursor column {column} of {table} is {sql_type}, not {expected}")]
    CursorType {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        sql_type: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Change Tracking knows rows by their primary key.
    #[error("changes of {table} are tracked by its primary key: leave `key` out, or choose another cursor")]
    KeyNotTracked {
        /// Schema and table.
        table: String,
    },
    /// A joined table may match one key more than once.
    #[error(
        "nothing says that {table} has at most one row for each key ({key}): join it by the columns of one of its unique \
         indexes, or add those columns to `key`"
    )]
    KeyRepeats {
        /// The declared key.
        key: String,
        /// Schema and table.
        table: String,
    },
    /// A joined column is called as another of the query.
    #[error(
        "the query has a column {name} already: give that of {table} another name, `columns: [{{{name}: …}}]`"
    )]
    JoinName {
        /// Schema and table.
        table: String,
        /// The name.
        name: String,
    },
    /// A cursor of a joined table.
    #[error(
        "the cursor column must be one of {table} itself: {column} comes with a join, so a row may be without it"
    )]
    JoinedCursor {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
    },
    /// Change Tracking knows one table.
    #[error(
        "Change Tracking sees the changes of one table: where tables are joined, choose `cursor: digest`, or a rowversion or \
         datetime column with a sweep"
    )]
    JoinsNotTracked,
    /// The sink is none, or cannot do what is asked of it.
    #[error(transparent)]
    Sink(#[from] super::sink::BadSink),
    /// A mask that makes no sense.
    #[error("column {column} of {table} is not masked so: {why} masked")]
    Mask {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
        /// What speaks against it.
        why: &'static str,
    },
    /// Two columns under one name.
    #[error("two columns of {table} would be delivered as {name}: see `rename`")]
    NameTaken {
        /// Schema and table.
        table: String,
        /// The name.
        name: String,
    },
    /// Whoever asked for the pass was killed.
    #[error(
        "the pass was ended because the job that asked for it was killed; the next one goes on from where it was"
    )]
    Killed,
    /// A column's type cannot be kept exactly.
    #[error(
        "column {column} of {table} is {sql_type}, which cannot be read without loss: leave it out of `columns`"
    )]
    ColumnType {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        sql_type: String,
    },
    /// A key column may hold NULL.
    #[error("the key column {column} of {table} may hold NULL, so it does not identify a row")]
    NullableKey {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
    },
    /// The table is not as it was declared.
    #[error(
        "table {table} has changed since the job was declared: {differences}; apply the state again to read it as it is now"
    )]
    SchemaChanged {
        /// Schema and table.
        table: String,
        /// Column by column.
        differences: String,
    },
    /// The rowversion counter is behind the watermark.
    #[error(
        "the rowversion counter of {database} is {bound}, behind the watermark {watermark}: the database was restored; \
         run mssql_sync.resnapshot for this job"
    )]
    WentBack {
        /// The database.
        database: String,
        /// The counter.
        bound: String,
        /// What was read before.
        watermark: String,
    },
    /// Change Tracking is not on for the table, or may not be seen.
    #[error(
        "changes of table {table} are not tracked in database {database}, or login {login} lacks VIEW CHANGE TRACKING \
         on it"
    )]
    NotTracked {
        /// Schema and table.
        table: String,
        /// The database.
        database: String,
        /// Who looked.
        login: String,
    },
    /// Change Tracking has cleaned up what was not read yet.
    #[error(
        "changes of {table} after version {since} were cleaned up (the oldest kept is {oldest}): everything is read again"
    )]
    ChangesForgotten {
        /// Schema and table.
        table: String,
        /// What was read.
        since: u64,
        /// What is kept.
        oldest: u64,
    },
    /// The practice has paused reading.
    #[error("reading is {pause}")]
    Paused {
        /// By whom and since when.
        pause: String,
    },
    /// An audit needs to know what was delivered.
    #[error(
        "nothing is known of the rows that sync job {job} delivered: declare it with `sweep` to have them compared"
    )]
    NoMarks {
        /// The job.
        job: String,
    },
    /// Too much of a table is gone to believe it.
    #[error(
        "{gone} of {known} known rows of {table} are gone: they are not delivered as deletes; if that is right, run \
         mssql_sync.resnapshot for this job"
    )]
    Shrunk {
        /// Schema and table.
        table: String,
        /// Rows known before the sweep.
        known: u64,
        /// Rows that the sweep did not see.
        gone: u64,
    },
    /// A key cannot be read as text, so its row cannot be named.
    #[error(
        "a key of {table} is not valid in the encoding of its column, so its row cannot be named: mend the row, or name \
         another `key`"
    )]
    KeyText {
        /// Schema and table.
        table: String,
    },
    /// Nobody is named to seal the batches for.
    #[error(
        "no recipients to seal batches for: set pillar agent:sync:recipients to a list of age public keys, \
         or allow_plain: true"
    )]
    NoRecipients,
    /// A recipient is not an age public key.
    #[error("recipient {given} is not an age public key (age1…)")]
    Recipient {
        /// What was given.
        given: String,
    },
    /// A cell does not fit its column.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// Parquet refused the columns.
    #[error("the batch cannot be written as Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A spool file cannot be written or read.
    #[error("the spool file {} cannot be {doing}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `written`, `read`, …
        doing: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job was declared anew or removed while a pass ran; the pass is void.
    #[error("sync job {job} was declared anew or removed meanwhile")]
    Superseded {
        /// The job.
        job: String,
    },
    /// No such job.
    #[error("there is no sync job {job}")]
    NoJob {
        /// The name asked for.
        job: String,
    },
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopped,
    /// A test's fault hook fired.
    #[error("stopped at {step:?} by a fault hook")]
    Fault {
        /// Where.
        step: super::faults::Step,
    },
}

impl SyncError {
    /// True when the next pass may succeed without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Sql(error) => error.is_retryable(),
            Self::File { .. }
            | Self::Store(_)
            | Self::Stopped
            | Self::Paused { .. }
            | Self::Superseded { .. }
            | Self::Fault { .. } => true,
            Self::Options(_)
            | Self::Name(_)
            | Self::JobName(_)
            | Self::Killed
            | Self::Argument { .. }
            | Self::NoTable { .. }
            | Self::NoColumn { .. }
            | Self::NoKey { .. }
            | Self::NoRowversion { .. }
            | Self::CursorType { .. }
            | Self::ColumnType { .. }
            | Self::NullableKey { .. }
            | Self::SchemaChanged { .. }
            | Self::WentBack { .. }
            | Self::KeyNotTracked { .. }
            | Self::Sink(_)
            | Self::KeyRepeats { .. }
            | Self::JoinName { .. }
            | Self::JoinedCursor { .. }
            | Self::JoinsNotTracked
            | Self::Mask { .. }
            | Self::NameTaken { .. }
            | Self::NotTracked { .. }
            | Self::ChangesForgotten { .. }
            | Self::NoMarks { .. }
            | Self::Shrunk { .. }
            | Self::KeyText { .. }
            | Self::NoRecipients
            | Self::Recipient { .. }
            | Self::Cell(_)
            | Self::Parquet(_)
            | Self::NoJob { .. } => false,
        }
    }
}

/// The error and its causes, joined by colons.
pub fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
