//! The instance: databases, configuration, files, servers, operating system information.

use std::sync::Arc;

use super::{Definition, NAME, SID, TEXT60, bit, bytes, date, int, require_server, row, text_value};
use crate::engine::exec::Exec;
use crate::engine::instance::as_datetime;
use crate::engine::message::Result;
use crate::engine::storage::database::Database;
use crate::engine::storage::guard;
use crate::engine::storage::schema::Object;
use crate::engine::value::text::COLLATION;
use crate::types::{Datum, Length, Row, SqlType};

const INT: SqlType = SqlType::Int;
const BIT: SqlType = SqlType::Bit;
const TINY: SqlType = SqlType::TinyInt;

pub const VIEWS: &[Definition] = &[
    Definition {
        name: "databases",
        columns: &[
            ("name", NAME),
            ("database_id", INT),
            ("source_database_id", INT),
            ("owner_sid", SID),
            ("create_date", SqlType::DateTime),
            ("compatibility_level", TINY),
            ("collation_name", NAME),
            ("user_access", TINY),
            ("user_access_desc", TEXT60),
            ("is_read_only", BIT),
            ("is_auto_close_on", BIT),
            ("is_auto_shrink_on", BIT),
            ("state", TINY),
            ("state_desc", TEXT60),
            ("is_in_standby", BIT),
            ("snapshot_isolation_state", TINY),
            ("snapshot_isolation_state_desc", TEXT60),
            ("is_read_committed_snapshot_on", BIT),
            ("recovery_model", TINY),
            ("recovery_model_desc", TEXT60),
            ("is_trustworthy_on", BIT),
            ("is_db_chaining_on", BIT),
            ("is_encrypted", BIT),
            ("is_broker_enabled", BIT),
            ("is_cdc_enabled", BIT),
            ("is_distributor", BIT),
            ("log_reuse_wait", TINY),
            ("log_reuse_wait_desc", TEXT60),
            ("containment", TINY),
            ("containment_desc", TEXT60),
        ],
        make: databases,
    },
    Definition {
        name: "sysdatabases",
        columns: &[
            ("name", NAME),
            ("dbid", SqlType::SmallInt),
            ("sid", SID),
            ("crdate", SqlType::DateTime),
            ("cmptlevel", TINY),
            ("status", INT),
        ],
        make: sysdatabases,
    },
    Definition {
        name: "configurations",
        columns: &[
            ("configuration_id", INT),
            ("name", SqlType::NVarChar(Length::Of(35))),
            ("value", SqlType::Variant),
            ("minimum", SqlType::Variant),
            ("maximum", SqlType::Variant),
            ("value_in_use", SqlType::Variant),
        ],
        make: configurations,
    },
    Definition {
        name: "servers",
        columns: &[
            ("server_id", INT),
            ("name", NAME),
            ("product", NAME),
            ("provider", NAME),
            ("is_linked", BIT),
        ],
        make: servers,
    },
    Definition {
        name: "dm_os_sys_info",
        columns: &[
            ("cpu_count", INT),
            ("sqlserver_start_time", SqlType::DateTime),
            ("physical_memory_kb", SqlType::BigInt),
            ("ms_ticks", SqlType::BigInt),
        ],
        make: sys_info,
    },
    Definition {
        name: "change_tracking_databases",
        columns: &[
            ("database_id", INT),
            ("is_auto_cleanup_on", BIT),
            ("retention_period", INT),
            ("retention_period_units", TINY),
            ("retention_period_units_desc", TEXT60),
            ("max_cleanup_version", SqlType::BigInt),
        ],
        make: tracked_databases,
    },
    Definition {
        name: "change_tracking_tables",
        columns: &[
            ("object_id", INT),
            ("is_track_columns_updated_on", BIT),
            ("min_valid_version", SqlType::BigInt),
            ("begin_version", SqlType::BigInt),
            ("cleanup_version", SqlType::BigInt),
        ],
        make: tracked_tables,
    },
];

/// Databases a session may know of: all with VIEW ANY DATABASE, else master, tempdb and those it may enter.
fn known(exec: &Exec<'_>) -> Vec<Arc<Database>> {
    let all = exec.session.has_server_permission("VIEW ANY DATABASE");
    let mut list = exec.session.instance.all_databases();
    list.retain(|d| all || matches!(d.id, 1 | 2) || exec.session.user_in(d).is_some());
    list
}

