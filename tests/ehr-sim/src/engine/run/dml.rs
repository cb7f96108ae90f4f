//! What INSERT, UPDATE and DELETE share: the target, writing one row with its uniqueness, the OUTPUT clause.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]
#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::sync::Arc;

use super::{Command, Runner};
use crate::engine::ast::{Name, OutputClause};
use crate::engine::bind::{Binder, Scope, ScopeColumn, TableRef};
use crate::engine::exec::{Exec, Rows};
use crate::engine::message::{self, Result};
use crate::engine::plan::Bound;
use crate::engine::storage::Key;
use crate::engine::storage::database::Database;
use crate::engine::storage::lock::{Mode, Resource};
use crate::engine::storage::schema::{IndexInfo, KeyKind};
use crate::engine::storage::table::{Data, Table, index_key};
use crate::engine::storage::usage::Use;
use crate::engine::value::convert;
use crate::types::{Column, Datum, Row};

/// The table a statement writes.
#[derive(Debug, Clone)]
pub struct Target {
    pub database: Arc<Database>,
    pub table: Arc<Table>,
}

/// A bound OUTPUT clause; its row is the deleted row, then the inserted one.
pub struct BoundOutput {
    pub items: Vec<Bound>,
    pub columns: Vec<Column>,
    pub into: Option<(Target, Vec<usize>)>,
}

/// What stands in the way of a new row.
enum Obstacle {
    Duplicate(usize),
    Busy(Resource),
}

impl Target {
    /// `db.schema.table`, as messages name it.
    pub fn full_name(&self, exec: &Exec<'_>) -> String {
        let metadata = exec.metadata(&self.database);
        format!(
            "{}.{}.{}",
            self.database.name,
            metadata.schema_name(self.table.info.schema_id),
            self.table.info.name
        )
    }

    /// `schema.table`
    pub fn two_part_name(&self, exec: &Exec<'_>) -> String {
        let metadata = exec.metadata(&self.database);
        format!("{}.{}", metadata.schema_name(self.table.info.schema_id), self.table.info.name)
    }
}

