//! `test=True`: the exact statements of a request and the rows that they would touch, touching none.
//!
//! The statements are rendered by the code that runs them; rows are counted by plain SELECTs with the same conditions,
//! outside of any transaction and without a lock. Keys of rows are values and are sealed like an outcome's.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde_json::{Map as Json, Value as JsonValue};

use crate::mssql::quote::SqlName;
use crate::mssql::{Param, Rows, Session, SqlError};

use super::attempt::Attempt;
use super::definition::{Once, Precondition, Statement, same_name};
use super::error::WriteError;
use super::kind::Kind;
use super::ledger::Ledger;
use super::outcome::{Finding, Verdict};
use super::parameter;
use super::room::{Submission, WriteRoom};
use super::seal::seal;
use super::sql::{Locks, Sql};

/// What a request would do at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The verdict that it would get.
    pub would: Verdict,
    /// Why, when it would not land.
    pub reason: String,
    /// Each step in order.
    pub steps: Vec<PreviewStep>,
    /// The keys of the rows, sealed.
    pub sealed: Option<String>,
}

/// One statement of a preview.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewStep {
    /// `precondition`, a statement's label, or `read back`.
    pub name: String,
    /// The text.
    pub sql: String,
    /// What is bound to it, without values.
    pub bound: Vec<String>,
    /// How many rows it would read or touch; unknown while it depends on a key that is not made.
    pub rows: Option<u64>,
}

/// Shows what a request would do.
///
/// # Errors
/// No such write, a wrong parameter, or the database cannot be asked.
pub async fn preview(room: &WriteRoom, submission: &Submission) -> Result<Preview, WriteError> {
    let declared = room.book.find(&submission.write).await?;
    let spec = declared.ok_or_else(|| WriteError::NoWrite { write: submission.write.to_string() })?.spec;
    let values = room.values(&spec, &submission.params)?;
    let digest = parameter::digest(spec.name.as_str(), &values);
    let attempt = Attempt {
        spec: &spec,
        request: &submission.request,
        values: &values,
        digest: &digest,
        minion: room.minion(),
        faults: &room.faults,
        lock_timeout: spec.connection.lock_timeout,
        commit_sent: AtomicBool::new(false),
    };
    let mut lease = room.pool.take(&spec.connection).await?;
    let shown = Showing { attempt: &attempt, steps: Vec::new(), keys: Json::new(), found: None };
    let shown = shown.all(&mut lease.session).await?;
    room.pool.give_back(&spec.connection, lease);
    let sealed =
        if shown.keys.is_empty() { None } else { seal(&spec.recipients, &JsonValue::Object(shown.keys))? };
    if let Some(stopped) = room.drift(&spec).await? {
        return Ok(Preview { would: stopped.verdict, reason: stopped.reason, steps: shown.steps, sealed });
    }
    let (would, reason) = shown.found.map_or_else(
        || (Verdict::Landed, "every precondition holds and every statement finds its rows".to_owned()),
        |finding| (finding.verdict, finding.reason),
    );
    Ok(Preview { would, reason, steps: shown.steps, sealed })
}

struct Showing<'a> {
    attempt: &'a Attempt<'a>,
    steps: Vec<PreviewStep>,
    keys: Json<String, JsonValue>,
    /// The first thing that would end the request.
    found: Option<Finding>,
}

