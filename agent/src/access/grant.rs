//! What one principal is declared to be granted: rights in a database and on the server, memberships of roles.
//!
//! Names are looked up first, so that plan and catalog spell them alike whatever the collation; what does not exist
//! is a conflict, not a statement that fails halfway.

use states::{Map, Value};

use crate::mssql::param::text as text_cell;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{Param, Session, SqlError};

use super::arguments;
use super::difference::{Aim, Difference, difference};
use super::permission::Permission;
use super::rights::{Right, RightState, Rights};
use super::securable::Securable;
use super::user::{Extent, converge_roles};
use super::{AccessError, Statement};

/// What one principal is to have.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantWish {
    /// The user or role of the database.
    pub user: SqlName,
    /// The login, for rights on the server.
    pub login: SqlName,
    /// In the database.
    pub rights: Rights,
    /// On the server; `None` when not spoken of.
    pub server: Option<Rights>,
    /// Roles of the database; `None` when not spoken of.
    pub roles: Option<Vec<SqlName>>,
}

/// What the principal has.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GrantFound {
    /// In the database, by name.
    pub rights: Rights,
    /// On the server, by name.
    pub server: Rights,
    /// Roles of the database, sorted.
    pub roles: Vec<String>,
}

impl GrantWish {
    /// Reads `user` (default: the state's name), `login` (default: the user), `roles`, and either one grant (`object`,
    /// `schema` or `securable: server|database`, with `columns`, `permissions`, `grant_option`, `deny`) or a list of
    /// such in `grants`.
    ///
    /// # Errors
    /// A permission that is not known there, columns without an object, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let user = arguments::name(args, "user")?.map_or_else(|| SqlName::new(name), Ok)?;
        let login = arguments::name(args, "login")?;
        let all: Rights = match args.get("grants") {
            None | Some(Value::Nil) => read_grant(args)?.into_iter().collect(),
            Some(Value::List(grants)) => read_list(grants)?,
            Some(_) => return Err(AccessError::Argument("grants must be a list of mappings".into())),
        };
        let on_server = |right: &Right| right.securable == Securable::Server;
        let (server, rights): (Vec<_>, Vec<_>) = all.known.into_iter().partition(|(r, _)| on_server(r));
        let speaks_of_server = login.is_some() || !server.is_empty();
        Ok(Self {
            login: login.unwrap_or_else(|| user.clone()),
            user,
            rights: rights.into_iter().collect(),
            server: speaks_of_server.then(|| server.into_iter().collect()),
            roles: match args.get("roles") {
                Some(_) => Some(super::login::without_public(arguments::names(args, "roles")?)),
                None => None,
            },
        })
    }

    /// Spells every name as the catalog does.
    ///
    /// # Errors
    /// There is no such object, column, schema or role; the catalog cannot be read.
    pub async fn resolve(&mut self, session: &mut Session) -> Result<(), AccessError> {
        self.rights = resolve_rights(session, &self.rights).await?;
        for role in self.roles.iter_mut().flatten() {
            let rows = session.query(ROLE, &[Param::from(role.as_str())]).await?;
            *role = first_name(&rows)?
                .ok_or_else(|| AccessError::Conflict(format!("there is no role {role} in the database")))?;
        }
        Ok(())
    }

    /// Reads what the principal has; `None` when there is no such user or role.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn found(&self, session: &mut Session) -> Result<Option<GrantFound>, AccessError> {
        let name = [Param::from(self.user.as_str())];
        if session.query(PRINCIPAL, &name).await?.is_empty() {
            return Ok(None);
        }
        let server = match &self.server {
            Some(_) => Rights::of_login(session, &self.login).await?,
            None => Rights::default(),
        };
        Ok(Some(GrantFound {
            rights: Rights::of_user(session, &self.user).await?,
            server,
            roles: super::user::roles_of(session, &self.user).await?,
        }))
    }

    /// What is to be done.
    ///
    /// # Errors
    /// A DENY stands in the way of a declared grant.
    pub fn plan(&self, found: &GrantFound, aim: Aim) -> Result<Difference, AccessError> {
        let mut whole = Difference::default();
        if let (Some(roles), Aim::Present | Aim::Exact(_)) = (&self.roles, aim) {
            let extent = match aim {
                Aim::Exact(prune) => Extent::Exact(prune),
                Aim::Present | Aim::Absent => Extent::AtLeast,
            };
            whole.left.extend(converge_roles(&self.user, roles, &found.roles, extent, &mut whole.plan));
            let missing = roles.iter().filter(|role| !found.roles.iter().any(|have| have == role.as_str()));
            whole.missing.extend(missing.map(|role| format!("membership of role {role}")));
        }
        let database = difference(&self.user, &self.rights, &found.rights, aim)?;
        whole.plan.statements.extend(database.plan.statements);
        whole.plan.changes.extend(database.plan.changes);
        whole.left.extend(database.left);
        whole.missing.extend(database.missing);
        if let Some(wish) = &self.server {
            let server = difference(&self.login, wish, &found.server, aim)?;
            let master = SqlName::new("master")?;
            let there = |statement: Statement| statement.in_database(master.clone());
            whole.plan.statements.extend(server.plan.statements.into_iter().map(there));
            whole.plan.changes.extend(server.plan.changes);
            whole.left.extend(server.left);
            whole.missing.extend(server.missing);
        }
        Ok(whole)
    }
}

