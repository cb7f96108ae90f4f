//! Type names as written in declarations, casts and column definitions.

#![expect(clippy::wildcard_enum_match_arm, reason = "a token that fits no rule is refused as it stands")]

use super::Parser;
use crate::engine::ast::{Expr, TypeName};
use crate::engine::lex::Tok;
use crate::engine::message::{self, Result};
use crate::types::{Length, SqlType};

/// A parameter declaration of `sp_executesql`.
pub struct Declaration {
    pub name: String,
    pub ty: TypeName,
    pub default: Option<Expr>,
    pub output: bool,
}

/// Parses `@a int, @b nvarchar(20) = N'x' OUTPUT`.
pub fn parse_declarations(text: &str) -> Result<Vec<Declaration>> {
    let mut parser = Parser::new(text)?;
    if *parser.tok() == Tok::End {
        return Ok(Vec::new());
    }
    let list = parser.comma_list(Parser::declaration)?;
    parser.expect_end()?;
    Ok(list)
}

impl Parser<'_> {
    fn declaration(&mut self) -> Result<Declaration> {
        let name = self.variable()?;
        self.accept("AS");
        let ty = self.type_name()?;
        let default = if self.accept_symbol("=") { Some(self.value()?) } else { None };
        let output = self.accept("OUTPUT") || self.accept("OUT");
        Ok(Declaration { name, ty, default, output })
    }

    pub(super) fn type_name(&mut self) -> Result<TypeName> {
        let mut name = match self.tok().clone() {
            Tok::Word(word)
                if word.eq_ignore_ascii_case("double") || word.eq_ignore_ascii_case("national") =>
            {
                self.advance();
                word
            }
            _ => self.identifier()?,
        };
        if self.accept_symbol(".") {
            name = self.identifier()?;
        }
        if name.eq_ignore_ascii_case("double") {
            self.expect("PRECISION")?;
            name.push_str(" precision");
        }
        if self.accept("VARYING") {
            name.push_str(" varying");
        }
        let args = self.type_arguments()?;
        let ty = resolve(&name, &args)?;
        Ok(TypeName { name, ty, sized: !args.is_empty() })
    }

    fn type_arguments(&mut self) -> Result<Vec<Option<i64>>> {
        if !self.is_symbol("(") {
            return Ok(Vec::new());
        }
        self.parenthesized(|p| {
            p.comma_list(|p| if p.accept("MAX") { Ok(None) } else { p.integer().map(Some) })
        })
    }
}

fn resolve(name: &str, args: &[Option<i64>]) -> Result<Option<SqlType>> {
    let lower = name.to_ascii_lowercase();
    let bad = || message::bad_type_name(name);
    let one = |default: i64, low: i64, high: i64| match args {
        [] => Ok(default),
        [Some(n)] if (low..=high).contains(n) => Ok(*n),
        [Some(n)] if *n < low => Err(message::length_invalid(n)),
        [Some(n)] if high >= 4000 => Err(message::size_exceeds(n, name, high)),
        [Some(n)] => Err(message::scale_invalid(n)),
        _ => Err(bad()),
    };
    let length = |high: i64| match args {
        [None] => Ok(Length::Max),
        _ => one(1, 1, high).map(|n| Length::Of(n as u16)),
    };
    let fixed = |high: i64| one(1, 1, high).map(|n| n as u16);
    let scale = || one(7, 0, 7).map(|n| n as u8);
    let ty = match lower.as_str() {
        "char" | "character" => SqlType::Char(fixed(8000)?),
        "varchar" | "char varying" | "character varying" => SqlType::VarChar(length(8000)?),
        "nchar" => SqlType::NChar(fixed(4000)?),
        "nvarchar" => SqlType::NVarChar(length(4000)?),
        "binary" => SqlType::Binary(fixed(8000)?),
        "varbinary" | "binary varying" => SqlType::VarBinary(length(8000)?),
        "time" => SqlType::Time(scale()?),
        "datetime2" => SqlType::DateTime2(scale()?),
        "datetimeoffset" => SqlType::DateTimeOffset(scale()?),
        "float" => {
            if one(53, 1, 53)? <= 24 {
                SqlType::Real
            } else {
                SqlType::Float
            }
        }
        "decimal" | "dec" | "numeric" => match args {
            [Some(p), ..] if *p < 1 => return Err(message::length_invalid(p)),
            [Some(p), ..] if *p > 38 => return Err(message::precision_exceeds(p)),
            [Some(p), Some(s)] if s > p => return Err(message::scale_exceeds()),
            _ => decimal(args).ok_or_else(bad)?,
        },
        "text" | "ntext" | "image" | "hierarchyid" | "geometry" | "geography" | "cursor" | "json"
        | "vector" => {
            return Err(message::not_supported(&lower));
        }
        _ if !args.is_empty() => return Err(bad()),
        plain => return Ok(resolve_plain(plain)),
    };
    Ok(Some(ty))
}

fn decimal(args: &[Option<i64>]) -> Option<SqlType> {
    let (precision, scale) = match args {
        [] => (18, 0),
        [Some(p)] => (*p, 0),
        [Some(p), Some(s)] => (*p, *s),
        _ => return None,
    };
    let valid = (1..=38).contains(&precision) && (0..=precision).contains(&scale);
    valid.then_some(SqlType::Decimal { precision: precision as u8, scale: scale as u8 })
}

fn resolve_plain(name: &str) -> Option<SqlType> {
    Some(match name {
        "bit" => SqlType::Bit,
        "tinyint" => SqlType::TinyInt,
        "smallint" => SqlType::SmallInt,
        "int" | "integer" => SqlType::Int,
        "bigint" => SqlType::BigInt,
        "real" => SqlType::Real,
        "double precision" => SqlType::Float,
        "money" => SqlType::Money,
        "smallmoney" => SqlType::SmallMoney,
        "date" => SqlType::Date,
        "datetime" => SqlType::DateTime,
        "smalldatetime" => SqlType::SmallDateTime,
        "uniqueidentifier" => SqlType::UniqueIdentifier,
        "xml" => SqlType::Xml,
        "rowversion" | "timestamp" => SqlType::RowVersion,
        "sql_variant" => SqlType::Variant,
        "sysname" => SqlType::SYSNAME,
        _ => return None,
    })
}
