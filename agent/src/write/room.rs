//! Where requests come in: the declared writes, the order of requests, the connections.
//!
//! A request takes its place in the lanes of its entity and of its own id when it arrives, and is brought to its outcome
//! in its turn (`run`). A write runs as a task of its own: a job that is killed does not tear it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Config;
use crate::mssql::ConnectionOptions;
use crate::policy::switches::{Switch, Switches};
use crate::schema::{EhrVersion, SchemaBook};
use crate::store::Store;
use crate::store::writes::{self as table, OutcomeRow};
use crate::tasks::Tasks;

use super::book::{Book, Declared};
use super::characters;
use super::definition::{Once, WriteSpec};
use super::error::WriteError;
use super::faults::Faults;
use super::lanes::{Lanes, Place};
use super::ledger::{Ledger, Recorded};
use super::names::{RequestId, WriteName};
use super::outcome::{Outcome, Verdict};
use super::parameter::{self, Values};
use super::pool::Pool;
use super::run::Run;
use super::unseal::{Given, OwnIdentity};

/// The writes of this process.
#[derive(Debug, Clone)]
pub struct WriteRoom {
    /// The declarations.
    pub book: Book,
    /// Connections that stay open.
    pub pool: Pool,
    /// The practice's switches.
    pub switches: Switches,
    /// The test hook.
    pub faults: Faults,
    /// What submitted parameters may be sealed for.
    pub identity: OwnIdentity,
    pub(super) store: Arc<Store>,
    pub(super) minion: String,
    pub(super) turns: Arc<Semaphore>,
    tasks: Tasks,
    lanes: Lanes,
    places: Arc<Mutex<HashMap<String, Place>>>,
    known: Arc<RwLock<HashMap<WriteName, Arc<Declared>>>>,
}

/// A request as it was submitted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Which write.
    pub write: WriteName,
    /// The request's id.
    pub request: RequestId,
    /// Its parameters as given.
    pub params: Given,
    /// When it was made.
    pub issued: SystemTime,
    /// The job that brought it; its place was taken when it arrived.
    pub jid: Option<String>,
}

/// An outcome with what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What became of the request.
    pub outcome: Outcome,
    /// How many transactions were begun.
    pub attempts: u32,
    /// From submission to outcome.
    pub took: Duration,
}

/// A place in the order, given back when the job that holds it ends.
#[derive(Debug)]
pub struct Arrival {
    jid: String,
    places: Arc<Mutex<HashMap<String, Place>>>,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        lock(&self.places).remove(&self.jid);
    }
}

impl WriteRoom {
    /// The room of this process.
    #[must_use]
    pub fn new(config: &Config, store: Arc<Store>, tasks: Tasks) -> Self {
        Self {
            book: Book::new(Arc::clone(&store)),
            pool: Pool::default(),
            switches: Switches::new(config),
            faults: Faults::default(),
            identity: OwnIdentity::new(Arc::clone(&store)),
            store,
            minion: config.id.to_string(),
            turns: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            tasks,
            lanes: Lanes::default(),
            places: Arc::default(),
            known: Arc::default(),
        }
    }

