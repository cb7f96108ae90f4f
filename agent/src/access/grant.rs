//! Grants on one securable of a database: a table or view (whole, or some of its columns), a schema, or the database.
//!
//! Column grants are kept column by column. A DENY is never overridden or removed silently: where one stands in the way of a
//! wanted grant, the state fails and says so.

use std::collections::BTreeMap;

use states::{Map, Value};

use crate::mssql::param::text as text_cell;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{Param, Session, SqlError};

use super::arguments;
use super::plan::name_list;
use super::{AccessError, Plan, Statement};

/// Permissions of one user on one securable, as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantWish {
    /// The user.
    pub user: SqlName,
    /// On what.
    pub securable: Securable,
    /// Which permissions, upper case.
    pub permissions: Vec<String>,
}

/// What a permission is on.
#[derive(Debug, Clone, PartialEq)]
pub enum Securable {
    /// A table or view, or some of its columns (all when empty).
    Object(ObjectName, Vec<SqlName>),
    /// A schema.
    Schema(SqlName),
    /// The database of the session.
    Database,
}

/// One permission that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// `SELECT`, …
    pub permission: String,
    /// `G`, `W` (with grant option) or `D`.
    pub state: String,
    /// The column; empty for the whole securable.
    pub column: String,
}

impl GrantWish {
    /// Reads `user` (default: the state's name), `object`, `schema`, `columns` and `permissions` (default: SELECT).
    ///
    /// # Errors
    /// A permission that is not known, columns without an object, a bad name.
    pub fn read(name: &str, args: &Map) -> Result<Self, AccessError> {
        let user = arguments::name(args, "user")?.map_or_else(|| SqlName::new(name), Ok)?;
        let object = arguments::text(args, "object")?.map(|text| ObjectName::parse(&text)).transpose()?;
        let columns = arguments::names(args, "columns")?;
        let securable = match (object, arguments::name(args, "schema")?) {
            (Some(object), None) => Securable::Object(object, columns),
            (None, Some(schema)) if columns.is_empty() => Securable::Schema(schema),
            (None, None) if columns.is_empty() => Securable::Database,
            (Some(_), Some(_)) => {
                return Err(AccessError::Argument("give object or schema, not both".into()));
            }
            (None, _) => return Err(AccessError::Argument("columns need an object".into())),
        };
        let wanted = arguments::names(args, "permissions")?;
        let mut permissions: Vec<String> =
            wanted.iter().map(|name| name.as_str().to_ascii_uppercase()).collect();
        if permissions.is_empty() {
            permissions.push("SELECT".to_owned());
        }
        match permissions.iter().find(|name| !PERMISSIONS.contains(&name.as_str())) {
            Some(unknown) => {
                Err(AccessError::Argument(format!("{unknown} is not a permission this state grants")))
            }
            None => Ok(Self { user, securable, permissions }),
        }
    }

    /// What is to be granted.
    ///
    /// # Errors
    /// A DENY stands in the way.
    pub fn plan(&self, found: &[Granted]) -> Result<Plan, AccessError> {
        let mut plan = Plan::default();
        for permission in &self.permissions {
            let of_it: Vec<&Granted> =
                found.iter().filter(|granted| granted.permission == *permission).collect();
            if let Some(denied) = of_it.iter().find(|granted| granted.state == "D") {
                let part = if denied.column.is_empty() {
                    String::new()
                } else {
                    format!(" of column {}", denied.column)
                };
                return Err(AccessError::Conflict(format!(
                    "{permission} on {} is denied to {}{part}: someone must revoke that DENY first",
                    self.securable.shown(),
                    self.user
                )));
            }
            self.plan_permission(permission, &of_it, &mut plan);
        }
        Ok(plan)
    }

    fn plan_permission(&self, permission: &str, found: &[&Granted], plan: &mut Plan) {
        let have: Vec<String> = found.iter().map(|granted| granted.column.clone()).collect();
        if have.iter().any(String::is_empty) {
            return;
        }
        let missing: Vec<&SqlName> = self
            .securable
            .columns()
            .iter()
            .filter(|column| !have.iter().any(|one| one == column.as_str()))
            .collect();
        if missing.is_empty() && !self.securable.columns().is_empty() {
            return;
        }
        let columns = column_list(&missing);
        let (on, user) = (self.securable.clause(), self.user.quoted());
        plan.push(Statement::new(format!("GRANT {permission}{on}{columns} TO {user}")));
        let mut now = have.clone();
        now.extend(missing.iter().map(|column| column.to_string()));
        let now = if missing.is_empty() { Value::from("granted") } else { name_list(&now) };
        let old = if have.is_empty() { Value::Nil } else { name_list(&have) };
        plan.changes(&format!("{permission} on {}", self.securable.shown()), old, now);
    }

