//! Who the session is and what it may do: principals in force, permission checks, the refusals.
//!
//! Order of a check: sysadmin and the database's dbo pass everything; an owner passes on what it owns; then a DENY
//! anywhere on the way up refuses; then a GRANT anywhere on the way up allows. A column grant stands against a
//! table deny ("GRANT Object Permissions"), a column deny against everything below it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ast::SecurableClass;
use super::message::{self, Result};
use super::permission::{self, Verdict};
use super::principal;
use super::session::SessionCore;
use super::storage::database::Database;
use super::storage::schema::{Metadata, Object};
use crate::engine::value::text;

/// The principals in force: the login's, or what EXECUTE AS put there.
#[derive(Debug, Clone)]
pub struct SecurityContext {
    pub login: i32,
    pub login_name: String,
    /// EXECUTE AS USER: this user of this database, and no server principal.
    pub user: Option<(u16, i32)>,
    pub no_revert: bool,
}

/// A permission a statement needs on an object, and the columns it touches.
pub struct Needed<'a> {
    pub permission: &'static str,
    pub object: i32,
    pub columns: &'a BTreeSet<i32>,
}

/// A securable to ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct On {
    pub class: SecurableClass,
    pub major: i32,
    pub minor: i32,
}

impl On {
    pub const SERVER: Self = Self { class: SecurableClass::Server, major: 0, minor: 0 };
    pub const DATABASE: Self = Self { class: SecurableClass::Database, major: 0, minor: 0 };

    pub fn object(id: i32) -> Self {
        Self { class: SecurableClass::Object, major: id, minor: 0 }
    }

    pub fn schema(id: i32) -> Self {
        Self { class: SecurableClass::Schema, major: id, minor: 0 }
    }
}

impl SessionCore {
    /// Server principals in force.
    pub fn server_principals(&self) -> Vec<i32> {
        let context = self.context();
        if context.user.is_some() {
            return vec![principal::SERVER_PUBLIC];
        }
        self.server().closure(context.login)
    }

    pub fn is_sysadmin(&self) -> bool {
        self.server_principals().contains(&principal::SYSADMIN)
    }

    /// The session's user in a database; `None` when it has no access.
    pub fn user_in(&self, database: &Database) -> Option<i32> {
        let context = self.context();
        let metadata = self.metadata(database);
        if let Some((home, user)) = context.user {
            if home == database.id {
                return Some(user);
            }
            return self.guest(&metadata);
        }
        if self.is_sysadmin() {
            return Some(principal::DBO);
        }
        let server = self.server();
        let login = server.logins.get(&context.login)?;
        if login.sid == database.owner_sid() {
            return Some(principal::DBO);
        }
        let mapped = metadata.principals.user_of(&login.sid).map(|p| p.id);
        let connects = |user: i32| {
            let principals = metadata.principals.closure(user);
            let on = (SecurableClass::Database, 0, 0);
            metadata.grants.verdict(&principals, on, "CONNECT") == Verdict::Granted
        };
        match mapped {
            Some(user) if connects(user) => Some(user),
            Some(_) => None,
            None => self.guest(&metadata).or_else(|| {
                let any = permission::find("CONNECT ANY DATABASE", SecurableClass::Server)?;
                self.server_verdict(any).eq(&Verdict::Granted).then_some(principal::PUBLIC)
            }),
        }
    }

    fn guest(&self, metadata: &Metadata) -> Option<i32> {
        let on = (SecurableClass::Database, 0, 0);
        let allowed = metadata.grants.verdict(&[principal::GUEST], on, "CONNECT") == Verdict::Granted;
        allowed.then_some(principal::GUEST)
    }

    /// Database principals in force.
    pub fn principals_in(&self, database: &Database) -> Vec<i32> {
        match self.user_in(database) {
            Some(user) => self.metadata(database).principals.closure(user),
            None => Vec::new(),
        }
    }

    /// A database by name, if the session may enter it: 911, 916.
    pub fn open_database(&self, name: &str) -> Result<Arc<Database>> {
        let database = self.instance.database(name).ok_or_else(|| message::no_database(name))?;
        self.require_access(&database)?;
        Ok(database)
    }

    pub fn require_access(&self, database: &Arc<Database>) -> Result<()> {
        if !database.options().online {
            return Err(message::SqlError::new(
                942,
                14,
                4,
                format!("Database '{}' cannot be opened because it is offline.", database.name),
            ));
        }
        match self.user_in(database) {
            Some(user) => self.check_user_access(database, user),
            None => Err(message::no_database_access(&self.context().login_name, &database.name)),
        }
    }

    /// 924, 923: a database in single-user or restricted mode.
    fn check_user_access(&self, database: &Database, user: i32) -> Result<()> {
        match database.options().user_access {
            1 if !self.instance.users_of(database.id, self.spid).is_empty() => {
                Err(message::already_single(&database.name))
            }
            2 if user != principal::DBO
                && !self.principals_in(database).contains(&principal::DB_OWNER)
                && !self.server_principals().contains(&principal::DBCREATOR) =>
            {
                Err(message::restricted(&database.name))
            }
            _ => Ok(()),
        }
    }

