//! SQL Server types to Arrow, without loss. The table in `docs` of [`CellKind`] is the contract with readers of the files.
//!
//! Owns which expression is selected, which Arrow type a column gets and how one cell becomes one Arrow value. Refuses
//! types that cannot be kept exactly (`sql_variant`, CLR types). A cell that does not fit is an error that names the
//! column and never the value.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

use crate::mssql::catalog::ColumnInfo;
use crate::mssql::quote::SqlName;

/// How a column travels.
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
    /// The kind of a column; `None` for a type that cannot be kept exactly.
    pub fn of(column: &ColumnInfo) -> Option<Self> {
        Some(match column.type_name.as_str() {
            "bit" => Self::Bit,
            "tinyint" => Self::TinyInt,
            "smallint" => Self::SmallInt,
            "int" => Self::Int,
            "bigint" => Self::BigInt,
            "real" => Self::Real,
            "float" => Self::Float,
            "decimal" | "numeric" => Self::Decimal(column.precision, column.scale),
            "money" => Self::Money(19),
            "smallmoney" => Self::Money(10),
            "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext" | "xml" | "sysname" => Self::Text,
            "binary" | "varbinary" | "image" => Self::Binary,
            "timestamp" => Self::Rowversion,
            "uniqueidentifier" => Self::Guid,
            "date" => Self::Date,
            "time" => Self::Time(column.scale),
            "datetime" => Self::DateTime,
            "smalldatetime" => Self::SmallDateTime,
            "datetime2" => Self::DateTime2(column.scale),
            "datetimeoffset" => Self::DateTimeOffset(column.scale),
            _ => return None,
        })
    }

    /// What stands in the SELECT list for the column of the table called `from` (empty, or an alias with its dot).
    pub fn select(self, column: &SqlName, from: &str) -> String {
        match self {
            Self::Money(precision) => {
                format!("CAST({from}{0} AS decimal({precision},4)) AS {0}", column.quoted())
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
            | Self::DateTimeOffset(_) => format!("{from}{}", column.quoted()),
        }
    }

    /// The Arrow field; its metadata `sql_type` keeps the exact source type.
    pub fn field(self, name: &str, sql_type: &str) -> Field {
        let metadata = HashMap::from([("sql_type".to_owned(), sql_type.to_owned())]);
        Field::new(name, self.data_type(), true).with_metadata(metadata)
    }

    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bit => DataType::Boolean,
            Self::TinyInt => DataType::UInt8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Float => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Money(precision) => DataType::Decimal128(precision, 4),
            Self::Text | Self::Guid | Self::DateTimeOffset(_) => DataType::Utf8,
            Self::DateTime2(scale) if scale > MICROSECOND_SCALE => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Rowversion => DataType::FixedSizeBinary(8),
            Self::Date => DataType::Date32,
            Self::Time(scale) if scale > MICROSECOND_SCALE => DataType::Time64(TimeUnit::Nanosecond),
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::DateTime | Self::SmallDateTime => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::DateTime2(scale) if scale > MILLISECOND_SCALE => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            Self::DateTime2(_) => DataType::Timestamp(TimeUnit::Millisecond, None),
        }
    }
}

/// The Arrow schema of these columns.
pub fn schema<'c>(columns: impl Iterator<Item = (&'c str, &'c str, CellKind)>) -> arrow_schema::SchemaRef {
    let fields: Vec<Field> = columns.map(|(name, sql_type, kind)| kind.field(name, sql_type)).collect();
    Arc::new(arrow_schema::Schema::new(fields))
}

pub(super) const MILLISECOND_SCALE: u8 = 3;
pub(super) const MICROSECOND_SCALE: u8 = 6;
