//! Security functions: who one is, what one belongs to, what one may do, whether a password matches.

use super::{Builtin, int, int_of, sysname, text_of};
use crate::engine::ast::SecurableClass;
use crate::engine::exec::Exec;
use crate::engine::functions::metadata::split_name;
use crate::engine::message::Result;
use crate::engine::permission;
use crate::engine::principal::{self, PasswordHash};
use crate::engine::security::{On, role_id};
use crate::engine::value::text;
use crate::types::{Datum, Length, SqlType};
use std::sync::Arc;

pub const LIST: &[Builtin] = &[
    Builtin::new("SUSER_SNAME", (0, 1), sysname, suser_sname),
    Builtin::new("SUSER_NAME", (0, 1), sysname, suser_name),
    Builtin::new("SUSER_ID", (0, 1), int, suser_id),
    Builtin::new("SUSER_SID", (0, 2), |_| Ok(SqlType::VarBinary(Length::Of(85))), suser_sid),
    Builtin::new("SYSTEM_USER", (0, 0), sysname, |e, _| Ok(Datum::text(&e.session.context().login_name))),
    Builtin::new("ORIGINAL_LOGIN", (0, 0), sysname, |e, _| {
        Ok(Datum::text(&e.session.original_context().login_name))
    }),
    Builtin::new("USER_NAME", (0, 1), sysname, user_name),
    Builtin::new("USER_ID", (0, 1), int, principal_id),
    Builtin::new("DATABASE_PRINCIPAL_ID", (0, 1), int, principal_id),
    Builtin::new("CURRENT_USER", (0, 0), sysname, user_name),
    Builtin::new("SESSION_USER", (0, 0), sysname, user_name),
    Builtin::new("USER", (0, 0), sysname, user_name),
    Builtin::new("IS_MEMBER", (1, 1), int, is_role_member),
    Builtin::new("IS_ROLEMEMBER", (1, 2), int, is_role_member),
    Builtin::new("HAS_DBACCESS", (1, 1), int, has_db_access),
    Builtin::new("HAS_PERMS_BY_NAME", (3, 5), int, has_perms_by_name),
    Builtin::new("PWDCOMPARE", (2, 3), int, pwd_compare),
    Builtin::new("PWDENCRYPT", (1, 1), |_| Ok(SqlType::VarBinary(Length::Of(256))), pwd_encrypt),
    Builtin::new("LOGINPROPERTY", (2, 2), super::variant, login_property),
];

fn suser_sname(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(sid) = args.first() else { return Ok(Datum::text(exec.session.context().login_name)) };
    let Datum::Binary(sid) = sid else { return Ok(Datum::Null) };
    Ok(exec.session.server().login_by_sid(sid).map_or(Datum::Null, |l| Datum::text(&l.name)))
}

fn suser_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(id) = args.first() else { return Ok(Datum::text(exec.session.context().login_name)) };
    let id = int_of(id)?.unwrap_or(0) as i32;
    Ok(exec.session.server().name_of(id).map_or(Datum::Null, Datum::text))
}

fn suser_id(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let server = exec.session.server();
    Ok(match args.first() {
        None => Datum::Int(exec.session.context().login),
        Some(name) => {
            let name = text_of(name)?.unwrap_or_default();
            let id = server.login(&name).map(|l| l.id).or_else(|| server.role(&name).map(|r| r.id));
            id.map_or(Datum::Null, Datum::Int)
        }
    })
}

fn suser_sid(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = match args.first() {
        Some(name) => text_of(name)?.unwrap_or_default(),
        None => exec.session.context().login_name,
    };
    let server = exec.session.server();
    Ok(server.login(&name).map_or(Datum::Null, |l| Datum::Binary(Arc::from(l.sid.as_slice()))))
}

fn user_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let database = exec.session.database();
    let id = match args.first() {
        Some(id) => int_of(id)?.map(|id| id as i32),
        None => exec.session.user_in(&database),
    };
    let metadata = exec.metadata(&database);
    Ok(id.and_then(|id| metadata.principals.list.get(&id)).map_or(Datum::Null, |p| Datum::text(&p.name)))
}

fn principal_id(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let database = exec.session.database();
    let id = match args.first() {
        Some(name) => {
            let name = text_of(name)?.unwrap_or_default();
            exec.metadata(&database).principals.find(&name).map(|p| p.id)
        }
        None => exec.session.user_in(&database),
    };
    Ok(id.map_or(Datum::Null, Datum::Int))
}

/// `IS_ROLEMEMBER(role [, principal])`, `IS_MEMBER(role)`
fn is_role_member(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(role) = text_of(&args[0])? else { return Ok(Datum::Null) };
    let database = exec.session.database();
    let metadata = exec.metadata(&database);
    let Some(role) = role_id(&metadata, &role) else { return Ok(Datum::Null) };
    let principals = match args.get(1) {
        Some(name) => {
            let name = text_of(name)?.unwrap_or_default();
            match metadata.principals.find(&name) {
                Some(found) => metadata.principals.closure(found.id),
                None => return Ok(Datum::Null),
            }
        }
        None => exec.session.principals_in(&database),
    };
    // dbo is in db_owner; a sysadmin is dbo.
    let dbo = principals.contains(&principal::DBO) && role == principal::DB_OWNER;
    Ok(Datum::Int(i32::from(dbo || principals.contains(&role))))
}

/// `IS_SRVROLEMEMBER(role [, login])`
pub fn is_server_role_member(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(role) = text_of(&args[0])? else { return Ok(Datum::Null) };
    let server = exec.session.server();
    let Some(role) = server.role(&role).map(|r| r.id) else { return Ok(Datum::Null) };
    let principals = match args.get(1) {
        Some(name) => {
            let name = text_of(name)?.unwrap_or_default();
            match server.login(&name) {
                Some(login) => server.closure(login.id),
                None => return Ok(Datum::Null),
            }
        }
        None => exec.session.server_principals(),
    };
    let sysadmin = principals.contains(&principal::SYSADMIN);
    Ok(Datum::Int(i32::from(sysadmin || principals.contains(&role))))
}