    /// The server's own word on a server permission.
    pub fn server_verdict(&self, wanted: &'static str) -> Verdict {
        let principals = self.server_principals();
        if principals.contains(&principal::SYSADMIN) {
            return Verdict::Granted;
        }
        let server = self.server();
        let mut verdict = Verdict::Silent;
        for implied in permission::implied_by(wanted, SecurableClass::Server) {
            verdict =
                verdict.and(server.grants.verdict(&principals, (SecurableClass::Server, 0, 0), implied));
        }
        let by_role = principals.iter().any(|role| server_role_allows(*role, wanted));
        if by_role { verdict.and(Verdict::Granted) } else { verdict }
    }

    pub fn has_server_permission(&self, wanted: &'static str) -> bool {
        self.server_verdict(wanted) == Verdict::Granted
    }

    /// Whether the session has a permission on a securable of a database.
    pub fn has_permission(&self, database: &Database, on: On, wanted: &'static str) -> bool {
        if on.class == SecurableClass::Server {
            return self.has_server_permission(wanted);
        }
        match self.user_in(database) {
            Some(principal::DBO) => true,
            Some(user) => self.verdict_for(database, user, on, wanted) == Verdict::Granted,
            None => false,
        }
    }

    fn verdict_for(&self, database: &Database, user: i32, on: On, wanted: &'static str) -> Verdict {
        let metadata = self.metadata(database);
        let principals = metadata.principals.closure(user);
        if owns(&metadata, &principals, on) {
            return Verdict::Granted;
        }
        let mut verdict = Verdict::Silent;
        let mut step = Some((on, wanted));
        while let Some((on, wanted)) = step {
            for implied in permission::implied_by(wanted, on.class) {
                verdict = verdict.and(metadata.grants.verdict(
                    &principals,
                    (on.class, on.major, on.minor),
                    implied,
                ));
            }
            if on.class == SecurableClass::Database {
                verdict = verdict.and(database_role_verdict(&principals, wanted));
                verdict =
                    verdict.and(self.server_verdict(permission::on_parent(wanted, SecurableClass::Server)));
            }
            step = parent(&metadata, on).map(|up| (up, permission::on_parent(wanted, up.class)));
        }
        verdict
    }

    /// Checks a statement's need: 229 on the object, 230 on a column.
    pub fn require_object(&self, database: &Arc<Database>, needed: &Needed<'_>) -> Result<()> {
        let metadata = self.metadata(database);
        let Some(object) = metadata.object_by_id(needed.object) else { return Ok(()) };
        let Some(user) = self.user_in(database) else {
            return Err(message::no_database_access(&self.context().login_name, &database.name));
        };
        if user == principal::DBO {
            return Ok(());
        }
        let principals = metadata.principals.closure(user);
        let whole = self.verdict_for(database, user, On::object(needed.object), needed.permission);
        let schema = metadata.schema_name(object.schema_id());
        let column_verdict = |column: i32| {
            metadata.grants.verdict(
                &principals,
                (SecurableClass::Object, needed.object, column),
                needed.permission,
            )
        };
        let by_column = matches!(needed.permission, "SELECT" | "UPDATE" | "REFERENCES");
        let verdicts: Vec<(i32, Verdict)> = needed.columns.iter().map(|c| (*c, column_verdict(*c))).collect();
        let refused = |verdict: Verdict| {
            verdict == Verdict::Denied || verdict == Verdict::Silent && whole != Verdict::Granted
        };
        let partly = by_column
            && metadata.grants.0.iter().any(|g| {
                g.class == SecurableClass::Object
                    && g.major == needed.object
                    && g.minor != 0
                    && g.permission == needed.permission
                    && principals.contains(&g.grantee)
                    && g.state != permission::GrantState::Deny
            });
        if !by_column || needed.columns.is_empty() {
            if whole == Verdict::Granted || partly {
                return Ok(());
            }
            return Err(message::denied_object(needed.permission, object.name(), &database.name, schema));
        }
        let Some((column, _)) = verdicts.iter().find(|(_, v)| refused(*v)) else { return Ok(()) };
        let any_denied = verdicts.iter().any(|(_, v)| *v == Verdict::Denied);
        if whole != Verdict::Granted && !partly && !any_denied {
            return Err(message::denied_object(needed.permission, object.name(), &database.name, schema));
        }
        let name = column_name(object, *column);
        Err(message::denied_column(needed.permission, name, object.name(), &database.name, schema))
    }

    /// Checks a database-level statement permission: 262.
    pub fn require_database(&self, database: &Database, wanted: &'static str) -> Result<()> {
        if self.has_permission(database, On::DATABASE, wanted) {
            Ok(())
        } else {
            Err(message::denied_statement(wanted, &database.name))
        }
    }