/// Rights with the catalog's spelling of their names.
///
/// # Errors
/// There is no such object, column or schema; the catalog cannot be read.
pub async fn resolve_rights(session: &mut Session, rights: &Rights) -> Result<Rights, AccessError> {
    let mut resolved = Rights { known: std::collections::BTreeMap::new(), others: rights.others.clone() };
    let mut last: Option<(Securable, Securable, Vec<String>)> = None;
    for (right, state) in &rights.known {
        if last.as_ref().is_none_or(|(asked, ..)| *asked != right.securable) {
            let (securable, columns) = look_up(session, &right.securable).await?;
            last = Some((right.securable.clone(), securable, columns));
        }
        let Some((_, securable, columns)) = &last else { continue };
        let column = match &right.column {
            Some(column) => Some(spelled(column, columns, securable)?),
            None => None,
        };
        let right = Right { securable: securable.clone(), permission: right.permission.clone(), column };
        resolved.known.insert(right, *state);
    }
    Ok(resolved)
}

/// A securable as the catalog spells it, and its columns.
async fn look_up(
    session: &mut Session,
    securable: &Securable,
) -> Result<(Securable, Vec<String>), AccessError> {
    match securable {
        Securable::Server | Securable::Database => Ok((securable.clone(), Vec::new())),
        Securable::Schema(schema) => {
            let rows = session.query(SCHEMA, &[Param::from(schema.as_str())]).await?;
            let found = first_name(&rows)?.ok_or_else(|| missing("schema", schema))?;
            Ok((Securable::Schema(found), Vec::new()))
        }
        Securable::Object(object) => {
            let name = [Param::Text(object.quoted())];
            let rows = session.query(OBJECT, &name).await?;
            let text = |at: usize| -> Result<Option<String>, SqlError> {
                let Some(row) = rows.first() else { return Ok(None) };
                Ok(text_cell(row.get_column_data(at)?))
            };
            let (Some(schema), Some(found)) = (text(0)?, text(1)?) else {
                return Err(missing("object", object));
            };
            let object = ObjectName { schema: SqlName::new(schema)?, name: SqlName::new(found)? };
            let columns = super::login::first_texts(&session.query(COLUMNS, &name).await?)?;
            Ok((Securable::Object(object), columns))
        }
    }
}

fn missing(kind: &str, name: &dyn std::fmt::Display) -> AccessError {
    AccessError::Conflict(format!("there is no {kind} {name} in the database"))
}

