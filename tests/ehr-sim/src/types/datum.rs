//! One value. NULL carries no type; every other variant says what it is.
//!
//! Units: `Date` and the days of `DateTime2`/`DateTimeOffset` count from 0001-01-01; `DateTime` and
//! `SmallDateTime` days count from 1900-01-01; ticks are 100 ns, except `DateTime` whose ticks are 1/300 s.
//! `Money` is in 1/10000. Strings are unicode; the code page of a (var)char matters at the wire and in lengths.

use std::sync::Arc;

/// A decimal: `unscaled / 10^scale`, with its declared precision. Packed, because its alignment is every value's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(8))]
pub struct DecimalValue {
    /// Value times 10^scale.
    pub unscaled: i128,
    /// Declared precision.
    pub precision: u8,
    /// Declared scale.
    pub scale: u8,
}

/// A day and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTimeValue {
    /// Days from the type's epoch.
    pub days: i32,
    /// Ticks of the type's unit since midnight.
    pub ticks: u64,
}

/// A moment in UTC with the offset it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetValue {
    /// UTC days from 0001-01-01 and 100 ns ticks.
    pub utc: DateTimeValue,
    /// Minutes east of UTC.
    pub offset: i16,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// NULL
    Null,
    /// bit
    Bit(bool),
    /// tinyint
    TinyInt(u8),
    /// smallint
    SmallInt(i16),
    /// int
    Int(i32),
    /// bigint
    BigInt(i64),
    /// real
    Real(f32),
    /// float
    Float(f64),
    /// decimal, numeric
    Decimal(DecimalValue),
    /// money, 1/10000
    Money(i64),
    /// smallmoney, 1/10000
    SmallMoney(i32),
    /// char, varchar
    VarChar(Arc<str>),
    /// nchar, nvarchar
    NVarChar(Arc<str>),
    /// binary, varbinary
    Binary(Arc<[u8]>),
    /// date
    Date(i32),
    /// time, 100 ns ticks since midnight
    Time(u64),
    /// datetime: days from 1900-01-01, ticks of 1/300 s
    DateTime(DateTimeValue),
    /// smalldatetime: days from 1900-01-01, minutes
    SmallDateTime(DateTimeValue),
    /// datetime2: days from 0001-01-01, 100 ns
    DateTime2(DateTimeValue),
    /// datetimeoffset
    DateTimeOffset(OffsetValue),
    /// uniqueidentifier, bytes in text order (RFC 4122)
    Guid([u8; 16]),
    /// xml, as text
    Xml(Arc<str>),
    /// rowversion
    RowVersion(u64),
}

impl Datum {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// An nvarchar.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::NVarChar(Arc::from(text.as_ref()))
    }

    /// The text of a character or xml value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::VarChar(s) | Self::NVarChar(s) | Self::Xml(s) => Some(s),
            Self::Null
            | Self::Bit(_)
            | Self::TinyInt(_)
            | Self::SmallInt(_)
            | Self::Int(_)
            | Self::BigInt(_)
            | Self::Real(_)
            | Self::Float(_)
            | Self::Decimal(_)
            | Self::Money(_)
            | Self::SmallMoney(_)
            | Self::Binary(_)
            | Self::Date(_)
            | Self::Time(_)
            | Self::DateTime(_)
            | Self::SmallDateTime(_)
            | Self::DateTime2(_)
            | Self::DateTimeOffset(_)
            | Self::Guid(_)
            | Self::RowVersion(_) => None,
        }
    }

    /// The value of an integer type.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Bit(b) => Some(i64::from(b)),
            Self::TinyInt(n) => Some(i64::from(n)),
            Self::SmallInt(n) => Some(i64::from(n)),
            Self::Int(n) => Some(i64::from(n)),
            Self::BigInt(n) => Some(n),
            Self::Null
            | Self::Real(_)
            | Self::Float(_)
            | Self::Decimal(_)
            | Self::Money(_)
            | Self::SmallMoney(_)
            | Self::VarChar(_)
            | Self::NVarChar(_)
            | Self::Binary(_)
            | Self::Date(_)
            | Self::Time(_)
            | Self::DateTime(_)
            | Self::SmallDateTime(_)
            | Self::DateTime2(_)
            | Self::DateTimeOffset(_)
            | Self::Guid(_)
            | Self::Xml(_)
            | Self::RowVersion(_) => None,
        }
    }
}
