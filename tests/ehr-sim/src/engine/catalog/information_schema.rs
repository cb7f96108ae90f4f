//! `INFORMATION_SCHEMA`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]
#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::sync::Arc;

use super::objects::visible;
use super::types::{max_length, precision, scale};
use super::{Definition, NAME, TEXT_MAX, code, int, optional, row, text_value};
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::engine::storage::schema::{KeyKind, Object};
use crate::types::{Datum, Length, Row, SqlType};

const V3: SqlType = SqlType::VarChar(Length::Of(3));
const V11: SqlType = SqlType::VarChar(Length::Of(11));
const INT: SqlType = SqlType::Int;

pub const VIEWS: &[Definition] = &[
    Definition {
        name: "TABLES",
        columns: &[
            ("TABLE_CATALOG", NAME),
            ("TABLE_SCHEMA", NAME),
            ("TABLE_NAME", NAME),
            ("TABLE_TYPE", SqlType::VarChar(Length::Of(10))),
        ],
        make: tables,
    },
    Definition {
        name: "COLUMNS",
        columns: &[
            ("TABLE_CATALOG", NAME),
            ("TABLE_SCHEMA", NAME),
            ("TABLE_NAME", NAME),
            ("COLUMN_NAME", NAME),
            ("ORDINAL_POSITION", INT),
            ("COLUMN_DEFAULT", TEXT_MAX),
            ("IS_NULLABLE", V3),
            ("DATA_TYPE", NAME),
            ("CHARACTER_MAXIMUM_LENGTH", INT),
            ("CHARACTER_OCTET_LENGTH", INT),
            ("NUMERIC_PRECISION", SqlType::TinyInt),
            ("NUMERIC_SCALE", INT),
            ("DATETIME_PRECISION", SqlType::SmallInt),
            ("CHARACTER_SET_NAME", NAME),
            ("COLLATION_NAME", NAME),
        ],
        make: columns,
    },
    Definition {
        name: "SCHEMATA",
        columns: &[("CATALOG_NAME", NAME), ("SCHEMA_NAME", NAME), ("SCHEMA_OWNER", NAME)],
        make: schemata,
    },
    Definition {
        name: "TABLE_CONSTRAINTS",
        columns: &[
            ("CONSTRAINT_CATALOG", NAME),
            ("CONSTRAINT_SCHEMA", NAME),
            ("CONSTRAINT_NAME", NAME),
            ("TABLE_CATALOG", NAME),
            ("TABLE_SCHEMA", NAME),
            ("TABLE_NAME", NAME),
            ("CONSTRAINT_TYPE", V11),
        ],
        make: table_constraints,
    },
    Definition {
        name: "KEY_COLUMN_USAGE",
        columns: &[
            ("CONSTRAINT_CATALOG", NAME),
            ("CONSTRAINT_SCHEMA", NAME),
            ("CONSTRAINT_NAME", NAME),
            ("TABLE_CATALOG", NAME),
            ("TABLE_SCHEMA", NAME),
            ("TABLE_NAME", NAME),
            ("COLUMN_NAME", NAME),
            ("ORDINAL_POSITION", INT),
        ],
        make: key_column_usage,
    },
    Definition {
        name: "VIEWS",
        columns: &[
            ("TABLE_CATALOG", NAME),
            ("TABLE_SCHEMA", NAME),
            ("TABLE_NAME", NAME),
            ("VIEW_DEFINITION", TEXT_MAX),
        ],
        make: views,
    },
];

fn tables(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let one = |o: &&Object| {
        let kind = if matches!(o, Object::Table(_)) { "BASE TABLE" } else { "VIEW" };
        row([
            text_value(&database.name),
            text_value(metadata.schema_name(o.schema_id())),
            text_value(o.name()),
            code(kind),
        ])
    };
    Ok(visible(exec, database, &metadata).iter().map(one).collect())
}