impl Showing<'_> {
    async fn all(mut self, session: &mut Session) -> Result<Self, WriteError> {
        self.repeated(session).await?;
        for precondition in &self.attempt.spec.preconditions {
            self.precondition(session, precondition).await?;
        }
        for statement in &self.attempt.spec.statements {
            self.statement(session, statement).await?;
        }
        let keys = BTreeMap::new();
        let sql = self.attempt.rendering(&keys).read_back()?;
        self.step("read back", &sql, None);
        Ok(self)
    }

    /// Whether the request has landed before.
    async fn repeated(&mut self, session: &mut Session) -> Result<(), WriteError> {
        let spec = self.attempt.spec;
        let there = match &spec.once {
            Once::Ledger(database) => {
                let ledger = Ledger { database: database.clone() };
                ledger.find(session, self.attempt.request).await?.is_some()
            }
            Once::ExternalId(column) => {
                let Some(first) = spec.statements.first() else { return Ok(()) };
                let keys = BTreeMap::new();
                let sql = self.attempt.rendering(&keys).external(&first.table, column, Locks::None)?;
                ask(session, &sql).await?.is_some_and(|rows| !rows.is_empty())
            }
        };
        if there {
            let reason = "this request id was used before; its recorded outcome would be given";
            self.found = Some(Finding::new(Verdict::AlreadyLanded, reason));
        }
        Ok(())
    }

    async fn precondition(
        &mut self,
        session: &mut Session,
        precondition: &Precondition,
    ) -> Result<(), WriteError> {
        let keys = BTreeMap::new();
        let rendering = self.attempt.rendering(&keys);
        let shown = rendering.precondition(precondition, Locks::Held)?;
        let rows = ask(session, &rendering.precondition(precondition, Locks::None)?).await?;
        self.step("precondition", &shown, rows.as_ref().map(|rows| rows.len() as u64));
        if let Some(rows) = rows
            && let Some(finding) = self.attempt.judge(precondition, &rows)?
        {
            self.found.get_or_insert(finding);
        }
        Ok(())
    }

    async fn statement(&mut self, session: &mut Session, statement: &Statement) -> Result<(), WriteError> {
        let keys = BTreeMap::new();
        let rendering = self.attempt.rendering(&keys);
        let shown = rendering.statement(statement)?;
        if statement.filter().is_empty() {
            self.step(&statement.label, &shown, Some(1));
            return Ok(());
        }
        let key = self.key_of(statement);
        // One more than it may touch is enough to see that it would touch too many.
        let counted = rendering.touched(statement, &key, statement.most.saturating_add(1))?;
        let rows = ask(session, &counted).await?;
        let count = rows.as_ref().map(|rows| rows.len() as u64);
        self.step(&statement.label, &shown, count);
        if let Some(count) = count.filter(|count| !(statement.least..=statement.most).contains(count)) {
            let reason =
                format!("the {} of {} would touch {count} row(s)", statement.verb(), statement.table);
            self.found.get_or_insert(Finding::new(Verdict::Conflict, reason));
        }
        if let Some(rows) = rows.filter(|_| !key.is_empty()) {
            self.keys.insert(statement.label.clone(), keys_json(&rows, &key)?);
        }
        Ok(())
    }

    /// The primary key, when the write may read it; else the columns that find the rows.
    fn key_of(&self, statement: &Statement) -> Vec<SqlName> {
        let spec = self.attempt.spec;
        let touched = spec.touched();
        let read = touched.iter().find(|(table, _)| **table == statement.table).map(|(_, columns)| columns);
        let key = spec.shape.table(&statement.table).map(|shape| shape.key.as_slice()).unwrap_or_default();
        let is_read = |name: &String| {
            read.is_some_and(|columns| columns.iter().any(|column| same_name(column.as_str(), name)))
        };
        if !key.is_empty() && key.iter().all(is_read) {
            return key.iter().filter_map(|name| SqlName::new(name.clone()).ok()).collect();
        }
        statement.filter().iter().map(|condition| condition.column.clone()).collect()
    }

    fn step(&mut self, name: &str, sql: &Sql, rows: Option<u64>) {
        self.steps.push(PreviewStep {
            name: name.to_owned(),
            sql: sql.text.clone(),
            bound: sql.labels(),
            rows,
        });
    }
}

/// Runs a SELECT; nothing when it depends on a key that is not made.
async fn ask(session: &mut Session, sql: &Sql) -> Result<Option<Rows>, SqlError> {
    match sql.params() {
        Some(params) => session.query(&sql.text, &params).await.map(Some),
        None => Ok(None),
    }
}

fn keys_json(rows: &Rows, key: &[SqlName]) -> Result<JsonValue, SqlError> {
    let mut all = Vec::new();
    for row in rows {
        let mut one = Json::new();
        for (at, column) in key.iter().enumerate() {
            let param = Param::from_cell(row.get_column_data(at)?)?;
            one.insert(column.to_string(), Kind::json(param.as_ref()));
        }
        all.push(JsonValue::Object(one));
    }
    Ok(JsonValue::Array(all))
}
