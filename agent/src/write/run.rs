//! One request from its turn to its outcome: what is known of it, attempts, retries until the deadline.
//!
//! What was decided before is answered from the store; else attempts follow each other until one lands, the data forbids
//! it, or the deadline passes. An attempt whose COMMIT was cut off is answered by the next one, which waits at the ledger
//! row (or at the external id) for what became of the first; when the deadline passes before that, the outcome says that
//! it is in doubt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;
use tokio::time::Instant;

use crate::mssql::{Session, SqlError};
use crate::policy::switches::Switch;
use crate::store::writes::{self as table, OutcomeRow};

use super::attempt::{Attempt, Stop};
use super::classify::{Cause, Class, classify, gave_up};
use super::definition::{Once, WriteSpec};
use super::error::WriteError;
use super::faults::Step;
use super::lanes::Place;
use super::ledger::{Ledger, Recorded};
use super::locker;
use super::outcome::{Finding, Outcome, Verdict};
use super::parameter::Values;
use super::room::{Submission, WriteRoom, purpose};

/// One request on its way.
pub(super) struct Run<'a> {
    pub(super) room: &'a WriteRoom,
    pub(super) submission: &'a Submission,
    pub(super) spec: &'a WriteSpec,
    pub(super) values: &'a Values,
    pub(super) digest: Vec<u8>,
    pub(super) deadline: Instant,
}

