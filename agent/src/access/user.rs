//! Users (database principals): Salt's `mssql_user` arguments, converged.
//!
//! A user is joined to its login by SID. One whose SID has no login is orphaned (after a restore) and is mapped again with
//! `ALTER USER … WITH LOGIN`. Roles are at least those declared; default schema is corrected when given.

use states::{Map, Value};

use crate::mssql::param::text as text_cell;
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session, SqlError};

use super::arguments;
use super::login::first_texts;
use super::plan::name_list;
use super::{AccessError, Plan, Statement};

/// A user as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct UserWish {
    /// Its name.
    pub name: SqlName,
    /// The login it stands for; a user without login when `None`.
    pub login: Option<SqlName>,
    /// Database roles it is at least in.
    pub roles: Vec<SqlName>,
    default_schema: Option<SqlName>,
}

/// A user as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserFound {
    /// The login with its SID; `None` when orphaned or without login.
    pub login: Option<String>,
    /// `default_schema_name`.
    pub default_schema: String,
    /// Database roles, sorted.
    pub roles: Vec<String>,
}

impl UserWish {
    /// Reads Salt's arguments `login`, `domain`, `roles`, `options` (`DEFAULT_SCHEMA`).
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
        let mut default_schema = None;
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
            roles: arguments::names(args, "roles")?,
            default_schema,
        })
    }

    /// What is to be done; `found` is `None` when there is no such user.
    pub fn plan(&self, found: Option<&UserFound>) -> Plan {
        let mut plan = Plan::default();
        match found {
            None => self.create(&mut plan),
            Some(found) => self.alter(found, &mut plan),
        }
        let roles = found.map(|found| found.roles.clone()).unwrap_or_default();
        self.converge_roles(roles, &mut plan);
        plan
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

    fn alter(&self, found: &UserFound, plan: &mut Plan) {
        let name = self.name.quoted();
        if let Some(login) =
            self.login.as_ref().filter(|login| found.login.as_deref() != Some(login.as_str()))
        {
            plan.push(Statement::new(format!("ALTER USER {name} WITH LOGIN = {}", login.quoted())));
            let old = found.login.as_deref().map_or(Value::Nil, Value::from);
            plan.changes("login", old, login.as_str());
        }
        if let Some(schema) =
            self.default_schema.as_ref().filter(|schema| schema.as_str() != found.default_schema)
        {
            plan.push(Statement::new(format!("ALTER USER {name} WITH DEFAULT_SCHEMA = {}", schema.quoted())));
            plan.changes("default_schema", found.default_schema.as_str(), schema.as_str());
        }
    }

    fn converge_roles(&self, found: Vec<String>, plan: &mut Plan) {
        let missing: Vec<&SqlName> =
            self.roles.iter().filter(|role| !found.iter().any(|have| have == role.as_str())).collect();
        if missing.is_empty() {
            return;
        }
        let mut roles = found.clone();
        for role in missing {
            let sql = format!("ALTER ROLE {} ADD MEMBER {}", role.quoted(), self.name.quoted());
            plan.push(Statement::new(sql));
            roles.push(role.to_string());
        }
        plan.changes("roles", name_list(&found), name_list(&roles));
    }
}

impl UserFound {
    /// Reads the user in the session's database; `None` when there is none of that name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn read(session: &mut Session, name: &SqlName) -> Result<Option<Self>, AccessError> {
        let name = [Param::from(name.as_str())];
        let rows = session.query(USER, &name).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
        Ok(Some(Self {
            login: text_cell(cell(0)?),
            default_schema: text_cell(cell(1)?).unwrap_or_default(),
            roles: first_texts(&session.query(ROLES, &name).await?)?,
        }))
    }
}

/// The plan that removes a user.
pub fn removal(name: &SqlName) -> Plan {
    let mut plan = Plan::default();
    plan.push(Statement::new(format!("DROP USER {}", name.quoted())));
    plan.changes.insert(name.as_str(), Value::from("Absent"));
    plan
}

const USER: &str = "SELECT s.name, u.default_schema_name FROM sys.database_principals AS u \
     LEFT JOIN sys.server_principals AS s ON s.sid = u.sid \
     WHERE u.name = @P1 AND u.type IN ('S', 'U', 'G')";
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
            sql(&full().plan(None)),
            [
                "CREATE USER [sync] FOR LOGIN [sync] WITH DEFAULT_SCHEMA = [dbo]",
                "ALTER ROLE [db_datareader] ADD MEMBER [sync]"
            ]
        );
        assert_eq!(sql(&wish(&[]).unwrap().plan(None)), ["CREATE USER [sync] WITHOUT LOGIN"]);
    }

    #[test]
    fn an_orphaned_user_is_mapped_again() {
        let orphan =
            UserFound { login: None, default_schema: "dbo".into(), roles: vec!["db_datareader".into()] };
        let plan = full().plan(Some(&orphan));
        assert_eq!(sql(&plan), ["ALTER USER [sync] WITH LOGIN = [sync]"]);
        assert!(plan.changes.get("login").and_then(|change| change.get("old")).is_some_and(Value::is_nil));
    }

    #[test]
    fn a_user_that_is_as_wanted_is_left_alone() {
        let found = UserFound {
            login: Some("sync".into()),
            default_schema: "dbo".into(),
            roles: vec!["db_datareader".into(), "more".into()],
        };
        assert!(full().plan(Some(&found)).is_empty());
    }

    #[test]
    fn a_domain_needs_a_login() {
        let text = wish(&[("domain", "CLINIC".into())]).unwrap_err().to_string();
        assert_eq!(text, "domain cannot be set without login");
    }
}
