//! Names of permissions: what a state may ask for on which class of securable.
//!
//! A permission's name cannot travel as a parameter, so only words from SQL Server's own list reach the text of a
//! statement (Microsoft, "Permissions (Database Engine)" and "sys.fn_builtin_permissions"). What the catalog says is
//! granted may come from a newer server: such a name is taken when it looks like one (upper-case words).

use std::fmt;

use super::AccessError;
use super::securable::SecurableClass;

/// A permission by SQL Server's name: `SELECT`, `VIEW CHANGE TRACKING`, …
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(String);

impl Permission {
    /// A permission that a state asks for on a securable of `class`.
    ///
    /// # Errors
    /// No permission of that name can be granted there.
    pub fn on(class: SecurableClass, name: &str) -> Result<Self, AccessError> {
        let upper = name.trim().to_ascii_uppercase();
        if class.permissions().contains(&upper.as_str()) {
            return Ok(Self(upper));
        }
        Err(AccessError::Argument(format!("{name} is not a permission on {}", class.article())))
    }

    /// A permission that the catalog names; `None` when it does not look like one.
    #[must_use]
    pub fn found(name: &str) -> Option<Self> {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let name = name.trim();
        (name.len() <= LONGEST && name.split(' ').all(word)).then(|| Self(name.to_owned()))
    }

    /// `SELECT`.
    #[must_use]
    pub fn select() -> Self {
        Self("SELECT".to_owned())
    }

    /// `INSERT`.
    #[must_use]
    pub fn insert() -> Self {
        Self("INSERT".to_owned())
    }

    /// `UPDATE`.
    #[must_use]
    pub fn update() -> Self {
        Self("UPDATE".to_owned())
    }

    /// `DELETE`.
    #[must_use]
    pub fn delete() -> Self {
        Self("DELETE".to_owned())
    }

    /// `EXECUTE`.
    #[must_use]
    pub fn execute() -> Self {
        Self("EXECUTE".to_owned())
    }

    /// `VIEW CHANGE TRACKING`.
    #[must_use]
    pub fn view_change_tracking() -> Self {
        Self("VIEW CHANGE TRACKING".to_owned())
    }

