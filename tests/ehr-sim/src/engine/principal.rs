//! Principals: logins and server roles of the instance, users and roles of a database, memberships, passwords.
//!
//! Facts: "sys.server_principals", "sys.sql_logins", "sys.database_principals", "Server-level roles",
//! "Database-level roles", "PWDCOMPARE" (0x0200, salt, SHA-512).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha512};

use super::permission::Grants;
use super::value::text;
use crate::types::DateTimeValue;

/// A SQL login.
#[derive(Debug, Clone)]
pub struct Login {
    pub id: i32,
    pub name: String,
    pub sid: Vec<u8>,
    pub password: PasswordHash,
    pub disabled: bool,
    pub must_change: bool,
    pub expired: bool,
    pub locked: bool,
    pub check_policy: bool,
    pub check_expiration: bool,
    pub default_database: String,
    pub default_language: String,
    pub created: DateTimeValue,
    pub modified: DateTimeValue,
}

/// A password as `sys.sql_logins.password_hash` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Vec<u8>);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

impl PasswordHash {
    pub fn new(password: &str, salt: [u8; 4]) -> Self {
        let mut bytes = vec![2, 0];
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&digest(password, &salt));
        Self(bytes)
    }

    /// A hash as written in `PASSWORD = 0x... HASHED`.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == 70 && bytes[..2] == [2, 0]).then_some(Self(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn matches(&self, password: &str) -> bool {
        digest(password, &self.0[2..6]) == self.0[6..]
    }
}

fn digest(password: &str, salt: &[u8]) -> Vec<u8> {
    let mut hasher = Sha512::new();
    hasher.update(password.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    hasher.update(salt);
    hasher.finalize().to_vec()
}

/// A server role.
#[derive(Debug, Clone)]
pub struct ServerRole {
    pub id: i32,
    pub name: String,
    pub fixed: bool,
    pub created: DateTimeValue,
}

/// Logins, server roles and what they were granted; one value so that a transaction can put it back.
#[derive(Debug, Clone, Default)]
pub struct ServerMetadata {
    pub logins: BTreeMap<i32, Login>,
    pub roles: BTreeMap<i32, ServerRole>,
    /// (role, member)
    pub members: BTreeSet<(i32, i32)>,
    pub grants: Grants,
}

/// `sa`
pub const SA: i32 = 1;
/// Server role `public`.
pub const SERVER_PUBLIC: i32 = 2;
/// Server role `sysadmin`.
pub const SYSADMIN: i32 = 3;
/// Server role `securityadmin`.
pub const SECURITYADMIN: i32 = 4;
/// Server role `processadmin`.
pub const PROCESSADMIN: i32 = 7;
/// Server role `dbcreator`.
pub const DBCREATOR: i32 = 9;

/// Fixed server roles with their ids.
pub const SERVER_ROLES: [(i32, &str); 9] = [
    (SERVER_PUBLIC, "public"),
    (SYSADMIN, "sysadmin"),
    (SECURITYADMIN, "securityadmin"),
    (5, "serveradmin"),
    (6, "setupadmin"),
    (PROCESSADMIN, "processadmin"),
    (8, "diskadmin"),
    (DBCREATOR, "dbcreator"),
    (10, "bulkadmin"),
];

impl ServerMetadata {
    pub fn login(&self, name: &str) -> Option<&Login> {
        self.logins.values().find(|l| text::equal(&l.name, name))
    }

    pub fn role(&self, name: &str) -> Option<&ServerRole> {
        self.roles.values().find(|r| text::equal(&r.name, name))
    }

    pub fn login_by_sid(&self, sid: &[u8]) -> Option<&Login> {
        self.logins.values().find(|l| l.sid == sid)
    }

    pub fn name_of(&self, id: i32) -> Option<&str> {
        self.logins.get(&id).map(|l| l.name.as_str()).or_else(|| self.roles.get(&id).map(|r| r.name.as_str()))
    }

    pub fn next_id(&self) -> i32 {
        let last = self.logins.keys().chain(self.roles.keys()).max().copied().unwrap_or(0);
        last.max(264) + 1
    }

    /// The login, its roles through any depth, and `public`.
    pub fn closure(&self, login: i32) -> Vec<i32> {
        close(login, SERVER_PUBLIC, &self.members)
    }
}

/// What a database principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    User,
    Role,
}

