//! A plan: statements in order, what they change, and how they run.

use std::fmt;

use states::{Map, Value};

use crate::mssql::quote::NameError;
use crate::mssql::{OptionsError, Session, SqlError};

/// One T-SQL statement; the text to show has its secrets masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    sql: String,
    shown: String,
}

/// What would be done, and what changes by it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In order.
    pub statements: Vec<Statement>,
    /// For the state's `changes`: Salt's word for creation and removal, `old` and `new` for the rest.
    pub changes: Map,
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
    /// An argument is wrong.
    #[error("{0}")]
    Argument(String),
    /// What is there cannot be made into what is wanted.
    #[error("{0}")]
    Conflict(String),
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
        Self { shown: sql.clone(), sql }
    }

    /// A statement that holds a secret, and the same with the secret masked.
    pub fn with_secret(sql: String, shown: String) -> Self {
        Self { sql, shown }
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

    /// The statements as a script, secrets masked.
    pub fn script(&self) -> String {
        self.statements.iter().map(|statement| statement.shown.as_str()).collect::<Vec<_>>().join(";\n")
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
        for (done, statement) in self.statements.iter().enumerate() {
            if let Err(source) = session.batch(&statement.sql).await {
                let left = self.after_refusal(session, atomicity, done).await;
                return Err(AccessError::Statement { statement: statement.shown.clone(), source, left });
            }
        }
        if atomicity == Atomicity::Transaction {
            session.batch("COMMIT TRANSACTION").await?;
        }
        Ok(())
    }

    /// Rolls back, and says what stays.
    async fn after_refusal(&self, session: &mut Session, atomicity: Atomicity, done: usize) -> String {
        match atomicity {
            Atomicity::Transaction => {
                drop(session.batch("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION").await);
                "; nothing was changed".to_owned()
            }
            Atomicity::Stepwise if done == 0 => "; nothing was changed".to_owned(),
            Atomicity::Stepwise => {
                let before: Vec<&str> = self.statements[..done].iter().map(Statement::shown).collect();
                format!("; done before it: {}", before.join("; "))
            }
        }
    }
}

/// A list of names as a state value.
pub(super) fn name_list(names: &[String]) -> Value {
    Value::List(names.iter().map(|name| Value::Str(name.clone())).collect())
}
