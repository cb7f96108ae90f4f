//! The end of a rotation: the former login is disabled and loses its user once nothing works as it any more.
//!
//! A password changes without a failed pass when two logins overlap: the new one is made, granted and taken up by the
//! jobs while the former still works; only then the former ends here. Its login is kept, disabled, so that its SID
//! and its turn come back with the next rotation.

use states::Map;

use crate::mssql::param::integer;
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session, SqlError};
use crate::state_modules::StateContext;

use super::needs::workers;
use super::plan::home;
use super::user::{UserFound, refuse_owner};
use super::{AccessError, Plan, Statement, arguments};

/// Which login works and which have had their turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    /// The login that works.
    pub active: SqlName,
    /// Those before it.
    pub former: Vec<SqlName>,
}

/// What is to be done, and which logins have to wait.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RotationPlan {
    /// Statements and changes.
    pub plan: Plan,
    /// Why a former login goes on.
    pub waits: Vec<String>,
    /// Logins whose time is over once the plan has run.
    pub over: Vec<SqlName>,
}

impl Rotation {
    /// Reads `former` (a login or a list); the state's name is the login that works.
    ///
    /// # Errors
    /// No former login, or the active one among them.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let (active, former) = (SqlName::new(name)?, arguments::names(args, "former")?);
        let same = |login: &SqlName| login.as_str().to_lowercase() == active.as_str().to_lowercase();
        if former.is_empty() || former.iter().any(same) {
            return Err(AccessError::Argument(
                "former must name the logins before this one, and not this one".into(),
            ));
        }
        Ok(Self { active, former })
    }

    /// Looks and plans. The session must be in the database of the users.
    ///
    /// # Errors
    /// The active login does not work yet; a former user owns a schema; the catalog or the store cannot be read.
    pub async fn plan(&self, session: &mut Session, run: &StateContext) -> Result<RotationPlan, AccessError> {
        let workers = workers(run).await?;
        let active = state_of(session, &self.active).await?;
        let mut planned = RotationPlan::default();
        planned.plan.home = Some(home(session).await?);
        for login in &self.former {
            let Some(disabled) = state_of(session, login).await? else { continue };
            let of_login =
                |(_, user): &&(String, String)| user.to_lowercase() == login.as_str().to_lowercase();
            let busy: Vec<&str> = workers.iter().filter(of_login).map(|(job, _)| job.as_str()).collect();
            let user = UserFound::exists(session, login).await?;
            match (busy.as_slice(), active) {
                ([], Some(false)) => {
                    if user {
                        refuse_owner(session, "User", login).await?;
                    }
                    planned.plan.retire(login, (disabled, user))?;
                    planned.over.push(login.clone());
                }
                ([], _) if disabled && !user => {}
                ([], _) => planned
                    .waits
                    .push(format!("login {login} goes on: login {} is missing or disabled", self.active)),
                (jobs, _) => {
                    planned.waits.push(format!("login {login} goes on: {} work as it", jobs.join(", ")))
                }
            }
        }
        Ok(planned)
    }
}

impl Plan {
    fn retire(&mut self, login: &SqlName, (disabled, user): (bool, bool)) -> Result<(), AccessError> {
        if !disabled {
            let sql = format!("ALTER LOGIN {} DISABLE", login.quoted());
            self.push(Statement::new(sql).in_database(SqlName::new("master")?));
            self.changes(&format!("login {login}"), "enabled", "disabled");
        }
        if user {
            self.push(Statement::new(format!("DROP USER {}", login.quoted())));
            self.changes(&format!("user {login}"), "Present", "Absent");
        }
        Ok(())
    }
}

/// Whether a login is disabled; `None` when there is none.
async fn state_of(session: &mut Session, login: &SqlName) -> Result<Option<bool>, AccessError> {
    let rows = session.query(LOGIN, &[Param::from(login.as_str())]).await?;
    let cell = rows.first().map(|row| row.get_column_data(0).map_err(SqlError::from)).transpose()?;
    Ok(cell.map(|cell| integer(cell) == Some(1)))
}

const LOGIN: &str =
    "SELECT p.is_disabled FROM sys.server_principals AS p WHERE p.name = @P1 AND p.type = 'S'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_login_is_named_and_is_another() {
        let read = |yaml: &str| Rotation::read("b", states::yaml::load(yaml).unwrap().as_map().unwrap());
        assert!(read("{}").is_err());
        assert!(read("{former: B}").is_err());
        assert_eq!(read("{former: a}").unwrap().former, [SqlName::new("a").unwrap()]);
    }

    #[test]
    fn retiring_disables_the_login_and_drops_its_user() {
        let mut plan = Plan { home: SqlName::new("d").ok(), ..Plan::default() };
        plan.retire(&SqlName::new("a]").unwrap(), (false, true)).unwrap();
        assert_eq!(plan.script(), "USE [master];\nALTER LOGIN [a]]] DISABLE;\nUSE [d];\nDROP USER [a]]]");
    }
}
