//! Logins, users, roles, memberships and permissions as statements.
//!
//! Facts: "CREATE LOGIN", "ALTER LOGIN", "DROP LOGIN", "CREATE USER", "ALTER ROLE", "GRANT", "DENY", "REVOKE".

use super::Runner;
use crate::engine::ast::{LoginOptions, MemberChange, Password, SecurityStmt, UserFor, UserOptions};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::permission::{Grant, GrantState};
use crate::engine::principal::{
    self, Login, PasswordHash, Principal, PrincipalKind, ServerMetadata, ServerRole,
};
use crate::engine::security::On;
use crate::engine::storage::guard;
use crate::engine::storage::lock::{Mode, Resource};

impl Runner<'_> {
    pub(super) fn security(&mut self, stmt: &SecurityStmt) -> Result<()> {
        self.in_statement(|runner, exec| match stmt {
            SecurityStmt::CreateLogin { name, options } => runner.create_login(exec, name, options),
            SecurityStmt::AlterLogin { name, options, enable } => {
                runner.alter_login(exec, name, options, *enable)
            }
            SecurityStmt::DropLogin { name } => runner.drop_login(exec, name),
            SecurityStmt::CreateUser { name, login, options } => {
                runner.create_user(exec, name, login, options)
            }
            SecurityStmt::AlterUser { name, options } => runner.alter_user(exec, name, options),
            SecurityStmt::DropUser { name, if_exists } => {
                runner.drop_principal(exec, name, (PrincipalKind::User, *if_exists))
            }
            SecurityStmt::CreateRole { name, server, owner } => {
                runner.create_role(exec, name, *server, owner.as_deref())
            }
            SecurityStmt::DropRole { name, server: true, .. } => runner.drop_server_role(exec, name),
            SecurityStmt::DropRole { name, if_exists, .. } => {
                runner.drop_principal(exec, name, (PrincipalKind::Role, *if_exists))
            }
            SecurityStmt::RenameRole { name, to } => runner.rename_role(exec, name, to),
            SecurityStmt::AlterRole { role, server: true, change, member } => {
                runner.alter_server_role(exec, role, *change, member)
            }
            SecurityStmt::AlterRole { role, change, member, .. } => {
                runner.alter_role(exec, role, *change, member)
            }
            SecurityStmt::Permission(stmt) => runner.change_permission(exec, stmt),
            SecurityStmt::AlterAuthorization { on, to } => {
                runner.alter_authorization(exec, on, to.as_deref())
            }
        })
    }

    /// Changes server metadata under its lock.
    pub(super) fn change_server(
        &self,
        exec: &Exec<'_>,
        change: impl FnOnce(&mut ServerMetadata) -> Result<()>,
    ) -> Result<()> {
        self.check_writable()?;
        exec.lock(Resource::Metadata(0), Mode::Exclusive)?;
        let mut server = (*self.session.server()).clone();
        change(&mut server)?;
        if let Some(transaction) = self.session.transaction.borrow_mut().as_mut() {
            transaction.put_server(&self.session.instance.server, server);
        }
        Ok(())
    }

    fn create_login(&self, exec: &Exec<'_>, name: &str, options: &LoginOptions) -> Result<()> {
        if !self.session.has_server_permission("ALTER ANY LOGIN") {
            return Err(message::denied_action());
        }
        self.check_default_database(options)?;
        let check_policy = options.check_policy.unwrap_or(true);
        check_policy_options(options, check_policy, options.check_expiration.unwrap_or(false))?;
        let password = self.new_password(options, name, check_policy)?;
        let now = self.session.instance.now_datetime();
        self.change_server(exec, |server| {
            if server.login(name).is_some() || server.role(name).is_some() {
                return Err(message::login_exists(name));
            }
            let sid =
                options.sid.clone().unwrap_or_else(|| principal::new_sid(self.session.instance.random()));
            if sid.len() != 16 {
                let text = "The parameter sid is not valid.";
                return Err(message::SqlError::new(15419, 16, 1, text));
            }
            if server.login_by_sid(&sid).is_some() {
                return Err(message::sid_in_use());
            }
            let id = server.next_id();
            let login = Login {
                id,
                name: name.to_owned(),
                sid,
                password,
                disabled: false,
                must_change: options.must_change,
                expired: false,
                locked: false,
                check_policy,
                check_expiration: options.check_expiration.unwrap_or(false),
                default_database: options.default_database.clone().unwrap_or_else(|| "master".into()),
                default_language: options.default_language.clone().unwrap_or_else(|| "us_english".into()),
                created: now,
                modified: now,
            };
            server.logins.insert(id, login);
            server.grants.set(Grant {
                class: crate::engine::ast::SecurableClass::Server,
                major: 0,
                minor: 0,
                permission: "CONNECT SQL",
                grantee: id,
                grantor: principal::SA,
                state: GrantState::Grant,
            });
            Ok(())
        })
    }

    fn check_default_database(&self, options: &LoginOptions) -> Result<()> {
        match &options.default_database {
            Some(name) if self.session.instance.database(name).is_none() => {
                Err(message::database_missing_default(name))
            }
            _ => Ok(()),
        }
    }

    fn new_password(&self, options: &LoginOptions, name: &str, check_policy: bool) -> Result<PasswordHash> {
        match &options.password {
            Some(Password::Clear(clear)) => {
                if check_policy && clear.chars().count() < 8 {
                    return Err(message::password_policy_short());
                }
                if check_policy && !principal::is_complex(clear, name) {
                    return Err(message::password_policy());
                }
                Ok(PasswordHash::new(clear, self.session.instance.random()))
            }
            Some(Password::Hashed(bytes)) => PasswordHash::from_bytes(bytes.clone()).ok_or_else(|| {
                message::SqlError::new(
                    15021,
                    16,
                    2,
                    "Invalid value given for parameter PASSWORD. Specify a valid parameter value.",
                )
            }),
            None => Err(message::syntax_near(name)),
        }
    }

    fn alter_login(
        &self,
        exec: &Exec<'_>,
        name: &str,
        options: &LoginOptions,
        enable: Option<bool>,
    ) -> Result<()> {
        let missing = || message::principal_missing("alter", "login", name);
        let server = self.session.server();
        let login = server.login(name).ok_or_else(missing)?;
        let own = self.session.context().login == login.id && self.session.context().user.is_none();
        let powerful = self.session.has_server_permission("ALTER ANY LOGIN");
        if !powerful && !own {
            return Err(missing());
        }
        // Without ALTER ANY LOGIN one may change one's own password (with the old one), language and database.
        let beyond_own = enable.is_some()
            || options.check_policy.is_some()
            || options.check_expiration.is_some()
            || options.name.is_some()
            || options.unlock
            || options.must_change;
        if !powerful && beyond_own {
            return Err(missing());
        }
        if login.id == principal::SA && !self.session.is_sysadmin() {
            return Err(missing());
        }
        if let (Some(_), true) = (&options.password, own && !powerful) {
            let given = options.old_password.as_deref();
            if !given.is_some_and(|old| login.password.matches(old)) {
                return Err(missing());
            }
        }
        self.check_default_database(options)?;
        let check_policy = options.check_policy.unwrap_or(login.check_policy);
        let check_expiration = expiration_after(options, login);
        let turned_off = options.check_policy == Some(false) || options.check_expiration == Some(false);
        if login.must_change && turned_off {
            return Err(message::policy_off_must_change());
        }
        check_policy_options(options, check_policy, check_expiration)?;
        let password = match options.password {
            Some(_) => Some(self.new_password(options, name, check_policy)?),
            None => None,
        };
        let id = login.id;
        self.change_server(exec, |server| {
            if let Some(to) = &options.name
                && server.login(to).is_some_and(|l| l.id != id)
            {
                return Err(message::login_exists(to));
            }
            let now = self.session.instance.now_datetime();
            let Some(login) = server.logins.get_mut(&id) else { return Err(missing()) };
            login.modified = now;
            if let Some(password) = password {
                login.password = password;
                login.must_change = options.must_change;
                login.expired = false;
            }
            login.check_policy = check_policy;
            login.check_expiration = check_expiration;
            login.disabled = enable.map_or(login.disabled, |on| !on);
            login.locked &= !options.unlock;
            login
                .default_database
                .clone_from(options.default_database.as_ref().unwrap_or(&login.default_database.clone()));
            login
                .default_language
                .clone_from(options.default_language.as_ref().unwrap_or(&login.default_language.clone()));
            login.name.clone_from(options.name.as_ref().unwrap_or(&login.name.clone()));
            Ok(())
        })
    }

    fn drop_login(&self, exec: &Exec<'_>, name: &str) -> Result<()> {
        let missing = || message::principal_missing("drop", "login", name);
        let server = self.session.server();
        let login = server.login(name).filter(|_| self.session.has_server_permission("ALTER ANY LOGIN"));
        let login = login.ok_or_else(missing)?.clone();
        if login.id == principal::SA {
            return Err(message::special_principal(name));
        }
        if self.session.instance.all_databases().iter().any(|d| d.owner_sid() == login.sid) {
            return Err(message::login_owns());
        }
        let connected = guard(&self.session.instance.sessions).values().any(|s| s.login_id == login.id);
        if connected {
            return Err(message::login_connected(name));
        }
        self.change_server(exec, |server| {
            server.logins.remove(&login.id);
            server.members.retain(|(_, member)| *member != login.id);
            server.grants.forget_grantee(login.id);
            Ok(())
        })
    }

    fn create_user(&self, exec: &Exec<'_>, name: &str, login: &UserFor, options: &UserOptions) -> Result<()> {
        let database = self.session.database();
        if !self.session.has_permission(&database, On::DATABASE, "ALTER ANY USER") {
            return Err(message::denied_action());
        }
        let server = self.session.server();
        let login_name = match login {
            UserFor::Login(login) => Some(login.as_str()),
            UserFor::Same => Some(name),
            UserFor::WithoutLogin => None,
        };
        let sid = match login_name {
            Some(login) => {
                let found = server.login(login).ok_or_else(|| message::not_a_login(login))?;
                if found.sid == database.owner_sid() {
                    return Err(message::login_has_user());
                }
                found.sid.clone()
            }
            None => {
                let mut sid = vec![1, 5, 0, 0, 0, 0, 0, 9, 3, 0, 0, 0];
                sid.extend_from_slice(&self.session.instance.random::<16>());
                sid
            }
        };
        let now = self.session.instance.now_datetime();
        self.change_metadata(exec, &database, |metadata| {
            if metadata.principals.find(name).is_some() {
                return Err(message::user_exists(name));
            }
            if metadata.principals.user_of(&sid).is_some() {
                return Err(message::login_has_user());
            }
            let id = metadata.principals.next_id();
            let user = Principal {
                id,
                name: name.to_owned(),
                kind: PrincipalKind::User,
                sid: Some(sid),
                without_login: login_name.is_none(),
                default_schema: Some(options.default_schema.clone().unwrap_or_else(|| "dbo".into())),
                owner: None,
                fixed: false,
                created: now,
                modified: now,
            };
            metadata.principals.list.insert(id, user);
            metadata.grants.set(Grant {
                class: crate::engine::ast::SecurableClass::Database,
                major: 0,
                minor: 0,
                permission: "CONNECT",
                grantee: id,
                grantor: principal::DBO,
                state: GrantState::Grant,
            });
            Ok(())
        })
    }

    fn alter_user(&self, exec: &Exec<'_>, name: &str, options: &UserOptions) -> Result<()> {
        let database = self.session.database();
        let missing = || message::principal_missing("alter", "user", name);
        if !self.session.has_permission(&database, On::DATABASE, "ALTER ANY USER") {
            return Err(missing());
        }
        let server = self.session.server();
        let sid = match &options.login {
            Some(login) => Some(server.login(login).ok_or_else(|| message::not_a_login(login))?.sid.clone()),
            None => None,
        };
        let now = self.session.instance.now_datetime();
        self.change_metadata(exec, &database, |metadata| {
            let found = metadata.principals.find(name).filter(|p| p.kind == PrincipalKind::User);
            let id = found.ok_or_else(missing)?.id;
            if id <= 4 && (sid.is_some() || options.name.is_some()) {
                return Err(message::special_principal(name));
            }
            if let Some(sid) = &sid
                && metadata.principals.user_of(sid).is_some_and(|p| p.id != id)
            {
                return Err(message::login_has_user());
            }
            if let Some(to) = &options.name
                && metadata.principals.find(to).is_some_and(|p| p.id != id)
            {
                return Err(message::user_exists(to));
            }
            let Some(user) = metadata.principals.list.get_mut(&id) else { return Err(missing()) };
            if user.without_login && sid.is_some() {
                return Err(message::cannot_remap());
            }
            user.modified = now;
            user.sid = sid.or(user.sid.take());
            user.default_schema = options.default_schema.clone().or(user.default_schema.take());
            if let Some(to) = &options.name {
                user.name.clone_from(to);
            }
            Ok(())
        })
    }

    fn drop_principal(
        &self,
        exec: &Exec<'_>,
        name: &str,
        (kind, if_exists): (PrincipalKind, bool),
    ) -> Result<()> {
        let database = self.session.database();
        let word = if kind == PrincipalKind::User { "user" } else { "role" };
        let wanted = if kind == PrincipalKind::User { "ALTER ANY USER" } else { "ALTER ANY ROLE" };
        let missing = || message::principal_missing("drop", word, name);
        let metadata = exec.metadata(&database);
        let found = metadata.principals.find(name).filter(|p| p.kind == kind);
        let Some(found) = found.filter(|_| self.session.has_permission(&database, On::DATABASE, wanted))
        else {
            return if if_exists { Ok(()) } else { Err(missing()) };
        };
        if found.id == principal::GUEST {
            return Err(message::guest_dropped());
        }
        if found.fixed {
            return Err(message::cannot_drop_principal(word, name));
        }
        let id = found.id;
        self.change_metadata(exec, &database, |metadata| {
            if metadata.schemas.values().any(|s| s.owner == id) {
                return Err(message::owns_schema());
            }
            if kind == PrincipalKind::Role && metadata.principals.members.iter().any(|(role, _)| *role == id)
            {
                return Err(message::role_has_members());
            }
            metadata.principals.list.remove(&id);
            metadata.principals.members.retain(|(role, member)| *role != id && *member != id);
            metadata.grants.forget_grantee(id);
            Ok(())
        })
    }

    fn create_role(&self, exec: &Exec<'_>, name: &str, server: bool, owner: Option<&str>) -> Result<()> {
        let now = self.session.instance.now_datetime();
        if server {
            if !self.session.has_server_permission("ALTER ANY SERVER ROLE") {
                return Err(message::denied_action());
            }
            return self.change_server(exec, |server| {
                if server.login(name).is_some() || server.role(name).is_some() {
                    return Err(message::login_exists(name));
                }
                let id = server.next_id();
                server.roles.insert(id, ServerRole { id, name: name.to_owned(), fixed: false, created: now });
                Ok(())
            });
        }
        let database = self.session.database();
        if !self.session.has_permission(&database, On::DATABASE, "CREATE ROLE") {
            return Err(message::denied_action());
        }
        let creator = self.session.user_in(&database).unwrap_or(principal::DBO);
        self.change_metadata(exec, &database, |metadata| {
            if metadata.principals.find(name).is_some() {
                return Err(message::user_exists(name));
            }
            let owner = match owner {
                Some(owner) => {
                    let found = metadata.principals.find(owner);
                    found.ok_or_else(|| message::principal_missing("find", "user", owner))?.id
                }
                None => creator,
            };
            let id = metadata.principals.next_id();
            let role = Principal {
                id,
                name: name.to_owned(),
                kind: PrincipalKind::Role,
                sid: None,
                without_login: false,
                default_schema: None,
                owner: Some(owner),
                fixed: false,
                created: now,
                modified: now,
            };
            metadata.principals.list.insert(id, role);
            Ok(())
        })
    }

    fn rename_role(&self, exec: &Exec<'_>, name: &str, to: &str) -> Result<()> {
        let database = self.session.database();
        let missing = || message::principal_missing("alter", "role", name);
        let may = self.session.has_permission(&database, On::DATABASE, "ALTER ANY ROLE");
        self.change_metadata(exec, &database, |metadata| {
            let found =
                metadata.principals.find(name).filter(|p| may && p.kind == PrincipalKind::Role && !p.fixed);
            let id = found.ok_or_else(missing)?.id;
            if metadata.principals.find(to).is_some_and(|p| p.id != id) {
                return Err(message::user_exists(to));
            }
            if let Some(role) = metadata.principals.list.get_mut(&id) {
                role.name = to.to_owned();
            }
            Ok(())
        })
    }

    fn drop_server_role(&self, exec: &Exec<'_>, name: &str) -> Result<()> {
        let server = self.session.server();
        let may = self.session.has_server_permission("ALTER ANY SERVER ROLE");
        let role = server.role(name).filter(|r| may && !r.fixed);
        let id = role.ok_or_else(|| message::principal_missing("drop", "server role", name))?.id;
        self.change_server(exec, |server| {
            if server.members.iter().any(|(role, _)| *role == id) {
                return Err(message::role_has_members());
            }
            server.roles.remove(&id);
            server.grants.forget_grantee(id);
            Ok(())
        })
    }

    fn alter_server_role(
        &self,
        exec: &Exec<'_>,
        role: &str,
        change: MemberChange,
        member: &str,
    ) -> Result<()> {
        let server = self.session.server();
        let found =
            server.role(role).ok_or_else(|| message::principal_missing("alter", "server role", role))?;
        let (role_id, fixed) = (found.id, found.fixed);
        let member_of_role = self.session.server_principals().contains(&role_id);
        let may = self.session.is_sysadmin()
            || fixed && member_of_role && role_id != principal::SYSADMIN
            || !fixed && self.session.has_server_permission("ALTER ANY SERVER ROLE");
        if !may || role_id == principal::SERVER_PUBLIC {
            return Err(message::principal_missing("alter", "server role", role));
        }
        let member_id = server.login(member).map(|l| l.id).or_else(|| server.role(member).map(|r| r.id));
        let verb = if change == MemberChange::Add { "add" } else { "drop" };
        let member_id = member_id.ok_or_else(|| message::principal_missing(verb, "principal", member))?;
        if member_id == principal::SA {
            return Err(message::special_principal(member));
        }
        self.change_server(exec, |server| {
            match change {
                MemberChange::Add => server.members.insert((role_id, member_id)),
                MemberChange::Drop => server.members.remove(&(role_id, member_id)),
            };
            Ok(())
        })
    }

    fn alter_role(&self, exec: &Exec<'_>, role: &str, change: MemberChange, member: &str) -> Result<()> {
        let database = self.session.database();
        let missing = || message::principal_missing("alter", "role", role);
        let metadata = exec.metadata(&database);
        let found = metadata.principals.find(role).filter(|p| p.kind == PrincipalKind::Role);
        let found = found.ok_or_else(missing)?;
        let role_id = found.id;
        // Members of fixed roles are db_owner's to choose.
        let may = if found.fixed {
            self.session.has_permission(&database, On::DATABASE, "CONTROL")
        } else {
            self.session.has_permission(&database, On::DATABASE, "ALTER ANY ROLE")
        };
        if !may || role_id == principal::PUBLIC {
            return Err(missing());
        }
        let verb = if change == MemberChange::Add { "add" } else { "drop" };
        let member_id = metadata.principals.find(member).map(|p| p.id);
        let member_id = member_id.ok_or_else(|| message::principal_missing(verb, "principal", member))?;
        if member_id == principal::DBO || member_id == role_id {
            return Err(message::special_principal(member));
        }
        self.change_metadata(exec, &database, |metadata| {
            if metadata.principals.closure(role_id).contains(&member_id) && change == MemberChange::Add {
                let text = "Cannot make a role a member of itself.";
                return Err(message::SqlError::new(15413, 11, 1, text));
            }
            match change {
                MemberChange::Add => metadata.principals.members.insert((role_id, member_id)),
                MemberChange::Drop => metadata.principals.members.remove(&(role_id, member_id)),
            };
            Ok(())
        })
    }
}

