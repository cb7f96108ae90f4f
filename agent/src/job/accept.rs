//! Accepting a publish: is it for this minion, was it seen, and its way to a return.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt, stream};
use proto::{
    Map, Value, msgpack,
    target::{self, DEFAULT_DELIMITER, MinionFacts, TargetType},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    Calls, Job, Outcome,
    execute::{Origin, execute, split},
    outcome::return_load,
    queue::ReturnQueue,
    redact,
};
use crate::{
    data_store,
    modules::{Signature, mssql_write},
    release::held,
    schedule::entry::{Entry, Returns},
    services::Services,
    store::{StoreError, jobs},
    write::room::Arrival,
};

/// Accepts publishes and runs them.
#[derive(Clone)]
pub struct Acceptor {
    services: Arc<Services>,
    queue: ReturnQueue,
    turns: Arc<Semaphore>,
}

impl Acceptor {
    /// An acceptor that runs at most `process_count_max` jobs at once ([`DEFAULT_JOBS`] when unset).
    #[must_use]
    pub fn new(services: Arc<Services>, queue: ReturnQueue) -> Self {
        let most = services.config.int_opt("process_count_max").and_then(|most| usize::try_from(most).ok());
        let turns = Arc::new(Semaphore::new(most.filter(|most| *most > 0).unwrap_or(DEFAULT_JOBS)));
        Self { services, queue, turns }
    }

    /// Takes one publish: drops it, or starts its job. Never waits for a job.
    pub fn publish(&self, load: Map) {
        if !self.matches(&load) {
            return;
        }
        let Some(job) = Job::from_load(load) else {
            tracing::warn!("a publish without tgt, jid, fun or arg was dropped");
            return;
        };
        if !self.services.jobs.note(&job.jid) {
            tracing::debug!(jid = job.jid, "a jid that was seen already was dropped");
            return;
        }
        let this = self.clone();
        let name = format!("job {}", job.jid);
        let place = self.arrive(&job);
        drop(self.services.tasks.spawn(name, async move {
            this.run(job).await;
            drop(place);
        }));
    }

    /// A write takes its place in the order of its entity now, not when its task comes to run.
    fn arrive(&self, job: &Job) -> Option<Arrival> {
        let args = job.write()?.iter().map(states::to_value).collect();
        let (_, spec) = self.services.modules.find(redact::SUBMIT)?;
        let signature = Signature::parse(spec.signature);
        let (positional, keywords) = split(args, &signature);
        let bound = signature.bind(spec.name, positional, keywords).ok()?;
        let params = mssql_write::given(&bound).ok()?;
        let (write, request) = (bound.text("name").ok()?, bound.text("request").ok()?);
        self.services.writes.arrive(&job.jid, &write, &request, &params)
    }

    /// Runs a function of this minion's own will; the master gives the return a jid.
    pub fn own(&self, fun: &str, arg: Vec<Value>) {
        let load =
            [("jid", Value::from("req")), ("tgt", "*".into()), ("fun", fun.into()), ("arg", arg.into())];
        let Some(job) = Job::from_load(load.into_iter().collect()) else { return };
        let this = self.clone();
        let name = format!("own {fun}");
        drop(self.services.tasks.spawn(name, async move {
            let outcomes = this.call_all(&job, (None, &this.services.tasks.token())).await;
            let load = return_load(&job, &outcomes);
            held::hold(&this.services, None, &load).await;
            this.queue.enqueue(load).await;
        }));
    }

    /// Runs a scheduled function to its end and queues its return when the entry wants one.
    pub async fn scheduled(&self, entry: &Entry) {
        let mut arg: Vec<Value> = entry.args.iter().map(proto::to_value).collect();
        if !entry.kwargs.is_empty() {
            let mut marked = entry.kwargs.clone();
            marked.insert("__kwarg__", true);
            arg.push(proto::to_value(&marked));
        }
        let fun = Value::from(entry.fun.as_str());
        let load = [("jid", Value::from("req")), ("tgt", "*".into()), ("fun", fun), ("arg", arg.into())];
        let Some(job) = Job::from_load(load.into_iter().collect()) else { return };
        let outcomes = self.call_all(&job, (None, &self.services.tasks.token().child_token())).await;
        let mut load = return_load(&job, &outcomes);
        held::hold(&self.services, None, &load).await;
        if entry.returns == Returns::Nobody {
            return;
        }
        load.insert("schedule", entry.name.as_str());
        load.insert("pid", i64::from(std::process::id()));
        if entry.returns == Returns::Uncached {
            load.insert("jid", "nocache");
        }
        if let Some(metadata) = &entry.metadata {
            load.insert("metadata", proto::to_value(metadata));
        }
        self.queue.enqueue(load).await;
    }

    /// Returns the jobs that a restart interrupted, under their own jids. Writes are taken up again: their request id
    /// makes them happen once, and their sender waits for an outcome.
    ///
    /// # Errors
    /// The store refused.
    pub async fn return_interrupted(&self) -> Result<(), StoreError> {
        for left in self.services.store.run(jobs::unfinished).await? {
            let load = self.services.store.unseal(&purpose(&left.jid), &left.load).unwrap_or(left.load);
            let load = msgpack::decode(&load).ok().and_then(Value::into_map).unwrap_or_default();
            let Some(job) = Job::from_load(load) else { continue };
            if held::is_held(&self.services, &left.jid).await {
                continue;
            }
            if job.write().is_some() {
                self.take_up(
                    job,
                    UNIX_EPOCH + Duration::from_secs(left.accepted.try_into().unwrap_or_default()),
                );
                continue;
            }
            tracing::warn!(jid = left.jid, fun = job.fun_text(), "a restart interrupted this job");
            let outcome = Outcome::failed(INTERRUPTED.to_owned());
            let outcomes = vec![
                outcome;
                match &job.calls {
                    Calls::One(..) => 1,
                    Calls::Several(calls) => calls.len(),
                }
            ];
            self.queue.finish(return_load(&job, &outcomes)).await;
        }
        Ok(())
    }

