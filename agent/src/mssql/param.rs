//! Values on their way into a statement, and single cells on their way out.
//!
//! [`Param`] keeps SQL Server's own precision (ticks of `datetime`, increments of `time`), because a key read from a row
//! goes back as a parameter and must compare equal. It can be stored as JSON.

use std::borrow::Cow;

use chrono::{FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};
use serde::{Deserialize, Serialize};
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, SmallDateTime, Time};
use tiberius::{ColumnData, FromSql, IntoSql, Uuid, numeric::Numeric};

use super::SqlError;

/// One value with its SQL Server type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Param {
    /// `bit`.
    Bit(bool),
    /// `tinyint`.
    TinyInt(u8),
    /// `smallint`.
    SmallInt(i16),
    /// `int`.
    Int(i32),
    /// `bigint`.
    BigInt(i64),
    /// `real`.
    Real(f32),
    /// `float`.
    Float(f64),
    /// `decimal`: unscaled value as text (JSON numbers end at 64 bits) and scale.
    Decimal(String, u8),
    /// `nvarchar`.
    Text(String),
    /// `varbinary`.
    Bytes(Vec<u8>),
    /// `uniqueidentifier`.
    Guid(u128),
    /// `date`: days since 0001-01-01.
    Date(u32),
    /// `time`: increments and scale.
    Time(u64, u8),
    /// `datetime`: days since 1900-01-01, 1/300 s since midnight.
    DateTime(i32, u32),
    /// `smalldatetime`: days since 1900-01-01, minutes since midnight.
    SmallDateTime(u16, u16),
    /// `datetime2`: days since 0001-01-01, increments, scale.
    DateTime2(u32, u64, u8),
    /// `datetimeoffset`: as `datetime2` in UTC, and the offset in minutes.
    DateTimeOffset(u32, u64, u8, i16),
}

impl Param {
    /// A cell as a parameter; `None` for NULL.
    ///
    /// # Errors
    /// XML, which no key can be.
    pub fn from_cell(cell: &ColumnData<'_>) -> Result<Option<Self>, SqlError> {
        Ok(match cell {
            ColumnData::Bit(v) => v.map(Self::Bit),
            ColumnData::U8(v) => v.map(Self::TinyInt),
            ColumnData::I16(v) => v.map(Self::SmallInt),
            ColumnData::I32(v) => v.map(Self::Int),
            ColumnData::I64(v) => v.map(Self::BigInt),
            ColumnData::F32(v) => v.map(Self::Real),
            ColumnData::F64(v) => v.map(Self::Float),
            ColumnData::String(v) => v.as_ref().map(|text| Self::Text(text.clone().into_owned())),
            ColumnData::Binary(v) => v.as_ref().map(|bytes| Self::Bytes(bytes.clone().into_owned())),
            ColumnData::Guid(v) => v.map(|guid| Self::Guid(guid.as_u128())),
            ColumnData::Numeric(v) => v.map(|n| Self::Decimal(n.value().to_string(), n.scale())),
            ColumnData::Date(v) => v.map(|d| Self::Date(d.days())),
            ColumnData::Time(v) => v.map(|t| Self::Time(t.increments(), t.scale())),
            ColumnData::DateTime(v) => v.map(|d| Self::DateTime(d.days(), d.seconds_fragments())),
            ColumnData::SmallDateTime(v) => v.map(|d| Self::SmallDateTime(d.days(), d.seconds_fragments())),
            ColumnData::DateTime2(v) => v.map(|d| {
                let time = d.time();
                Self::DateTime2(d.date().days(), time.increments(), time.scale())
            }),
            ColumnData::DateTimeOffset(v) => v.map(|d| {
                let time = d.datetime2().time();
                Self::DateTimeOffset(d.datetime2().date().days(), time.increments(), time.scale(), d.offset())
            }),
            ColumnData::Xml(_) => return Err(SqlError::Protocol { reason: "xml cannot be a key".into() }),
        })
    }
}

