//! UPDATE, DELETE and TRUNCATE. Rows are found first, then locked, looked at again, and written.
//!
//! Invariant `seen-again`: a row that changed between finding and locking is written only if it still qualifies,
//! and from its current values; under SNAPSHOT isolation it is a conflict (3960).

#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::collections::HashSet;
use std::sync::Arc;

use super::dml::{BoundOutput, Target, check_log};
use super::{Command, Runner};
use crate::engine::ast::{BinaryOp, Cte, Delete, Expr, From, Hint, Name, SetClause, Top, Update};
use crate::engine::bind::{Binder, WriteTarget, conjuncts, implicit};
use crate::engine::exec::{Exec, Flow, Rows};
use crate::engine::message::{self, Result};
use crate::engine::plan::{Bound, Kind, Source};
use crate::engine::security::On;
use crate::engine::storage::Key;
use crate::engine::storage::lock::{Mode, Resource};
use crate::engine::storage::table::Read;
use crate::engine::value::text;
use crate::types::{Datum, Isolation, Row, SqlType};

/// Where a statement finds the rows it writes.
struct Found {
    target: Target,
    source: Source,
    filters: Vec<Bound>,
    /// All conditions, for the second look.
    conditions: Vec<Bound>,
    base: usize,
    top: Option<u64>,
}

struct Clauses<'q> {
    name: &'q Name,
    hints: &'q [Hint],
    ctes: &'q [Cte],
    top: Option<&'q Top>,
    from: &'q [From],
    filter: Option<&'q Expr>,
}

/// Takes the runner, a row's place, the joined row it was found in, and the row itself.
type EachRow<'f, R> = &'f mut dyn FnMut(&mut R, &Key, &[Datum], &Row) -> Result<()>;

enum Assign {
    Column(usize, Option<Bound>),
    Variable(usize, Bound),
}

