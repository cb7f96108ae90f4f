//! Server and database principals, memberships, permissions.
//!
//! Visibility: a login sees itself, `sa` and the fixed roles; ALTER ANY LOGIN, VIEW ANY DEFINITION or CONTROL SERVER
//! show all ("sys.server_principals"). A user sees itself, the system users and fixed roles ("sys.database_principals").

use std::sync::Arc;

use super::{Definition, NAME, SID, TEXT60, bit, bytes, code, date, int, optional, row, text_value};
use crate::engine::ast::SecurableClass;
use crate::engine::exec::Exec;
use crate::engine::message::Result;
use crate::engine::permission::{self, Grant};
use crate::engine::principal::{self, Login, PrincipalKind};
use crate::engine::security::On;
use crate::engine::storage::database::Database;
use crate::types::{Datum, Length, Row, SqlType};

const INT: SqlType = SqlType::Int;
const BIT: SqlType = SqlType::Bit;
const DATE: SqlType = SqlType::DateTime;
const CHAR1: SqlType = SqlType::Char(1);

pub const VIEWS: &[Definition] = &[
    Definition {
        name: "server_principals",
        columns: &[
            ("name", NAME),
            ("principal_id", INT),
            ("sid", SID),
            ("type", CHAR1),
            ("type_desc", TEXT60),
            ("is_disabled", BIT),
            ("create_date", DATE),
            ("modify_date", DATE),
            ("default_database_name", NAME),
            ("default_language_name", NAME),
            ("credential_id", INT),
            ("owning_principal_id", INT),
            ("is_fixed_role", BIT),
        ],
        make: server_principals,
    },
    Definition {
        name: "sql_logins",
        columns: &[
            ("name", NAME),
            ("principal_id", INT),
            ("sid", SID),
            ("type", CHAR1),
            ("type_desc", TEXT60),
            ("is_disabled", BIT),
            ("create_date", DATE),
            ("modify_date", DATE),
            ("default_database_name", NAME),
            ("default_language_name", NAME),
            ("credential_id", INT),
            ("is_policy_checked", BIT),
            ("is_expiration_checked", BIT),
            ("password_hash", SqlType::VarBinary(Length::Of(256))),
        ],
        make: sql_logins,
    },
    Definition {
        name: "server_role_members",
        columns: &[("role_principal_id", INT), ("member_principal_id", INT)],
        make: server_role_members,
    },
    Definition { name: "server_permissions", columns: PERMISSION, make: server_permissions },
    Definition {
        name: "database_principals",
        columns: &[
            ("name", NAME),
            ("principal_id", INT),
            ("type", CHAR1),
            ("type_desc", TEXT60),
            ("default_schema_name", NAME),
            ("create_date", DATE),
            ("modify_date", DATE),
            ("owning_principal_id", INT),
            ("sid", SID),
            ("is_fixed_role", BIT),
            ("authentication_type", INT),
            ("authentication_type_desc", TEXT60),
            ("default_language_name", NAME),
            ("default_language_lcid", INT),
        ],
        make: database_principals,
    },
    Definition {
        name: "database_role_members",
        columns: &[("role_principal_id", INT), ("member_principal_id", INT)],
        make: database_role_members,
    },
    Definition { name: "database_permissions", columns: PERMISSION, make: database_permissions },
];

const PERMISSION: &[(&str, SqlType)] = &[
    ("class", SqlType::TinyInt),
    ("class_desc", TEXT60),
    ("major_id", INT),
    ("minor_id", INT),
    ("grantee_principal_id", INT),
    ("grantor_principal_id", INT),
    ("type", SqlType::Char(4)),
    ("permission_name", NAME),
    ("state", CHAR1),
    ("state_desc", TEXT60),
];

fn sees_all_logins(exec: &Exec<'_>) -> bool {
    ["ALTER ANY LOGIN", "VIEW ANY DEFINITION", "CONTROL SERVER"]
        .into_iter()
        .any(|p| exec.session.has_server_permission(p))
}

fn sees_login(exec: &Exec<'_>, login: &Login) -> bool {
    login.id == principal::SA || login.id == exec.session.context().login || sees_all_logins(exec)
}

fn server_principals(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let server = exec.session.server();
    let logins = server.logins.values().filter(|l| sees_login(exec, l)).map(|l| {
        row([
            text_value(&l.name),
            int(l.id),
            bytes(&l.sid),
            code("S"),
            text_value("SQL_LOGIN"),
            bit(l.disabled),
            date(l.created),
            date(l.modified),
            text_value(&l.default_database),
            text_value(&l.default_language),
            Datum::Null,
            Datum::Null,
            bit(false),
        ])
    });
    let roles = server.roles.values().map(|r| {
        row([
            text_value(&r.name),
            int(r.id),
            bytes(&[r.id as u8]),
            code("R"),
            text_value("SERVER_ROLE"),
            bit(false),
            date(r.created),
            date(r.created),
            Datum::Null,
            Datum::Null,
            Datum::Null,
            int(principal::SA),
            bit(r.fixed && r.id != principal::SERVER_PUBLIC),
        ])
    });
    Ok(logins.chain(roles).collect())
}

