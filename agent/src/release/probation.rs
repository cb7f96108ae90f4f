//! What a version on trial has to show before it is confirmed, and the report under the jid that asked for it.
//!
//! It must reach the master, log in to SQL Server and finish one sync pass (when the practice has sync jobs that are not
//! paused), and have a return of its own taken by the master. The supervisor holds the deadline; here is only the proof.
//! The report is sent by whoever runs after the trial: the new version when it was confirmed, the old one when it was not.

use std::{sync::Arc, time::Duration};

use proto::{Map, Value, msgpack};

use super::{
    held,
    pointer::{self, Phase, Pointer, PointerError, Verdict},
    supervised::Supervised,
};
use crate::{
    job::{Job, queue::ReturnQueue},
    mssql::{Session, arguments::OptionSources},
    policy::switches::{Switch, Switches},
    services::Services,
    store::{StoreError, held_returns, jobs},
};

/// Proves this version when it is on trial, then reports how the last trial ended.
pub async fn run(services: Arc<Services>, queue: ReturnQueue) {
    let Some(supervised) = services.release.clone() else { return };
    forget_unasked(&supervised);
    // The job that asked is answered for, as if it still ran: a master that asks must not give it up.
    let (asked, token) = (asked(&services, &supervised).await, services.tasks.token());
    let _shown = asked.as_ref().map(|job| services.jobs.register(job, &token));
    if supervised.on_trial() {
        prove(&services, &supervised).await;
        supervised.say("confirm");
        supervised.until_confirmed().await;
        tracing::info!(version = %supervised.version, "this version is confirmed");
    }
    report(&services, &supervised, &queue).await;
}

