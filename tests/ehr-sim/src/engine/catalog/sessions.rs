//! Sessions, requests, connections, transactions, locks and waits.
//!
//! Without VIEW SERVER STATE a session sees itself in `dm_exec_sessions` and `dm_exec_requests`; the others are refused
//! (300). Facts: the page of each view.

use std::sync::Arc;
use std::time::Duration;

use super::{Definition, NAME, TEXT60, bit, date, int, optional, require_server, row, text_value};
use crate::engine::exec::Exec;
use crate::engine::instance::{Activity, Connected};
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::engine::storage::guard;
use crate::engine::storage::lock::{self, LockView, Resource, asked_name};
use crate::engine::value::temporal;
use crate::types::{Datum, Length, Row, SqlType};

const INT: SqlType = SqlType::Int;
const BIGINT: SqlType = SqlType::BigInt;
const SMALL: SqlType = SqlType::SmallInt;
const DATE: SqlType = SqlType::DateTime;
const TEXT30: SqlType = SqlType::NVarChar(Length::Of(30));

pub const VIEWS: &[Definition] = &[
    Definition {
        name: "dm_exec_sessions",
        columns: &[
            ("session_id", SMALL),
            ("login_time", DATE),
            ("host_name", NAME),
            ("program_name", NAME),
            ("host_process_id", INT),
            ("client_interface_name", NAME),
            ("security_id", super::SID),
            ("login_name", NAME),
            ("original_login_name", NAME),
            ("status", TEXT30),
            ("cpu_time", INT),
            ("memory_usage", INT),
            ("last_request_start_time", DATE),
            ("last_request_end_time", DATE),
            ("reads", BIGINT),
            ("writes", BIGINT),
            ("logical_reads", BIGINT),
            ("is_user_process", SqlType::Bit),
            ("transaction_isolation_level", SMALL),
            ("lock_timeout", INT),
            ("deadlock_priority", INT),
            ("row_count", BIGINT),
            ("database_id", SMALL),
            ("open_transaction_count", INT),
        ],
        make: sessions,
    },
    Definition {
        name: "dm_exec_requests",
        columns: &[
            ("session_id", SMALL),
            ("request_id", INT),
            ("start_time", DATE),
            ("status", TEXT30),
            ("command", SqlType::NVarChar(Length::Of(32))),
            ("database_id", SMALL),
            ("blocking_session_id", SMALL),
            ("wait_type", TEXT60),
            ("wait_time", INT),
            ("wait_resource", SqlType::NVarChar(Length::Of(256))),
            ("transaction_id", BIGINT),
            ("cpu_time", INT),
            ("total_elapsed_time", INT),
            ("open_transaction_count", INT),
        ],
        make: requests,
    },
    Definition {
        name: "dm_exec_connections",
        columns: &[
            ("session_id", INT),
            ("connect_time", DATE),
            ("net_transport", SqlType::NVarChar(Length::Of(40))),
            ("protocol_type", SqlType::NVarChar(Length::Of(40))),
            ("encrypt_option", SqlType::NVarChar(Length::Of(40))),
            ("auth_scheme", SqlType::NVarChar(Length::Of(40))),
            ("net_packet_size", INT),
            ("client_net_address", SqlType::VarChar(Length::Of(48))),
        ],
        make: connections,
    },
    Definition {
        name: "dm_tran_active_transactions",
        columns: &[
            ("transaction_id", BIGINT),
            ("name", SqlType::NVarChar(Length::Of(32))),
            ("transaction_begin_time", DATE),
            ("transaction_type", INT),
            ("transaction_state", INT),
        ],
        make: active_transactions,
    },
    Definition {
        name: "dm_tran_session_transactions",
        columns: &[
            ("session_id", INT),
            ("transaction_id", BIGINT),
            ("enlist_count", INT),
            ("is_user_transaction", SqlType::Bit),
            ("is_local", SqlType::Bit),
            ("open_transaction_count", INT),
        ],
        make: session_transactions,
    },
    Definition {
        name: "dm_tran_database_transactions",
        columns: &[
            ("transaction_id", BIGINT),
            ("database_id", INT),
            ("database_transaction_begin_time", DATE),
            ("database_transaction_type", INT),
            ("database_transaction_state", INT),
        ],
        make: database_transactions,
    },
    Definition {
        name: "dm_tran_locks",
        columns: &[
            ("resource_type", TEXT60),
            ("resource_database_id", INT),
            ("resource_description", SqlType::NVarChar(Length::Of(256))),
            ("resource_associated_entity_id", BIGINT),
            ("request_mode", TEXT60),
            ("request_type", TEXT60),
            ("request_status", TEXT60),
            ("request_session_id", INT),
        ],
        make: locks,
    },
    Definition {
        name: "dm_os_waiting_tasks",
        columns: &[
            ("session_id", SMALL),
            ("wait_duration_ms", BIGINT),
            ("wait_type", TEXT60),
            ("blocking_session_id", SMALL),
            ("resource_description", SqlType::NVarChar(Length::Of(3072))),
        ],
        make: waiting_tasks,
    },
];

