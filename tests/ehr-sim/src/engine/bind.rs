//! The binder: names to columns and objects, types to every expression, permissions recorded as they are used.
//!
//! Invariant `checked-before-run`: [`Binder::check_permissions`] refuses a statement before its first row is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ast::Query;
use super::exec::Exec;
use super::message::{self, Result};
use super::plan::{Aggregate, Bound, Kind, Window};
use super::security::Needed;
use super::storage::database::Database;
use super::value::text;
use crate::types::SqlType;

mod changes;
mod common_type;
mod expr;
mod from;
mod query;

pub use common_type::{common_type, implicit};
pub use expr::arithmetic;
pub use from::{TableRef, conjuncts};
pub use query::{place_all, place_join_conditions};

/// A column visible to expressions.
#[derive(Debug, Clone)]
pub struct ScopeColumn {
    /// Alias or exposed table name.
    pub qualifier: String,
    /// Schema of an unaliased table.
    pub schema: Option<String>,
    pub name: String,
    pub ty: SqlType,
    pub nullable: bool,
    pub identity: bool,
    /// Index into the binder's uses and column id, for permissions.
    pub origin: Option<(usize, i32)>,
}

/// The columns of one query's FROM.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub columns: Vec<ScopeColumn>,
}

/// An object a statement reads, with the columns it reads.
#[derive(Debug, Clone)]
pub struct TableUse {
    pub database: Arc<Database>,
    pub object_id: i32,
    pub columns: BTreeSet<i32>,
    pub permission: &'static str,
}

pub(super) struct CteScope<'q> {
    pub name: String,
    pub columns: Vec<String>,
    pub query: &'q Query,
    /// How many CTEs were visible to it.
    pub visible: usize,
}

/// The table an UPDATE or DELETE writes, and where its columns begin in the row.
#[derive(Debug, Clone)]
pub struct WriteTarget {
    pub name: String,
    pub object: i32,
    /// The name is an alias given in FROM.
    pub by_alias: bool,
    pub base: Option<usize>,
}

pub struct Binder<'e, 'q> {
    pub exec: &'e Exec<'e>,
    pub scopes: Vec<Scope>,
    /// Open while a select list, HAVING or ORDER BY is bound.
    pub aggregates: Option<Vec<Aggregate>>,
    in_aggregate: bool,
    pub windows: Option<Vec<Window>>,
    pub uses: Vec<TableUse>,
    pub target: Option<WriteTarget>,
    ctes: Vec<CteScope<'q>>,
    /// Databases whose views are being expanded: their names resolve there, their tables are not checked.
    view_of: Vec<(Arc<Database>, i32)>,
    depth: usize,
}

impl<'e, 'q> Binder<'e, 'q> {
    pub fn new(exec: &'e Exec<'e>) -> Self {
        Self {
            exec,
            scopes: Vec::new(),
            aggregates: None,
            in_aggregate: false,
            windows: None,
            uses: Vec::new(),
            target: None,
            ctes: Vec::new(),
            view_of: Vec::new(),
            depth: 0,
        }
    }

    /// Refuses the statement if any object or column it uses may not be used.
    pub fn check_permissions(&self) -> Result<()> {
        if self.exec.session.compiling.get() {
            return Ok(());
        }
        for used in &self.uses {
            let needed =
                Needed { permission: used.permission, object: used.object_id, columns: &used.columns };
            self.exec.session.require_object(&used.database, &needed)?;
        }
        Ok(())
    }

    /// Records that a statement needs `permission` on an object.
    pub fn need(&mut self, database: &Arc<Database>, object_id: i32, permission: &'static str) -> usize {
        self.uses.push(TableUse {
            database: database.clone(),
            object_id,
            columns: BTreeSet::new(),
            permission,
        });
        self.uses.len() - 1
    }

    /// A column by its parts, from the innermost scope outwards.
    fn column(&mut self, parts: &[String]) -> Result<Bound> {
        for depth in 0..self.scopes.len() {
            let scope = &self.scopes[self.scopes.len() - 1 - depth];
            match find(scope, parts) {
                Found::None => {}
                Found::Many => {
                    return Err(message::ambiguous_column(parts.last().map_or("", String::as_str)));
                }
                Found::One(index) => {
                    let column = scope.columns[index].clone();
                    if let Some((used, id)) = column.origin {
                        self.uses[used].columns.insert(id);
                    }
                    let kind = Kind::Column { depth, index };
                    return Ok(Bound { kind, ty: column.ty, nullable: column.nullable });
                }
            }
        }
        Err(match parts {
            [name] => message::invalid_column(name),
            _ => self.unbound(parts),
        })
    }

    /// 207 when the qualifier is known, 4104 when it is not.
    fn unbound(&self, parts: &[String]) -> message::SqlError {
        let qualifier = &parts[parts.len() - 2];
        let known = self.scopes.iter().flat_map(|s| &s.columns).any(|c| text::equal(&c.qualifier, qualifier));
        if known {
            message::invalid_column(parts.last().map_or("", String::as_str))
        } else {
            message::not_bound(parts.join("."))
        }
    }
}

enum Found {
    None,
    One(usize),
    Many,
}

fn find(scope: &Scope, parts: &[String]) -> Found {
    let mut found = Found::None;
    for (index, column) in scope.columns.iter().enumerate() {
        if matches(column, parts) {
            found = match found {
                Found::None => Found::One(index),
                Found::One(_) | Found::Many => return Found::Many,
            };
        }
    }
    found
}

pub(super) fn matches(column: &ScopeColumn, parts: &[String]) -> bool {
    let Some((name, qualifiers)) = parts.split_last() else { return false };
    text::equal(&column.name, name) && qualifies(column, qualifiers)
}

/// Whether `[db.][schema.]table` names the column's source.
pub(super) fn qualifies(column: &ScopeColumn, qualifiers: &[String]) -> bool {
    match qualifiers {
        [] => true,
        [table] => text::equal(&column.qualifier, table),
        [.., schema, table] => {
            let schema_matches =
                column.schema.as_ref().is_some_and(|s| text::equal(s, schema) || schema.is_empty());
            text::equal(&column.qualifier, table) && schema_matches
        }
    }
}
