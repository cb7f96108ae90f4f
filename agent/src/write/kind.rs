//! SQL Server types of parameters: values in, exactly or not at all, and back as text.
//!
//! A value that the type cannot hold exactly is refused with what the type takes; the value itself is never part of
//! that text. [`Kind::json`] writes a value so that [`Kind::param`] reads the same one again, so a rowversion or a
//! moment that was read back can be sent as the next write's parameter.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::fmt;

use states::Value;

use crate::mssql::Param;
use crate::mssql::catalog::ColumnInfo;
use crate::mssql::collation::Collation;

use super::moments;

/// A type that a parameter or a written column can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `bit`.
    Bit,
    /// `tinyint`, `smallint`, `int`, `bigint`, by bytes.
    Integer(u8),
    /// `real`.
    Real,
    /// `float`.
    Float,
    /// `decimal(precision, scale)`.
    Decimal(u8, u8),
    /// `money`.
    Money,
    /// `smallmoney`.
    SmallMoney,
    /// `char`, `varchar`, `nchar`, `nvarchar`.
    Text(Text),
    /// `varbinary(n)`; `None` for max.
    Bytes(Option<u32>),
    /// `rowversion`.
    Rowversion,
    /// `uniqueidentifier`.
    Guid,
    /// `date`.
    Date,
    /// `time(scale)`.
    Time(u8),
    /// `datetime`.
    DateTime,
    /// `smalldatetime`.
    SmallDateTime,
    /// `datetime2(scale)`.
    DateTime2(u8),
    /// `datetimeoffset(scale)`.
    DateTimeOffset(u8),
}

/// A text type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// `nchar` and `nvarchar`.
    pub unicode: bool,
    /// `char` and `nchar`.
    pub fixed: bool,
    /// In characters; `None` for max.
    pub length: Option<u32>,
}

