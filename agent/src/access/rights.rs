//! Rights: permissions on securables and columns, as declared or as the catalog has them for one principal.
//!
//! What a principal was given by name is read from `sys.database_permissions` and `sys.server_permissions`; what it has
//! through roles is not among them. A principal always sees its own rows there, so no admin right is needed to look
//! at oneself (Microsoft, "Metadata Visibility Configuration").

use std::collections::BTreeMap;
use std::fmt;

use tiberius::Row;

use crate::mssql::param::text as text_cell;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{Param, Session, SqlError};

use super::AccessError;
use super::permission::Permission;
use super::securable::Securable;

/// One permission on one securable, or on one of its columns. Sorts by securable, then permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// On what.
    pub securable: Securable,
    /// Which.
    pub permission: Permission,
    /// On this column only.
    pub column: Option<SqlName>,
}

/// How a right stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RightState {
    /// Granted.
    Granted,
    /// Granted, and may be passed on.
    Grantable,
    /// Denied, which wins over grants.
    Denied,
    /// The whole object is granted, this column was taken out of it.
    Excepted,
}

/// Rights by name of one principal, in one database or on the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// What can be compared and changed.
    pub known: BTreeMap<Right, RightState>,
    /// Rights on other kinds of securables (types, keys, principals), in words.
    pub others: Vec<String>,
}

/// The columns of a group with their states; `None` is the whole securable.
pub type Columns = BTreeMap<Option<SqlName>, RightState>;

impl Right {
    /// On a securable as a whole.
    #[must_use]
    pub fn on(securable: Securable, permission: Permission) -> Self {
        Self { securable, permission, column: None }
    }

    /// True for what comes with a login or a user and makes it one.
    #[must_use]
    pub fn is_inherent(&self) -> bool {
        match self.securable {
            Securable::Server => self.permission.as_str() == "CONNECT SQL",
            Securable::Database => self.permission == Permission::connect(),
            Securable::Schema(_) | Securable::Object(_) => false,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.permission, self.securable)?;
        match &self.column {
            Some(column) => write!(f, " ({column})"),
            None => Ok(()),
        }
    }
}

impl RightState {
    /// True when it lets the principal do it.
    #[must_use]
    pub fn allows(self) -> bool {
        match self {
            Self::Granted | Self::Grantable => true,
            Self::Denied | Self::Excepted => false,
        }
    }

    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Grantable => "granted with grant option",
            Self::Denied => "denied",
            Self::Excepted => "taken out",
        }
    }

    fn of(code: &str) -> Option<Self> {
        match code.trim() {
            "G" => Some(Self::Granted),
            "W" => Some(Self::Grantable),
            "D" => Some(Self::Denied),
            "R" => Some(Self::Excepted),
            _ => None,
        }
    }
}

impl Rights {
    /// What a user or role of the session's database was given by name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn of_user(session: &mut Session, user: &SqlName) -> Result<Self, AccessError> {
        let rows = session.query(DATABASE_RIGHTS, &[Param::from(user.as_str())]).await?;
        Self::read(&rows, Securable::Database)
    }

    /// What a login was given by name on the server.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn of_login(session: &mut Session, login: &SqlName) -> Result<Self, AccessError> {
        let rows = session.query(SERVER_RIGHTS, &[Param::from(login.as_str())]).await?;
        Self::read(&rows, Securable::Server)
    }

    /// The permissions on one securable, each with its columns.
    pub fn groups(&self) -> BTreeMap<(Securable, Permission), Columns> {
        let mut groups: BTreeMap<(Securable, Permission), Columns> = BTreeMap::new();
        for (right, state) in &self.known {
            let key = (right.securable.clone(), right.permission.clone());
            groups.entry(key).or_default().insert(right.column.clone(), *state);
        }
        groups
    }

    /// Adds everything of `other`.
    pub fn extend(&mut self, other: Self) {
        self.known.extend(other.known);
        self.others.extend(other.others);
    }

    fn read(rows: &[Row], whole: Securable) -> Result<Self, AccessError> {
        let mut rights = Self::default();
        for row in rows {
            let text =
                |at: usize| -> Result<Option<String>, SqlError> { Ok(text_cell(row.get_column_data(at)?)) };
            let (class, name) = (text(0)?.unwrap_or_default(), text(1)?.unwrap_or_default());
            let state = text(2)?.as_deref().and_then(RightState::of);
            let (schema, object, column) = (text(3)?, text(4)?, text(5)?);
            let securable = match (class.as_str(), schema, object) {
                ("DATABASE" | "SERVER", _, _) => Some(whole.clone()),
                ("SCHEMA", Some(schema), _) => Some(Securable::Schema(SqlName::new(schema)?)),
                ("OBJECT_OR_COLUMN", Some(schema), Some(object)) => Some(Securable::Object(ObjectName {
                    schema: SqlName::new(schema)?,
                    name: SqlName::new(object)?,
                })),
                _ => None,
            };
            match (securable, Permission::found(&name), state) {
                (Some(securable), Some(permission), Some(state)) => {
                    let column = column.map(SqlName::new).transpose()?;
                    rights.known.insert(Right { securable, permission, column }, state);
                }
                _ => rights.others.push(format!("{name} on a securable of class {class}")),
            }
        }
        Ok(rights)
    }
}

impl FromIterator<(Right, RightState)> for Rights {
    fn from_iter<I: IntoIterator<Item = (Right, RightState)>>(rights: I) -> Self {
        Self { known: rights.into_iter().collect(), others: Vec::new() }
    }
}

const DATABASE_RIGHTS: &str = "SELECT p.class_desc, p.permission_name, p.state, COALESCE(s.name, n.name), o.name, c.name \
     FROM sys.database_permissions AS p \
     INNER JOIN sys.database_principals AS u ON u.principal_id = p.grantee_principal_id \
     LEFT JOIN sys.all_objects AS o ON p.class = 1 AND o.object_id = p.major_id \
     LEFT JOIN sys.schemas AS s ON s.schema_id = o.schema_id \
     LEFT JOIN sys.all_columns AS c ON p.class = 1 AND c.object_id = p.major_id AND c.column_id = p.minor_id \
     LEFT JOIN sys.schemas AS n ON p.class = 3 AND n.schema_id = p.major_id \
     WHERE u.name = @P1";
const SERVER_RIGHTS: &str = "SELECT p.class_desc, p.permission_name, p.state, NULL, NULL, NULL \
     FROM sys.server_permissions AS p \
     INNER JOIN sys.server_principals AS u ON u.principal_id = p.grantee_principal_id \
     WHERE u.name = @P1";
