//! A session's state: settings, variables, current database, transaction, security context.
//!
//! Statements run through [`super::run`]; this file only holds what they read and change. The session is used by
//! one thread at a time; interior mutability keeps evaluation free of borrows.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::instance::{Connected, Instance, OpenTransaction};
use super::message::SqlError;
use super::principal::ServerMetadata;
use super::security::SecurityContext;
use super::storage::database::Database;
use super::storage::lock::Waiter;
use super::storage::schema::Metadata;
use super::storage::table::Table;
use super::storage::transaction::Transaction;
use super::storage::{TxnId, guard};
use super::value::text;
use crate::types::{Cancel, Datum, Isolation, LoginRequest, SqlType};

/// Session settings (SET).
#[derive(Debug, Clone)]
pub struct Settings {
    pub isolation: Isolation,
    pub lock_timeout: i64,
    pub deadlock_priority: i32,
    pub no_count: bool,
    pub xact_abort: bool,
    pub implicit: bool,
    pub quoted_identifier: bool,
    /// Only the columns of results are told; nothing is read or written.
    pub format_only: bool,
    pub row_limit: u64,
    pub identity_insert: Option<i32>,
    pub context_info: Option<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            isolation: Isolation::ReadCommitted,
            lock_timeout: -1,
            deadlock_priority: 0,
            no_count: false,
            xact_abort: false,
            implicit: false,
            quoted_identifier: true,
            format_only: false,
            row_limit: 0,
            identity_insert: None,
            context_info: None,
        }
    }
}

/// A variable or parameter.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: String,
    pub ty: SqlType,
    pub value: Datum,
}

#[derive(Debug)]
pub struct SessionCore {
    pub instance: Arc<Instance>,
    pub spid: u16,
    pub connected: Arc<Connected>,
    pub login_request: LoginRequest,
    pub settings: RefCell<Settings>,
    contexts: RefCell<Vec<SecurityContext>>,
    database: RefCell<Arc<Database>>,
    pub variables: RefCell<Vec<Variable>>,
    /// `#t` tables of the session and `@t` of the batch, by folded name.
    pub locals: RefCell<BTreeMap<String, Arc<Table>>>,
    pub transaction: RefCell<Option<Transaction>>,
    tran_count: Cell<i32>,
    /// The transaction of the statement under way, open or autocommitted.
    current: Cell<Option<TxnId>>,
    row_count: Cell<i64>,
    last_error: Cell<u32>,
    identity: RefCell<Datum>,
    caught: RefCell<Vec<SqlError>>,
    /// Statements are bound only: no lock is taken, no permission asked, no row read.
    pub compiling: Cell<bool>,
    pub prepared: RefCell<BTreeMap<i32, super::procedure::Prepared>>,
    pub next_handle: Cell<i32>,
}

impl SessionCore {
    pub fn new(
        instance: Arc<Instance>,
        connected: Arc<Connected>,
        login_request: LoginRequest,
        context: SecurityContext,
        database: Arc<Database>,
    ) -> Self {
        Self {
            spid: connected.spid,
            instance,
            connected,
            login_request,
            settings: RefCell::default(),
            contexts: RefCell::new(vec![context]),
            database: RefCell::new(database),
            variables: RefCell::default(),
            locals: RefCell::default(),
            transaction: RefCell::default(),
            tran_count: Cell::new(0),
            current: Cell::new(None),
            row_count: Cell::new(0),
            last_error: Cell::new(0),
            identity: RefCell::new(Datum::Null),
            caught: RefCell::default(),
            compiling: Cell::new(false),
            prepared: RefCell::default(),
            next_handle: Cell::new(1),
        }
    }

    pub fn database(&self) -> Arc<Database> {
        self.database.borrow().clone()
    }

    pub fn set_database(&self, database: Arc<Database>) {
        self.activity(|a| a.database = database.id);
        *self.database.borrow_mut() = database;
    }

    /// The security context in force.
    pub fn context(&self) -> SecurityContext {
        let contexts = self.contexts.borrow();
        contexts.last().cloned().unwrap_or(SecurityContext {
            login: super::principal::SERVER_PUBLIC,
            login_name: String::new(),
            user: None,
            no_revert: true,
        })
    }

    /// The login the session began with.
    pub fn original_context(&self) -> SecurityContext {
        self.contexts.borrow().first().cloned().unwrap_or_else(|| self.context())
    }

    pub fn push_context(&self, context: SecurityContext) {
        self.contexts.borrow_mut().push(context);
    }

    /// REVERT; the first context stays.
    pub fn pop_context(&self) {
        let mut contexts = self.contexts.borrow_mut();
        if contexts.len() > 1 && !contexts.last().is_some_and(|c| c.no_revert) {
            contexts.pop();
        }
    }

    pub fn reset_contexts(&self) {
        self.contexts.borrow_mut().truncate(1);
    }

    /// Server metadata as the session's transaction sees it.
    pub fn server(&self) -> Arc<ServerMetadata> {
        self.instance.server.read(self.current.get())
    }

    /// A database's metadata as the session's transaction sees it.
    pub fn metadata(&self, database: &Database) -> Arc<Metadata> {
        database.metadata.read(self.current.get())
    }

    pub fn current_transaction(&self) -> Option<TxnId> {
        self.current.get()
    }

    pub fn set_current(&self, txn: Option<TxnId>) {
        self.current.set(txn);
    }

