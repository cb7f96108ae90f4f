//! TYPE_INFO and values as clients send them with procedure parameters (MS-TDS 2.2.5.4 to 2.2.5.6).
//!
//! A type the server does not take and a value outside its type are reported as SQL Server reports them: 8009, 8016,
//! 8023. No value enters an error.

use std::sync::Arc;

use super::collation::Collation;
use super::column::time_bytes;
use super::encode::guid;
use super::error::TdsError;
use super::read::{Reader, utf16_text};
use crate::types::{DateTimeValue, Datum, DecimalValue, Length, OffsetValue, SqlType};

/// Why a parameter cannot be taken; the caller knows its position and name.
#[derive(Debug)]
pub enum ParamFault {
    /// The stream is broken.
    Stream(TdsError),
    /// 8009: the type is not one the server takes.
    UnknownType(u8),
    /// 8016: a length or precision outside the type.
    Metadata(u8),
    /// 8023: not a value of the type.
    Value(SqlType),
}

impl From<TdsError> for ParamFault {
    fn from(error: TdsError) -> Self {
        Self::Stream(error)
    }
}

/// A parameter's type and value.
pub fn typed_value(reader: &mut Reader<'_>) -> Result<(SqlType, Datum), ParamFault> {
    let info = TypeInfo::read(reader)?;
    let datum = info.value(reader)?;
    Ok((info.ty, datum))
}

/// A TYPE_INFO: the type, and what its values need beyond it.
struct TypeInfo {
    ty: SqlType,
    layout: Layout,
    collation: Collation,
}

/// How many bytes a value takes, and where that is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Fixed(usize),
    Byte,
    Short,
    Chunks,
    Long,
    LegacyLong,
}

impl TypeInfo {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParamFault> {
        let token = reader.u8()?;
        if let Some((ty, bytes)) = fixed_type(token) {
            return Ok(Self::plain(ty, Layout::Fixed(bytes)));
        }
        match token {
            0x1F => Ok(Self::plain(SqlType::NVarChar(Length::Of(1)), Layout::Fixed(0))),
            0x24 | 0x26 | 0x68 | 0x6D..=0x6F => {
                let length = reader.u8()?;
                let ty = nullable_type(token, length).ok_or(ParamFault::Metadata(token))?;
                Ok(Self::plain(ty, Layout::Byte))
            }
            0x6A | 0x6C => {
                let (_length, precision, scale) = (reader.u8()?, reader.u8()?, reader.u8()?);
                match (1..=38).contains(&precision) && scale <= precision {
                    true => Ok(Self::plain(SqlType::Decimal { precision, scale }, Layout::Byte)),
                    false => Err(ParamFault::Metadata(token)),
                }
            }
            0x28 => Ok(Self::plain(SqlType::Date, Layout::Byte)),
            0x29..=0x2B => {
                let scale = reader.u8()?;
                let ty = match token {
                    0x29 => SqlType::Time(scale),
                    0x2A => SqlType::DateTime2(scale),
                    _ => SqlType::DateTimeOffset(scale),
                };
                if scale > 7 { Err(ParamFault::Metadata(token)) } else { Ok(Self::plain(ty, Layout::Byte)) }
            }
            0xA5 | 0xA7 | 0xAD | 0xAF | 0xE7 | 0xEF => Self::read_string(token, reader),
            0x22 | 0x23 | 0x63 => Self::read_legacy(token, reader),
            0x62 => {
                reader.u32()?;
                Ok(Self::plain(SqlType::Variant, Layout::Long))
            }
            0xF1 => Self::read_xml(reader),
            _ => Err(ParamFault::UnknownType(token)),
        }
    }

    fn plain(ty: SqlType, layout: Layout) -> Self {
        Self { ty, layout, collation: Collation::SERVER }
    }

    fn read_string(token: u8, reader: &mut Reader<'_>) -> Result<Self, ParamFault> {
        let length = reader.u16()?;
        let collation =
            if matches!(token, 0xA5 | 0xAD) { Collation::SERVER } else { read_collation(reader)? };
        let max = length == u16::MAX;
        if max && !matches!(token, 0xA5 | 0xA7 | 0xE7) || !max && length > 8000 {
            return Err(ParamFault::Metadata(token));
        }
        let of = |width: u16| if max { Length::Max } else { Length::Of((length / width).max(1)) };
        let fixed = |width: u16| (length / width).max(1);
        let ty = match token {
            0xA5 => SqlType::VarBinary(of(1)),
            0xA7 => SqlType::VarChar(of(1)),
            0xAD => SqlType::Binary(fixed(1)),
            0xAF => SqlType::Char(fixed(1)),
            0xE7 => SqlType::NVarChar(of(2)),
            _ => SqlType::NChar(fixed(2)),
        };
        Ok(Self { ty, layout: if max { Layout::Chunks } else { Layout::Short }, collation })
    }

