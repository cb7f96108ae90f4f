//! Login: 18456 with the state that says why (for the log only, the text never does), 18486 to 18488, 4060.
//!
//! Facts: "MSSQLSERVER_18456" (states 5, 7, 8, 38, 40), "Troubleshoot error 4064". A client sees state 1 in every case
//! on SQL Server; the true state is in the error log. The engine keeps that: the message carries state 1.

use std::sync::Arc;

use super::instance::Instance;
use super::message::{self, SqlError};
use super::permission::Verdict;
use super::principal;
use super::security::SecurityContext;
use super::storage::database::Database;
use crate::types::{LoginRequest, SqlMessage};

type Refusal = Vec<SqlMessage>;

/// Checks name, password, state and database.
pub fn check(
    instance: &Instance,
    request: &LoginRequest,
) -> Result<(SecurityContext, Arc<Database>), Refusal> {
    let server = instance.server.read(None);
    let refuse = |state: u8| {
        tracing::info!(login = %request.user, state, "login failed");
        vec![message::login_failed(&request.user).message()]
    };
    let login = server.login(&request.user).ok_or_else(|| refuse(5))?;
    let right = login.password.matches(&request.password);
    if login.locked {
        return Err(single(
            18486,
            &format!(
                "Login failed for user '{}' because the account is currently locked out. The system administrator can unlock it. ",
                request.user
            ),
        ));
    }
    if login.disabled {
        if !right {
            return Err(refuse(7));
        }
        return Err(single(
            18470,
            &format!("Login failed for user '{}'. Reason: The account is disabled.", request.user),
        ));
    }
    if !right {
        return Err(refuse(8));
    }
    if login.expired {
        return Err(single(
            18487,
            &format!(
                "Login failed for user '{}'.  Reason: The password of the account has expired.",
                request.user
            ),
        ));
    }
    if login.must_change {
        return Err(single(
            18488,
            &format!(
                "Login failed for user '{}'.  Reason: The password of the account must be changed.",
                request.user
            ),
        ));
    }
    let on = (super::ast::SecurableClass::Server, 0, 0);
    let principals = server.closure(login.id);
    let sysadmin = principals.contains(&principal::SYSADMIN);
    if !sysadmin && server.grants.verdict(&principals, on, "CONNECT SQL") != Verdict::Granted {
        return Err(refuse(12));
    }
    let context =
        SecurityContext { login: login.id, login_name: login.name.clone(), user: None, no_revert: false };
    let wanted = if request.database.is_empty() { &login.default_database } else { &request.database };
    let open = |d: &Arc<Database>| {
        let options = d.options();
        let free = options.user_access != 1 || instance.users_of(d.id, 0).is_empty();
        options.online && free && may_enter(instance, login, d)
    };
    let database = instance.database(wanted).filter(open);
    match database {
        Some(database) => Ok((context, database)),
        None => {
            let cannot = if request.database.is_empty() {
                message::cannot_open_default()
            } else {
                message::cannot_open_database(wanted)
            };
            let failed = [cannot, message::login_failed(&request.user)];
            tracing::info!(login = %request.user, state = 38, database = %wanted, "login failed");
            Err(failed.iter().map(SqlError::message).collect())
        }
    }
}

fn single(number: u32, text: &str) -> Refusal {
    vec![SqlError::new(number, 14, 1, text).message()]
}

/// Whether a login that holds no session yet has a user in a database.
fn may_enter(instance: &Instance, login: &principal::Login, database: &Database) -> bool {
    let server = instance.server.read(None);
    let principals = server.closure(login.id);
    if principals.contains(&principal::SYSADMIN) || login.sid == database.owner_sid() {
        return true;
    }
    let metadata = database.metadata.read(None);
    let user = metadata.principals.user_of(&login.sid).map_or(principal::GUEST, |p| p.id);
    let users = if user == principal::GUEST { vec![user] } else { metadata.principals.closure(user) };
    let on = (super::ast::SecurableClass::Database, 0, 0);
    let any = server.grants.verdict(
        &principals,
        (super::ast::SecurableClass::Server, 0, 0),
        "CONNECT ANY DATABASE",
    );
    if database.options().user_access == 2 {
        let broad = principals.contains(&principal::DBCREATOR);
        return broad || users.contains(&principal::DB_OWNER);
    }
    metadata.grants.verdict(&users, on, "CONNECT") == Verdict::Granted || any == Verdict::Granted
}

/// The database a session starts in.
pub fn start_database(instance: &Instance, request: &LoginRequest) -> Option<Arc<Database>> {
    let server = instance.server.read(None);
    let default = server.login(&request.user).map_or("master", |l| l.default_database.as_str());
    let wanted = if request.database.is_empty() { default } else { &request.database };
    instance.database(wanted)
}
