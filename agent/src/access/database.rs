//! Databases: Salt's `mssql_database` arguments.
//!
//! A database is created when it is missing; one that exists is left as it is. Removing never throws sessions out: SQL
//! Server refuses while someone uses the database, and its own databases are refused here.

use states::{Map, Value};

use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session};

use super::arguments;
use super::{AccessError, Plan, Statement};

/// A database as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseWish {
    /// Its name.
    pub name: SqlName,
    containment: &'static str,
    options: Vec<String>,
}

impl DatabaseWish {
    /// Reads Salt's arguments `containment` and `options` (`DB_CHAINING`, `TRUSTWORTHY`).
    ///
    /// # Errors
    /// Another containment (in Salt's words), an unknown option, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let containment = match arguments::text(args, "containment")?.as_deref() {
            None | Some("NONE") => "NONE",
            Some("PARTIAL") => "PARTIAL",
            Some(_) => {
                return Err(AccessError::Argument("CONTAINMENT can be one of NONE and PARTIAL".into()));
            }
        };
        let mut options = Vec::new();
        for (key, value) in arguments::options(args)? {
            if !["DB_CHAINING", "TRUSTWORTHY"].contains(&key.as_str()) {
                return Err(AccessError::Argument(format!(
                    "the database option {key} is not DB_CHAINING or TRUSTWORTHY"
                )));
            }
            let on = if arguments::option_switch(&key, &value)? { "ON" } else { "OFF" };
            options.push(format!("{key} {on}"));
        }
        Ok(Self { name: SqlName::new(name)?, containment, options })
    }

    /// What is to be done.
    pub fn plan(&self, exists: bool) -> Plan {
        let mut plan = Plan::default();
        if !exists {
            let options = if self.options.is_empty() {
                String::new()
            } else {
                format!(" WITH {}", self.options.join(", "))
            };
            let containment = if self.containment == "NONE" {
                String::new()
            } else {
                format!(" CONTAINMENT = {}", self.containment)
            };
            plan.push(Statement::new(format!(
                "CREATE DATABASE {}{containment}{options}",
                self.name.quoted()
            )));
            plan.changes.insert(self.name.as_str(), "Present");
        }
        plan
    }
}

/// True when a database of that name exists.
///
/// # Errors
/// The catalog cannot be read.
pub async fn exists(session: &mut Session, name: &SqlName) -> Result<bool, AccessError> {
    let sql = "SELECT d.name FROM sys.databases AS d WHERE d.name = @P1";
    Ok(!session.query(sql, &[Param::from(name.as_str())]).await?.is_empty())
}

/// The plan that removes a database.
///
/// # Errors
/// It is one of SQL Server's own.
pub fn removal(name: &SqlName) -> Result<Plan, AccessError> {
    if SYSTEM.iter().any(|system| system.eq_ignore_ascii_case(name.as_str())) {
        return Err(AccessError::Conflict(format!(
            "Database {name} is one of SQL Server's own and cannot be removed"
        )));
    }
    let mut plan = Plan::default();
    plan.push(Statement::new(format!("DROP DATABASE {}", name.quoted())));
    plan.changes.insert(name.as_str(), Value::from("Absent"));
    Ok(plan)
}

const SYSTEM: &[&str] = &["master", "model", "msdb", "tempdb"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_database_is_created_and_an_existing_one_left_alone() {
        let mut args: Map = [("containment", "PARTIAL")].into_iter().collect();
        args.insert("options", Value::List(vec!["TRUSTWORTHY=OFF".into()]));
        let wish = DatabaseWish::read("a]b", &args).unwrap();
        assert_eq!(
            wish.plan(false).script(),
            "CREATE DATABASE [a]]b] CONTAINMENT = PARTIAL WITH TRUSTWORTHY OFF"
        );
        assert!(wish.plan(true).is_empty());
    }

    #[test]
    fn wrong_containment_and_options_are_refused() {
        let args: Map = [("containment", "SOME")].into_iter().collect();
        let text = DatabaseWish::read("d", &args).unwrap_err().to_string();
        assert_eq!(text, "CONTAINMENT can be one of NONE and PARTIAL");
        let mut args = Map::new();
        args.insert("options", Value::List(vec!["X=1".into()]));
        assert!(DatabaseWish::read("d", &args).is_err());
    }

    #[test]
    fn the_servers_own_databases_stay() {
        assert!(removal(&SqlName::new("Master").unwrap()).is_err());
        assert_eq!(removal(&SqlName::new("d").unwrap()).unwrap().script(), "DROP DATABASE [d]");
    }
}
