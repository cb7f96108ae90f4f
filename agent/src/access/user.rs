//! Users (database principals): Salt's `mssql_user` arguments, converged.
//!
//! A user is joined to its login by SID. One whose SID has no login is orphaned (after a restore) and is mapped again with
//! `ALTER USER … WITH LOGIN`; one that belongs to another login is left to its owner and refused. Roles are at least
//! those declared, or exactly those; default schema is corrected when given.

use states::{Map, Value};

use crate::mssql::param::{integer, text as text_cell};
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session, SqlError};

use super::arguments;
use super::difference::Prune;
use super::login::{first_texts, spell, without_public};
use super::plan::name_list;
use super::{AccessError, Plan, Statement};

/// A user as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct UserWish {
    /// Its name.
    pub name: SqlName,
    /// The login it stands for; a user without login when `None`.
    pub login: Option<SqlName>,
    /// Database roles it is in.
    pub roles: Vec<SqlName>,
    /// At least those roles, or exactly those.
    pub extent: Extent,
    default_schema: Option<SqlName>,
}

/// How far a list of roles reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Others may be there.
    AtLeast,
    /// Others are taken away or named.
    Exact(Prune),
}

impl Extent {
    /// Reads the switch `name`: exact when True, at least by default.
    ///
    /// # Errors
    /// It is neither True nor False.
    pub fn read(args: &Map, name: &str) -> Result<Self, AccessError> {
        let exact = arguments::switch(args, name)? == Some(true);
        Ok(if exact { Self::Exact(Prune::Revoke) } else { Self::AtLeast })
    }
}

/// A user as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserFound {
    /// The login with its SID; `None` when orphaned or without login.
    pub login: Option<String>,
    /// That login is the declared one.
    pub login_matches: bool,
    /// It was made `WITHOUT LOGIN`, which no login can change.
    pub loginless: bool,
    /// `default_schema_name`.
    pub default_schema: String,
    /// It is the declared one.
    pub schema_matches: bool,
    /// Database roles, sorted.
    pub roles: Vec<String>,
}

