//! The one place where names and unavoidable literals become T-SQL text.
//!
//! A name is bracketed with every `]` doubled (what `QUOTENAME` does), so no name ends its own quoting. A literal is for
//! the few statements that take no parameter (`CREATE LOGIN … PASSWORD = N'…'`) and doubles every `'`.
//! Names are at most 128 UTF-16 units (sysname) and hold no NUL.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that can stand for a SQL Server object, principal, role or column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SqlName(String);

/// A refused name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between the quotes.
    #[error("a SQL Server name cannot be empty")]
    Empty,
    /// Longer than sysname.
    #[error("the name '{0}…' is longer than SQL Server's 128 characters")]
    Long(String),
    /// Holds a NUL.
    #[error("a SQL Server name cannot hold a NUL character")]
    Nul,
    /// Not `table` nor `schema.table`.
    #[error(
        "'{0}' is not a table name: give 'table' or 'schema.table', in [brackets] when a part holds a dot"
    )]
    Parts(String),
}

impl SqlName {
    /// Takes `name` as it stands: quotes and brackets in it are part of the name.
    ///
    /// # Errors
    /// Empty, over 128 UTF-16 units, or holding a NUL.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.encode_utf16().count() > SYSNAME_UNITS {
            return Err(NameError::Long(name.chars().take(24).collect()));
        }
        if name.contains('\0') {
            return Err(NameError::Nul);
        }
        Ok(Self(name))
    }

    /// The bare name, for parameters and messages.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as T-SQL text.
    pub fn quoted(&self) -> QuotedName<'_> {
        QuotedName(&self.0)
    }
}

impl fmt::Display for SqlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in brackets, `]` doubled.
#[derive(Debug, Clone, Copy)]
pub struct QuotedName<'a>(&'a str);

impl fmt::Display for QuotedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0.replace(']', "]]"))
    }
}

/// A literal `N'…'`, `'` doubled.
#[derive(Debug, Clone, Copy)]
pub struct QuotedText<'a>(&'a str);

impl<'a> QuotedText<'a> {
    /// Quotes `text`.
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }
}

impl fmt::Display for QuotedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "N'{}'", self.0.replace('\'', "''"))
    }
}

/// A literal `0x…`, for SET CONTEXT_INFO.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Writes `bytes` in hexadecimal digits.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// A table or view: schema and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectName {
    /// The schema.
    pub schema: SqlName,
    /// The table or view.
    pub name: SqlName,
}

impl TryFrom<String> for SqlName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<SqlName> for String {
    fn from(name: SqlName) -> Self {
        name.0
    }
}

impl ObjectName {
    /// Reads `table`, `schema.table` or bracketed parts; the schema defaults to `dbo`.
    ///
    /// # Errors
    /// More than two parts, an unclosed bracket, or a part that is no name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut parts = split_parts(text).ok_or_else(|| NameError::Parts(text.to_owned()))?;
        let name = parts.pop().ok_or(NameError::Empty)?;
        let schema = parts.pop().unwrap_or_else(|| "dbo".to_owned());
        if !parts.is_empty() {
            return Err(NameError::Parts(text.to_owned()));
        }
        Ok(Self { schema: SqlName::new(schema)?, name: SqlName::new(name)? })
    }

    /// `[schema].[name]`.
    pub fn quoted(&self) -> String {
        format!("{}.{}", self.schema.quoted(), self.name.quoted())
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Splits at dots outside brackets; `None` when a bracket does not close or text follows one.
fn split_parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('[') {
            Some(inside) => bracketed(inside)?,
            None => {
                let (part, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
                (part.to_owned(), after)
            }
        };
        parts.push(part);
        if after.is_empty() {
            return Some(parts);
        }
        rest = after.strip_prefix('.')?;
    }
}

/// The name up to its closing bracket, and what follows.
fn bracketed(inside: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = inside.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != ']' {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == ']').is_some() {
            name.push(']');
        } else {
            return Some((name, &inside[at + 1..]));
        }
    }
    None
}

const SYSNAME_UNITS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_in_a_name_does_not_end_it() {
        let name = SqlName::new("x] ; DROP TABLE y --").unwrap();
        assert_eq!(name.quoted().to_string(), "[x]] ; DROP TABLE y --]");
    }

    #[test]
    fn a_quote_in_a_literal_does_not_end_it() {
        assert_eq!(QuotedText::new("a'b''").to_string(), "N'a''b'''''");
    }

    #[test]
    fn table_names_are_read_with_and_without_schema_and_brackets() {
        let read = |text| ObjectName::parse(text).map(|o| o.quoted());
        assert_eq!(read("Appointment").unwrap(), "[dbo].[Appointment]");
        assert_eq!(read("crm.Patient").unwrap(), "[crm].[Patient]");
        assert_eq!(read("[a.b].[c]]d]").unwrap(), "[a.b].[c]]d]");
        assert!(read("a.b.c").is_err());
        assert!(read("[a").is_err());
        assert!(read("[a]b").is_err());
        assert!(read("a.").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn names_are_bounded() {
        assert!(SqlName::new("é".repeat(128)).is_ok());
        assert!(SqlName::new("é".repeat(129)).is_err());
        assert!(SqlName::new("a\0b").is_err());
    }
}
