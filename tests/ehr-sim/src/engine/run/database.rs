//! CREATE, ALTER and DROP DATABASE, and who must leave before a database changes its state.
//!
//! Facts: "ALTER DATABASE SET Options" (termination), "Set a database to single-user mode".

use std::sync::Arc;
use std::time::Duration;

use super::Runner;
use crate::engine::ast::{DatabaseChange, Termination};
use crate::engine::message::{self, Result};
use crate::engine::security::On;
use crate::engine::storage::database::Database;
use crate::engine::storage::guard;

impl Runner<'_> {
    pub(super) fn create_database(&mut self, name: &str, options: &[DatabaseChange]) -> Result<()> {
        self.outside_transaction("CREATE DATABASE")?;
        if !self.session.has_server_permission("CREATE ANY DATABASE") {
            return Err(message::denied_statement("CREATE DATABASE", "master"));
        }
        options.iter().try_for_each(|option| self.check_external_access(option))?;
        let server = self.session.server();
        let login = self.session.context().login;
        let sid = server.logins.get(&login).map(|l| l.sid.clone()).unwrap_or_default();
        let database = self.session.instance.create_database(name, sid)?;
        options.iter().for_each(|option| set_option(&database, option));
        Ok(())
    }

    /// Options that reach beyond the database are for sysadmin; contained databases are off on this instance.
    fn check_external_access(&self, option: &DatabaseChange) -> Result<()> {
        match option {
            DatabaseChange::Contained(true) => Err(message::containment_off()),
            DatabaseChange::Trustworthy(_) | DatabaseChange::Chaining(_) if !self.session.is_sysadmin() => {
                Err(message::denied_action())
            }
            _ => Ok(()),
        }
    }

    /// 226: not inside a transaction of several statements.
    fn outside_transaction(&self, what: &str) -> Result<()> {
        if self.session.tran_count() == 0 {
            return Ok(());
        }
        let text = format!("{what} statement not allowed within multi-statement transaction.");
        Err(message::SqlError::new(226, 16, 6, text))
    }

    pub(super) fn drop_database(&mut self, name: &str, if_exists: bool) -> Result<()> {
        self.outside_transaction("DROP DATABASE")?;
        let missing = || message::cannot_drop("database", name);
        let Some(database) = self.session.instance.database(name) else {
            return if if_exists { Ok(()) } else { Err(missing()) };
        };
        if !self.session.has_permission(&database, On::DATABASE, "CONTROL") {
            return Err(missing());
        }
        if database.id <= 4 {
            let text = format!("Cannot drop the database '{name}' because it is a system database.");
            return Err(message::SqlError::new(3708, 16, 1, text));
        }
        let own = self.session.database().id == database.id;
        if own || !self.session.instance.users_of(database.id, self.session.spid).is_empty() {
            let text = format!("Cannot drop database \"{name}\" because it is currently in use.");
            return Err(message::SqlError::new(3702, 16, 3, text));
        }
        self.session.instance.remove_database(database.id);
        Ok(())
    }

    pub(super) fn alter_database(
        &mut self,
        name: Option<&str>,
        change: &DatabaseChange,
        termination: Termination,
    ) -> Result<()> {
        self.outside_transaction("ALTER DATABASE")?;
        let database = self.alterable_database(name)?;
        match change {
            DatabaseChange::ReadCommittedSnapshot(_) if database.id <= 4 => {
                return Err(message::option_not_for(&database.name, "READ_COMMITTED_SNAPSHOT"));
            }
            DatabaseChange::Online(false) | DatabaseChange::SingleUser(Some(_)) if database.id <= 4 => {
                return Err(message::option_not_for(
                    &database.name,
                    "OFFLINE, SINGLE_USER or RESTRICTED_USER",
                ));
            }
            DatabaseChange::ReadCommittedSnapshot(_)
            | DatabaseChange::ReadOnly(_)
            | DatabaseChange::Online(false)
            | DatabaseChange::SingleUser(Some(_)) => self.claim(&database, termination)?,
            DatabaseChange::SingleUser(None) => self.check_single_user(&database)?,
            DatabaseChange::ChangeTracking { on, retention_minutes, auto_cleanup } => {
                return self.track_database(&database, *on, (*retention_minutes, *auto_cleanup));
            }
            DatabaseChange::Rename(_) => return Err(message::not_supported("MODIFY NAME")),
            DatabaseChange::Trustworthy(_) | DatabaseChange::Chaining(_) if database.id <= 4 => {
                return Err(message::option_not_for(&database.name, "TRUSTWORTHY or DB_CHAINING"));
            }
            DatabaseChange::Trustworthy(_) | DatabaseChange::Chaining(_) | DatabaseChange::Contained(_) => {
                self.check_external_access(change)?;
            }
            DatabaseChange::AllowSnapshot(_)
            | DatabaseChange::Online(true)
            | DatabaseChange::Recovery(_)
            | DatabaseChange::CompatibilityLevel(_) => {}
        }
        set_option(&database, change);
        Ok(())
    }

    /// 5011: a database that is not there, or not ours to alter.
    fn alterable_database(&self, name: Option<&str>) -> Result<Arc<Database>> {
        let refused = |name: &str| {
            let text = format!(
                "User does not have permission to alter database '{name}', the database does not exist, or the database is not in a state that allows access checks."
            );
            message::SqlError::new(5011, 14, 5, text)
        };
        let database = match name {
            Some(name) => self.session.instance.database(name).ok_or_else(|| refused(name))?,
            None => self.session.database(),
        };
        let server = self.session.has_server_permission("ALTER ANY DATABASE");
        if !server && !self.session.has_permission(&database, On::DATABASE, "ALTER") {
            return Err(refused(&database.name));
        }
        Ok(database)
    }

    /// Waits until no other session is in the database, ends them, or refuses (5061).
    fn claim(&self, database: &Database, termination: Termination) -> Result<()> {
        let instance = &self.session.instance;
        let others = || instance.users_of(database.id, self.session.spid);
        match termination {
            Termination::NoWait if !others().is_empty() => {
                return Err(message::database_in_use(&database.name));
            }
            Termination::RollbackAfter(seconds) => {
                let patience = Duration::from_secs(seconds);
                if !others().is_empty() && self.cancel.wait_timeout(patience) {
                    return Err(message::cancelled());
                }
                for connected in others() {
                    connected.killed.cancel();
                    let running = guard(&connected.activity).cancel.clone();
                    if let Some(cancel) = running {
                        cancel.cancel();
                    }
                }
            }
            Termination::NoWait | Termination::Wait => {}
        }
        while !others().is_empty() {
            if self.cancel.wait_timeout(LEAVING) {
                return Err(message::cancelled());
            }
        }
        Ok(())
    }

    /// 5064: somebody else is the single user.
    fn check_single_user(&self, database: &Database) -> Result<()> {
        let single = database.options().user_access == 1;
        if single && !self.session.instance.users_of(database.id, self.session.spid).is_empty() {
            return Err(message::single_user_busy(&database.name));
        }
        Ok(())
    }
}

fn set_option(database: &Database, change: &DatabaseChange) {
    let mut options = database.options.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    match change {
        DatabaseChange::ReadCommittedSnapshot(on) => options.read_committed_snapshot = *on,
        DatabaseChange::AllowSnapshot(on) => options.allow_snapshot = *on,
        DatabaseChange::ReadOnly(on) => options.read_only = *on,
        DatabaseChange::Online(on) => options.online = *on,
        DatabaseChange::SingleUser(None) => options.user_access = 0,
        DatabaseChange::SingleUser(Some(single)) => options.user_access = if *single { 1 } else { 2 },
        DatabaseChange::Trustworthy(on) => options.trustworthy = *on,
        DatabaseChange::Chaining(on) => options.chaining = *on,
        DatabaseChange::Recovery(model) => options.recovery.clone_from(model),
        DatabaseChange::CompatibilityLevel(level) => {
            options.compatibility_level = u8::try_from(*level).unwrap_or(options.compatibility_level);
        }
        DatabaseChange::ChangeTracking { .. } | DatabaseChange::Rename(_) | DatabaseChange::Contained(_) => {}
    }
}

const LEAVING: Duration = Duration::from_millis(10);
