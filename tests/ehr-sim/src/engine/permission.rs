//! Permissions: their names, what implies what, and the records GRANT, DENY and REVOKE keep.
//!
//! Facts: "Permissions (Database Engine)", "sys.fn_builtin_permissions", "sys.database_permissions",
//! "GRANT Object Permissions" (a column grant stands against a table deny).

use super::ast::SecurableClass;

/// Whether a permission was granted, granted to pass on, or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    Grant,
    WithGrant,
    Deny,
}

impl GrantState {
    pub fn code(self) -> &'static str {
        match self {
            Self::Grant => "G",
            Self::WithGrant => "W",
            Self::Deny => "D",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::Grant => "GRANT",
            Self::WithGrant => "GRANT_WITH_GRANT_OPTION",
            Self::Deny => "DENY",
        }
    }
}

/// One row of `sys.database_permissions` or `sys.server_permissions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub class: SecurableClass,
    pub major: i32,
    /// Column id, or 0.
    pub minor: i32,
    pub permission: &'static str,
    pub grantee: i32,
    pub grantor: i32,
    pub state: GrantState,
}

/// The grants of a database or of the server.
#[derive(Debug, Clone, Default)]
pub struct Grants(pub Vec<Grant>);

/// The answer for one permission on one securable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    Denied,
    /// Nothing said.
    Silent,
}

impl Verdict {
    /// DENY wins, then GRANT.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Denied, _) | (_, Self::Denied) => Self::Denied,
            (Self::Granted, _) | (_, Self::Granted) => Self::Granted,
            (Self::Silent, Self::Silent) => Self::Silent,
        }
    }
}

impl Grants {
    /// What the records say about exactly this permission, securable and column, for any of `principals`.
    pub fn verdict(
        &self,
        principals: &[i32],
        (class, major, minor): (SecurableClass, i32, i32),
        permission: &str,
    ) -> Verdict {
        let mut verdict = Verdict::Silent;
        for grant in &self.0 {
            let same = grant.class == class && grant.major == major && grant.minor == minor;
            if same && grant.permission == permission && principals.contains(&grant.grantee) {
                verdict = verdict.and(match grant.state {
                    GrantState::Deny => Verdict::Denied,
                    GrantState::Grant | GrantState::WithGrant => Verdict::Granted,
                });
            }
        }
        verdict
    }

    /// Sets a record, replacing the one for the same grantee, securable and permission.
    pub fn set(&mut self, grant: Grant) {
        self.remove(&grant);
        self.0.push(grant);
    }

    /// Removes the record with the same grantee, securable and permission.
    pub fn remove(&mut self, like: &Grant) {
        self.0.retain(|g| {
            !(g.class == like.class
                && g.major == like.major
                && g.minor == like.minor
                && g.permission == like.permission
                && g.grantee == like.grantee)
        });
    }

    /// Forgets a securable that was dropped.
    pub fn forget_securable(&mut self, class: SecurableClass, major: i32) {
        self.0.retain(|g| !(g.class == class && g.major == major));
    }

    /// Forgets a principal that was dropped.
    pub fn forget_grantee(&mut self, principal: i32) {
        self.0.retain(|g| g.grantee != principal && g.grantor != principal);
    }
}

use SecurableClass::{Database, Login, Object, Role, Schema, Server, User};

