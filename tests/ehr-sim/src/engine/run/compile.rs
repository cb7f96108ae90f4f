//! Compilation of a batch: every statement that can be bound is bound before the first one runs.
//!
//! Invariants: `all-or-nothing`: a batch with a statement that cannot be bound runs no statement at all;
//! `deferred-names`: a statement over an object that is not there yet waits for its turn, and what it meets then no CATCH
//! block of its own scope handles. Facts: "TRY...CATCH" (errors unaffected by it), "DECLARE @local_variable" (scope).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "statements without names to resolve have nothing to bind"
)]

use super::Runner;
use crate::engine::ast::{Expr, Located, Stmt, TypeName};
use crate::engine::bind::{Binder, implicit};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result, SqlError};
use crate::engine::session::{TEMPDB, Variable};
use crate::types::{Datum, SqlType};

/// What surrounds a statement.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    nested: bool,
    looped: bool,
    handler: bool,
}

impl Runner<'_> {
    /// Refuses a batch that cannot be bound; declares its variables.
    pub(super) fn compile(&mut self, list: &[Located]) -> Result<()> {
        if list.is_empty() || matches!(list, [one] if bound_by_itself(&one.stmt)) {
            return Ok(());
        }
        let session = self.session;
        let home = session.database();
        session.compiling.set(true);
        let result = self.in_statement(|runner, exec| runner.compile_list(exec, list, Place::default()));
        session.compiling.set(false);
        if session.database().id != home.id {
            session.set_database(home);
        }
        // A database that cannot be entered is met when USE runs.
        result.or_else(|error| if is_deferred(&error) { Ok(()) } else { Err(error) })
    }

    fn compile_list(&mut self, exec: &Exec<'_>, list: &[Located], place: Place) -> Result<()> {
        for (at, located) in list.iter().enumerate() {
            if at > 0 || place.nested {
                must_be_first(&located.stmt).map_or(Ok(()), |e| Err(e.at(located.line)))?;
            }
            self.compile_one(exec, located, place)?;
        }
        Ok(())
    }

    fn compile_one(&mut self, exec: &Exec<'_>, located: &Located, place: Place) -> Result<()> {
        let inner = Place { nested: true, ..place };
        let own = match &located.stmt {
            Stmt::Use(name) => {
                let database = self.session.open_database(name)?;
                self.session.set_database(database);
                return Ok(());
            }
            Stmt::Block(list) => return self.compile_list(exec, list, inner),
            Stmt::Try { body, handler } => {
                self.compile_list(exec, body, inner)?;
                return self.compile_list(exec, handler, Place { handler: true, ..inner });
            }
            Stmt::While { condition, body } => {
                settled(Binder::new(exec).condition(condition).map(drop), located.line)?;
                return self.compile_one(exec, body, Place { looped: true, ..inner });
            }
            Stmt::If { condition, then, otherwise } => {
                settled(Binder::new(exec).condition(condition).map(drop), located.line)?;
                self.compile_one(exec, then, inner)?;
                return otherwise.as_ref().map_or(Ok(()), |e| self.compile_one(exec, e, inner));
            }
            Stmt::Break if !place.looped => Err(message::loop_keyword("BREAK")),
            Stmt::Continue if !place.looped => Err(message::loop_keyword("CONTINUE")),
            Stmt::Throw(None) if !place.handler => Err(message::throw_outside()),
            other => self.compile_leaf(exec, other),
        };
        settled(own, located.line)
    }

    fn compile_leaf(&mut self, exec: &Exec<'_>, stmt: &Stmt) -> Result<()> {
        let mut binder = Binder::new(exec);
        let mut values: Vec<&Expr> = Vec::new();
        match stmt {
            Stmt::Select(query) => return binder.query(query).map(drop),
            Stmt::Insert(insert) => return self.insert_rows(exec, insert).map(drop),
            Stmt::Update(update) => return self.update_rows(exec, update).map(drop),
            Stmt::Delete(delete) => return self.delete_rows(exec, delete).map(drop),
            Stmt::Declare(list) => return self.hoist(exec, list),
            Stmt::DeclareTable { name, columns, constraints } => {
                if self.session.local_table(name).is_some() || self.session.variable(name).is_some() {
                    return Err(message::declared_twice(name));
                }
                let tempdb = self.session.instance.database_by_id(TEMPDB);
                let tempdb = tempdb.ok_or_else(|| message::no_database("tempdb"))?;
                let info = self.table_info(exec, (&tempdb, 1, name), columns, constraints)?;
                self.keep_local(name, info);
            }
            Stmt::SetVariable { name, value, op } => {
                let (_, ty) = self.session.variable(name).ok_or_else(|| message::must_declare(name))?;
                let bound = binder.value(value)?;
                return if op.is_some() { Ok(()) } else { implicit(bound, ty).map(drop) };
            }
            Stmt::Return(value) => values.extend(value),
            Stmt::Print(value) | Stmt::WaitFor { delay: value, .. } => values.push(value),
            Stmt::RaisError { message, severity, state, args, .. } => {
                values.extend([message, severity, state]);
                values.extend(args);
            }
            Stmt::Throw(Some((number, text, state))) => values.extend([number, text, state]),
            Stmt::ExecuteText(parts) => values.extend(parts),
            Stmt::Execute { args, returns, .. } => {
                if let Some(name) = returns.as_ref().filter(|name| self.session.variable(name).is_none()) {
                    return Err(message::must_declare(name));
                }
                values.extend(args.iter().filter_map(|a| a.value.as_ref()));
            }
            _ => {}
        }
        values.into_iter().try_for_each(|value| binder.value(value).map(drop))
    }

    /// A variable is there for the whole batch, whether its DECLARE is reached or not.
    fn hoist(&mut self, exec: &Exec<'_>, list: &[(String, TypeName, Option<Expr>)]) -> Result<()> {
        for (at, (name, ty, value)) in list.iter().enumerate() {
            let declared: SqlType = ty.ty.ok_or_else(|| message::bad_type(at + 1, &ty.name))?;
            if self.session.variable(name).is_some() || self.session.local_table(name).is_some() {
                return Err(message::declared_twice(name));
            }
            let variable = Variable { name: name.clone(), ty: declared, value: Datum::Null };
            self.session.variables.borrow_mut().push(variable);
            if let Some(value) = value {
                implicit(Binder::new(exec).value(value)?, declared)?;
            }
        }
        Ok(())
    }
}

