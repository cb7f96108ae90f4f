//! Metadata functions: databases, objects, schemas, columns, indexes by name and id.

use super::{Builtin, int, int_of, smallint, sysname, text_of};
use crate::engine::ast::Name;
use crate::engine::catalog;
use crate::engine::exec::Exec;
use crate::engine::lex::{Tok, tokenize};
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::engine::storage::schema::Object;
use crate::engine::value::text;
use crate::types::{Datum, SqlType};
use std::sync::Arc;

pub const LIST: &[Builtin] = &[
    Builtin::new("DB_NAME", (0, 1), sysname, db_name),
    Builtin::new("DB_ID", (0, 1), smallint, db_id),
    Builtin::new("ORIGINAL_DB_NAME", (0, 0), sysname, |e, _| {
        Ok(Datum::text(&e.session.login_request.database))
    }),
    Builtin::new("OBJECT_ID", (1, 2), int, object_id),
    Builtin::new("OBJECT_NAME", (1, 2), sysname, object_name),
    Builtin::new("OBJECT_SCHEMA_NAME", (1, 2), sysname, object_schema_name),
    Builtin::new("SCHEMA_NAME", (0, 1), sysname, schema_name),
    Builtin::new("SCHEMA_ID", (0, 1), int, schema_id),
    Builtin::new("TYPE_NAME", (1, 1), sysname, type_name),
    Builtin::new("TYPE_ID", (1, 1), int, type_id),
    Builtin::new("COL_NAME", (2, 2), sysname, col_name),
    Builtin::new("COL_LENGTH", (2, 2), smallint, col_length),
    Builtin::new("COLUMNPROPERTY", (3, 3), int, column_property),
    Builtin::new("OBJECTPROPERTY", (2, 2), int, object_property),
    Builtin::new("INDEX_COL", (3, 3), sysname, index_col),
    Builtin::new("INDEXPROPERTY", (3, 3), int, index_property),
    Builtin::new(
        "IDENT_CURRENT",
        (1, 1),
        |_| Ok(SqlType::Decimal { precision: 38, scale: 0 }),
        ident_current,
    ),
    Builtin::new("DATABASEPROPERTYEX", (2, 2), super::variant, database_property),
    Builtin::new("CHANGE_TRACKING_CURRENT_VERSION", (0, 0), super::bigint, tracking_version),
    Builtin::new("CHANGE_TRACKING_MIN_VALID_VERSION", (1, 1), super::bigint, tracking_min_valid),
    Builtin::new("PARSENAME", (2, 2), sysname, parse_name),
    Builtin::new("COLLATIONPROPERTY", (2, 2), super::variant, collation_property),
];

fn current(exec: &Exec<'_>) -> Arc<Database> {
    exec.session.database()
}

fn db_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(id) = args.first() else { return Ok(Datum::text(&current(exec).name)) };
    let found = int_of(id)?
        .and_then(|id| u16::try_from(id).ok())
        .and_then(|id| if id == 0 { Some(current(exec)) } else { exec.session.instance.database_by_id(id) });
    Ok(found.map_or(Datum::Null, |d| Datum::text(&d.name)))
}

fn db_id(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let found = match args.first() {
        Some(name) => text_of(name)?.and_then(|name| exec.session.instance.database(&name)),
        None => Some(current(exec)),
    };
    Ok(found.map_or(Datum::Null, |d| Datum::SmallInt(d.id as i16)))
}

/// A name in text, as its parts.
pub fn split_name(text: &str) -> Option<Name> {
    let tokens = tokenize(text).ok()?;
    let mut parts = vec![String::new()];
    for token in tokens {
        match token.tok {
            Tok::Word(part) | Tok::Quoted(part) | Tok::Variable(part) => {
                parts.last_mut()?.push_str(&part);
            }
            Tok::Symbol(".") => parts.push(String::new()),
            Tok::End => return Some(Name(parts)),
            Tok::Number(_)
            | Tok::Money(_)
            | Tok::Text(_)
            | Tok::National(_)
            | Tok::Hex(_)
            | Tok::Symbol(_) => {
                return None;
            }
        }
    }
    None
}

