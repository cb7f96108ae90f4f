//! Binding of FROM: tables, views, catalog views, derived tables, table functions, joins; how each table is read.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]
#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]
#![expect(clippy::wrong_self_convention, reason = "FROM is the clause that is bound")]

use std::sync::Arc;

use super::{Binder, Scope, ScopeColumn};
use crate::engine::ast::{Expr, From, Hint, JoinKind, Name};
use crate::engine::catalog::{self, SystemView};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::plan::{Access, JoinSource, QueryPlan, Source, TableSource};
use crate::engine::storage::database::Database;
use crate::engine::storage::lock::Mode;
use crate::engine::storage::range::RangeMode;
use crate::engine::storage::schema::{Object, View};
use crate::engine::storage::table::Table;
use crate::engine::value::text;
use crate::types::Isolation;

/// What a name in FROM (or a DML target) is.
pub enum TableRef {
    Table(Arc<Database>, Arc<Table>),
    View(Arc<Database>, Arc<View>),
    System(SystemView),
}

type BoundFrom = (Source, Vec<ScopeColumn>);

impl<'q> Binder<'_, 'q> {
    /// Binds one FROM item whose first column is number `base` of the row.
    pub(super) fn from(&mut self, from: &'q From, base: usize) -> Result<BoundFrom> {
        match from {
            From::Table { name, alias, hints } => self.from_table(name, alias.as_deref(), hints, base),
            From::Derived { query, alias, columns } => {
                let plan = self.without_aggregates(|b| b.query(query))?;
                self.derived(plan, alias, columns, false)
            }
            From::Function { name, args, alias, columns } => {
                self.function(name, args, alias.as_deref(), columns)
            }
            From::Changes { table, since, alias } => self.changes(table, since, alias.as_deref()),
            From::Values { rows, alias, columns } => self.values(rows, alias, columns),
            From::Join { kind, left, right, on } => self.join(*kind, (left, right), on.as_ref(), base),
        }
    }

    fn without_aggregates<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let (aggregates, windows) = (self.aggregates.take(), self.windows.take());
        let result = inner(self);
        self.aggregates = aggregates;
        self.windows = windows;
        result
    }

    fn from_table(
        &mut self,
        name: &'q Name,
        alias: Option<&str>,
        hints: &[Hint],
        base: usize,
    ) -> Result<BoundFrom> {
        let exposed = alias.unwrap_or(name.object());
        if let ([object], None) = (name.0.as_slice(), name.schema())
            && let Some(at) = self.find_cte(object)?
        {
            return self.from_cte(at, exposed);
        }
        match self.resolve(name)? {
            TableRef::Table(database, table) => {
                let schema = alias.is_none().then(|| self.schema_name(&database, table.info.schema_id));
                let mut columns = self.table_columns(&database, &table, exposed, schema, "SELECT");
                let mut source = self.table_source(&database, table.clone(), hints, base)?;
                self.mark_target(&table, exposed, name, (&mut source, &mut columns), base);
                Ok((source, columns))
            }
            TableRef::View(database, view) => {
                let plan = self.expand_view(&database, &view)?;
                let used = self.need(&database, view.object_id, "SELECT");
                let schema = alias.is_none().then(|| self.schema_name(&database, view.schema_id));
                let (source, mut columns) = self.derived(plan, exposed, &view.columns, false)?;
                for (at, column) in columns.iter_mut().enumerate() {
                    column.origin = Some((used, at as i32 + 1));
                    column.schema.clone_from(&schema);
                }
                Ok((source, columns))
            }
            TableRef::System(view) => {
                let schema = name.schema().filter(|_| alias.is_none());
                Ok(system_source(view, exposed, schema))
            }
        }
    }

    /// Where an UPDATE or DELETE names this item, its rows come with their place.
    fn mark_target(
        &mut self,
        table: &Arc<Table>,
        exposed: &str,
        name: &Name,
        (source, columns): (&mut Source, &mut Vec<ScopeColumn>),
        base: usize,
    ) {
        let Some(target) = &mut self.target else { return };
        let aliased = text::equal(&target.name, exposed);
        let same = target.object == table.info.object_id && text::equal(name.object(), &target.name);
        let meant = aliased || same && !target.by_alias;
        if let (Source::Table(source), true, None) = (source, meant, target.base) {
            source.with_key = true;
            read_as_target(source, self.exec.session.isolation());
            target.base = Some(base);
            columns.push(hidden_column());
        }
    }

    /// The scope columns of a table whose use needs `permission`.
    pub fn table_columns(
        &mut self,
        database: &Arc<Database>,
        table: &Table,
        exposed: &str,
        schema: Option<String>,
        permission: &'static str,
    ) -> Vec<ScopeColumn> {
        let used = self.need(database, table.info.object_id, permission);
        let columns = table.info.columns.iter().map(|c| ScopeColumn {
            qualifier: exposed.to_owned(),
            schema: schema.clone(),
            name: c.name.clone(),
            ty: c.ty,
            nullable: c.nullable,
            identity: c.identity.is_some(),
            origin: Some((used, c.id)),
        });
        columns.collect()
    }

    pub fn schema_name(&self, database: &Database, id: i32) -> String {
        self.exec.metadata(database).schema_name(id).to_owned()
    }

    pub fn table_source(
        &mut self,
        database: &Arc<Database>,
        table: Arc<Table>,
        hints: &[Hint],
        base: usize,
    ) -> Result<Source> {
        let Reading { access, table_lock, range } = reading_for(self.exec, database, hints)?;
        Ok(Source::Table(Box::new(TableSource {
            table,
            access,
            table_lock,
            range,
            no_wait: hints.contains(&Hint::NoWait),
            base,
            filters: Vec::new(),
            wanted: Vec::new(),
            with_key: false,
        })))
    }

    /// A name as table, view or catalog view, in the current database unless it says another.
    pub fn resolve(&mut self, name: &Name) -> Result<TableRef> {
        if name.0.len() == 4 && !name.0[0].is_empty() {
            return Err(message::SqlError::new(
                7202,
                11,
                2,
                format!(
                    "Could not find server '{}' in sys.servers. Verify that the correct server name was specified. If necessary, execute the stored procedure sp_addlinkedserver to add the server to sys.servers.",
                    name.0[0]
                ),
            ));
        }
        let session = self.exec.session;
        if let Some((database, table)) = session.local_table(name.object()) {
            return Ok(TableRef::Table(database, table));
        }
        if name.object().starts_with('@') {
            return Err(message::must_declare_table(name.object()));
        }
        let home = self.view_of.last().cloned();
        let database = match name.database() {
            Some(other) => session.open_database(other)?,
            None => home.as_ref().map_or_else(|| session.database(), |(d, _)| d.clone()),
        };
        if let Some(view) = catalog::find(self.exec, &database, name)? {
            return Ok(TableRef::System(view));
        }
        let metadata = self.exec.metadata(&database);
        let default = match &home {
            Some((_, schema)) => metadata.schema_name(*schema).to_owned(),
            None => session.default_schema(&database),
        };
        let schemas = match name.schema() {
            Some(schema) => vec![schema.to_owned()],
            None => vec![default, "dbo".to_owned()],
        };
        let object = schemas
            .iter()
            .filter_map(|s| metadata.schema(s))
            .find_map(|schema| metadata.object(schema.id, name.object()));
        match object {
            Some(Object::Table(table)) => Ok(TableRef::Table(database, table.clone())),
            Some(Object::View(view)) => Ok(TableRef::View(database, view.clone())),
            None => Err(message::invalid_object(name)),
        }
    }

    /// A view's query as a plan. Under an unbroken ownership chain only the view itself is checked.
    fn expand_view(&mut self, database: &Arc<Database>, view: &View) -> Result<QueryPlan> {
        if self.view_of.len() > 32 {
            return Err(message::too_deep());
        }
        let mut inner = Binder::new(self.exec);
        inner.view_of = self.view_of.clone();
        inner.view_of.push((database.clone(), view.schema_id));
        let plan = inner.query(&view.query)?;
        let metadata = self.exec.metadata(database);
        let owner = |schema: i32| metadata.schema_by_id(schema).map(|s| s.owner);
        for used in &inner.uses {
            let object =
                self.exec.metadata(&used.database).object_by_id(used.object_id).map(Object::schema_id);
            let chained = used.database.id == database.id && object.and_then(owner) == owner(view.schema_id);
            if !chained {
                self.uses.push(used.clone());
            }
        }
        Ok(plan)
    }

    fn find_cte(&self, name: &str) -> Result<Option<usize>> {
        Ok(self.ctes.iter().rposition(|c| text::equal(&c.name, name)))
    }

    fn from_cte(&mut self, at: usize, exposed: &str) -> Result<BoundFrom> {
        let cte = &self.ctes[at];
        let (query, columns, visible) = (cte.query, cte.columns.clone(), cte.visible);
        let hidden = self.ctes.split_off(visible);
        let scopes = std::mem::take(&mut self.scopes);
        let plan = self.without_aggregates(|b| b.query(query));
        self.scopes = scopes;
        self.ctes.extend(hidden);
        self.derived(plan?, exposed, &columns, false)
    }

    /// A query as a table: every column needs a name, names must differ.
    pub(super) fn derived(
        &mut self,
        plan: QueryPlan,
        alias: &str,
        columns: &[String],
        lateral: bool,
    ) -> Result<BoundFrom> {
        if !columns.is_empty() && columns.len() != plan.columns.len() {
            let number = if columns.len() > plan.columns.len() { 8158 } else { 8159 };
            let word = if number == 8158 { "more" } else { "fewer" };
            let text = if number == 8158 {
                format!("'{alias}' has more columns than were specified in the column list.")
            } else {
                format!("'{alias}' has {word} columns than were specified in the column list.")
            };
            return Err(message::SqlError::new(number, 16, 1, text));
        }
        let mut scope: Vec<ScopeColumn> = Vec::new();
        for (at, column) in plan.columns.iter().enumerate() {
            let name = columns.get(at).unwrap_or(&column.name);
            if name.is_empty() {
                return Err(message::no_column_name(at + 1, alias));
            }
            if scope.iter().any(|c| text::equal(&c.name, name)) {
                return Err(message::SqlError::new(
                    8156,
                    16,
                    1,
                    format!("The column '{name}' was specified multiple times for '{alias}'."),
                ));
            }
            scope.push(ScopeColumn {
                qualifier: alias.to_owned(),
                schema: None,
                name: name.clone(),
                ty: column.ty,
                nullable: column.nullable,
                identity: false,
                origin: None,
            });
        }
        Ok((Source::Query { plan: Arc::new(plan), lateral, filters: Vec::new() }, scope))
    }

    fn values(&mut self, rows: &'q [Vec<Expr>], alias: &str, columns: &[String]) -> Result<BoundFrom> {
        let mut bound = Vec::new();
        for row in rows {
            bound.push(row.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?);
        }
        let width = bound.first().map_or(0, Vec::len);
        if bound.iter().any(|row| row.len() != width) {
            return Err(message::SqlError::new(
                10709,
                16,
                1,
                "The number of columns for each row in a table value constructor must be the same.",
            ));
        }
        if columns.len() != width {
            return Err(message::no_column_name(columns.len() + 1, alias));
        }
        let mut scope = Vec::new();
        for (at, name) in columns.iter().enumerate() {
            let column: Vec<_> = bound.iter().map(|row| row[at].clone()).collect();
            let ty = super::common_type::common_of(&column);
            for row in &mut bound {
                row[at] = super::implicit(row[at].clone(), ty)?;
            }
            let nullable = column.iter().any(|b| b.nullable);
            let (qualifier, name) = (alias.to_owned(), name.clone());
            scope.push(ScopeColumn {
                qualifier,
                schema: None,
                name,
                ty,
                nullable,
                identity: false,
                origin: None,
            });
        }
        Ok((Source::Values { rows: bound, filters: Vec::new() }, scope))
    }

    fn function(
        &mut self,
        name: &'q Name,
        args: &'q [Expr],
        alias: Option<&str>,
        columns: &[String],
    ) -> Result<BoundFrom> {
        let bound = args.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
        let mut view = catalog::function(self.exec, name, &bound)?;
        for (column, renamed) in view.columns.iter_mut().zip(columns) {
            column.0.clone_from(renamed);
        }
        Ok(system_source(view, alias.unwrap_or(name.object()), None))
    }

    fn join(
        &mut self,
        kind: JoinKind,
        (left, right): (&'q From, &'q From),
        on: Option<&'q Expr>,
        base: usize,
    ) -> Result<BoundFrom> {
        let (left, mut columns) = self.from(left, base)?;
        let left_width = columns.len();
        let lateral = matches!(kind, JoinKind::CrossApply | JoinKind::OuterApply);
        let (right, right_columns) =
            if lateral { self.lateral(right, base, &columns)? } else { self.from(right, base + left_width)? };
        let right_width = right_columns.len();
        check_exposed(&columns, &right_columns)?;
        columns.extend(right_columns);
        let on = match on {
            Some(condition) => {
                // ON sees the join's own columns; earlier FROM items only shift their numbers.
                let padding = (0..base).map(|_| hidden_column());
                self.scopes.push(Scope { columns: padding.chain(columns.iter().cloned()).collect() });
                let condition = self.without_aggregates(|b| b.condition(condition));
                self.scopes.pop();
                conjuncts(condition?)
            }
            None => Vec::new(),
        };
        mark_nullable(kind, &mut columns, left_width);
        let join = JoinSource { kind, left, right, on, left_width, right_width, filters: Vec::new() };
        Ok((Source::Join(Box::new(join)), columns))
    }

    /// The right side of APPLY sees the left side's columns as an enclosing row.
    fn lateral(&mut self, right: &'q From, base: usize, left: &[ScopeColumn]) -> Result<BoundFrom> {
        let padding = (0..base).map(|_| hidden_column());
        self.scopes.push(Scope { columns: padding.chain(left.iter().cloned()).collect() });
        let bound = match right {
            From::Derived { query, alias, columns } => self
                .without_aggregates(|b| b.query(query))
                .and_then(|plan| self.derived(plan, alias, columns, true)),
            From::Values { rows, alias, columns } => self.values(rows, alias, columns),
            From::Table { .. } | From::Function { .. } | From::Changes { .. } | From::Join { .. } => {
                Err(message::not_supported("APPLY"))
            }
        };
        self.scopes.pop();
        bound
    }
}