impl UserWish {
    /// Reads Salt's arguments `login`, `domain`, `roles`, `options` (`DEFAULT_SCHEMA`), and ours: `default_schema`,
    /// `roles_exact`.
    ///
    /// # Errors
    /// A domain without login (in Salt's words), an unknown option, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let login = arguments::text(args, "login")?;
        let login = match (arguments::text(args, "domain")?, login) {
            (Some(_), None) => {
                return Err(AccessError::Argument("domain cannot be set without login".into()));
            }
            (Some(domain), Some(login)) => Some(format!("{domain}\\{login}")),
            (None, login) => login,
        };
        let mut default_schema = arguments::name(args, "default_schema")?;
        for (key, value) in arguments::options(args)? {
            match key.as_str() {
                "DEFAULT_SCHEMA" => default_schema = Some(arguments::option_name(&value)?),
                _ => {
                    return Err(AccessError::Argument(format!(
                        "the user option {key} is not DEFAULT_SCHEMA"
                    )));
                }
            }
        }
        Ok(Self {
            name: SqlName::new(name)?,
            login: login.map(SqlName::new).transpose()?,
            roles: without_public(arguments::names(args, "roles")?),
            extent: Extent::read(args, "roles_exact")?,
            default_schema,
        })
    }

    /// Takes the roles as the database spells them.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn resolve(&mut self, session: &mut Session) -> Result<(), AccessError> {
        spell(session, ROLE_OF_NAME, &mut self.roles).await
    }

    /// What is to be done; `found` is `None` when there is no such user.
    ///
    /// # Errors
    /// The user belongs to another login.
    pub fn plan(&self, found: Option<&UserFound>) -> Result<Plan, AccessError> {
        let mut plan = Plan::default();
        match found {
            None => self.create(&mut plan),
            Some(found) => self.alter(found, &mut plan)?,
        }
        let roles = found.map(|found| found.roles.as_slice()).unwrap_or_default();
        converge_roles(&self.name, &self.roles, roles, self.extent, &mut plan);
        Ok(plan)
    }

    /// Refuses names that are taken by something else: a role, or another user of the same login.
    ///
    /// # Errors
    /// Such a collision; the catalog cannot be read.
    pub async fn check_names(&self, session: &mut Session) -> Result<(), AccessError> {
        let name = &self.name;
        if !session.query(ROLE_OF_NAME, &[Param::from(name.as_str())]).await?.is_empty() {
            let text = format!("there is a role {name} in the database: a user needs another name");
            return Err(AccessError::Conflict(text));
        }
        let Some(login) = &self.login else { return Ok(()) };
        let both = [Param::from(login.as_str()), Param::from(name.as_str())];
        match first_texts(&session.query(OTHER_USER, &both).await?)?.first().map(String::as_str) {
            None => Ok(()),
            Some("dbo") => Err(AccessError::Conflict(format!(
                "login {login} owns the database and is dbo there, with every right: use another login"
            ))),
            Some(other) => Err(AccessError::Conflict(format!(
                "login {login} has the user {other} in the database already, and can have only one"
            ))),
        }
    }

    fn create(&self, plan: &mut Plan) {
        let mut sql = format!("CREATE USER {}", self.name.quoted());
        match &self.login {
            Some(login) => sql.push_str(&format!(" FOR LOGIN {}", login.quoted())),
            None => sql.push_str(" WITHOUT LOGIN"),
        }
        if let Some(schema) = &self.default_schema {
            sql.push_str(&format!(" WITH DEFAULT_SCHEMA = {}", schema.quoted()));
        }
        plan.push(Statement::new(sql));
        plan.changes.insert(self.name.as_str(), "Present");
    }

    fn alter(&self, found: &UserFound, plan: &mut Plan) -> Result<(), AccessError> {
        let name = self.name.quoted();
        if let Some(login) = self.login.as_ref().filter(|_| !found.login_matches) {
            if let Some(other) = &found.login {
                return Err(AccessError::Conflict(format!(
                    "User {} belongs to login {other}, not {login}: remove that user or give this one another name",
                    self.name
                )));
            }
            if found.loginless {
                return Err(AccessError::Conflict(format!(
                    "User {} was made WITHOUT LOGIN and can get none: remove it or give this one another name",
                    self.name
                )));
            }
            plan.push(Statement::new(format!("ALTER USER {name} WITH LOGIN = {}", login.quoted())));
            plan.changes("login", Value::Nil, login.as_str());
        }
        if let Some(schema) = self.default_schema.as_ref().filter(|_| !found.schema_matches) {
            plan.push(Statement::new(format!("ALTER USER {name} WITH DEFAULT_SCHEMA = {}", schema.quoted())));
            plan.changes("default_schema", found.default_schema.as_str(), schema.as_str());
        }
        Ok(())
    }
}

/// Puts a user or role into the wanted roles and, when exact, out of the others; gives what was left, in words.
pub fn converge_roles(
    member: &SqlName,
    wanted: &[SqlName],
    found: &[String],
    extent: Extent,
    plan: &mut Plan,
) -> Vec<String> {
    let is_wanted = |role: &&String| wanted.iter().any(|name| name.as_str() == *role);
    let others: Vec<&String> = found.iter().filter(|role| !is_wanted(role)).collect();
    let mut roles = found.to_vec();
    let mut left = Vec::new();
    match extent {
        Extent::AtLeast => {}
        Extent::Exact(Prune::Report) => {
            left.extend(others.iter().map(|role| format!("membership of role {role}")));
        }
        Extent::Exact(Prune::Revoke) => {
            for role in others.iter().filter_map(|role| SqlName::new((*role).clone()).ok()) {
                let sql = format!("ALTER ROLE {} DROP MEMBER {}", role.quoted(), member.quoted());
                plan.push(Statement::new(sql));
            }
            roles.retain(|role| is_wanted(&role));
        }
    }
    for role in wanted.iter().filter(|role| !found.iter().any(|have| have == role.as_str())) {
        let sql = format!("ALTER ROLE {} ADD MEMBER {}", role.quoted(), member.quoted());
        plan.push(Statement::new(sql));
        roles.push(role.to_string());
    }
    if roles != found {
        plan.changes("roles", name_list(found), name_list(&roles));
    }
    left
}