impl Run<'_> {
    /// Waits for its turn and brings the request to its outcome; gives the number of attempts with it.
    pub(super) async fn in_turn(&self, place: &Place) -> Result<(Outcome, u32), WriteError> {
        if tokio::time::timeout_at(self.deadline, place.turn()).await.is_err() {
            let entity = self.spec.entity.as_ref().map_or("request", |entity| entity.name.as_str());
            let reason = format!("earlier writes of the same {entity} are still being tried");
            let outcome = Outcome::plain(Verdict::Locked, reason);
            return Ok((Outcome { names: vec![crate::mssql::PROGRAM_NAME.to_owned()], ..outcome }, 0));
        }
        if let Some(outcome) = self.known().await? {
            return Ok((outcome, 0));
        }
        if let Some(outcome) = self.room.drift(self.spec).await? {
            return Ok((outcome, 0));
        }
        let turn = tokio::time::timeout_at(self.deadline, self.room.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let reason = "all connections for writes were busy until the deadline";
            return Ok((Outcome::plain(Verdict::Unreachable, reason), 0));
        };
        let (outcome, attempts) = self.until_decided().await?;
        let outcome = self.room.dated(outcome, self.spec).await?;
        if outcome.verdict.is_final() {
            // The ledger has it as well; a request whose rows are written must not fail for this.
            if let Err(error) = self.record(&outcome).await {
                tracing::error!(%error, "the outcome of a write is not in the agent's store");
            }
            self.room.faults.pass(Step::Recorded)?;
        }
        Ok((outcome, attempts))
    }

    /// What the store knows of the request.
    async fn known(&self) -> Result<Option<Outcome>, WriteError> {
        let Some(row) = self.room.stored(&self.submission.request).await? else { return Ok(None) };
        if row.definition != self.spec.name.as_str() || row.parameters != self.room.keyed(&self.digest) {
            return Ok(Some(self.used_before(&row.definition)));
        }
        Ok(self.room.unsealed(&row).map(Outcome::repeated))
    }

    async fn until_decided(&self) -> Result<(Outcome, u32), WriteError> {
        let mut state = Tries::default();
        loop {
            if let Some(outcome) = self.forbidden(&state) {
                let is_late = outcome.verdict == Verdict::Expired;
                let outcome = if is_late { self.unless_written(outcome).await? } else { outcome };
                return Ok((outcome, state.attempts));
            }
            state.attempts += 1;
            let (class, error) = match self.attempt(&mut state).await? {
                Tried::Done(outcome) => return Ok((outcome, state.attempts)),
                Tried::Failed(error) => (classify(&error), error),
            };
            let cause = match class {
                Class::Again(cause) => cause,
                Class::Found(finding) => return Ok((self.refusal(finding, &state).await?, state.attempts)),
            };
            let pause = state.pause(cause);
            if Instant::now() + pause >= self.deadline {
                return Ok((self.give_up(cause, &error, &state), state.attempts));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// What keeps the request from being tried: the practice's switch, its age.
    fn forbidden(&self, state: &Tries) -> Option<Outcome> {
        if let Some(pause) = self.room.switches.paused(Switch::Writes) {
            let outcome = Outcome::plain(Verdict::Paused, format!("writing is {pause}"));
            return Some(Outcome { in_doubt: state.in_doubt, ..outcome });
        }
        let age = SystemTime::now().duration_since(self.submission.issued).unwrap_or_default();
        let limit = self.spec.expires.filter(|limit| age > *limit && !state.in_doubt)?;
        let reason =
            format!("the request is {} s old; this write expires after {} s", age.as_secs(), limit.as_secs());
        Some(Outcome::plain(Verdict::Expired, reason))
    }

    /// A request that comes too late may have been written in time, by an agent whose store is gone or by another one: who
    /// is told that it expired will submit the same change again under another id. So the ledger, or the EHR, is asked.
    async fn unless_written(&self, late: Outcome) -> Result<Outcome, WriteError> {
        let (pool, options) = (&self.room.pool, &self.spec.connection);
        let left = self.deadline.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT);
        let asked = tokio::time::timeout(left, async {
            let mut lease = pool.take(options).await?;
            let written = self.written(&mut lease.session).await?;
            pool.give_back(options, lease);
            Ok(written)
        });
        match asked.await.unwrap_or_else(|_| Err(Stop::Sql(too_slow()))) {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Ok(late),
            Err(Stop::Broken(error)) => Err(error),
            Err(Stop::Sql(error)) => {
                let reason =
                    format!("{}, unless it was written in time, which cannot be asked: {error}", late.reason);
                Ok(Outcome::plain(Verdict::Unreachable, reason))
            }
            Err(Stop::Taken(_) | Stop::Present | Stop::Found(_)) => Ok(late),
        }
    }

    /// What ledger or EHR hold of the request.
    async fn written(&self, session: &mut Session) -> Result<Option<Outcome>, Stop> {
        match &self.spec.once {
            Once::Ledger(database) => {
                let ledger = Ledger { database: database.clone() };
                let found = ledger.find(session, &self.submission.request).await?;
                Ok(found.map(|recorded| self.of_ledger(recorded, Outcome::repeated)))
            }
            Once::ExternalId(_) => {
                let attempt = self.prepared(self.spec.connection.lock_timeout);
                if attempt.is_present(session).await? {
                    Ok(Some(attempt.present(session).await?.repeated()))
                } else {
                    Ok(None)
                }
            }
        }
    }

    async fn attempt(&self, state: &mut Tries) -> Result<Tried, WriteError> {
        let (pool, options) = (&self.room.pool, &self.spec.connection);
        let left = self.deadline.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT);
        let mut lease = match tokio::time::timeout(left, pool.take(options)).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(error)) => return Ok(Tried::Failed(error)),
            Err(_) => return Ok(Tried::Failed(too_slow())),
        };
        state.stale = lease.reused;
        let attempt = self.prepared(options.lock_timeout.min(left));
        let work = tokio::time::timeout(left + OVERTIME, attempt.run(&mut lease.session));
        let (done, holder) = locker::watched(work, (pool, options, lease.spid)).await;
        state.holder = holder.or(state.holder.take());
        let done = done.unwrap_or_else(|_| Err(Stop::Sql(too_slow())));
        let cut = matches!(&done, Err(Stop::Sql(error)) if error.number().is_none());
        state.in_doubt |= cut && attempt.commit_sent.load(Ordering::SeqCst);
        let tried = self.tried(&attempt, done, (&mut lease.session, state)).await?;
        if !cut && !matches!(tried, Tried::Failed(ref error) if error.number().is_none()) {
            pool.give_back(options, lease);
        }
        Ok(tried)
    }

    fn prepared(&self, lock_timeout: Duration) -> Attempt<'_> {
        Attempt {
            spec: self.spec,
            request: &self.submission.request,
            values: self.values,
            digest: &self.digest,
            minion: &self.room.minion,
            faults: &self.room.faults,
            lock_timeout,
            commit_sent: AtomicBool::new(false),
        }
    }

    async fn tried(
        &self,
        attempt: &Attempt<'_>,
        done: Result<Outcome, Stop>,
        (session, state): (&mut Session, &Tries),
    ) -> Result<Tried, WriteError> {
        // Found by an attempt whose predecessor's COMMIT was cut off: it is that commit which landed.
        let seen = |outcome: Outcome| if state.in_doubt { outcome } else { outcome.repeated() };
        match done {
            Ok(outcome) => Ok(Tried::Done(outcome)),
            Err(Stop::Taken(recorded)) => Ok(Tried::Done(self.of_ledger(*recorded, seen))),
            Err(Stop::Present) => match attempt.present(session).await {
                Ok(outcome) => Ok(Tried::Done(seen(outcome))),
                Err(Stop::Sql(error)) => Ok(Tried::Failed(error)),
                Err(Stop::Broken(error)) => Err(error),
                Err(Stop::Found(finding)) => Ok(Tried::Done(attempt.outcome(*finding)?)),
                Err(Stop::Taken(_) | Stop::Present) => Ok(Tried::Failed(too_slow())),
            },
            Err(Stop::Found(finding)) => {
                let outcome = attempt.outcome(*finding)?;
                self.note(session, attempt, &outcome).await;
                Ok(Tried::Done(outcome))
            }
            Err(Stop::Sql(error)) => Ok(Tried::Failed(error)),
            Err(Stop::Broken(error @ (WriteError::Fault { .. } | WriteError::Store(_)))) => Err(error),
            Err(Stop::Broken(error)) => Ok(Tried::Done(Outcome::plain(Verdict::Refused, error.to_string()))),
        }
    }

    /// The outcome in a ledger row that another submission left.
    fn of_ledger(&self, recorded: Recorded, seen: impl Fn(Outcome) -> Outcome) -> Outcome {
        if recorded.write != self.spec.name.as_str() || recorded.digest != self.digest {
            return self.used_before(&recorded.write);
        }
        match recorded.outcome.as_deref().and_then(Outcome::from_stored) {
            Some(outcome) => seen(outcome),
            None => seen(Outcome::plain(
                Verdict::Landed,
                "the ledger has this request; its outcome was recorded by another version of the agent",
            )),
        }
    }

    /// A final refusal goes into the ledger, best effort: the store has it as well.
    async fn note(&self, session: &mut Session, attempt: &Attempt<'_>, outcome: &Outcome) {
        let Once::Ledger(database) = &self.spec.once else { return };
        if !outcome.verdict.is_final() {
            return;
        }
        let ledger = Ledger { database: database.clone() };
        if let Err(error) = ledger.note(session, attempt.entry(), &outcome.stored()).await {
            tracing::info!(%error, "a refusal is recorded in the agent's store alone");
        }
    }

    async fn refusal(&self, finding: Finding, state: &Tries) -> Result<Outcome, WriteError> {
        let attempt = self.prepared(self.spec.connection.lock_timeout);
        let outcome = Outcome { in_doubt: state.in_doubt, ..attempt.outcome(finding)? };
        if outcome.verdict.is_final()
            && let Ok(mut lease) = self.room.pool.take(&self.spec.connection).await
        {
            self.note(&mut lease.session, &attempt, &outcome).await;
            self.room.pool.give_back(&self.spec.connection, lease);
        }
        Ok(outcome)
    }

    fn give_up(&self, cause: Cause, error: &SqlError, state: &Tries) -> Outcome {
        if state.in_doubt {
            let reason = format!(
                "the connection broke in the commit and what became of it could not be asked until the deadline; submit the \
                 same request again to learn it ({error})"
            );
            return Outcome { in_doubt: true, ..Outcome::plain(Verdict::Unreachable, reason) };
        }
        let finding = gave_up(cause, error);
        let outcome = Outcome::plain(finding.verdict, finding.reason);
        match (&state.holder, outcome.verdict) {
            (Some(holder), Verdict::Locked) => Outcome {
                reason: format!("the rows are held by {holder}"),
                names: vec![holder.clone()],
                ..outcome
            },
            _ => outcome,
        }
    }

    fn used_before(&self, write: &str) -> Outcome {
        let what = if write == self.spec.name.as_str() {
            "with other parameters".to_owned()
        } else {
            format!("for the write {write}")
        };
        Outcome::plain(
            Verdict::Refused,
            format!("the request id {} was used {what}; nothing was written", self.submission.request),
        )
    }

    async fn record(&self, outcome: &Outcome) -> Result<(), WriteError> {
        let request = self.submission.request.to_string();
        // What a later submission gets.
        let stored = Outcome {
            verdict: if outcome.verdict.has_landed() { Verdict::Landed } else { outcome.verdict },
            ..outcome.clone()
        };
        let row = OutcomeRow {
            outcome: self.room.store.seal(&purpose(&request), stored.stored().as_bytes())?,
            definition: self.spec.name.to_string(),
            parameters: self.room.keyed(&self.digest),
            decided: unix(SystemTime::now()),
            request,
        };
        Ok(self.room.store.run(move |tx| table::put_outcome(tx, &row)).await?)
    }
}