impl Kind {
    /// Reads a type as T-SQL writes it: `nvarchar(40)`, `decimal(10,2)`, `rowversion`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.trim().strip_suffix(')')?.trim().to_owned())),
            None => (text.as_str(), None),
        };
        if let Some(kind) = sized(name, arguments.as_deref()) {
            return Some(kind);
        }
        if arguments.is_some() {
            return None;
        }
        Some(match name {
            "bit" => Self::Bit,
            "tinyint" => Self::Integer(1),
            "smallint" => Self::Integer(2),
            "int" => Self::Integer(4),
            "bigint" => Self::Integer(8),
            "real" => Self::Real,
            "float" => Self::Float,
            "money" => Self::Money,
            "smallmoney" => Self::SmallMoney,
            "rowversion" | "timestamp" => Self::Rowversion,
            "uniqueidentifier" => Self::Guid,
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            "smalldatetime" => Self::SmallDateTime,
            _ => return None,
        })
    }

    /// The type of a column; `None` for those that no parameter can have.
    #[must_use]
    pub fn of_column(column: &ColumnInfo) -> Option<Self> {
        Self::parse(&column.sql_type())
    }

    /// The value as a parameter; `None` for NULL.
    ///
    /// # Errors
    /// What the type takes, in words that continue "must be".
    pub fn param(self, value: &Value) -> Result<Option<Param>, String> {
        if value.is_nil() {
            return Ok(None);
        }
        self.exact(value).map(Some).ok_or_else(|| self.expected())
    }

    /// Whether a column of this type takes every value of `given` unchanged.
    #[must_use]
    pub fn takes(self, given: Self) -> bool {
        match (self, given) {
            (Self::Integer(column), Self::Integer(given)) => given <= column,
            (Self::Decimal(p, s), Self::Decimal(gp, gs)) => gs <= s && gp - gs <= p - s,
            (Self::Money, Self::SmallMoney | Self::Money) => true,
            (Self::Money, Self::Decimal(p, s)) => s <= 4 && p - s <= 14,
            (Self::Float, Self::Real) => true,
            (Self::Text(column), Self::Text(given)) => {
                let fits = column.length.is_none_or(|most| given.length.is_some_and(|len| len <= most));
                fits && (column.unicode || !given.unicode)
            }
            (Self::Bytes(column), Self::Bytes(given)) => {
                column.is_none_or(|most| given.is_some_and(|len| len <= most))
            }
            (Self::Time(column), Self::Time(given))
            | (Self::DateTime2(column), Self::DateTime2(given))
            | (Self::DateTimeOffset(column), Self::DateTimeOffset(given)) => given <= column,
            (column, given) => column == given,
        }
    }

    /// A value's place in a statement, beside a column of this type. Text travels as nvarchar; beside a varchar column it is
    /// converted in the column's own collation, so that the column's index is still of use and no other code page comes
    /// between.
    #[must_use]
    pub fn place(self, number: usize, collation: Option<&Collation>) -> String {
        match (self, collation) {
            (Self::Text(Text { unicode: false, .. }), Some(collation)) => {
                collation.cast(&format!("@P{number}"), &self.to_string())
            }
            (Self::Text(Text { unicode: false, .. }), None) => format!("CONVERT({self}, @P{number})"),
            _ => format!("@P{number}"),
        }
    }

    /// The column in a SELECT list whose cell comes without loss (the client reads money as a float).
    #[must_use]
    pub fn selected(self, column: impl fmt::Display) -> String {
        match self {
            Self::Money | Self::SmallMoney => format!("CONVERT(decimal(19,4), {column})"),
            _ => column.to_string(),
        }
    }

    /// The value as JSON, so that [`Kind::param`] reads the same value from it.
    #[must_use]
    pub fn json(param: Option<&Param>) -> serde_json::Value {
        let Some(param) = param else { return serde_json::Value::Null };
        match param {
            Param::Bit(v) => (*v).into(),
            Param::TinyInt(v) => (*v).into(),
            Param::SmallInt(v) => (*v).into(),
            Param::Int(v) => (*v).into(),
            Param::BigInt(v) => (*v).into(),
            Param::Real(v) => v.to_string().into(),
            Param::Float(v) => v.to_string().into(),
            Param::Decimal(unscaled, scale) => decimal_text(unscaled, *scale).into(),
            Param::Text(v) => v.as_str().into(),
            Param::Bytes(v) => hex(v).into(),
            Param::Guid(v) => uuid::Uuid::from_u128(*v).hyphenated().to_string().into(),
            Param::Date(_)
            | Param::Time(..)
            | Param::DateTime(..)
            | Param::SmallDateTime(..)
            | Param::DateTime2(..)
            | Param::DateTimeOffset(..) => moments::shown(param).unwrap_or_default().into(),
        }
    }

    fn exact(self, value: &Value) -> Option<Param> {
        match self {
            Self::Bit => truth(value).map(Param::Bit),
            Self::Integer(bytes) => integer(value).and_then(|number| sized_integer(bytes, number)),
            #[expect(clippy::cast_possible_truncation, reason = "compared with what was given")]
            Self::Real => number(value)
                .filter(|given| f64::from(*given as f32) == *given)
                .map(|given| Param::Real(given as f32)),
            Self::Float => number(value).map(Param::Float),
            Self::Decimal(precision, scale) => decimal(value, precision, scale),
            Self::Money => decimal(value, 19, 4).filter(|p| fits(p, i128::from(i64::MAX))),
            Self::SmallMoney => decimal(value, 10, 4).filter(|p| fits(p, i128::from(i32::MAX))),
            Self::Text(text) => characters(value, text).map(Param::Text),
            Self::Bytes(most) => bytes(value)
                .filter(|bytes| most.is_none_or(|most| bytes.len() <= most as usize))
                .map(Param::Bytes),
            Self::Rowversion => bytes(value).filter(|bytes| bytes.len() == 8).map(Param::Bytes),
            Self::Guid => {
                value.as_str().and_then(|t| uuid::Uuid::try_parse(t).ok()).map(|g| Param::Guid(g.as_u128()))
            }
            Self::Date
            | Self::Time(_)
            | Self::DateTime
            | Self::SmallDateTime
            | Self::DateTime2(_)
            | Self::DateTimeOffset(_) => value.as_str().and_then(|text| moments::parse(self, text)),
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Bit => "true or false".to_owned(),
            Self::Integer(1) => "a whole number from 0 to 255".to_owned(),
            Self::Integer(_) => format!("a whole number that fits {self}"),
            Self::Real | Self::Float => format!("a number that {self} holds exactly"),
            Self::Decimal(..) | Self::Money | Self::SmallMoney => {
                format!("a number that {self} holds exactly, best given as a text")
            }
            Self::Text(_) => format!("a text that fits {self}"),
            Self::Bytes(_) | Self::Rowversion => format!("hexadecimal digits after 0x that fit {self}"),
            Self::Guid => "a GUID".to_owned(),
            Self::Date => "a date: 2026-01-31".to_owned(),
            Self::Time(_) => format!("a time that {self} holds exactly: 14:30:00"),
            Self::DateTime | Self::SmallDateTime | Self::DateTime2(_) => {
                format!("a moment that {self} holds exactly: 2026-01-31T14:30:00")
            }
            Self::DateTimeOffset(_) => {
                format!("a moment that {self} holds exactly: 2026-01-31T14:30:00+01:00")
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |length: &Option<u32>| length.map_or_else(|| "max".to_owned(), |n| n.to_string());
        match self {
            Self::Bit => f.write_str("bit"),
            Self::Integer(1) => f.write_str("tinyint"),
            Self::Integer(2) => f.write_str("smallint"),
            Self::Integer(4) => f.write_str("int"),
            Self::Integer(_) => f.write_str("bigint"),
            Self::Real => f.write_str("real"),
            Self::Float => f.write_str("float"),
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::Money => f.write_str("money"),
            Self::SmallMoney => f.write_str("smallmoney"),
            Self::Text(text) => {
                let national = if text.unicode { "n" } else { "" };
                let varying = if text.fixed { "" } else { "var" };
                write!(f, "{national}{varying}char({})", length(&text.length))
            }
            Self::Bytes(most) => write!(f, "varbinary({})", length(most)),
            Self::Rowversion => f.write_str("rowversion"),
            Self::Guid => f.write_str("uniqueidentifier"),
            Self::Date => f.write_str("date"),
            Self::Time(scale) => write!(f, "time({scale})"),
            Self::DateTime => f.write_str("datetime"),
            Self::SmallDateTime => f.write_str("smalldatetime"),
            Self::DateTime2(scale) => write!(f, "datetime2({scale})"),
            Self::DateTimeOffset(scale) => write!(f, "datetimeoffset({scale})"),
        }
    }
}

/// Types with arguments.
fn sized(name: &str, arguments: Option<&str>) -> Option<Kind> {
    let scale = |default: u8| match arguments {
        None => Some(default),
        Some(text) => text.parse::<u8>().ok().filter(|scale| *scale <= 7),
    };
    let text = |unicode: bool, fixed: bool| {
        let length = length(arguments?, if unicode { 4000 } else { 8000 })?;
        (!fixed || length.is_some()).then_some(Kind::Text(Text { unicode, fixed, length }))
    };
    match name {
        "nvarchar" => text(true, false),
        "nchar" => text(true, true),
        "varchar" => text(false, false),
        "char" => text(false, true),
        "varbinary" | "binary" => length(arguments?, 8000).map(Kind::Bytes),
        "decimal" | "numeric" => {
            let (precision, scale) = arguments?.split_once(',').unwrap_or((arguments?, "0"));
            let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<u8>().ok()?);
            ((1..=38).contains(&precision) && scale <= precision).then_some(Kind::Decimal(precision, scale))
        }
        "time" => scale(7).map(Kind::Time),
        "datetime2" => scale(7).map(Kind::DateTime2),
        "datetimeoffset" => scale(7).map(Kind::DateTimeOffset),
        _ => None,
    }
}

