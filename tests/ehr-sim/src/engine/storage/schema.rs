//! Definitions: columns, indexes, constraints, views, schemas. Plain data, immutable once installed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::table::Table;
use super::tracking::TableTracking;
use crate::engine::ast::{Action, Expr, Query};
use crate::engine::permission::Grants;
use crate::engine::principal::Principals;
use crate::engine::value::text;
use crate::types::SqlType;

/// A column of a table.
#[derive(Debug, Clone)]
pub struct ColumnInfo {
    pub id: i32,
    pub name: String,
    pub ty: SqlType,
    pub nullable: bool,
    pub identity: Option<(i64, i64)>,
    pub default: Option<DefaultInfo>,
    pub computed: Option<(Expr, String)>,
}

#[derive(Debug, Clone)]
pub struct DefaultInfo {
    pub object_id: i32,
    pub name: String,
    pub expr: Expr,
    pub text: String,
}

/// An index, also behind PRIMARY KEY and UNIQUE.
#[derive(Debug, Clone)]
pub struct IndexInfo {
    pub id: i32,
    pub name: String,
    pub unique: bool,
    pub clustered: bool,
    /// PRIMARY KEY or UNIQUE constraint, with its object id.
    pub constraint: Option<(KeyKind, i32)>,
    /// Column positions and whether descending.
    pub columns: Vec<(usize, bool)>,
    pub include: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Primary,
    Unique,
}

#[derive(Debug, Clone)]
pub struct ForeignKey {
    pub object_id: i32,
    pub name: String,
    pub columns: Vec<usize>,
    pub table: i32,
    pub referenced: Vec<usize>,
    pub on_delete: Action,
    pub on_update: Action,
}

#[derive(Debug, Clone)]
pub struct CheckInfo {
    pub object_id: i32,
    pub name: String,
    pub condition: Expr,
    pub text: String,
    /// The one column it was declared on, for the message.
    pub column: Option<String>,
}

/// A table's definition.
#[derive(Debug, Clone)]
pub struct TableInfo {
    pub object_id: i32,
    pub schema_id: i32,
    pub name: String,
    pub columns: Vec<ColumnInfo>,
    pub indexes: Vec<IndexInfo>,
    pub foreign: Vec<ForeignKey>,
    pub checks: Vec<CheckInfo>,
    pub created: crate::types::DateTimeValue,
    pub modified: crate::types::DateTimeValue,
    /// Changes, while the table is tracked.
    pub tracking: Option<Arc<Mutex<TableTracking>>>,
}

impl TableInfo {
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| text::equal(&c.name, name))
    }

    pub fn primary_key(&self) -> Option<&IndexInfo> {
        self.indexes.iter().find(|i| matches!(i.constraint, Some((KeyKind::Primary, _))))
    }

    /// Position of the clustered index.
    pub fn clustered(&self) -> Option<usize> {
        self.indexes.iter().position(|i| i.clustered)
    }

    pub fn rowversion(&self) -> Option<usize> {
        self.columns.iter().position(|c| c.ty == SqlType::RowVersion)
    }

    pub fn identity(&self) -> Option<usize> {
        self.columns.iter().position(|c| c.identity.is_some())
    }
}

#[derive(Debug)]
pub struct View {
    pub object_id: i32,
    pub schema_id: i32,
    pub name: String,
    pub columns: Vec<String>,
    pub query: Query,
    pub text: String,
    pub created: crate::types::DateTimeValue,
}

#[derive(Debug, Clone)]
pub enum Object {
    Table(Arc<Table>),
    View(Arc<View>),
}

impl Object {
    pub fn id(&self) -> i32 {
        match self {
            Self::Table(t) => t.info.object_id,
            Self::View(v) => v.object_id,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Table(t) => &t.info.name,
            Self::View(v) => &v.name,
        }
    }

    pub fn schema_id(&self) -> i32 {
        match self {
            Self::Table(t) => t.info.schema_id,
            Self::View(v) => v.schema_id,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Schema {
    pub id: i32,
    pub name: String,
    /// Database principal.
    pub owner: i32,
}

/// Everything of a database that DDL changes, in one value so that a transaction can put it back.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// By folded name.
    pub schemas: BTreeMap<String, Schema>,
    /// By schema id and folded name.
    pub objects: BTreeMap<(i32, String), Object>,
    pub principals: Principals,
    pub grants: Grants,
}

impl Metadata {
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.get(&text::fold_name(name))
    }

    pub fn schema_by_id(&self, id: i32) -> Option<&Schema> {
        self.schemas.values().find(|s| s.id == id)
    }

    pub fn object(&self, schema: i32, name: &str) -> Option<&Object> {
        self.objects.get(&(schema, text::fold_name(name)))
    }

    pub fn object_by_id(&self, id: i32) -> Option<&Object> {
        self.objects.values().find(|o| o.id() == id)
    }

    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.objects.values().filter_map(|o| match o {
            Object::Table(t) => Some(t),
            Object::View(_) => None,
        })
    }

    pub fn table_by_id(&self, id: i32) -> Option<&Arc<Table>> {
        self.tables().find(|t| t.info.object_id == id)
    }

    pub fn put(&mut self, object: Object) {
        self.objects.insert((object.schema_id(), text::fold_name(object.name())), object);
    }

    pub fn schema_name(&self, id: i32) -> &str {
        self.schema_by_id(id).map_or("", |s| &s.name)
    }
}