fn column_row(
    place: [Datum; 3],
    name: &str,
    ordinal: i32,
    default: Datum,
    ty: SqlType,
    nullable: bool,
) -> Row {
    let length = match max_length(ty) {
        -1 => -1,
        n if ty.is_unicode() => i32::from(n) / 2,
        n => i32::from(n),
    };
    let sized = ty.is_text() || matches!(ty, SqlType::Binary(_) | SqlType::VarBinary(_));
    let number = ty.is_number() && ty != SqlType::Bit;
    let exact = number && !matches!(ty, SqlType::Float | SqlType::Real);
    let fraction = match ty {
        SqlType::DateTime => Some(3),
        SqlType::Date | SqlType::SmallDateTime => Some(0),
        t if t.is_temporal() => Some(i16::from(scale(t))),
        _ => None,
    };
    let set = if ty.is_unicode() { "UNICODE" } else { "iso_1" };
    let values = [
        text_value(name),
        int(ordinal),
        default,
        code(if nullable { "YES" } else { "NO" }),
        text_value(ty.name()),
        optional(sized.then_some(length), int),
        optional(sized.then(|| i32::from(max_length(ty))), int),
        optional(number.then(|| precision(ty)), Datum::TinyInt),
        optional(exact.then(|| i32::from(scale(ty))), int),
        optional(fraction, Datum::SmallInt),
        optional(ty.is_text().then_some(set), text_value),
        optional(ty.is_text().then_some(crate::engine::value::text::COLLATION), text_value),
    ];
    place.into_iter().chain(values).collect()
}

fn columns(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        let place = || {
            let schema = metadata.schema_name(object.schema_id());
            [text_value(&database.name), text_value(schema), text_value(object.name())]
        };
        match object {
            Object::Table(table) => {
                for (column, ordinal) in table.info.columns.iter().zip(1..) {
                    let default = optional(column.default.as_ref(), |d| text_value(&d.text));
                    rows.push(column_row(
                        place(),
                        &column.name,
                        ordinal,
                        default,
                        column.ty,
                        column.nullable,
                    ));
                }
            }
            Object::View(view) => {
                let plan = super::columns::view_plan(exec, view)?;
                for ((name, column), ordinal) in view.columns.iter().zip(&plan.columns).zip(1..) {
                    rows.push(column_row(place(), name, ordinal, Datum::Null, column.ty, column.nullable));
                }
            }
        }
    }
    Ok(rows)
}

fn schemata(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let owner = |id: i32| metadata.principals.list.get(&id).map_or(Datum::Null, |p| text_value(&p.name));
    Ok(metadata
        .schemas
        .values()
        .map(|s| row([text_value(&database.name), text_value(&s.name), owner(s.owner)]))
        .collect())
}

fn each_constraint(
    exec: &Exec<'_>,
    database: &Arc<Database>,
    mut f: impl FnMut([Datum; 6], &str, Vec<Datum>),
) {
    let metadata = exec.metadata(database);
    for object in visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        let info = &table.info;
        let schema = text_value(metadata.schema_name(info.schema_id));
        let catalog = text_value(&database.name);
        let place = |name: &str| {
            [
                catalog.clone(),
                schema.clone(),
                text_value(name),
                catalog.clone(),
                schema.clone(),
                text_value(&info.name),
            ]
        };
        let names = |list: &mut dyn Iterator<Item = usize>| -> Vec<Datum> {
            list.map(|at| text_value(&info.columns[at].name)).collect()
        };
        for index in &info.indexes {
            let Some((kind, _)) = index.constraint else { continue };
            let kind = if kind == KeyKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
            f(place(&index.name), kind, names(&mut index.columns.iter().map(|(at, _)| *at)));
        }
        for foreign in &info.foreign {
            f(place(&foreign.name), "FOREIGN KEY", names(&mut foreign.columns.iter().copied()));
        }
        for check in &info.checks {
            f(place(&check.name), "CHECK", Vec::new());
        }
    }
}

fn table_constraints(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    each_constraint(exec, database, |place, kind, _| {
        rows.push(place.into_iter().chain([code(kind)]).collect())
    });
    Ok(rows)
}

fn key_column_usage(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    each_constraint(exec, database, |place, _, columns| {
        for (column, ordinal) in columns.into_iter().zip(1..) {
            rows.push(place.clone().into_iter().chain([column, int(ordinal)]).collect());
        }
    });
    Ok(rows)
}

fn views(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in visible(exec, database, &metadata) {
        if let Object::View(view) = object {
            let schema = text_value(metadata.schema_name(view.schema_id));
            rows.push(row([
                text_value(&database.name),
                schema,
                text_value(&view.name),
                text_value(&view.text),
            ]));
        }
    }
    Ok(rows)
}