fn databases(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let one = |d: &Arc<Database>| {
        let options = d.options();
        let access =
            ["MULTI_USER", "SINGLE_USER", "RESTRICTED_USER"][usize::from(options.user_access.min(2))];
        let recovery = match options.recovery.as_str() {
            "FULL" => 1,
            "BULK_LOGGED" => 2,
            _ => 3,
        };
        let state = if options.online { (0, "ONLINE") } else { (6, "OFFLINE") };
        let log = d.log_reuse_wait();
        let snapshot = if options.allow_snapshot || d.id <= 4 { (1, "ON") } else { (0, "OFF") };
        let values = [
            text_value(&d.name),
            int(i32::from(d.id)),
            Datum::Null,
            bytes(&d.owner_sid()),
            date(d.created),
            Datum::TinyInt(options.compatibility_level),
            text_value(COLLATION),
            Datum::TinyInt(options.user_access),
            text_value(access),
            bit(options.read_only),
            bit(false),
            bit(false),
            Datum::TinyInt(state.0),
            text_value(state.1),
            bit(false),
            Datum::TinyInt(snapshot.0),
            text_value(snapshot.1),
            bit(options.read_committed_snapshot),
            Datum::TinyInt(recovery),
            text_value(&options.recovery),
            bit(options.trustworthy),
            bit(options.chaining),
        ];
        let rest = [
            bit(false),
            bit(false),
            bit(false),
            bit(false),
            Datum::TinyInt(log.0),
            text_value(log.1),
            Datum::TinyInt(0),
            text_value("NONE"),
        ];
        values.into_iter().chain(rest).collect()
    };
    Ok(known(exec).iter().map(one).collect())
}

fn sysdatabases(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let one = |d: &Arc<Database>| {
        row([
            text_value(&d.name),
            Datum::SmallInt(d.id as i16),
            bytes(&d.owner_sid()),
            date(d.created),
            Datum::TinyInt(d.options().compatibility_level),
            int(65536),
        ])
    };
    Ok(known(exec).iter().map(one).collect())
}

fn configurations(_: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let list = [
        (1539, "max degree of parallelism", 0, 0, 32767),
        (1544, "max server memory (MB)", 2_147_483_647, 128, 2_147_483_647),
    ];
    let one = |(id, name, value, low, high): &(i32, &str, i32, i32, i32)| {
        row([int(*id), text_value(name), int(*value), int(*low), int(*high), int(*value)])
    };
    Ok(list.iter().map(one).collect())
}

fn servers(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let name = text_value(&exec.session.instance.options.server_name);
    Ok(vec![row([int(0), name, text_value("SQL Server"), text_value("SQLNCLI"), bit(false)])])
}

fn sys_info(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    require_server(exec, "VIEW SERVER STATE")?;
    let instance = &exec.session.instance;
    let up = (exec.now.total() - instance.started().total()) / 10_000;
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as i32);
    Ok(vec![row([int(cpus), date(as_datetime(instance.started())), Datum::Null, Datum::BigInt(up as i64)])])
}

fn tracked_databases(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for database in known(exec) {
        let tracking = guard(&database.tracking);
        if !tracking.on {
            continue;
        }
        let (period, unit, name) = match tracking.retention_minutes {
            n if n % 1440 == 0 => (n / 1440, 3, "DAYS"),
            n if n % 60 == 0 => (n / 60, 2, "HOURS"),
            n => (n, 1, "MINUTES"),
        };
        rows.push(row([
            int(i32::from(database.id)),
            bit(tracking.auto_cleanup),
            int(i32::try_from(period).unwrap_or(i32::MAX)),
            Datum::TinyInt(unit),
            text_value(name),
            Datum::Null,
        ]));
    }
    Ok(rows)
}

fn tracked_tables(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let mut rows = Vec::new();
    for object in super::objects::visible(exec, database, &metadata) {
        let Object::Table(table) = object else { continue };
        let Some(tracking) = &table.info.tracking else { continue };
        let mut tracking = guard(tracking);
        tracking.clean(exec.now);
        rows.push(row([
            int(table.info.object_id),
            bit(false),
            Datum::BigInt(tracking.min_valid),
            Datum::BigInt(tracking.begin),
            Datum::BigInt(if tracking.min_valid > tracking.begin { tracking.min_valid } else { 0 }),
        ]));
    }
    Ok(rows)
}
