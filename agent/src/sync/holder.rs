//! Who holds a job back: the oldest transaction open in the database, and whose it is.
//!
//! Seeing it takes VIEW SERVER STATE (SQL Server 2022: VIEW SERVER PERFORMANCE STATE); without it the agent knows that
//! something is open, not what.

use std::fmt;

use tiberius::FromSql;

use crate::mssql::param::{integer, text};
use crate::mssql::{Session, SqlError};

/// An open transaction and its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The session's number.
    pub session: i64,
    /// `program_name`.
    pub program: String,
    /// The login.
    pub login: String,
    /// The machine.
    pub host: String,
    /// When the transaction began, in the server's local time.
    pub since: String,
    /// For how many seconds it is open.
    pub seconds: u64,
}

impl Holder {
    /// The oldest open transaction of another session in the current database; `None` when there is none.
    ///
    /// # Errors
    /// The login may not look, or the connection broke.
    pub async fn oldest(session: &mut Session) -> Result<Option<Self>, SqlError> {
        let rows = session.query(OLDEST, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let cell = |at: usize| row.get_column_data(at).map_err(SqlError::from);
        let since = chrono::NaiveDateTime::from_sql(cell(4)?).map_err(SqlError::from)?;
        Ok(Some(Self {
            session: integer(cell(0)?).unwrap_or_default(),
            program: text(cell(1)?).unwrap_or_default(),
            login: text(cell(2)?).unwrap_or_default(),
            host: text(cell(3)?).unwrap_or_default(),
            since: since.map(|since| since.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
            seconds: integer(cell(5)?).and_then(|age| u64::try_from(age).ok()).unwrap_or_default(),
        }))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, program, login, host, since, .. } = self;
        write!(
            f,
            "held back by session {session}, open since {since}, program {program}, login {login} on {host}"
        )
    }
}

const OLDEST: &str = "SELECT TOP (1) s.session_id, s.program_name, s.login_name, s.host_name, \
     a.transaction_begin_time, DATEDIFF(second, a.transaction_begin_time, GETDATE()) \
     FROM sys.dm_tran_active_transactions AS a \
     INNER JOIN sys.dm_tran_session_transactions AS st ON st.transaction_id = a.transaction_id \
     INNER JOIN sys.dm_tran_database_transactions AS d ON d.transaction_id = a.transaction_id \
     INNER JOIN sys.dm_exec_sessions AS s ON s.session_id = st.session_id \
     WHERE d.database_id = DB_ID() AND s.session_id <> @@SPID \
     ORDER BY a.transaction_begin_time";
