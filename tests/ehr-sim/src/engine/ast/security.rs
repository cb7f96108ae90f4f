//! Statements about principals and permissions, and the securables they name.

use super::Name;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurableClass {
    Server,
    Database,
    Schema,
    Object,
    Login,
    User,
    Role,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Securable {
    pub class: Option<SecurableClass>,
    pub name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionVerb {
    Grant,
    Deny,
    Revoke,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PermissionStmt {
    pub verb: PermissionVerb,
    /// Upper-case names with their own column lists; `ALL` alone is refused.
    pub permissions: Vec<(String, Vec<String>)>,
    pub on: Option<Securable>,
    /// Columns after the securable.
    pub columns: Vec<String>,
    pub to: Vec<String>,
    pub with_grant: bool,
    pub grant_option_for: bool,
    pub cascade: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoginOptions {
    pub password: Option<Password>,
    pub old_password: Option<String>,
    pub must_change: bool,
    pub unlock: bool,
    pub default_database: Option<String>,
    pub default_language: Option<String>,
    pub check_policy: Option<bool>,
    pub check_expiration: Option<bool>,
    pub sid: Option<Vec<u8>>,
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Password {
    Clear(String),
    Hashed(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum UserFor {
    Login(String),
    WithoutLogin,
    Same,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserOptions {
    pub default_schema: Option<String>,
    pub login: Option<String>,
    pub name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    Add,
    Drop,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SecurityStmt {
    CreateLogin { name: String, options: LoginOptions },
    AlterLogin { name: String, options: LoginOptions, enable: Option<bool> },
    DropLogin { name: String },
    CreateUser { name: String, login: UserFor, options: UserOptions },
    AlterUser { name: String, options: UserOptions },
    DropUser { name: String, if_exists: bool },
    CreateRole { name: String, server: bool, owner: Option<String> },
    DropRole { name: String, server: bool, if_exists: bool },
    RenameRole { name: String, to: String },
    AlterRole { role: String, server: bool, change: MemberChange, member: String },
    Permission(PermissionStmt),
    AlterAuthorization { on: Securable, to: Option<String> },
}