fn has_db_access(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let name = text_of(&args[0])?.unwrap_or_default();
    Ok(match exec.session.instance.database(&name) {
        Some(database) => Datum::Int(i32::from(exec.session.require_access(&database).is_ok())),
        None => Datum::Null,
    })
}

/// `HAS_PERMS_BY_NAME(securable, class, permission [, sub, sub-class])`
fn has_perms_by_name(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (securable, class) = (text_of(&args[0])?, text_of(&args[1])?);
    let Some(wanted) = text_of(&args[2])?.map(|p| p.to_ascii_uppercase()) else { return Ok(Datum::Null) };
    let column = args.get(3).map_or(Ok(None), text_of)?;
    let class = class.map_or_else(|| "SERVER".to_owned(), |c| c.to_ascii_uppercase());
    let answer = match class.as_str() {
        "SERVER" => server_permission(exec, &wanted),
        "DATABASE" => database_permission(exec, securable, &wanted),
        "SCHEMA" => {
            let database = exec.session.database();
            let schema = exec.metadata(&database).schema(&securable.unwrap_or_default()).map(|s| s.id);
            schema.and_then(|id| on(exec, &database, On::schema(id), &wanted))
        }
        "OBJECT" => object_permission(exec, &securable.unwrap_or_default(), column, &wanted),
        "LOGIN" => server_permission(exec, "ALTER ANY LOGIN"),
        _ => None,
    };
    Ok(answer.map_or(Datum::Null, |yes| Datum::Int(i32::from(yes))))
}

fn server_permission(exec: &Exec<'_>, wanted: &str) -> Option<bool> {
    if wanted == "ANY" {
        return Some(true);
    }
    permission::find(wanted, SecurableClass::Server).map(|p| exec.session.has_server_permission(p))
}

fn database_permission(exec: &Exec<'_>, name: Option<String>, wanted: &str) -> Option<bool> {
    let database = match name {
        Some(name) => exec.session.instance.database(&name)?,
        None => exec.session.database(),
    };
    on(exec, &database, On::DATABASE, wanted)
}

fn on(
    exec: &Exec<'_>,
    database: &crate::engine::storage::database::Database,
    on: On,
    wanted: &str,
) -> Option<bool> {
    if wanted == "ANY" {
        return Some(exec.session.user_in(database).is_some());
    }
    permission::find(wanted, on.class).map(|p| exec.session.has_permission(database, on, p))
}

fn object_permission(exec: &Exec<'_>, name: &str, column: Option<String>, wanted: &str) -> Option<bool> {
    let name = split_name(name)?;
    let mut binder = crate::engine::bind::Binder::new(exec);
    let (database, object) = match binder.resolve(&name).ok()? {
        crate::engine::bind::TableRef::Table(database, table) => {
            let id = column.as_ref().map(|c| table.info.column(c).map(|at| table.info.columns[at].id));
            (database, (table.info.object_id, id))
        }
        crate::engine::bind::TableRef::View(database, view) => {
            let id = column
                .as_ref()
                .map(|c| view.columns.iter().position(|v| text::equal(v, c)).map(|at| at as i32 + 1));
            (database, (view.object_id, id))
        }
        crate::engine::bind::TableRef::System(_) => return Some(wanted == "SELECT"),
    };
    if wanted == "ANY" {
        return Some(exec.session.sees_object(&database, object.0));
    }
    let wanted = permission::find(wanted, SecurableClass::Object)?;
    let columns = match object.1 {
        Some(id) => std::iter::once(id?).collect(),
        None => std::collections::BTreeSet::new(),
    };
    if columns.is_empty() {
        return Some(exec.session.has_permission(&database, On::object(object.0), wanted));
    }
    let needed = crate::engine::security::Needed { permission: wanted, object: object.0, columns: &columns };
    Some(exec.session.require_object(&database, &needed).is_ok())
}

fn pwd_compare(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(password), Datum::Binary(hash)) = (text_of(&args[0])?, &args[1]) else {
        return Ok(Datum::Null);
    };
    Ok(match PasswordHash::from_bytes(hash.to_vec()) {
        Some(hash) => Datum::Int(i32::from(hash.matches(&password))),
        None => Datum::Int(0),
    })
}

fn pwd_encrypt(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(password) = text_of(&args[0])? else { return Ok(Datum::Null) };
    let hash = PasswordHash::new(&password, exec.session.instance.random());
    Ok(Datum::Binary(Arc::from(hash.bytes())))
}

fn login_property(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(name), Some(property)) = (text_of(&args[0])?, text_of(&args[1])?) else {
        return Ok(Datum::Null);
    };
    let server = exec.session.server();
    let Some(login) = server.login(&name) else { return Ok(Datum::Null) };
    Ok(match property.to_ascii_lowercase().as_str() {
        "defaultdatabase" => Datum::text(&login.default_database),
        "defaultlanguage" => Datum::text(&login.default_language),
        "ismustchange" => Datum::Int(i32::from(login.must_change)),
        "isexpired" => Datum::Int(i32::from(login.expired)),
        "islocked" => Datum::Int(i32::from(login.locked)),
        "passwordlastsettime" => Datum::DateTime(login.modified),
        "badpasswordcount" | "historylength" => Datum::Int(0),
        "passwordhash" if exec.session.is_sysadmin() => Datum::Binary(Arc::from(login.password.bytes())),
        _ => Datum::Null,
    })
}