/// CHECK_EXPIRATION needs CHECK_POLICY, MUST_CHANGE needs both.
/// Which options of a login go together; `expiration` is what CHECK_EXPIRATION will be.
fn check_policy_options(options: &LoginOptions, check_policy: bool, expiration: bool) -> Result<()> {
    if options.check_expiration == Some(true) && !check_policy {
        let text = "The CHECK_EXPIRATION option cannot be used when CHECK_POLICY is OFF.";
        return Err(message::SqlError::new(15122, 16, 1, text));
    }
    if options.must_change && !(check_policy && expiration) {
        let explicit = options.check_policy == Some(false) || options.check_expiration == Some(false);
        return Err(if explicit {
            message::policy_off_must_change()
        } else {
            message::must_change_no_expiration()
        });
    }
    match &options.default_language {
        Some(name) if !LANGUAGES.iter().any(|known| known.eq_ignore_ascii_case(name)) => {
            Err(message::no_language(name))
        }
        _ => Ok(()),
    }
}

/// Names and aliases of `sys.syslanguages` that a login may have here.
const LANGUAGES: [&str; 4] = ["us_english", "English", "British", "British English"];

/// CHECK_POLICY takes CHECK_EXPIRATION along unless that is said by itself.
fn expiration_after(options: &LoginOptions, login: &Login) -> bool {
    let follows = match options.check_policy {
        Some(false) => false,
        Some(true) if !login.check_policy => true,
        Some(true) | None => login.check_expiration,
    };
    options.check_expiration.unwrap_or(follows)
}
