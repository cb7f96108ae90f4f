//! Transactions of a session: the statement's own, BEGIN, COMMIT, ROLLBACK, savepoints.
//!
//! Facts: "BEGIN TRANSACTION", "COMMIT TRANSACTION", "ROLLBACK TRANSACTION", "SAVE TRANSACTION", "SET XACT_ABORT".

use super::Runner;
use crate::engine::ast::TransactionName;
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::storage::transaction::Transaction;
use crate::types::{EnvChange, TransactionRequest};

impl Runner<'_> {
    /// Runs one statement's work in the open transaction, or in one of its own that ends with it.
    pub(in crate::engine) fn in_statement<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &Exec<'_>) -> Result<T>,
    ) -> Result<T> {
        let core = self.session;
        if core.transaction.borrow().is_none() {
            let id = core.instance.next_transaction();
            let transaction = Transaction::new(id, String::new(), core.instance.now_datetime());
            *core.transaction.borrow_mut() = Some(transaction);
        }
        let (id, mark, cost) = {
            let transaction = core.transaction.borrow();
            let t = transaction.as_ref().ok_or_else(message::doomed)?;
            (t.id, t.mark(), t.cost())
        };
        core.set_current(Some(id));
        let exec = Exec::new(core, self.cancel, id, cost);
        let result = work(self, &exec);
        drop(exec);
        if core.tran_count() == 0 {
            match &result {
                Ok(_) => self.end_transaction(End::Commit),
                Err(_) => self.end_transaction(End::Rollback),
            }
        } else if let Some(t) = core.transaction.borrow_mut().as_mut() {
            match &result {
                Ok(_) => t.keep_variables(mark, &core.instance.clock),
                Err(_) => t.undo_to(mark, &core.instance.server),
            }
        }
        result
    }

    /// Refuses writing in a transaction that can only be rolled back.
    pub(super) fn check_writable(&self) -> Result<()> {
        match self.session.transaction.borrow().as_ref() {
            Some(t) if t.doomed => Err(message::doomed()),
            _ => Ok(()),
        }
    }

    /// The name a statement gives, at most 32 characters of it; a variable's is read first.
    pub(super) fn transaction_name(&mut self, name: Option<&TransactionName>) -> Result<Option<String>> {
        let text = match name {
            None => return Ok(None),
            Some(TransactionName::Name(name)) => name.clone(),
            Some(TransactionName::Variable(name)) => {
                let (index, _) = self.session.variable(name).ok_or_else(|| message::must_declare(name))?;
                let value = self.session.variable_value(index);
                value.as_str().ok_or_else(message::bad_transaction_name)?.to_owned()
            }
        };
        Ok(Some(text.chars().take(32).collect()))
    }

    pub(super) fn begin(&mut self, name: Option<&str>) -> Result<()> {
        let core = self.session;
        if core.tran_count() == 0 {
            let id = core.instance.next_transaction();
            let name = name.unwrap_or_default().to_owned();
            *core.transaction.borrow_mut() = Some(Transaction::new(id, name, core.instance.now_datetime()));
            core.set_current(Some(id));
            core.set_tran_count(1);
            self.env(&EnvChange::BeginTransaction(id.0));
        } else {
            core.set_tran_count(core.tran_count() + 1);
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        let core = self.session;
        match core.tran_count() {
            0 => Err(message::begin_missing_commit()),
            1 => {
                self.check_writable()?;
                let id = core.current_transaction();
                self.end_transaction(End::Commit);
                core.set_tran_count(0);
                if let Some(id) = id {
                    self.env(&EnvChange::CommitTransaction(id.0));
                }
                Ok(())
            }
            n => {
                core.set_tran_count(n - 1);
                Ok(())
            }
        }
    }

    pub(super) fn rollback(&mut self, name: Option<&str>) -> Result<()> {
        let core = self.session;
        if core.tran_count() == 0 {
            return Err(message::begin_missing_rollback());
        }
        let savepoint = {
            let mut transaction = core.transaction.borrow_mut();
            match (name, transaction.as_mut()) {
                (Some(name), Some(t)) if !t.name.eq(name) => {
                    Some(t.savepoint(name).ok_or_else(|| message::no_savepoint(name))?)
                }
                _ => None,
            }
        };
        let Some(mark) = savepoint else {
            self.rollback_all();
            return Ok(());
        };
        self.check_writable()?;
        if let Some(t) = core.transaction.borrow_mut().as_mut() {
            t.undo_to(mark, &core.instance.server);
        }
        Ok(())
    }

    pub(super) fn save(&mut self, name: &str) -> Result<()> {
        if self.session.tran_count() == 0 {
            return Err(message::no_transaction_save());
        }
        self.check_writable()?;
        if let Some(t) = self.session.transaction.borrow_mut().as_mut() {
            t.save(name.to_owned());
        }
        Ok(())
    }

    /// Rolls back the open transaction, if any, with everything nested in it.
    pub(in crate::engine) fn rollback_all(&mut self) {
        let core = self.session;
        let open = core.tran_count() > 0;
        let id = core.current_transaction();
        self.end_transaction(End::Rollback);
        if open {
            core.set_tran_count(0);
            if let Some(id) = id {
                self.env(&EnvChange::RollbackTransaction(id.0));
            }
        }
    }

    fn end_transaction(&mut self, end: End) {
        end_transaction(self.session, end);
    }

    /// A transaction manager request.
    pub fn transaction_request(&mut self, request: &TransactionRequest) {
        let result = match request {
            TransactionRequest::Begin { isolation, name } => {
                if let Some(level) = isolation {
                    self.session.settings.borrow_mut().isolation = *level;
                }
                self.begin(Some(name).filter(|n| !n.is_empty()).map(String::as_str))
            }
            TransactionRequest::Commit { begin_next } => {
                let result = self.commit();
                if *begin_next { result.and_then(|()| self.begin(None)) } else { result }
            }
            TransactionRequest::Rollback { name, begin_next } => {
                let result = self.rollback(Some(name).filter(|n| !n.is_empty()).map(String::as_str));
                if *begin_next { result.and_then(|()| self.begin(None)) } else { result }
            }
            TransactionRequest::Save { name } => self.save(name),
        };
        match result {
            Ok(()) => self.done(None, super::Command::Other),
            Err(error) => self.fail(&error, false),
        }
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Commit,
    Rollback,
}

/// A commit waits until its log records are on disk; nothing interrupts that.
fn flush_log(core: &crate::engine::session::SessionCore) {
    let delay = core.instance.faults.disk_delay();
    if !delay.is_zero() {
        core.waiting("WRITELOG", || crate::types::Cancel::new().wait_timeout(delay));
    }
}

/// Ends the session's transaction: its rows, its holdback, its snapshot, its locks.
pub fn end_transaction(core: &crate::engine::session::SessionCore, end: End) {
    let Some(transaction) = core.transaction.borrow_mut().take() else { return };
    let (id, snapshot) = (transaction.id, transaction.snapshot);
    if end == End::Commit && transaction.cost() > 0 {
        flush_log(core);
    }
    match end {
        End::Commit => transaction.commit(&core.instance.clock, &core.instance.server, core.instance.now()),
        End::Rollback => transaction.rollback(&core.instance.server),
    }
    if let Some(seq) = snapshot {
        core.instance.clock.close_snapshot(seq);
    }
    core.instance.locks.release_all(id);
    core.set_current(None);
}
