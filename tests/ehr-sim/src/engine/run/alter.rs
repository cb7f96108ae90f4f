//! ALTER TABLE: columns and constraints added, dropped, changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Runner;
use super::dml::Target;
use crate::engine::ast::{AlterTable, ColumnDef, ConstraintKind, Name, TableConstraint};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::storage::schema::{KeyKind, TableInfo};
use crate::engine::storage::table::Table;
use crate::engine::value::convert::{self, Fit};
use crate::engine::value::text;
use crate::types::{Datum, Length, Row, SqlType};

impl Runner<'_> {
    pub(super) fn alter_table(&mut self, name: &Name, change: &AlterTable) -> Result<()> {
        self.in_statement(|runner, exec| {
            let (database, table) = runner.alterable(exec, name).map_err(|error| match error.number {
                1088 => message::cannot_find_object(name),
                _ => error,
            })?;
            let target = Target { database, table };
            match change {
                AlterTable::AddColumns(columns) => runner.add_columns(exec, &target, columns),
                AlterTable::AddConstraint(constraint) => {
                    runner.add_table_constraint(exec, &target, constraint)
                }
                AlterTable::DropColumns(columns) => runner.drop_columns(exec, &target, columns),
                AlterTable::DropConstraint { names, if_exists } => {
                    runner.drop_constraints(exec, &target, names, *if_exists)
                }
                AlterTable::AlterColumn(column) => runner.alter_column(exec, &target, column),
                AlterTable::ChangeTracking { on, columns_updated } => {
                    runner.track_table(exec, &target, name, (*on, *columns_updated))
                }
            }
        })
    }

    fn add_columns(&self, exec: &Exec<'_>, target: &Target, columns: &[ColumnDef]) -> Result<()> {
        let mut info = target.table.info.clone();
        let first = info.columns.len();
        for column in columns {
            self.add_column(exec, &mut info, column)?;
            for constraint in &column.constraints {
                self.add_constraint(exec, &target.database, &mut info, constraint, Some(&column.name))?;
            }
        }
        let empty = target.table.row_count() == 0;
        let mut added = Vec::new();
        for column in &info.columns[first..] {
            let fills =
                column.default.is_some() || column.identity.is_some() || column.ty == SqlType::RowVersion;
            if !column.nullable && !fills && !empty && column.computed.is_none() {
                return Err(message::add_not_null(&column.name, &info.name));
            }
            added.push(match &column.default {
                Some(default) if !column.nullable => super::insert::constant(exec, &default.expr, column.ty)?,
                _ => Datum::Null,
            });
        }
        let numbers = std::cell::Cell::new(0i64);
        let fresh = info.columns[first..].to_vec();
        let fill = |row: &Row| -> Row {
            let mut wide = row.to_vec();
            for (column, value) in fresh.iter().zip(&added) {
                wide.push(match (column.ty, column.identity) {
                    (SqlType::RowVersion, _) => Datum::RowVersion(target.database.stamp(exec.txn)),
                    (ty, Some((seed, step))) => {
                        let n = seed + step * numbers.get();
                        numbers.set(numbers.get() + 1);
                        convert::convert(&Datum::BigInt(n), ty, 0, Fit::Cut).unwrap_or(Datum::Null)
                    }
                    _ => value.clone(),
                });
            }
            Arc::from(wide)
        };
        self.touch(target);
        let identity = info.identity().filter(|at| *at >= first).and_then(|at| info.columns[at].identity);
        self.replace_table(exec, &target.database, &target.table, info, &fill)?;
        if let Some((seed, step)) = identity.filter(|_| numbers.get() > 0) {
            *crate::engine::storage::guard(&target.table.identity) = Some(seed + step * (numbers.get() - 1));
        }
        Ok(())
    }

    fn add_table_constraint(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        constraint: &TableConstraint,
    ) -> Result<()> {
        let mut info = target.table.info.clone();
        if let ConstraintKind::Key { primary: true, columns, .. } = &constraint.kind {
            let nullable = |name: &str| info.column(name).is_some_and(|at| info.columns[at].nullable);
            if columns.iter().any(|(name, _)| nullable(name)) {
                return Err(message::primary_nullable(&info.name));
            }
        }
        self.add_constraint(exec, &target.database, &mut info, constraint, None)?;
        let checked = Target { database: target.database.clone(), table: Arc::new(Table::new(info.clone())) };
        let checks = matches!(constraint.kind, ConstraintKind::Check { .. } | ConstraintKind::Foreign { .. });
        if checks {
            let rows: Vec<Row> =
                target.table.read().rows.values().filter_map(|s| s.committed.clone()).collect();
            for row in &rows {
                self.check_row(exec, &checked, row, "ALTER TABLE")?;
                self.check_parents(exec, &checked, row, None, "ALTER TABLE")?;
            }
        }
        self.replace_table(exec, &target.database, &target.table, info, &|row| row.clone())
    }

    fn drop_columns(&self, exec: &Exec<'_>, target: &Target, columns: &[String]) -> Result<()> {
        let mut info = target.table.info.clone();
        let mut dropped = BTreeSet::new();
        for name in columns {
            let at = info.column(name).ok_or_else(|| message::drop_missing_column(name, &info.name))?;
            refuse_dependents(&info, at)?;
            dropped.insert(at);
        }
        let place = |at: usize| at - dropped.iter().filter(|d| **d < at).count();
        for index in &mut info.indexes {
            index.columns.iter_mut().for_each(|(at, _)| *at = place(*at));
            index.include.iter_mut().for_each(|at| *at = place(*at));
        }
        for foreign in &mut info.foreign {
            foreign.columns.iter_mut().for_each(|at| *at = place(*at));
            if foreign.table == info.object_id {
                foreign.referenced.iter_mut().for_each(|at| *at = place(*at));
            }
        }
        let mut at = 0;
        info.columns.retain(|_| {
            at += 1;
            !dropped.contains(&(at - 1))
        });
        let narrow = |row: &Row| -> Row {
            row.iter().enumerate().filter(|(at, _)| !dropped.contains(at)).map(|(_, v)| v.clone()).collect()
        };
        self.replace_table(exec, &target.database, &target.table, info, &narrow)?;
        self.renumber_references(exec, target, &place)
    }

    /// Foreign keys of other tables keep pointing at the same columns.
    fn renumber_references(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        place: &dyn Fn(usize) -> usize,
    ) -> Result<()> {
        let own = target.table.info.object_id;
        let metadata = exec.metadata(&target.database);
        let children: Vec<_> = metadata
            .tables()
            .filter(|t| t.info.object_id != own && t.info.foreign.iter().any(|f| f.table == own))
            .cloned()
            .collect();
        for child in children {
            let mut info = child.info.clone();
            for foreign in info.foreign.iter_mut().filter(|f| f.table == own) {
                foreign.referenced.iter_mut().for_each(|at| *at = place(*at));
            }
            self.replace_table(exec, &target.database, &child, info, &|row| row.clone())?;
        }
        Ok(())
    }

    fn drop_constraints(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        names: &[String],
        if_exists: bool,
    ) -> Result<()> {
        let mut info = target.table.info.clone();
        for name in names {
            let same = |other: &str| text::equal(other, name);
            let before = (info.indexes.len(), info.foreign.len(), info.checks.len());
            if let Some(index) = info.indexes.iter().find(|i| i.constraint.is_some() && same(&i.name)) {
                if target.table.info.tracking.is_some()
                    && matches!(index.constraint, Some((KeyKind::Primary, _)))
                {
                    return Err(message::tracked_key(name, &target.table.info.name));
                }
                self.refuse_referenced(
                    exec,
                    target,
                    &index.columns.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
                    name,
                )?;
            }
            info.indexes.retain(|i| i.constraint.is_none() || !same(&i.name));
            info.foreign.retain(|f| !same(&f.name));
            info.checks.retain(|c| !same(&c.name));
            let mut found = before != (info.indexes.len(), info.foreign.len(), info.checks.len());
            for column in &mut info.columns {
                found |= column.default.take_if(|d| same(&d.name)).is_some();
            }
            if !found && !if_exists {
                return Err(message::not_a_constraint(name));
            }
        }
        self.replace_table(exec, &target.database, &target.table, info, &|row| row.clone())
    }

    fn refuse_referenced(&self, exec: &Exec<'_>, target: &Target, key: &[usize], name: &str) -> Result<()> {
        let metadata = exec.metadata(&target.database);
        let own = target.table.info.object_id;
        for table in metadata.tables() {
            let uses = table
                .info
                .foreign
                .iter()
                .find(|f| f.table == own && f.referenced.iter().all(|at| key.contains(at)));
            if let Some(foreign) = uses {
                let text = format!(
                    "The constraint '{name}' is being referenced by table '{}', foreign key constraint '{}'.",
                    table.info.name, foreign.name
                );
                return Err(message::SqlError::new(3725, 16, 0, text));
            }
        }
        Ok(())
    }

    fn alter_column(&self, exec: &Exec<'_>, target: &Target, column: &ColumnDef) -> Result<()> {
        let mut info = target.table.info.clone();
        let at = info
            .column(&column.name)
            .ok_or_else(|| message::alter_missing_column(&column.name, &info.name))?;
        let ty = column.ty.ty.ok_or_else(|| message::bad_type(1, &column.ty.name))?;
        let fixed = ty == SqlType::RowVersion
            || info.columns[at].ty == SqlType::RowVersion
            || info.columns[at].computed.is_some();
        if fixed {
            let text = format!("Cannot alter column '{}' because it is 'timestamp'.", column.name);
            return Err(message::SqlError::new(4928, 16, 1, text));
        }
        refuse_alteration(&info, at, ty)?;
        info.columns[at].ty = ty;
        info.columns[at].nullable = column.nullable.unwrap_or(true);
        let rows: Vec<Row> = target.table.read().rows.values().filter_map(|s| s.committed.clone()).collect();
        for row in &rows {
            self.store_value(
                exec,
                &Target { database: target.database.clone(), table: Arc::new(Table::new(info.clone())) },
                at,
                &row[at],
            )?;
            if row[at].is_null() && !info.columns[at].nullable {
                return Err(message::null_into(&column.name, target.full_name(exec), "UPDATE"));
            }
        }
        let convert = |row: &Row| -> Row {
            let mut changed = row.to_vec();
            changed[at] = convert::convert(&row[at], ty, 0, Fit::Cut).unwrap_or(Datum::Null);
            Arc::from(changed)
        };
        self.replace_table(exec, &target.database, &target.table, info, &convert)
    }
}

