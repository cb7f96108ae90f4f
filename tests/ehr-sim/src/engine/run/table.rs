//! From a table's definition as written to [`TableInfo`]: columns, keys, names for unnamed constraints.

#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::sync::Arc;

use super::Runner;
use crate::engine::ast::{ColumnDef, ConstraintKind, Expr, Name, TableConstraint};
use crate::engine::bind::{Binder, Scope, ScopeColumn};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::storage::database::Database;
use crate::engine::storage::schema::{
    CheckInfo, ColumnInfo, DefaultInfo, ForeignKey, IndexInfo, KeyKind, Object, TableInfo,
};
use crate::engine::storage::table::Table;
use crate::engine::value::text;
use crate::types::SqlType;

impl Runner<'_> {
    /// Builds a table's definition.
    pub(super) fn table_info(
        &self,
        exec: &Exec<'_>,
        (database, schema_id, name): (&Arc<Database>, i32, &str),
        columns: &[ColumnDef],
        constraints: &[TableConstraint],
    ) -> Result<TableInfo> {
        let now = self.session.instance.now_datetime();
        let mut info = TableInfo {
            object_id: self.session.instance.next_object(),
            schema_id,
            name: name.to_owned(),
            columns: Vec::new(),
            indexes: Vec::new(),
            foreign: Vec::new(),
            checks: Vec::new(),
            created: now,
            modified: now,
            tracking: None,
        };
        let in_primary = |name: &str| {
            constraints.iter().any(|c| {
                matches!(&c.kind, ConstraintKind::Key { primary: true, columns, .. }
                    if columns.iter().any(|(column, _)| text::equal(column, name)))
            })
        };
        for column in columns {
            self.add_column(exec, &mut info, column)?;
            if column.nullable == Some(true) && in_primary(&column.name) {
                return Err(message::primary_nullable(name));
            }
        }
        let of_columns =
            columns.iter().flat_map(|c| c.constraints.iter().map(|k| (k, Some(c.name.as_str()))));
        let of_table = constraints.iter().map(|k| (k, None));
        let (keys, others): (Vec<_>, Vec<_>) =
            of_columns.chain(of_table).partition(|(k, _)| matches!(k.kind, ConstraintKind::Key { .. }));
        for (constraint, column) in keys.into_iter().chain(others) {
            self.add_constraint(exec, database, &mut info, constraint, column)?;
        }
        Ok(info)
    }

    /// Appends a column to a definition.
    pub(super) fn add_column(&self, exec: &Exec<'_>, info: &mut TableInfo, column: &ColumnDef) -> Result<()> {
        if info.column(&column.name).is_some() {
            return Err(message::column_names_unique(&column.name, &info.name));
        }
        let ty = match &column.computed {
            Some((expr, _)) => self.computed_type(exec, info, expr)?,
            None => column.ty.ty.ok_or_else(|| message::bad_type(info.columns.len() + 1, &column.ty.name))?,
        };
        if ty == SqlType::RowVersion && info.rowversion().is_some() {
            return Err(message::two_timestamps(&info.name, &column.name));
        }
        if column.identity.is_some() {
            if info.identity().is_some() {
                return Err(message::two_identities(&info.name));
            }
            let whole =
                ty.is_integer() && ty != SqlType::Bit || matches!(ty, SqlType::Decimal { scale: 0, .. });
            if !whole || column.nullable == Some(true) {
                return Err(message::bad_identity(&column.name));
            }
        }
        let primary =
            column.constraints.iter().any(|c| matches!(c.kind, ConstraintKind::Key { primary: true, .. }));
        if primary && column.nullable == Some(true) {
            return Err(message::primary_nullable(&info.name));
        }
        let default_null = column.identity.is_none() && ty != SqlType::RowVersion && !primary;
        let default = column.default.as_ref().map(|(name, expr, text)| DefaultInfo {
            object_id: self.session.instance.next_object(),
            name: name.clone().unwrap_or_else(|| self.invent("DF", &[&info.name, &column.name])),
            expr: expr.clone(),
            text: text.clone(),
        });
        info.columns.push(ColumnInfo {
            id: info.columns.iter().map(|c| c.id).max().unwrap_or(0) + 1,
            name: column.name.clone(),
            ty,
            nullable: column.nullable.unwrap_or(default_null),
            identity: column.identity,
            default,
            computed: column.computed.clone(),
        });
        Ok(())
    }

    fn computed_type(&self, exec: &Exec<'_>, info: &TableInfo, expr: &Expr) -> Result<SqlType> {
        let mut binder = Binder::new(exec);
        binder.scopes.push(scope_of(info));
        Ok(binder.value(expr)?.ty)
    }

    /// Adds a constraint to a definition.
    pub(super) fn add_constraint(
        &self,
        exec: &Exec<'_>,
        database: &Arc<Database>,
        info: &mut TableInfo,
        constraint: &TableConstraint,
        column: Option<&str>,
    ) -> Result<()> {
        let name = constraint.name.as_deref();
        if let Some(name) = name
            && constraint_exists(&exec.metadata(database), info, name)
        {
            return Err(message::object_exists(name));
        }
        match &constraint.kind {
            ConstraintKind::Key { primary, clustered, columns } => {
                self.add_key(info, name, (*primary, *clustered), columns)
            }
            ConstraintKind::Check { condition, text } => {
                let mut binder = Binder::new(exec);
                binder.scopes.push(scope_of(info));
                binder.condition(condition)?;
                info.checks.push(CheckInfo {
                    object_id: self.session.instance.next_object(),
                    name: name.map_or_else(|| self.invent("CK", &[&info.name]), str::to_owned),
                    condition: condition.clone(),
                    text: text.clone(),
                    column: column.map(str::to_owned),
                });
                Ok(())
            }
            ConstraintKind::Default { column, expr, text } => {
                let at = info.column(column).ok_or_else(|| message::invalid_column(column))?;
                let default = DefaultInfo {
                    object_id: self.session.instance.next_object(),
                    name: name.map_or_else(|| self.invent("DF", &[&info.name, column]), str::to_owned),
                    expr: expr.clone(),
                    text: text.clone(),
                };
                info.columns[at].default = Some(default);
                Ok(())
            }
            ConstraintKind::Foreign { columns, table, referenced, on_delete, on_update } => {
                let name = name.map_or_else(|| self.invent("FK", &[&info.name]), str::to_owned);
                let foreign = self.foreign_key(exec, database, info, (&name, columns, table, referenced))?;
                info.foreign.push(ForeignKey { on_delete: *on_delete, on_update: *on_update, ..foreign });
                Ok(())
            }
        }
    }

    fn add_key(
        &self,
        info: &mut TableInfo,
        name: Option<&str>,
        (primary, clustered): (bool, Option<bool>),
        columns: &[(String, bool)],
    ) -> Result<()> {
        if primary && info.primary_key().is_some() {
            return Err(message::primary_exists(&info.name));
        }
        let columns = key_positions(info, columns)?;
        if primary {
            for (at, _) in &columns {
                info.columns[*at].nullable = false;
            }
        }
        let prefix = if primary { "PK" } else { "UQ" };
        let name = name.map_or_else(|| self.invent(prefix, &[&info.name]), str::to_owned);
        let clustered = clustered.unwrap_or(primary && info.clustered().is_none());
        let kind = if primary { KeyKind::Primary } else { KeyKind::Unique };
        let index = IndexInfo {
            id: 0,
            name,
            unique: true,
            clustered,
            constraint: Some((kind, self.session.instance.next_object())),
            columns,
            include: Vec::new(),
        };
        push_index(info, index)
    }

    fn foreign_key(
        &self,
        exec: &Exec<'_>,
        database: &Arc<Database>,
        info: &TableInfo,
        (name, columns, table, referenced): (&str, &[String], &Name, &[String]),
    ) -> Result<ForeignKey> {
        let own: Vec<usize> = columns
            .iter()
            .map(|c| info.column(c).ok_or_else(|| message::bad_reference_column(c, name)))
            .collect::<Result<_>>()?;
        let metadata = exec.metadata(database);
        let schema = table.schema().map_or(Some(info.schema_id), |s| metadata.schema(s).map(|s| s.id));
        let itself = text::equal(table.object(), &info.name) && schema == Some(info.schema_id);
        let found = schema
            .and_then(|id| metadata.object(id, table.object()))
            .or_else(|| metadata.object(1, table.object()).filter(|_| table.schema().is_none()));
        let parent = match found {
            _ if itself => info,
            Some(Object::Table(parent)) => &parent.info,
            Some(Object::View(_)) | None => return Err(message::bad_reference_table(name, table)),
        };
        let missing = || message::no_reference_key(table, name);
        let parents: Vec<usize> = if referenced.is_empty() {
            parent.primary_key().ok_or_else(missing)?.columns.iter().map(|(at, _)| *at).collect()
        } else {
            referenced.iter().map(|c| parent.column(c).ok_or_else(missing)).collect::<Result<_>>()?
        };
        let is_key = |i: &IndexInfo| {
            i.unique
                && i.columns.len() == parents.len()
                && i.columns.iter().all(|(at, _)| parents.contains(at))
        };
        if own.len() != parents.len() || !parent.indexes.iter().any(is_key) {
            return Err(missing());
        }
        Ok(ForeignKey {
            object_id: self.session.instance.next_object(),
            name: name.to_owned(),
            columns: own,
            table: parent.object_id,
            referenced: parents,
            on_delete: crate::engine::ast::Action::Refuse,
            on_update: crate::engine::ast::Action::Refuse,
        })
    }

    /// A name such as `PK__Patient__1A2B3C4D5E6F7788`.
    fn invent(&self, prefix: &str, parts: &[&str]) -> String {
        let tail: String = self.session.instance.random::<8>().iter().map(|b| format!("{b:02X}")).collect();
        let short: Vec<String> = parts.iter().map(|p| p.chars().take(9).collect()).collect();
        format!("{prefix}__{}__{tail}", short.join("__"))
    }
}

