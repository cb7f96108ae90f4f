//! SET options and EXECUTE AS.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use super::Runner;
use crate::engine::ast::{Expr, SecurableClass, SetOption};
use crate::engine::message::{self, Result};
use crate::engine::principal::PrincipalKind;
use crate::engine::security::{On, SecurityContext};
use crate::types::{Datum, Isolation, Length, SqlType};

impl Runner<'_> {
    pub(super) fn set_option(&mut self, option: &SetOption) -> Result<()> {
        if let SetOption::IdentityInsert(name, on) = option {
            return self.set_identity_insert(name, *on);
        }
        let context = match option {
            SetOption::ContextInfo(value) => Some(self.context_bytes(value)?),
            _ => None,
        };
        let open_snapshot = {
            let transaction = self.session.transaction.borrow();
            transaction.as_ref().is_some_and(|t| t.snapshot.is_some()) && self.session.tran_count() > 0
        };
        let mut settings = self.session.settings.borrow_mut();
        match option {
            SetOption::LockTimeout(n) => settings.lock_timeout = (*n).max(-1),
            SetOption::DeadlockPriority(n) => settings.deadlock_priority = *n,
            SetOption::Isolation(level) => {
                if *level == Isolation::Snapshot && self.session.tran_count() > 0 && !open_snapshot {
                    return Err(message::SqlError::new(
                        3951,
                        16,
                        1,
                        format!(
                            "Transaction failed in database '{}' because the statement was run under snapshot isolation but the transaction did not start in snapshot isolation. You cannot change the isolation level of the transaction to snapshot after the transaction has started unless the transaction was originally started under snapshot isolation level.",
                            self.session.database().name
                        ),
                    ));
                }
                settings.isolation = *level;
            }
            SetOption::NoCount(on) => settings.no_count = *on,
            SetOption::XactAbort(on) => settings.xact_abort = *on,
            SetOption::RowCount(n) => settings.row_limit = *n,
            SetOption::Implicit(on) => settings.implicit = *on,
            SetOption::QuotedIdentifier(on) => settings.quoted_identifier = *on,
            SetOption::ContextInfo(_) => settings.context_info = context,
            SetOption::FormatOnly(on) => settings.format_only = *on,
            SetOption::Accepted | SetOption::IdentityInsert(..) => {}
        }
        drop(settings);
        self.show_settings();
        Ok(())
    }

    /// 128 bytes; what is longer is refused, as is NULL.
    fn context_bytes(&mut self, value: &Expr) -> Result<Vec<u8>> {
        let value = self.scalar(value, SqlType::VarBinary(Length::Max))?;
        let Datum::Binary(bytes) = &value else { return Err(message::bad_context_info()) };
        if bytes.len() > 128 {
            return Err(message::bad_context_info());
        }
        let mut bytes = bytes.to_vec();
        bytes.resize(128, 0);
        Ok(bytes)
    }

    /// Lets other sessions see the settings in force.
    pub(super) fn show_settings(&self) {
        let settings = self.session.settings.borrow();
        self.session.activity(|a| {
            a.isolation = isolation_code(settings.isolation);
            a.lock_timeout = settings.lock_timeout;
            a.deadlock_priority = settings.deadlock_priority;
        });
    }

    fn set_identity_insert(&mut self, name: &crate::engine::ast::Name, on: bool) -> Result<()> {
        let (database, table) = self.in_statement(|_, exec| {
            let mut binder = crate::engine::bind::Binder::new(exec);
            match binder.resolve(name)? {
                crate::engine::bind::TableRef::Table(database, table) => Ok((database, table)),
                _ => Err(message::invalid_object(name)),
            }
        })?;
        if !self.session.has_permission(&database, On::object(table.info.object_id), "ALTER") {
            return Err(message::no_such_index_table(name));
        }
        if table.info.identity().is_none() {
            return Err(message::no_identity(name));
        }
        let mut settings = self.session.settings.borrow_mut();
        let held = settings.identity_insert;
        if on && held.is_some_and(|id| id != table.info.object_id) {
            let metadata = self.session.metadata(&database);
            let holder = held
                .and_then(|id| metadata.object_by_id(id).map(|o| o.name().to_owned()))
                .unwrap_or_default();
            return Err(message::identity_insert_busy(holder, name));
        }
        settings.identity_insert = on.then_some(table.info.object_id);
        Ok(())
    }

    pub(super) fn execute_as(&mut self, kind: SecurableClass, name: &str, no_revert: bool) -> Result<()> {
        let refused = |kind: &str| {
            message::SqlError::new(
                15517,
                16,
                1,
                format!(
                    "Cannot execute as the {kind} principal because the principal \"{name}\" does not exist, this type of principal cannot be impersonated, or you do not have permission."
                ),
            )
        };
        let core = self.session;
        if kind == SecurableClass::Login {
            let server = core.server();
            let login = server.login(name).ok_or_else(|| as_login(refused("server")))?;
            if !core.is_sysadmin() && core.context().login != login.id {
                return Err(as_login(refused("server")));
            }
            let context =
                SecurityContext { login: login.id, login_name: login.name.clone(), user: None, no_revert };
            core.push_context(context);
            return Ok(());
        }
        let database = core.database();
        let metadata = core.metadata(&database);
        let user = metadata.principals.find(name).filter(|p| p.kind == PrincipalKind::User);
        let user = user.ok_or_else(|| refused("database"))?;
        let may = core.user_in(&database) == Some(user.id)
            || core.has_permission(
                &database,
                On { class: SecurableClass::User, major: user.id, minor: 0 },
                "IMPERSONATE",
            );
        if !may {
            return Err(refused("database"));
        }
        let server = core.server();
        let login = user.sid.as_ref().and_then(|sid| server.login_by_sid(sid));
        let login_name = login.map_or_else(|| user.name.clone(), |l| l.name.clone());
        let login = login.map_or(0, |l| l.id);
        core.push_context(SecurityContext {
            login,
            login_name,
            user: Some((database.id, user.id)),
            no_revert,
        });
        Ok(())
    }
}

fn as_login(mut error: message::SqlError) -> message::SqlError {
    error.number = 15406;
    error
}

/// `transaction_isolation_level` of `sys.dm_exec_sessions`.
pub fn isolation_code(level: Isolation) -> i16 {
    match level {
        Isolation::ReadUncommitted => 1,
        Isolation::ReadCommitted => 2,
        Isolation::RepeatableRead => 3,
        Isolation::Serializable => 4,
        Isolation::Snapshot => 5,
    }
}
