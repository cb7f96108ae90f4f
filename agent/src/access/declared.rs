//! Access as last declared, kept in the store so that drift is found without a master and without an admin's rights.
//!
//! The stored form is a versioned enum. Of derived access only that it is derived is kept: what it comes to follows
//! from the jobs of the moment.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::mssql::options::ServerName;
use crate::mssql::quote::{ObjectName, SqlName};
use crate::services::Services;
use crate::store::StoreError;
use crate::store::access::{self as table, AccessRow};

use super::AccessError;
use super::grant::GrantWish;
use super::needs::{Needs, Scope};
use super::permission::Permission;
use super::rights::{Right, RightState, Rights};
use super::securable::{Securable, SecurableClass};

/// What a principal was declared to have.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Where, and for which login.
    pub scope: Scope,
    /// The user or role.
    pub user: SqlName,
    /// What.
    pub extent: DeclaredExtent,
}

/// How the rights were declared.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredExtent {
    /// `from_jobs`, least set.
    Derived,
    /// `from_jobs`, `mode: full`.
    Full,
    /// `exact`: these.
    Exact(Box<GrantWish>),
}

/// The stored form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum Stored {
    #[serde(rename = "1")]
    V1(Box<DeclaredV1>),
}

#[derive(Debug, Serialize, Deserialize)]
struct DeclaredV1 {
    server: ServerName,
    login: String,
    extent: ExtentV1,
}

#[derive(Debug, Serialize, Deserialize)]
enum ExtentV1 {
    Derived,
    Full,
    Exact { rights: Vec<RightV1>, server: Option<Vec<RightV1>>, roles: Option<Vec<String>> },
}

#[derive(Debug, Serialize, Deserialize)]
struct RightV1 {
    securable: SecurableV1,
    permission: String,
    column: Option<String>,
    state: StateV1,
}

#[derive(Debug, Serialize, Deserialize)]
enum SecurableV1 {
    Server,
    Database,
    Schema(String),
    Object(String, String),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum StateV1 {
    Granted,
    Grantable,
    Denied,
}

impl Declared {
    /// What it comes to, given what the jobs and writes need.
    #[must_use]
    pub fn wish(&self, needs: &Needs) -> GrantWish {
        match &self.extent {
            DeclaredExtent::Exact(wish) => (**wish).clone(),
            DeclaredExtent::Derived => {
                let rights = needs.clone().within(&self.scope).rights(&self.scope);
                self.wish_of(rights, Vec::new())
            }
            DeclaredExtent::Full => {
                self.wish_of(Rights::default(), SqlName::new("db_owner").into_iter().collect())
            }
        }
    }

    /// `derived`, `full` or `exact`.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match self.extent {
            DeclaredExtent::Derived => "derived",
            DeclaredExtent::Full => "full",
            DeclaredExtent::Exact(_) => "exact",
        }
    }

    /// Keeps it; `changed` when the state had something to do.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keep(&self, services: &Services, changed: bool) -> Result<(), AccessError> {
        let at = now();
        let row = AccessRow { changed: if changed { at } else { 0 }, ..self.row(at)? };
        Ok(services.store.run(move |tx| table::put(tx, &row, changed)).await?)
    }

    fn wish_of(&self, rights: Rights, roles: Vec<SqlName>) -> GrantWish {
        GrantWish {
            user: self.user.clone(),
            login: self.scope.login.clone(),
            rights,
            server: None,
            roles: Some(roles),
        }
    }

    fn row(&self, at: i64) -> Result<AccessRow, StoreError> {
        let rights = |rights: &Rights| rights.known.iter().filter_map(RightV1::of).collect::<Vec<_>>();
        let extent = match &self.extent {
            DeclaredExtent::Derived => ExtentV1::Derived,
            DeclaredExtent::Full => ExtentV1::Full,
            DeclaredExtent::Exact(wish) => ExtentV1::Exact {
                rights: rights(&wish.rights),
                server: wish.server.as_ref().map(rights),
                roles: wish.roles.as_ref().map(|roles| roles.iter().map(ToString::to_string).collect()),
            },
        };
        let (server, login) = (self.scope.server.clone(), self.scope.login.to_string());
        let stored = Stored::V1(Box::new(DeclaredV1 { server, login, extent }));
        Ok(AccessRow {
            server: self.scope.server.to_string(),
            database: self.scope.database.to_string(),
            principal: self.user.to_string(),
            declared: serde_json::to_string(&stored).map_err(|_| bad_form())?,
            since: at,
            changed: at,
            reported: String::new(),
        })
    }

    fn of_row(row: &AccessRow) -> Result<Self, AccessError> {
        let Stored::V1(stored) =
            serde_json::from_str(&row.declared).map_err(|_| AccessError::Store(bad_form()))?;
        let (user, login) = (SqlName::new(row.principal.clone())?, SqlName::new(stored.login)?);
        let rights = |rights: Vec<RightV1>| rights.into_iter().map(RightV1::into_right).collect();
        let extent = match stored.extent {
            ExtentV1::Derived => DeclaredExtent::Derived,
            ExtentV1::Full => DeclaredExtent::Full,
            ExtentV1::Exact { rights: database, server, roles } => {
                let names = |names: Vec<String>| names.into_iter().map(SqlName::new).collect();
                DeclaredExtent::Exact(Box::new(GrantWish {
                    user: user.clone(),
                    login: login.clone(),
                    rights: rights(database)?,
                    server: server.map(rights).transpose()?,
                    roles: roles.map(names).transpose()?,
                }))
            }
        };
        let database = SqlName::new(row.database.clone())?;
        Ok(Self { scope: Scope { server: stored.server, login, database }, user, extent })
    }
}

