//! The runner: statements of a batch in order, control of flow, TRY/CATCH, and what an error ends.
//!
//! Invariants:
//! - `every-statement-settles`: when a statement ends, its own transaction is committed, or undone to where it began.
//! - `told-once`: an error is reported once, or handled by a CATCH block and not reported.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use std::sync::Arc;

use super::ast::{Argument, BinaryOp, Expr, Located, Stmt};
use super::bind::Binder;
use super::message::{self, Reach, Result, SqlError};
use super::parse;
use super::session::{SessionCore, Settings, Variable};
use super::storage::database::Database;
use super::value::arith;
use super::value::convert::{self, Fit};
use crate::types::{Cancel, Datum, Done, DoneKind, EnvChange, Output, Param, SqlMessage, SqlType, Stopped};

mod alter;
mod backup;
mod check;
mod compile;
mod database;
mod ddl;
mod dml;
mod grant;
mod insert;
mod modify;
mod principals;
mod raise;
mod select;
mod set;
mod table;
mod tracking;
mod transaction;

pub use transaction::{End, end_transaction};

/// How a run of statements ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Normally,
    Returned(i32),
    Broke,
    Continued,
}

/// CurCmd of MS-TDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Other = 0,
    Select = 0xC1,
    Insert = 0xC3,
    Delete = 0xC4,
    Update = 0xC5,
}

pub struct Runner<'a> {
    session: &'a SessionCore,
    output: &'a mut dyn Output,
    cancel: &'a Cancel,
    kind: DoneKind,
    tries: u32,
    /// TRY blocks of the scopes around this one.
    outer_tries: u32,
    nesting: u32,
    loops: u32,
    done_sent: bool,
    pub stopped: bool,
}

impl<'a> Runner<'a> {
    pub fn new(session: &'a SessionCore, output: &'a mut dyn Output, cancel: &'a Cancel) -> Self {
        Self {
            session,
            output,
            cancel,
            kind: DoneKind::Statement,
            tries: 0,
            outer_tries: 0,
            nesting: 0,
            loops: 0,
            done_sent: false,
            stopped: false,
        }
    }

