//! The catalog: `sys` views, dynamic management views, `INFORMATION_SCHEMA`, table-valued system functions.
//!
//! A view is made when a statement binds it and shows only what the session may see ("Metadata visibility
//! configuration"). It carries the columns that clients and agents read; a column of SQL Server's that is not here
//! is refused with 207, a view that is not here with 208.

use std::sync::Arc;

use super::ast::Name;
use super::exec::Exec;
use super::message::{self, Result};
use super::plan::Bound;
use super::storage::database::Database;
use super::value::text;
use crate::types::{DateTimeValue, Datum, Length, Row, SqlType};

mod columns;
mod constraints;
mod function;
mod information_schema;
mod objects;
mod principals;
mod schedulers;
mod server;
mod sessions;
mod types;
mod usage;
mod waits;

pub use function::function;
pub use types::{TYPES, max_length, precision, scale};

/// A materialized view.
#[derive(Debug, Clone)]
pub struct SystemView {
    pub columns: Vec<(String, SqlType)>,
    pub rows: Vec<Row>,
}

/// What makes a view's rows.
type Maker = fn(&Exec<'_>, &Arc<Database>) -> Result<Vec<Row>>;

/// A view's name, columns and maker.
struct Definition {
    name: &'static str,
    columns: &'static [(&'static str, SqlType)],
    make: Maker,
}

/// The catalog view a name means, if it means one.
pub fn find(exec: &Exec<'_>, database: &Arc<Database>, name: &Name) -> Result<Option<SystemView>> {
    let object = name.object();
    let list: &[&[Definition]] = match name.schema() {
        Some(schema) if text::equal(schema, "sys") => &[
            objects::VIEWS,
            columns::VIEWS,
            constraints::VIEWS,
            principals::VIEWS,
            schedulers::VIEWS,
            server::VIEWS,
            sessions::VIEWS,
            usage::VIEWS,
            waits::VIEWS,
        ],
        Some(schema) if text::equal(schema, "INFORMATION_SCHEMA") => &[information_schema::VIEWS],
        _ => return Ok(None),
    };
    let found = list.iter().flat_map(|l| l.iter()).find(|d| text::equal(d.name, object));
    let Some(definition) = found else { return Ok(None) };
    exec.session.require_access(database)?;
    let rows = (definition.make)(exec, database)?;
    let columns = definition.columns.iter().map(|(name, ty)| ((*name).to_owned(), *ty)).collect();
    Ok(Some(SystemView { columns, rows }))
}

/// `OBJECT_ID` of a system view: negative, as SQL Server's are.
pub fn system_object_id(name: &Name) -> Option<i32> {
    let schema = name.schema()?;
    if !text::equal(schema, "sys") && !text::equal(schema, "INFORMATION_SCHEMA") {
        return None;
    }
    let all = [
        objects::VIEWS,
        columns::VIEWS,
        constraints::VIEWS,
        principals::VIEWS,
        server::VIEWS,
        sessions::VIEWS,
        usage::VIEWS,
        information_schema::VIEWS,
        waits::VIEWS,
        schedulers::VIEWS,
    ];
    all.iter()
        .flat_map(|l| l.iter())
        .position(|d| text::equal(d.name, name.object()))
        .map(|at| -100 - at as i32)
}

const NAME: SqlType = SqlType::SYSNAME;
const TEXT60: SqlType = SqlType::NVarChar(Length::Of(60));
const TEXT_MAX: SqlType = SqlType::NVarChar(Length::Max);
const CHAR2: SqlType = SqlType::Char(2);
const SID: SqlType = SqlType::VarBinary(Length::Of(85));

fn text_value(value: impl AsRef<str>) -> Datum {
    Datum::text(value)
}

fn int(value: i32) -> Datum {
    Datum::Int(value)
}

fn bit(value: bool) -> Datum {
    Datum::Bit(value)
}

fn date(value: DateTimeValue) -> Datum {
    Datum::DateTime(value)
}

fn code(value: &str) -> Datum {
    Datum::VarChar(Arc::from(value))
}

fn bytes(value: &[u8]) -> Datum {
    Datum::Binary(Arc::from(value))
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> Datum) -> Datum {
    value.map_or(Datum::Null, show)
}

fn row<const N: usize>(values: [Datum; N]) -> Row {
    Arc::from(values)
}

/// 300: a server permission that a view needs.
fn require_server(exec: &Exec<'_>, permission: &'static str) -> Result<()> {
    if exec.session.has_server_permission(permission) {
        Ok(())
    } else {
        Err(message::denied_server_permission(permission, "server"))
    }
}

/// Constant arguments of a table-valued function.
fn arguments(exec: &Exec<'_>, args: &[Bound]) -> Result<Vec<Datum>> {
    args.iter().map(|a| exec.constant(a)).collect()
}