/// Every declared access, with its row.
///
/// # Errors
/// The store failed, or holds what this version cannot read.
pub async fn all(services: &Services) -> Result<Vec<(AccessRow, Declared)>, AccessError> {
    let rows = services.store.run(table::all).await?;
    rows.into_iter().map(|row| Ok((row.clone(), Declared::of_row(&row)?))).collect()
}

/// Forgets what was declared for a user of a database: it is gone, and that is no drift.
///
/// # Errors
/// The store failed.
pub async fn forget(
    services: &Services,
    server: &ServerName,
    database: &SqlName,
    user: &SqlName,
) -> Result<(), AccessError> {
    let key = (server.to_string(), database.to_string(), user.to_string());
    Ok(services.store.run(move |tx| table::remove(tx, (&key.0, &key.1, &key.2))).await?)
}

impl RightV1 {
    fn of((right, state): (&Right, &RightState)) -> Option<Self> {
        let text = |name: &SqlName| name.as_str().to_owned();
        Some(Self {
            securable: match &right.securable {
                Securable::Server => SecurableV1::Server,
                Securable::Database => SecurableV1::Database,
                Securable::Schema(schema) => SecurableV1::Schema(text(schema)),
                Securable::Object(object) => SecurableV1::Object(text(&object.schema), text(&object.name)),
            },
            permission: right.permission.as_str().to_owned(),
            column: right.column.as_ref().map(text),
            state: match state {
                RightState::Granted => StateV1::Granted,
                RightState::Grantable => StateV1::Grantable,
                RightState::Denied => StateV1::Denied,
                RightState::Excepted => return None,
            },
        })
    }

    fn into_right(self) -> Result<(Right, RightState), AccessError> {
        let (securable, class) = match self.securable {
            SecurableV1::Server => (Securable::Server, SecurableClass::Server),
            SecurableV1::Database => (Securable::Database, SecurableClass::Database),
            SecurableV1::Schema(name) => (Securable::Schema(SqlName::new(name)?), SecurableClass::Schema),
            SecurableV1::Object(schema, name) => {
                let object = ObjectName { schema: SqlName::new(schema)?, name: SqlName::new(name)? };
                (Securable::Object(object), SecurableClass::Object)
            }
        };
        let state = match self.state {
            StateV1::Granted => RightState::Granted,
            StateV1::Grantable => RightState::Grantable,
            StateV1::Denied => RightState::Denied,
        };
        let permission = Permission::on(class, &self.permission)?;
        Ok((Right { securable, permission, column: self.column.map(SqlName::new).transpose()? }, state))
    }
}

fn bad_form() -> StoreError {
    StoreError::Form { what: "declared access" }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mssql::ConnectionOptions;

    #[test]
    fn a_declaration_survives_storage() {
        let yaml = "{login: l, roles: [db_datareader], grants: [{object: 'x].[y', columns: [A]}, {securable: server, \
                    permissions: VIEW SERVER STATE}, {schema: s, deny: true}, {permissions: EXECUTE, grant_option: true}]}";
        let yaml = yaml.replace("'x].[y'", "'[x]]].[y]'");
        let args = states::yaml::load(&yaml).unwrap();
        let wish = GrantWish::read("u", args.as_map().unwrap()).unwrap();
        let scope = Scope {
            server: ConnectionOptions::read(|_| None).unwrap().server,
            login: SqlName::new("l").unwrap(),
            database: SqlName::new("d").unwrap(),
        };
        for extent in [DeclaredExtent::Derived, DeclaredExtent::Full, DeclaredExtent::Exact(Box::new(wish))] {
            let declared = Declared { scope: scope.clone(), user: SqlName::new("u").unwrap(), extent };
            assert_eq!(Declared::of_row(&declared.row(1).unwrap()).unwrap(), declared);
        }
    }
}