/// The column of that name; where the collation ignores case, an exact match wins over another.
fn spelled(column: &SqlName, columns: &[String], of: &Securable) -> Result<SqlName, AccessError> {
    let name = column.as_str();
    let alike = |known: &&String| known.to_lowercase() == name.to_lowercase();
    let found = columns.iter().find(|known| *known == name).or_else(|| columns.iter().find(alike));
    match found {
        Some(found) => Ok(SqlName::new(found.clone())?),
        None => Err(AccessError::Conflict(format!("{of} has no column {column}"))),
    }
}

fn first_name(rows: &[tiberius::Row]) -> Result<Option<SqlName>, AccessError> {
    let name = super::login::first_texts(rows)?.into_iter().next();
    Ok(name.map(SqlName::new).transpose()?)
}

fn read_list(grants: &[Value]) -> Result<Rights, AccessError> {
    let mut rights = Rights::default();
    for grant in grants {
        let grant =
            grant.as_map().ok_or_else(|| AccessError::Argument("each of grants must be a mapping".into()))?;
        if let Some(unknown) = grant.keys().filter_map(Value::as_str).find(|key| !GRANT_KEYS.contains(key)) {
            return Err(AccessError::Argument(format!(
                "a grant takes no '{unknown}', only {}",
                GRANT_KEYS.join(", ")
            )));
        }
        for (right, state) in read_grant(grant)? {
            let former = rights.known.insert(right.clone(), state);
            if former.is_some_and(|former| former.allows() != state.allows()) {
                return Err(AccessError::Argument(format!("{right} is both granted and denied")));
            }
        }
    }
    Ok(rights)
}

fn read_grant(args: &Map) -> Result<Vec<(Right, RightState)>, AccessError> {
    let columns = arguments::names(args, "columns")?;
    let securable = read_securable(args)?;
    if !columns.is_empty() && !matches!(securable, Securable::Object(_)) {
        return Err(AccessError::Argument("columns need an object".into()));
    }
    let mut permissions: Vec<String> =
        arguments::names(args, "permissions")?.iter().map(|name| name.as_str().to_owned()).collect();
    if permissions.is_empty() {
        permissions.push("SELECT".to_owned());
    }
    let switch = |name| arguments::switch(args, name).map(|on| on == Some(true));
    let state = match (switch("deny")?, switch("grant_option")?) {
        (true, true) => return Err(AccessError::Argument("give deny or grant_option, not both".into())),
        (true, false) => RightState::Denied,
        (false, true) => RightState::Grantable,
        (false, false) => RightState::Granted,
    };
    let mut rights = Vec::new();
    for name in permissions {
        let permission = Permission::on(securable.class(), &name)?;
        if columns.is_empty() {
            rights.push((Right::on(securable.clone(), permission), state));
            continue;
        }
        if !permission.fits_columns() {
            return Err(AccessError::Argument(format!("{permission} cannot be granted by column")));
        }
        rights.extend(columns.iter().map(|column| {
            let (securable, permission) = (securable.clone(), permission.clone());
            (Right { securable, permission, column: Some(column.clone()) }, state)
        }));
    }
    Ok(rights)
}

fn read_securable(args: &Map) -> Result<Securable, AccessError> {
    let object = arguments::text(args, "object")?.map(|text| ObjectName::parse(&text)).transpose()?;
    let schema = arguments::name(args, "schema")?;
    match (object, schema, arguments::text(args, "securable")?.as_deref()) {
        (Some(object), None, None) => Ok(Securable::Object(object)),
        (None, Some(schema), None) => Ok(Securable::Schema(schema)),
        (None, None, None | Some("database")) => Ok(Securable::Database),
        (None, None, Some("server")) => Ok(Securable::Server),
        (None, None, Some(_)) => Err(AccessError::Argument("securable must be server or database".into())),
        (Some(_), _, _) | (_, Some(_), _) => {
            Err(AccessError::Argument("give one of object, schema and securable".into()))
        }
    }
}