    /// image, text and ntext, which arrive as their successors.
    fn read_legacy(token: u8, reader: &mut Reader<'_>) -> Result<Self, ParamFault> {
        reader.u32()?;
        let collation = if token == 0x22 { Collation::SERVER } else { read_collation(reader)? };
        let ty = match token {
            0x22 => SqlType::VarBinary(Length::Max),
            0x23 => SqlType::VarChar(Length::Max),
            _ => SqlType::NVarChar(Length::Max),
        };
        Ok(Self { ty, layout: Layout::LegacyLong, collation })
    }

    fn read_xml(reader: &mut Reader<'_>) -> Result<Self, ParamFault> {
        if reader.u8()? != 0 {
            reader.b_varchar()?;
            reader.b_varchar()?;
            let chars = reader.u16()?;
            reader.utf16(usize::from(chars))?;
        }
        Ok(Self::plain(SqlType::Xml, Layout::Chunks))
    }

    fn value(&self, reader: &mut Reader<'_>) -> Result<Datum, ParamFault> {
        let chunked;
        let bytes: Option<&[u8]> = match self.layout {
            Layout::Fixed(0) => None,
            Layout::Fixed(count) => Some(reader.take(count)?),
            Layout::Byte => match usize::from(reader.u8()?) {
                0 => None,
                count => Some(reader.take(count)?),
            },
            Layout::Short => match reader.u16()? {
                u16::MAX => None,
                count => Some(reader.take(usize::from(count))?),
            },
            Layout::Long => match reader.u32()? {
                0 => None,
                count => Some(reader.take(count as usize)?),
            },
            Layout::LegacyLong => match reader.u32()? {
                u32::MAX => None,
                count => Some(reader.take(count as usize)?),
            },
            Layout::Chunks => {
                chunked = read_chunks(reader)?;
                chunked.as_deref()
            }
        };
        bytes.map_or(Ok(Datum::Null), |bytes| datum(self.ty, bytes, self.collation))
    }
}

fn read_collation(reader: &mut Reader<'_>) -> Result<Collation, TdsError> {
    let bytes = reader.take(5)?;
    Ok(Collation::from_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]))
}