fn sql_logins(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let server = exec.session.server();
    let hashes = exec.session.has_server_permission("CONTROL SERVER");
    let shown = server.logins.values().filter(|l| sees_login(exec, l)).map(|l| {
        row([
            text_value(&l.name),
            int(l.id),
            bytes(&l.sid),
            code("S"),
            text_value("SQL_LOGIN"),
            bit(l.disabled),
            date(l.created),
            date(l.modified),
            text_value(&l.default_database),
            text_value(&l.default_language),
            Datum::Null,
            bit(l.check_policy),
            bit(l.check_expiration),
            optional(hashes.then_some(l.password.bytes()), bytes),
        ])
    });
    Ok(shown.collect())
}

fn server_role_members(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let server = exec.session.server();
    let own = exec.session.context().login;
    let all = sees_all_logins(exec);
    let shown = server.members.iter().filter(|(_, member)| all || *member == own || *member == principal::SA);
    Ok(shown.map(|(role, member)| row([int(*role), int(*member)])).collect())
}

fn class(grant: &Grant) -> (u8, &'static str) {
    match grant.class {
        SecurableClass::Server => (100, "SERVER"),
        SecurableClass::Login => (101, "SERVER_PRINCIPAL"),
        SecurableClass::Database => (0, "DATABASE"),
        SecurableClass::Object => (1, "OBJECT_OR_COLUMN"),
        SecurableClass::Schema => (3, "SCHEMA"),
        SecurableClass::User | SecurableClass::Role => (4, "DATABASE_PRINCIPAL"),
    }
}

fn permission_row(grant: &Grant) -> Row {
    let (number, description) = class(grant);
    row([
        Datum::TinyInt(number),
        text_value(description),
        int(grant.major),
        int(grant.minor),
        int(grant.grantee),
        int(grant.grantor),
        code(&format!("{:<4}", permission::code(grant.permission, grant.class))),
        text_value(grant.permission),
        code(grant.state.code()),
        text_value(grant.state.description()),
    ])
}

fn server_permissions(exec: &Exec<'_>, _: &Arc<Database>) -> Result<Vec<Row>> {
    let server = exec.session.server();
    let mine = exec.session.server_principals();
    let all = sees_all_logins(exec);
    Ok(server.grants.0.iter().filter(|g| all || mine.contains(&g.grantee)).map(permission_row).collect())
}

/// Whether the session sees every user and permission of a database.
fn sees_all_users(exec: &Exec<'_>, database: &Database) -> bool {
    ["VIEW DEFINITION", "ALTER ANY USER", "CONTROL"]
        .into_iter()
        .any(|p| exec.session.has_permission(database, On::DATABASE, p))
}

fn database_principals(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let all = sees_all_users(exec, database);
    let mine = exec.session.principals_in(database);
    let shown = metadata.principals.list.values().filter(|p| all || p.fixed || mine.contains(&p.id));
    let one = |p: &principal::Principal| {
        let user = p.kind == PrincipalKind::User;
        let sid = if p.id == principal::DBO { Some(database.owner_sid()) } else { p.sid.clone() };
        let authenticated = user && !p.without_login && (p.id == principal::DBO || !p.fixed);
        row([
            text_value(&p.name),
            int(p.id),
            code(if user { "S" } else { "R" }),
            text_value(if user { "SQL_USER" } else { "DATABASE_ROLE" }),
            optional(p.default_schema.as_ref(), text_value),
            date(p.created),
            date(p.modified),
            optional(p.owner, int),
            optional(sid.as_deref(), bytes),
            bit(p.fixed && !user && p.id != principal::PUBLIC),
            int(i32::from(authenticated)),
            text_value(if authenticated { "INSTANCE" } else { "NONE" }),
            Datum::Null,
            Datum::Null,
        ])
    };
    Ok(shown.map(one).collect())
}

fn database_role_members(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let all = sees_all_users(exec, database);
    let mine = exec.session.principals_in(database);
    let dbo = (principal::DB_OWNER, principal::DBO);
    let shown = metadata.principals.members.iter().filter(|(_, member)| all || mine.contains(member));
    Ok(std::iter::once(&dbo).chain(shown).map(|(role, member)| row([int(*role), int(*member)])).collect())
}

fn database_permissions(exec: &Exec<'_>, database: &Arc<Database>) -> Result<Vec<Row>> {
    let metadata = exec.metadata(database);
    let all = sees_all_users(exec, database);
    let mine = exec.session.principals_in(database);
    Ok(metadata.grants.0.iter().filter(|g| all || mine.contains(&g.grantee)).map(permission_row).collect())
}