/// The object a name means, and its database, if the session may see it.
fn find_object(exec: &Exec<'_>, text: &str) -> Option<(Arc<Database>, Object)> {
    let name = split_name(text)?;
    if let Some((database, table)) = exec.session.local_table(name.object()) {
        return Some((database, Object::Table(table)));
    }
    let database = match name.database() {
        Some(other) => exec.session.open_database(other).ok()?,
        None => current(exec),
    };
    let metadata = exec.metadata(&database);
    let default = exec.session.default_schema(&database);
    let schemas = match name.schema() {
        Some(schema) => vec![schema.to_owned()],
        None => vec![default, "dbo".to_owned()],
    };
    let object = schemas
        .iter()
        .filter_map(|s| metadata.schema(s))
        .find_map(|schema| metadata.object(schema.id, name.object()))?
        .clone();
    exec.session.sees_object(&database, object.id()).then_some((database, object))
}

fn object_id(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(name) = text_of(&args[0])? else { return Ok(Datum::Null) };
    let kind = args.get(1).map_or(Ok(None), text_of)?.map(|k| k.trim().to_uppercase());
    let id = match find_object(exec, &name) {
        Some((_, Object::Table(t))) if kind.as_deref().is_none_or(|k| k == "U") => Some(t.info.object_id),
        Some((_, Object::View(v))) if kind.as_deref().is_none_or(|k| k == "V") => Some(v.object_id),
        Some(_) => None,
        None => split_name(&name).and_then(|n| catalog::system_object_id(&n)),
    };
    Ok(id.map_or(Datum::Null, Datum::Int))
}

fn by_id(exec: &Exec<'_>, args: &[Datum]) -> Result<Option<(Arc<Database>, Object)>> {
    let Some(id) = int_of(&args[0])? else { return Ok(None) };
    let database = match args.get(1) {
        Some(db) => int_of(db)?.and_then(|id| exec.session.instance.database_by_id(id as u16)),
        None => Some(current(exec)),
    };
    let Some(database) = database.filter(|d| exec.session.user_in(d).is_some()) else { return Ok(None) };
    let object = exec.metadata(&database).object_by_id(id as i32).cloned();
    Ok(object.filter(|o| exec.session.sees_object(&database, o.id())).map(|o| (database, o)))
}

fn object_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    Ok(by_id(exec, args)?.map_or(Datum::Null, |(_, o)| Datum::text(o.name())))
}

fn object_schema_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    Ok(by_id(exec, args)?
        .map_or(Datum::Null, |(d, o)| Datum::text(exec.metadata(&d).schema_name(o.schema_id()))))
}

fn schema_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(id) = args.first() else { return Ok(Datum::text(exec.session.default_schema(&current(exec)))) };
    let metadata = exec.metadata(&current(exec));
    let schema = int_of(id)?.and_then(|id| metadata.schema_by_id(id as i32));
    Ok(schema.map_or(Datum::Null, |s| Datum::text(&s.name)))
}

fn schema_id(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = match args.first() {
        Some(name) => text_of(name)?,
        None => Some(exec.session.default_schema(&current(exec))),
    };
    let metadata = exec.metadata(&current(exec));
    Ok(name.and_then(|n| metadata.schema(&n).map(|s| s.id)).map_or(Datum::Null, Datum::Int))
}

fn type_name(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let id = int_of(&args[0])?;
    let found = catalog::TYPES.iter().find(|t| Some(i64::from(t.user_type_id)) == id);
    Ok(found.map_or(Datum::Null, |t| Datum::text(t.name)))
}

fn type_id(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = text_of(&args[0])?.unwrap_or_default();
    let found = catalog::TYPES.iter().find(|t| text::equal(t.name, &name));
    Ok(found.map_or(Datum::Null, |t| Datum::Int(t.user_type_id)))
}

