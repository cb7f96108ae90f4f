//! The ledger: one row per request in an agent-owned database of the instance, in the write's own transaction.
//!
//! One transaction spans the databases of an instance, so the row and the EHR's rows commit together or not at all; the
//! row's primary key is what makes a request land once, whoever sends it and however often. Refusals that the data
//! decided are recorded as well, so that the same request gives the same outcome. The key is a digest of the request's id:
//! no collation folds two ids into one. Rows hold no values of the EHR: an outcome's values are sealed in it.

use crate::access::{Plan, Statement};
use crate::mssql::param::{bytes, text};
use crate::mssql::quote::{ObjectName, SqlName};
use crate::mssql::{Param, Session, SqlError};

use super::names::{RequestId, WriteName};

/// The ledger table of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The agent-owned database.
    pub database: SqlName,
}

/// A request as the ledger keys it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its id.
    pub request: &'a RequestId,
    /// The write.
    pub write: &'a WriteName,
    /// Digest of write and values.
    pub digest: &'a [u8],
    /// Who writes.
    pub minion: &'a str,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The write.
    pub write: String,
    /// Digest of write and values.
    pub digest: Vec<u8>,
    /// The stored outcome.
    pub outcome: Option<String>,
}

impl Ledger {
    /// Puts the request's row in; a second one of the same request is refused by the primary key ([`DUPLICATE`]).
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn reserve(&self, session: &mut Session, entry: Entry<'_>) -> Result<(), SqlError> {
        self.insert(session, entry, None).await
    }

    /// Records the outcome in the request's row.
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn complete(
        &self,
        session: &mut Session,
        entry: Entry<'_>,
        outcome: &str,
    ) -> Result<(), SqlError> {
        let sql = format!(
            "UPDATE {} SET outcome = @P1, decided = SYSUTCDATETIME() WHERE request_digest = @P2",
            self.quoted()
        );
        session.query(&sql, &[outcome.into(), Param::Bytes(entry.request.digest())]).await.map(drop)
    }

    /// Records a refusal, in a transaction of its own. Another's record of the same request stays.
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn note(&self, session: &mut Session, entry: Entry<'_>, outcome: &str) -> Result<(), SqlError> {
        match self.insert(session, entry, Some(outcome)).await {
            Err(error) if error.number() == Some(DUPLICATE) => Ok(()),
            done => done,
        }
    }

    /// The request's row; waits for a transaction that holds it.
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn find(
        &self,
        session: &mut Session,
        request: &RequestId,
    ) -> Result<Option<Recorded>, SqlError> {
        // Under READ_COMMITTED_SNAPSHOT a plain read would show the state before a commit that is under way.
        let sql = format!(
            "SELECT definition, parameters, outcome FROM {} WITH (READCOMMITTEDLOCK) WHERE request_digest = @P1",
            self.quoted()
        );
        let rows = session.query(&sql, &[Param::Bytes(request.digest())]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Recorded {
            write: text(row.get_column_data(0)?).unwrap_or_default(),
            digest: bytes(row.get_column_data(1)?).unwrap_or_default().to_vec(),
            outcome: text(row.get_column_data(2)?),
        }))
    }

    /// Forgets rows older than [`KEPT_DAYS`] by the server's clock and decided before `day` (counted from 1970), a few at a
    /// time. The second bound is one that no wrong clock moves.
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn purge(&self, session: &mut Session, day: i32) -> Result<(), SqlError> {
        let sql = format!(
            "DELETE TOP (500) FROM {} WHERE decided < DATEADD(day, -{KEPT_DAYS}, SYSUTCDATETIME()) \
             AND decided < DATEADD(day, @P1, '1970-01-01')",
            self.quoted()
        );
        session.query(&sql, &[Param::Int(day)]).await.map(drop)
    }

    /// Reads nothing, as the writing login: fails as a write would.
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn probe(&self, session: &mut Session) -> Result<(), SqlError> {
        let sql = format!(
            "SELECT TOP (0) request_digest, request, definition, parameters, minion, outcome, decided FROM {}",
            self.quoted()
        );
        session.batch(&sql).await.map(drop)
    }

    /// The table within its database.
    #[must_use]
    pub fn table() -> Option<ObjectName> {
        ObjectName::parse(TABLE).ok()
    }

    /// What makes the database and the table, as far as they are missing.
    #[must_use]
    pub fn plan(&self, has_database: bool, has_table: bool) -> Plan {
        let mut plan = Plan::default();
        if !has_database {
            plan.push(Statement::new(format!("CREATE DATABASE {}", self.database.quoted())));
            plan.changes.insert(self.database.as_str(), "Present");
        }
        if !has_table {
            plan.push(Statement::new(format!("CREATE TABLE {} ({COLUMNS})", self.quoted())));
            plan.changes.insert(format!("{}.{TABLE}", self.database), "Present");
        }
        plan
    }

    async fn insert(
        &self,
        session: &mut Session,
        entry: Entry<'_>,
        outcome: Option<&str>,
    ) -> Result<(), SqlError> {
        let last = if outcome.is_some() { "@P6" } else { "NULL" };
        let sql = format!(
            "INSERT INTO {} (request_digest, request, definition, parameters, minion, outcome, decided) VALUES (@P1, @P2, \
             @P3, @P4, @P5, {last}, SYSUTCDATETIME())",
            self.quoted()
        );
        let mut params = vec![
            Param::Bytes(entry.request.digest()),
            entry.request.as_str().into(),
            entry.write.as_str().into(),
            Param::Bytes(entry.digest.to_vec()),
            entry.minion.into(),
        ];
        params.extend(outcome.map(Param::from));
        session.query(&sql, &params).await.map(drop)
    }

    fn quoted(&self) -> String {
        let table = Self::table().map(|table| table.quoted()).unwrap_or_default();
        format!("{}.{table}", self.database.quoted())
    }
}

/// A second row of the same primary key.
pub const DUPLICATE: u32 = 2627;
/// How long a request is remembered; the promise is 30 days.
pub const KEPT_DAYS: u32 = 40;

const TABLE: &str = "dbo.write_ledger";
const COLUMNS: &str = "\n    request_digest binary(32) NOT NULL CONSTRAINT PK_write_ledger PRIMARY KEY,\
    \n    request nvarchar(100) NOT NULL,\
    \n    definition nvarchar(128) NOT NULL,\
    \n    parameters binary(32) NOT NULL,\
    \n    minion nvarchar(255) NOT NULL,\
    \n    outcome nvarchar(max) NULL,\
    \n    decided datetime2(3) NOT NULL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made_and_no_more() {
        let ledger = Ledger { database: SqlName::new("a]b").unwrap() };
        let script = ledger.plan(false, false).script();
        assert!(script.starts_with("CREATE DATABASE [a]]b];\nCREATE TABLE [a]]b].[dbo].[write_ledger] ("));
        assert_eq!(ledger.plan(true, false).statements.len(), 1);
        assert!(ledger.plan(true, true).is_empty());
    }
}
