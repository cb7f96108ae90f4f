//! `joins`: a list of tables, each with what joins it and what is taken of it.
//!
//! What joins it is not called `on`, which is `True` in YAML. There is no place for SQL text.

use states::{Map, Value};

use crate::mssql::quote::ObjectName;
use crate::sync::SyncError;
use crate::sync::check::JoinRequest;
use crate::sync::spec::JoinKind;

use super::values::wrong;

/// Reads the joined tables.
///
/// # Errors
/// One is not a table with what joins it.
pub(super) fn joins(args: &Map) -> Result<Vec<JoinRequest>, SyncError> {
    match args.get("joins") {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::List(items)) => items.iter().map(join).collect(),
        Some(_) => Err(expected()),
    }
}

fn join(given: &Value) -> Result<JoinRequest, SyncError> {
    let Value::Map(map) = given else { return Err(expected()) };
    if let Some(name) = map.keys().filter_map(Value::as_str).find(|name| !KNOWN.contains(name)) {
        return Err(wrong("joins", &format!("without '{name}': a join takes {}", KNOWN.join(", "))));
    }
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let table = ObjectName::parse(text("table").ok_or_else(expected)?)?;
    let kind = match text("kind") {
        None | Some("left") => JoinKind::Left,
        Some("inner") => JoinKind::Inner,
        Some(_) => return Err(wrong("joins", "of kind left or inner")),
    };
    let Some(Value::Map(on)) = map.get("match") else { return Err(expected()) };
    let on: Option<Vec<(String, String)>> = on.iter().map(pair).collect();
    let on = on.filter(|on| !on.is_empty()).ok_or_else(expected)?;
    let alias = text("as").map_or_else(|| table.name.as_str().to_owned(), str::to_owned);
    let columns = columns(map.get("columns")).ok_or_else(expected)?;
    Ok(JoinRequest { table, alias, kind, on, columns })
}

/// A name that stays, or a mapping of one column to its name in the query.
fn columns(given: Option<&Value>) -> Option<Vec<(String, String)>> {
    match given {
        None | Some(Value::Nil) => Some(Vec::new()),
        Some(Value::Map(map)) => map.iter().map(pair).collect(),
        Some(Value::List(items)) => {
            let mut all = Vec::new();
            for item in items {
                if let Value::Map(map) = item {
                    all.extend(map.iter().map(pair).collect::<Option<Vec<_>>>()?);
                } else {
                    all.push((item.as_str()?.to_owned(), item.as_str()?.to_owned()));
                }
            }
            Some(all)
        }
        Some(name) => Some(vec![(name.as_str()?.to_owned(), name.as_str()?.to_owned())]),
    }
}

fn pair((key, value): (&Value, &Value)) -> Option<(String, String)> {
    Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
}

fn expected() -> SyncError {
    wrong("joins", "a list of {table, match: {its column: column}, columns, kind, as}")
}

const KNOWN: &[&str] = &["table", "match", "columns", "kind", "as"];
