//! Constraints of a row: NOT NULL (515), CHECK and FOREIGN KEY (547) both ways, with CASCADE and SET NULL.

#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::ops::Bound as Limit;
use std::sync::Arc;

use super::Runner;
use super::dml::Target;
use crate::engine::ast::Action;
use crate::engine::bind::{Binder, Scope};
use crate::engine::exec::{Exec, Rows};
use crate::engine::message::{self, Result};
use crate::engine::storage::Key;
use crate::engine::storage::lock::{Mode, Resource};
use crate::engine::storage::schema::ForeignKey;
use crate::engine::storage::table::{PageEnd, Range, Read, Table};
use crate::engine::value::compare;
use crate::types::{Datum, Row};

impl Runner<'_> {
    pub(super) fn check_nulls(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        row: &[Datum],
        verb: &str,
    ) -> Result<()> {
        for (column, value) in target.table.info.columns.iter().zip(row) {
            if value.is_null() && !column.nullable {
                return Err(message::null_into(&column.name, target.full_name(exec), verb));
            }
        }
        Ok(())
    }

    /// CHECK constraints: only false refuses.
    pub(super) fn check_row(&self, exec: &Exec<'_>, target: &Target, row: &Row, verb: &str) -> Result<()> {
        let info = &target.table.info;
        for check in &info.checks {
            let mut binder = Binder::new(exec);
            let columns = binder.table_columns(&target.database, &target.table, &info.name, None, "SELECT");
            binder.scopes.push(Scope { columns });
            let condition = binder.condition(&check.condition)?;
            if exec.truth(&condition, &Rows { row, outer: None })? == Some(false) {
                let table = target.two_part_name(exec);
                let column = check.column.as_ref().map_or(String::new(), |c| format!(", column '{c}'"));
                return Err(message::constraint_conflict(
                    verb,
                    "CHECK",
                    &check.name,
                    &target.database.name,
                    table,
                    column,
                ));
            }
        }
        Ok(())
    }

    /// FOREIGN KEYs of a new row: each parent must exist. Answers locks on parents, to be held until the row is in.
    pub(super) fn check_parents(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        row: &Row,
        old: Option<&Row>,
        verb: &str,
    ) -> Result<Vec<Resource>> {
        let mut held = Vec::new();
        let metadata = exec.metadata(&target.database);
        for foreign in &target.table.info.foreign {
            let values: Vec<Datum> = foreign.columns.iter().map(|at| row[*at].clone()).collect();
            let unchanged = old.is_some_and(|old| foreign.columns.iter().all(|at| old[*at] == row[*at]));
            if unchanged || values.iter().any(Datum::is_null) {
                continue;
            }
            let Some(parent) = metadata.table_by_id(foreign.table) else { continue };
            let own = parent.info.object_id == target.table.info.object_id
                && foreign
                    .referenced
                    .iter()
                    .zip(&values)
                    .all(|(at, v)| compare::compare(&row[*at], v).is_eq());
            if own {
                continue;
            }
            match self.find_match(exec, parent, &foreign.referenced, &values)? {
                Some((key, _)) => {
                    let resource = Resource::Row(parent.info.object_id, key);
                    if exec.lock(resource.clone(), Mode::Shared)? {
                        held.push(resource);
                    }
                }
                None => return Err(self.parent_missing(exec, target, foreign, parent, verb)),
            }
        }
        Ok(held)
    }

    fn parent_missing(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        foreign: &ForeignKey,
        parent: &Arc<Table>,
        verb: &str,
    ) -> message::SqlError {
        let parent_target = Target { database: target.database.clone(), table: parent.clone() };
        let column = match foreign.referenced.as_slice() {
            [one] => format!(", column '{}'", parent.info.columns[*one].name),
            _ => String::new(),
        };
        let kind = if parent.info.object_id == target.table.info.object_id {
            "FOREIGN KEY SAME TABLE"
        } else {
            "FOREIGN KEY"
        };
        let table = parent_target.two_part_name(exec);
        message::constraint_conflict(verb, kind, &foreign.name, &target.database.name, table, column)
    }

    /// Rows that refer to a row about to lose its key: refused, cascaded or set NULL.
    pub(super) fn check_children(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        old: &Row,
        new: Option<&Row>,
        depth: u32,
    ) -> Result<()> {
        let metadata = exec.metadata(&target.database);
        for child in metadata.tables() {
            for foreign in child.info.foreign.iter().filter(|f| f.table == target.table.info.object_id) {
                let kept = new.is_some_and(|new| foreign.referenced.iter().all(|at| old[*at] == new[*at]));
                if kept || foreign.referenced.iter().any(|at| old[*at].is_null()) {
                    continue;
                }
                let child = Target { database: target.database.clone(), table: child.clone() };
                self.meet_children(exec, target, &child, foreign, (old, new, depth))?;
            }
        }
        Ok(())
    }

    fn meet_children(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        child: &Target,
        foreign: &ForeignKey,
        (old, new, depth): (&Row, Option<&Row>, u32),
    ) -> Result<()> {
        let values: Vec<Datum> = foreign.referenced.iter().map(|at| old[*at].clone()).collect();
        let action = if new.is_some() { foreign.on_update } else { foreign.on_delete };
        exec.lock(Resource::Table(child.table.info.object_id), Mode::IntentExclusive)?;
        while let Some((key, row)) = self.find_match(exec, &child.table, &foreign.columns, &values)? {
            if action == Action::Refuse || depth > 16 {
                return Err(self.child_exists(exec, target, child, foreign, new.is_some()));
            }
            exec.lock(Resource::Row(child.table.info.object_id, key.clone()), Mode::Exclusive)?;
            if action == Action::Cascade && new.is_none() {
                self.check_children(exec, child, &row, None, depth + 1)?;
                self.put(child, &mut child.table.write(), &key, None);
                continue;
            }
            let mut changed = row.to_vec();
            for (at, parent) in foreign.columns.iter().zip(&foreign.referenced) {
                changed[*at] = match (action, new) {
                    (Action::Cascade, Some(new)) => new[*parent].clone(),
                    _ => Datum::Null,
                };
            }
            if let Some(at) = child.table.info.rowversion() {
                changed[at] = Datum::RowVersion(child.database.stamp(exec.txn));
            }
            self.check_nulls(exec, child, &changed, "UPDATE")?;
            self.put_changed(exec, child, &key, &row, &Arc::from(changed))?;
        }
        Ok(())
    }

    fn child_exists(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        child: &Target,
        foreign: &ForeignKey,
        update: bool,
    ) -> message::SqlError {
        let same = child.table.info.object_id == target.table.info.object_id;
        let kind = if same { "SAME TABLE REFERENCE" } else { "REFERENCE" };
        let column = match foreign.columns.as_slice() {
            [one] => format!(", column '{}'", child.table.info.columns[*one].name),
            _ => String::new(),
        };
        let verb = if update { "UPDATE" } else { "DELETE" };
        let table = child.two_part_name(exec);
        message::constraint_conflict(verb, kind, &foreign.name, &target.database.name, table, column)
    }

    /// A current row whose columns have these values; waits for writers in the way.
    fn find_match(
        &self,
        exec: &Exec<'_>,
        table: &Arc<Table>,
        columns: &[usize],
        values: &[Datum],
    ) -> Result<Option<(Key, Row)>> {
        let range = range_for(table, columns, values);
        let equal = |row: &Row| {
            columns
                .iter()
                .zip(values)
                .all(|(at, v)| !row[*at].is_null() && compare::compare(&row[*at], v).is_eq())
        };
        let mut after = None;
        let mut rows = Vec::new();
        loop {
            exec.check_cancelled()?;
            rows.clear();
            let end = table.page(&range, &mut after, Read::Current(exec.txn), 256, &mut rows);
            if let Some(found) = rows.iter().find(|(_, row)| equal(row)) {
                return Ok(Some(found.clone()));
            }
            match end {
                PageEnd::Last => return Ok(None),
                PageEnd::More => {}
                PageEnd::Blocked(key) => self.await_row(exec, table, key)?,
            }
        }
    }
}

/// The part of an index that holds rows with these values, or the whole table.
fn range_for(table: &Table, columns: &[usize], values: &[Datum]) -> Range {
    let leading = table
        .info
        .indexes
        .iter()
        .position(|index| index.columns.first().is_some_and(|(c, _)| columns.contains(c)));
    let Some(at) = leading else {
        return Range { index: None, low: Limit::Unbounded, high: Limit::Unbounded, reverse: false };
    };
    let mut prefix = Vec::new();
    for (column, descending) in &table.info.indexes[at].columns {
        let Some(i) = columns.iter().position(|c| c == column) else { break };
        compare::append_key(&values[i], *descending, &mut prefix);
    }
    let mut high = prefix.clone();
    let high = loop {
        match high.pop() {
            Some(0xFF) => {}
            Some(last) => {
                high.push(last + 1);
                break Limit::Excluded(high);
            }
            None => break Limit::Unbounded,
        }
    };
    Range { index: Some(at), low: Limit::Included(prefix), high, reverse: false }
}
