//! SQL Server types to Parquet, without loss. The table in `docs` of [`CellKind`] is the contract with readers of the files.
//!
//! Owns which expression is selected and which Parquet type a column gets. Refuses types that cannot be kept exactly
//! (`sql_variant`, CLR types).

use std::fmt::Display;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type, TypePtr};

/// How a column travels.
///
/// Parquet's logical types, named as an Arrow reader shows them:
///
/// | SQL Server | Arrow / Parquet | note |
/// |---|---|---|
/// | `bit` | Boolean | |
/// | `tinyint`, `smallint`, `int`, `bigint` | UInt8, Int16, Int32, Int64 | |
/// | `real`, `float` | Float32, Float64 | |
/// | `decimal(p,s)`, `numeric(p,s)` | Decimal128(p, s) | |
/// | `money`, `smallmoney` | Decimal128(19, 4), Decimal128(10, 4) | read through a cast, so no float comes between |
/// | `char`, `varchar`, `nchar`, `nvarchar`, `text`, `ntext`, `xml` | Utf8 | |
/// | `binary`, `varbinary`, `image` | Binary | |
/// | `rowversion` | FixedSizeBinary(8) | big-endian, sorts as the server counts |
/// | `uniqueidentifier` | Utf8 | 36 characters, upper case, as SQL Server prints it |
/// | `date` | Date32 | |
/// | `time(0..6)`, `time(7)` | Time64 µs, Time64 ns | |
/// | `smalldatetime`, `datetime` | Timestamp ms, no zone | 1/300 s rounded as SQL Server prints it; reversible |
/// | `datetime2(0..3)`, `datetime2(4..6)` | Timestamp ms, µs, no zone | |
/// | `datetime2(7)` | Utf8, ISO 8601 | nanosecond timestamps end in 2262, the type does not |
/// | `datetimeoffset(n)` | Utf8, ISO 8601 with offset | Parquet's zoned timestamp drops the offset |
/// | `sql_variant`, CLR types | refused | leave the column out |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// `bit`.
    Bit,
    /// `tinyint`.
    TinyInt,
    /// `smallint`.
    SmallInt,
    /// `int`.
    Int,
    /// `bigint`.
    BigInt,
    /// `real`.
    Real,
    /// `float`.
    Float,
    /// `decimal`, `numeric`, `money`, `smallmoney`: precision and scale.
    Decimal(u8, u8),
    /// `money` or `smallmoney`: like a decimal of this precision, scale 4, but selected through a cast.
    Money(u8),
    /// Every text type and `xml`.
    Text,
    /// Every binary type.
    Binary,
    /// `rowversion`.
    Rowversion,
    /// `uniqueidentifier`.
    Guid,
    /// `date`.
    Date,
    /// `time`, by scale.
    Time(u8),
    /// `datetime`.
    DateTime,
    /// `smalldatetime`.
    SmallDateTime,
    /// `datetime2`, by scale.
    DateTime2(u8),
    /// `datetimeoffset`, by scale.
    DateTimeOffset(u8),
}

impl CellKind {
    /// The kind of a column of this type (as "sys.types" calls it), precision and scale; `None` for a type that cannot be kept exactly.
    pub fn of(type_name: &str, precision: u8, scale: u8) -> Option<Self> {
        Some(match type_name {
            "bit" => Self::Bit,
            "tinyint" => Self::TinyInt,
            "smallint" => Self::SmallInt,
            "int" => Self::Int,
            "bigint" => Self::BigInt,
            "real" => Self::Real,
            "float" => Self::Float,
            "decimal" | "numeric" => Self::Decimal(precision, scale),
            "money" => Self::Money(19),
            "smallmoney" => Self::Money(10),
            "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext" | "xml" | "sysname" => Self::Text,
            "binary" | "varbinary" | "image" => Self::Binary,
            "timestamp" => Self::Rowversion,
            "uniqueidentifier" => Self::Guid,
            "date" => Self::Date,
            "time" => Self::Time(scale),
            "datetime" => Self::DateTime,
            "smalldatetime" => Self::SmallDateTime,
            "datetime2" => Self::DateTime2(scale),
            "datetimeoffset" => Self::DateTimeOffset(scale),
            _ => return None,
        })
    }

    /// What stands in the SELECT list for the column, by its quoted name, of the table called `from` (empty, or an alias with its dot).
    pub fn select(self, column: impl Display, from: &str) -> String {
        match self {
            Self::Money(precision) => {
                format!("CAST({from}{column} AS decimal({precision},4)) AS {column}")
            }
            Self::Bit
            | Self::TinyInt
            | Self::SmallInt
            | Self::Int
            | Self::BigInt
            | Self::Real
            | Self::Float
            | Self::Decimal(..)
            | Self::Text
            | Self::Binary
            | Self::Rowversion
            | Self::Guid
            | Self::Date
            | Self::Time(_)
            | Self::DateTime
            | Self::SmallDateTime
            | Self::DateTime2(_)
            | Self::DateTimeOffset(_) => format!("{from}{column}"),
        }
    }