fn table_by_id(exec: &Exec<'_>, id: &Datum) -> Result<Option<Object>> {
    Ok(by_id(exec, std::slice::from_ref(id))?.map(|(_, object)| object))
}

fn col_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let column = int_of(&args[1])?;
    Ok(match table_by_id(exec, &args[0])? {
        Some(Object::Table(t)) => t
            .info
            .columns
            .iter()
            .find(|c| Some(i64::from(c.id)) == column)
            .map_or(Datum::Null, |c| Datum::text(&c.name)),
        Some(Object::View(v)) => column
            .and_then(|n| usize::try_from(n - 1).ok())
            .and_then(|n| v.columns.get(n))
            .map_or(Datum::Null, Datum::text),
        None => Datum::Null,
    })
}

fn col_length(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(table), Some(column)) = (text_of(&args[0])?, text_of(&args[1])?) else {
        return Ok(Datum::Null);
    };
    Ok(match find_object(exec, &table) {
        Some((_, Object::Table(t))) => t
            .info
            .column(&column)
            .map_or(Datum::Null, |at| Datum::SmallInt(catalog::max_length(t.info.columns[at].ty))),
        Some((_, Object::View(_))) | None => Datum::Null,
    })
}

fn column_property(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (column, property) = (text_of(&args[1])?, text_of(&args[2])?);
    let (Some(Object::Table(table)), Some(column), Some(property)) =
        (table_by_id(exec, &args[0])?, column, property)
    else {
        return Ok(Datum::Null);
    };
    let Some(at) = table.info.column(&column) else { return Ok(Datum::Null) };
    let info = &table.info.columns[at];
    Ok(match property.to_ascii_lowercase().as_str() {
        "isidentity" => Datum::Int(i32::from(info.identity.is_some())),
        "allowsnull" => Datum::Int(i32::from(info.nullable)),
        "iscomputed" => Datum::Int(i32::from(info.computed.is_some())),
        "columnid" => Datum::Int(info.id),
        "precision" => Datum::Int(i32::from(catalog::precision(info.ty))),
        "scale" => Datum::Int(i32::from(catalog::scale(info.ty))),
        "isrowguidcol" | "ishidden" | "issparse" | "isfulltextindexed" => Datum::Int(0),
        _ => Datum::Null,
    })
}

fn object_property(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(property) = text_of(&args[1])? else { return Ok(Datum::Null) };
    let Some(object) = table_by_id(exec, &args[0])? else { return Ok(Datum::Null) };
    let table = match &object {
        Object::Table(t) => Some(t),
        Object::View(_) => None,
    };
    let yes = match property.to_ascii_lowercase().as_str() {
        "isusertable" | "istable" => table.is_some(),
        "isview" => table.is_none(),
        "tablehasprimarykey" => table.is_some_and(|t| t.info.primary_key().is_some()),
        "tablehasidentity" => table.is_some_and(|t| t.info.identity().is_some()),
        "tablehastimestamp" => table.is_some_and(|t| t.info.rowversion().is_some()),
        "tablehasclustindex" => table.is_some_and(|t| t.info.clustered().is_some()),
        "ismsshipped" => false,
        _ => return Ok(Datum::Null),
    };
    Ok(Datum::Int(i32::from(yes)))
}

fn index_col(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(table), Some(index), Some(key)) = (text_of(&args[0])?, int_of(&args[1])?, int_of(&args[2])?)
    else {
        return Ok(Datum::Null);
    };
    let Some((_, Object::Table(t))) = find_object(exec, &table) else { return Ok(Datum::Null) };
    let found = t.info.indexes.iter().find(|i| i64::from(i.id) == index);
    let column = found.and_then(|i| i.columns.get(usize::try_from(key - 1).ok()?));
    Ok(column.map_or(Datum::Null, |(at, _)| Datum::text(&t.info.columns[*at].name)))
}