impl Runner<'_> {
    /// Resolves a table to write and takes its intent lock.
    pub(super) fn target(&self, binder: &mut Binder<'_, '_>, name: &Name, mode: Mode) -> Result<Target> {
        let (database, table) = match binder.resolve(name)? {
            TableRef::Table(database, table) => (database, table),
            TableRef::View(_, view) => return Err(message::view_not_updatable(&view.name)),
            TableRef::System(_) => return Err(message::not_updatable_table("")),
        };
        if self.session.compiling.get() {
            return Ok(Target { database, table });
        }
        if database.options().read_only {
            return Err(message::read_only(&database.name));
        }
        self.check_writable()?;
        binder.exec.lock(Resource::Table(table.info.object_id), mode)?;
        // A schema change may have ended while the lock was awaited.
        match binder.resolve(name)? {
            TableRef::Table(database, table) => {
                if table.info.clustered().is_none() {
                    binder.exec.note_use(&table, 0, Use::Update);
                }
                table.info.indexes.iter().for_each(|i| binder.exec.note_use(&table, i.id, Use::Update));
                Ok(Target { database, table })
            }
            TableRef::View(..) | TableRef::System(_) => Err(message::invalid_object(name)),
        }
    }

    /// Writes a new row: waits for rows in its way, refuses duplicates.
    pub(super) fn put_new(&self, exec: &Exec<'_>, target: &Target, row: &Row) -> Result<Key> {
        check_log(&target.database)?;
        let table = &target.table;
        loop {
            let busy = {
                let mut data = table.write();
                match obstacle(table, &data, (None, row), exec, None) {
                    Some(Obstacle::Duplicate(index)) => {
                        drop(data);
                        return Err(self.duplicate(exec, target, index, row));
                    }
                    Some(Obstacle::Busy(resource)) => resource,
                    None => {
                        let key = table.new_key(&mut data, row);
                        let resource = Resource::Row(table.info.object_id, key.clone());
                        match exec.lock_now(resource.clone(), Mode::Exclusive) {
                            Ok(_) => {
                                self.put(target, &mut data, &key, Some(row.clone()));
                                return Ok(key);
                            }
                            Err(_) => resource,
                        }
                    }
                }
            };
            self.await_resource(exec, &busy)?;
        }
    }

    /// Replaces a locked row by another version of it.
    pub(super) fn put_changed(
        &self,
        exec: &Exec<'_>,
        target: &Target,
        key: &Key,
        old: &Row,
        new: &Row,
    ) -> Result<()> {
        check_log(&target.database)?;
        let table = &target.table;
        if table.moves(old, new) {
            self.put(target, &mut table.write(), key, None);
            return self.put_new(exec, target, new).map(drop);
        }
        loop {
            let busy = {
                let mut data = table.write();
                match obstacle(table, &data, (Some(old), new), exec, Some(key)) {
                    Some(Obstacle::Duplicate(index)) => {
                        drop(data);
                        return Err(self.duplicate(exec, target, index, new));
                    }
                    Some(Obstacle::Busy(other)) => other,
                    None => {
                        self.put(target, &mut data, key, Some(new.clone()));
                        return Ok(());
                    }
                }
            };
            self.await_resource(exec, &busy)?;
        }
    }

    pub(super) fn put(&self, target: &Target, data: &mut Data, key: &Key, row: Option<Row>) {
        if let Some(transaction) = self.session.transaction.borrow_mut().as_mut() {
            transaction.touch(&target.database);
            transaction.put(&target.table, data, key, row);
        }
    }

    /// Waits until the writer of a row has ended.
    pub(super) fn await_row(&self, exec: &Exec<'_>, table: &Table, key: Key) -> Result<()> {
        self.await_resource(exec, &Resource::Row(table.info.object_id, key))
    }

    fn await_resource(&self, exec: &Exec<'_>, resource: &Resource) -> Result<()> {
        if exec.lock(resource.clone(), Mode::Shared)? {
            exec.unlock(resource);
        }
        Ok(())
    }

    fn duplicate(&self, exec: &Exec<'_>, target: &Target, index: usize, row: &Row) -> message::SqlError {
        let index = &target.table.info.indexes[index];
        let object = target.two_part_name(exec);
        let values = key_text(index, row);
        match index.constraint {
            Some((KeyKind::Primary, _)) => message::duplicate_key("PRIMARY KEY", &index.name, object, values),
            Some((KeyKind::Unique, _)) => message::duplicate_key("UNIQUE KEY", &index.name, object, values),
            None => message::duplicate_index(object, &index.name, values),
        }
    }

    /// Binds an OUTPUT clause for a table.
    pub(super) fn bind_output<'q>(
        &self,
        binder: &mut Binder<'_, 'q>,
        target: &Target,
        clause: Option<&'q OutputClause>,
    ) -> Result<Option<BoundOutput>> {
        let Some(clause) = clause else { return Ok(None) };
        let mut columns: Vec<ScopeColumn> =
            binder.table_columns(&target.database, &target.table, "deleted", None, "SELECT");
        columns.extend(binder.table_columns(&target.database, &target.table, "inserted", None, "SELECT"));
        let scopes = std::mem::replace(&mut binder.scopes, vec![Scope { columns }]);
        let bound = binder.output_items(&clause.items);
        binder.scopes = scopes;
        let (items, columns) = bound?;
        let into = match &clause.into {
            Some((name, list)) => {
                let into = self.target(binder, name, Mode::IntentExclusive)?;
                binder.need(&into.database, into.table.info.object_id, "INSERT");
                let positions = positions(&into.table, list)?;
                Some((into, positions))
            }
            None => None,
        };
        Ok(Some(BoundOutput { items, columns, into }))
    }

    /// The OUTPUT row of one changed row.
    pub(super) fn output_row(
        &self,
        exec: &Exec<'_>,
        output: Option<&BoundOutput>,
        old: Option<&Row>,
        new: Option<&Row>,
    ) -> Result<Option<Vec<Datum>>> {
        let Some(output) = output else { return Ok(None) };
        let width = old.or(new).map_or(0, |r| r.len());
        let nulls = || vec![Datum::Null; width];
        let mut row = old.map_or_else(nulls, |r| r.to_vec());
        row.extend(new.map_or_else(nulls, |r| r.to_vec()));
        let rows = Rows { row: &row, outer: None };
        output.items.iter().map(|item| exec.eval(item, &rows)).collect::<Result<Vec<_>>>().map(Some)
    }

    /// Sends or stores the OUTPUT rows, then ends the statement.
    pub(super) fn finish_output(
        &mut self,
        exec: &Exec<'_>,
        output: Option<&BoundOutput>,
        rows: &[Vec<Datum>],
    ) -> Result<()> {
        let Some(output) = output else { return Ok(()) };
        if let Some((into, positions)) = &output.into {
            for row in rows {
                let row = self.complete_row(exec, into, positions, row)?;
                self.put_new(exec, into, &row)?;
            }
            return Ok(());
        }
        self.emit(|o| o.columns(&output.columns));
        for row in rows {
            self.emit(|o| o.row(row));
        }
        Ok(())
    }

    pub(super) fn ended(&mut self, count: u64, command: Command) {
        self.session.set_row_count(count as i64);
        self.done(Some(count), command);
    }
}

