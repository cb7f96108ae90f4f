//! GRANT, DENY, REVOKE and ALTER AUTHORIZATION.
//!
//! Facts: "GRANT Object Permissions", "GRANT Database Permissions", "GRANT Server Permissions", "REVOKE",
//! "ALTER AUTHORIZATION". A REVOKE of what is not there succeeds; DENY replaces GRANT and the other way round.

#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::sync::Arc;

use super::Runner;
use crate::engine::ast::{PermissionStmt, PermissionVerb, Securable, SecurableClass};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::permission::{Grant, GrantState};
use crate::engine::principal;
use crate::engine::security::On;
use crate::engine::storage::database::Database;
use crate::engine::storage::schema::{Metadata, Object};
use crate::engine::value::text;

/// A securable found, and its columns by name.
struct Place {
    on: On,
    database: Option<Arc<Database>>,
    columns: Vec<(String, i32)>,
}

impl Runner<'_> {
    pub(super) fn change_permission(&self, exec: &Exec<'_>, stmt: &PermissionStmt) -> Result<()> {
        let place = self.securable(exec, stmt)?;
        let mut wanted = Vec::new();
        for (name, own_columns) in &stmt.permissions {
            let permission = Self::permission_of(name, place.on.class)?;
            let list = if own_columns.is_empty() { &stmt.columns } else { own_columns };
            if !list.is_empty() && !matches!(permission, "SELECT" | "UPDATE" | "REFERENCES") {
                return Err(message::no_columns_in_permission());
            }
            // Objects are tables and views here.
            if permission == "EXECUTE" && place.on.class == SecurableClass::Object {
                return Err(message::not_compatible(permission));
            }
            for column in columns_of(&place, list)? {
                wanted.push((permission, column));
            }
        }
        match &place.database {
            Some(database) => self.change_database_grants(exec, stmt, &place, database, &wanted),
            None => self.change_server_grants(exec, stmt, &place, &wanted),
        }
    }

    fn securable(&self, exec: &Exec<'_>, stmt: &PermissionStmt) -> Result<Place> {
        let first = stmt.permissions.first().map_or("", |(name, _)| name.as_str());
        let Some(on) = &stmt.on else {
            let server = Self::permission_of(first, SecurableClass::Database).is_err();
            if server {
                if !text::equal(&self.session.database().name, "master") {
                    return Err(message::SqlError::new(
                        4621,
                        16,
                        10,
                        "Permissions at the server scope can only be granted when the current database is master",
                    ));
                }
                return Ok(Place { on: On::SERVER, database: None, columns: Vec::new() });
            }
            return Ok(Place {
                on: On::DATABASE,
                database: Some(self.session.database()),
                columns: Vec::new(),
            });
        };
        self.named_securable(exec, on)
    }

    fn named_securable(&self, exec: &Exec<'_>, on: &Securable) -> Result<Place> {
        let database = self.session.database();
        let metadata = exec.metadata(&database);
        let name = on.name.object();
        let missing = |kind: &str| message::principal_missing("find", kind, name);
        let principal =
            |kind: &str| metadata.principals.find(name).map(|p| p.id).ok_or_else(|| missing(kind));
        let (on, columns) = match on.class {
            Some(SecurableClass::Schema) => {
                (On::schema(metadata.schema(name).ok_or_else(|| missing("schema"))?.id), Vec::new())
            }
            Some(SecurableClass::Database) => {
                if !text::equal(name, &database.name) {
                    return Err(missing("database"));
                }
                (On::DATABASE, Vec::new())
            }
            Some(class @ SecurableClass::User) => {
                (On { class, major: principal("user")?, minor: 0 }, Vec::new())
            }
            Some(class @ SecurableClass::Role) => {
                (On { class, major: principal("role")?, minor: 0 }, Vec::new())
            }
            Some(class @ SecurableClass::Login) => {
                let server = self.session.server();
                let id = server.login(name).ok_or_else(|| missing("login"))?.id;
                return Ok(Place {
                    on: On { class, major: id, minor: 0 },
                    database: None,
                    columns: Vec::new(),
                });
            }
            Some(SecurableClass::Object | SecurableClass::Server) | None => {
                let found = self.find_object(exec, &on.name)?;
                let (home, object) = found.ok_or_else(|| missing("object"))?;
                if home.id != database.id {
                    return Err(missing("object"));
                }
                (On::object(object.id()), columns(&object))
            }
        };
        Ok(Place { on, database: Some(database), columns })
    }

    fn change_database_grants(
        &self,
        exec: &Exec<'_>,
        stmt: &PermissionStmt,
        place: &Place,
        database: &Arc<Database>,
        wanted: &[(&'static str, i32)],
    ) -> Result<()> {
        let grantor = self.session.user_in(database).unwrap_or(principal::PUBLIC);
        self.may_grant(exec, place, database, wanted)?;
        let metadata = exec.metadata(database);
        let mut grantees = Vec::new();
        for name in &stmt.to {
            let found = metadata.principals.find(name);
            let id = found.ok_or_else(|| message::principal_missing("find", "user", name))?.id;
            if matches!(id, principal::DBO | 3 | 4) || id == grantor {
                return Err(message::grant_self());
            }
            if id >= principal::DB_OWNER {
                return Err(message::SqlError::new(
                    4617,
                    16,
                    1,
                    "Cannot grant, deny or revoke permissions to or from special roles.",
                ));
            }
            grantees.push(id);
        }
        let grantor = if grantor == principal::DBO { principal::DBO } else { grantor };
        self.change_metadata(exec, database, |metadata| {
            for grantee in &grantees {
                for (permission, column) in wanted {
                    let grant = Grant {
                        class: place.on.class,
                        major: place.on.major,
                        minor: *column,
                        permission,
                        grantee: *grantee,
                        grantor,
                        state: GrantState::Grant,
                    };
                    apply(&mut metadata.grants, stmt, grant)?;
                }
            }
            Ok(())
        })
    }

    /// Who may grant: owners, CONTROL on the securable, or the permission itself with grant option.
    fn may_grant(
        &self,
        exec: &Exec<'_>,
        place: &Place,
        database: &Arc<Database>,
        wanted: &[(&'static str, i32)],
    ) -> Result<()> {
        if self.session.has_permission(database, place.on, "CONTROL") {
            return Ok(());
        }
        let metadata: Arc<Metadata> = exec.metadata(database);
        let principals = self.session.principals_in(database);
        // db_securityadmin manages permissions without having them.
        if principals.contains(&principal::DB_SECURITYADMIN) && place.on.class != SecurableClass::Server {
            return Ok(());
        }
        let passes = |permission: &'static str| {
            metadata.grants.0.iter().any(|g| {
                g.class == place.on.class
                    && g.major == place.on.major
                    && g.minor == 0
                    && g.permission == permission
                    && g.state == GrantState::WithGrant
                    && principals.contains(&g.grantee)
            })
        };
        if wanted.iter().all(|(permission, _)| passes(permission)) {
            return Ok(());
        }
        Err(match place.on.class {
            SecurableClass::Object => {
                let object =
                    metadata.object_by_id(place.on.major).map_or(String::new(), |o| o.name().to_owned());
                message::principal_missing("find", "object", object)
            }
            SecurableClass::Schema => {
                let schema = metadata.schema_name(place.on.major).to_owned();
                message::principal_missing("find", "schema", schema)
            }
            SecurableClass::Server
            | SecurableClass::Database
            | SecurableClass::Login
            | SecurableClass::User
            | SecurableClass::Role => {
                message::SqlError::new(4613, 16, 1, "Grantor does not have GRANT permission.")
            }
        })
    }

    fn change_server_grants(
        &self,
        exec: &Exec<'_>,
        stmt: &PermissionStmt,
        place: &Place,
        wanted: &[(&'static str, i32)],
    ) -> Result<()> {
        if !self.session.has_server_permission("CONTROL SERVER") {
            return Err(message::SqlError::new(4613, 16, 1, "Grantor does not have GRANT permission."));
        }
        let server = self.session.server();
        let mut grantees = Vec::new();
        for name in &stmt.to {
            let id = server.login(name).map(|l| l.id).or_else(|| server.role(name).map(|r| r.id));
            let id = id.ok_or_else(|| message::principal_missing("find", "login", name))?;
            if id == principal::SA || id == self.session.context().login {
                return Err(message::grant_self());
            }
            grantees.push(id);
        }
        self.change_server(exec, |server| {
            for grantee in &grantees {
                for (permission, _) in wanted {
                    let grant = Grant {
                        class: place.on.class,
                        major: place.on.major,
                        minor: 0,
                        permission,
                        grantee: *grantee,
                        grantor: principal::SA,
                        state: GrantState::Grant,
                    };
                    apply(&mut server.grants, stmt, grant)?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn alter_authorization(
        &self,
        exec: &Exec<'_>,
        on: &Securable,
        to: Option<&str>,
    ) -> Result<()> {
        if on.class == Some(SecurableClass::Database) {
            return self.give_database(on.name.object(), to.unwrap_or_default());
        }
        let database = self.session.database();
        if !self.session.has_permission(&database, On::DATABASE, "CONTROL") {
            return Err(message::denied_action());
        }
        if on.class != Some(SecurableClass::Schema) {
            return Err(message::not_supported("AUTHORIZATION"));
        }
        let (name, to) = (on.name.object(), to.unwrap_or("dbo"));
        self.change_metadata(exec, &database, |metadata| {
            let owner = metadata.principals.find(to).map(|p| p.id);
            let owner = owner.ok_or_else(|| message::principal_missing("find", "principal", to))?;
            let schema = metadata.schemas.get_mut(&text::fold_name(name));
            let schema = schema.ok_or_else(|| message::principal_missing("find", "schema", name))?;
            if schema.id <= 4 {
                return Err(message::cannot_alter_principal("schema", name));
            }
            schema.owner = owner;
            let id = schema.id;
            // A new owner starts with a clean slate of grants on it.
            metadata.grants.forget_securable(SecurableClass::Schema, id);
            Ok(())
        })
    }

    /// A database gets another owner; no user of it may be the new one.
    fn give_database(&self, name: &str, to: &str) -> Result<()> {
        let found = self.session.instance.database(name);
        let database = found.ok_or_else(|| message::principal_missing("find", "database", name))?;
        if !self.session.is_sysadmin() {
            return Err(message::principal_missing("find", "database", name));
        }
        let server = self.session.server();
        let login = server.login(to).ok_or_else(|| message::principal_missing("find", "principal", to))?;
        if self.session.metadata(&database).principals.user_of(&login.sid).is_some_and(|u| u.id > 4) {
            return Err(message::owner_is_user());
        }
        database.set_owner(login.sid.clone());
        Ok(())
    }
}

fn apply(grants: &mut crate::engine::permission::Grants, stmt: &PermissionStmt, grant: Grant) -> Result<()> {
    let known = grants.0.iter().position(|g| {
        g.class == grant.class
            && g.major == grant.major
            && g.minor == grant.minor
            && g.permission == grant.permission
            && g.grantee == grant.grantee
    });
    match stmt.verb {
        PermissionVerb::Grant => {
            let kept = known.map(|at| grants.0[at].state) == Some(GrantState::WithGrant);
            let state = if stmt.with_grant || kept { GrantState::WithGrant } else { GrantState::Grant };
            clear_columns(grants, &grant);
            grants.set(Grant { state, ..grant });
        }
        PermissionVerb::Deny => {
            clear_columns(grants, &grant);
            grants.set(Grant { state: GrantState::Deny, ..grant });
        }
        PermissionVerb::Revoke => {
            let Some(at) = known else {
                if grant.minor == 0 {
                    clear_columns(grants, &grant);
                }
                return Ok(());
            };
            if grants.0[at].state == GrantState::WithGrant && !stmt.cascade {
                return Err(message::SqlError::new(
                    4611,
                    16,
                    1,
                    "To revoke or deny grantable privileges, specify the CASCADE option.",
                ));
            }
            if stmt.grant_option_for {
                grants.0[at].state = GrantState::Grant;
            } else {
                clear_columns(grants, &grant);
                grants.remove(&grant);
            }
        }
    }
    Ok(())
}

/// A change on the whole object supersedes what was said about its columns.
fn clear_columns(grants: &mut crate::engine::permission::Grants, grant: &Grant) {
    if grant.minor == 0 && grant.class == SecurableClass::Object {
        grants.0.retain(|g| {
            !(g.class == grant.class
                && g.major == grant.major
                && g.minor != 0
                && g.permission == grant.permission
                && g.grantee == grant.grantee)
        });
    }
}

fn columns(object: &Object) -> Vec<(String, i32)> {
    match object {
        Object::Table(table) => table.info.columns.iter().map(|c| (c.name.clone(), c.id)).collect(),
        Object::View(view) => view.columns.iter().cloned().zip(1..).collect(),
    }
}

fn columns_of(place: &Place, list: &[String]) -> Result<Vec<i32>> {
    if list.is_empty() {
        return Ok(vec![0]);
    }
    let find = |name: &String| {
        let found = place.columns.iter().find(|(known, _)| text::equal(known, name));
        found.map(|(_, id)| *id).ok_or_else(|| message::invalid_column(name))
    };
    list.iter().map(find).collect()
}