/// The roles that a user or role of the session's database is in by name, sorted.
///
/// # Errors
/// The catalog cannot be read.
pub async fn roles_of(session: &mut Session, name: &SqlName) -> Result<Vec<String>, AccessError> {
    Ok(first_texts(&session.query(ROLES, &[Param::from(name.as_str())]).await?)?)
}

impl UserFound {
    /// Reads the user in the session's database and compares it with the declaration; `None` when there is none of
    /// that name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn read(session: &mut Session, wish: &UserWish) -> Result<Option<Self>, AccessError> {
        let text = |name: &Option<SqlName>| Param::from(name.as_ref().map_or("", SqlName::as_str));
        let asked = [Param::from(wish.name.as_str()), text(&wish.login), text(&wish.default_schema)];
        let rows = session.query(USER, &asked).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
        Ok(Some(Self {
            login: text_cell(cell(0)?),
            default_schema: text_cell(cell(1)?).unwrap_or_default(),
            login_matches: integer(cell(2)?) == Some(1),
            schema_matches: integer(cell(3)?) == Some(1),
            loginless: integer(cell(4)?) == Some(0),
            roles: roles_of(session, &wish.name).await?,
        }))
    }

    /// True when the session's database has a user of that name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn exists(session: &mut Session, name: &SqlName) -> Result<bool, AccessError> {
        Ok(!session.query(USER_OF_NAME, &[Param::from(name.as_str())]).await?.is_empty())
    }
}

/// The plan that removes a user.
///
/// # Errors
/// It owns schemas; the catalog cannot be read.
pub async fn removal(session: &mut Session, name: &SqlName) -> Result<Plan, AccessError> {
    refuse_owner(session, "User", name).await?;
    let mut plan = Plan::default();
    plan.push(Statement::new(format!("DROP USER {}", name.quoted())));
    plan.changes.insert(name.as_str(), Value::from("Absent"));
    Ok(plan)
}

/// Who owns a schema cannot be dropped: says which, and how another owner is set.
///
/// # Errors
/// It owns one; the catalog cannot be read.
pub async fn refuse_owner(session: &mut Session, kind: &str, name: &SqlName) -> Result<(), AccessError> {
    let owned = first_texts(&session.query(OWNED, &[Param::from(name.as_str())]).await?)?;
    let Some(first) = owned.first() else { return Ok(()) };
    let first = SqlName::new(first.clone())?;
    Err(AccessError::Conflict(format!(
        "{kind} {name} owns the schema {}, which needs another owner first: ALTER AUTHORIZATION ON SCHEMA::{} TO [dbo]",
        owned.join(", "),
        first.quoted()
    )))
}

const USER: &str = "SELECT s.name, u.default_schema_name, CASE WHEN s.name = @P2 THEN 1 ELSE 0 END, \
     CASE WHEN u.default_schema_name = @P3 THEN 1 ELSE 0 END, u.authentication_type \
     FROM sys.database_principals AS u \
     LEFT JOIN sys.server_principals AS s ON s.sid = u.sid \
     WHERE u.name = @P1 AND u.type IN ('S', 'U', 'G')";
const USER_OF_NAME: &str =
    "SELECT u.name FROM sys.database_principals AS u WHERE u.name = @P1 AND u.type IN ('S', 'U', 'G')";
const ROLE_OF_NAME: &str =
    "SELECT r.name FROM sys.database_principals AS r WHERE r.name = @P1 AND r.type IN ('R', 'A')";