    /// What is to be revoked so that none of the permissions is left, denials included.
    pub fn removal(&self, found: &[Granted]) -> Plan {
        let mut plan = Plan::default();
        let mut by_permission: BTreeMap<&str, Vec<&Granted>> = BTreeMap::new();
        for granted in found.iter().filter(|granted| self.permissions.contains(&granted.permission)) {
            by_permission.entry(&granted.permission).or_default().push(granted);
        }
        for (permission, granted) in by_permission {
            let whole = granted.iter().any(|one| one.column.is_empty());
            let columns: Vec<SqlName> =
                granted.iter().filter_map(|one| SqlName::new(one.column.clone()).ok()).collect();
            let (on, user) = (self.securable.clause(), self.user.quoted());
            if whole {
                plan.push(Statement::new(format!("REVOKE {permission}{on} FROM {user} CASCADE")));
            }
            if !columns.is_empty() {
                let columns = column_list(&columns.iter().collect::<Vec<_>>());
                plan.push(Statement::new(format!("REVOKE {permission}{on}{columns} FROM {user} CASCADE")));
            }
            let old = if whole { Value::from("granted") } else { name_list(&names_of(&columns)) };
            plan.changes(&format!("{permission} on {}", self.securable.shown()), old, Value::Nil);
        }
        plan
    }

    /// Reads the permissions that the user has on the securable by name (not through roles).
    ///
    /// # Errors
    /// No such user or object, or the catalog cannot be read.
    pub async fn found(&self, session: &mut Session) -> Result<Vec<Granted>, AccessError> {
        let user = Param::from(self.user.as_str());
        if session.query(USER, std::slice::from_ref(&user)).await?.is_empty() {
            return Err(AccessError::Conflict(format!("there is no user {} in the database", self.user)));
        }
        let rows = match &self.securable {
            Securable::Object(object, _) => {
                let name = Param::Text(object.quoted());
                let ids = session.query("SELECT OBJECT_ID(@P1)", std::slice::from_ref(&name)).await?;
                let id = ids.first().map(|row| row.get_column_data(0).map_err(SqlError::from)).transpose()?;
                if id.and_then(crate::mssql::param::integer).is_none() {
                    return Err(AccessError::Conflict(format!(
                        "there is no object {object} in the database"
                    )));
                }
                session.query(ON_OBJECT, &[user, name]).await?
            }
            Securable::Schema(schema) => {
                session.query(ON_SCHEMA, &[user, Param::from(schema.as_str())]).await?
            }
            Securable::Database => session.query(ON_DATABASE, &[user]).await?,
        };
        rows.iter().map(granted).collect()
    }
}

impl Securable {
    /// How messages and changes name it.
    pub fn shown(&self) -> String {
        match self {
            Self::Object(object, _) => object.to_string(),
            Self::Schema(schema) => format!("schema {schema}"),
            Self::Database => "the database".to_owned(),
        }
    }

    fn clause(&self) -> String {
        match self {
            Self::Object(object, _) => format!(" ON OBJECT::{}", object.quoted()),
            Self::Schema(schema) => format!(" ON SCHEMA::{}", schema.quoted()),
            Self::Database => String::new(),
        }
    }

    fn columns(&self) -> &[SqlName] {
        match self {
            Self::Object(_, columns) => columns,
            Self::Schema(_) | Self::Database => &[],
        }
    }
}

fn column_list(columns: &[&SqlName]) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = columns.iter().map(|column| column.quoted().to_string()).collect();
    format!(" ({})", quoted.join(", "))
}

fn names_of(columns: &[SqlName]) -> Vec<String> {
    columns.iter().map(ToString::to_string).collect()
}

fn granted(row: &tiberius::Row) -> Result<Granted, AccessError> {
    let text = |at: usize| -> Result<String, SqlError> {
        Ok(text_cell(row.get_column_data(at)?).unwrap_or_default().trim().to_owned())
    };
    Ok(Granted { permission: text(0)?, state: text(1)?, column: text(2)? })
}

const PERMISSIONS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "EXECUTE",
    "REFERENCES",
    "VIEW DEFINITION",
    "VIEW CHANGE TRACKING",
    "VIEW DATABASE STATE",
    "CONNECT",
    "ALTER",
    "CONTROL",
];