pub(super) fn hidden_column() -> ScopeColumn {
    ScopeColumn {
        qualifier: "\0".into(),
        schema: None,
        name: "\0".into(),
        ty: crate::types::SqlType::Int,
        nullable: true,
        identity: false,
        origin: None,
    }
}

fn mark_nullable(kind: JoinKind, columns: &mut [ScopeColumn], left_width: usize) {
    let (left, right) = columns.split_at_mut(left_width);
    if matches!(kind, JoinKind::Left | JoinKind::Full | JoinKind::OuterApply) {
        right.iter_mut().for_each(|c| c.nullable = true);
    }
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        left.iter_mut().for_each(|c| c.nullable = true);
    }
}

/// Two FROM items may not expose one name.
pub(super) fn check_exposed(left: &[ScopeColumn], right: &[ScopeColumn]) -> Result<()> {
    let Some(first) = right.first() else { return Ok(()) };
    let clash = left.iter().find(|c| text::equal(&c.qualifier, &first.qualifier) && c.schema == first.schema);
    match clash {
        Some(_) if first.schema.is_some() => Err(message::duplicate_table(&first.qualifier)),
        Some(_) => Err(message::duplicate_alias(&first.qualifier)),
        None => Ok(()),
    }
}

/// A condition as the list of its AND-ed parts.
pub fn conjuncts(condition: crate::engine::plan::Bound) -> Vec<crate::engine::plan::Bound> {
    use crate::engine::plan::Kind;
    match condition.kind {
        Kind::And(a, b) => {
            let mut list = conjuncts(*a);
            list.extend(conjuncts(*b));
            list
        }
        kind => vec![crate::engine::plan::Bound { kind, ..condition }],
    }
}

