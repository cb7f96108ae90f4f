//! One attempt at a request: one transaction from BEGIN to COMMIT.
//!
//! Order: the ledger row first, so that a second submission waits here and then sees the outcome; preconditions with
//! their rows locked; the statements; the tables compared with the approved shape, which nothing can change any more
//! because the statements hold them; the read-back; the outcome into the ledger row; COMMIT. Nothing of an attempt that
//! fails stays. Whether COMMIT was sent is noted, because a connection that breaks after it says nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map as Json, Value as JsonValue};
use tiberius::Row;

use crate::mssql::param::integer;
use crate::mssql::quote::{Bytes, SqlName};
use crate::mssql::{Param, Rows, Session, SqlError};

use super::check::read_shape;
use super::definition::{Condition, Demand, Once, Precondition, Statement, WriteSpec};
use super::error::WriteError;
use super::faults::{Faults, Step};
use super::kind::Kind;
use super::ledger::{DUPLICATE, Entry, Ledger, Recorded};
use super::names::RequestId;
use super::outcome::{Finding, Outcome, Verdict, now};
use super::parameter::Values;
use super::seal::seal;
use super::sql::{Locks, Rendering, Sql};

/// A request that is to be written.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The definition.
    pub spec: &'a WriteSpec,
    /// The request.
    pub request: &'a RequestId,
    /// Its values.
    pub values: &'a Values,
    /// Digest of write and values.
    pub digest: &'a [u8],
    /// Who writes.
    pub minion: &'a str,
    /// The test hook.
    pub faults: &'a Faults,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// Set when COMMIT goes out.
    pub commit_sent: AtomicBool,
}

/// Why an attempt did not land.
#[derive(Debug)]
pub enum Stop {
    /// The request was recorded before.
    Taken(Box<Recorded>),
    /// A row with the request's id is in the EHR.
    Present,
    /// What was found forbids it.
    Found(Box<Finding>),
    /// SQL Server refused a statement or went away.
    Sql(SqlError),
    /// A declaration that does not hold, or the test hook.
    Broken(WriteError),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Self {
        let WriteError::Sql(refusal) = error else { return Self::Broken(error) };
        Self::Sql(refusal)
    }
}