    /// Whether the catalog shows an object: any permission on it, or on a column of it, suffices.
    pub fn sees_object(&self, database: &Database, object: i32) -> bool {
        let Some(user) = self.user_in(database) else { return false };
        if user == principal::DBO {
            return true;
        }
        let metadata = self.metadata(database);
        let principals = metadata.principals.closure(user);
        let granted = metadata.grants.0.iter().any(|g| {
            g.class == SecurableClass::Object
                && g.major == object
                && g.state != permission::GrantState::Deny
                && principals.contains(&g.grantee)
        });
        let any = [
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "EXECUTE",
            "REFERENCES",
            "ALTER",
            "CONTROL",
            "VIEW DEFINITION",
        ];
        let denied =
            self.verdict_for(database, user, On::object(object), "VIEW DEFINITION") == Verdict::Denied;
        !denied
            && (granted
                || any
                    .iter()
                    .any(|p| self.verdict_for(database, user, On::object(object), p) == Verdict::Granted))
    }
}

fn column_name(object: &Object, id: i32) -> String {
    match object {
        Object::Table(table) => {
            table.info.columns.iter().find(|c| c.id == id).map_or(String::new(), |c| c.name.clone())
        }
        Object::View(view) => view.columns.get(id as usize - 1).cloned().unwrap_or_default(),
    }
}

fn parent(metadata: &Metadata, on: On) -> Option<On> {
    match on.class {
        SecurableClass::Object => metadata.object_by_id(on.major).map(|o| On::schema(o.schema_id())),
        SecurableClass::Schema | SecurableClass::User | SecurableClass::Role => Some(On::DATABASE),
        SecurableClass::Server | SecurableClass::Database | SecurableClass::Login => None,
    }
}

fn owns(metadata: &Metadata, principals: &[i32], on: On) -> bool {
    let schema = match on.class {
        SecurableClass::Schema => Some(on.major),
        SecurableClass::Object => metadata.object_by_id(on.major).map(Object::schema_id),
        SecurableClass::Server
        | SecurableClass::Database
        | SecurableClass::Login
        | SecurableClass::User
        | SecurableClass::Role => None,
    };
    schema.and_then(|id| metadata.schema_by_id(id)).is_some_and(|s| principals.contains(&s.owner))
}

fn server_role_allows(role: i32, wanted: &str) -> bool {
    match role {
        principal::SECURITYADMIN => matches!(wanted, "ALTER ANY LOGIN" | "VIEW ANY DEFINITION"),
        principal::PROCESSADMIN => {
            matches!(wanted, "ALTER ANY CONNECTION" | "ALTER SERVER STATE" | "VIEW SERVER STATE")
        }
        principal::DBCREATOR => matches!(wanted, "CREATE ANY DATABASE" | "ALTER ANY DATABASE"),
        5 => matches!(wanted, "ALTER SETTINGS" | "ALTER SERVER STATE" | "VIEW SERVER STATE"),
        _ => false,
    }
}

fn database_role_verdict(principals: &[i32], wanted: &str) -> Verdict {
    let mut verdict = Verdict::Silent;
    for role in principals {
        let says = match *role {
            principal::DB_OWNER => Verdict::Granted,
            principal::DB_DATAREADER if wanted == "SELECT" => Verdict::Granted,
            principal::DB_DATAWRITER if matches!(wanted, "INSERT" | "UPDATE" | "DELETE") => Verdict::Granted,
            principal::DB_DENYDATAREADER if wanted == "SELECT" => Verdict::Denied,
            principal::DB_DENYDATAWRITER if matches!(wanted, "INSERT" | "UPDATE" | "DELETE") => {
                Verdict::Denied
            }
            principal::DB_BACKUPOPERATOR if matches!(wanted, "BACKUP DATABASE" | "BACKUP LOG") => {
                Verdict::Granted
            }
            principal::DB_DDLADMIN
                if matches!(
                    wanted,
                    "CREATE TABLE"
                        | "CREATE VIEW"
                        | "CREATE SCHEMA"
                        | "CREATE PROCEDURE"
                        | "CREATE FUNCTION"
                        | "ALTER ANY SCHEMA"
                        | "REFERENCES"
                ) =>
            {
                Verdict::Granted
            }
            principal::DB_SECURITYADMIN
                if matches!(wanted, "ALTER ANY ROLE" | "CREATE ROLE" | "VIEW DEFINITION") =>
            {
                Verdict::Granted
            }
            principal::DB_ACCESSADMIN if matches!(wanted, "ALTER ANY USER" | "CREATE SCHEMA" | "CONNECT") => {
                Verdict::Granted
            }
            _ => Verdict::Silent,
        };
        verdict = verdict.and(says);
    }
    verdict
}

/// A database role or server role as `IS_MEMBER` asks for it.
pub fn role_id(metadata: &Metadata, name: &str) -> Option<i32> {
    metadata
        .principals
        .list
        .values()
        .find(|p| p.kind == principal::PrincipalKind::Role && text::equal(&p.name, name))
        .map(|p| p.id)
}
