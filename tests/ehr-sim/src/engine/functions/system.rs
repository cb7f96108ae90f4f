//! Session and server functions, `@@` variables included.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use std::sync::atomic::Ordering;

use super::{Builtin, bigint, binary_8, int, nvarchar_4000, smallint, sysname, text_of, variant};
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::value::{convert, text};
use crate::types::{Datum, Length, SqlType};

pub const LIST: &[Builtin] = &[
    Builtin::new(
        "@@VERSION",
        (0, 0),
        |_| Ok(SqlType::NVarChar(Length::Of(300))),
        |_, _| Ok(Datum::text(VERSION)),
    ),
    Builtin::new("@@SPID", (0, 0), smallint, |e, _| Ok(Datum::SmallInt(e.session.spid as i16))),
    Builtin::new("@@TRANCOUNT", (0, 0), int, |e, _| Ok(Datum::Int(e.session.tran_count()))),
    Builtin::new("@@ROWCOUNT", (0, 0), int, |e, _| Ok(Datum::Int(e.session.row_count() as i32))),
    Builtin::new("ROWCOUNT_BIG", (0, 0), bigint, |e, _| Ok(Datum::BigInt(e.session.row_count()))),
    Builtin::new("@@ERROR", (0, 0), int, |e, _| Ok(Datum::Int(e.session.last_error() as i32))),
    Builtin::new("@@IDENTITY", (0, 0), identity_type, |e, _| Ok(e.session.last_identity())),
    Builtin::new("SCOPE_IDENTITY", (0, 0), identity_type, |e, _| Ok(e.session.last_identity())),
    Builtin::new("@@SERVERNAME", (0, 0), sysname, |e, _| {
        Ok(Datum::text(&e.session.instance.options.server_name))
    }),
    Builtin::new("@@SERVICENAME", (0, 0), sysname, |_, _| Ok(Datum::text("MSSQLSERVER"))),
    Builtin::new("@@DBTS", (0, 0), binary_8, |e, _| Ok(Datum::RowVersion(e.session.database().last_stamp()))),
    Builtin::new("MIN_ACTIVE_ROWVERSION", (0, 0), binary_8, |e, _| {
        Ok(Datum::RowVersion(e.session.database().min_active()))
    }),
    Builtin::new("@@LANGUAGE", (0, 0), sysname, |_, _| Ok(Datum::text("us_english"))),
    Builtin::new("@@LANGID", (0, 0), smallint, |_, _| Ok(Datum::SmallInt(0))),
    Builtin::new("@@DATEFIRST", (0, 0), |_| Ok(SqlType::TinyInt), |_, _| Ok(Datum::TinyInt(7))),
    Builtin::new("@@LOCK_TIMEOUT", (0, 0), int, |e, _| Ok(Datum::Int(e.session.lock_timeout() as i32))),
    Builtin::new("@@MAX_CONNECTIONS", (0, 0), int, |_, _| Ok(Datum::Int(32767))),
    Builtin::new("@@PACK_RECEIVED", (0, 0), int, |e, _| {
        // An integer, which begins anew below zero as SQL Server's does.
        Ok(Datum::Int(e.session.instance.packets_received.load(Ordering::Relaxed) as i32))
    }),
    Builtin::new("@@OPTIONS", (0, 0), int, |e, _| Ok(Datum::Int(e.session.option_bits()))),
    Builtin::new("@@MICROSOFTVERSION", (0, 0), int, |_, _| Ok(Datum::Int(15 << 24 | 2000))),
    Builtin::new("@@PROCID", (0, 0), int, |_, _| Ok(Datum::Int(0))),
    Builtin::new("@@NESTLEVEL", (0, 0), int, |_, _| Ok(Datum::Int(0))),
    Builtin::new("@@TEXTSIZE", (0, 0), int, |_, _| Ok(Datum::Int(i32::MAX))),
    Builtin::new("XACT_STATE", (0, 0), smallint, |e, _| Ok(Datum::SmallInt(e.session.xact_state()))),
    Builtin::new("ERROR_NUMBER", (0, 0), int, |e, _| Ok(caught(e, |x| Datum::Int(x.number as i32)))),
    Builtin::new("ERROR_SEVERITY", (0, 0), int, |e, _| Ok(caught(e, |x| Datum::Int(i32::from(x.class))))),
    Builtin::new("ERROR_STATE", (0, 0), int, |e, _| Ok(caught(e, |x| Datum::Int(i32::from(x.state))))),
    Builtin::new("ERROR_LINE", (0, 0), int, |e, _| Ok(caught(e, |x| Datum::Int(x.line.max(1) as i32)))),
    Builtin::new("ERROR_MESSAGE", (0, 0), nvarchar_4000, |e, _| Ok(caught(e, |x| Datum::text(&x.text)))),
    Builtin::new("ERROR_PROCEDURE", (0, 0), sysname, |_, _| Ok(Datum::Null)),
    Builtin::new("SERVERPROPERTY", (1, 1), variant, server_property),
    Builtin::new("CONNECTIONPROPERTY", (1, 1), variant, connection_property),
    Builtin::new("SESSIONPROPERTY", (1, 1), variant, session_property),
    Builtin::new("APP_NAME", (0, 0), sysname, |e, _| Ok(Datum::text(&e.session.login_request.app_name))),
    Builtin::new("HOST_NAME", (0, 0), sysname, |e, _| Ok(Datum::text(&e.session.login_request.host_name))),
    Builtin::new(
        "HOST_ID",
        (0, 0),
        |_| Ok(SqlType::Char(10)),
        |e, _| Ok(Datum::text(e.session.login_request.client_pid.to_string())),
    ),
    Builtin::new("NEWID", (0, 0), |_| Ok(SqlType::UniqueIdentifier), new_id),
    Builtin::new("CURRENT_TRANSACTION_ID", (0, 0), bigint, |e, _| Ok(Datum::BigInt(e.txn.0 as i64))),
    Builtin::new(
        "CONTEXT_INFO",
        (0, 0),
        |_| Ok(SqlType::VarBinary(Length::Of(128))),
        |e, _| Ok(e.session.context_info()),
    ),
    Builtin::new("ISJSON", (1, 1), int, |_, a| {
        Ok(text_of(&a[0])?.map_or(Datum::Null, |s| {
            Datum::Int(i32::from(
                serde_json::from_str::<serde_json::Value>(&s).is_ok_and(|v| v.is_object() || v.is_array()),
            ))
        }))
    }),
    Builtin::new("IS_SRVROLEMEMBER", (1, 2), int, super::security::is_server_role_member),
    Builtin::new("SQL_VARIANT_PROPERTY", (2, 2), variant, variant_property),
    Builtin::new("GETANSINULL", (0, 1), smallint, |_, _| Ok(Datum::SmallInt(1))),
    Builtin::new("@@REMSERVER", (0, 0), sysname, |_, _| Ok(Datum::Null)),
];