impl Attempt<'_> {
    /// Runs the transaction; nothing of it stays unless it gives an outcome.
    ///
    /// # Errors
    /// See [`Stop`].
    pub async fn run(&self, session: &mut Session) -> Result<Outcome, Stop> {
        let done = self.transaction(session).await;
        if let Err(stop) = &done
            && !matches!(stop, Stop::Broken(WriteError::Fault { .. }))
            && session.is_usable()
        {
            session.batch("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION").await?;
        }
        match done {
            Err(Stop::Sql(error)) if error.number() == Some(DUPLICATE) && is_ledgers(&error) => {
                self.taken(session).await
            }
            done => done,
        }
    }

    /// What the ledger or the EHR says of the request, outside of a transaction.
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn present(&self, session: &mut Session) -> Result<Outcome, Stop> {
        let rows = self.query(session, &self.rendering(&BTreeMap::new()).read_back()?).await?;
        let statements = self.spec.statements.len();
        self.landed(&rows, &format!("a row with this request's id is there ({statements} statements)"))
    }

    /// Whether a row of the EHR carries the request's id.
    ///
    /// # Errors
    /// SQL Server's refusal.
    pub async fn is_present(&self, session: &mut Session) -> Result<bool, Stop> {
        let (Once::ExternalId(column), Some(first)) = (&self.spec.once, self.spec.statements.first()) else {
            return Ok(false);
        };
        let keys = BTreeMap::new();
        let sql = self.rendering(&keys).external(&first.table, column, Locks::None)?;
        Ok(!self.query(session, &sql).await?.is_empty())
    }

    async fn taken(&self, session: &mut Session) -> Result<Outcome, Stop> {
        let Once::Ledger(database) = &self.spec.once else { return Err(Stop::Present) };
        let ledger = Ledger { database: database.clone() };
        match ledger.find(session, self.request).await? {
            Some(recorded) => Err(Stop::Taken(Box::new(recorded))),
            // Forgotten between the two statements: the next attempt finds its place free.
            None => Err(Stop::Sql(SqlError::Broken { reason: "the ledger row went away".into() })),
        }
    }

    async fn transaction(&self, session: &mut Session) -> Result<Outcome, Stop> {
        self.faults.pass(Step::Accepted)?;
        session.batch(&self.begin()).await?;
        self.faults.pass(Step::Begun)?;
        self.reserve(session).await?;
        self.faults.pass(Step::Reserved)?;
        for precondition in &self.spec.preconditions {
            self.require(session, precondition).await?;
        }
        self.faults.pass(Step::Checked)?;
        let (keys, rows) = self.write(session).await?;
        self.faults.pass(Step::Written)?;
        self.compare_shape(session).await?;
        let read = self.query(session, &self.rendering(&keys).read_back()?).await?;
        let statements = self.spec.statements.len();
        let outcome = self.landed(&read, &format!("{rows} row(s) written by {statements} statement(s)"))?;
        if let Once::Ledger(database) = &self.spec.once {
            let ledger = Ledger { database: database.clone() };
            ledger.complete(session, self.entry(), &outcome.stored()).await?;
        }
        self.faults.pass(Step::Completed)?;
        self.commit_sent.store(true, Ordering::SeqCst);
        session.batch("COMMIT TRANSACTION").await?;
        self.commit_sent.store(false, Ordering::SeqCst);
        self.faults.pass(Step::Committed)?;
        Ok(outcome)
    }

    fn begin(&self) -> String {
        let author = format!("{PROGRAM}|{}|{}", self.spec.name, self.request);
        format!(
            "SET LOCK_TIMEOUT {}; SET CONTEXT_INFO {}; BEGIN TRANSACTION",
            self.lock_timeout.as_millis(),
            Bytes::new(&author.as_bytes()[..author.len().min(CONTEXT_BYTES)])
        )
    }

    async fn reserve(&self, session: &mut Session) -> Result<(), Stop> {
        match &self.spec.once {
            Once::Ledger(database) => {
                let ledger = Ledger { database: database.clone() };
                Ok(ledger.reserve(session, self.entry()).await?)
            }
            Once::ExternalId(column) => {
                let Some(first) = self.spec.statements.first() else { return Ok(()) };
                let keys = BTreeMap::new();
                let sql = self.rendering(&keys).external(&first.table, column, Locks::Held)?;
                if self.query(session, &sql).await?.is_empty() { Ok(()) } else { Err(Stop::Present) }
            }
        }
    }

    async fn require(&self, session: &mut Session, precondition: &Precondition) -> Result<(), Stop> {
        let keys = BTreeMap::new();
        let rows =
            self.query(session, &self.rendering(&keys).precondition(precondition, Locks::Held)?).await?;
        match self.judge(precondition, &rows)? {
            Some(finding) => Err(Stop::Found(Box::new(finding))),
            None => Ok(()),
        }
    }

    /// What a precondition's rows mean; nothing when it holds.
    ///
    /// # Errors
    /// A cell that cannot be read.
    pub fn judge(&self, precondition: &Precondition, rows: &Rows) -> Result<Option<Finding>, SqlError> {
        let table = &precondition.table;
        let columns = |conditions: &[Condition]| -> Vec<String> {
            conditions.iter().map(|condition| condition.column.to_string()).collect()
        };
        let filter = columns(&precondition.filter);
        let failed = |reason: String| Finding::new(Verdict::PreconditionFailed, reason).about(filter.clone());
        match (&precondition.demand, rows.as_slice()) {
            (Demand::Absent, []) => Ok(None),
            (Demand::Absent, _) => {
                Ok(Some(failed(format!("{table} has a row that must not be there ({})", filter.join(", ")))))
            }
            (Demand::Expect(_), []) => {
                Ok(Some(failed(format!("{table} has no such row ({})", filter.join(", ")))))
            }
            (Demand::Expect(conditions), [row]) => self.differing(precondition, conditions, row),
            (Demand::Expect(_), _) => {
                Ok(Some(failed(format!("{table} has more than one such row ({})", filter.join(", ")))))
            }
        }
    }

    /// The columns that are not as expected. A rowversion alone means that somebody changed the row meanwhile.
    fn differing(
        &self,
        precondition: &Precondition,
        conditions: &[Condition],
        row: &Row,
    ) -> Result<Option<Finding>, SqlError> {
        let mut differs = Json::new();
        let mut only_version = true;
        for (at, condition) in conditions.iter().enumerate() {
            if row.get_column_data(at).map(integer)? == Some(1) {
                continue;
            }
            let kind = self.spec.shape.kind(&precondition.table, &condition.column);
            only_version &= kind == Some(Kind::Rowversion);
            let found = cell(row, conditions.len() + at)?;
            differs.insert(condition.column.to_string(), Kind::json(found.as_ref()));
        }
        if differs.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = differs.keys().cloned().collect();
        let table = &precondition.table;
        let (verdict, reason) = if only_version {
            (Verdict::Conflict, format!("the row of {table} was changed since it was read"))
        } else {
            (Verdict::PreconditionFailed, format!("the row of {table} differs in {}", names.join(", ")))
        };
        let private = [("differs".to_owned(), JsonValue::Object(differs))].into_iter().collect();
        Ok(Some(Finding { private, ..Finding::new(verdict, reason).about(names) }))
    }

    /// Runs the statements; gives the keys that inserts made and the rows touched.
    async fn write(&self, session: &mut Session) -> Result<(BTreeMap<String, i64>, u64), Stop> {
        let mut keys = BTreeMap::new();
        let mut total = 0;
        for (at, statement) in self.spec.statements.iter().enumerate() {
            let sql = self.rendering(&keys).statement(statement)?;
            let answer = self.query(session, &sql).await?;
            let cell = |column: usize| {
                answer.first().and_then(|row| row.get_column_data(column).ok()).and_then(integer)
            };
            let rows = cell(0).and_then(|rows| u64::try_from(rows).ok()).unwrap_or_default();
            check_rows(statement, rows)?;
            total += rows;
            if let Some(key) = cell(1) {
                keys.insert(statement.label.clone(), key);
            }
            if at == 0 {
                self.faults.pass(Step::FirstStatement)?;
            }
        }
        Ok((keys, total))
    }

    async fn compare_shape(&self, session: &mut Session) -> Result<(), Stop> {
        let found = read_shape(session, self.spec).await?;
        let differences = self.spec.shape.differences(&found);
        if differences.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "the tables are not as this write was approved for: {}. Declare it again with `schema: {}` when it still means \
             the same",
            differences.join(", "),
            found.fingerprint()
        );
        Err(Stop::Found(Box::new(Finding::new(Verdict::SchemaChanged, reason).about(differences))))
    }

    /// The outcome of a write whose rows were read back.
    fn landed(&self, rows: &Rows, reason: &str) -> Result<Outcome, Stop> {
        let columns = &self.spec.read_back.columns;
        let mut all: Vec<Json<String, JsonValue>> = Vec::new();
        for row in rows {
            let mut read = Json::new();
            for (at, column) in columns.iter().enumerate() {
                let param = cell(row, at)?;
                read.insert(column.to_string(), Kind::json(param.as_ref()));
            }
            all.push(read);
        }
        let keys = all.first().map(|first| pick(first, &self.spec.read_back.keys)).unwrap_or_default();
        let clear: Vec<SqlName> = columns
            .iter()
            .filter(|column| self.spec.clear.iter().any(|c| c == column.as_str()))
            .cloned()
            .collect();
        let mut outcome = Outcome {
            keys: pick(&keys, &clear),
            read_back: if clear.is_empty() {
                Vec::new()
            } else {
                all.iter().map(|row| pick(row, &clear)).collect()
            },
            ..Outcome::plain(Verdict::Landed, reason)
        };
        let private: Json<String, JsonValue> =
            [("keys".to_owned(), keys.into()), ("read_back".to_owned(), all.into())].into_iter().collect();
        outcome.sealed = self.sealed(outcome.verdict, private)?;
        Ok(outcome)
    }

    /// A finding as an outcome, its values sealed.
    ///
    /// # Errors
    /// The recipients cannot be used.
    pub fn outcome(&self, finding: Finding) -> Result<Outcome, WriteError> {
        let sealed =
            if finding.private.is_empty() { None } else { self.sealed(finding.verdict, finding.private)? };
        Ok(Outcome { names: finding.names, sealed, ..Outcome::plain(finding.verdict, finding.reason) })
    }

    fn sealed(
        &self,
        verdict: Verdict,
        mut private: Json<String, JsonValue>,
    ) -> Result<Option<String>, WriteError> {
        private.insert("write".to_owned(), self.spec.name.as_str().into());
        private.insert("request".to_owned(), self.request.as_str().into());
        private.insert("outcome".to_owned(), verdict.word().into());
        private.insert("at".to_owned(), now().into());
        seal(&self.spec.recipients, &private.into())
    }

    async fn query(&self, session: &mut Session, sql: &Sql) -> Result<Rows, SqlError> {
        let unbound = || SqlError::Protocol { reason: "a statement names a key that no insert made".into() };
        session.last(&sql.text, &sql.params().ok_or_else(unbound)?).await
    }

    /// The statements of this request.
    #[must_use]
    pub fn rendering<'k>(&'k self, keys: &'k BTreeMap<String, i64>) -> Rendering<'k> {
        Rendering { spec: self.spec, request: self.request, values: self.values, keys }
    }

    /// The request as the ledger keys it.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        Entry { request: self.request, write: &self.spec.name, digest: self.digest, minion: self.minion }
    }
}