    pub fn default_schema(&self, database: &Database) -> String {
        let user = self.user_in(database);
        let metadata = self.metadata(database);
        user.and_then(|id| metadata.principals.list.get(&id))
            .and_then(|p| p.default_schema.clone())
            .unwrap_or_else(|| "dbo".to_owned())
    }

    /// A temporary table or table variable.
    pub fn local_table(&self, name: &str) -> Option<(Arc<Database>, Arc<Table>)> {
        if !name.starts_with(['#', '@']) {
            return None;
        }
        let table = self.locals.borrow().get(&text::fold_name(name)).cloned()?;
        Some((self.instance.database_by_id(TEMPDB)?, table))
    }

    pub fn isolation(&self) -> Isolation {
        self.settings.borrow().isolation
    }

    /// Whether read locks last to the end of the transaction.
    pub fn keeps_read_locks(&self) -> bool {
        matches!(self.isolation(), Isolation::RepeatableRead | Isolation::Serializable)
    }

    pub fn lock_timeout(&self) -> i64 {
        self.settings.borrow().lock_timeout
    }

    pub fn waiter(&self, txn: TxnId, cancel: &Cancel, cost: usize) -> Waiter {
        let settings = self.settings.borrow();
        let timeout = u64::try_from(settings.lock_timeout).ok().map(Duration::from_millis);
        Waiter {
            txn,
            spid: self.spid,
            timeout,
            priority: settings.deadlock_priority,
            cost,
            cancel: cancel.clone(),
            waits: self.connected.spent.waits.clone(),
        }
    }

    /// The open transaction's snapshot, if it reads under SNAPSHOT.
    pub fn transaction_snapshot(&self) -> Option<u64> {
        let mut transaction = self.transaction.borrow_mut();
        let transaction = transaction.as_mut()?;
        if transaction.snapshot.is_none() {
            let databases = self.instance.all_databases();
            let version = |d: &Arc<Database>| (d.id, guard(&d.tracking).version);
            let (seq, tracked) =
                self.instance.clock.open_snapshot_with(|| databases.iter().map(version).collect());
            (transaction.snapshot, transaction.tracked) = (Some(seq), tracked);
        }
        transaction.snapshot
    }

    pub fn variable(&self, name: &str) -> Option<(usize, SqlType)> {
        let variables = self.variables.borrow();
        let at = variables.iter().position(|v| text::equal(&v.name, name))?;
        Some((at, variables[at].ty))
    }

    pub fn variable_value(&self, at: usize) -> Datum {
        self.variables.borrow().get(at).map_or(Datum::Null, |v| v.value.clone())
    }

    pub fn set_variable(&self, at: usize, value: Datum) {
        if let Some(variable) = self.variables.borrow_mut().get_mut(at) {
            variable.value = value;
        }
    }

    pub fn tran_count(&self) -> i32 {
        self.tran_count.get()
    }

    pub fn set_tran_count(&self, count: i32) {
        self.tran_count.set(count);
        let open = self.transaction.borrow().as_ref().map(|t| OpenTransaction {
            id: t.id,
            name: if t.name.is_empty() { "user_transaction".to_owned() } else { t.name.clone() },
            began: t.began,
            user: true,
        });
        self.activity(|a| a.transaction = open);
    }

    pub fn row_count(&self) -> i64 {
        self.row_count.get()
    }

    pub fn set_row_count(&self, count: i64) {
        self.row_count.set(count);
    }

    pub fn last_error(&self) -> u32 {
        self.last_error.get()
    }

    pub fn set_last_error(&self, number: u32) {
        self.last_error.set(number);
    }

    pub fn last_identity(&self) -> Datum {
        self.identity.borrow().clone()
    }

    pub fn set_identity(&self, value: Datum) {
        *self.identity.borrow_mut() = value;
    }

    /// The error of the innermost CATCH block.
    pub fn caught(&self) -> Option<SqlError> {
        self.caught.borrow().last().cloned()
    }

    pub fn push_caught(&self, error: SqlError) {
        self.caught.borrow_mut().push(error);
    }

    pub fn pop_caught(&self) {
        self.caught.borrow_mut().pop();
    }

    /// 1 committable, -1 doomed, 0 none.
    pub fn xact_state(&self) -> i16 {
        match self.transaction.borrow().as_ref() {
            _ if self.tran_count() == 0 => 0,
            Some(t) if t.doomed => -1,
            _ => 1,
        }
    }

    pub fn context_info(&self) -> Datum {
        let settings = self.settings.borrow();
        settings.context_info.as_ref().map_or(Datum::Null, |b| Datum::Binary(Arc::from(b.as_slice())))
    }

    /// `@@OPTIONS`: ANSI_WARNINGS, ANSI_PADDING, ANSI_NULLS, ... as the engine holds them.
    pub fn option_bits(&self) -> i32 {
        let settings = self.settings.borrow();
        8 | 16
            | 32
            | 4096
            | if settings.quoted_identifier { 256 } else { 0 }
            | if settings.no_count { 512 } else { 0 }
            | if settings.implicit { 2 } else { 0 }
            | if settings.xact_abort { 16384 } else { 0 }
    }

    /// Does what makes the session wait for something but a lock, seen and counted as `kind`.
    pub fn waiting<T>(&self, kind: &'static str, wait: impl FnOnce() -> T) -> T {
        self.connected.waiting(kind, wait)
    }

    /// Changes what other sessions see of this one.
    pub fn activity(&self, change: impl FnOnce(&mut super::instance::Activity)) {
        change(&mut guard(&self.connected.activity));
    }
}

/// tempdb's id.
pub const TEMPDB: u16 = 2;