    /// Whether the publish's target names this minion. Grains and pillar are only looked at when needed.
    fn matches(&self, load: &Map) -> bool {
        let Some(tgt) = load.get("tgt") else { return false };
        let kind = TargetType::from(load.get("tgt_type").and_then(Value::as_str).unwrap_or("glob"));
        let delimiter = load.get("delimiter").and_then(Value::as_str).unwrap_or(DEFAULT_DELIMITER);
        let by_id = matches!(kind, TargetType::Glob | TargetType::Pcre | TargetType::List);
        let facts_of = |shared: &crate::services::Shared| match by_id {
            true => Value::Nil,
            false => proto::to_value(&*shared.current()),
        };
        let (grains, pillar) = (facts_of(&self.services.grains), facts_of(&self.services.pillar));
        let id = self.services.config.id.as_str();
        let data = match kind {
            TargetType::Data => data_store::load(&self.services.config).into(),
            _ => Value::Nil,
        };
        let facts = MinionFacts { id, grains: &grains, pillar: &pillar, data: &data };
        target::matches(tgt, &kind, &facts, delimiter).unwrap_or_else(|error| {
            tracing::warn!(%error, "a publish whose target cannot be decided was dropped");
            false
        })
    }

    async fn run(&self, job: Job) {
        let (cancel, _registered) = self.services.jobs.register(&job, &self.services.tasks.token());
        if job.is_instant() {
            let outcomes = self.call_all(&job, (None, &cancel)).await;
            self.queue.send_now(return_load(&job, &outcomes)).await;
            return;
        }
        let accepted = SystemTime::now();
        match self.accept(&job, accepted).await {
            Ok(true) => {}
            Ok(false) => return tracing::info!(jid = job.jid, "a jid that ran before was dropped"),
            Err(error) => tracing::error!(jid = job.jid, %error, "the job runs unrecorded"),
        }
        self.run_accepted(&job, accepted, &cancel).await;
    }

    async fn accept(&self, job: &Job, accepted: SystemTime) -> Result<bool, StoreError> {
        let jid = job.jid.clone();
        let record = self.services.store.seal(&purpose(&jid), &msgpack::encode_map(&job.load))?;
        let seconds = accepted.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.services.store.run(move |tx| jobs::accept(tx, &jid, &record, seconds)).await
    }

    /// Runs a write again that a restart interrupted.
    fn take_up(&self, job: Job, accepted: SystemTime) {
        tracing::info!(jid = job.jid, "a write that a restart interrupted is taken up again");
        let (this, place) = (self.clone(), self.arrive(&job));
        let name = format!("job {}", job.jid);
        drop(self.services.tasks.spawn(name, async move {
            let (cancel, _registered) = this.services.jobs.register(&job, &this.services.tasks.token());
            this.run_accepted(&job, accepted, &cancel).await;
            drop(place);
        }));
    }

    async fn run_accepted(&self, job: &Job, accepted: SystemTime, cancel: &CancellationToken) {
        // Writes have an order and a bound of their own, which this one would get in the way of.
        let turn = async { if job.write().is_some() { None } else { self.turns.acquire().await.ok() } };
        let outcomes = tokio::select! {
            turn = turn => {
                let outcomes = self.call_all(job, (Some(accepted), cancel)).await;
                drop(turn);
                outcomes
            }
            () = cancel.cancelled() => vec![Outcome::failed("ERROR: the job was terminated before it started".to_owned())],
        };
        if self.services.tasks.token().is_cancelled() && outcomes.iter().any(|outcome| !outcome.success()) {
            // The process is ending: the job stays unfinished and is reported by the next one.
            return;
        }
        let load = return_load(job, &outcomes);
        if !held::hold(&self.services, Some(&job.jid), &load).await {
            self.queue.finish(load).await;
        }
    }

    async fn call_all(
        &self,
        job: &Job,
        (accepted, cancel): (Option<SystemTime>, &CancellationToken),
    ) -> Vec<Outcome> {
        let publish = states::to_value(&job.load).as_map().cloned().unwrap_or_default();
        let origin = Origin { jid: Some(job.jid.clone()), publish, accepted };
        let calls = match &job.calls {
            Calls::One(fun, args) => vec![(fun.clone(), args.clone())],
            Calls::Several(calls) => calls.clone(),
        };
        let call = |(fun, args): (String, Vec<Value>)| {
            let origin = origin.clone();
            async move {
                let args = args.iter().map(states::to_value).collect();
                tracing::info!(jid = job.jid, fun, "job starts");
                let outcome = execute(&self.services, &fun, args, origin, cancel.clone()).await;
                tracing::info!(jid = job.jid, fun, retcode = outcome.retcode, "job ended");
                outcome
            }
        };
        stream::iter(calls).then(call).collect().await
    }
}

fn purpose(jid: &str) -> String {
    format!("job load {jid}")
}

/// How many jobs run at once when `process_count_max` is unset; more wait their turn.
pub const DEFAULT_JOBS: usize = 64;

/// The return of a job that a restart interrupted.
const INTERRUPTED: &str = "ERROR: the minion was restarted while this job was running. The job was interrupted and was not run again.";