const USER: &str = "SELECT u.principal_id FROM sys.database_principals AS u WHERE u.name = @P1";
const ON_OBJECT: &str = "SELECT p.permission_name, p.state, c.name FROM sys.database_permissions AS p \
     INNER JOIN sys.database_principals AS u ON u.principal_id = p.grantee_principal_id \
     LEFT JOIN sys.columns AS c ON c.object_id = p.major_id AND c.column_id = p.minor_id \
     WHERE u.name = @P1 AND p.class = 1 AND p.major_id = OBJECT_ID(@P2) AND p.state IN ('G', 'W', 'D')";
const ON_SCHEMA: &str = "SELECT p.permission_name, p.state, N'' FROM sys.database_permissions AS p \
     INNER JOIN sys.database_principals AS u ON u.principal_id = p.grantee_principal_id \
     INNER JOIN sys.schemas AS s ON s.schema_id = p.major_id \
     WHERE u.name = @P1 AND p.class = 3 AND s.name = @P2 AND p.state IN ('G', 'W', 'D')";
const ON_DATABASE: &str = "SELECT p.permission_name, p.state, N'' FROM sys.database_permissions AS p \
     INNER JOIN sys.database_principals AS u ON u.principal_id = p.grantee_principal_id \
     WHERE u.name = @P1 AND p.class = 0 AND p.state IN ('G', 'W', 'D')";

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pairs: &[(&str, Value)]) -> Result<GrantWish, AccessError> {
        let mut args = Map::new();
        for (key, value) in pairs {
            args.insert(*key, value.clone());
        }
        GrantWish::read("sync", &args)
    }

    fn columns() -> GrantWish {
        wish(&[("object", "Appointment".into()), ("columns", Value::List(vec!["A".into(), "B]".into()]))])
            .unwrap()
    }

    fn have(state: &str, column: &str) -> Granted {
        Granted { permission: "SELECT".into(), state: state.into(), column: column.into() }
    }

    fn sql(plan: &Plan) -> Vec<&str> {
        plan.statements.iter().map(Statement::sql).collect()
    }

    #[test]
    fn only_the_missing_columns_are_granted() {
        let plan = columns().plan(&[have("G", "A")]).unwrap();
        assert_eq!(sql(&plan), ["GRANT SELECT ON OBJECT::[dbo].[Appointment] ([B]]]) TO [sync]"]);
        assert!(columns().plan(&[have("G", "A"), have("W", "B]")]).unwrap().is_empty());
    }

    #[test]
    fn a_grant_on_the_whole_object_covers_its_columns() {
        assert!(columns().plan(&[have("G", "")]).unwrap().is_empty());
        let whole = wish(&[("object", "x.y".into()), ("permissions", "select".into())]).unwrap();
        assert_eq!(
            sql(&whole.plan(&[have("G", "A")]).unwrap()),
            ["GRANT SELECT ON OBJECT::[x].[y] TO [sync]"]
        );
    }

    #[test]
    fn a_deny_in_the_way_is_told() {
        let text = columns().plan(&[have("D", "A")]).unwrap_err().to_string();
        assert!(text.contains("denied to sync of column A"), "{text}");
    }

    #[test]
    fn schema_and_database_are_securables_too() {
        let schema = wish(&[("schema", "dbo".into()), ("permissions", "EXECUTE".into())]).unwrap();
        assert_eq!(sql(&schema.plan(&[]).unwrap()), ["GRANT EXECUTE ON SCHEMA::[dbo] TO [sync]"]);
        let database = wish(&[("permissions", "VIEW DATABASE STATE".into())]).unwrap();
        assert_eq!(sql(&database.plan(&[]).unwrap()), ["GRANT VIEW DATABASE STATE TO [sync]"]);
    }

    #[test]
    fn what_is_revoked_is_what_is_there() {
        let plan = columns().removal(&[have("G", "A"), have("G", "C")]);
        assert_eq!(
            sql(&plan),
            ["REVOKE SELECT ON OBJECT::[dbo].[Appointment] ([A], [C]) FROM [sync] CASCADE"]
        );
        assert!(columns().removal(&[]).is_empty());
    }

    #[test]
    fn a_permission_that_is_not_known_never_reaches_the_text() {
        assert!(wish(&[("permissions", "SELECT TO public; --".into())]).is_err());
        assert!(wish(&[("columns", "A".into())]).is_err());
    }
}
