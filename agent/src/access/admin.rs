//! The admin's session: opened for one state, closed after it, and what to say where its rights do not suffice.
//!
//! A refusal that only the practice's DBA can lift is no failure of ours: the state gives the script to run. SQL Server
//! answers "does not exist or you do not have permission" alike (15151), so the session is asked what it may do.

use crate::mssql::arguments::OptionSources;
use crate::mssql::param::{integer, text as text_cell};
use crate::mssql::{ConnectionOptions, Param, Session, SqlError};

use super::AccessError;

/// Opens the session that the options name. `database` overrides theirs (logins are made in `master`).
///
/// # Errors
/// The server cannot be reached, the login is refused, or the database does not let it in, with the reason.
pub async fn open(
    sources: &OptionSources<'_>,
    database: Option<&str>,
) -> Result<(Session, ConnectionOptions), AccessError> {
    let mut connection = sources.connection()?;
    if let Some(database) = database {
        connection = connection.with_database(database);
    }
    match Session::connect(&connection).await {
        Ok(session) => Ok((session, connection)),
        Err(error) => Err(explained(error, &connection).await),
    }
}

/// True when `error` says that the session's login may not do it, and not that something is missing.
pub async fn lacks_rights(session: &mut Session, error: &AccessError) -> bool {
    let AccessError::Statement { statement, source, .. } = error else { return false };
    match source.number() {
        Some(number) if REFUSALS.contains(&number) => true,
        Some(NOT_FOUND_OR_NOT_ALLOWED) => {
            let of_server = SERVER_STATEMENTS.iter().any(|head| statement.starts_with(head));
            let power = if of_server { MAY_CHANGE_LOGINS } else { MAY_CHANGE_DATABASE };
            let rows = session.query(power, &[]).await.unwrap_or_default();
            let answer = rows.first().and_then(|row| row.get_column_data(0).ok()).and_then(integer);
            answer != Some(1)
        }
        Some(_) | None => false,
    }
}

/// True when the catalog hides nothing of its database from the session.
pub async fn sees_everything(session: &mut Session) -> bool {
    let rows = session.query(MAY_SEE_DATABASE, &[]).await.unwrap_or_default();
    rows.first().and_then(|row| row.get_column_data(0).ok()).and_then(integer) == Some(1)
}

/// A database that did not open: why, as far as the same login sees it from `master`.
pub async fn explained(error: SqlError, connection: &ConnectionOptions) -> AccessError {
    if !error.number().is_some_and(|number| CLOSED.contains(&number)) || connection.database.is_empty() {
        return error.into();
    }
    let database = connection.database.clone();
    let Ok(mut session) = Session::connect(&connection.clone().with_database("master")).await else {
        return error.into();
    };
    let rows = session.query(STATE_OF_DATABASE, &[Param::from(database.as_str())]).await;
    session.close().await;
    let Ok(rows) = rows else { return error.into() };
    let cell = |at: usize| rows.first().and_then(|row| row.get_column_data(at).ok());
    let (state, access) = (cell(0).and_then(text_cell), cell(1).and_then(integer));
    let user = &connection.user;
    match (state.as_deref(), access) {
        (None, _) => AccessError::Database {
            why: format!(
                "there is no database {database} on {}, or login {user} may not see it",
                connection.server
            ),
            source: error,
        },
        (Some("ONLINE"), Some(0)) => AccessError::NoAccess {
            why: format!("login {user} has no user in database {database}"),
            source: error,
        },
        (Some("ONLINE"), _) => error.into(),
        (Some(state), _) => AccessError::Database {
            why: format!("database {database} is {state}: someone must bring it online first"),
            source: error,
        },
    }
}

/// Cannot open the database; the database context cannot be used; offline.
const CLOSED: &[u32] = &[911, 916, 942, 945, 4060];
const NOT_FOUND_OR_NOT_ALLOWED: u32 = 15151;
/// Object, column, statement, server permission, database context, grantor, action.
const REFUSALS: &[u32] = &[229, 230, 262, 297, 300, 916, 4613, 5011, 15247];
const SERVER_STATEMENTS: &[&str] = &["CREATE LOGIN", "ALTER LOGIN", "DROP LOGIN", "ALTER SERVER ROLE"];

const MAY_CHANGE_LOGINS: &str = "SELECT HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY LOGIN')";
const MAY_CHANGE_DATABASE: &str = "SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CONTROL')";
const MAY_SEE_DATABASE: &str = "SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DEFINITION')";
const STATE_OF_DATABASE: &str =
    "SELECT d.state_desc, HAS_DBACCESS(d.name) FROM sys.databases AS d WHERE d.name = @P1";