fn system_source(view: SystemView, exposed: &str, schema: Option<&str>) -> BoundFrom {
    let columns = view.columns.iter().map(|(name, ty)| ScopeColumn {
        qualifier: exposed.to_owned(),
        schema: schema.map(str::to_owned),
        name: name.clone(),
        ty: *ty,
        nullable: true,
        identity: false,
        origin: None,
    });
    let columns = columns.collect();
    (Source::Rows { rows: Arc::new(view.rows), filters: Vec::new() }, columns)
}

/// How a table is read.
struct Reading {
    access: Access,
    table_lock: Option<Mode>,
    range: Option<RangeMode>,
}

/// How a table is read under the session's isolation level, the database's options and the hints.
fn reading_for(exec: &Exec<'_>, database: &Database, hints: &[Hint]) -> Result<Reading> {
    let has = |hint: Hint| hints.contains(&hint);
    let isolation = exec.session.isolation();
    let serializable = isolation == Isolation::Serializable || has(Hint::HoldLock);
    if has(Hint::NoLock) && hints.iter().any(|h| LOCKING.contains(h)) {
        return Err(message::conflicting_hints());
    }
    if exec.session.compiling.get()
        || has(Hint::NoLock)
        || isolation == Isolation::ReadUncommitted
            && !hints.iter().any(|h| LOCKING.contains(h) || *h == Hint::ReadPast)
    {
        return Ok(Reading { access: Access::Dirty, table_lock: None, range: None });
    }
    if has(Hint::ReadPast) && !matches!(isolation, Isolation::ReadCommitted | Isolation::RepeatableRead) {
        return Err(message::readpast_level());
    }
    let exclusive = has(Hint::XLock) || has(Hint::UpdLock);
    let table_lock = if has(Hint::TabLockX) || has(Hint::TabLock) && exclusive {
        Some(Mode::Exclusive)
    } else {
        has(Hint::TabLock).then_some(Mode::Shared)
    };
    let access = if has(Hint::XLock) {
        Access::Exclusive
    } else if has(Hint::UpdLock) {
        Access::Update
    } else if has(Hint::ReadPast) {
        Access::ReadPast
    } else if serializable || isolation == Isolation::RepeatableRead || has(Hint::RepeatableRead) {
        Access::Repeatable
    } else if isolation == Isolation::Snapshot {
        Access::Versioned(exec.snapshot(database)?)
    } else if database.options().read_committed_snapshot
        && isolation == Isolation::ReadCommitted
        && !has(Hint::ReadCommittedLock)
        && table_lock.is_none()
    {
        Access::Versioned(exec.statement_snapshot())
    } else {
        Access::Committed
    };
    let range = (serializable && table_lock.is_none()).then_some(match access {
        Access::Exclusive => RangeMode::Exclusive,
        Access::Update => RangeMode::Update,
        Access::Dirty | Access::Committed | Access::Versioned(_) | Access::Repeatable | Access::ReadPast => {
            RangeMode::Shared
        }
    });
    Ok(Reading { access, table_lock, range })
}

/// The target of an UPDATE or DELETE is read as it is, whatever row versions other reads would take, and what a
/// serializable statement will write it locks for update from the start.
fn read_as_target(source: &mut TableSource, isolation: Isolation) {
    source.access = match source.access {
        Access::Versioned(_) if isolation == Isolation::Snapshot => source.access,
        Access::Versioned(_) | Access::Dirty => Access::Committed,
        Access::Repeatable => Access::Update,
        Access::Committed | Access::Update | Access::Exclusive | Access::ReadPast => source.access,
    };
    source.range = source.range.map(|mode| mode.max(RangeMode::Update));
}

/// Hints that ask for locks, which NOLOCK refuses.
const LOCKING: [Hint; 8] = [
    Hint::UpdLock,
    Hint::XLock,
    Hint::HoldLock,
    Hint::RepeatableRead,
    Hint::ReadCommittedLock,
    Hint::TabLock,
    Hint::TabLockX,
    Hint::ReadPast,
];