impl Runner<'_> {
    pub(super) fn update(&mut self, update: &Update) -> Result<()> {
        self.begin_implicit(false)?;
        let count = self.in_statement(|runner, exec| runner.update_rows(exec, update))?;
        self.ended(count, Command::Update);
        Ok(())
    }

    /// Binds the statement and, unless it is only compiled, writes its rows.
    pub(super) fn update_rows(&mut self, exec: &Exec<'_>, update: &Update) -> Result<u64> {
        let mut binder = Binder::new(exec);
        let clauses = Clauses {
            name: &update.target,
            hints: &update.hints,
            ctes: &update.ctes,
            top: update.top.as_ref(),
            from: &update.from,
            filter: update.filter.as_ref(),
        };
        let from = self.default_from(&clauses);
        let found = self.find(&mut binder, &clauses, &from)?;
        let sets = self.bind_sets(&mut binder, &found.target, &update.sets)?;
        let output = self.bind_output(&mut binder, &found.target, update.output.as_ref())?;
        binder.check_permissions()?;
        if self.session.compiling.get() {
            return Ok(0);
        }
        let mut outputs = Vec::new();
        let count = self.each_found(exec, &found, &mut |runner, key, joined, old| {
            let new = runner.changed_row(exec, &found.target, &sets, joined, old)?;
            runner.check_row(exec, &found.target, &new, "UPDATE")?;
            let held = runner.check_parents(exec, &found.target, &new, Some(old), "UPDATE")?;
            runner.check_children(exec, &found.target, old, Some(&new), 0)?;
            let put = runner.put_changed(exec, &found.target, key, old, &new);
            held.iter().for_each(|r| exec.unlock(r));
            put?;
            outputs.extend(runner.output_row(exec, output.as_ref(), Some(old), Some(&new))?);
            Ok(())
        })?;
        self.finish_output(exec, output.as_ref(), &outputs)?;
        Ok(count)
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<()> {
        self.begin_implicit(false)?;
        let count = self.in_statement(|runner, exec| runner.delete_rows(exec, delete))?;
        self.ended(count, Command::Delete);
        Ok(())
    }

    /// Binds the statement and, unless it is only compiled, removes its rows.
    pub(super) fn delete_rows(&mut self, exec: &Exec<'_>, delete: &Delete) -> Result<u64> {
        let mut binder = Binder::new(exec);
        let clauses = Clauses {
            name: &delete.target,
            hints: &delete.hints,
            ctes: &delete.ctes,
            top: delete.top.as_ref(),
            from: &delete.from,
            filter: delete.filter.as_ref(),
        };
        let from = self.default_from(&clauses);
        let found = self.find(&mut binder, &clauses, &from)?;
        binder.need(&found.target.database, found.target.table.info.object_id, "DELETE");
        let output: Option<BoundOutput> =
            self.bind_output(&mut binder, &found.target, delete.output.as_ref())?;
        binder.check_permissions()?;
        if self.session.compiling.get() {
            return Ok(0);
        }
        let mut outputs = Vec::new();
        let count = self.each_found(exec, &found, &mut |runner, key, _, old| {
            check_log(&found.target.database)?;
            runner.check_children(exec, &found.target, old, None, 0)?;
            runner.put(&found.target, &mut found.target.table.write(), key, None);
            outputs.extend(runner.output_row(exec, output.as_ref(), Some(old), None)?);
            Ok(())
        })?;
        self.finish_output(exec, output.as_ref(), &outputs)?;
        Ok(count)
    }

    pub(super) fn truncate(&mut self, name: &Name) -> Result<()> {
        self.in_statement(|runner, exec| {
            let mut binder = Binder::new(exec);
            let target = runner.target(&mut binder, name, Mode::SchemaModification)?;
            let info = &target.table.info;
            if !runner.session.has_permission(&target.database, On::object(info.object_id), "ALTER") {
                return Err(message::no_such_index_table(name));
            }
            let metadata = exec.metadata(&target.database);
            let referenced = |t: &Arc<crate::engine::storage::table::Table>| {
                t.info.object_id != info.object_id && t.info.foreign.iter().any(|f| f.table == info.object_id)
            };
            if metadata.tables().any(referenced) {
                return Err(message::truncate_referenced(name));
            }
            check_log(&target.database)?;
            let mut data = target.table.write();
            let keys: Vec<Key> = data.rows.keys().cloned().collect();
            for key in keys {
                runner.put(&target, &mut data, &key, None);
            }
            drop(data);
            if let Some(transaction) = runner.session.transaction.borrow_mut().as_mut() {
                transaction.truncates(&target.table);
            }
            *crate::engine::storage::guard(&target.table.identity) = None;
            Ok(())
        })?;
        self.done(None, Command::Other);
        Ok(())
    }

    /// Without FROM a statement reads its target alone.
    fn default_from(&self, clauses: &Clauses<'_>) -> Vec<From> {
        if clauses.from.is_empty() {
            let (name, hints) = (clauses.name.clone(), clauses.hints.to_vec());
            vec![From::Table { name, alias: None, hints }]
        } else {
            clauses.from.to_vec()
        }
    }

    /// Binds target, FROM and WHERE.
    fn find<'q>(
        &self,
        binder: &mut Binder<'_, 'q>,
        clauses: &Clauses<'q>,
        from: &'q [From],
    ) -> Result<Found> {
        if clauses.hints.contains(&Hint::NoLock) {
            return Err(message::nolock_target());
        }
        if clauses.ctes.iter().any(|cte| text::equal(&cte.name, clauses.name.object())) {
            return Err(message::not_supported("common table expression as a target"));
        }
        binder.push_ctes(clauses.ctes)?;
        let aliased = aliased_name(from, clauses.name);
        let name = aliased.as_ref().unwrap_or(clauses.name);
        let target = self.target(binder, name, Mode::IntentExclusive)?;
        binder.target = Some(WriteTarget {
            name: clauses.name.object().to_owned(),
            object: target.table.info.object_id,
            by_alias: aliased.is_some(),
            base: None,
        });
        let mut source = binder.from_list(from)?;
        let base =
            binder.target.take().and_then(|t| t.base).ok_or_else(|| message::invalid_object(clauses.name))?;
        let mut filters = Vec::new();
        let mut conditions = Vec::new();
        if let Some(filter) = clauses.filter {
            conditions = conjuncts(binder.condition(filter)?);
            crate::engine::bind::place_all(&mut source, conditions.clone(), &mut filters);
        }
        crate::engine::bind::place_join_conditions(&mut source);
        let top = match binder.top(clauses.top)? {
            Some(_) if self.session.compiling.get() => None,
            Some(top) if !top.percent => {
                let n = binder.exec.constant(&top.count)?.as_i64().ok_or_else(message::bad_top)?;
                Some(u64::try_from(n).map_err(|_| message::negative_top())?)
            }
            Some(_) => return Err(message::not_supported("PERCENT")),
            None => None,
        };
        let limit = self.session.settings.borrow().row_limit;
        let top = if limit > 0 { Some(top.map_or(limit, |n| n.min(limit))) } else { top };
        Ok(Found { target, source, filters, conditions, base, top })
    }

    /// Finds the rows, then locks, looks again and hands each to `f`.
    fn each_found(&mut self, exec: &Exec<'_>, found: &Found, f: EachRow<'_, Self>) -> Result<u64> {
        let width = found.target.table.info.columns.len();
        let place = found.base + width;
        let mut rows: Vec<Vec<Datum>> = Vec::new();
        let mut seen: HashSet<Key> = HashSet::new();
        let start = Rows { row: &[], outer: None };
        if found.top != Some(0) {
            exec.source(&found.source, &start, &mut |rows_at| {
                let Some(Datum::Binary(key)) = rows_at.row.get(place) else { return Ok(Flow::More) };
                if exec.all(&found.filters, rows_at)? && seen.insert(key.clone()) {
                    rows.push(rows_at.row.to_vec());
                }
                Ok(if found.top == Some(rows.len() as u64) { Flow::Enough } else { Flow::More })
            })?;
        }
        let mut count = 0;
        for mut joined in rows {
            exec.check_cancelled()?;
            let Datum::Binary(key) = joined[place].clone() else { continue };
            let Some(current) = self.lock_found(exec, found, &key)? else { continue };
            if joined[found.base..place] != current[..] {
                joined[found.base..place].clone_from_slice(&current);
                if !exec.all(&found.conditions, &Rows { row: &joined, outer: None })? {
                    continue;
                }
            }
            f(self, &key, &joined, &current)?;
            count += 1;
        }
        Ok(count)
    }

    /// The row as it is once it is ours, or nothing if it is gone.
    fn lock_found(&self, exec: &Exec<'_>, found: &Found, key: &Key) -> Result<Option<Row>> {
        let table = &found.target.table;
        exec.lock(Resource::Row(table.info.object_id, key.clone()), Mode::Exclusive)?;
        if self.session.isolation() == Isolation::Snapshot
            && let Some(seq) = self.session.transaction_snapshot()
            && table.read().rows.get(key).is_none_or(|slot| slot.seq > seq)
        {
            let name = found.target.two_part_name(exec);
            return Err(message::snapshot_conflict(name, &found.target.database.name));
        }
        Ok(table.row(key, Read::Current(exec.txn)).unwrap_or(None))
    }

    fn bind_sets<'q>(
        &self,
        binder: &mut Binder<'_, 'q>,
        target: &Target,
        sets: &'q [SetClause],
    ) -> Result<Vec<Assign>> {
        let used = binder.need(&target.database, target.table.info.object_id, "UPDATE");
        let mut list: Vec<Assign> = Vec::new();
        for set in sets {
            match set {
                SetClause::Column { column, op, value } => {
                    let at =
                        target.table.info.column(column).ok_or_else(|| message::invalid_column(column))?;
                    let info = &target.table.info.columns[at];
                    if list.iter().any(|a| matches!(a, Assign::Column(other, _) if *other == at)) {
                        return Err(message::column_twice(column));
                    }
                    refuse_fixed(info)?;
                    binder.uses[used].columns.insert(info.id);
                    let value =
                        value.as_ref().map(|e| self.set_value(binder, target, at, *op, e)).transpose()?;
                    list.push(Assign::Column(at, value));
                }
                SetClause::Variable { variable, op, value } => {
                    let found = self.session.variable(variable);
                    let (index, ty) = found.ok_or_else(|| message::must_declare(variable))?;
                    let value = binder.value(value)?;
                    let value = match op {
                        Some(op) => {
                            let current = Bound { kind: Kind::Variable(index), ty, nullable: true };
                            crate::engine::bind::arithmetic(*op, current, value)?
                        }
                        None => value,
                    };
                    list.push(Assign::Variable(index, implicit(value, ty)?));
                }
            }
        }
        Ok(list)
    }

    fn set_value<'q>(
        &self,
        binder: &mut Binder<'_, 'q>,
        target: &Target,
        at: usize,
        op: Option<BinaryOp>,
        expr: &'q Expr,
    ) -> Result<Bound> {
        let info = &target.table.info.columns[at];
        let value = binder.value(expr)?;
        let value = match op {
            Some(op) => {
                let scope = binder.scopes.last();
                let own = scope.and_then(|s| {
                    s.columns.iter().position(|c| {
                        text::equal(&c.name, &info.name) && c.origin.is_some_and(|(_, id)| id == info.id)
                    })
                });
                let current = Bound::column(own.unwrap_or(at), info.ty, info.nullable);
                crate::engine::bind::arithmetic(op, current, value)?
            }
            None => value,
        };
        if !value.is_null_literal() && value.ty != info.ty {
            crate::engine::value::convert::check_implicit(value.ty, info.ty)?;
        }
        Ok(value)
    }

    /// The new version of a row.
    fn changed_row(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        sets: &[Assign],
        joined: &[Datum],
        old: &Row,
    ) -> Result<Row> {
        let rows = Rows { row: joined, outer: None };
        let mut new = old.to_vec();
        for set in sets {
            match set {
                Assign::Column(at, value) => {
                    let value = match value {
                        Some(value) => exec.eval(value, &rows)?,
                        None => self.default_of(exec, target, *at)?,
                    };
                    new[*at] = self.store_value(exec, target, *at, &value)?;
                }
                Assign::Variable(index, value) => {
                    let value = exec.eval(value, &rows)?;
                    self.session.set_variable(*index, value);
                }
            }
        }
        if let Some(at) = target.table.info.rowversion() {
            new[at] = Datum::RowVersion(target.database.stamp(exec.txn));
            self.touch(target);
        }
        self.compute(exec, target, &mut new)?;
        self.check_nulls(exec, target, &new, "UPDATE")?;
        Ok(Arc::from(new))
    }
}

fn refuse_fixed(info: &crate::engine::storage::schema::ColumnInfo) -> Result<()> {
    if info.identity.is_some() {
        return Err(message::update_identity(&info.name));
    }
    if info.ty == SqlType::RowVersion {
        return Err(message::update_timestamp());
    }
    if info.computed.is_some() {
        return Err(message::computed_column(&info.name));
    }
    Ok(())
}

/// The table behind `UPDATE a ... FROM t AS a`.
fn aliased_name(from: &[From], target: &Name) -> Option<Name> {
    from.iter().find_map(|item| match item {
        From::Table { name, alias: Some(alias), .. }
            if target.0.len() == 1 && text::equal(alias, target.object()) =>
        {
            Some(name.clone())
        }
        From::Join { left, right, .. } => aliased_name(std::slice::from_ref(left), target)
            .or_else(|| aliased_name(std::slice::from_ref(right), target)),
        From::Table { .. }
        | From::Function { .. }
        | From::Changes { .. }
        | From::Derived { .. }
        | From::Values { .. } => None,
    })
}