    /// How Parquet stores it.
    pub(crate) fn physical(self) -> Physical {
        match self {
            Self::Bit => Physical::BOOLEAN,
            Self::TinyInt | Self::SmallInt | Self::Int | Self::Date => Physical::INT32,
            Self::BigInt | Self::Time(_) | Self::DateTime | Self::SmallDateTime => Physical::INT64,
            Self::DateTime2(scale) if scale <= MICROSECOND_SCALE => Physical::INT64,
            Self::Real => Physical::FLOAT,
            Self::Float => Physical::DOUBLE,
            Self::Decimal(precision, _) | Self::Money(precision) => match precision {
                ..=9 => Physical::INT32,
                10..=18 => Physical::INT64,
                19.. => Physical::FIXED_LEN_BYTE_ARRAY,
            },
            Self::Rowversion => Physical::FIXED_LEN_BYTE_ARRAY,
            Self::Text | Self::Guid | Self::DateTimeOffset(_) | Self::DateTime2(_) | Self::Binary => {
                Physical::BYTE_ARRAY
            }
        }
    }

    /// What Parquet's readers take it for; none for plain bytes and numbers.
    fn logical(self) -> Option<LogicalType> {
        if let Some((precision, scale)) = self.digits() {
            return Some(LogicalType::decimal(i32::from(scale), i32::from(precision)));
        }
        match self {
            Self::TinyInt => Some(LogicalType::integer(8, false)),
            Self::SmallInt => Some(LogicalType::integer(16, true)),
            Self::Text | Self::Guid | Self::DateTimeOffset(_) => Some(LogicalType::String),
            Self::DateTime2(scale) if scale > MICROSECOND_SCALE => Some(LogicalType::String),
            Self::Date => Some(LogicalType::Date),
            Self::Time(scale) if scale > MICROSECOND_SCALE => Some(LogicalType::time(false, TimeUnit::NANOS)),
            Self::Time(_) => Some(LogicalType::time(false, TimeUnit::MICROS)),
            Self::DateTime2(scale) if scale > MILLISECOND_SCALE => {
                Some(LogicalType::timestamp(false, TimeUnit::MICROS))
            }
            Self::DateTime | Self::SmallDateTime | Self::DateTime2(_) => {
                Some(LogicalType::timestamp(false, TimeUnit::MILLIS))
            }
            Self::Bit
            | Self::Int
            | Self::BigInt
            | Self::Real
            | Self::Float
            | Self::Decimal(..)
            | Self::Money(_)
            | Self::Binary
            | Self::Rowversion => None,
        }
    }

    /// Precision and scale of a number with decimals.
    fn digits(self) -> Option<(u8, u8)> {
        if let Self::Decimal(precision, scale) = self {
            Some((precision, scale))
        } else if let Self::Money(precision) = self {
            Some((precision, 4))
        } else {
            None
        }
    }

    /// Bytes of a value, where all have the same number of them.
    pub(crate) fn length(self) -> Option<usize> {
        let is_fixed = self.physical() == Physical::FIXED_LEN_BYTE_ARRAY;
        is_fixed.then(|| self.digits().map_or(ROWVERSION_BYTES, |(precision, _)| decimal_bytes(precision)))
    }

    /// The column of that name, which may hold NULL.
    fn column(self, name: &str) -> Result<Type, ParquetError> {
        let mut column = Type::primitive_type_builder(name, self.physical())
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(self.logical());
        if let Some((precision, scale)) = self.digits() {
            column = column.with_precision(i32::from(precision)).with_scale(i32::from(scale));
        }
        if let Some(length) = self.length().and_then(|length| i32::try_from(length).ok()) {
            column = column.with_length(length);
        }
        column.build()
    }
}

/// The Parquet schema of these columns.
///
/// # Errors
/// Parquet knows no such decimal.
pub fn schema<'c>(columns: impl Iterator<Item = (&'c str, CellKind)>) -> Result<TypePtr, ParquetError> {
    let columns = columns.map(|(name, kind)| kind.column(name).map(Arc::new));
    let group = Type::group_type_builder("rows").with_fields(columns.collect::<Result<_, _>>()?);
    group.build().map(Arc::new)
}

/// The fewest bytes that hold every decimal of that many digits, with its sign.
fn decimal_bytes(precision: u8) -> usize {
    let most = 10_u128.checked_pow(u32::from(precision)).map_or(u128::MAX, |power| power - 1);
    let bits = u128::BITS - most.leading_zeros() + 1;
    bits.div_ceil(8) as usize
}

const ROWVERSION_BYTES: usize = 8;
pub(crate) const MILLISECOND_SCALE: u8 = 3;
pub(crate) const MICROSECOND_SCALE: u8 = 6;
