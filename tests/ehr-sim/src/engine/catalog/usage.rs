//! `sys.dm_db_index_usage_stats`: reads and writes of indexes by statements since the instance started.
//!
//! Needs VIEW SERVER STATE, as "sys.dm_db_index_usage_stats" says; an index nobody has used has no row. The system's
//! own use is never counted: nothing but statements uses an index here.

use std::sync::Arc;

use super::{Definition, date, int, optional, require_server};
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::engine::storage::usage::IndexUsage;
use crate::types::{Datum, Row, SqlType};

const INT: SqlType = SqlType::Int;
const BIGINT: SqlType = SqlType::BigInt;
const DATE: SqlType = SqlType::DateTime;

pub const VIEWS: &[Definition] = &[Definition {
    name: "dm_db_index_usage_stats",
    columns: &[
        ("database_id", SqlType::SmallInt),
        ("object_id", INT),
        ("index_id", INT),
        ("user_seeks", BIGINT),
        ("user_scans", BIGINT),
        ("user_lookups", BIGINT),
        ("user_updates", BIGINT),
        ("last_user_seek", DATE),
        ("last_user_scan", DATE),
        ("last_user_lookup", DATE),
        ("last_user_update", DATE),
        ("system_seeks", BIGINT),
        ("system_scans", BIGINT),
        ("system_lookups", BIGINT),
        ("system_updates", BIGINT),
        ("last_system_seek", DATE),
        ("last_system_scan", DATE),
        ("last_system_lookup", DATE),
        ("last_system_update", DATE),
    ],
    make: index_usage,
}];

fn index_usage(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let mut rows = Vec::new();
    for database in exec.session.instance.all_databases() {
        for table in exec.metadata(&database).tables() {
            let shown = |(index, usage): &(i32, IndexUsage)| {
                usage_row(i32::from(database.id), table.info.object_id, *index, usage)
            };
            rows.extend(table.usage.all().iter().map(shown));
        }
    }
    Ok(rows)
}

fn usage_row(database: i32, object: i32, index: i32, usage: &IndexUsage) -> Row {
    let counts = [usage.seeks, usage.scans, usage.lookups, usage.updates];
    let mut row = vec![Datum::SmallInt(database as i16), int(object), int(index)];
    row.extend(counts.iter().map(|count| Datum::BigInt(count.times)));
    row.extend(counts.iter().map(|count| optional(count.last, date)));
    row.extend((0..4).map(|_| Datum::BigInt(0)));
    row.extend((0..4).map(|_| Datum::Null));
    Arc::from(row)
}
