//! `sys.types` and what the catalog says of a type: length in bytes, precision, scale.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use crate::types::{Length, SqlType};

/// A row of `sys.types`.
pub struct TypeRow {
    pub name: &'static str,
    pub system_type_id: u8,
    pub user_type_id: i32,
    pub max_length: i16,
    pub precision: u8,
    pub scale: u8,
}

const fn row(name: &'static str, id: u8, max_length: i16, precision: u8, scale: u8) -> TypeRow {
    TypeRow { name, system_type_id: id, user_type_id: id as i32, max_length, precision, scale }
}

/// All system types, `sysname` among them.
pub const TYPES: &[TypeRow] = &[
    row("uniqueidentifier", 36, 16, 0, 0),
    row("date", 40, 3, 10, 0),
    row("time", 41, 5, 16, 7),
    row("datetime2", 42, 8, 27, 7),
    row("datetimeoffset", 43, 10, 34, 7),
    row("tinyint", 48, 1, 3, 0),
    row("smallint", 52, 2, 5, 0),
    row("int", 56, 4, 10, 0),
    row("smalldatetime", 58, 4, 16, 0),
    row("real", 59, 4, 24, 0),
    row("money", 60, 8, 19, 4),
    row("datetime", 61, 8, 23, 3),
    row("float", 62, 8, 53, 0),
    row("sql_variant", 98, 8016, 0, 0),
    row("bit", 104, 1, 1, 0),
    row("decimal", 106, 17, 38, 38),
    row("numeric", 108, 17, 38, 38),
    row("smallmoney", 122, 4, 10, 4),
    row("bigint", 127, 8, 19, 0),
    row("varbinary", 165, 8000, 0, 0),
    row("varchar", 167, 8000, 0, 0),
    row("binary", 173, 8000, 0, 0),
    row("char", 175, 8000, 0, 0),
    row("timestamp", 189, 8, 0, 0),
    row("nvarchar", 231, 8000, 0, 0),
    row("nchar", 239, 8000, 0, 0),
    row("xml", 241, -1, 0, 0),
    TypeRow {
        name: "sysname",
        system_type_id: 231,
        user_type_id: 256,
        max_length: 256,
        precision: 0,
        scale: 0,
    },
];

/// Bytes of a column, -1 for max.
pub fn max_length(ty: SqlType) -> i16 {
    match ty {
        SqlType::Char(n) | SqlType::Binary(n) => n as i16,
        SqlType::NChar(n) => (n * 2) as i16,
        SqlType::VarChar(Length::Of(n)) | SqlType::VarBinary(Length::Of(n)) => n as i16,
        SqlType::NVarChar(Length::Of(n)) => (n * 2) as i16,
        SqlType::VarChar(Length::Max) | SqlType::VarBinary(Length::Max) | SqlType::NVarChar(Length::Max) => {
            -1
        }
        SqlType::Decimal { precision, .. } => match precision {
            0..=9 => 5,
            10..=19 => 9,
            20..=28 => 13,
            _ => 17,
        },
        SqlType::Time(s) => 3 + fraction_bytes(s),
        SqlType::DateTime2(s) => 6 + fraction_bytes(s),
        SqlType::DateTimeOffset(s) => 8 + fraction_bytes(s),
        SqlType::Bit
        | SqlType::TinyInt
        | SqlType::SmallInt
        | SqlType::Int
        | SqlType::BigInt
        | SqlType::Real
        | SqlType::Float
        | SqlType::Money
        | SqlType::SmallMoney
        | SqlType::Date
        | SqlType::DateTime
        | SqlType::SmallDateTime
        | SqlType::UniqueIdentifier
        | SqlType::Xml
        | SqlType::RowVersion
        | SqlType::Variant => of_type(ty).map_or(0, |t| t.max_length),
    }
}

fn fraction_bytes(scale: u8) -> i16 {
    match scale {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    }
}

fn of_type(ty: SqlType) -> Option<&'static TypeRow> {
    TYPES.iter().find(|t| t.system_type_id == ty.type_id())
}

/// Precision of a column.
pub fn precision(ty: SqlType) -> u8 {
    let dot = |whole: u8, scale: u8| if scale == 0 { whole } else { whole + 1 + scale };
    match ty {
        SqlType::Decimal { precision, .. } => precision,
        SqlType::Time(s) => dot(8, s),
        SqlType::DateTime2(s) => dot(19, s),
        SqlType::DateTimeOffset(s) => dot(26, s),
        other => of_type(other).map_or(0, |t| t.precision),
    }
}

/// Scale of a column.
pub fn scale(ty: SqlType) -> u8 {
    match ty {
        SqlType::Decimal { scale, .. } => scale,
        SqlType::Time(s) | SqlType::DateTime2(s) | SqlType::DateTimeOffset(s) => s,
        other => of_type(other).map_or(0, |t| t.scale),
    }
}
