//! Schemas, objects, tables, views, modules, partitions, types.

use std::sync::Arc;

use super::types::TYPES;
use super::{CHAR2, Definition, NAME, TEXT_MAX, TEXT60, bit, code, date, int, optional, row, text_value};
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::engine::storage::schema::{KeyKind, Metadata, Object};
use crate::engine::value::text::COLLATION;
use crate::types::{DateTimeValue, Datum, Row, SqlType};

const INT: SqlType = SqlType::Int;
const BIT: SqlType = SqlType::Bit;
const DATE: SqlType = SqlType::DateTime;

pub const VIEWS: &[Definition] = &[
    Definition {
        name: "schemas",
        columns: &[("name", NAME), ("schema_id", INT), ("principal_id", INT)],
        make: schemas,
    },
    Definition { name: "objects", columns: OBJECT, make: objects },
    Definition { name: "all_objects", columns: OBJECT, make: objects },
    Definition { name: "tables", columns: TABLE, make: tables },
    Definition { name: "views", columns: OBJECT, make: views },
    Definition { name: "all_views", columns: OBJECT, make: views },
    Definition { name: "procedures", columns: OBJECT, make: nothing },
    Definition { name: "triggers", columns: OBJECT, make: nothing },
    Definition { name: "synonyms", columns: OBJECT, make: nothing },
    Definition {
        name: "sql_modules",
        columns: &[
            ("object_id", INT),
            ("definition", TEXT_MAX),
            ("uses_ansi_nulls", BIT),
            ("uses_quoted_identifier", BIT),
            ("is_schema_bound", BIT),
        ],
        make: modules,
    },
    Definition {
        name: "partitions",
        columns: &[
            ("partition_id", SqlType::BigInt),
            ("object_id", INT),
            ("index_id", INT),
            ("partition_number", INT),
            ("hobt_id", SqlType::BigInt),
            ("rows", SqlType::BigInt),
            ("data_compression", SqlType::TinyInt),
        ],
        make: partitions,
    },
    Definition {
        name: "types",
        columns: &[
            ("name", NAME),
            ("system_type_id", SqlType::TinyInt),
            ("user_type_id", INT),
            ("schema_id", INT),
            ("principal_id", INT),
            ("max_length", SqlType::SmallInt),
            ("precision", SqlType::TinyInt),
            ("scale", SqlType::TinyInt),
            ("collation_name", NAME),
            ("is_nullable", BIT),
            ("is_user_defined", BIT),
            ("is_assembly_type", BIT),
            ("default_object_id", INT),
            ("rule_object_id", INT),
            ("is_table_type", BIT),
        ],
        make: types,
    },
    Definition {
        name: "extended_properties",
        columns: &[
            ("class", SqlType::TinyInt),
            ("class_desc", TEXT60),
            ("major_id", INT),
            ("minor_id", INT),
            ("name", NAME),
            ("value", SqlType::Variant),
        ],
        make: nothing,
    },
];

const OBJECT: &[(&str, SqlType)] = &[
    ("name", NAME),
    ("object_id", INT),
    ("principal_id", INT),
    ("schema_id", INT),
    ("parent_object_id", INT),
    ("type", CHAR2),
    ("type_desc", TEXT60),
    ("create_date", DATE),
    ("modify_date", DATE),
    ("is_ms_shipped", BIT),
    ("is_published", BIT),
    ("is_schema_published", BIT),
];

const TABLE: &[(&str, SqlType)] = &[
    ("name", NAME),
    ("object_id", INT),
    ("principal_id", INT),
    ("schema_id", INT),
    ("parent_object_id", INT),
    ("type", CHAR2),
    ("type_desc", TEXT60),
    ("create_date", DATE),
    ("modify_date", DATE),
    ("is_ms_shipped", BIT),
    ("is_published", BIT),
    ("is_schema_published", BIT),
    ("max_column_id_used", INT),
    ("temporal_type", SqlType::TinyInt),
    ("temporal_type_desc", TEXT60),
    ("is_memory_optimized", BIT),
    ("is_external", BIT),
    ("is_filetable", BIT),
    ("is_tracked_by_cdc", BIT),
    ("lock_escalation", SqlType::TinyInt),
    ("is_node", BIT),
    ("is_edge", BIT),
    ("ledger_type", SqlType::TinyInt),
];

fn nothing(_: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    Ok(Vec::new())
}

/// The objects of a database that the session may see.
pub fn visible<'m>(exec: &Exec<'_>, database: &Database, metadata: &'m Metadata) -> Vec<&'m Object> {
    metadata.objects.values().filter(|o| exec.session.sees_object(database, o.id())).collect()
}

fn schemas(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    Ok(metadata.schemas.values().map(|s| row([text_value(&s.name), int(s.id), int(s.owner)])).collect())
}