/// 9002 when nothing more can be logged.
pub fn check_log(database: &Database) -> Result<()> {
    if database.is_log_full() {
        return Err(message::log_full(&database.name, database.log_reuse_wait().1));
    }
    Ok(())
}

/// Column positions of a list; all writable columns when it is empty.
pub fn positions(table: &Table, list: &[String]) -> Result<Vec<usize>> {
    if list.is_empty() {
        let writable = |at: &usize| {
            let column = &table.info.columns[*at];
            column.identity.is_none()
                && column.computed.is_none()
                && column.ty != crate::types::SqlType::RowVersion
        };
        return Ok((0..table.info.columns.len()).filter(writable).collect());
    }
    let mut found: Vec<usize> = Vec::new();
    for name in list {
        let at = table.info.column(name).ok_or_else(|| message::invalid_column(name))?;
        if found.contains(&at) {
            return Err(message::column_twice(name));
        }
        found.push(at);
    }
    Ok(found)
}

/// The first unique index a row offends, or what another transaction holds that may decide it.
fn obstacle(
    table: &Table,
    data: &Data,
    (old, row): (Option<&Row>, &Row),
    exec: &Exec<'_>,
    own: Option<&Key>,
) -> Option<Obstacle> {
    for (at, index) in table.info.indexes.iter().enumerate().filter(|(_, i)| i.unique) {
        let bytes = index_key(index, row);
        let places: Vec<Key> = if index.clustered {
            data.rows.get_key_value(bytes.as_slice()).map(|(key, _)| key.clone()).into_iter().collect()
        } else {
            let from = std::ops::Bound::Included(bytes.as_slice());
            data.indexes[at]
                .range::<[u8], _>((from, std::ops::Bound::Unbounded))
                .take_while(|(entry, _)| entry.starts_with(&bytes))
                .map(|(_, key)| key.clone())
                .collect()
        };
        for place in places.into_iter().filter(|place| Some(place) != own) {
            let Some(slot) = data.rows.get(&place) else { continue };
            let same = |row: &Option<Row>| row.as_ref().is_some_and(|r| index_key(index, r) == bytes);
            match &slot.pending {
                Some(p) if p.txn == exec.txn && same(&p.row) => return Some(Obstacle::Duplicate(at)),
                Some(p) if p.txn == exec.txn => {}
                Some(p) if same(&p.row) || same(&slot.committed) => {
                    return Some(Obstacle::Busy(Resource::Row(table.info.object_id, place)));
                }
                Some(_) => {}
                None if same(&slot.committed) => return Some(Obstacle::Duplicate(at)),
                None => {}
            }
        }
    }
    table.ranges.entered(exec.txn, &table.info, old.map(|row| &**row), row).map(Obstacle::Busy)
}

/// `(v1, v2)` without its parentheses, as 2627 shows a key.
pub fn key_text(index: &IndexInfo, row: &[Datum]) -> String {
    let show = |at: usize| match &row[at] {
        Datum::Null => "<NULL>".to_owned(),
        value => convert::to_text(value, 0).unwrap_or_default(),
    };
    index.columns.iter().map(|(at, _)| show(*at)).collect::<Vec<_>>().join(", ")
}
