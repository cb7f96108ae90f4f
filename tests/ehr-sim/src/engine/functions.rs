//! Built-in scalar functions: name, arity, result type, evaluation. A name not listed here is refused with 195.
//!
//! Facts: the page of each function under "Built-in functions (Transact-SQL)".

use super::exec::Exec;
use super::message::{self, Result};
use super::plan::Bound;
use crate::types::{Datum, Length, SqlType};

mod date;
mod math;
mod metadata;
mod security;
mod system;
mod text;

pub use metadata::split_name;

/// A built-in function.
pub struct Builtin {
    pub name: &'static str,
    pub min: usize,
    pub max: usize,
    pub ty: fn(&[Bound]) -> Result<SqlType>,
    pub eval: fn(&Exec<'_>, &[Datum]) -> Result<Datum>,
    /// The value has its type already.
    pub exact: bool,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Builtin {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Builtin {
    const fn new(
        name: &'static str,
        (min, max): (usize, usize),
        ty: fn(&[Bound]) -> Result<SqlType>,
        eval: fn(&Exec<'_>, &[Datum]) -> Result<Datum>,
    ) -> Self {
        Self { name, min, max, ty, eval, exact: false }
    }

    pub fn check_arity(&self, count: usize) -> Result<()> {
        if (self.min..=self.max).contains(&count) {
            return Ok(());
        }
        let name = self.name.to_ascii_lowercase();
        Err(if self.min == self.max {
            message::wrong_arity(name, self.min)
        } else {
            message::arity_range(name, self.min, self.max)
        })
    }
}

/// The function of that name, any case.
pub fn find(name: &str) -> Option<&'static Builtin> {
    [text::LIST, date::LIST, math::LIST, system::LIST, metadata::LIST, security::LIST]
        .into_iter()
        .flatten()
        .find(|f| f.name.eq_ignore_ascii_case(name))
}

/// Whether the first argument is a datepart, not an expression.
pub fn takes_datepart(upper: &str) -> bool {
    matches!(upper, "DATEADD" | "DATEDIFF" | "DATEDIFF_BIG" | "DATEPART" | "DATENAME" | "DATETRUNC")
}

fn int(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::Int)
}

fn bigint(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::BigInt)
}

fn smallint(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::SmallInt)
}

fn float(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::Float)
}

fn sysname(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::SYSNAME)
}

fn variant(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::Variant)
}

fn nvarchar_4000(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::NVarChar(Length::Of(4000)))
}

fn binary_8(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::Binary(8))
}

/// The first argument's type.
fn first(args: &[Bound]) -> Result<SqlType> {
    Ok(args.first().map_or(SqlType::Int, |a| a.ty))
}

/// Text like the first argument's, unicode or not, as long as it may get.
fn long_text(args: &[Bound]) -> Result<SqlType> {
    Ok(match args.first().map(|a| a.ty) {
        Some(SqlType::NVarChar(Length::Max)) => SqlType::NVarChar(Length::Max),
        Some(SqlType::VarChar(Length::Max)) => SqlType::VarChar(Length::Max),
        Some(t) if t.is_unicode() => SqlType::NVarChar(Length::Of(4000)),
        _ => SqlType::VarChar(Length::Of(8000)),
    })
}

/// Variable-length text of the first argument's own length.
fn same_text(args: &[Bound]) -> Result<SqlType> {
    Ok(match args.first().map(|a| a.ty) {
        Some(SqlType::NChar(n)) => SqlType::NVarChar(Length::Of(n)),
        Some(SqlType::Char(n)) => SqlType::VarChar(Length::Of(n)),
        Some(t @ (SqlType::NVarChar(_) | SqlType::VarChar(_))) => t,
        _ => SqlType::VarChar(Length::Of(8000)),
    })
}

/// An argument as text; NULL when it is NULL.
fn text_of(value: &Datum) -> Result<Option<String>> {
    if value.is_null() { Ok(None) } else { super::value::convert::to_text(value, 0).map(Some) }
}

/// An argument as integer.
fn int_of(value: &Datum) -> Result<Option<i64>> {
    let converted =
        super::value::convert::convert(value, SqlType::BigInt, 0, super::value::convert::Fit::Cut)?;
    Ok(converted.as_i64())
}
