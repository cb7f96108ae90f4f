//! Database roles: Salt's `mssql_role` arguments, converged.
//!
//! `grants` are permissions on the whole database, at least those declared. The owner is corrected when given.

use states::{Map, Value};

use crate::mssql::param::{integer, text as text_cell};
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session, SqlError};

use super::arguments;
use super::difference::{Aim, difference};
use super::login::first_texts;
use super::permission::Permission;
use super::plan::name_list;
use super::rights::{Right, RightState, Rights};
use super::securable::{Securable, SecurableClass};
use super::user::refuse_owner;
use super::{AccessError, Plan, Statement};

/// A role as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleWish {
    /// Its name.
    pub name: SqlName,
    /// Who owns it; left alone when `None`.
    pub owner: Option<SqlName>,
    grants: Rights,
}

/// A role as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFound {
    /// Its owner.
    pub owner: String,
    /// The owner is the declared one.
    pub owner_matches: bool,
    /// One of SQL Server's own (`db_datareader`, …).
    pub fixed: bool,
}

impl RoleWish {
    /// Reads Salt's arguments `owner` and `grants`.
    ///
    /// # Errors
    /// A permission that is not known, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let grant = |name: &SqlName| -> Result<(Right, RightState), AccessError> {
            let permission = Permission::on(SecurableClass::Database, name.as_str())?;
            Ok((Right::on(Securable::Database, permission), RightState::Granted))
        };
        Ok(Self {
            name: SqlName::new(name)?,
            owner: arguments::name(args, "owner")?,
            grants: arguments::names(args, "grants")?.iter().map(grant).collect::<Result<_, _>>()?,
        })
    }

    /// Reads what is there and gives what is to be done; the first value tells whether the role exists.
    ///
    /// # Errors
    /// The catalog cannot be read; a DENY stands in the way of a grant.
    pub async fn plan(&self, session: &mut Session) -> Result<(bool, Plan), AccessError> {
        let found = RoleFound::read(session, &self.name, self.owner.as_ref()).await?;
        let mut plan = self.plan_role(found.as_ref());
        let granted = match &found {
            Some(_) => Rights::of_user(session, &self.name).await?,
            None => Rights::default(),
        };
        let grants = difference(&self.name, &self.grants, &granted, Aim::Present)?.plan;
        plan.statements.extend(grants.statements);
        plan.changes.extend(grants.changes);
        Ok((found.is_some(), plan))
    }

    pub(super) fn plan_role(&self, found: Option<&RoleFound>) -> Plan {
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
            (Some(found), Some(owner)) if !found.owner_matches => {
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
    pub async fn read(
        session: &mut Session,
        name: &SqlName,
        owner: Option<&SqlName>,
    ) -> Result<Option<Self>, AccessError> {
        let asked = [Param::from(name.as_str()), Param::from(owner.map_or("", SqlName::as_str))];
        let rows = session.query(ROLE, &asked).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
        Ok(Some(Self {
            owner: text_cell(cell(0)?).unwrap_or_default(),
            fixed: integer(cell(1)?) == Some(1),
            owner_matches: integer(cell(2)?) == Some(1),
        }))
    }
}

/// The plan that removes a role: its members leave it first.
///
/// # Errors
/// It is one of SQL Server's own, or owns schemas; the catalog cannot be read.
pub async fn removal(session: &mut Session, name: &SqlName, found: &RoleFound) -> Result<Plan, AccessError> {
    if found.fixed {
        return Err(AccessError::Conflict(format!(
            "Role {name} is one of SQL Server's own and cannot be removed"
        )));
    }
    refuse_owner(session, "Role", name).await?;
    let members = first_texts(&session.query(MEMBERS, &[Param::from(name.as_str())]).await?)?;
    removal_plan(name, &members)
}

fn removal_plan(name: &SqlName, members: &[String]) -> Result<Plan, AccessError> {
    let mut plan = Plan::default();
    for member in members {
        let member = SqlName::new(member.clone())?;
        plan.push(Statement::new(format!("ALTER ROLE {} DROP MEMBER {}", name.quoted(), member.quoted())));
    }
    plan.push(Statement::new(format!("DROP ROLE {}", name.quoted())));
    plan.changes.insert(name.as_str(), Value::from("Absent"));
    if !members.is_empty() {
        plan.changes("members", name_list(members), Value::List(Vec::new()));
    }
    Ok(plan)
}

const ROLE: &str = "SELECT o.name, r.is_fixed_role, CASE WHEN o.name = @P2 THEN 1 ELSE 0 END FROM sys.database_principals AS r \
     LEFT JOIN sys.database_principals AS o ON o.principal_id = r.owning_principal_id \
     WHERE r.name = @P1 AND r.type = 'R'";
const MEMBERS: &str = "SELECT u.name FROM sys.database_role_members AS m \
     INNER JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id \
     INNER JOIN sys.database_principals AS u ON u.principal_id = m.member_principal_id \
     WHERE r.name = @P1";

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

    fn found(owner: &str, owner_matches: bool) -> RoleFound {
        RoleFound { owner: owner.into(), owner_matches, fixed: false }
    }

    #[test]
    fn a_missing_role_is_created_with_its_owner() {
        assert_eq!(wish(None).plan_role(None).script(), "CREATE ROLE [reader]]s]");
        assert_eq!(wish(Some("dbo")).plan_role(None).script(), "CREATE ROLE [reader]]s] AUTHORIZATION [dbo]");
    }

    #[test]
    fn another_owner_is_corrected_and_the_right_one_left_alone() {
        let plan = wish(Some("dbo")).plan_role(Some(&found("someone", false)));
        assert_eq!(plan.script(), "ALTER AUTHORIZATION ON ROLE::[reader]]s] TO [dbo]");
        assert!(wish(Some("dbo")).plan_role(Some(&found("dbo", true))).is_empty());
        assert!(wish(None).plan_role(Some(&found("someone", false))).is_empty());
    }

    #[test]
    fn members_leave_a_role_before_it_is_dropped() {
        let name = SqlName::new("readers").unwrap();
        let plan = removal_plan(&name, &["a]b".into()]).unwrap();
        assert_eq!(plan.script(), "ALTER ROLE [readers] DROP MEMBER [a]]b];\nDROP ROLE [readers]");
        assert!(plan.changes.get("members").is_some());
    }

    #[test]
    fn a_grant_that_is_no_permission_is_refused() {
        let args: Map = [("grants", "SELECT TO public--")].into_iter().collect();
        assert!(RoleWish::read("r", &args).is_err());
    }
}