fn index_property(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(index), Some(property)) = (text_of(&args[1])?, text_of(&args[2])?) else {
        return Ok(Datum::Null);
    };
    let Some(Object::Table(table)) = table_by_id(exec, &args[0])? else { return Ok(Datum::Null) };
    let Some(info) = table.info.indexes.iter().find(|i| text::equal(&i.name, &index)) else {
        return Ok(Datum::Null);
    };
    Ok(match property.to_ascii_lowercase().as_str() {
        "isunique" => Datum::Int(i32::from(info.unique)),
        "isclustered" => Datum::Int(i32::from(info.clustered)),
        "indexid" => Datum::Int(info.id),
        "isdisabled" | "ishypothetical" => Datum::Int(0),
        _ => Datum::Null,
    })
}

fn ident_current(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(name) = text_of(&args[0])? else { return Ok(Datum::Null) };
    let Some((_, Object::Table(table))) = find_object(exec, &name) else { return Ok(Datum::Null) };
    let Some((seed, _)) = table.info.identity().and_then(|at| table.info.columns[at].identity) else {
        return Ok(Datum::Null);
    };
    let last = *crate::engine::storage::guard(&table.identity);
    Ok(Datum::BigInt(last.unwrap_or(seed)))
}

fn database_property(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(name), Some(property)) = (text_of(&args[0])?, text_of(&args[1])?) else {
        return Ok(Datum::Null);
    };
    let Some(database) = exec.session.instance.database(&name) else { return Ok(Datum::Null) };
    let options = database.options();
    Ok(match property.to_ascii_lowercase().as_str() {
        "status" => Datum::text(if options.online { "ONLINE" } else { "OFFLINE" }),
        "updateability" => Datum::text(if options.read_only { "READ_ONLY" } else { "READ_WRITE" }),
        "useraccess" => Datum::text(
            ["MULTI_USER", "SINGLE_USER", "RESTRICTED_USER"][usize::from(options.user_access.min(2))],
        ),
        "recovery" => Datum::text(&options.recovery),
        "collation" => Datum::text(text::COLLATION),
        "version" => Datum::Int(904),
        "isautoclose" | "isautoshrink" | "ispublished" | "isinstandby" => Datum::Int(0),
        _ => Datum::Null,
    })
}

fn tracking_version(exec: &Exec<'_>, _: &[Datum]) -> Result<Datum> {
    let database = current(exec);
    let on = crate::engine::storage::guard(&database.tracking).on;
    Ok(if on { Datum::BigInt(exec.tracked_version(&database)?) } else { Datum::Null })
}

fn tracking_min_valid(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(Object::Table(table)) = table_by_id(exec, &args[0])? else { return Ok(Datum::Null) };
    let Some(tracking) = &table.info.tracking else { return Ok(Datum::Null) };
    let on = crate::engine::security::On::object(table.info.object_id);
    if !exec.session.has_permission(&current(exec), on, "VIEW CHANGE TRACKING") {
        return Ok(Datum::Null);
    }
    let mut tracking = crate::engine::storage::guard(tracking);
    tracking.clean(exec.now);
    Ok(Datum::BigInt(tracking.min_valid))
}

fn parse_name(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(name), Some(part)) = (text_of(&args[0])?, int_of(&args[1])?) else { return Ok(Datum::Null) };
    let Some(name) = split_name(&name) else { return Ok(Datum::Null) };
    let at = usize::try_from(part).ok().and_then(|n| name.0.len().checked_sub(n));
    Ok(at.and_then(|at| name.0.get(at)).filter(|p| !p.is_empty()).map_or(Datum::Null, Datum::text))
}

fn collation_property(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (name, property) = (text_of(&args[0])?.unwrap_or_default(), text_of(&args[1])?.unwrap_or_default());
    if !text::equal(&name, text::COLLATION) {
        return Ok(Datum::Null);
    }
    Ok(match property.to_ascii_lowercase().as_str() {
        "codepage" => Datum::Int(1252),
        "lcid" => Datum::Int(1033),
        "comparisonstyle" => Datum::Int(196_609),
        "version" => Datum::TinyInt(0),
        _ => Datum::Null,
    })
}
