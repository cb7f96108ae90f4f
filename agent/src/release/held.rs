//! A return that waits for the end of a trial.
//!
//! The job that installs a version cannot tell how it went: the process that ran it is replaced. Its return is kept in the
//! store, the trial carries its jid, and whoever runs afterwards completes it. The state that asked is found by the change it
//! returned, `agent_release`.

use proto::{Map, Value};

use super::pointer::{self, Phase, PointerError, Verdict};
use crate::{
    services::Services,
    store::{StoreError, held_returns},
};

/// The change that a state returns when a version goes on trial.
pub const MARK: &str = "agent_release";

/// Keeps the return of a job that put a version on trial, and lets the supervisor switch. `false`: not such a job.
pub async fn hold(services: &Services, jid: Option<&str>, load: &Map) -> bool {
    let Some(supervised) = &services.release else { return false };
    if !marked(load) {
        return false;
    }
    let prepared = pointer::read(&supervised.layout)
        .is_ok_and(|pointer| pointer.trial.is_some_and(|trial| trial.phase == Phase::Prepared));
    if !prepared {
        return false;
    }
    if let Some(jid) = jid
        && let Err(error) = keep(services, jid, load).await
    {
        tracing::error!(jid, %error, "the return cannot be kept for the end of the trial; it is sent as it is");
        release(services, None);
        return false;
    }
    release(services, jid);
    jid.is_some()
}

/// Whether the return of this job waits for the end of a trial.
pub async fn is_held(services: &Services, jid: &str) -> bool {
    let Some(supervised) = &services.release else { return false };
    let open = pointer::read(&supervised.layout).is_ok_and(|pointer| {
        let of_trial = pointer.trial.and_then(|trial| trial.jid);
        let of_verdict = pointer.verdict.and_then(|verdict| verdict.jid);
        of_trial.as_deref() == Some(jid) || of_verdict.as_deref() == Some(jid)
    });
    open && {
        let jid = jid.to_owned();
        services.store.run(move |tx| held_returns::find(tx, &jid)).await.is_ok_and(|load| load.is_some())
    }
}

/// The held return with what came of the trial.
pub(super) fn judged(mut load: Map, verdict: &Verdict) -> Map {
    let Some(Value::Map(states)) = load.get("return").cloned() else { return load };
    let judge = |(id, state): (Value, Value)| match state.as_map().filter(|state| state_is_marked(state)) {
        Some(marked) => (id, Value::Map(judged_state(marked.clone(), verdict))),
        None => (id, state),
    };
    let states: Map = states.into_iter().map(judge).collect();
    load.insert("return", states);
    if !verdict.confirmed {
        load.insert("retcode", FAILED_STATES);
        load.insert("success", false);
    }
    load
}

fn judged_state(mut state: Map, verdict: &Verdict) -> Map {
    let Verdict { version, before, why, confirmed, .. } = verdict;
    state.insert("result", *confirmed);
    if *confirmed {
        state.insert("comment", format!("Agent {version} is confirmed: {why}."));
    } else {
        let text = format!("Agent {version} was put on trial and taken back: it {why}. Agent {before} runs.");
        state.insert("comment", text);
        state.insert("changes", Map::new());
    }
    state
}

/// Writes the jid into the trial and lets the supervisor start it.
fn release(services: &Services, jid: Option<&str>) {
    let Some(supervised) = &services.release else { return };
    let done = pointer::update(&supervised.layout, |pointer| {
        if let Some(trial) = pointer.trial.as_mut().filter(|trial| trial.phase == Phase::Prepared) {
            trial.jid = jid.map(str::to_owned);
        }
        pointer.release(jid);
        Ok::<_, PointerError>(())
    });
    if let Err(error) = done {
        tracing::error!(%error, "the version cannot be put on trial");
    }
}

async fn keep(services: &Services, jid: &str, load: &Map) -> Result<(), StoreError> {
    let (jid, load) = (jid.to_owned(), proto::msgpack::encode_map(load));
    services.store.run(move |tx| held_returns::keep(tx, &jid, &load)).await
}

fn marked(load: &Map) -> bool {
    let Some(Value::Map(states)) = load.get("return") else { return false };
    states.iter().any(|(_, state)| matches!(state, Value::Map(state) if state_is_marked(state)))
}

fn state_is_marked(state: &Map) -> bool {
    matches!(state.get("changes"), Some(Value::Map(changes)) if changes.get(MARK).is_some())
}

/// Salt's retcode of a run in which a state failed.
const FAILED_STATES: i64 = 2;

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;

    fn load() -> Map {
        let state = |changes: Map| -> Value {
            let fields: [(&str, Value); 3] =
                [("result", Value::Nil), ("comment", "on trial".into()), ("changes", changes.into())];
            fields.into_iter().collect::<Map>().into()
        };
        let states: Map = [
            ("agent_release_|-a_|-a_|-installed", state([(MARK, "1.1.0")].into_iter().collect())),
            ("test_|-b_|-b_|-nop", state(Map::new())),
        ]
        .into_iter()
        .collect();
        let mut load = Map::new();
        load.insert("return", states);
        load.insert("retcode", 0_i64);
        load.insert("success", true);
        load
    }

    fn verdict(confirmed: bool) -> Verdict {
        let (version, before) = (Version::new(1, 1, 0), Version::new(1, 0, 0));
        Verdict { version, before, jid: None, confirmed, why: "hung".into() }
    }

    fn field(load: &Map, state: &str, field: &str) -> Value {
        load.get("return").and_then(|all| all.get(state)).and_then(|state| state.get(field)).cloned().unwrap()
    }

    #[test]
    fn a_rejected_trial_fails_the_state_that_asked_and_no_other() {
        assert!(marked(&load()));
        let judged = judged(load(), &verdict(false));
        assert_eq!(field(&judged, "agent_release_|-a_|-a_|-installed", "result"), false.into());
        let comment = field(&judged, "agent_release_|-a_|-a_|-installed", "comment");
        assert!(comment.as_str().unwrap().contains("hung. Agent 1.0.0 runs."), "{comment:?}");
        assert_eq!(field(&judged, "test_|-b_|-b_|-nop", "comment"), "on trial".into());
        assert_eq!(judged.get("retcode"), Some(&Value::from(2_i64)));
    }

    #[test]
    fn a_confirmed_trial_keeps_its_changes() {
        let judged = judged(load(), &verdict(true));
        assert_eq!(field(&judged, "agent_release_|-a_|-a_|-installed", "result"), true.into());
        assert!(marked(&judged) && judged.get("success") == Some(&true.into()));
    }
}