/// The version this engine takes its behaviour from.
pub const PRODUCT_VERSION: &str = "15.0.2000.5";

/// Says first what it is, then what it stands in for.
const VERSION: &str = "Microsoft SQL Server 2019 (RTM) - 15.0.2000.5 (X64) \n\tEHR simulator; not a Microsoft product\n\tExpress Edition (64-bit) on synthetic data";

fn identity_type(_: &[crate::engine::plan::Bound]) -> Result<SqlType> {
    Ok(SqlType::Decimal { precision: 38, scale: 0 })
}

fn caught(exec: &Exec<'_>, f: impl Fn(&crate::engine::message::SqlError) -> Datum) -> Datum {
    exec.session.caught().map_or(Datum::Null, |error| f(&error))
}

fn new_id(exec: &Exec<'_>, _: &[Datum]) -> Result<Datum> {
    let random = exec.session.instance.random::<16>();
    Ok(Datum::Guid(*uuid::Builder::from_random_bytes(random).into_uuid().as_bytes()))
}

fn server_property(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = text_of(&args[0])?.unwrap_or_default().to_ascii_lowercase();
    let server = &exec.session.instance.options.server_name;
    Ok(match name.as_str() {
        "productversion" => Datum::text(PRODUCT_VERSION),
        "productmajorversion" => Datum::text("15"),
        "productminorversion" => Datum::text("0"),
        "productbuild" => Datum::text("2000"),
        "productlevel" => Datum::text("RTM"),
        "edition" => Datum::text("Express Edition (64-bit)"),
        "engineedition" => Datum::Int(4),
        "editionid" => Datum::BigInt(-1_592_396_055),
        "servername" | "machinename" | "computernamephysicalnetbios" => Datum::text(server),
        "instancename" => Datum::Null,
        "collation" => Datum::text(text::COLLATION),
        "collationid" => Datum::Int(872_468_488),
        "lcid" => Datum::Int(1033),
        "sqlcharset" => Datum::TinyInt(1),
        "sqlsortorder" => Datum::TinyInt(52),
        "isintegratedsecurityonly"
        | "isclustered"
        | "ishadrenabled"
        | "isfulltextinstalled"
        | "issingleuser"
        | "islocaldb"
        | "isxtpsupported"
        | "ispolybaseinstalled"
        | "isadvancedanalyticsinstalled" => Datum::Int(0),
        "processid" => Datum::Int(std::process::id() as i32),
        _ => Datum::Null,
    })
}

fn connection_property(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = text_of(&args[0])?.unwrap_or_default().to_ascii_lowercase();
    Ok(match name.as_str() {
        "net_transport" => Datum::text("TCP"),
        "protocol_type" => Datum::text("TSQL"),
        "auth_scheme" => Datum::text("SQL"),
        "client_net_address" => Datum::text(&exec.session.login_request.client_address),
        _ => Datum::Null,
    })
}

fn session_property(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = text_of(&args[0])?.unwrap_or_default().to_ascii_uppercase();
    Ok(match name.as_str() {
        "ANSI_NULLS"
        | "ANSI_PADDING"
        | "ANSI_WARNINGS"
        | "ARITHABORT"
        | "CONCAT_NULL_YIELDS_NULL"
        | "QUOTED_IDENTIFIER" => Datum::Int(1),
        "NUMERIC_ROUNDABORT" => Datum::Int(0),
        _ => Datum::Null,
    })
}

fn variant_property(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = text_of(&args[1])?.unwrap_or_default().to_ascii_lowercase();
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    let ty = convert::type_of(&args[0]);
    Ok(match name.as_str() {
        "basetype" => Datum::text(ty.name()),
        "precision" => match ty {
            SqlType::Decimal { precision, .. } => Datum::Int(i32::from(precision)),
            _ => Datum::Null,
        },
        "scale" => match ty {
            SqlType::Decimal { scale, .. } => Datum::Int(i32::from(scale)),
            _ => Datum::Int(0),
        },
        _ => Datum::Null,
    })
}