struct Shown<'a> {
    name: &'a str,
    id: i32,
    schema: i32,
    parent: i32,
    kind: (&'a str, &'a str),
    created: DateTimeValue,
    modified: DateTimeValue,
}

fn object_row(shown: &Shown<'_>) -> Vec<Datum> {
    vec![
        text_value(shown.name),
        int(shown.id),
        Datum::Null,
        int(shown.schema),
        int(shown.parent),
        code(shown.kind.0),
        text_value(shown.kind.1),
        date(shown.created),
        date(shown.modified),
        bit(false),
        bit(false),
        bit(false),
    ]
}

fn objects(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows: Vec<Row> = Vec::new();
    for object in visible(exec, database, &metadata) {
        rows.push(Arc::from(main_row(object)));
        if let Object::Table(table) = object {
            let info = &table.info;
            let mut add = |name: &str, id: i32, kind: (&str, &str)| {
                let (schema, parent) = (info.schema_id, info.object_id);
                let (created, modified) = (info.created, info.modified);
                rows.push(Arc::from(object_row(&Shown {
                    name,
                    id,
                    schema,
                    parent,
                    kind,
                    created,
                    modified,
                })));
            };
            for index in &info.indexes {
                match index.constraint {
                    Some((KeyKind::Primary, id)) => add(&index.name, id, ("PK", "PRIMARY_KEY_CONSTRAINT")),
                    Some((KeyKind::Unique, id)) => add(&index.name, id, ("UQ", "UNIQUE_CONSTRAINT")),
                    None => {}
                }
            }
            info.foreign.iter().for_each(|f| add(&f.name, f.object_id, ("F ", "FOREIGN_KEY_CONSTRAINT")));
            info.checks.iter().for_each(|c| add(&c.name, c.object_id, ("C ", "CHECK_CONSTRAINT")));
            for default in info.columns.iter().filter_map(|c| c.default.as_ref()) {
                add(&default.name, default.object_id, ("D ", "DEFAULT_CONSTRAINT"));
            }
        }
    }
    Ok(rows)
}

fn main_row(object: &Object) -> Vec<Datum> {
    let (kind, created, modified) = match object {
        Object::Table(t) => (("U ", "USER_TABLE"), t.info.created, t.info.modified),
        Object::View(v) => (("V ", "VIEW"), v.created, v.created),
    };
    let (name, id, schema) = (object.name(), object.id(), object.schema_id());
    object_row(&Shown { name, id, schema, parent: 0, kind, created, modified })
}

fn tables(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows: Vec<Row> = Vec::new();
    for object in visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        let mut values = main_row(object);
        values.push(int(table.info.columns.iter().map(|c| c.id).max().unwrap_or(0)));
        values.extend([Datum::TinyInt(0), text_value("NON_TEMPORAL_TABLE")]);
        values.extend([
            bit(false),
            bit(false),
            bit(false),
            bit(false),
            Datum::TinyInt(0),
            bit(false),
            bit(false),
        ]);
        values.push(Datum::TinyInt(0));
        rows.push(Arc::from(values));
    }
    Ok(rows)
}

fn views(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let shown = visible(exec, database, &metadata);
    Ok(shown.into_iter().filter(|o| matches!(o, Object::View(_))).map(|o| Arc::from(main_row(o))).collect())
}

fn modules(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        if let Object::View(view) = object {
            let on = crate::engine::security::On::object(view.object_id);
            let definition = exec.session.has_permission(database, on, "VIEW DEFINITION");
            let text = optional(definition.then_some(&view.text), text_value);
            rows.push(row([int(view.object_id), text, bit(true), bit(true), bit(false)]));
        }
    }
    Ok(rows)
}

fn partitions(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        let count = Datum::BigInt(table.row_count() as i64);
        let id = table.info.object_id;
        let heap = table.info.clustered().is_none().then_some(0);
        for index in heap.into_iter().chain(table.info.indexes.iter().map(|i| i.id)) {
            let partition = Datum::BigInt(i64::from(id) << 16 | i64::from(index));
            rows.push(row([
                partition.clone(),
                int(id),
                int(index),
                int(1),
                partition,
                count.clone(),
                Datum::TinyInt(0),
            ]));
        }
    }
    Ok(rows)
}

fn types(_: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let texts = [167, 175, 231, 239];
    let one = |t: &super::types::TypeRow| {
        row([
            text_value(t.name),
            Datum::TinyInt(t.system_type_id),
            int(t.user_type_id),
            int(4),
            Datum::Null,
            Datum::SmallInt(t.max_length),
            Datum::TinyInt(t.precision),
            Datum::TinyInt(t.scale),
            optional(texts.contains(&t.system_type_id).then_some(COLLATION), text_value),
            bit(t.name != "timestamp" && t.name != "sysname"),
            bit(false),
            bit(false),
            int(0),
            int(0),
            bit(false),
        ])
    };
    Ok(TYPES.iter().map(one).collect())
}
