//! Table-valued system functions: `fn_my_permissions`, `STRING_SPLIT`.

use std::sync::Arc;

use super::{NAME, SystemView, arguments, row, text_value};
use crate::engine::ast::Name;
use crate::engine::exec::Exec;
use crate::engine::functions;
use crate::engine::message::{self, Result};
use crate::engine::permission::PERMISSIONS;
use crate::engine::plan::Bound;
use crate::engine::security::{Needed, On};
use crate::engine::storage::database::Database;
use crate::engine::storage::schema::Object;
use crate::engine::value::text;
use crate::types::{Datum, Length, Row, SqlType};

/// A table-valued function's result.
pub fn function(exec: &Exec<'_>, name: &Name, args: &[Bound]) -> Result<SystemView> {
    let values = arguments(exec, args)?;
    let object = name.object();
    let in_sys = name.schema().is_none_or(|s| text::equal(s, "sys"));
    if in_sys && text::equal(object, "fn_my_permissions") {
        return my_permissions(exec, &values);
    }
    if name.schema().is_none() && text::equal(object, "STRING_SPLIT") {
        return string_split(&values);
    }
    Err(message::invalid_object(name))
}

fn string_split(values: &[Datum]) -> Result<SystemView> {
    let [text, separator] = values else {
        return Err(message::wrong_arity("STRING_SPLIT", 2));
    };
    let columns = vec![("value".to_owned(), SqlType::NVarChar(Length::Max))];
    let (Some(text), Some(separator)) = (text.as_str(), separator.as_str()) else {
        return Ok(SystemView { columns, rows: Vec::new() });
    };
    if separator.chars().count() != 1 {
        let text = "Procedure expects parameter 'separator' of type 'nchar(1)/nvarchar(1)'.";
        return Err(message::SqlError::new(214, 16, 11, text));
    }
    let rows = text.split(separator).map(|part| row([text_value(part)])).collect();
    Ok(SystemView { columns, rows })
}

fn my_permissions(exec: &Exec<'_>, values: &[Datum]) -> Result<SystemView> {
    let [securable, class] = values else {
        return Err(message::wrong_arity("fn_my_permissions", 2));
    };
    let columns = vec![
        ("entity_name".to_owned(), NAME),
        ("subentity_name".to_owned(), NAME),
        ("permission_name".to_owned(), NAME),
    ];
    let name = securable.as_str().unwrap_or_default();
    let class = class.as_str().unwrap_or("SERVER").to_ascii_uppercase();
    let database = exec.session.database();
    let metadata = exec.metadata(&database);
    let rows = match class.as_str() {
        "SERVER" => held(exec, &database, On::SERVER, "server"),
        "DATABASE" => held(exec, &database, On::DATABASE, "database"),
        "SCHEMA" => {
            metadata.schema(name).map_or(Vec::new(), |s| held(exec, &database, On::schema(s.id), &s.name))
        }
        "OBJECT" => object(exec, &database, name),
        _ => Vec::new(),
    };
    Ok(SystemView { columns, rows })
}

fn held(exec: &Exec<'_>, database: &Database, on: On, entity: &str) -> Vec<Row> {
    let list = PERMISSIONS.iter().filter(|(_, _, classes)| classes.contains(&on.class));
    list.filter(|(name, ..)| exec.session.has_permission(database, on, name))
        .map(|(name, ..)| row([text_value(entity), text_value(""), text_value(name)]))
        .collect()
}

/// An object's permissions, then those on each of its columns.
fn object(exec: &Exec<'_>, database: &Arc<Database>, name: &str) -> Vec<Row> {
    let Some(parsed) = functions::split_name(name) else { return Vec::new() };
    let metadata = exec.metadata(database);
    let schema = parsed.schema().map_or_else(|| exec.session.default_schema(database), str::to_owned);
    let Some(object) = metadata.schema(&schema).and_then(|s| metadata.object(s.id, parsed.object())) else {
        return Vec::new();
    };
    let mut rows = held(exec, database, On::object(object.id()), name);
    let columns: Vec<(i32, String)> = match object {
        Object::Table(t) => t.info.columns.iter().map(|c| (c.id, c.name.clone())).collect(),
        Object::View(v) => (1..).zip(v.columns.iter().cloned()).collect(),
    };
    for (id, column) in columns {
        for permission in ["SELECT", "UPDATE", "REFERENCES"] {
            let one = std::iter::once(id).collect();
            let needed = Needed { permission, object: object.id(), columns: &one };
            if exec.session.require_object(database, &needed).is_ok() {
                rows.push(row([text_value(name), text_value(&column), text_value(permission)]));
            }
        }
    }
    rows
}
