//! What the engine and the wire exchange: types, values, messages, requests, and the output they flow into.
//!
//! Nothing here knows TDS packets or storage. Invariants:
//! - `no-borrowed-wire`: a [`Datum`] owns its value (strings and binaries are shared by reference count).
//! - `one-stop`: an [`Output`] that answers [`Stopped`] is never called again for the same request.
//!
//! Facts: "Data types (Transact-SQL)", "Data type precedence", MS-TDS 2.2.5.4.

use std::sync::Arc;

pub use cancel::{Cancel, CancelHook};
pub use datum::{DateTimeValue, Datum, DecimalValue, OffsetValue};
pub use sql_type::{Length, SqlType};

mod cancel;
mod datum;
mod sql_type;
pub mod utf16;

/// One column of a result set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as the client sees it; empty when the expression has none.
    pub name: String,
    /// Type with length, precision and scale.
    pub ty: SqlType,
    /// Whether NULL can occur.
    pub nullable: bool,
    /// Whether it is an identity column read straight from a table.
    pub identity: bool,
    /// Whether it is computed by an expression (not a base column).
    pub computed: bool,
}

/// An error (class 11 and above) or an informational message (class 10 and below).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlMessage {
    /// SQL Server's message number.
    pub number: u32,
    /// State.
    pub state: u8,
    /// Severity class.
    pub class: u8,
    /// Text as SQL Server words it.
    pub text: String,
    /// Line in the batch, from 1.
    pub line: u32,
    /// Procedure, or empty.
    pub procedure: String,
}

impl SqlMessage {
    /// Whether it travels as an ERROR token; otherwise it is INFO.
    pub fn is_error(&self) -> bool {
        self.class > 10
    }
}

impl std::fmt::Display for SqlMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Msg {}, Level {}, State {}, Line {}: {}",
            self.number, self.class, self.state, self.line, self.text
        )
    }
}

/// What a LOGIN7 asks for.
#[derive(Debug, Clone, Default)]
pub struct LoginRequest {
    /// Login name.
    pub user: String,
    /// Password in clear, already decoded.
    pub password: String,
    /// Requested database; empty means the login's default.
    pub database: String,
    /// Client host name.
    pub host_name: String,
    /// Client program.
    pub app_name: String,
    /// Client library name.
    pub library: String,
    /// Client process id.
    pub client_pid: u32,
    /// Client's address as text, for `sys.dm_exec_connections`.
    pub client_address: String,
    /// Negotiated packet size, for `sys.dm_exec_connections`.
    pub packet_size: u32,
    /// Whether the connection is encrypted after login.
    pub encrypted: bool,
    /// `ApplicationIntent=ReadOnly`.
    pub read_only_intent: bool,
}

/// One request of a logged-in session.
#[derive(Debug, Clone)]
pub enum Request {
    /// A SQL batch.
    Batch(String),
    /// A remote procedure call; well-known procedure ids arrive by name (`sp_executesql`).
    Rpc(Rpc),
    /// A transaction manager request.
    Transaction(TransactionRequest),
}

/// A remote procedure call.
#[derive(Debug, Clone)]
pub struct Rpc {
    /// Procedure name as sent, possibly qualified.
    pub procedure: String,
    /// Parameters in order.
    pub params: Vec<Param>,
}

/// One parameter of a procedure call.
#[derive(Debug, Clone)]
pub struct Param {
    /// Name with its `@`, or empty when positional.
    pub name: String,
    /// Type on the wire.
    pub ty: SqlType,
    /// Value.
    pub value: Datum,
    /// Whether the caller wants it back.
    pub output: bool,
}

/// Isolation levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Dirty reads.
    ReadUncommitted,
    /// The default.
    ReadCommitted,
    /// Shared locks kept to the end.
    RepeatableRead,
    /// No phantoms.
    Serializable,
    /// Row versions as of the transaction's start.
    Snapshot,
}

/// A transaction manager request (MS-TDS 2.2.6.9).
#[derive(Debug, Clone)]
pub enum TransactionRequest {
    /// TM_BEGIN_XACT.
    Begin {
        /// Level to set, if the client named one.
        isolation: Option<Isolation>,
        /// Name, possibly empty.
        name: String,
    },
    /// TM_COMMIT_XACT.
    Commit {
        /// Begin the next one at once.
        begin_next: bool,
    },
    /// TM_ROLLBACK_XACT; a name is a savepoint or the outermost transaction.
    Rollback {
        /// Name, possibly empty.
        name: String,
        /// Begin the next one at once.
        begin_next: bool,
    },
    /// TM_SAVE_XACT.
    Save {
        /// Savepoint.
        name: String,
    },
}

/// Changes of the session's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvChange {
    /// Current database.
    Database {
        /// New one.
        new: String,
        /// Old one.
        old: String,
    },
    /// Language.
    Language {
        /// New one.
        new: String,
        /// Old one.
        old: String,
    },
    /// A transaction began; its descriptor.
    BeginTransaction(u64),
    /// A transaction committed; its descriptor.
    CommitTransaction(u64),
    /// A transaction rolled back; its descriptor.
    RollbackTransaction(u64),
}

/// Which DONE token a statement's end becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoneKind {
    /// DONE: a statement of a batch.
    Statement,
    /// DONEINPROC: a statement inside a procedure.
    InProcedure,
    /// DONEPROC: a procedure's end.
    Procedure,
}

/// The end of a statement. The MORE bit is the wire's: every one but a request's last carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Token kind.
    pub kind: DoneKind,
    /// Rows affected or returned; `None` leaves the COUNT bit unset.
    pub count: Option<u64>,
    /// The statement failed.
    pub error: bool,
    /// MS-TDS CurCmd (0xC1 SELECT, 0xC3 INSERT, 0xC4 DELETE, 0xC5 UPDATE, 0 otherwise).
    pub command: u16,
}

/// The receiver went away or the request was cancelled on the wire: produce nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiver of this request's output has stopped")]
pub struct Stopped;

/// Where a request's results go, in wire order. Calls may block for backpressure.
pub trait Output {
    /// A result set starts.
    fn columns(&mut self, columns: &[Column]) -> Result<(), Stopped>;
    /// One row of the current result set.
    fn row(&mut self, row: &[Datum]) -> Result<(), Stopped>;
    /// A statement or procedure ended.
    fn done(&mut self, done: Done) -> Result<(), Stopped>;
    /// ERROR or INFO, by class.
    fn message(&mut self, message: &SqlMessage) -> Result<(), Stopped>;
    /// ENVCHANGE.
    fn env(&mut self, change: &EnvChange) -> Result<(), Stopped>;
    /// RETURNSTATUS of a procedure.
    fn return_status(&mut self, status: i32) -> Result<(), Stopped>;
    /// RETURNVALUE of an output parameter (ordinal from 0).
    fn return_value(&mut self, ordinal: u16, param: &Param) -> Result<(), Stopped>;
}

/// Who is told that a request's output waits for a client that does not take it.
pub trait ClientWait: Send + Sync {
    /// Calls `send`, which blocks until the client has taken something or is gone.
    fn wait(&self, send: &mut dyn FnMut());
}

/// A row shared by reference count.
pub type Row = Arc<[Datum]>;