    /// Learns the declared writes and keeps connections open for them until the process' tasks are cancelled.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(&self) -> Result<(), WriteError> {
        self.learn().await?;
        if let Err(error) = self.identity.recipient() {
            tracing::warn!(%error, "parameters cannot be sealed for this minion");
        }
        let (known, switches) = (Arc::clone(&self.known), self.switches.clone());
        let wanted = move || {
            if switches.paused(Switch::Writes).is_some() {
                return Vec::new();
            }
            let known = known.read().unwrap_or_else(PoisonError::into_inner);
            let mut wanted: Vec<ConnectionOptions> = Vec::new();
            for declared in known.values() {
                if !wanted.contains(&declared.spec.connection) {
                    wanted.push(declared.spec.connection.clone());
                }
            }
            wanted
        };
        let keeping = self.pool.clone().keep(wanted, self.tasks.token());
        self.tasks.spawn("write connections", keeping);
        let this = self.clone();
        self.tasks.spawn("write ledger", async move { this.forget_old().await });
        Ok(())
    }

    /// Writes a checked declaration.
    ///
    /// # Errors
    /// The store failed.
    pub async fn declare(&self, declared: Declared) -> Result<(), WriteError> {
        self.book.declare(declared).await?;
        self.learn().await
    }

    /// Removes a declaration; true when there was one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove(&self, name: &WriteName) -> Result<bool, WriteError> {
        let removed = self.book.remove(name).await?;
        self.learn().await?;
        Ok(removed)
    }

    /// Takes the place of a request that a job brings, at the moment the job arrives. Never waits.
    #[must_use]
    pub fn arrive(&self, jid: &str, write: &str, request: &str, params: &Given) -> Option<Arrival> {
        let (write, request) = (WriteName::new(write).ok()?, RequestId::new(request).ok()?);
        let declared = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&write).cloned()?;
        let values = self.values(&declared.spec, params).ok()?;
        let place = self.lanes.join(lanes(&declared.spec, &request, &values));
        lock(&self.places).insert(jid.to_owned(), place);
        Some(Arrival { jid: jid.to_owned(), places: Arc::clone(&self.places) })
    }

    /// Brings a request to its outcome.
    ///
    /// # Errors
    /// The store failed, or the test hook ended the agent.
    pub async fn submit(&self, submission: Submission) -> Result<Answer, WriteError> {
        let this = self.clone();
        let name = format!("write {}", submission.request);
        let work = self.tasks.spawn(name, async move { this.outcome(submission).await });
        work.await.map_err(|_| WriteError::Store(crate::store::StoreError::Stopped))?
    }

    /// The recorded outcome of a request, from the store or from the ledger of a declared write.
    ///
    /// # Errors
    /// The store failed, or the ledgers cannot be asked.
    pub async fn recorded(&self, request: &RequestId) -> Result<Option<(String, Outcome)>, WriteError> {
        if let Some(row) = self.stored(request).await? {
            return Ok(self.unsealed(&row).map(|outcome| (row.definition, outcome)));
        }
        let mut asked: Vec<(ConnectionOptions, Ledger)> = Vec::new();
        for declared in self.book.all().await? {
            let Once::Ledger(database) = declared.spec.once else { continue };
            let place = (declared.spec.connection, Ledger { database });
            if !asked.contains(&place) {
                asked.push(place);
            }
        }
        for (connection, ledger) in asked {
            let mut lease = self.pool.take(&connection).await?;
            let found = ledger.find(&mut lease.session, request).await?;
            self.pool.give_back(&connection, lease);
            if let Some(Recorded { write, outcome: Some(outcome), .. }) = found
                && let Some(outcome) = Outcome::from_stored(&outcome)
            {
                return Ok(Some((write, outcome)));
            }
        }
        Ok(None)
    }

    /// The name of this minion in ledger rows.
    #[must_use]
    pub fn minion(&self) -> &str {
        &self.minion
    }

    async fn outcome(&self, submission: Submission) -> Result<Answer, WriteError> {
        let begun = Instant::now();
        let refused = |reason: String| Answer {
            outcome: Outcome::plain(Verdict::Refused, reason),
            attempts: 0,
            took: begun.elapsed(),
        };
        let Some(declared) = self.book.find(&submission.write).await? else {
            return Ok(refused(format!("no write {} is declared on this minion", submission.write)));
        };
        let spec = declared.spec;
        let values = match self.values(&spec, &submission.params) {
            Ok(values) => values,
            Err(WriteError::Store(error)) => return Err(error.into()),
            Err(error) => return Ok(refused(error.to_string())),
        };
        let held = submission.jid.as_ref().and_then(|jid| lock(&self.places).remove(jid));
        let place = held.unwrap_or_else(|| self.lanes.join(lanes(&spec, &submission.request, &values)));
        let run = Run {
            room: self,
            digest: parameter::digest(spec.name.as_str(), &values),
            deadline: begun + spec.deadline,
            submission: &submission,
            spec: &spec,
            values: &values,
        };
        let (outcome, attempts) = run.in_turn(&place).await?;
        Ok(Answer { outcome, attempts, took: begun.elapsed() })
    }

    /// The typed values of a request, opened first if they came sealed.
    pub(super) fn values(&self, spec: &WriteSpec, params: &Given) -> Result<Values, WriteError> {
        let values = parameter::values(&spec.parameters, &self.identity.open(params)?)?;
        characters::held(spec, &values)?;
        Ok(values)
    }

    /// What forbids writing into the tables of this write: they are not as they were approved.
    pub(super) async fn drift(&self, spec: &WriteSpec) -> Result<Option<Outcome>, WriteError> {
        let tables: Vec<_> = spec.touched().into_iter().map(|(table, _)| table).collect();
        let book = SchemaBook::new(Arc::clone(&self.store));
        let drift = book.of_tables(&spec.connection, &tables).await?;
        Ok(drift.map(|drift| {
            let reason = format!(
                "{} is not as it was approved for sync job {}: {}. Approve it with mssql_schema.fingerprint {} {} when \
                 writing into it still means the same",
                drift.table,
                drift.job,
                drift.differences.join(", "),
                drift.job,
                drift.found
            );
            let version = drift.ehr_version.as_ref().map(EhrVersion::words);
            let reason = version.map_or(reason.clone(), |version| format!("{reason}. {version}"));
            Outcome { names: drift.differences, ..Outcome::plain(Verdict::SchemaChanged, reason) }
        }))
    }

    /// The outcome with the EHR's version in its reason, where the tables forbade it and a sync job knows the version.
    pub(super) async fn dated(&self, outcome: Outcome, spec: &WriteSpec) -> Result<Outcome, WriteError> {
        if outcome.verdict != Verdict::SchemaChanged {
            return Ok(outcome);
        }
        let version = SchemaBook::new(Arc::clone(&self.store)).ehr_version_of(&spec.connection).await?;
        let Some(version) = version else { return Ok(outcome) };
        let reason = format!("{}. {}", outcome.reason, version.words());
        Ok(Outcome { reason, ..outcome })
    }

    pub(super) async fn stored(&self, request: &RequestId) -> Result<Option<OutcomeRow>, WriteError> {
        let request = request.to_string();
        Ok(self.store.run(move |tx| table::outcome(tx, &request)).await?)
    }

    pub(super) fn unsealed(&self, row: &OutcomeRow) -> Option<Outcome> {
        let clear = self.store.unseal(&purpose(&row.request), &row.outcome).ok()?;
        Outcome::from_stored(std::str::from_utf8(&clear).ok()?)
    }

    /// A hash of the digest that nobody without the store's key can compute.
    pub(super) fn keyed(&self, digest: &[u8]) -> Vec<u8> {
        self.store.keyed_hash(digest)
    }

    async fn learn(&self) -> Result<(), WriteError> {
        let all = self.book.all().await?;
        let all = all.into_iter().map(|declared| (declared.spec.name.clone(), Arc::new(declared)));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = all.collect();
        Ok(())
    }

    /// Once a day, forgets requests that are too old to be asked for.
    async fn forget_old(&self) {
        let token = self.tasks.token();
        loop {
            tokio::select! {
                () = tokio::time::sleep(FORGET_EVERY) => {}
                () = token.cancelled() => return,
            }
            let day = self.store.run(table::forgotten_before).await.ok().flatten();
            let Some(day) = day.and_then(|day| i32::try_from(day).ok()) else { continue };
            for declared in self.book.all().await.unwrap_or_default() {
                let Once::Ledger(database) = &declared.spec.once else { continue };
                let ledger = Ledger { database: database.clone() };
                let connection = &declared.spec.connection;
                let Ok(mut lease) = self.pool.take(connection).await else { continue };
                match ledger.purge(&mut lease.session, day).await {
                    Ok(()) => self.pool.give_back(connection, lease),
                    Err(error) => tracing::info!(%error, "old rows of the write ledger stay"),
                }
            }
        }
    }
}

/// Whose turn comes before whose: requests of one entity, and submissions of one request.
fn lanes(spec: &WriteSpec, request: &RequestId, values: &Values) -> Vec<String> {
    let mut lanes = vec![format!("request {request}")];
    if let Some(entity) = &spec.entity {
        let key: Vec<_> = entity.parameters.iter().map(|name| values.get(name)).collect();
        let key = serde_json::to_string(&key).unwrap_or_default();
        let connection = &spec.connection;
        lanes.push(format!("{} {} {} {key}", connection.server, connection.database, entity.name));
    }
    lanes
}

pub(super) fn purpose(request: &str) -> String {
    format!("write outcome {request}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes that run at the same time.
const MOST_AT_ONCE: usize = 4;
const FORGET_EVERY: Duration = Duration::from_secs(24 * 3600);
