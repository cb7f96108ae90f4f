//! Waits of sessions. Without VIEW SERVER STATE a session sees its own ("sys.dm_exec_session_wait_stats", Permissions, for
//! SQL Server 2019).

use std::sync::Arc;

use super::{Definition, TEXT60, row, text_value};
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::types::{Datum, Row, SqlType};

const BIGINT: SqlType = SqlType::BigInt;

pub const VIEWS: &[Definition] = &[Definition {
    name: "dm_exec_session_wait_stats",
    columns: &[
        ("session_id", SqlType::SmallInt),
        ("wait_type", TEXT60),
        ("waiting_tasks_count", BIGINT),
        ("wait_time_ms", BIGINT),
        ("max_wait_time_ms", BIGINT),
        ("signal_wait_time_ms", BIGINT),
    ],
    make: session_waits,
}];

fn session_waits(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (session, _) in super::sessions::seen(exec) {
        for (kind, wait) in session.spent.waits.all() {
            rows.push(row([
                Datum::SmallInt(session.spid as i16),
                text_value(kind),
                Datum::BigInt(wait.tasks as i64),
                Datum::BigInt(wait.total.as_millis() as i64),
                Datum::BigInt(wait.longest.as_millis() as i64),
                Datum::BigInt(0),
            ]));
        }
    }
    Ok(rows)
}