const GRANT_KEYS: &[&str] =
    &["object", "schema", "securable", "columns", "permissions", "grant_option", "deny"];

const PRINCIPAL: &str = "SELECT u.name FROM sys.database_principals AS u WHERE u.name = @P1";
const ROLE: &str = "SELECT r.name FROM sys.database_principals AS r WHERE r.name = @P1 AND r.type = 'R'";
const SCHEMA: &str = "SELECT s.name FROM sys.schemas AS s WHERE s.name = @P1";
const OBJECT: &str = "SELECT s.name, o.name FROM sys.all_objects AS o \
     INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id WHERE o.object_id = OBJECT_ID(@P1)";
const COLUMNS: &str = "SELECT c.name FROM sys.all_columns AS c WHERE c.object_id = OBJECT_ID(@P1)";

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(yaml: &str) -> Result<GrantWish, AccessError> {
        GrantWish::read("sync", states::yaml::load(yaml).unwrap().as_map().unwrap())
    }

    fn refusal(yaml: &str) -> String {
        wish(yaml).unwrap_err().to_string()
    }

    #[test]
    fn one_grant_or_a_list_of_grants_is_read() {
        let one = wish("{object: Visit, columns: [A, B]}").unwrap();
        assert_eq!(super::super::difference::in_words(&one.rights), ["SELECT on dbo.Visit (A, B)"]);
        let many = wish(
            "{login: l, grants: [{object: crm.T, permissions: [SELECT, insert]}, {securable: server, \
             permissions: VIEW SERVER STATE}, {schema: crm, permissions: EXECUTE, grant_option: true}]}",
        )
        .unwrap();
        assert_eq!((many.rights.known.len(), many.login.as_str()), (3, "l"));
        assert_eq!(many.server.unwrap().known.len(), 1);
        assert_eq!(many.rights.known.values().filter(|s| **s == RightState::Grantable).count(), 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        assert!(
            refusal("{permissions: 'SELECT TO public; --'}").contains("is not a permission on a database")
        );
        assert_eq!(refusal("{columns: A}"), "columns need an object");
        assert_eq!(refusal("{object: T, schema: s}"), "give one of object, schema and securable");
        assert_eq!(
            refusal("{object: T, columns: A, permissions: DELETE}"),
            "DELETE cannot be granted by column"
        );
        assert!(refusal("{grants: [{objekt: T}]}").contains("takes no 'objekt'"));
        assert_eq!(
            refusal("{grants: [{object: T}, {object: T, deny: true}]}"),
            "SELECT on dbo.T is both granted and denied"
        );
        assert!(refusal("{object: T, deny: true, grant_option: true}").contains("not both"));
    }

    #[test]
    fn server_rights_are_granted_in_master_and_roles_first() {
        let wish = wish(
            "{login: l, roles: [db_datareader], grants: [{object: T}, {securable: server, permissions: \
             VIEW SERVER STATE}]}",
        )
        .unwrap();
        let found = GrantFound { roles: vec!["db_owner".into()], ..GrantFound::default() };
        let mut plan = wish.plan(&found, Aim::Exact(super::super::difference::Prune::Revoke)).unwrap().plan;
        plan.home = Some(SqlName::new("Main]OMS").unwrap());
        assert_eq!(
            plan.script(),
            "ALTER ROLE [db_owner] DROP MEMBER [sync];\nALTER ROLE [db_datareader] ADD MEMBER [sync];\n\
             GRANT SELECT ON OBJECT::[dbo].[T] TO [sync];\nUSE [master];\nGRANT VIEW SERVER STATE TO [l]"
        );
        let script = plan.script_for_others(super::super::plan::Atomicity::Transaction);
        assert!(script.starts_with("USE [Main]]OMS];\nSET XACT_ABORT ON;\nBEGIN TRANSACTION;"), "{script}");
    }
}
