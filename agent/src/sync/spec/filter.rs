//! Which rows a job delivers: conditions on columns, all of which must hold.
//!
//! A condition names a column, an operator and a value; the value travels as a parameter and is read as the column's own
//! type, so a filter is data, not SQL.

use serde::{Deserialize, Serialize};

use crate::mssql::Param;
use crate::mssql::catalog::ColumnInfo;
use crate::mssql::quote::SqlName;

use super::column::exactly;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The column.
    pub column: SqlName,
    /// What must hold of it.
    pub test: Test,
    pub(crate) info: ColumnInfo,
}

/// What must hold of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// It is NULL.
    IsNull,
    /// It is not NULL.
    IsNotNull,
    /// It compares so with a value.
    Compares(Comparison, Param),
    /// It is one of these values.
    In(Vec<Param>),
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    Unequal,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `LIKE`
    Like,
}

impl Comparison {
    /// Reads an operator.
    pub fn read(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "=" | "==" => Self::Equal,
            "<>" | "!=" => Self::Unequal,
            "<" => Self::Below,
            "<=" => Self::AtMost,
            ">" => Self::Above,
            ">=" => Self::AtLeast,
            "like" => Self::Like,
            _ => return None,
        })
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "<>",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Like => "LIKE",
        }
    }
}

impl Condition {
    /// The condition without its values, which may be a patient's.
    pub fn shown(&self) -> String {
        match &self.test {
            Test::IsNull => format!("{} IS NULL", self.column),
            Test::IsNotNull => format!("{} IS NOT NULL", self.column),
            Test::Compares(comparison, _) => format!("{} {} …", self.column, comparison.sql()),
            Test::In(values) => format!("{} IN ({} values)", self.column, values.len()),
        }
    }

    /// The condition in T-SQL over the table called `from`; its values go into `params`.
    pub(crate) fn sql(&self, from: &str, params: &mut Vec<Param>) -> String {
        let column = format!("{from}{}", self.column.quoted());
        match &self.test {
            Test::IsNull => format!("{column} IS NULL"),
            Test::IsNotNull => format!("{column} IS NOT NULL"),
            Test::Compares(comparison, value) => {
                format!("{column} {} {}", comparison.sql(), self.bind(params, value))
            }
            Test::In(values) => {
                let names: Vec<String> = values.iter().map(|value| self.bind(params, value)).collect();
                format!("{column} IN ({})", names.join(", "))
            }
        }
    }

    /// A text is read as a moment in ISO 8601, whatever the login's language is.
    fn bind(&self, params: &mut Vec<Param>, value: &Param) -> String {
        params.push(value.clone());
        let name = format!("@P{}", params.len());
        let is_moment = matches!(
            self.info.type_name.as_str(),
            "date" | "datetime" | "datetime2" | "smalldatetime" | "datetimeoffset"
        );
        if is_moment && matches!(value, Param::Text(_)) {
            format!("CONVERT({}, {name}, 126)", self.info.sql_type())
        } else {
            exactly(&self.info, &name)
        }
    }
}

/// All conditions joined; empty when there are none.
pub(crate) fn all(conditions: &[Condition], from: &str, params: &mut Vec<Param>) -> String {
    conditions.iter().map(|condition| condition.sql(from, params)).collect::<Vec<_>>().join(" AND ")
}