/// A column that something depends on may only grow, if its length varies; one of a key may not even do that.
fn refuse_alteration(info: &TableInfo, at: usize, to: SqlType) -> Result<()> {
    let from = info.columns[at].ty;
    let keyed = info.primary_key().is_some_and(|key| key.columns.iter().any(|(c, _)| *c == at))
        || info.foreign.iter().any(|f| f.columns.contains(&at));
    if from == to || grows(from, to) && !keyed {
        return Ok(());
    }
    match refuse_dependents(info, at) {
        // A default stays with its type in another length.
        Err(_) if std::mem::discriminant(&from) == std::mem::discriminant(&to) => {
            let mut without = info.clone();
            without.columns[at].default = None;
            refuse_dependents(&without, at)
        }
        other => other,
    }
}

fn grows(from: SqlType, to: SqlType) -> bool {
    let length = |t: SqlType| match t {
        SqlType::VarChar(Length::Of(n)) => Some((0, u32::from(n))),
        SqlType::NVarChar(Length::Of(n)) => Some((1, u32::from(n))),
        SqlType::VarBinary(Length::Of(n)) => Some((2, u32::from(n))),
        _ => None,
    };
    matches!((length(from), length(to)), (Some((a, n)), Some((b, m))) if a == b && n <= m)
}

/// 5074: something depends on the column.
fn refuse_dependents(info: &TableInfo, at: usize) -> Result<()> {
    let column = &info.columns[at];
    let refuse = |kind: &str, name: &str| Err(message::column_in_use(kind, name, &column.name));
    for index in &info.indexes {
        if index.columns.iter().any(|(c, _)| *c == at) || index.include.contains(&at) {
            return refuse(if index.constraint.is_some() { "object" } else { "index" }, &index.name);
        }
    }
    if let Some(foreign) = info.foreign.iter().find(|f| f.columns.contains(&at)) {
        return refuse("object", &foreign.name);
    }
    if let Some(check) =
        info.checks.iter().find(|c| text::equal(c.column.as_deref().unwrap_or(""), &column.name))
    {
        return refuse("object", &check.name);
    }
    match &column.default {
        Some(default) => refuse("object", &default.name),
        None => Ok(()),
    }
}
