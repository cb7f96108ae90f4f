//! What stops a declaration or a request of a write before any row is touched, whose fault it is and what to do.
//!
//! No variant carries a row value or a parameter's value.

use crate::mssql::quote::NameError;
use crate::mssql::{OptionsError, SqlError};
use crate::store::StoreError;

use super::names::BadName;

/// A declaration or a request that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// SQL Server refused or could not be reached.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A connection option is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// An object name is wrong.
    #[error(transparent)]
    Object(#[from] NameError),
    /// A name of ours is wrong.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recipient is no age public key.
    #[error("the recipient '{given}' is no age public key (age1…)")]
    Recipient {
        /// What was given.
        given: String,
    },
    /// The values cannot be sealed.
    #[error("the values cannot be sealed for the recipients")]
    Seal(#[source] std::io::Error),
    /// An argument of the declaration is wrong.
    #[error("the argument {name} must be {expected}")]
    Argument {
        /// Its place: `statements:2:where`.
        name: String,
        /// What it should be.
        expected: String,
    },
    /// A parameter of a request is wrong.
    #[error("the parameter {name} {why}")]
    Parameter {
        /// Its name.
        name: String,
        /// The limit that it breaks.
        why: String,
    },
    /// Sealed parameters cannot be opened.
    #[error(
        "params_sealed cannot be opened: {why}. Seal a JSON mapping of the parameters for this minion (age -r {recipient}) and \
         give the file in base64"
    )]
    Sealed {
        /// What is wrong, in words that quote nothing of it.
        why: &'static str,
        /// The agent's own public key.
        recipient: String,
    },
    /// Nothing makes the write happen once.
    #[error(
        "a write must say how it happens only once: idempotent: {{ledger: DATABASE}} (see mssql_write.ledger_present) or \
         idempotent: {{external_id: COLUMN}}"
    )]
    NotIdempotent,
    /// The outcome holds row values and nobody may read them.
    #[error(
        "the read-back of {columns} is sealed for the recipients in `recipients` or the pillar's agent:sync:recipients, and \
         there are none; name recipients, or list in `clear` the columns whose values may stand in a job's return"
    )]
    NoRecipients {
        /// The columns that nobody could read.
        columns: String,
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
    /// A column cannot hold what the write gives it.
    #[error("column {column} of {table} is {sql_type}, which does not hold every {given} of {what}")]
    ColumnType {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        sql_type: String,
        /// The type of what is given.
        given: String,
        /// What is given: `the parameter note`.
        what: String,
    },
    /// The tables are not as they were when the write was approved.
    #[error(
        "the tables of this write have changed since it was approved: {differences}. If the write still means the same, \
         declare it with `schema: {fingerprint}`"
    )]
    SchemaChanged {
        /// Column by column.
        differences: String,
        /// What approves the tables as they are.
        fingerprint: String,
    },
    /// The ledger cannot be used.
    #[error(
        "the ledger in database {database} cannot be used by login {login}: {source}. mssql_write.ledger_present makes it"
    )]
    Ledger {
        /// The ledger's database.
        database: String,
        /// Who looked.
        login: String,
        /// SQL Server's refusal.
        source: SqlError,
    },
    /// There is no such write.
    #[error("no write {write} is declared on this minion")]
    NoWrite {
        /// Its name.
        write: String,
    },
    /// The test hook ended the agent here.
    #[error("the test hook ended the agent at {step}")]
    Fault {
        /// Where.
        step: &'static str,
    },
}

impl WriteError {
    /// True when the same attempt may well succeed later without anyone changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Sql(error) | Self::Ledger { source: error, .. } => error.is_retryable(),
            Self::Store(_) => true,
            Self::Options(_)
            | Self::Object(_)
            | Self::Name(_)
            | Self::Seal(_)
            | Self::Recipient { .. }
            | Self::Argument { .. }
            | Self::Parameter { .. }
            | Self::NotIdempotent
            | Self::NoRecipients { .. }
            | Self::NoTable { .. }
            | Self::NoColumn { .. }
            | Self::ColumnType { .. }
            | Self::SchemaChanged { .. }
            | Self::NoWrite { .. }
            | Self::Sealed { .. }
            | Self::Fault { .. } => false,
        }
    }
}
