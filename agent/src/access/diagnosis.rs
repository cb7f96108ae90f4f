//! Why a login does not work, in words.
//!
//! SQL Server tells a client that its login failed (18456) and keeps the reason for its own log. Where options or pillar
//! hold a credential that may see logins, it is asked: no such login, disabled, locked, expired, must change, wrong
//! password. The credential is used for this one look and kept nowhere.

use states::Map;

use crate::mssql::param::{integer, text as text_cell};
use crate::mssql::{ConnectionOptions, Param, Session, SqlError};
use crate::services::Services;

use super::{AccessError, admin, drift};

/// The connection that options and pillar name, when they name a login.
pub fn admin(services: &Services) -> Option<ConnectionOptions> {
    let (pillar, nothing) = (services.pillar.current(), Map::new());
    let sources = drift::sources(&services.config.opts, &pillar, &nothing);
    sources.text("user")?;
    sources.connection().ok()
}

/// The reason, as far as it can be found out.
pub async fn explain(services: &Services, connection: &ConnectionOptions, error: AccessError) -> String {
    let login = &connection.user;
    let AccessError::Sql(refusal) = error else { return error.to_string() };
    match refusal.number() {
        Some(FAILED) => {
            let reason = match admin(services).filter(|admin| admin.user != *login) {
                Some(admin) => look(&admin, connection).await.ok().flatten(),
                None => None,
            };
            let reason = reason.unwrap_or_else(|| {
                "wrong password, no such login, or not allowed to connect: SQL Server's own log tells which".into()
            });
            format!("login {login} does not work: {reason} ({refusal})")
        }
        Some(_) => {
            let explained = admin::explained(refusal, connection).await;
            format!("login {login} does not work: {explained}")
        }
        None => refusal.to_string(),
    }
}

/// What the catalog says of the login.
async fn look(admin: &ConnectionOptions, connection: &ConnectionOptions) -> Result<Option<String>, SqlError> {
    let mut session = Session::connect(&admin.clone().with_database("master")).await?;
    let asked = [Param::from(connection.user.as_str()), Param::from(connection.password.reveal())];
    let rows = session.query(LOGIN, &asked).await?;
    session.close().await;
    let Some(row) = rows.first() else { return Ok(Some("there is no such login".into())) };
    let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
    let is = |at: usize| -> Result<bool, SqlError> {
        let cell = cell(at)?;
        Ok(integer(cell) == Some(1) || text_cell(cell).as_deref() == Some("1"))
    };
    let reasons = [
        (is(0)?, "the login is disabled"),
        (is(1)?, "the login is locked out after wrong passwords"),
        (is(2)?, "the password has expired"),
        (is(3)?, "the password must be changed first"),
        (integer(cell(4)?) == Some(0), "the password is wrong: someone changed it on the server"),
    ];
    let named: Vec<&str> = reasons.iter().filter(|(holds, _)| *holds).map(|(_, text)| *text).collect();
    Ok((!named.is_empty()).then(|| named.join(", ")))
}

const FAILED: u32 = 18456;
const LOGIN: &str = "SELECT l.is_disabled, CONVERT(int, LOGINPROPERTY(l.name, N'IsLocked')), \
     CONVERT(int, LOGINPROPERTY(l.name, N'IsExpired')), CONVERT(int, LOGINPROPERTY(l.name, N'IsMustChange')), \
     PWDCOMPARE(@P2, l.password_hash) FROM sys.sql_logins AS l WHERE l.name = @P1";
