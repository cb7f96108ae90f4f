//! The script that ends an access: every right, every role, the user, the login.

use crate::access::difference::{Aim, difference};
use crate::access::needs::Scope;
use crate::access::rights::{RightState, Rights};
use crate::mssql::quote::SqlName;

/// What the login has in the database and on the server, by name.
pub struct Held<'a> {
    /// The user of the database.
    pub user: &'a SqlName,
    /// Its rights by name.
    pub rights: &'a Rights,
    /// Its roles by name.
    pub roles: &'a [String],
    /// The login's server roles.
    pub server_roles: &'a [String],
}

/// T-SQL for an administrator of the instance.
pub fn script(scope: &Scope, held: &Held<'_>) -> String {
    let (user, login) = (held.user.quoted(), scope.login.quoted());
    let mut lines = vec![format!("USE {};", scope.database.quoted())];
    for role in held.roles.iter().filter_map(|role| SqlName::new(role.clone()).ok()) {
        lines.push(format!("ALTER ROLE {} DROP MEMBER {user};", role.quoted()));
    }
    let by_name = Rights {
        known: held
            .rights
            .known
            .iter()
            .filter(|(_, state)| **state != RightState::Excepted)
            .map(pair)
            .collect(),
        others: Vec::new(),
    };
    // What is there is revoked: nothing can stand in the way.
    if let Ok(away) = difference(held.user, &by_name, held.rights, Aim::Absent) {
        lines.extend(away.plan.statements.iter().map(|statement| format!("{};", statement.shown())));
    }
    lines.push(format!("DROP USER {user};"));
    lines.push("USE [master];".to_owned());
    for role in held.server_roles.iter().filter_map(|role| SqlName::new(role.clone()).ok()) {
        lines.push(format!("ALTER SERVER ROLE {} DROP MEMBER {login};", role.quoted()));
    }
    lines.push(format!("ALTER LOGIN {login} DISABLE;"));
    lines.push("-- Once none of its sessions is open (the agent stopped or paused):".to_owned());
    lines.push(format!("DROP LOGIN {login};"));
    lines.join("\n")
}

fn pair<K: Clone, V: Copy>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), *value)
}
