//! COLMETADATA and TYPE_INFO as the server writes them (MS-TDS 2.2.5.4, 2.2.5.5, 2.2.7.4).
//!
//! A column that cannot be NULL travels as a fixed-length type where one exists, as SQL Server sends it; everything
//! else as its nullable form. [`WireColumn`] remembers which, for the rows that follow.

use super::collation::Collation;
use super::token::b_varchar;
use crate::types::{Column, Length, SqlType};

/// How one column's values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireColumn {
    /// The announced type.
    pub ty: SqlType,
    /// Values carry a length; otherwise they are bare bytes of the type's size.
    pub nullable: bool,
}

impl From<&Column> for WireColumn {
    fn from(column: &Column) -> Self {
        Self { ty: column.ty, nullable: column.nullable || fixed_token(column.ty).is_none() }
    }
}

/// COLMETADATA of a result set.
pub fn metadata(out: &mut Vec<u8>, columns: &[Column]) {
    out.push(TOKEN_COLUMNS);
    let count = u16::try_from(columns.len()).unwrap_or(u16::MAX - 1);
    out.extend_from_slice(&count.to_le_bytes());
    for column in columns {
        user_type_and_flags(out, column);
        type_info(out, WireColumn::from(column));
        b_varchar(out, &column.name);
    }
}

/// TYPE_INFO of one column or return value.
pub fn type_info(out: &mut Vec<u8>, column: WireColumn) {
    if let (false, Some(token)) = (column.nullable, fixed_token(column.ty)) {
        out.push(token);
        return;
    }
    match column.ty {
        SqlType::TinyInt => out.extend_from_slice(&[0x26, 1]),
        SqlType::SmallInt => out.extend_from_slice(&[0x26, 2]),
        SqlType::Int => out.extend_from_slice(&[0x26, 4]),
        SqlType::BigInt => out.extend_from_slice(&[0x26, 8]),
        SqlType::Bit => out.extend_from_slice(&[0x68, 1]),
        SqlType::Real => out.extend_from_slice(&[0x6D, 4]),
        SqlType::Float => out.extend_from_slice(&[0x6D, 8]),
        SqlType::SmallMoney => out.extend_from_slice(&[0x6E, 4]),
        SqlType::Money => out.extend_from_slice(&[0x6E, 8]),
        SqlType::SmallDateTime => out.extend_from_slice(&[0x6F, 4]),
        SqlType::DateTime => out.extend_from_slice(&[0x6F, 8]),
        SqlType::UniqueIdentifier => out.extend_from_slice(&[0x24, 16]),
        SqlType::Decimal { precision, scale } => {
            out.extend_from_slice(&[0x6A, decimal_bytes(precision) + 1, precision, scale]);
        }
        SqlType::Date => out.push(0x28),
        SqlType::Time(scale) => out.extend_from_slice(&[0x29, scale]),
        SqlType::DateTime2(scale) => out.extend_from_slice(&[0x2A, scale]),
        SqlType::DateTimeOffset(scale) => out.extend_from_slice(&[0x2B, scale]),
        SqlType::Xml => out.extend_from_slice(&[0xF1, 0]),
        SqlType::Variant => {
            out.push(0x62);
            out.extend_from_slice(&VARIANT_BYTES.to_le_bytes());
        }
        SqlType::Char(length) => text_info(out, 0xAF, length),
        SqlType::VarChar(length) => text_info(out, 0xA7, max_or(length, 1)),
        SqlType::NChar(length) => text_info(out, 0xEF, length.saturating_mul(2)),
        SqlType::NVarChar(length) => text_info(out, 0xE7, max_or(length, 2)),
        SqlType::Binary(length) => bytes_info(out, 0xAD, length),
        SqlType::VarBinary(length) => bytes_info(out, 0xA5, max_or(length, 1)),
        SqlType::RowVersion => bytes_info(out, 0xAD, 8),
    }
}

/// The bytes a decimal's magnitude takes.
pub fn decimal_bytes(precision: u8) -> u8 {
    match precision {
        0..=9 => 4,
        10..=19 => 8,
        20..=28 => 12,
        _ => 16,
    }
}

/// The bytes a time of day takes at a scale.
pub fn time_bytes(scale: u8) -> u8 {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

fn text_info(out: &mut Vec<u8>, token: u8, length: u16) {
    bytes_info(out, token, length);
    out.extend_from_slice(&Collation::SERVER.bytes());
}

fn bytes_info(out: &mut Vec<u8>, token: u8, length: u16) {
    out.push(token);
    out.extend_from_slice(&length.to_le_bytes());
}

fn max_or(length: Length, width: u16) -> u16 {
    match length {
        Length::Of(count) => count.saturating_mul(width),
        Length::Max => u16::MAX,
    }
}

fn user_type_and_flags(out: &mut Vec<u8>, column: &Column) {
    let user_type = if column.ty == SqlType::RowVersion { USER_TYPE_TIMESTAMP } else { 0 };
    out.extend_from_slice(&u32::to_le_bytes(user_type));
    let mut flags = u16::from(column.nullable);
    flags |= match (column.identity, column.computed) {
        (true, _) => FLAG_IDENTITY,
        (false, true) => FLAG_COMPUTED,
        (false, false) => FLAG_UPDATABLE_UNKNOWN,
    };
    out.extend_from_slice(&flags.to_le_bytes());
}

/// The token of a type's fixed-length form.
fn fixed_token(ty: SqlType) -> Option<u8> {
    match ty {
        SqlType::TinyInt => Some(0x30),
        SqlType::Bit => Some(0x32),
        SqlType::SmallInt => Some(0x34),
        SqlType::Int => Some(0x38),
        SqlType::SmallDateTime => Some(0x3A),
        SqlType::Real => Some(0x3B),
        SqlType::Money => Some(0x3C),
        SqlType::DateTime => Some(0x3D),
        SqlType::Float => Some(0x3E),
        SqlType::SmallMoney => Some(0x7A),
        SqlType::BigInt => Some(0x7F),
        SqlType::Decimal { .. }
        | SqlType::Char(_)
        | SqlType::VarChar(_)
        | SqlType::NChar(_)
        | SqlType::NVarChar(_)
        | SqlType::Binary(_)
        | SqlType::VarBinary(_)
        | SqlType::Date
        | SqlType::Time(_)
        | SqlType::DateTime2(_)
        | SqlType::DateTimeOffset(_)
        | SqlType::UniqueIdentifier
        | SqlType::Xml
        | SqlType::RowVersion
        | SqlType::Variant => None,
    }
}

const TOKEN_COLUMNS: u8 = 0x81;
const USER_TYPE_TIMESTAMP: u32 = 80;
const FLAG_UPDATABLE_UNKNOWN: u16 = 0x0008;
const FLAG_IDENTITY: u16 = 0x0010;
const FLAG_COMPUTED: u16 = 0x0020;
const VARIANT_BYTES: u32 = 8009;