const OTHER_USER: &str = "SELECT u.name FROM sys.database_principals AS u \
     INNER JOIN sys.server_principals AS s ON s.sid = u.sid WHERE s.name = @P1 AND u.name <> @P2";
const OWNED: &str = "SELECT s.name FROM sys.schemas AS s \
     INNER JOIN sys.database_principals AS u ON u.principal_id = s.principal_id WHERE u.name = @P1";
const ROLES: &str = "SELECT r.name FROM sys.database_role_members AS m \
     INNER JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id \
     INNER JOIN sys.database_principals AS u ON u.principal_id = m.member_principal_id \
     WHERE u.name = @P1";

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pairs: &[(&str, Value)]) -> Result<UserWish, AccessError> {
        let mut args = Map::new();
        for (key, value) in pairs {
            args.insert(*key, value.clone());
        }
        UserWish::read("sync", &args)
    }

    fn full() -> UserWish {
        let options = Value::List(vec!["DEFAULT_SCHEMA=dbo".into()]);
        wish(&[
            ("login", "sync".into()),
            ("roles", Value::List(vec!["db_datareader".into()])),
            ("options", options),
        ])
        .unwrap()
    }

    fn sql(plan: &Plan) -> Vec<&str> {
        plan.statements.iter().map(Statement::sql).collect()
    }

    #[test]
    fn a_missing_user_is_created_and_put_into_its_roles() {
        assert_eq!(
            sql(&full().plan(None).unwrap()),
            [
                "CREATE USER [sync] FOR LOGIN [sync] WITH DEFAULT_SCHEMA = [dbo]",
                "ALTER ROLE [db_datareader] ADD MEMBER [sync]"
            ]
        );
        assert_eq!(sql(&wish(&[]).unwrap().plan(None).unwrap()), ["CREATE USER [sync] WITHOUT LOGIN"]);
    }

    #[test]
    fn an_orphaned_user_is_mapped_again() {
        let orphan = UserFound { login: None, login_matches: false, ..found() };
        let plan = full().plan(Some(&orphan)).unwrap();
        assert_eq!(sql(&plan), ["ALTER USER [sync] WITH LOGIN = [sync]"]);
        assert!(plan.changes.get("login").and_then(|change| change.get("old")).is_some_and(Value::is_nil));
    }

    fn found() -> UserFound {
        UserFound {
            login: Some("sync".into()),
            login_matches: true,
            loginless: false,
            default_schema: "dbo".into(),
            schema_matches: true,
            roles: vec!["db_datareader".into()],
        }
    }

    #[test]
    fn a_user_that_is_as_wanted_is_left_alone() {
        let more = UserFound { roles: vec!["db_datareader".into(), "more".into()], ..found() };
        assert!(full().plan(Some(&more)).unwrap().is_empty());
        let exact = UserWish { extent: Extent::Exact(Prune::Revoke), ..full() };
        assert!(exact.plan(Some(&found())).unwrap().is_empty());
        assert_eq!(sql(&exact.plan(Some(&more)).unwrap()), ["ALTER ROLE [more] DROP MEMBER [sync]"]);
    }

    #[test]
    fn a_user_without_login_gets_none() {
        let ghost = UserFound { login: None, login_matches: false, loginless: true, ..found() };
        let text = full().plan(Some(&ghost)).unwrap_err().to_string();
        assert!(text.contains("WITHOUT LOGIN"), "{text}");
        let wish = UserWish { login: None, ..full() };
        assert!(wish.plan(Some(&ghost)).unwrap().is_empty());
    }

    #[test]
    fn a_user_of_another_login_is_not_taken_from_it() {
        let other = UserFound { login: Some("practice".into()), login_matches: false, ..found() };
        let text = full().plan(Some(&other)).unwrap_err().to_string();
        assert!(text.contains("belongs to login practice, not sync"), "{text}");
    }

    #[test]
    fn a_domain_needs_a_login() {
        let text = wish(&[("domain", "CLINIC".into())]).unwrap_err().to_string();
        assert_eq!(text, "domain cannot be set without login");
    }
}
