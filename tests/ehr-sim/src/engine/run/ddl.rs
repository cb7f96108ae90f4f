//! CREATE, ALTER and DROP of tables, indexes, views and schemas.
//!
//! Metadata changes take the database's metadata lock to the end of the transaction and go with it if it rolls
//! back. A changed table is a successor of the old one with its rows rewritten.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]
#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::sync::Arc;

use super::Runner;
use super::dml::check_log;
use super::table::{key_positions, new_table, push_index};
use crate::engine::ast::{
    ColumnDef, CreateIndex, Name, ObjectKind, Query, SecurableClass, Stmt, TableConstraint,
};
use crate::engine::bind::Binder;
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::permission;
use crate::engine::principal;
use crate::engine::security::On;
use crate::engine::storage::database::Database;
use crate::engine::storage::lock::{Mode, Resource};
use crate::engine::storage::schema::{IndexInfo, Metadata, Object, Schema, View};
use crate::engine::value::text;
use crate::types::Row;

impl Runner<'_> {
    pub(super) fn define(&mut self, stmt: &Stmt) -> Result<()> {
        match stmt {
            Stmt::CreateTable { name, columns, constraints } => self.create_table(name, columns, constraints),
            Stmt::AlterTable { name, change } => self.alter_table(name, change),
            Stmt::Drop { kind, names, if_exists } => {
                names.iter().try_for_each(|name| self.drop_object(*kind, name, *if_exists))
            }
            Stmt::CreateIndex(index) => self.create_index(index),
            Stmt::DropIndex { name, table, if_exists } => self.drop_index(name, table, *if_exists),
            Stmt::CreateView { name, columns, query, text, or_alter, alter } => {
                self.create_view((name, columns), query, text, (*or_alter, *alter))
            }
            Stmt::CreateSchema { name, owner } => self.create_schema(name, owner.as_deref()),
            Stmt::DropSchema { name, if_exists } => self.drop_schema(name, *if_exists),
            Stmt::CreateDatabase { name, options } => self.create_database(name, options),
            Stmt::DropDatabase { names, if_exists } => {
                names.iter().try_for_each(|name| self.drop_database(name, *if_exists))
            }
            Stmt::AlterDatabase { name, change, termination } => {
                self.alter_database(name.as_deref(), change, *termination)
            }
            _ => Err(message::not_supported("statement")),
        }
    }

    /// Changes a database's metadata under its lock; what `change` answers is passed on.
    pub(super) fn change_metadata<T>(
        &self,
        exec: &Exec<'_>,
        database: &Arc<Database>,
        change: impl FnOnce(&mut Metadata) -> Result<T>,
    ) -> Result<T> {
        self.check_writable()?;
        if database.options().read_only {
            return Err(message::read_only(&database.name));
        }
        check_log(database)?;
        exec.lock(Resource::Metadata(database.id), Mode::Exclusive)?;
        let mut metadata = (*exec.metadata(database)).clone();
        let answer = change(&mut metadata)?;
        if let Some(transaction) = self.session.transaction.borrow_mut().as_mut() {
            transaction.put_metadata(database, metadata);
        }
        Ok(answer)
    }

    /// The database and schema a new object goes to, with the right to create it there.
    fn place(&self, exec: &Exec<'_>, name: &Name, wanted: &'static str) -> Result<(Arc<Database>, Schema)> {
        let database = match name.database() {
            Some(other) => self.session.open_database(other)?,
            None => self.session.database(),
        };
        self.session.require_database(&database, wanted)?;
        let schema_name = match name.schema() {
            Some(schema) => schema.to_owned(),
            None => self.session.default_schema(&database),
        };
        let metadata = exec.metadata(&database);
        let missing = || {
            let text = format!(
                "The specified schema name \"{schema_name}\" either does not exist or you do not have permission to use it."
            );
            message::SqlError::new(2760, 16, 1, text)
        };
        let schema = metadata.schema(&schema_name).ok_or_else(missing)?.clone();
        if self.session.has_permission(&database, On::schema(schema.id), "ALTER") {
            Ok((database, schema))
        } else {
            Err(missing())
        }
    }

    fn create_table(
        &mut self,
        name: &Name,
        columns: &[ColumnDef],
        constraints: &[TableConstraint],
    ) -> Result<()> {
        if name.object().starts_with("##") {
            return Err(message::not_supported("global temporary table"));
        }
        if name.object().starts_with('#') {
            if self.session.local_table(name.object()).is_some() {
                return Err(message::object_exists(name.object()));
            }
            return self.declare_table(name.object(), columns, constraints);
        }
        self.in_statement(|runner, exec| {
            let (database, schema) = runner.place(exec, name, "CREATE TABLE")?;
            let info =
                runner.table_info(exec, (&database, schema.id, name.object()), columns, constraints)?;
            runner.change_metadata(exec, &database, |metadata| {
                if metadata.object(schema.id, name.object()).is_some() {
                    return Err(message::object_exists(name.object()));
                }
                metadata.put(Object::Table(new_table(info)));
                Ok(())
            })
        })
    }

    /// `#t` and `@t`: tables of this session.
    pub(super) fn declare_table(
        &mut self,
        name: &str,
        columns: &[ColumnDef],
        constraints: &[TableConstraint],
    ) -> Result<()> {
        // The table is there since the batch was compiled; what a loop put into it stays.
        if self.session.local_table(name).is_some() {
            return Ok(());
        }
        let info = self.in_statement(|runner, exec| {
            let database = runner.session.instance.database_by_id(crate::engine::session::TEMPDB);
            let database = database.ok_or_else(|| message::no_database("tempdb"))?;
            runner.table_info(exec, (&database, 1, name), columns, constraints)
        })?;
        self.keep_local(name, info);
        Ok(())
    }

    /// Makes a temporary table or a table variable known to the session.
    pub(super) fn keep_local(&self, name: &str, info: crate::engine::storage::schema::TableInfo) {
        self.session.locals.borrow_mut().insert(text::fold_name(name), new_table(info));
    }

    pub(super) fn select_into(
        &mut self,
        name: &Name,
        plan: &crate::engine::plan::QueryPlan,
        exec: &Exec<'_>,
    ) -> Result<u64> {
        let mut columns: Vec<ColumnDef> = Vec::new();
        for (at, column) in plan.columns.iter().enumerate() {
            if column.name.is_empty() {
                let text = "An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name. For other statements, look for empty alias names. Aliases defined as \"\" or [] are not allowed. Change the alias to a valid name.";
                return Err(message::SqlError::new(1038, 15, 5, text));
            }
            if columns.iter().any(|c| text::equal(&c.name, &column.name)) {
                return Err(message::column_names_unique(&column.name, name));
            }
            columns.push(ColumnDef {
                name: column.name.clone(),
                ty: crate::engine::ast::TypeName {
                    name: String::new(),
                    ty: Some(plan.columns[at].ty),
                    sized: true,
                },
                nullable: Some(column.nullable),
                identity: column.identity.then_some((1, 1)),
                default: None,
                computed: None,
                constraints: Vec::new(),
            });
        }
        let rows = Self::collect(plan, exec)?;
        let local = name.object().starts_with('#');
        if name.object().starts_with("##") {
            return Err(message::not_supported("global temporary table"));
        }
        let (database, schema) = if local {
            let tempdb = self.session.instance.database_by_id(crate::engine::session::TEMPDB);
            let tempdb = tempdb.ok_or_else(|| message::no_database("tempdb"))?;
            (tempdb, Schema { id: 1, name: "dbo".into(), owner: principal::DBO })
        } else {
            self.place(exec, name, "CREATE TABLE")?
        };
        let info = self.table_info(exec, (&database, schema.id, name.object()), &columns, &[])?;
        let table = new_table(info);
        if local {
            if self.session.local_table(name.object()).is_some() {
                return Err(message::object_exists(name.object()));
            }
            self.session.locals.borrow_mut().insert(text::fold_name(name.object()), table.clone());
        } else {
            self.change_metadata(exec, &database, |metadata| {
                if metadata.object(schema.id, name.object()).is_some() {
                    return Err(message::object_exists(name.object()));
                }
                metadata.put(Object::Table(table.clone()));
                Ok(())
            })?;
        }
        let target = super::dml::Target { database, table };
        for row in &rows {
            self.put_new(exec, &target, row)?;
        }
        Ok(rows.len() as u64)
    }

    fn drop_object(&mut self, kind: ObjectKind, name: &Name, if_exists: bool) -> Result<()> {
        let word = match kind {
            ObjectKind::Table => "table",
            ObjectKind::View => "view",
            ObjectKind::Procedure => "procedure",
        };
        let missing = || if if_exists { Ok(()) } else { Err(message::cannot_drop(word, name)) };
        if name.object().starts_with('#') {
            let removed = self.session.locals.borrow_mut().remove(&text::fold_name(name.object()));
            return removed.map_or_else(missing, |_| Ok(()));
        }
        self.in_statement(|runner, exec| {
            let Some((database, object)) = runner.find_object(exec, name)? else { return missing() };
            let fits = matches!(
                (&object, kind),
                (Object::Table(_), ObjectKind::Table) | (Object::View(_), ObjectKind::View)
            );
            if !fits || !runner.may_alter(&database, &object) {
                return missing();
            }
            exec.lock(Resource::Table(object.id()), Mode::SchemaModification)?;
            runner.change_metadata(exec, &database, |metadata| {
                let referenced = metadata.tables().any(|t| {
                    t.info.object_id != object.id() && t.info.foreign.iter().any(|f| f.table == object.id())
                });
                if referenced {
                    return Err(message::drop_referenced(name));
                }
                metadata.objects.retain(|_, o| o.id() != object.id());
                metadata.grants.forget_securable(SecurableClass::Object, object.id());
                Ok(())
            })
        })
    }

    /// An object by name, for statements that change it.
    pub(super) fn find_object(
        &self,
        exec: &Exec<'_>,
        name: &Name,
    ) -> Result<Option<(Arc<Database>, Object)>> {
        let mut binder = Binder::new(exec);
        match binder.resolve(name) {
            Ok(crate::engine::bind::TableRef::Table(database, table)) => {
                Ok(Some((database, Object::Table(table))))
            }
            Ok(crate::engine::bind::TableRef::View(database, view)) => {
                Ok(Some((database, Object::View(view))))
            }
            Ok(crate::engine::bind::TableRef::System(_)) => Ok(None),
            Err(error) if error.number == 208 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// ALTER on the object, or on its schema.
    pub(super) fn may_alter(&self, database: &Database, object: &Object) -> bool {
        self.session.has_permission(database, On::object(object.id()), "ALTER")
            || self.session.has_permission(database, On::schema(object.schema_id()), "ALTER")
    }

    fn create_index(&mut self, index: &CreateIndex) -> Result<()> {
        self.in_statement(|runner, exec| {
            let (database, table) = runner.alterable(exec, &index.table)?;
            let mut info = table.info.clone();
            let columns = key_positions(&info, &index.columns)?;
            let include =
                index.include.iter().map(|c| info.column(c).ok_or_else(|| message::index_column(c)));
            let include = include.collect::<Result<Vec<_>>>()?;
            let (unique, clustered) = (index.unique, index.clustered);
            let name = index.name.clone();
            push_index(
                &mut info,
                IndexInfo { id: 0, name, unique, clustered, constraint: None, columns, include },
            )?;
            runner.replace_table(exec, &database, &table, info, &|row| row.clone())
        })
    }

    fn drop_index(&mut self, name: &str, table: &Name, if_exists: bool) -> Result<()> {
        let full = format!("{table}.{name}");
        self.in_statement(|runner, exec| {
            let (database, table) = runner.alterable(exec, table)?;
            let mut info = table.info.clone();
            let Some(at) = info.indexes.iter().position(|i| text::equal(&i.name, name)) else {
                return if if_exists { Ok(()) } else { Err(message::cannot_drop("index", &full)) };
            };
            if let Some((kind, _)) = info.indexes[at].constraint {
                let kind = if kind == crate::engine::storage::schema::KeyKind::Primary { "PRIMARY KEY" } else { "UNIQUE KEY" };
                let text = format!("An explicit DROP INDEX is not allowed on index '{full}'. It is being used for {kind} constraint enforcement.");
                return Err(message::SqlError::new(3723, 16, 4, text));
            }
            info.indexes.remove(at);
            runner.replace_table(exec, &database, &table, info, &|row| row.clone())
        })
    }

    /// Installs a successor of a table; a unique index that its rows offend is refused (1505).
    pub(super) fn replace_table(
        &self,
        exec: &Exec<'_>,
        database: &Arc<Database>,
        table: &Arc<crate::engine::storage::table::Table>,
        mut info: crate::engine::storage::schema::TableInfo,
        change: &dyn Fn(&Row) -> Row,
    ) -> Result<()> {
        info.modified = self.session.instance.now_datetime();
        let schema = exec.metadata(database).schema_name(info.schema_id).to_owned();
        for index in info.indexes.iter().filter(|i| i.unique) {
            let known = table.info.indexes.iter().any(|i| i.name == index.name && i.unique);
            if known {
                continue;
            }
            let data = table.read();
            let mut seen = std::collections::HashSet::new();
            for slot in data.rows.values() {
                let row = slot.pending.as_ref().map_or(&slot.committed, |p| &p.row);
                let Some(row) = row.as_ref().map(change) else { continue };
                if !seen.insert(crate::engine::storage::table::index_key(index, &row)) {
                    let object = format!("{schema}.{}", info.name);
                    let values = super::dml::key_text(index, &row);
                    return Err(message::duplicate_on_create(object, &index.name, values));
                }
            }
        }
        let next = Arc::new(table.altered(info, change));
        if let Some(transaction) = self.session.transaction.borrow_mut().as_mut() {
            transaction.follow(&next);
        }
        if table.info.name.starts_with(['#', '@']) {
            self.session.locals.borrow_mut().insert(text::fold_name(&table.info.name), next);
            return Ok(());
        }
        self.change_metadata(exec, database, |metadata| {
            metadata.objects.retain(|_, o| o.id() != table.info.object_id);
            metadata.put(Object::Table(next));
            Ok(())
        })
    }

    fn create_view(
        &mut self,
        (name, columns): (&Name, &[String]),
        query: &Query,
        text: &str,
        (or_alter, alter): (bool, bool),
    ) -> Result<()> {
        self.in_statement(|runner, exec| {
            let (database, schema) = runner.place(exec, name, "CREATE VIEW")?;
            let mut binder = Binder::new(exec);
            let plan = binder.query(query)?;
            binder.check_permissions()?;
            let named = |at: usize| columns.get(at).unwrap_or(&plan.columns[at].name).clone();
            if let Some(at) = (0..plan.columns.len()).find(|at| named(*at).is_empty()) {
                let text = format!(
                    "Create View or Function failed because no column name was specified for column {}.",
                    at + 1
                );
                return Err(message::SqlError::new(4511, 16, 1, text));
            }
            let known = exec.metadata(&database).object(schema.id, name.object()).cloned();
            if known.is_some() && !(or_alter || alter) {
                return Err(message::object_exists(name.object()));
            }
            if alter && !matches!(known, Some(Object::View(_))) {
                return Err(message::invalid_object(name));
            }
            let view = View {
                object_id: known.map_or_else(|| runner.session.instance.next_object(), |o| o.id()),
                schema_id: schema.id,
                name: name.object().to_owned(),
                columns: (0..plan.columns.len()).map(named).collect(),
                query: query.clone(),
                text: text.to_owned(),
                created: runner.session.instance.now_datetime(),
            };
            runner.change_metadata(exec, &database, |metadata| {
                metadata.put(Object::View(Arc::new(view)));
                Ok(())
            })
        })
    }

    fn create_schema(&mut self, name: &str, owner: Option<&str>) -> Result<()> {
        self.in_statement(|runner, exec| {
            let database = runner.session.database();
            runner.session.require_database(&database, "CREATE SCHEMA")?;
            let default_owner = runner.session.user_in(&database).unwrap_or(principal::DBO);
            runner.change_metadata(exec, &database, |metadata| {
                if metadata.schema(name).is_some() {
                    return Err(message::schema_exists(name));
                }
                let owner = match owner {
                    Some(owner) => {
                        let found = metadata.principals.find(owner);
                        found.ok_or_else(|| message::principal_missing("find", "user", owner))?.id
                    }
                    None => default_owner,
                };
                let id =
                    metadata.schemas.values().map(|s| s.id).filter(|id| *id < 16384).max().unwrap_or(4) + 1;
                let schema = Schema { id, name: name.to_owned(), owner };
                metadata.schemas.insert(text::fold_name(name), schema);
                Ok(())
            })
        })
    }

    fn drop_schema(&mut self, name: &str, if_exists: bool) -> Result<()> {
        self.in_statement(|runner, exec| {
            let database = runner.session.database();
            let found = exec.metadata(&database).schema(name).cloned();
            let may = |s: &Schema| runner.session.has_permission(&database, On::schema(s.id), "CONTROL");
            let Some(schema) = found.filter(may) else {
                return if if_exists {
                    Ok(())
                } else {
                    Err(message::principal_missing("drop", "schema", name))
                };
            };
            runner.change_metadata(exec, &database, |metadata| {
                if let Some(object) = metadata.objects.values().find(|o| o.schema_id() == schema.id) {
                    return Err(message::drop_schema_used(name, object.name()));
                }
                metadata.schemas.retain(|_, s| s.id != schema.id);
                metadata.grants.forget_securable(SecurableClass::Schema, schema.id);
                Ok(())
            })
        })
    }

    /// A table to alter, under its schema lock: 4902 when it is missing or not ours to alter.
    pub(super) fn alterable(
        &self,
        exec: &Exec<'_>,
        name: &Name,
    ) -> Result<(Arc<Database>, Arc<crate::engine::storage::table::Table>)> {
        let missing = || message::no_such_index_table(name);
        let (database, object) = self.find_object(exec, name)?.ok_or_else(missing)?;
        let local = name.object().starts_with('#');
        if !local && !self.may_alter(&database, &object) {
            return Err(missing());
        }
        exec.lock(Resource::Table(object.id()), Mode::SchemaModification)?;
        match self.find_object(exec, name)? {
            Some((database, Object::Table(table))) => Ok((database, table)),
            Some((_, Object::View(_))) | None => Err(missing()),
        }
    }

    /// A permission name as its class knows it.
    pub(super) fn permission_of(name: &str, class: SecurableClass) -> Result<&'static str> {
        permission::find(name, class).ok_or_else(|| message::syntax_near(name))
    }
}