fn constraint_exists(
    metadata: &crate::engine::storage::schema::Metadata,
    info: &TableInfo,
    name: &str,
) -> bool {
    let in_table = |t: &TableInfo| {
        t.schema_id == info.schema_id
            && (t.indexes.iter().any(|i| i.constraint.is_some() && text::equal(&i.name, name))
                || t.foreign.iter().any(|f| text::equal(&f.name, name))
                || t.checks.iter().any(|c| text::equal(&c.name, name))
                || t.columns.iter().any(|c| c.default.as_ref().is_some_and(|d| text::equal(&d.name, name))))
    };
    let others = metadata.tables().filter(|t| t.info.object_id != info.object_id);
    in_table(info)
        || others.into_iter().any(|t| in_table(&t.info))
        || metadata.object(info.schema_id, name).is_some()
}

/// The columns of a definition as a scope without permissions.
pub(super) fn scope_of(info: &TableInfo) -> Scope {
    let columns = info.columns.iter().map(|c| ScopeColumn {
        qualifier: info.name.clone(),
        schema: None,
        name: c.name.clone(),
        ty: c.ty,
        nullable: c.nullable,
        identity: false,
        origin: None,
    });
    Scope { columns: columns.collect() }
}

/// Key columns by position; types that cannot be keys are refused.
pub(super) fn key_positions(info: &TableInfo, columns: &[(String, bool)]) -> Result<Vec<(usize, bool)>> {
    let position = |(name, descending): &(String, bool)| {
        let at = info.column(name).ok_or_else(|| message::index_column(name))?;
        let long = matches!(
            info.columns[at].ty,
            SqlType::Xml
                | SqlType::VarChar(crate::types::Length::Max)
                | SqlType::NVarChar(crate::types::Length::Max)
                | SqlType::VarBinary(crate::types::Length::Max)
        );
        if long { Err(message::index_type(name, &info.name)) } else { Ok((at, *descending)) }
    };
    columns.iter().map(position).collect()
}

/// Adds an index under the next free id: 1 is the clustered one.
pub(super) fn push_index(info: &mut TableInfo, mut index: IndexInfo) -> Result<()> {
    if let Some(at) = info.clustered().filter(|_| index.clustered) {
        return Err(message::clustered_exists(&info.name, &info.indexes[at].name));
    }
    if info.indexes.iter().any(|i| text::equal(&i.name, &index.name)) {
        return Err(message::index_exists(&index.name, &info.name));
    }
    index.id =
        if index.clustered { 1 } else { info.indexes.iter().map(|i| i.id).max().unwrap_or(1).max(1) + 1 };
    info.indexes.push(index);
    Ok(())
}

/// A fresh table of a definition.
pub(super) fn new_table(info: TableInfo) -> Arc<Table> {
    Arc::new(Table::new(info))
}