    /// `CONNECT`, which `CREATE USER` grants.
    #[must_use]
    pub fn connect() -> Self {
        Self("CONNECT".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when it can be granted on single columns ("GRANT Object Permissions").
    #[must_use]
    pub fn fits_columns(&self) -> bool {
        matches!(self.0.as_str(), "SELECT" | "UPDATE" | "REFERENCES")
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SecurableClass {
    /// Every permission that can be granted on this class.
    fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Object => OBJECT,
            Self::Schema => SCHEMA,
            Self::Database => DATABASE,
            Self::Server => SERVER,
        }
    }
}

const LONGEST: usize = 60;

const OBJECT: &[&str] = &[
    "ALTER",
    "CONTROL",
    "DELETE",
    "EXECUTE",
    "INSERT",
    "RECEIVE",
    "REFERENCES",
    "SELECT",
    "TAKE OWNERSHIP",
    "UNMASK",
    "UPDATE",
    "VIEW CHANGE TRACKING",
    "VIEW DEFINITION",
];

const SCHEMA: &[&str] = &[
    "ALTER",
    "CONTROL",
    "CREATE SEQUENCE",
    "DELETE",
    "EXECUTE",
    "INSERT",
    "REFERENCES",
    "SELECT",
    "TAKE OWNERSHIP",
    "UNMASK",
    "UPDATE",
    "VIEW CHANGE TRACKING",
    "VIEW DEFINITION",
];

const DATABASE: &[&str] = &[
    "ALTER",
    "ALTER ANY APPLICATION ROLE",
    "ALTER ANY ASSEMBLY",
    "ALTER ANY ASYMMETRIC KEY",
    "ALTER ANY CERTIFICATE",
    "ALTER ANY CONTRACT",
    "ALTER ANY DATABASE AUDIT",
    "ALTER ANY DATABASE DDL TRIGGER",
    "ALTER ANY DATABASE EVENT NOTIFICATION",
    "ALTER ANY DATASPACE",
    "ALTER ANY FULLTEXT CATALOG",
    "ALTER ANY MASK",
    "ALTER ANY MESSAGE TYPE",
    "ALTER ANY ROLE",
    "ALTER ANY ROUTE",
    "ALTER ANY SCHEMA",
    "ALTER ANY SECURITY POLICY",
    "ALTER ANY SERVICE",
    "ALTER ANY SYMMETRIC KEY",
    "ALTER ANY USER",
    "AUTHENTICATE",
    "BACKUP DATABASE",
    "BACKUP LOG",
    "CHECKPOINT",
    "CONNECT",
    "CONNECT REPLICATION",
    "CONTROL",
    "CREATE AGGREGATE",
    "CREATE ASSEMBLY",
    "CREATE CERTIFICATE",
    "CREATE DEFAULT",
    "CREATE FUNCTION",
    "CREATE PROCEDURE",
    "CREATE ROLE",
    "CREATE RULE",
    "CREATE SCHEMA",
    "CREATE SYNONYM",
    "CREATE TABLE",
    "CREATE TYPE",
    "CREATE VIEW",
    "CREATE XML SCHEMA COLLECTION",
    "DELETE",
    "EXECUTE",
    "INSERT",
    "REFERENCES",
    "SELECT",
    "SHOWPLAN",
    "SUBSCRIBE QUERY NOTIFICATIONS",
    "TAKE OWNERSHIP",
    "UNMASK",
    "UPDATE",
    "VIEW DATABASE PERFORMANCE STATE",
    "VIEW DATABASE STATE",
    "VIEW DEFINITION",
];

const SERVER: &[&str] = &[
    "ADMINISTER BULK OPERATIONS",
    "ALTER ANY CONNECTION",
    "ALTER ANY CREDENTIAL",
    "ALTER ANY DATABASE",
    "ALTER ANY ENDPOINT",
    "ALTER ANY EVENT NOTIFICATION",
    "ALTER ANY EVENT SESSION",
    "ALTER ANY LINKED SERVER",
    "ALTER ANY LOGIN",
    "ALTER ANY SERVER AUDIT",
    "ALTER ANY SERVER ROLE",
    "ALTER RESOURCES",
    "ALTER SERVER STATE",
    "ALTER SETTINGS",
    "ALTER TRACE",
    "AUTHENTICATE SERVER",
    "CONNECT ANY DATABASE",
    "CONNECT SQL",
    "CONTROL SERVER",
    "CREATE ANY DATABASE",
    "CREATE DDL EVENT NOTIFICATION",
    "CREATE ENDPOINT",
    "CREATE SERVER ROLE",
    "CREATE TRACE EVENT NOTIFICATION",
    "EXTERNAL ACCESS ASSEMBLY",
    "IMPERSONATE ANY LOGIN",
    "SELECT ALL USER SECURABLES",
    "SHUTDOWN",
    "UNSAFE ASSEMBLY",
    "VIEW ANY DATABASE",
    "VIEW ANY DEFINITION",
    "VIEW SERVER PERFORMANCE STATE",
    "VIEW SERVER STATE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_belongs_to_its_class() {
        assert_eq!(Permission::on(SecurableClass::Object, " select").unwrap(), Permission::select());
        let text = Permission::on(SecurableClass::Object, "CREATE TABLE").unwrap_err().to_string();
        assert_eq!(text, "CREATE TABLE is not a permission on a table or view");
        assert!(Permission::on(SecurableClass::Server, "SELECT").is_err());
        assert!(Permission::on(SecurableClass::Database, "ALL").is_err());
    }

    #[test]
    fn what_is_no_permission_is_not_taken_from_the_catalog_either() {
        assert_eq!(Permission::found("VIEW LEDGER CONTENT ").unwrap().as_str(), "VIEW LEDGER CONTENT");
        for odd in ["", "SELECT;", "select", "A  B", "SELECT TO public--", "É"] {
            assert_eq!(Permission::found(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_short_ways_are_permissions_on_objects_or_databases() {
        for permission in [
            Permission::select(),
            Permission::insert(),
            Permission::update(),
            Permission::delete(),
            Permission::execute(),
            Permission::view_change_tracking(),
        ] {
            assert!(Permission::on(SecurableClass::Object, permission.as_str()).is_ok());
        }
        assert!(Permission::on(SecurableClass::Database, Permission::connect().as_str()).is_ok());
    }
}
