//! Databases: Salt's `mssql_database` arguments.
//!
//! A database is created when it is missing; of one that exists the named options are corrected, and its containment when
//! that is named. Its collation, which Salt cannot name, is left alone. Removing never throws sessions out: SQL
//! Server refuses while someone uses the database, and its own databases are refused here.

use states::{Map, Value};

use crate::mssql::param::{integer, text as text_cell};
use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Session, SqlError};

use super::arguments;
use super::{AccessError, Plan, Statement};

/// A database as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseWish {
    /// Its name.
    pub name: SqlName,
    /// Left alone when `None`.
    containment: Option<&'static str>,
    trustworthy: Option<bool>,
    chaining: Option<bool>,
}

/// A database as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFound {
    containment: String,
    trustworthy: bool,
    chaining: bool,
}

impl DatabaseWish {
    /// Reads Salt's arguments `containment` and `options` (`DB_CHAINING`, `TRUSTWORTHY`).
    ///
    /// # Errors
    /// Another containment (in Salt's words), an unknown option, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let containment = match arguments::text(args, "containment")?.as_deref() {
            None => None,
            Some("NONE") => Some("NONE"),
            Some("PARTIAL") => Some("PARTIAL"),
            Some(_) => {
                return Err(AccessError::Argument("CONTAINMENT can be one of NONE and PARTIAL".into()));
            }
        };
        let (mut trustworthy, mut chaining) = (None, None);
        for (key, value) in arguments::options(args)? {
            match key.as_str() {
                "TRUSTWORTHY" => trustworthy = Some(arguments::option_switch(&key, &value)?),
                "DB_CHAINING" => chaining = Some(arguments::option_switch(&key, &value)?),
                _ => {
                    return Err(AccessError::Argument(format!(
                        "the database option {key} is not DB_CHAINING or TRUSTWORTHY"
                    )));
                }
            }
        }
        Ok(Self { name: SqlName::new(name)?, containment, trustworthy, chaining })
    }

    /// What is to be done; `found` is `None` when there is no such database.
    pub fn plan(&self, found: Option<&DatabaseFound>) -> Plan {
        let mut plan = Plan::default();
        match found {
            None => {
                plan.push(Statement::new(self.creation()));
                plan.changes.insert(self.name.as_str(), "Present");
            }
            Some(found) => self.correct(found, &mut plan),
        }
        plan
    }

    fn creation(&self) -> String {
        let mut sql = format!("CREATE DATABASE {}", self.name.quoted());
        if self.containment == Some("PARTIAL") {
            sql.push_str(" CONTAINMENT = PARTIAL");
        }
        let option = |key: &str, on: Option<bool>| on.map(|on| format!("{key} {}", on_off(on)));
        let options = [option("DB_CHAINING", self.chaining), option("TRUSTWORTHY", self.trustworthy)];
        let options: Vec<String> = options.into_iter().flatten().collect();
        if !options.is_empty() {
            sql.push_str(&format!(" WITH {}", options.join(", ")));
        }
        sql
    }

    fn correct(&self, found: &DatabaseFound, plan: &mut Plan) {
        let head = format!("ALTER DATABASE {} SET", self.name.quoted());
        if let Some(wanted) = self.containment.filter(|wanted| *wanted != found.containment) {
            plan.push(Statement::new(format!("{head} CONTAINMENT = {wanted}")));
            plan.changes("containment", found.containment.as_str(), wanted);
        }
        for (key, wanted, is) in [
            ("DB_CHAINING", self.chaining, found.chaining),
            ("TRUSTWORTHY", self.trustworthy, found.trustworthy),
        ] {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
                plan.push(Statement::new(format!("{head} {key} {}", on_off(wanted))));
                plan.changes(&key.to_lowercase(), is, wanted);
            }
        }
    }
}

impl DatabaseFound {
    /// Reads the database; `None` when there is none of that name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn read(session: &mut Session, name: &SqlName) -> Result<Option<Self>, AccessError> {
        let rows = session.query(DATABASE, &[Param::from(name.as_str())]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
        Ok(Some(Self {
            containment: text_cell(cell(0)?).unwrap_or_default(),
            trustworthy: integer(cell(1)?) == Some(1),
            chaining: integer(cell(2)?) == Some(1),
        }))
    }
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

fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

const DATABASE: &str = "SELECT d.containment_desc, d.is_trustworthy_on, d.is_db_chaining_on \
     FROM sys.databases AS d WHERE d.name = @P1";
const SYSTEM: &[&str] = &["master", "model", "msdb", "tempdb"];

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> DatabaseWish {
        let mut args: Map = [("containment", "PARTIAL")].into_iter().collect();
        args.insert("options", Value::List(vec!["TRUSTWORTHY=OFF".into()]));
        DatabaseWish::read("a]b", &args).unwrap()
    }

    #[test]
    fn a_missing_database_is_created_with_its_options() {
        assert_eq!(
            wish().plan(None).script(),
            "CREATE DATABASE [a]]b] CONTAINMENT = PARTIAL WITH TRUSTWORTHY OFF"
        );
    }

    #[test]
    fn named_options_are_corrected_and_others_left_alone() {
        let found = DatabaseFound { containment: "NONE".into(), trustworthy: true, chaining: true };
        assert_eq!(
            wish().plan(Some(&found)).script(),
            "ALTER DATABASE [a]]b] SET CONTAINMENT = PARTIAL;\nALTER DATABASE [a]]b] SET TRUSTWORTHY OFF"
        );
        let right = DatabaseFound { containment: "PARTIAL".into(), trustworthy: false, chaining: true };
        assert!(wish().plan(Some(&right)).is_empty());
        assert!(DatabaseWish::read("a]b", &Map::new()).unwrap().plan(Some(&found)).is_empty());
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