/// Statements that are bound as a whole before they do anything.
fn bound_by_itself(stmt: &Stmt) -> bool {
    !matches!(
        stmt,
        Stmt::Block(_)
            | Stmt::Try { .. }
            | Stmt::While { .. }
            | Stmt::If { .. }
            | Stmt::Declare(_)
            | Stmt::DeclareTable { .. }
    )
}

fn must_be_first(stmt: &Stmt) -> Option<SqlError> {
    let words = match stmt {
        Stmt::CreateView { alter: true, .. } => "ALTER VIEW",
        Stmt::CreateView { .. } => "CREATE VIEW",
        Stmt::CreateSchema { .. } => "CREATE SCHEMA",
        _ => return None,
    };
    Some(message::must_be_first(words))
}

/// An error of compilation stands; what only the run can tell is left to it.
fn settled(result: Result<()>, line: u32) -> Result<()> {
    match result {
        Err(error) if !is_deferred(&error) => Err(error.at(line)),
        _ => Ok(()),
    }
}

/// Objects and databases that are not there, not open or not ours (yet); locks; a client that gave up.
fn is_deferred(error: &SqlError) -> bool {
    matches!(
        error.number,
        0 | 208 | 229 | 230 | 911 | 916 | 923 | 924 | 942 | 1205 | 1222 | 3906 | 3930 | 3952 | 7202
    )
}
