//! Keys, foreign keys, checks and defaults.

use std::sync::Arc;

use super::objects::visible;
use super::{CHAR2, Definition, NAME, TEXT_MAX, TEXT60, bit, code, date, int, row, text_value};
use crate::engine::ast::Action;
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::engine::storage::schema::{KeyKind, Object, TableInfo};
use crate::types::{Datum, Row, SqlType};

const INT: SqlType = SqlType::Int;
const BIT: SqlType = SqlType::Bit;
const DATE: SqlType = SqlType::DateTime;

pub const VIEWS: &[Definition] = &[
    Definition {
        name: "key_constraints",
        columns: &[
            ("name", NAME),
            ("object_id", INT),
            ("schema_id", INT),
            ("parent_object_id", INT),
            ("type", CHAR2),
            ("type_desc", TEXT60),
            ("create_date", DATE),
            ("modify_date", DATE),
            ("unique_index_id", INT),
            ("is_system_named", BIT),
        ],
        make: keys,
    },
    Definition {
        name: "foreign_keys",
        columns: &[
            ("name", NAME),
            ("object_id", INT),
            ("schema_id", INT),
            ("parent_object_id", INT),
            ("type", CHAR2),
            ("type_desc", TEXT60),
            ("create_date", DATE),
            ("modify_date", DATE),
            ("referenced_object_id", INT),
            ("is_disabled", BIT),
            ("is_not_trusted", BIT),
            ("delete_referential_action", SqlType::TinyInt),
            ("delete_referential_action_desc", TEXT60),
            ("update_referential_action", SqlType::TinyInt),
            ("update_referential_action_desc", TEXT60),
        ],
        make: foreign_keys,
    },
    Definition {
        name: "foreign_key_columns",
        columns: &[
            ("constraint_object_id", INT),
            ("constraint_column_id", INT),
            ("parent_object_id", INT),
            ("parent_column_id", INT),
            ("referenced_object_id", INT),
            ("referenced_column_id", INT),
        ],
        make: foreign_key_columns,
    },
    Definition {
        name: "check_constraints",
        columns: &[
            ("name", NAME),
            ("object_id", INT),
            ("schema_id", INT),
            ("parent_object_id", INT),
            ("type", CHAR2),
            ("type_desc", TEXT60),
            ("is_disabled", BIT),
            ("is_not_trusted", BIT),
            ("definition", TEXT_MAX),
        ],
        make: checks,
    },
    Definition {
        name: "default_constraints",
        columns: &[
            ("name", NAME),
            ("object_id", INT),
            ("schema_id", INT),
            ("parent_object_id", INT),
            ("type", CHAR2),
            ("type_desc", TEXT60),
            ("parent_column_id", INT),
            ("definition", TEXT_MAX),
            ("is_system_named", BIT),
        ],
        make: defaults,
    },
];

fn each_table(exec: &Exec<'_>, database: &Arc<Database>, mut f: impl FnMut(&TableInfo)) {
    let metadata = exec.metadata(database);
    for object in visible(exec, database, &metadata) {
        if let Object::Table(table) = object {
            f(&table.info);
        }
    }
}

fn keys(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    each_table(exec, database, |info| {
        for index in &info.indexes {
            let Some((kind, id)) = index.constraint else { continue };
            let (kind, description) = match kind {
                KeyKind::Primary => ("PK", "PRIMARY_KEY_CONSTRAINT"),
                KeyKind::Unique => ("UQ", "UNIQUE_CONSTRAINT"),
            };
            rows.push(row([
                text_value(&index.name),
                int(id),
                int(info.schema_id),
                int(info.object_id),
                code(kind),
                text_value(description),
                date(info.created),
                date(info.modified),
                int(index.id),
                bit(index.name.contains("__")),
            ]));
        }
    });
    Ok(rows)
}

fn action(action: Action) -> [Datum; 2] {
    let (code, description) = match action {
        Action::Refuse => (0, "NO_ACTION"),
        Action::Cascade => (1, "CASCADE"),
        Action::SetNull => (2, "SET_NULL"),
    };
    [Datum::TinyInt(code), text_value(description)]
}

fn foreign_keys(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    each_table(exec, database, |info| {
        for foreign in &info.foreign {
            let mut values = vec![
                text_value(&foreign.name),
                int(foreign.object_id),
                int(info.schema_id),
                int(info.object_id),
                code("F "),
                text_value("FOREIGN_KEY_CONSTRAINT"),
                date(info.created),
                date(info.modified),
                int(foreign.table),
                bit(false),
                bit(false),
            ];
            values.extend(action(foreign.on_delete));
            values.extend(action(foreign.on_update));
            rows.push(Arc::from(values));
        }
    });
    Ok(rows)
}

fn foreign_key_columns(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    each_table(exec, database, |info| {
        for foreign in &info.foreign {
            for (n, (own, other)) in foreign.columns.iter().zip(&foreign.referenced).enumerate() {
                let referenced = metadata.table_by_id(foreign.table).map_or(0, |t| t.info.columns[*other].id);
                rows.push(row([
                    int(foreign.object_id),
                    int(n as i32 + 1),
                    int(info.object_id),
                    int(info.columns[*own].id),
                    int(foreign.table),
                    int(referenced),
                ]));
            }
        }
    });
    Ok(rows)
}

fn checks(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    each_table(exec, database, |info| {
        for check in &info.checks {
            rows.push(row([
                text_value(&check.name),
                int(check.object_id),
                int(info.schema_id),
                int(info.object_id),
                code("C "),
                text_value("CHECK_CONSTRAINT"),
                bit(false),
                bit(false),
                text_value(&check.text),
            ]));
        }
    });
    Ok(rows)
}

fn defaults(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    each_table(exec, database, |info| {
        for column in &info.columns {
            let Some(default) = &column.default else { continue };
            rows.push(row([
                text_value(&default.name),
                int(default.object_id),
                int(info.schema_id),
                int(info.object_id),
                code("D "),
                text_value("DEFAULT_CONSTRAINT"),
                int(column.id),
                text_value(&default.text),
                bit(default.name.contains("__")),
            ]));
        }
    });
    Ok(rows)
}
