//! SQL Server's data types with length, precision and scale, and their precedence.
//!
//! Facts: "Data types", "Data type precedence", "Precision, scale, and length" (Transact-SQL).

use std::fmt;

/// Length of a variable-length type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Length {
    /// Characters (n-types), bytes of the code page (char types) or bytes (binary).
    Of(u16),
    /// `(max)`.
    Max,
}

/// A data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// bit
    Bit,
    /// tinyint (unsigned)
    TinyInt,
    /// smallint
    SmallInt,
    /// int
    Int,
    /// bigint
    BigInt,
    /// real
    Real,
    /// float(53)
    Float,
    /// decimal and numeric
    Decimal {
        /// Total digits, 1 to 38.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// money
    Money,
    /// smallmoney
    SmallMoney,
    /// char(n)
    Char(u16),
    /// varchar(n|max)
    VarChar(Length),
    /// nchar(n)
    NChar(u16),
    /// nvarchar(n|max)
    NVarChar(Length),
    /// binary(n)
    Binary(u16),
    /// varbinary(n|max)
    VarBinary(Length),
    /// date
    Date,
    /// time(scale)
    Time(u8),
    /// datetime
    DateTime,
    /// smalldatetime
    SmallDateTime,
    /// datetime2(scale)
    DateTime2(u8),
    /// datetimeoffset(scale)
    DateTimeOffset(u8),
    /// uniqueidentifier
    UniqueIdentifier,
    /// xml
    Xml,
    /// rowversion; binary(8) on the wire
    RowVersion,
    /// sql_variant; the base type is the value's own
    Variant,
}

impl SqlType {
    /// `nvarchar(128)`: names in the catalog.
    pub const SYSNAME: Self = Self::NVarChar(Length::Of(128));

    /// Rank in SQL Server's precedence list; the higher wins.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Variant => 30,
            Self::Xml => 29,
            Self::DateTimeOffset(_) => 28,
            Self::DateTime2(_) => 27,
            Self::DateTime => 26,
            Self::SmallDateTime => 25,
            Self::Date => 24,
            Self::Time(_) => 23,
            Self::Float => 22,
            Self::Real => 21,
            Self::Decimal { .. } => 20,
            Self::Money => 19,
            Self::SmallMoney => 18,
            Self::BigInt => 17,
            Self::Int => 16,
            Self::SmallInt => 15,
            Self::TinyInt => 14,
            Self::Bit => 13,
            Self::RowVersion => 9,
            Self::UniqueIdentifier => 8,
            Self::NVarChar(_) => 7,
            Self::NChar(_) => 6,
            Self::VarChar(_) => 5,
            Self::Char(_) => 4,
            Self::VarBinary(_) => 3,
            Self::Binary(_) => 2,
        }
    }

    /// The name in `sys.types`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bit => "bit",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Real => "real",
            Self::Float => "float",
            Self::Decimal { .. } => "decimal",
            Self::Money => "money",
            Self::SmallMoney => "smallmoney",
            Self::Char(_) => "char",
            Self::VarChar(_) => "varchar",
            Self::NChar(_) => "nchar",
            Self::NVarChar(_) => "nvarchar",
            Self::Binary(_) => "binary",
            Self::VarBinary(_) => "varbinary",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::DateTime => "datetime",
            Self::SmallDateTime => "smalldatetime",
            Self::DateTime2(_) => "datetime2",
            Self::DateTimeOffset(_) => "datetimeoffset",
            Self::UniqueIdentifier => "uniqueidentifier",
            Self::Xml => "xml",
            Self::RowVersion => "timestamp",
            Self::Variant => "sql_variant",
        }
    }

    /// `system_type_id` of `sys.types`.
    pub fn type_id(self) -> u8 {
        match self {
            Self::UniqueIdentifier => 36,
            Self::Date => 40,
            Self::Time(_) => 41,
            Self::DateTime2(_) => 42,
            Self::DateTimeOffset(_) => 43,
            Self::TinyInt => 48,
            Self::SmallInt => 52,
            Self::Int => 56,
            Self::SmallDateTime => 58,
            Self::Real => 59,
            Self::Money => 60,
            Self::DateTime => 61,
            Self::Float => 62,
            Self::Variant => 98,
            Self::Bit => 104,
            Self::Decimal { .. } => 106,
            Self::SmallMoney => 122,
            Self::BigInt => 127,
            Self::VarBinary(_) => 165,
            Self::VarChar(_) => 167,
            Self::Binary(_) => 173,
            Self::Char(_) => 175,
            Self::RowVersion => 189,
            Self::NVarChar(_) => 231,
            Self::NChar(_) => 239,
            Self::Xml => 241,
        }
    }

    /// Whether it is a character type.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Char(_) | Self::VarChar(_) | Self::NChar(_) | Self::NVarChar(_))
    }

    /// Whether it is a unicode character type.
    pub fn is_unicode(self) -> bool {
        matches!(self, Self::NChar(_) | Self::NVarChar(_))
    }

    /// Whether it is a binary type, rowversion included.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Binary(_) | Self::VarBinary(_) | Self::RowVersion)
    }

    /// Whether it is an exact or approximate number (bit included).
    pub fn is_number(self) -> bool {
        (13..=22).contains(&self.precedence())
    }

    /// Whether it is an integer type (bit included).
    pub fn is_integer(self) -> bool {
        (13..=17).contains(&self.precedence())
    }

    /// Whether it is a date or time type.
    pub fn is_temporal(self) -> bool {
        (23..=28).contains(&self.precedence())
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match *self {
            Self::Decimal { precision, scale } => write!(f, "({precision},{scale})"),
            Self::Char(n) | Self::NChar(n) | Self::Binary(n) => write!(f, "({n})"),
            Self::VarChar(len) | Self::NVarChar(len) | Self::VarBinary(len) => match len {
                Length::Of(n) => write!(f, "({n})"),
                Length::Max => f.write_str("(max)"),
            },
            Self::Time(scale) | Self::DateTime2(scale) | Self::DateTimeOffset(scale) => {
                write!(f, "({scale})")
            }
            Self::Bit
            | Self::TinyInt
            | Self::SmallInt
            | Self::Int
            | Self::BigInt
            | Self::Real
            | Self::Float
            | Self::Money
            | Self::SmallMoney
            | Self::Date
            | Self::DateTime
            | Self::SmallDateTime
            | Self::UniqueIdentifier
            | Self::Xml
            | Self::RowVersion
            | Self::Variant => Ok(()),
        }
    }
}
