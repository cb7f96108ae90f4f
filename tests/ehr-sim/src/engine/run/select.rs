//! SELECT as a statement: rows to the client, to variables, or into a new table.

use super::{Command, Runner};
use crate::engine::ast::{Body, Query};
use crate::engine::bind::Binder;
use crate::engine::exec::{Exec, Flow};
use crate::engine::message::{self, Result};
use crate::engine::plan::QueryPlan;
use crate::types::{Datum, Row};
use std::sync::Arc;

impl Runner<'_> {
    pub(super) fn select(&mut self, query: &Query) -> Result<()> {
        let into = match &query.body {
            Body::Select(select) => select.into.as_ref(),
            Body::Set(..) | Body::Nested(_) => None,
        };
        self.begin_implicit(matches!(&query.body, Body::Select(s) if s.from.is_empty()))?;
        let format_only = self.session.settings.borrow().format_only;
        let count = self.in_statement(|runner, exec| {
            let mut binder = Binder::new(exec);
            let plan = binder.query(query)?;
            binder.check_permissions()?;
            if let (Some(name), false) = (into, format_only) {
                return runner.select_into(name, &plan, exec);
            }
            if format_only && (into.is_some() || !plan.assign.is_empty()) {
                return Ok(0);
            }
            if plan.assign.is_empty() { runner.send(&plan, exec) } else { runner.assign_rows(&plan, exec) }
        })?;
        self.session.set_row_count(count as i64);
        let assigns = into.is_none() && is_assignment(query);
        if !assigns {
            self.done(Some(count), Command::Select);
        }
        Ok(())
    }

    fn send(&mut self, plan: &QueryPlan, exec: &Exec<'_>) -> Result<u64> {
        let mut count = 0;
        let limit = self.session.settings.borrow().row_limit;
        self.emit(|o| o.columns(&plan.columns));
        if self.session.settings.borrow().format_only {
            return Ok(0);
        }
        let run = exec.run(plan, None, &mut |row| {
            count += 1;
            self.emit(|o| o.row(row));
            if self.stopped {
                return Err(message::cancelled());
            }
            Ok(if count == limit { Flow::Enough } else { Flow::More })
        });
        // A CATCH block goes on with other results; this one is ended for the client first.
        if run.is_err() && self.tries > 0 {
            self.done(Some(count), Command::Select);
        }
        run.map(|_| count)
    }

    fn assign_rows(&mut self, plan: &QueryPlan, exec: &Exec<'_>) -> Result<u64> {
        let mut count = 0;
        exec.run(plan, None, &mut |row| {
            count += 1;
            for ((index, _), value) in plan.assign.iter().zip(row) {
                self.session.set_variable(*index, value.clone());
            }
            Ok(Flow::More)
        })?;
        Ok(count)
    }

    /// All rows of a plan, kept apart from what is written meanwhile.
    pub(super) fn collect(plan: &QueryPlan, exec: &Exec<'_>) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        exec.run(plan, None, &mut |row: &[Datum]| {
            rows.push(Arc::from(row));
            Ok(Flow::More)
        })?;
        Ok(rows)
    }

    /// Under IMPLICIT_TRANSACTIONS a statement that touches data opens a transaction.
    pub(super) fn begin_implicit(&mut self, touches_nothing: bool) -> Result<()> {
        if self.session.settings.borrow().implicit && self.session.tran_count() == 0 && !touches_nothing {
            self.begin(None)?;
        }
        Ok(())
    }
}

fn is_assignment(query: &Query) -> bool {
    match &query.body {
        Body::Select(select) => matches!(select.items.first(), Some(crate::engine::ast::Item::Assign { .. })),
        Body::Set(..) | Body::Nested(_) => false,
    }
}