/// A user or role of a database.
#[derive(Debug, Clone)]
pub struct Principal {
    pub id: i32,
    pub name: String,
    pub kind: PrincipalKind,
    pub sid: Option<Vec<u8>>,
    pub without_login: bool,
    pub default_schema: Option<String>,
    pub owner: Option<i32>,
    pub fixed: bool,
    pub created: DateTimeValue,
    pub modified: DateTimeValue,
}

/// The principals of a database.
#[derive(Debug, Clone, Default)]
pub struct Principals {
    pub list: BTreeMap<i32, Principal>,
    /// (role, member)
    pub members: BTreeSet<(i32, i32)>,
}

/// Role `public` of a database.
pub const PUBLIC: i32 = 0;
/// User `dbo`.
pub const DBO: i32 = 1;
/// User `guest`.
pub const GUEST: i32 = 2;
/// Role `db_owner`.
pub const DB_OWNER: i32 = 16384;
/// Role `db_accessadmin`.
pub const DB_ACCESSADMIN: i32 = 16385;
/// Role `db_securityadmin`.
pub const DB_SECURITYADMIN: i32 = 16386;
/// Role `db_ddladmin`.
pub const DB_DDLADMIN: i32 = 16387;
/// Role `db_backupoperator`.
pub const DB_BACKUPOPERATOR: i32 = 16389;
/// Role `db_datareader`.
pub const DB_DATAREADER: i32 = 16390;
/// Role `db_datawriter`.
pub const DB_DATAWRITER: i32 = 16391;
/// Role `db_denydatareader`.
pub const DB_DENYDATAREADER: i32 = 16392;
/// Role `db_denydatawriter`.
pub const DB_DENYDATAWRITER: i32 = 16393;

/// Fixed database roles with their ids.
pub const DATABASE_ROLES: [(i32, &str); 10] = [
    (PUBLIC, "public"),
    (DB_OWNER, "db_owner"),
    (DB_ACCESSADMIN, "db_accessadmin"),
    (DB_SECURITYADMIN, "db_securityadmin"),
    (DB_DDLADMIN, "db_ddladmin"),
    (DB_BACKUPOPERATOR, "db_backupoperator"),
    (DB_DATAREADER, "db_datareader"),
    (DB_DATAWRITER, "db_datawriter"),
    (DB_DENYDATAREADER, "db_denydatareader"),
    (DB_DENYDATAWRITER, "db_denydatawriter"),
];

impl Principals {
    pub fn find(&self, name: &str) -> Option<&Principal> {
        self.list.values().find(|p| text::equal(&p.name, name))
    }

    pub fn user_of(&self, sid: &[u8]) -> Option<&Principal> {
        self.list.values().find(|p| p.kind == PrincipalKind::User && p.sid.as_deref() == Some(sid))
    }

    pub fn next_id(&self) -> i32 {
        self.list.keys().filter(|id| **id < DB_OWNER).max().copied().unwrap_or(4).max(4) + 1
    }

    /// The principal, its roles through any depth, and `public`.
    pub fn closure(&self, principal: i32) -> Vec<i32> {
        close(principal, PUBLIC, &self.members)
    }
}

fn close(start: i32, public: i32, members: &BTreeSet<(i32, i32)>) -> Vec<i32> {
    let mut list = vec![start];
    let mut at = 0;
    while at < list.len() {
        for (role, member) in members {
            if *member == list[at] && !list.contains(role) {
                list.push(*role);
            }
        }
        at += 1;
    }
    if !list.contains(&public) {
        list.push(public);
    }
    list
}

/// A new login's SID: 16 bytes.
pub fn new_sid(random: [u8; 16]) -> Vec<u8> {
    random.to_vec()
}

/// Windows' complexity rule, as CHECK_POLICY applies it: 8 characters, three of four kinds, not the name.
pub fn is_complex(password: &str, name: &str) -> bool {
    let kinds = [
        password.chars().any(char::is_uppercase),
        password.chars().any(char::is_lowercase),
        password.chars().any(|c| c.is_ascii_digit()),
        password.chars().any(|c| !c.is_alphanumeric()),
    ];
    let named = !name.is_empty() && password.to_lowercase().contains(&name.to_lowercase());
    kinds.iter().filter(|k| **k).count() >= 3 && !named
}