async fn prove(services: &Arc<Services>, supervised: &Supervised) {
    let mut said = String::new();
    loop {
        let missing = match missing(services, supervised).await {
            None => return,
            Some(missing) => missing,
        };
        if missing != said {
            tracing::info!(version = %supervised.version, "on trial: {missing}");
            supervised.say(&format!("stage {missing}"));
            said = missing;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What is not shown yet, in the words of the report.
async fn missing(services: &Arc<Services>, supervised: &Supervised) -> Option<String> {
    if !supervised.was_connected() {
        return Some("it did not reach the master".to_owned());
    }
    if let Some(missing) = sql_missing(services).await {
        return Some(missing);
    }
    returned(services).await.err()
}

/// A finished pass of every sync job; without sync jobs a login, when a server is configured.
async fn sql_missing(services: &Arc<Services>) -> Option<String> {
    let jobs = match services.syncs.status(None).await {
        Ok(jobs) => jobs,
        Err(error) => return Some(format!("its sync jobs cannot be read: {error}")),
    };
    let paused = Switches::new(&services.config).paused(Switch::Sync).is_some();
    if jobs.is_empty() || paused {
        return login_missing(services).await;
    }
    let failed = jobs.iter().find_map(|job| job.last.error.as_ref().map(|why| (&job.state.spec.name, why)));
    let passed = jobs.iter().any(|job| job.last.report.is_some());
    match failed {
        _ if passed => None,
        Some((name, why)) => Some(format!("sync job {name} did not finish a pass: {why}")),
        None => Some("no sync job finished a pass".to_owned()),
    }
}

async fn login_missing(services: &Services) -> Option<String> {
    let (pillar, none) = (services.pillar.current(), states::Map::new());
    if pillar.is_nil() {
        return Some("its pillar did not come".to_owned());
    }
    let sources =
        OptionSources { arguments: &none, opts: &services.config.opts, pillar: &pillar, taken: &[] };
    sources.text("server")?;
    let options = match sources.connection() {
        Ok(options) => options,
        Err(error) => return Some(error.to_string()),
    };
    match Session::connect(&options).await {
        Ok(session) => {
            session.close().await;
            None
        }
        Err(error) => Some(format!("it did not log in to SQL Server: {error}")),
    }
}

/// Has a return of its own taken by the master; it gets a jid there.
async fn returned(services: &Services) -> Result<(), String> {
    let mut load = Map::new();
    for (key, value) in [("jid", "req"), ("fun", "test.ping"), ("tgt", "*")] {
        load.insert(key, value);
    }
    load.insert("fun_args", Value::List(Vec::new()));
    load.insert("return", true);
    load.insert("retcode", 0_i64);
    load.insert("success", true);
    services.link.return_job(load).await.map_err(|error| format!("the master took no return: {error}"))
}

/// Tells the master how the last trial ended: an event, and the return that was held for it.
async fn report(services: &Arc<Services>, supervised: &Supervised, queue: &ReturnQueue) {
    let verdict = match pointer::read(&supervised.layout) {
        Ok(Pointer { verdict: Some(verdict), .. }) => verdict,
        Ok(_) => return,
        Err(error) => return tracing::error!(%error, "the release pointer cannot be read"),
    };
    if let Some(jid) = verdict.jid.clone()
        && let Err(error) = send_held(services, queue, &jid, &verdict).await
    {
        return tracing::error!(jid, %error, "the report of the update could not be queued");
    }
    let word = if verdict.confirmed { "confirmed" } else { "rejected" };
    let event: Map = [
        ("version", verdict.version.to_string()),
        ("before", verdict.before.to_string()),
        ("why", verdict.why.clone()),
        ("jid", verdict.jid.clone().unwrap_or_default()),
    ]
    .into_iter()
    .collect();
    while let Err(error) =
        services.link.fire_event(&format!("agent/release/{word}"), event.clone().into()).await
    {
        tracing::info!(%error, "the report of the update waits for the master");
        tokio::time::sleep(AGAIN).await;
    }
    let cleared = pointer::update(&supervised.layout, |pointer| {
        if pointer.verdict.as_ref() == Some(&verdict) {
            pointer.verdict = None;
        }
        Ok::<_, PointerError>(())
    });
    if let Err(error) = cleared {
        tracing::warn!(%error, "the update may be reported once more");
    }
}

/// Queues the held return with what came of the trial. A job that is done already was reported before a crash.
async fn send_held(
    services: &Services,
    queue: &ReturnQueue,
    jid: &str,
    verdict: &Verdict,
) -> Result<(), StoreError> {
    let wanted = jid.to_owned();
    let held = services.store.run(move |tx| {
        let open = jobs::unfinished(tx)?.iter().any(|job| job.jid == wanted);
        Ok::<_, StoreError>(held_returns::find(tx, &wanted)?.filter(|_| open))
    });
    if let Some(load) = held.await? {
        let load = msgpack::decode(&load).ok().and_then(Value::into_map).unwrap_or_default();
        queue.finish(held::judged(load, verdict)).await;
    }
    let wanted = jid.to_owned();
    services.store.run(move |tx| held_returns::take(tx, &wanted).map(drop)).await
}

/// The job whose return waits for the end of a trial.
async fn asked(services: &Services, supervised: &Supervised) -> Option<Job> {
    let pointer = pointer::read(&supervised.layout).ok()?;
    let of_trial = pointer.trial.and_then(|trial| trial.jid);
    let jid = of_trial.or_else(|| pointer.verdict.and_then(|verdict| verdict.jid))?;
    let open = services.store.run(jobs::unfinished).await.ok()?;
    let load = open.into_iter().find(|job| job.jid == jid)?.load;
    Job::from_load(msgpack::decode(&load).ok().and_then(Value::into_map)?)
}

/// A version that was prepared by a job that a crash ended: the job is reported as interrupted, the trial never was.
fn forget_unasked(supervised: &Supervised) {
    let done = pointer::update(&supervised.layout, |pointer| {
        if pointer.trial.as_ref().is_some_and(|trial| trial.phase == Phase::Prepared) {
            pointer.trial = None;
        }
        Ok::<_, PointerError>(())
    });
    if let Err(error) = done {
        tracing::error!(%error, "the release pointer cannot be used");
    }
}

const LOOK: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(5);