/// Name, `type` code, classes it applies to.
pub const PERMISSIONS: &[(&str, &str, &[SecurableClass])] = &[
    ("SELECT", "SL", &[Database, Schema, Object]),
    ("INSERT", "IN", &[Database, Schema, Object]),
    ("UPDATE", "UP", &[Database, Schema, Object]),
    ("DELETE", "DL", &[Database, Schema, Object]),
    ("EXECUTE", "EX", &[Database, Schema, Object]),
    ("REFERENCES", "RF", &[Database, Schema, Object]),
    ("CONTROL", "CL", &[Database, Schema, Object, Login, User, Role]),
    ("ALTER", "AL", &[Database, Schema, Object, Login, User, Role]),
    ("VIEW DEFINITION", "VW", &[Database, Schema, Object, Login, User, Role]),
    ("TAKE OWNERSHIP", "TO", &[Database, Schema, Object, Role]),
    ("VIEW CHANGE TRACKING", "VWCT", &[Schema, Object]),
    ("IMPERSONATE", "IM", &[Login, User]),
    ("CONNECT", "CO", &[Database]),
    ("CREATE TABLE", "CRTB", &[Database]),
    ("CREATE VIEW", "CRVW", &[Database]),
    ("CREATE SCHEMA", "CRSM", &[Database]),
    ("CREATE ROLE", "CRRL", &[Database]),
    ("CREATE PROCEDURE", "CRPR", &[Database]),
    ("CREATE FUNCTION", "CRFN", &[Database]),
    ("CREATE DATABASE", "CRDB", &[Database]),
    ("ALTER ANY USER", "ALUS", &[Database]),
    ("ALTER ANY ROLE", "ALRL", &[Database]),
    ("ALTER ANY SCHEMA", "ALSM", &[Database]),
    ("VIEW DATABASE STATE", "VWDS", &[Database]),
    ("BACKUP DATABASE", "BADB", &[Database]),
    ("BACKUP LOG", "BALO", &[Database]),
    ("SHOWPLAN", "SPLN", &[Database]),
    ("CHECKPOINT", "CP", &[Database]),
    ("CONNECT SQL", "COSQ", &[Server]),
    ("CONTROL SERVER", "CL", &[Server]),
    ("VIEW SERVER STATE", "VWSS", &[Server]),
    ("ALTER ANY LOGIN", "ALLG", &[Server]),
    ("ALTER ANY SERVER ROLE", "ALSR", &[Server]),
    ("ALTER ANY DATABASE", "ALDB", &[Server]),
    ("CREATE ANY DATABASE", "CRDB", &[Server]),
    ("VIEW ANY DATABASE", "VWDB", &[Server]),
    ("VIEW ANY DEFINITION", "VWAD", &[Server]),
    ("CONNECT ANY DATABASE", "CADB", &[Server]),
    ("SELECT ALL USER SECURABLES", "SUS", &[Server]),
    ("ALTER SERVER STATE", "ALSS", &[Server]),
    ("ALTER ANY CONNECTION", "ALCO", &[Server]),
    ("ALTER SETTINGS", "ALST", &[Server]),
    ("ADMINISTER BULK OPERATIONS", "ADBO", &[Server]),
];

/// Whether any class knows a permission of this (upper-case) name.
pub fn is_known(name: &str) -> bool {
    PERMISSIONS.iter().any(|(known, _, _)| *known == name)
}

/// The permission as this class knows it.
pub fn find(name: &str, class: SecurableClass) -> Option<&'static str> {
    PERMISSIONS
        .iter()
        .find(|(known, _, on)| *known == name && on.contains(&class))
        .map(|(known, _, _)| *known)
}

/// The catalog's `type` code.
pub fn code(name: &str, class: SecurableClass) -> &'static str {
    PERMISSIONS
        .iter()
        .find(|(known, _, on)| *known == name && on.contains(&class))
        .or_else(|| PERMISSIONS.iter().find(|(known, ..)| *known == name))
        .map_or("", |(_, code, _)| code)
}

/// The permissions on the class itself that imply `permission` there (itself and CONTROL among them).
pub fn implied_by(permission: &'static str, class: SecurableClass) -> Vec<&'static str> {
    let mut list = vec![permission];
    let broad: &[&str] = match class {
        Server => &["CONTROL SERVER"],
        Database | Schema | Object | Login | User | Role => &["CONTROL"],
    };
    list.extend(broad);
    if class == Database {
        match permission {
            "CREATE TABLE" | "CREATE VIEW" | "CREATE SCHEMA" | "CREATE ROLE" | "CREATE PROCEDURE"
            | "CREATE FUNCTION" | "ALTER ANY USER" | "ALTER ANY ROLE" | "ALTER ANY SCHEMA" => {
                list.push("ALTER")
            }
            _ => {}
        }
        match permission {
            "CREATE SCHEMA" => list.push("ALTER ANY SCHEMA"),
            "CREATE ROLE" => list.push("ALTER ANY ROLE"),
            _ => {}
        }
    }
    if class == Server && permission == "VIEW ANY DATABASE" {
        list.extend(["VIEW ANY DEFINITION", "ALTER ANY DATABASE", "CREATE ANY DATABASE"]);
    }
    list
}

/// The permission of the class above that implies `permission` on a securable below it.
pub fn on_parent(permission: &'static str, parent: SecurableClass) -> &'static str {
    match (permission, parent) {
        ("ALTER", Database) => "ALTER ANY SCHEMA",
        ("VIEW DEFINITION", Server) => "VIEW ANY DEFINITION",
        ("SELECT", Server) => "SELECT ALL USER SECURABLES",
        ("CONNECT", Server) => "CONNECT ANY DATABASE",
        ("VIEW DATABASE STATE", Server) => "VIEW SERVER STATE",
        ("ALTER", Server) => "ALTER ANY DATABASE",
        ("TAKE OWNERSHIP" | "VIEW CHANGE TRACKING" | "IMPERSONATE", Database) => "CONTROL",
        (_, Server) => "CONTROL SERVER",
        (same, _) => same,
    }
}
