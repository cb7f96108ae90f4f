//! A plan: statements in order, what they change, and how they run.
//!
//! A statement may belong to another database than the plan's own (server permissions are granted in `master`); the
//! `USE` that takes it there is part of the script and of the run alike.

use std::fmt;

use states::{Map, Value};

use crate::mssql::param::text as text_cell;
use crate::mssql::quote::{NameError, SqlName};
use crate::mssql::{OptionsError, Session, SqlError};

/// One T-SQL statement; the text to show has its secrets masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    sql: String,
    shown: String,
    database: Option<SqlName>,
}

/// What would be done, and what changes by it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In order.
    pub statements: Vec<Statement>,
    /// For the state's `changes`: Salt's word for creation and removal, `old` and `new` for the rest.
    pub changes: Map,
    /// The database that its statements run in; the session's when `None`.
    pub home: Option<SqlName>,
}

/// Whether the statements of a plan stand or fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    /// One transaction: all or nothing.
    Transaction,
    /// One by one: server-level statements that may not be in a transaction. A half-finished run is completed by the next.
    Stepwise,
}

/// Why an access state fails.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// SQL Server refused.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A connection option is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A name is wrong.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// An argument is wrong.
    #[error("{0}")]
    Argument(String),
    /// What is there cannot be made into what is wanted.
    #[error("{0}")]
    Conflict(String),
    /// The database does not open, for anyone.
    #[error("{source}; {why}")]
    Database {
        /// The reason in words.
        why: String,
        /// SQL Server's refusal.
        source: SqlError,
    },
    /// The database does not let this login in.
    #[error("{source}; {why}")]
    NoAccess {
        /// The reason in words.
        why: String,
        /// SQL Server's refusal.
        source: SqlError,
    },
    /// A statement of the plan was refused.
    #[error("{statement}: {source}{left}")]
    Statement {
        /// The statement with secrets masked.
        statement: String,
        /// SQL Server's refusal.
        source: SqlError,
        /// What stays done.
        left: String,
    },
}

impl Statement {
    /// A statement without secrets.
    pub fn new(sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self { shown: sql.clone(), sql, database: None }
    }

    /// A statement that holds a secret, and the same with the secret masked.
    pub fn with_secret(sql: String, shown: String) -> Self {
        Self { sql, shown, database: None }
    }

    /// The same statement, to run in another database than the plan's own.
    #[must_use]
    pub fn in_database(mut self, database: SqlName) -> Self {
        self.database = Some(database);
        self
    }

    /// The statement with secrets masked.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    #[cfg(test)]
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Plan {
    /// True when nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Adds a statement.
    pub fn push(&mut self, statement: Statement) {
        self.statements.push(statement);
    }

    /// Notes a change from `old` to `new`.
    pub fn changes(&mut self, what: &str, old: impl Into<Value>, new: impl Into<Value>) {
        let mut change = Map::new();
        change.insert("old", old);
        change.insert("new", new);
        self.changes.insert(what, Value::Map(change));
    }

    /// The statements as they run, secrets masked.
    pub fn script(&self) -> String {
        let shown: Vec<String> = self.run_list().into_iter().map(|(_, shown)| shown).collect();
        shown.join(";\n")
    }

    /// The statements as a batch that someone else runs: it finds the database and is one transaction.
    pub fn script_for_others(&self, atomicity: Atomicity) -> String {
        let home = self.home.as_ref().map(|home| format!("USE {};\n", home.quoted())).unwrap_or_default();
        match atomicity {
            Atomicity::Stepwise => format!("{home}{};", self.script()),
            Atomicity::Transaction => {
                format!(
                    "{home}SET XACT_ABORT ON;\nBEGIN TRANSACTION;\n{};\nCOMMIT TRANSACTION;",
                    self.script()
                )
            }
        }
    }

    /// Each statement as sent and as shown, with the `USE` between them.
    fn run_list(&self) -> Vec<(String, String)> {
        let mut list = Vec::new();
        let mut place = &self.home;
        for statement in &self.statements {
            let wanted = if statement.database.is_some() { &statement.database } else { &self.home };
            if let Some(database) = wanted.as_ref().filter(|_| wanted != place) {
                let change = format!("USE {}", database.quoted());
                list.push((change.clone(), change));
                place = wanted;
            }
            list.push((statement.sql.clone(), statement.shown.clone()));
        }
        list
    }

    /// Runs exactly the statements of the plan.
    ///
    /// # Errors
    /// The first refusal, naming the statement; in a transaction nothing of the plan stays.
    pub async fn apply(&self, session: &mut Session, atomicity: Atomicity) -> Result<(), AccessError> {
        if atomicity == Atomicity::Transaction {
            session.batch("SET XACT_ABORT ON").await?;
            session.batch("BEGIN TRANSACTION").await?;
        }
        let list = self.run_list();
        for (done, (sql, shown)) in list.iter().enumerate() {
            if let Err(source) = session.batch(sql).await {
                let left = after_refusal(session, atomicity, &list[..done]).await;
                return Err(AccessError::Statement { statement: shown.clone(), source, left });
            }
        }
        if atomicity == Atomicity::Transaction {
            session.batch("COMMIT TRANSACTION").await?;
        }
        Ok(())
    }
}

/// Rolls back, and says what stays.
async fn after_refusal(session: &mut Session, atomicity: Atomicity, done: &[(String, String)]) -> String {
    match atomicity {
        Atomicity::Transaction => {
            drop(session.batch("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION").await);
            "; nothing was changed".to_owned()
        }
        Atomicity::Stepwise if done.is_empty() => "; nothing was changed".to_owned(),
        Atomicity::Stepwise => {
            let before: Vec<&str> = done.iter().map(|(_, shown)| shown.as_str()).collect();
            format!("; done before it: {}", before.join("; "))
        }
    }
}

/// The database that the session is in, as the server spells it.
///
/// # Errors
/// The server cannot be asked.
pub async fn home(session: &mut Session) -> Result<SqlName, AccessError> {
    let rows = session.query("SELECT DB_NAME()", &[]).await?;
    let cell = rows.first().map(|row| row.get_column_data(0).map_err(SqlError::from)).transpose()?;
    let name = cell.and_then(text_cell).unwrap_or_default();
    Ok(SqlName::new(name)?)
}

/// A list of names as a state value.
pub(super) fn name_list(names: &[String]) -> Value {
    Value::List(names.iter().map(|name| Value::Str(name.clone())).collect())
}