/// What an attempt came to.
enum Tried {
    Done(Outcome),
    Failed(SqlError),
}

/// The attempts so far.
#[derive(Debug, Default)]
struct Tries {
    attempts: u32,
    failures: u32,
    /// A COMMIT was sent and not answered.
    in_doubt: bool,
    /// The last connection had idled before.
    stale: bool,
    /// Who held the lock.
    holder: Option<String>,
}

impl Tries {
    /// How long to wait before the next attempt.
    fn pause(&mut self, cause: Cause) -> Duration {
        // A connection that had idled and broke says nothing of the server.
        if cause == Cause::Connection && std::mem::take(&mut self.stale) {
            return Duration::ZERO;
        }
        self.failures += 1;
        match cause {
            Cause::LockTimeout => Duration::ZERO,
            Cause::Deadlock | Cause::Snapshot | Cause::Connection => {
                let most = FIRST_PAUSE * 2_u32.pow(self.failures.min(6));
                most.mul_f64(rand::thread_rng().gen_range(0.5..1.0))
            }
        }
    }
}

fn too_slow() -> SqlError {
    SqlError::TimedOut { what: "a write", seconds: 0 }
}

fn unix(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The least time an attempt gets.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// How far beyond the deadline an answer under way is waited for.
const OVERTIME: Duration = Duration::from_secs(2);
