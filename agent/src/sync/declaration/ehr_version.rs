//! `ehr_version`: where the EHR keeps its own version. There is no place for SQL text.

use states::{Map, Value};

use crate::mssql::quote::ObjectName;
use crate::sync::SyncError;
use crate::sync::check::VersionRequest;

use super::values::{filter, wrong};

/// Reads the place.
///
/// # Errors
/// It is not a table with a column.
pub(super) fn ehr_version(args: &Map) -> Result<Option<VersionRequest>, SyncError> {
    let map = match args.get("ehr_version") {
        None | Some(Value::Nil) => return Ok(None),
        Some(Value::Map(map)) => map,
        Some(_) => return Err(expected()),
    };
    if let Some(name) = map.keys().filter_map(Value::as_str).find(|name| !KNOWN.contains(name)) {
        return Err(wrong("ehr_version", &format!("without '{name}': it takes {}", KNOWN.join(", "))));
    }
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let (Some(table), Some(column)) = (text("table"), text("column")) else { return Err(expected()) };
    Ok(Some(VersionRequest {
        table: ObjectName::parse(table)?,
        column: column.to_owned(),
        newest_by: text("newest_by").map(str::to_owned),
        filter: filter(map)?,
    }))
}

fn expected() -> SyncError {
    wrong(
        "ehr_version",
        "{table, column, newest_by, filter}: a column of one row that holds the EHR's version",
    )
}

const KNOWN: &[&str] = &["table", "column", "newest_by", "filter"];