impl<'a> IntoSql<'a> for Param {
    fn into_sql(self) -> ColumnData<'a> {
        match self {
            Self::Bit(v) => ColumnData::Bit(Some(v)),
            Self::TinyInt(v) => ColumnData::U8(Some(v)),
            Self::SmallInt(v) => ColumnData::I16(Some(v)),
            Self::Int(v) => ColumnData::I32(Some(v)),
            Self::BigInt(v) => ColumnData::I64(Some(v)),
            Self::Real(v) => ColumnData::F32(Some(v)),
            Self::Float(v) => ColumnData::F64(Some(v)),
            Self::Decimal(unscaled, scale) => {
                ColumnData::Numeric(unscaled.parse().ok().map(|v| Numeric::new_with_scale(v, scale)))
            }
            Self::Text(v) => ColumnData::String(Some(Cow::Owned(v))),
            Self::Bytes(v) => ColumnData::Binary(Some(Cow::Owned(v))),
            Self::Guid(v) => ColumnData::Guid(Some(Uuid::from_u128(v))),
            Self::Date(days) => ColumnData::Date(Some(Date::new(days))),
            Self::Time(increments, scale) => ColumnData::Time(Some(Time::new(increments, scale))),
            Self::DateTime(days, ticks) => ColumnData::DateTime(Some(DateTime::new(days, ticks))),
            Self::SmallDateTime(days, minutes) => {
                ColumnData::SmallDateTime(Some(SmallDateTime::new(days, minutes)))
            }
            Self::DateTime2(days, increments, scale) => {
                ColumnData::DateTime2(Some(datetime2(days, increments, scale)))
            }
            Self::DateTimeOffset(days, increments, scale, offset) => ColumnData::DateTimeOffset(Some(
                DateTimeOffset::new(datetime2(days, increments, scale), offset),
            )),
        }
    }
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn datetime2(days: u32, increments: u64, scale: u8) -> DateTime2 {
    DateTime2::new(Date::new(days), Time::new(increments, scale))
}

/// A text cell; `None` for NULL or another type.
pub(crate) fn text(cell: &ColumnData<'_>) -> Option<String> {
    if let ColumnData::String(Some(text)) = cell { Some(text.clone().into_owned()) } else { None }
}

/// A whole number of any width; bits count as 0 and 1.
pub(crate) fn integer(cell: &ColumnData<'_>) -> Option<i64> {
    if let ColumnData::Bit(v) = cell {
        v.map(i64::from)
    } else if let ColumnData::U8(v) = cell {
        v.map(i64::from)
    } else if let ColumnData::I16(v) = cell {
        v.map(i64::from)
    } else if let ColumnData::I32(v) = cell {
        v.map(i64::from)
    } else if let ColumnData::I64(v) = cell {
        *v
    } else {
        None
    }
}

/// A number or moment as text, as Python's client would print it; `None` for NULL and for other kinds.
pub(crate) fn shown(cell: &ColumnData<'static>) -> Option<String> {
    match cell {
        ColumnData::F32(v) => v.map(|number| number.to_string()),
        ColumnData::F64(v) => v.map(|number| number.to_string()),
        ColumnData::Numeric(v) => v.map(|number| number.to_string()),
        ColumnData::Guid(v) => v.map(|guid| guid.to_string()),
        ColumnData::Xml(v) => v.as_ref().map(|xml| xml.as_ref().as_ref().to_owned()),
        ColumnData::Date(_) => printed::<NaiveDate>(cell),
        ColumnData::Time(_) => printed::<NaiveTime>(cell),
        ColumnData::DateTime(_) | ColumnData::SmallDateTime(_) | ColumnData::DateTime2(_) => {
            printed::<NaiveDateTime>(cell)
        }
        ColumnData::DateTimeOffset(_) => printed::<chrono::DateTime<FixedOffset>>(cell),
        ColumnData::Bit(_)
        | ColumnData::U8(_)
        | ColumnData::I16(_)
        | ColumnData::I32(_)
        | ColumnData::I64(_)
        | ColumnData::String(_)
        | ColumnData::Binary(_) => None,
    }
}

fn printed<'c, T: FromSql<'c> + ToString>(cell: &'c ColumnData<'static>) -> Option<String> {
    T::from_sql(cell).ok().flatten().map(|moment| moment.to_string())
}

/// A binary cell.
pub(crate) fn bytes<'c>(cell: &'c ColumnData<'_>) -> Option<&'c [u8]> {
    if let ColumnData::Binary(Some(bytes)) = cell { Some(bytes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_storage_and_comes_back_as_the_same_cell() {
        let cells = [
            ColumnData::I32(Some(-7)),
            ColumnData::Numeric(Some(Numeric::new_with_scale(i128::MAX / 2, 5))),
            ColumnData::DateTime(Some(DateTime::new(45_000, 25_919_999))),
            ColumnData::String(Some("Zoë".into())),
            ColumnData::Guid(Some(Uuid::from_u128(7 << 100))),
            ColumnData::DateTime2(Some(datetime2(738_000, 863_999_999_999, 7))),
            ColumnData::Binary(Some(vec![0, 255].into())),
        ];
        for cell in cells {
            let param = Param::from_cell(&cell).unwrap().unwrap();
            let stored = serde_json::to_string(&param).unwrap();
            let back: Param = serde_json::from_str(&stored).unwrap();
            assert_eq!(back.into_sql(), cell);
        }
    }

    #[test]
    fn null_is_no_parameter() {
        assert_eq!(Param::from_cell(&ColumnData::I32(None)).unwrap(), None);
    }
}