fn cell(row: &Row, at: usize) -> Result<Option<Param>, SqlError> {
    Param::from_cell(row.get_column_data(at)?)
}

/// The violation of the ledger's own key, which names its constraint.
fn is_ledgers(error: &SqlError) -> bool {
    error.to_string().contains("PK_write_ledger")
}

fn check_rows(statement: &Statement, rows: u64) -> Result<(), Stop> {
    if (statement.least..=statement.most).contains(&rows) {
        return Ok(());
    }
    let expected = if statement.least == statement.most {
        statement.least.to_string()
    } else {
        format!("{} to {}", statement.least, statement.most)
    };
    let reason = format!(
        "the {} of {} ({}) would touch {rows} row(s) where {expected} are expected; nothing was written",
        statement.verb(),
        statement.table,
        statement.label
    );
    Err(Stop::Found(Box::new(Finding::new(Verdict::Conflict, reason).about([statement.table.to_string()]))))
}

fn pick(row: &Json<String, JsonValue>, columns: &[SqlName]) -> Json<String, JsonValue> {
    let cell = |column: &SqlName| row.get(column.as_str()).map(|cell| (column.to_string(), cell.clone()));
    columns.iter().filter_map(cell).collect()
}

/// The author that `CONTEXT_INFO` and thus a trigger's audit sees.
const PROGRAM: &str = crate::mssql::PROGRAM_NAME;
const CONTEXT_BYTES: usize = 128;
