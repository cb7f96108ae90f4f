//! SQL Server's words in plain ones.

use super::Table;

/// What a permission lets one do, on whatever it is on.
pub fn of_permission(permission: &str) -> String {
    match permission {
        "SELECT" => "read rows",
        "INSERT" => "add rows",
        "UPDATE" => "change rows",
        "DELETE" => "delete rows",
        "EXECUTE" => "run procedures",
        "REFERENCES" => "refer to it in keys",
        "CONNECT" => "open the database",
        "CONNECT SQL" => "log in to the server",
        "CONTROL" | "CONTROL SERVER" => "do everything",
        "ALTER" => "change its structure",
        "VIEW DEFINITION" | "VIEW ANY DEFINITION" => "see structure",
        "VIEW CHANGE TRACKING" => "see which rows changed",
        "VIEW DATABASE STATE" | "VIEW SERVER STATE" => "see load and sessions",
        "TAKE OWNERSHIP" => "become its owner",
        "VIEW ANY DATABASE" => "see the names of databases",
        other => return other.to_lowercase(),
    }
    .to_owned()
}

/// What a role of SQL Server's own lets its members do.
pub fn of_role(role: &str) -> &'static str {
    match role {
        "public" => "what everyone may do",
        "db_owner" => "do everything in this database",
        "db_datareader" => "read every table",
        "db_datawriter" => "add, change and delete rows of every table",
        "db_ddladmin" => "change the structure of the database",
        "db_securityadmin" => "grant permissions in this database",
        "db_accessadmin" => "let logins into this database",
        "db_backupoperator" => "back the database up",
        "db_denydatareader" => "is kept from reading any table",
        "db_denydatawriter" => "is kept from writing any table",
        "sysadmin" => "do everything on this server",
        "securityadmin" => "make logins and grant permissions on this server",
        "serveradmin" => "change the server's settings and stop it",
        "processadmin" => "end sessions of others",
        "dbcreator" => "create databases",
        "setupadmin" => "change linked servers",
        "diskadmin" => "manage backup devices",
        "bulkadmin" => "load files in bulk",
        _ => "what this role was given",
    }
}

/// True when membership of a fixed role includes the permission on any table.
pub fn role_covers(role: &str, permission: &str) -> bool {
    match role {
        "db_owner" | "sysadmin" => true,
        "db_datareader" => permission == "SELECT",
        "db_datawriter" => matches!(permission, "INSERT" | "UPDATE" | "DELETE"),
        _ => false,
    }
}

/// Notes what is needed of a table under what is read or written.
pub fn note(table: &mut Table, permission: &str, columns: Vec<String>) {
    if matches!(permission, "SELECT" | "VIEW CHANGE TRACKING") {
        if columns.is_empty() && permission == "SELECT" {
            table.reads = vec!["*".to_owned()];
        } else if table.reads != ["*"] {
            columns.into_iter().for_each(|column| super::push_new(&mut table.reads, column));
        }
        return;
    }
    let what = of_permission(permission);
    let what = if columns.is_empty() { what } else { format!("{what}: {}", columns.join(", ")) };
    super::push_new(&mut table.writes, what);
}
