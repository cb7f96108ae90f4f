//! Columns and indexes.

use std::sync::Arc;

use super::objects::visible;
use super::types::{max_length, precision, scale};
use super::{Definition, NAME, TEXT_MAX, TEXT60, bit, int, optional, row, text_value};
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::plan::QueryPlan;
use crate::engine::storage::database::Database;
use crate::engine::storage::guard;
use crate::engine::storage::schema::{ColumnInfo, KeyKind, Object, View};
use crate::engine::value::convert;
use crate::engine::value::text::COLLATION;
use crate::types::{Datum, Row, SqlType};

const INT: SqlType = SqlType::Int;
const BIT: SqlType = SqlType::Bit;
const TINY: SqlType = SqlType::TinyInt;

pub const VIEWS: &[Definition] = &[
    Definition { name: "columns", columns: COLUMN, make: columns },
    Definition { name: "all_columns", columns: COLUMN, make: columns },
    Definition {
        name: "identity_columns",
        columns: &[
            ("object_id", INT),
            ("name", NAME),
            ("column_id", INT),
            ("is_identity", BIT),
            ("seed_value", SqlType::Variant),
            ("increment_value", SqlType::Variant),
            ("last_value", SqlType::Variant),
            ("is_not_for_replication", BIT),
        ],
        make: identities,
    },
    Definition {
        name: "computed_columns",
        columns: &[
            ("object_id", INT),
            ("name", NAME),
            ("column_id", INT),
            ("is_computed", BIT),
            ("definition", TEXT_MAX),
            ("is_persisted", BIT),
        ],
        make: computed,
    },
    Definition {
        name: "indexes",
        columns: &[
            ("object_id", INT),
            ("name", NAME),
            ("index_id", INT),
            ("type", TINY),
            ("type_desc", TEXT60),
            ("is_unique", BIT),
            ("data_space_id", INT),
            ("ignore_dup_key", BIT),
            ("is_primary_key", BIT),
            ("is_unique_constraint", BIT),
            ("fill_factor", TINY),
            ("is_padded", BIT),
            ("is_disabled", BIT),
            ("is_hypothetical", BIT),
            ("allow_row_locks", BIT),
            ("allow_page_locks", BIT),
            ("has_filter", BIT),
            ("filter_definition", TEXT_MAX),
        ],
        make: indexes,
    },
    Definition {
        name: "index_columns",
        columns: &[
            ("object_id", INT),
            ("index_id", INT),
            ("index_column_id", INT),
            ("column_id", INT),
            ("key_ordinal", TINY),
            ("partition_ordinal", TINY),
            ("is_descending_key", BIT),
            ("is_included_column", BIT),
        ],
        make: index_columns,
    },
];

const COLUMN: &[(&str, SqlType)] = &[
    ("object_id", INT),
    ("name", NAME),
    ("column_id", INT),
    ("system_type_id", TINY),
    ("user_type_id", INT),
    ("max_length", SqlType::SmallInt),
    ("precision", TINY),
    ("scale", TINY),
    ("collation_name", NAME),
    ("is_nullable", BIT),
    ("is_ansi_padded", BIT),
    ("is_rowguidcol", BIT),
    ("is_identity", BIT),
    ("is_computed", BIT),
    ("is_filestream", BIT),
    ("is_replicated", BIT),
    ("is_xml_document", BIT),
    ("default_object_id", INT),
    ("is_sparse", BIT),
    ("is_column_set", BIT),
    ("generated_always_type", TINY),
    ("is_hidden", BIT),
    ("is_masked", BIT),
];

struct Shown<'a> {
    object: i32,
    name: &'a str,
    id: i32,
    ty: SqlType,
    nullable: bool,
    info: Option<&'a ColumnInfo>,
}