/// Sessions the asking one may see, with what they are doing.
pub(super) fn seen(exec: &Exec<'_>) -> Vec<(Arc<Connected>, Activity)> {
    let all = exec.session.has_server_permission("VIEW SERVER STATE");
    let sessions = guard(&exec.session.instance.sessions);
    let shown = sessions.values().filter(|s| all || s.spid == exec.session.spid);
    shown.map(|s| (s.clone(), guard(&s.activity).clone())).collect()
}

fn sessions(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let one = |(s, a): &(Arc<Connected>, Activity)| -> Row {
        let zero = || Datum::BigInt(0);
        let values = [
            Datum::SmallInt(s.spid as i16),
            date(s.login_time),
            text_value(&s.host),
            text_value(&s.program),
            int(s.client_pid as i32),
            text_value(&s.library),
            Datum::Null,
            text_value(&s.login),
            text_value(&s.login),
            text_value(if a.running { "running" } else { "sleeping" }),
            int(milliseconds(s.spent.cpu())),
            int(0),
            date(a.request_start),
            optional(a.request_end, date),
            zero(),
            zero(),
            Datum::BigInt(s.spent.logical_reads() as i64),
            bit(true),
            Datum::SmallInt(a.isolation),
            int(a.lock_timeout as i32),
            int(a.deadlock_priority),
            Datum::BigInt(a.row_count),
            Datum::SmallInt(a.database as i16),
            int(i32::from(a.transaction.is_some())),
        ];
        Arc::from(values)
    };
    Ok(seen(exec).iter().map(one).collect())
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Milliseconds since the request began.
fn elapsed(exec: &Exec<'_>, activity: &Activity) -> i32 {
    let begun = temporal::moment(&Datum::DateTime(activity.request_start));
    let ticks = begun.map_or(0, |begun| exec.now.total() - begun.total());
    i32::try_from(ticks.max(0) / 10_000).unwrap_or(i32::MAX)
}

fn waits(exec: &Exec<'_>) -> Vec<LockView> {
    exec.session.instance.locks.view().into_iter().filter(|l| !l.granted).collect()
}

fn mode_name(lock: &LockView) -> &'static str {
    match (&lock.resource, lock.granted) {
        (Resource::Range(_, _, mode), true) => mode.name(),
        (resource, false) => asked_name(resource, lock.mode),
        (Resource::Metadata(_) | Resource::Table(_) | Resource::Row(..), true) => lock.mode.name(),
    }
}

fn wait_type(lock: &LockView) -> String {
    lock::wait_type(&lock.resource, lock.mode)
}

fn requests(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let waiting = waits(exec);
    let one = |(s, a): &(Arc<Connected>, Activity)| {
        let wait = waiting.iter().find(|w| w.spid == s.spid);
        row([
            Datum::SmallInt(s.spid as i16),
            int(0),
            date(a.request_start),
            text_value(if wait.is_some() || a.wait.is_some() { "suspended" } else { "running" }),
            text_value(a.command),
            Datum::SmallInt(a.database as i16),
            Datum::SmallInt(wait.and_then(|w| w.blocked_by).unwrap_or(0) as i16),
            wait.map(wait_type).or(a.wait.map(|(name, _)| name.to_owned())).map_or(Datum::Null, text_value),
            int(milliseconds(
                wait.map_or_else(|| a.wait.map_or(Duration::ZERO, |w| w.1.elapsed()), |w| w.waited),
            )),
            text_value(wait.map_or(String::new(), |w| describe(&w.resource))),
            Datum::BigInt(a.transaction.as_ref().map_or(0, |t| t.id.0 as i64)),
            int(0),
            int(elapsed(exec, a)),
            int(i32::from(a.transaction.is_some())),
        ])
    };
    Ok(seen(exec).iter().filter(|(_, a)| a.running).map(one).collect())
}

/// Requests under way.
pub(super) struct Tasks {
    /// Those that a processor works on, or that wait for one.
    pub running: usize,
    /// Those that wait for something else.
    pub waiting: usize,
}

