//! Database roles: Salt's `mssql_role` arguments, converged.
//!
//! `grants` are permissions on the whole database, at least those declared. The owner is corrected when given.

use states::{Map, Value};

use crate::mssql::param::{integer, text as text_cell};
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session, SqlError};

use super::arguments;
use super::grant::{GrantWish, Securable};
use super::{AccessError, Plan, Statement};

/// A role as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleWish {
    /// Its name.
    pub name: SqlName,
    /// Who owns it; left alone when `None`.
    pub owner: Option<SqlName>,
    grants: Option<GrantWish>,
}

/// A role as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFound {
    /// Its owner.
    pub owner: String,
    /// One of SQL Server's own (`db_datareader`, …).
    pub fixed: bool,
}

impl RoleWish {
    /// Reads Salt's arguments `owner` and `grants`.
    ///
    /// # Errors
    /// A permission that is not known, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let name = SqlName::new(name)?;
        let grants = match arguments::names(args, "grants")? {
            names if names.is_empty() => None,
            names => {
                let mut permissions = Map::new();
                let listed = names.iter().map(|name| Value::from(name.as_str())).collect();
                permissions.insert("permissions", Value::List(listed));
                Some(GrantWish::read(name.as_str(), &permissions)?)
            }
        };
        debug_assert!(grants.as_ref().is_none_or(|wish| wish.securable == Securable::Database));
        Ok(Self { name, owner: arguments::name(args, "owner")?, grants })
    }

    /// Reads what is there and gives what is to be done; the first value tells whether the role exists.
    ///
    /// # Errors
    /// The catalog cannot be read; a DENY stands in the way of a grant.
    pub async fn plan(&self, session: &mut Session) -> Result<(bool, Plan), AccessError> {
        let found = RoleFound::read(session, &self.name).await?;
        let mut plan = self.plan_role(found.as_ref());
        if let Some(wish) = &self.grants {
            let granted = if found.is_some() { wish.found(session).await? } else { Vec::new() };
            let grants = wish.plan(&granted)?;
            plan.statements.extend(grants.statements);
            plan.changes.extend(grants.changes);
        }
        Ok((found.is_some(), plan))
    }

    fn plan_role(&self, found: Option<&RoleFound>) -> Plan {
        let mut plan = Plan::default();
        let name = self.name.quoted();
        match (found, &self.owner) {
            (None, owner) => {
                let owner = owner
                    .as_ref()
                    .map(|owner| format!(" AUTHORIZATION {}", owner.quoted()))
                    .unwrap_or_default();
                plan.push(Statement::new(format!("CREATE ROLE {name}{owner}")));
                plan.changes.insert(self.name.as_str(), "Present");
            }
            (Some(found), Some(owner)) if owner.as_str() != found.owner => {
                plan.push(Statement::new(format!(
                    "ALTER AUTHORIZATION ON ROLE::{name} TO {}",
                    owner.quoted()
                )));
                plan.changes("owner", found.owner.as_str(), owner.as_str());
            }
            (Some(_), _) => {}
        }
        plan
    }
}

impl RoleFound {
    /// Reads the role in the session's database; `None` when there is none of that name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn read(session: &mut Session, name: &SqlName) -> Result<Option<Self>, AccessError> {
        let rows = session.query(ROLE, &[Param::from(name.as_str())]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
        Ok(Some(Self { owner: text_cell(cell(0)?).unwrap_or_default(), fixed: integer(cell(1)?) == Some(1) }))
    }
}

/// The plan that removes a role.
///
/// # Errors
/// It is one of SQL Server's own.
pub fn removal(name: &SqlName, found: &RoleFound) -> Result<Plan, AccessError> {
    if found.fixed {
        return Err(AccessError::Conflict(format!(
            "Role {name} is one of SQL Server's own and cannot be removed"
        )));
    }
    let mut plan = Plan::default();
    plan.push(Statement::new(format!("DROP ROLE {}", name.quoted())));
    plan.changes.insert(name.as_str(), Value::from("Absent"));
    Ok(plan)
}

const ROLE: &str = "SELECT o.name, r.is_fixed_role FROM sys.database_principals AS r \
     LEFT JOIN sys.database_principals AS o ON o.principal_id = r.owning_principal_id \
     WHERE r.name = @P1 AND r.type = 'R'";

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(owner: Option<&str>) -> RoleWish {
        let mut args = Map::new();
        if let Some(owner) = owner {
            args.insert("owner", owner);
        }
        RoleWish::read("reader]s", &args).unwrap()
    }

    fn found(owner: &str) -> RoleFound {
        RoleFound { owner: owner.into(), fixed: false }
    }

    #[test]
    fn a_missing_role_is_created_with_its_owner() {
        assert_eq!(wish(None).plan_role(None).script(), "CREATE ROLE [reader]]s]");
        assert_eq!(wish(Some("dbo")).plan_role(None).script(), "CREATE ROLE [reader]]s] AUTHORIZATION [dbo]");
    }

    #[test]
    fn another_owner_is_corrected_and_the_right_one_left_alone() {
        let plan = wish(Some("dbo")).plan_role(Some(&found("someone")));
        assert_eq!(plan.script(), "ALTER AUTHORIZATION ON ROLE::[reader]]s] TO [dbo]");
        assert!(wish(Some("dbo")).plan_role(Some(&found("dbo"))).is_empty());
        assert!(wish(None).plan_role(Some(&found("someone"))).is_empty());
    }

    #[test]
    fn a_fixed_role_is_never_dropped() {
        let name = SqlName::new("db_datareader").unwrap();
        assert!(removal(&name, &RoleFound { owner: "dbo".into(), fixed: true }).is_err());
        assert_eq!(removal(&name, &found("dbo")).unwrap().script(), "DROP ROLE [db_datareader]");
    }

    #[test]
    fn a_grant_that_is_no_permission_is_refused() {
        let args: Map = [("grants", "SELECT TO public--")].into_iter().collect();
        assert!(RoleWish::read("r", &args).is_err());
    }
}