    pub fn core(&self) -> &'a SessionCore {
        self.session
    }

    /// The flag that stops what is running.
    pub fn cancelled(&self) -> &'a Cancel {
        self.cancel
    }

    /// Runs a batch and sends at least one DONE.
    pub fn batch(&mut self, text: &str) {
        self.session.variables.borrow_mut().clear();
        self.session.locals.borrow_mut().retain(|name, _| !name.starts_with('@'));
        let result = parse::parse_batch(text).and_then(|list| {
            self.compile(&list)?;
            self.list(&list)
        });
        self.settle(result.map(drop));
        self.close_batch();
        if !self.done_sent {
            self.done(None, Command::Other);
        }
    }

    /// Runs a procedure call.
    pub fn rpc(&mut self, procedure: &str, params: Vec<Param>) {
        self.session.variables.borrow_mut().clear();
        self.session.locals.borrow_mut().retain(|name, _| !name.starts_with('@'));
        self.kind = DoneKind::InProcedure;
        let mut error = false;
        match self.call(procedure, params) {
            Ok((status, outputs)) => {
                self.emit(|o| o.return_status(status));
                for (ordinal, param) in &outputs {
                    self.emit(|o| o.return_value(*ordinal, param));
                }
            }
            Err(failed) => {
                error = true;
                self.settle(Err(failed));
            }
        }
        self.close_batch();
        let done = Done { kind: DoneKind::Procedure, count: None, error, command: 0xE0 };
        self.emit(|o| o.done(done));
    }

    /// At a request's end a doomed transaction goes, and EXECUTE AS of the batch with it stays.
    fn close_batch(&mut self) {
        let doomed = self.session.transaction.borrow().as_ref().is_some_and(|t| t.doomed);
        if doomed {
            self.rollback_all();
            self.report(&message::doomed_at_end());
        }
    }

    fn settle(&mut self, result: Result<()>) {
        if let Err(error) = result
            && !error.reported
        {
            self.fail(&error, false);
        }
    }

    /// Runs statements until one ends the list.
    pub fn list(&mut self, list: &[Located]) -> Result<Ended> {
        for located in list {
            match self.located(located)? {
                Ended::Normally => {}
                other => return Ok(other),
            }
        }
        Ok(Ended::Normally)
    }

    fn located(&mut self, located: &Located) -> Result<Ended> {
        let result = match self.check_stop() {
            Ok(()) => self.statement(&located.stmt),
            Err(stop) => Err(stop),
        };
        let control = matches!(
            located.stmt,
            Stmt::If { .. } | Stmt::While { .. } | Stmt::Block(_) | Stmt::Try { .. } | Stmt::Set(_)
        );
        match result {
            Ok(ended) => {
                if !control && !matches!(located.stmt, Stmt::Throw(_) | Stmt::RaisError { .. }) {
                    self.session.set_last_error(0);
                }
                Ok(ended)
            }
            Err(mut error) => {
                error.deferred |= binds_names(&located.stmt) && error.is_of_names();
                self.failed(error.at(located.line), writes(&located.stmt))
            }
        }
    }

    fn check_stop(&self) -> Result<()> {
        if self.stopped || self.cancel.is_cancelled() { Err(message::cancelled()) } else { Ok(()) }
    }

    /// Decides what an error ends.
    fn failed(&mut self, mut error: SqlError, writes: bool) -> Result<Ended> {
        let xact_abort = self.session.settings.borrow().xact_abort;
        if error.number == 0 {
            return Err(error);
        }
        self.session.set_last_error(error.number);
        let catchers = if error.deferred { self.outer_tries } else { self.tries };
        if catchers > 0 && !error.reported {
            let fatal = error.reach == Reach::Transaction || xact_abort;
            if error.number == 1205 {
                self.rollback_all();
            } else if fatal && let Some(t) = self.session.transaction.borrow_mut().as_mut() {
                t.doomed = true;
            }
            return Err(error);
        }
        if !error.reported {
            self.fail(&error, writes && !xact_abort);
            error.reported = true;
            let user_raised = error.number >= 50000 && error.reach == Reach::Statement;
            if error.reach == Reach::Transaction || xact_abort && !user_raised {
                error.reach = Reach::Transaction;
                self.rollback_all();
            }
        }
        if error.reach == Reach::Statement { Ok(Ended::Normally) } else { Err(error) }
    }

    /// Sends an error and its DONE.
    fn fail(&mut self, error: &SqlError, writes: bool) {
        if error.number == 0 {
            return;
        }
        self.report(error);
        if writes && error.terminates() {
            let told = message::info(3621, 0, "The statement has been terminated.");
            self.info(&SqlMessage { line: error.line.max(1), ..told });
        }
        let done = Done { kind: self.kind, count: None, error: true, command: 0 };
        self.done_sent = true;
        self.emit(|o| o.done(done));
    }

    fn report(&mut self, error: &SqlError) {
        let message = error.message();
        self.emit(|o| o.message(&message));
    }

    fn info(&mut self, message: &SqlMessage) {
        self.emit(|o| o.message(message));
    }

    fn emit(&mut self, f: impl FnOnce(&mut dyn Output) -> std::result::Result<(), Stopped>) {
        if !self.stopped && f(self.output).is_err() {
            self.stopped = true;
        }
    }

    fn env(&mut self, change: &EnvChange) {
        self.emit(|o| o.env(change));
    }

    /// A statement's DONE; a count also becomes `@@ROWCOUNT`.
    fn done(&mut self, count: Option<u64>, command: Command) {
        let no_count = self.session.settings.borrow().no_count;
        let shown = count.filter(|_| !no_count);
        let done = Done { kind: self.kind, count: shown, error: false, command: command as u16 };
        self.done_sent = true;
        self.emit(|o| o.done(done));
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<Ended> {
        match stmt {
            Stmt::If { condition, then, otherwise } => {
                if self.test(condition)? {
                    self.located(then)
                } else {
                    otherwise.as_ref().map_or(Ok(Ended::Normally), |e| self.located(e))
                }
            }
            Stmt::While { condition, body } => self.repeat(condition, body),
            Stmt::Block(list) => self.list(list),
            Stmt::Try { body, handler } => self.try_catch(body, handler),
            Stmt::Break if self.loops > 0 => Ok(Ended::Broke),
            Stmt::Break => Err(message::loop_keyword("BREAK")),
            Stmt::Continue if self.loops > 0 => Ok(Ended::Continued),
            Stmt::Continue => Err(message::loop_keyword("CONTINUE")),
            Stmt::Return(value) => {
                let status = match value {
                    Some(expr) => self.scalar(expr, SqlType::Int)?.as_i64().unwrap_or(0) as i32,
                    None => 0,
                };
                Ok(Ended::Returned(status))
            }
            Stmt::Execute { procedure, args, returns } => self.execute(procedure, args, returns.as_deref()),
            Stmt::ExecuteText(parts) => self.execute_text(parts),
            other => self.plain(other).map(|()| Ended::Normally),
        }
    }

    fn plain(&mut self, stmt: &Stmt) -> Result<()> {
        let format_only = self.session.settings.borrow().format_only;
        if format_only && !matches!(stmt, Stmt::Select(_) | Stmt::Set(_) | Stmt::Use(_) | Stmt::Declare(_)) {
            return Ok(());
        }
        match stmt {
            Stmt::Select(query) => self.select(query),
            Stmt::Insert(insert) => self.insert(insert),
            Stmt::Update(update) => self.update(update),
            Stmt::Delete(delete) => self.delete(delete),
            Stmt::Truncate(name) => self.truncate(name),
            Stmt::Declare(list) => self.declare(list),
            Stmt::DeclareTable { name, columns, constraints } => {
                self.declare_table(name, columns, constraints)
            }
            Stmt::SetVariable { name, op, value } => self.assign(name, *op, value),
            Stmt::Set(option) => self.set_option(option),
            Stmt::Use(name) => self.use_database(name),
            Stmt::Print(expr) => self.print(expr),
            Stmt::RaisError { message, severity, state, args, log, .. } => {
                self.raise_error(message, (severity, state), args, *log)
            }
            Stmt::Throw(throw) => self.throw(throw.as_ref()),
            Stmt::Begin(name) => {
                let name = self.transaction_name(name.as_ref())?;
                self.begin(name.as_deref())
            }
            Stmt::Commit => self.commit(),
            Stmt::Rollback(name) => {
                let name = self.transaction_name(name.as_ref())?;
                self.rollback(name.as_deref())
            }
            Stmt::Save(name) => {
                let name = self.transaction_name(Some(name))?;
                self.save(&name.unwrap_or_default())
            }
            Stmt::ExecuteAs { kind, name, no_revert } => self.execute_as(*kind, name, *no_revert),
            Stmt::Revert => {
                self.session.pop_context();
                Ok(())
            }
            Stmt::WaitFor { delay, until } => self.wait_for(delay, *until),
            Stmt::Kill(id) => self.kill(*id),
            Stmt::Security(stmt) => self.security(stmt),
            Stmt::Checkpoint => Ok(()),
            Stmt::Backup(database) => self.backup(database),
            other => self.define(other),
        }
    }

    fn repeat(&mut self, condition: &Expr, body: &Located) -> Result<Ended> {
        self.loops += 1;
        let ended = loop {
            match self.test(condition) {
                Ok(true) => {}
                Ok(false) => break Ok(Ended::Normally),
                Err(error) => break Err(error),
            }
            match self.located(body) {
                Ok(Ended::Normally | Ended::Continued) => {}
                Ok(Ended::Broke) => break Ok(Ended::Normally),
                other => break other,
            }
        };
        self.loops -= 1;
        ended
    }

    fn try_catch(&mut self, body: &[Located], handler: &[Located]) -> Result<Ended> {
        self.tries += 1;
        let result = self.list(body);
        self.tries -= 1;
        match result {
            Err(error) if !error.reported && !error.deferred && error.number != 0 => {
                self.session.push_caught(error);
                let ended = self.list(handler);
                self.session.pop_caught();
                ended
            }
            other => other,
        }
    }

    /// Evaluates a value as `to`, outside any query.
    pub(super) fn scalar(&mut self, expr: &Expr, to: SqlType) -> Result<Datum> {
        let (value, _) = self.scalar_typed(expr, Some(to))?;
        Ok(value)
    }

    fn scalar_typed(&mut self, expr: &Expr, to: Option<SqlType>) -> Result<(Datum, SqlType)> {
        self.in_statement(|_, exec| {
            let mut binder = Binder::new(exec);
            let mut bound = binder.value(expr)?;
            if let Some(to) = to {
                bound = super::bind::implicit(bound, to)?;
            }
            binder.check_permissions()?;
            Ok((exec.constant(&bound)?, bound.ty))
        })
    }

    fn test(&mut self, condition: &Expr) -> Result<bool> {
        let truth = self.in_statement(|_, exec| {
            let mut binder = Binder::new(exec);
            let bound = binder.condition(condition)?;
            binder.check_permissions()?;
            Ok(exec.truth(&bound, &super::exec::NO_ROW)? == Some(true))
        });
        truth.map_err(|mut error| {
            error.deferred |= error.is_of_names();
            error
        })
    }

    fn declare(&mut self, list: &[(String, super::ast::TypeName, Option<Expr>)]) -> Result<()> {
        for (at, (name, ty, value)) in list.iter().enumerate() {
            let declared = ty.ty.ok_or_else(|| message::bad_type(at + 1, &ty.name))?;
            let found = self.session.variable(name);
            let initial = match value {
                Some(expr) => self.scalar(expr, declared)?,
                // Reached again, a variable without an initializer keeps its value.
                None if found.is_some() => continue,
                None => Datum::Null,
            };
            match found {
                Some((index, _)) => self.session.set_variable(index, initial),
                None => {
                    let variable = Variable { name: name.clone(), ty: declared, value: initial };
                    self.session.variables.borrow_mut().push(variable);
                }
            }
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, op: Option<BinaryOp>, value: &Expr) -> Result<()> {
        let (index, ty) = self.session.variable(name).ok_or_else(|| message::must_declare(name))?;
        let value = match op {
            Some(op) => {
                let (operand, operand_ty) = self.scalar_typed(value, None)?;
                let result = arith::result_type(op, ty, operand_ty)?;
                let sum = arith::apply(op, &self.session.variable_value(index), &operand, result)?;
                convert::convert(&sum, ty, 0, Fit::Cut)?
            }
            None => self.scalar(value, ty)?,
        };
        self.session.set_variable(index, value);
        self.session.set_row_count(1);
        Ok(())
    }

    fn execute(
        &mut self,
        procedure: &super::ast::Name,
        args: &[Argument],
        returns: Option<&str>,
    ) -> Result<Ended> {
        let mut params = Vec::new();
        for arg in args {
            let (value, ty) = match &arg.value {
                Some(expr) => self.scalar_typed(expr, None)?,
                None => (Datum::Null, SqlType::Int),
            };
            let name = arg.name.clone().unwrap_or_default();
            params.push(Param { name, ty, value, output: arg.output });
        }
        let (status, outputs) = self.call(&self.procedure_name(procedure)?, params)?;
        for (ordinal, param) in outputs {
            if let Some(Expr::Variable(name)) = args.get(usize::from(ordinal)).and_then(|a| a.value.as_ref())
                && let Some((index, ty)) = self.session.variable(name)
            {
                self.session.set_variable(index, convert::convert(&param.value, ty, 0, Fit::Cut)?);
            }
        }
        if let Some((index, ty)) = returns.and_then(|name| self.session.variable(name)) {
            self.session.set_variable(index, convert::convert(&Datum::Int(status), ty, 0, Fit::Cut)?);
        }
        Ok(Ended::Normally)
    }

    /// `EXECUTE @name` runs the procedure that the variable names.
    fn procedure_name(&self, procedure: &super::ast::Name) -> Result<String> {
        match procedure.0.as_slice() {
            [name] if name.starts_with('@') => {
                let (index, _) = self.session.variable(name).ok_or_else(|| message::must_declare(name))?;
                Ok(self.session.variable_value(index).as_str().unwrap_or_default().to_owned())
            }
            _ => Ok(procedure.to_string()),
        }
    }

    fn execute_text(&mut self, parts: &[Expr]) -> Result<Ended> {
        let mut text = String::new();
        for part in parts {
            let value = self.scalar_typed(part, None)?.0;
            text.push_str(value.as_str().unwrap_or_default());
        }
        self.nested(&text, Vec::new())?;
        Ok(Ended::Normally)
    }

    /// Runs text in a scope of its own; answers its variables as they were at the end.
    pub fn nested(&mut self, text: &str, variables: Vec<Variable>) -> Result<(Ended, Vec<Variable>)> {
        if self.nesting >= 32 {
            return Err(message::SqlError::new(
                217,
                16,
                1,
                "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32).",
            ));
        }
        let outer = self.session.variables.replace(variables);
        let (settings, home) = (self.session.settings.borrow().clone(), self.session.database());
        let tables = self.session.locals.borrow().clone();
        self.session.locals.borrow_mut().retain(|name, _| !name.starts_with('@'));
        let outer_tries = std::mem::replace(&mut self.outer_tries, self.tries);
        let (kind, loops) = (self.kind, std::mem::take(&mut self.loops));
        self.kind = DoneKind::InProcedure;
        self.nesting += 1;
        let parsed = parse::parse_batch(text).and_then(|list| self.compile(&list).map(|()| list));
        let result = match parsed {
            Ok(list) => self.list(&list),
            Err(error) => self.failed(error, false),
        };
        self.outer_tries = outer_tries;
        self.nesting -= 1;
        self.loops = loops;
        self.kind = kind;
        let after = self.session.variables.replace(outer);
        self.leave_scope(settings, home);
        // Local tables end with their scope; the outer scope's variables are its own again.
        let mut locals = self.session.locals.borrow_mut();
        locals.retain(|name, _| !name.starts_with('@') && tables.contains_key(name));
        locals.extend(tables.into_iter().filter(|(name, _)| name.starts_with('@')));
        drop(locals);
        match result {
            Ok(ended) => Ok((ended, after)),
            // The error ended the inner scope; the calling one goes on unless the transaction went too.
            Err(error) if error.reported && error.reach == Reach::Batch => Ok((Ended::Returned(1), after)),
            Err(mut error) => {
                error.deferred = false;
                Err(error)
            }
        }
    }

    /// Options and the database that text of its own has set end with it; CONTEXT_INFO is the session's.
    fn leave_scope(&mut self, mut settings: Settings, home: Arc<Database>) {
        settings.context_info = self.session.settings.borrow().context_info.clone();
        self.session.settings.replace(settings);
        self.show_settings();
        let inner = self.session.database();
        if inner.id != home.id {
            let (new, old) = (home.name.clone(), inner.name.clone());
            self.session.set_database(home);
            self.env(&EnvChange::Database { new, old });
        }
    }
}

/// Statements whose names are resolved when they run if not before.
fn binds_names(stmt: &Stmt) -> bool {
    matches!(
        stmt,
        Stmt::Select(_)
            | Stmt::Insert(_)
            | Stmt::Update(_)
            | Stmt::Delete(_)
            | Stmt::SetVariable { .. }
            | Stmt::Declare(_)
            | Stmt::Print(_)
    )
}

/// Statements whose end by an error is told by 3621.
fn writes(stmt: &Stmt) -> bool {
    matches!(
        stmt,
        Stmt::Insert(_) | Stmt::Update(_) | Stmt::Delete(_) | Stmt::AlterTable { .. } | Stmt::CreateIndex(_)
    )
}