/// All requests under way, by whether they wait for something but a processor.
pub(super) fn tasks(exec: &Exec<'_>) -> Tasks {
    let blocked = waits(exec);
    let idle = |(s, a): &(Arc<Connected>, Activity)| {
        a.wait.is_some() || blocked.iter().any(|lock| lock.spid == s.spid)
    };
    let under_way: Vec<_> = seen(exec).into_iter().filter(|(_, a)| a.running).collect();
    let waiting = under_way.iter().filter(|one| idle(one)).count();
    Tasks { running: under_way.len() - waiting, waiting }
}

fn connections(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let one = |(s, _): &(Arc<Connected>, Activity)| {
        row([
            int(i32::from(s.spid)),
            date(s.login_time),
            text_value("TCP"),
            text_value("TSQL"),
            text_value(if s.encrypted { "TRUE" } else { "FALSE" }),
            text_value("SQL"),
            int(s.packet_size as i32),
            super::code(&s.client_address),
        ])
    };
    Ok(seen(exec).iter().map(one).collect())
}

fn active_transactions(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let open = seen(exec).into_iter().filter_map(|(_, a)| a.transaction);
    Ok(open
        .map(|t| row([Datum::BigInt(t.id.0 as i64), text_value(t.name), date(t.began), int(1), int(2)]))
        .collect())
}

fn session_transactions(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let open = seen(exec).into_iter().filter_map(|(s, a)| Some((s.spid, a.transaction?)));
    Ok(open
        .map(|(spid, t)| {
            row([int(i32::from(spid)), Datum::BigInt(t.id.0 as i64), int(1), bit(t.user), bit(true), int(1)])
        })
        .collect())
}

fn database_transactions(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let mut rows = Vec::new();
    for (_, a) in seen(exec) {
        let Some(t) = a.transaction else { continue };
        for database in exec
            .session
            .instance
            .all_databases()
            .iter()
            .filter(|d| d.is_stamped_by(t.id) || d.id == a.database)
        {
            let id = int(i32::from(database.id));
            rows.push(row([Datum::BigInt(t.id.0 as i64), id, date(t.began), int(1), int(4)]));
        }
    }
    Ok(rows)
}

fn describe(resource: &Resource) -> String {
    match resource {
        Resource::Metadata(id) => format!("METADATA: {id}"),
        Resource::Table(id) => format!("OBJECT: {id}"),
        Resource::Range(_, number, _) => format!("(range {number:x})"),
        Resource::Row(_, key) => {
            format!("({})", key.iter().rev().take(6).map(|b| format!("{b:02x}")).collect::<String>())
        }
    }
}

fn locks(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let databases = exec.session.instance.all_databases();
    let home = |object: i32| {
        databases
            .iter()
            .find(|d| exec.metadata(d).table_by_id(object).is_some())
            .map_or(0, |d| i32::from(d.id))
    };
    let one = |lock: &LockView| {
        let (kind, database, entity) = match &lock.resource {
            Resource::Metadata(id) => ("METADATA", i32::from(*id), 0),
            Resource::Table(id) => ("OBJECT", home(*id), i64::from(*id)),
            Resource::Row(id, _) | Resource::Range(id, ..) => ("KEY", home(*id), i64::from(*id)),
        };
        row([
            text_value(kind),
            int(database),
            text_value(describe(&lock.resource)),
            Datum::BigInt(entity),
            text_value(mode_name(lock)),
            text_value("LOCK"),
            text_value(if lock.granted { "GRANT" } else { "WAIT" }),
            int(i32::from(lock.spid)),
        ])
    };
    Ok(exec.session.instance.locks.view().iter().map(one).collect())
}

fn waiting_tasks(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let one = |lock: &LockView| {
        row([
            Datum::SmallInt(lock.spid as i16),
            Datum::BigInt(i64::from(milliseconds(lock.waited))),
            text_value(wait_type(lock)),
            Datum::SmallInt(lock.blocked_by.unwrap_or(0) as i16),
            text_value(describe(&lock.resource)),
        ])
    };
    let latched = |(s, a): (Arc<Connected>, Activity)| {
        let (name, since) = a.wait?;
        Some(row([
            Datum::SmallInt(s.spid as i16),
            Datum::BigInt(i64::from(milliseconds(since.elapsed()))),
            text_value(name),
            Datum::Null,
            Datum::Null,
        ]))
    };
    Ok(waits(exec).iter().map(one).chain(seen(exec).into_iter().filter_map(latched)).collect())
}
