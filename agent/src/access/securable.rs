//! What a permission is on: the server, a database, a schema, a table or view.
//!
//! A column is not a securable of its own; it belongs to a right on an object (see `rights`).

use std::fmt;

use crate::mssql::quote::{ObjectName, SqlName};

/// A securable within its server or database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Securable {
    /// The whole server; the grantee is a login.
    Server,
    /// The whole database.
    Database,
    /// A schema.
    Schema(SqlName),
    /// A table, view or other object of a schema.
    Object(ObjectName),
}

/// The kind of a securable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurableClass {
    /// The whole server.
    Server,
    /// The whole database.
    Database,
    /// A schema.
    Schema,
    /// A table, view or other object of a schema.
    Object,
}

impl Securable {
    /// Its kind.
    #[must_use]
    pub fn class(&self) -> SecurableClass {
        match self {
            Self::Server => SecurableClass::Server,
            Self::Database => SecurableClass::Database,
            Self::Schema(_) => SecurableClass::Schema,
            Self::Object(_) => SecurableClass::Object,
        }
    }

    /// What stands between the permission and the columns in GRANT, DENY and REVOKE.
    #[must_use]
    pub fn clause(&self) -> String {
        match self {
            Self::Server | Self::Database => String::new(),
            Self::Schema(schema) => format!(" ON SCHEMA::{}", schema.quoted()),
            Self::Object(object) => format!(" ON OBJECT::{}", object.quoted()),
        }
    }
}

impl SecurableClass {
    /// The class in words, with its article.
    #[must_use]
    pub fn article(self) -> &'static str {
        match self {
            Self::Server => "the server",
            Self::Database => "a database",
            Self::Schema => "a schema",
            Self::Object => "a table or view",
        }
    }
}

impl fmt::Display for Securable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("the server"),
            Self::Database => f.write_str("the database"),
            Self::Schema(schema) => write!(f, "schema {schema}"),
            Self::Object(object) => write!(f, "{object}"),
        }
    }
}