/// A partially length-prefixed value; `None` is NULL.
fn read_chunks(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, TdsError> {
    if reader.u64()? == u64::MAX {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        match reader.u32()? {
            0 => return Ok(Some(bytes)),
            count => bytes.extend_from_slice(reader.take(count as usize)?),
        }
    }
}

fn fixed_type(token: u8) -> Option<(SqlType, usize)> {
    match token {
        0x30 => Some((SqlType::TinyInt, 1)),
        0x32 => Some((SqlType::Bit, 1)),
        0x34 => Some((SqlType::SmallInt, 2)),
        0x38 => Some((SqlType::Int, 4)),
        0x3A => Some((SqlType::SmallDateTime, 4)),
        0x3B => Some((SqlType::Real, 4)),
        0x3C => Some((SqlType::Money, 8)),
        0x3D => Some((SqlType::DateTime, 8)),
        0x3E => Some((SqlType::Float, 8)),
        0x7A => Some((SqlType::SmallMoney, 4)),
        0x7F => Some((SqlType::BigInt, 8)),
        _ => None,
    }
}

fn nullable_type(token: u8, length: u8) -> Option<SqlType> {
    match (token, length) {
        (0x24, 16) => Some(SqlType::UniqueIdentifier),
        (0x26, 1) => Some(SqlType::TinyInt),
        (0x26, 2) => Some(SqlType::SmallInt),
        (0x26, 4) => Some(SqlType::Int),
        (0x26, 8) => Some(SqlType::BigInt),
        (0x68, 1) => Some(SqlType::Bit),
        (0x6D, 4) => Some(SqlType::Real),
        (0x6D, 8) => Some(SqlType::Float),
        (0x6E, 4) => Some(SqlType::SmallMoney),
        (0x6E, 8) => Some(SqlType::Money),
        (0x6F, 4) => Some(SqlType::SmallDateTime),
        (0x6F, 8) => Some(SqlType::DateTime),
        _ => None,
    }
}

/// The value `bytes` are of type `ty`.
fn datum(ty: SqlType, bytes: &[u8], collation: Collation) -> Result<Datum, ParamFault> {
    if ty == SqlType::Variant {
        return variant(bytes);
    }
    scalar(ty, bytes, collation).ok_or(ParamFault::Value(ty))
}

fn scalar(ty: SqlType, bytes: &[u8], collation: Collation) -> Option<Datum> {
    match ty {
        SqlType::Bit => Some(Datum::Bit(exact::<1>(bytes)?[0] != 0)),
        SqlType::TinyInt => Some(Datum::TinyInt(exact::<1>(bytes)?[0])),
        SqlType::SmallInt => Some(Datum::SmallInt(i16::from_le_bytes(exact(bytes)?))),
        SqlType::Int => Some(Datum::Int(i32::from_le_bytes(exact(bytes)?))),
        SqlType::BigInt => Some(Datum::BigInt(i64::from_le_bytes(exact(bytes)?))),
        SqlType::Real => Some(f32::from_le_bytes(exact(bytes)?)).filter(|v| v.is_finite()).map(Datum::Real),
        SqlType::Float => Some(f64::from_le_bytes(exact(bytes)?)).filter(|v| v.is_finite()).map(Datum::Float),
        SqlType::Decimal { precision, scale } => decimal(bytes, precision, scale),
        SqlType::SmallMoney => Some(Datum::SmallMoney(i32::from_le_bytes(exact(bytes)?))),
        SqlType::Money => money(exact(bytes)?),
        SqlType::Char(_) | SqlType::VarChar(_) => Some(Datum::VarChar(Arc::from(collation.decode(bytes)))),
        SqlType::NChar(_) | SqlType::NVarChar(_) => {
            bytes.len().is_multiple_of(2).then(|| Datum::NVarChar(Arc::from(utf16_text(bytes))))
        }
        SqlType::Xml => {
            let text = bytes.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(bytes);
            Some(Datum::Xml(Arc::from(utf16_text(text))))
        }
        SqlType::Binary(_) | SqlType::VarBinary(_) => Some(Datum::Binary(Arc::from(bytes))),
        SqlType::UniqueIdentifier => Some(Datum::Guid(guid(exact(bytes)?))),
        SqlType::Date => Some(Datum::Date(day(bytes)?)),
        SqlType::Time(scale) => Some(Datum::Time(time(bytes, scale)?)),
        SqlType::DateTime => datetime(exact(bytes)?),
        SqlType::SmallDateTime => small_datetime(exact(bytes)?),
        SqlType::DateTime2(scale) => Some(Datum::DateTime2(clock_and_day(bytes, scale)?)),
        SqlType::DateTimeOffset(scale) => datetime_offset(bytes, scale),
        SqlType::RowVersion | SqlType::Variant => None,
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn decimal(bytes: &[u8], precision: u8, scale: u8) -> Option<Datum> {
    let (sign, digits) = bytes.split_first()?;
    let mut buffer = [0; 16];
    buffer.get_mut(..digits.len())?.copy_from_slice(digits);
    let magnitude = i128::try_from(u128::from_le_bytes(buffer)).ok()?;
    if magnitude >= 10i128.pow(u32::from(precision)) {
        return None;
    }
    let unscaled = if *sign == 0 { -magnitude } else { magnitude };
    Some(Datum::Decimal(DecimalValue { unscaled, precision, scale }))
}

fn money([a, b, c, d, e, f, g, h]: [u8; 8]) -> Option<Datum> {
    Some(Datum::Money(i64::from_le_bytes([e, f, g, h, a, b, c, d])))
}

fn datetime([a, b, c, d, e, f, g, h]: [u8; 8]) -> Option<Datum> {
    let days = i32::from_le_bytes([a, b, c, d]);
    let ticks = u64::from(u32::from_le_bytes([e, f, g, h]));
    let valid = (DATETIME_MIN..=DATETIME_MAX).contains(&days) && ticks < DATETIME_TICKS;
    valid.then_some(Datum::DateTime(DateTimeValue { days, ticks }))
}

fn small_datetime([a, b, c, d]: [u8; 4]) -> Option<Datum> {
    let (days, ticks) = (i32::from(u16::from_le_bytes([a, b])), u64::from(u16::from_le_bytes([c, d])));
    (ticks < MINUTES_PER_DAY).then_some(Datum::SmallDateTime(DateTimeValue { days, ticks }))
}

fn clock_and_day(bytes: &[u8], scale: u8) -> Option<DateTimeValue> {
    let (clock, days) = bytes.split_at_checked(usize::from(time_bytes(scale)))?;
    Some(DateTimeValue { days: day(days)?, ticks: time(clock, scale)? })
}

fn datetime_offset(bytes: &[u8], scale: u8) -> Option<Datum> {
    let (moment, offset) = bytes.split_at_checked(usize::from(time_bytes(scale)) + 3)?;
    let (utc, offset) = (clock_and_day(moment, scale)?, i16::from_le_bytes(exact(offset)?));
    (-OFFSET_MAX..=OFFSET_MAX).contains(&offset).then_some(Datum::DateTimeOffset(OffsetValue { utc, offset }))
}

fn day(bytes: &[u8]) -> Option<i32> {
    let [a, b, c] = bytes.try_into().ok()?;
    Some(i32::from_le_bytes([a, b, c, 0])).filter(|days| *days <= DAY_MAX)
}

fn time(bytes: &[u8], scale: u8) -> Option<u64> {
    if bytes.len() != usize::from(time_bytes(scale)) {
        return None;
    }
    let mut buffer = [0; 8];
    buffer[..bytes.len()].copy_from_slice(bytes);
    let ticks = u64::from_le_bytes(buffer) * 10u64.pow(u32::from(7 - scale));
    (ticks < TICKS_PER_DAY).then_some(ticks)
}

/// A sql_variant: base type, property count and properties, bare value.
fn variant(bytes: &[u8]) -> Result<Datum, ParamFault> {
    let mut reader = Reader::new(bytes, "sql_variant");
    let (token, count) = (reader.u8()?, reader.u8()?);
    let mut properties = Reader::new(reader.take(usize::from(count))?, "sql_variant");
    let (ty, collation) = match token {
        0x24 => (SqlType::UniqueIdentifier, Collation::SERVER),
        0x28 => (SqlType::Date, Collation::SERVER),
        0x29 => (SqlType::Time(scale(&mut properties)?), Collation::SERVER),
        0x2A => (SqlType::DateTime2(scale(&mut properties)?), Collation::SERVER),
        0x2B => (SqlType::DateTimeOffset(scale(&mut properties)?), Collation::SERVER),
        0x6A | 0x6C => {
            let (precision, scale) = (properties.u8()?, properties.u8()?);
            (
                SqlType::Decimal { precision: precision.clamp(1, 38), scale: scale.min(precision) },
                Collation::SERVER,
            )
        }
        0xA5 | 0xAD => (SqlType::VarBinary(Length::Of(8000)), Collation::SERVER),
        0xA7 | 0xAF => (SqlType::VarChar(Length::Of(8000)), read_collation(&mut properties)?),
        0xE7 | 0xEF => (SqlType::NVarChar(Length::Of(4000)), read_collation(&mut properties)?),
        _ => (fixed_type(token).ok_or(ParamFault::UnknownType(token))?.0, Collation::SERVER),
    };
    datum(ty, reader.rest(), collation)
}

fn scale(properties: &mut Reader<'_>) -> Result<u8, ParamFault> {
    let scale = properties.u8()?;
    if scale > 7 { Err(ParamFault::Metadata(0x62)) } else { Ok(scale) }
}

const BYTE_ORDER_MARK: [u8; 2] = [0xFF, 0xFE];
/// 9999-12-31 in days from 0001-01-01.
const DAY_MAX: i32 = 3_652_058;
/// 1753-01-01 and 9999-12-31 in days from 1900-01-01.
const DATETIME_MIN: i32 = -53_690;
const DATETIME_MAX: i32 = 2_958_463;
const DATETIME_TICKS: u64 = 300 * 86_400;
const MINUTES_PER_DAY: u64 = 1440;
/// A time zone offset, in minutes.
const OFFSET_MAX: i16 = 840;
const TICKS_PER_DAY: u64 = 864_000_000_000;