fn length(text: &str, most: u32) -> Option<Option<u32>> {
    if text == "max" {
        return Some(None);
    }
    text.parse::<u32>().ok().filter(|length| (1..=most).contains(length)).map(Some)
}

fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or(match value.as_int() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    })
}

fn integer(value: &Value) -> Option<i64> {
    value.as_int().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

fn sized_integer(bytes: u8, number: i64) -> Option<Param> {
    match bytes {
        1 => u8::try_from(number).ok().map(Param::TinyInt),
        2 => i16::try_from(number).ok().map(Param::SmallInt),
        4 => i32::try_from(number).ok().map(Param::Int),
        _ => Some(Param::BigInt(number)),
    }
}

fn number(value: &Value) -> Option<f64> {
    let given = value.as_float().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    given.filter(|number| number.is_finite())
}

/// A float counts as the shortest text that spells it, which is what was typed.
fn decimal(value: &Value, precision: u8, scale: u8) -> Option<Param> {
    let text = match value {
        Value::Int(number) => number.to_string(),
        Value::Float(number) if number.is_finite() => format!("{number}"),
        Value::Str(text) => text.trim().to_owned(),
        _ => return None,
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = whole.trim_start_matches('0');
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let places = usize::from(scale);
    let given = !digits.is_empty() && digits != "." && plain(whole) && plain(fraction);
    if !given || fraction.len() > places || whole.len() > usize::from(precision - scale) {
        return None;
    }
    let unscaled: i128 = format!("{sign}0{whole}{fraction:0<places$}").parse().ok()?;
    Some(Param::Decimal(unscaled.to_string(), scale))
}

fn fits(param: &Param, most: i128) -> bool {
    let Param::Decimal(unscaled, _) = param else { return false };
    unscaled.parse::<i128>().is_ok_and(|unscaled| unscaled <= most && unscaled >= -most - 1)
}

fn decimal_text(unscaled: &str, scale: u8) -> String {
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |rest| ("-", rest));
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

fn characters(value: &Value, kind: Text) -> Option<String> {
    let text = match value {
        Value::Str(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        _ => return None,
    };
    let units = text.encode_utf16().count();
    let fits = kind.length.is_none_or(|most| units <= most as usize);
    (fits && !text.contains('\0')).then_some(text)
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    if let Value::Bytes(bytes) = value {
        return Some(bytes.clone());
    }
    let text = value.as_str()?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()).collect()
}

/// Bytes as SQL Server prints them.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests;