fn column_row(shown: &Shown<'_>) -> Row {
    let ty = shown.ty;
    let info = shown.info;
    let user_type = i32::from(ty.type_id());
    row([
        int(shown.object),
        text_value(shown.name),
        int(shown.id),
        Datum::TinyInt(ty.type_id()),
        int(user_type),
        Datum::SmallInt(max_length(ty)),
        Datum::TinyInt(precision(ty)),
        Datum::TinyInt(scale(ty)),
        optional(ty.is_text().then_some(COLLATION), text_value),
        bit(shown.nullable),
        bit(ty.is_text() || ty.is_binary()),
        bit(false),
        bit(info.is_some_and(|c| c.identity.is_some())),
        bit(info.is_some_and(|c| c.computed.is_some())),
        bit(false),
        bit(false),
        bit(false),
        int(info.and_then(|c| c.default.as_ref()).map_or(0, |d| d.object_id)),
        bit(false),
        bit(false),
        Datum::TinyInt(0),
        bit(false),
        bit(false),
    ])
}

fn columns(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        match object {
            Object::Table(table) => {
                let object = table.info.object_id;
                rows.extend(table.info.columns.iter().map(|c| {
                    let (name, id, ty, nullable) = (c.name.as_str(), c.id, c.ty, c.nullable);
                    column_row(&Shown { object, name, id, ty, nullable, info: Some(c) })
                }));
            }
            Object::View(view) => {
                let plan = view_plan(exec, view)?;
                rows.extend(view.columns.iter().zip(&plan.columns).zip(1..).map(|((name, column), id)| {
                    let (ty, nullable) = (column.ty, column.nullable);
                    column_row(&Shown { object: view.object_id, name, id, ty, nullable, info: None })
                }));
            }
        }
    }
    Ok(rows)
}

/// A view's plan, for the types of its columns.
pub fn view_plan(exec: &Exec<'_>, view: &View) -> Result<QueryPlan> {
    crate::engine::bind::Binder::new(exec).query(&view.query)
}

fn identities(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        for column in &table.info.columns {
            let Some((seed, step)) = column.identity else { continue };
            let typed = |n: i64| convert::convert(&Datum::BigInt(n), column.ty, 0, convert::Fit::Cut);
            let last = *guard(&table.identity);
            rows.push(row([
                int(table.info.object_id),
                text_value(&column.name),
                int(column.id),
                bit(true),
                typed(seed)?,
                typed(step)?,
                last.map_or(Ok(Datum::Null), typed)?,
                bit(false),
            ]));
        }
    }
    Ok(rows)
}

fn computed(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        for column in &table.info.columns {
            if let Some((_, text)) = &column.computed {
                let definition = text_value(format!("({text})"));
                rows.push(row([
                    int(table.info.object_id),
                    text_value(&column.name),
                    int(column.id),
                    bit(true),
                    definition,
                    bit(false),
                ]));
            }
        }
    }
    Ok(rows)
}

fn indexes(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        let mut add = |name: Datum, id: i32, kind: (u8, &str), unique: bool, key: Option<KeyKind>| {
            rows.push(row([
                int(table.info.object_id),
                name,
                int(id),
                Datum::TinyInt(kind.0),
                text_value(kind.1),
                bit(unique),
                int(1),
                bit(false),
                bit(key == Some(KeyKind::Primary)),
                bit(key == Some(KeyKind::Unique)),
                Datum::TinyInt(0),
                bit(false),
                bit(false),
                bit(false),
                bit(true),
                bit(true),
                bit(false),
                Datum::Null,
            ]));
        };
        if table.info.clustered().is_none() {
            add(Datum::Null, 0, (0, "HEAP"), false, None);
        }
        for index in &table.info.indexes {
            let kind = if index.clustered { (1, "CLUSTERED") } else { (2, "NONCLUSTERED") };
            add(text_value(&index.name), index.id, kind, index.unique, index.constraint.map(|(k, _)| k));
        }
    }
    Ok(rows)
}

fn index_columns(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        for index in &table.info.indexes {
            let keys = index.columns.iter().zip(1u8..).map(|((at, desc), n)| (*at, n, *desc, false));
            let included = index.include.iter().map(|at| (*at, 0, false, true));
            for (position, (at, ordinal, descending, include)) in keys.chain(included).enumerate() {
                rows.push(row([
                    int(table.info.object_id),
                    int(index.id),
                    int(position as i32 + 1),
                    int(table.info.columns[at].id),
                    Datum::TinyInt(ordinal),
                    Datum::TinyInt(0),
                    bit(descending),
                    bit(include),
                ]));
            }
        }
    }
    Ok(rows)
}
