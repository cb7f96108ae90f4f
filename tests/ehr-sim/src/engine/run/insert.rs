//! INSERT: VALUES, SELECT, DEFAULT VALUES; identity, defaults, computed columns, rowversion.

use std::sync::Arc;

use super::dml::{Target, positions};
use super::{Command, Runner};
use crate::engine::ast::{Expr, Insert, InsertSource};
use crate::engine::bind::{Binder, Scope, implicit};
use crate::engine::exec::{Exec, Rows};
use crate::engine::message::{self, Result};
use crate::engine::storage::guard;
use crate::engine::storage::lock::Mode;
use crate::engine::value::convert::{self, Fit};
use crate::types::{Datum, Row, SqlType};

impl Runner<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<()> {
        self.begin_implicit(false)?;
        let count = self.in_statement(|runner, exec| runner.insert_rows(exec, insert))?;
        self.ended(count, Command::Insert);
        Ok(())
    }

    /// Binds the statement and, unless it is only compiled, writes its rows.
    pub(super) fn insert_rows(&mut self, exec: &Exec<'_>, insert: &Insert) -> Result<u64> {
        let mut binder = Binder::new(exec);
        let target = self.target(&mut binder, &insert.target, Mode::IntentExclusive)?;
        binder.need(&target.database, target.table.info.object_id, "INSERT");
        let columns = self.insert_columns(&target, insert)?;
        let output = self.bind_output(&mut binder, &target, insert.output.as_ref())?;
        let top = binder.top(insert.top.as_ref())?;
        let mut source = self.source_rows(&mut binder, exec, insert, (&target, &columns))?;
        if self.session.compiling.get() {
            return Ok(0);
        }
        if let Some(top) = top {
            source.truncate(exec.top_rows(&top, source.len())?);
        }
        let mut outputs = Vec::new();
        let mut count = 0;
        for values in source {
            let row = self.complete_row(exec, &target, &columns, &values)?;
            self.insert_checked(exec, &target, &row)?;
            outputs.extend(self.output_row(exec, output.as_ref(), None, Some(&row))?);
            count += 1;
        }
        self.finish_output(exec, output.as_ref(), &outputs)?;
        Ok(count)
    }

    /// Writes a complete row that holds its constraints.
    pub(super) fn insert_checked(&self, exec: &Exec<'_>, target: &Target, row: &Row) -> Result<()> {
        self.check_row(exec, target, row, "INSERT")?;
        let held = self.check_parents(exec, target, row, None, "INSERT")?;
        let put = self.put_new(exec, target, row);
        held.iter().for_each(|resource| exec.unlock(resource));
        put.map(drop)
    }

    /// The columns the source supplies, with the rules for identity and rowversion.
    fn insert_columns(&self, target: &Target, insert: &Insert) -> Result<Vec<usize>> {
        let info = &target.table.info;
        let explicit = self.session.settings.borrow().identity_insert == Some(info.object_id);
        let columns = positions(&target.table, &insert.columns)?;
        if self.session.compiling.get() {
            // IDENTITY_INSERT is known when the statement runs.
            return Ok(columns);
        }
        for at in &columns {
            let column = &info.columns[*at];
            if column.ty == SqlType::RowVersion && insert.columns.len() == columns.len() {
                let defaults = matches!(&insert.source, InsertSource::Values(rows)
                    if rows.iter().all(|r| columns.iter().position(|c| c == at).is_some_and(|i| matches!(r.get(i), Some(None)))));
                if !defaults {
                    return Err(message::insert_timestamp());
                }
            }
            if column.computed.is_some() {
                return Err(message::computed_column(&column.name));
            }
            if column.identity.is_some() && !explicit {
                return Err(message::identity_insert_off(&info.name));
            }
        }
        if explicit && !columns.iter().any(|at| info.columns[*at].identity.is_some()) {
            return Err(if insert.columns.is_empty() {
                message::identity_insert_list(&info.name)
            } else {
                message::identity_insert_needed(&info.name)
            });
        }
        Ok(columns)
    }

    /// The source's values, one per supplied column.
    fn source_rows<'q>(
        &mut self,
        binder: &mut Binder<'_, 'q>,
        exec: &Exec<'_>,
        insert: &'q Insert,
        (target, columns): (&Target, &[usize]),
    ) -> Result<Vec<Vec<Datum>>> {
        match &insert.source {
            InsertSource::Defaults => {
                binder.check_permissions()?;
                if self.session.compiling.get() {
                    return Ok(Vec::new());
                }
                let defaults = columns.iter().map(|at| self.default_of(exec, target, *at));
                Ok(vec![defaults.collect::<Result<Vec<_>>>()?])
            }
            InsertSource::Values(rows) => {
                let mut bound = Vec::new();
                for row in rows {
                    check_count(row.len(), columns.len(), !insert.columns.is_empty())?;
                    for (value, at) in row.iter().zip(columns) {
                        let ty = target.table.info.columns[*at].ty;
                        bound.push(match value {
                            Some(expr) => {
                                let value = binder.value(expr)?;
                                if !value.is_null_literal() && value.ty != ty {
                                    convert::check_implicit(value.ty, ty)?;
                                }
                                Some(value)
                            }
                            None => None,
                        });
                    }
                }
                binder.check_permissions()?;
                if self.session.compiling.get() {
                    return Ok(Vec::new());
                }
                let mut list = Vec::new();
                for row in bound.chunks(columns.len().max(1)) {
                    let values = row.iter().zip(columns).map(|(value, at)| match value {
                        Some(value) => exec.constant(value),
                        None => self.default_of(exec, target, *at),
                    });
                    list.push(values.collect::<Result<Vec<_>>>()?);
                }
                Ok(list)
            }
            InsertSource::Query(query) => {
                let plan = binder.query(query)?;
                binder.check_permissions()?;
                if plan.columns.len() != columns.len() {
                    return Err(if plan.columns.len() < columns.len() {
                        message::insert_select_fewer()
                    } else {
                        message::insert_select_more()
                    });
                }
                for (column, at) in plan.columns.iter().zip(columns) {
                    convert::check_implicit(column.ty, target.table.info.columns[*at].ty)?;
                }
                if self.session.compiling.get() {
                    return Ok(Vec::new());
                }
                Ok(Self::collect(&plan, exec)?.into_iter().map(|row| row.to_vec()).collect())
            }
        }
    }

    /// A column's default, NULL without one.
    pub(super) fn default_of(&self, exec: &Exec<'_>, target: &Target, at: usize) -> Result<Datum> {
        match &target.table.info.columns[at].default {
            Some(default) => constant(exec, &default.expr, target.table.info.columns[at].ty),
            None => Ok(Datum::Null),
        }
    }

    /// A whole row from the supplied values: converted, completed, stamped, NULLs refused.
    pub(super) fn complete_row(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        columns: &[usize],
        values: &[Datum],
    ) -> Result<Row> {
        let info = &target.table.info;
        let mut row = vec![Datum::Null; info.columns.len()];
        for (at, value) in columns.iter().zip(values) {
            row[*at] = self.store_value(exec, target, *at, value)?;
        }
        for (at, column) in info.columns.iter().enumerate() {
            let supplied = columns.contains(&at);
            if let (Some((seed, step)), false) = (column.identity, supplied) {
                row[at] = self.next_identity(target, at, (seed, step))?;
            } else if column.identity.is_some() {
                self.note_identity(target, &row[at]);
            } else if column.ty == SqlType::RowVersion {
                row[at] = Datum::RowVersion(target.database.stamp(exec.txn));
                self.touch(target);
            } else if !supplied && column.computed.is_none() {
                let default = self.default_of(exec, target, at)?;
                row[at] = self.store_value(exec, target, at, &default)?;
            }
        }
        self.compute(exec, target, &mut row)?;
        self.check_nulls(exec, target, &row, "INSERT")?;
        Ok(Arc::from(row))
    }

    pub(super) fn touch(&self, target: &Target) {
        if let Some(transaction) = self.session.transaction.borrow_mut().as_mut() {
            transaction.touch(&target.database);
        }
    }

    /// Computed columns, from the others.
    pub(super) fn compute(&self, exec: &Exec<'_>, target: &Target, row: &mut [Datum]) -> Result<()> {
        for at in 0..row.len() {
            let Some((expr, _)) = &target.table.info.columns[at].computed else { continue };
            let value = over_row(exec, target, expr, row)?;
            row[at] = convert::convert(&value, target.table.info.columns[at].ty, 0, Fit::Cut)?;
        }
        Ok(())
    }

    /// A value as its column stores it; what does not fit is 2628.
    pub(super) fn store_value(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        at: usize,
        value: &Datum,
    ) -> Result<Datum> {
        let column = &target.table.info.columns[at];
        convert::convert(value, column.ty, 0, Fit::Refuse).map_err(|error| {
            if error.number == convert::TRUNCATION {
                message::truncated(target.full_name(exec), &column.name, &error.text)
            } else {
                error
            }
        })
    }

    fn next_identity(&self, target: &Target, at: usize, (seed, step): (i64, i64)) -> Result<Datum> {
        let mut last = guard(&target.table.identity);
        let next = match *last {
            Some(last) => last.checked_add(step).ok_or_else(|| message::overflow("IDENTITY"))?,
            None => seed,
        };
        let ty = target.table.info.columns[at].ty;
        let value = convert::convert(&Datum::BigInt(next), ty, 0, Fit::Refuse)
            .map_err(|_| message::overflow_from("IDENTITY", ty.name()))?;
        *last = Some(next);
        drop(last);
        self.session.set_identity(convert::decimal(i128::from(next), 38, 0));
        Ok(value)
    }

    /// An explicit value moves the identity on.
    fn note_identity(&self, target: &Target, value: &Datum) {
        let Some(n) = convert::to_i64(value) else { return };
        let mut last = guard(&target.table.identity);
        if last.is_none_or(|l| n > l) {
            *last = Some(n);
        }
        drop(last);
        self.session.set_identity(convert::decimal(i128::from(n), 38, 0));
    }
}

fn check_count(values: usize, columns: usize, listed: bool) -> Result<()> {
    match values.cmp(&columns) {
        std::cmp::Ordering::Equal => Ok(()),
        _ if !listed => Err(message::insert_arity()),
        std::cmp::Ordering::Less => Err(message::more_columns()),
        std::cmp::Ordering::Greater => Err(message::fewer_columns()),
    }
}

/// A stored expression without columns (a default).
pub(super) fn constant(exec: &Exec<'_>, expr: &Expr, ty: SqlType) -> Result<Datum> {
    let mut binder = Binder::new(exec);
    let bound = implicit(binder.value(expr)?, ty)?;
    exec.constant(&bound)
}

/// A stored expression over a table's row (a computed column).
pub(super) fn over_row(exec: &Exec<'_>, target: &Target, expr: &Expr, row: &[Datum]) -> Result<Datum> {
    let mut binder = Binder::new(exec);
    let columns =
        binder.table_columns(&target.database, &target.table, &target.table.info.name, None, "SELECT");
    binder.scopes.push(Scope { columns });
    let bound = binder.value(expr)?;
    exec.eval(&bound, &Rows { row, outer: None })
}
