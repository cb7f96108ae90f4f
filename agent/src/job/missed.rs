//! Jobs that a master published while this minion could not hear it: asked for after a gap, where the master can tell.
//!
//! A Salt master tells a minion of published jobs only through the runner `jobs.list_jobs`, when its `peer_run` lets the
//! minion call it. That runner reads the master's whole job cache, and a master that forbids it warns in its log, so this
//! minion asks only with `agent: {ask_missed_jobs: True}`, and only for gaps shorter than [`LONGEST_GAP`]: what is older
//! was given up by whoever published it. A job found is matched and noted as any other, so one that came after all does
//! not run twice.

use std::time::Duration;

use proto::{Map, Value};

use crate::{
    channel::{LinkError, MasterLink},
    config::Config,
};

/// Jobs of longer gaps are not asked for.
pub const LONGEST_GAP: Duration = Duration::from_secs(600);

/// Whether this minion asks.
#[must_use]
pub fn is_wanted(config: &Config) -> bool {
    config.agent_opt("ask_missed_jobs").is_some_and(states::Value::is_truthy)
}

/// Asks for the jobs published after the job `last`, as publish loads, oldest first.
///
/// # Errors
/// The master cannot be reached or refuses.
pub async fn ask(link: &dyn MasterLink, last: &str) -> Result<Vec<Map>, LinkError> {
    let Some(start) = start_time(last) else { return Ok(Vec::new()) };
    let mut load: Map = [("fun", "jobs.list_jobs")].into();
    load.insert("arg", Value::List(vec![format!("start_time={start}").into()]));
    load.insert("tmo", 60);
    load.insert("no_parse", Value::List(Vec::new()));
    Ok(loads(&link.request("minion_runner", load).await?, last))
}

/// The moment of a jid in the master's own words and time zone.
fn start_time(jid: &str) -> Option<String> {
    let digits = (jid.len() == 20 && jid.bytes().all(|byte| byte.is_ascii_digit())).then_some(jid)?;
    let part = |from: usize, to: usize| &digits[from..to];
    let (date, time) = ((part(0, 4), part(4, 6), part(6, 8)), (part(8, 10), part(10, 12), part(12, 14)));
    Some(format!("{}-{}-{} {}:{}:{}", date.0, date.1, date.2, time.0, time.1, time.2))
}

/// The jobs of a `jobs.list_jobs` answer that are newer than `last`.
fn loads(answer: &Value, last: &str) -> Vec<Map> {
    let listed = answer.as_map().into_iter().flat_map(Map::iter);
    let mut found: Vec<(&str, Map)> = listed
        .filter_map(|(jid, job)| Some((jid.as_str()?, job)))
        .filter(|(jid, _)| jid.len() == last.len() && *jid > last)
        .filter_map(|(jid, job)| Some((jid, load(jid, job)?)))
        .collect();
    found.sort_by_key(|(jid, _)| *jid);
    found.into_iter().map(|(_, load)| load).collect()
}

fn load(jid: &str, job: &Value) -> Option<Map> {
    let mut load: Map = [("jid", jid)].into();
    for (ours, listed) in [
        ("fun", "Function"),
        ("arg", "Arguments"),
        ("tgt", "Target"),
        ("tgt_type", "Target-type"),
        ("user", "User"),
    ] {
        load.insert(ours, job.get(listed)?.clone());
    }
    load.insert("ret", "");
    Some(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(fun: &str) -> Value {
        let mut job: Map =
            [("Function", fun), ("Target", "m*"), ("Target-type", "glob"), ("User", "root")].into();
        job.insert("Arguments", Value::List(vec!["a".into()]));
        Value::Map(job)
    }

    #[test]
    fn takes_the_jobs_after_the_last_one_heard_in_their_order() {
        let mut answer = Map::new();
        for (jid, fun) in
            [("20261125230000000003", "c"), ("20261125230000000001", "a"), ("20261125230000000002", "b")]
        {
            answer.insert(jid, listed(fun));
        }
        answer.insert("20261125230000000009", Value::Map([("Function", "unreadable")].into()));
        answer.insert("req", listed("no jid"));
        let loads = loads(&Value::Map(answer), "20261125230000000001");
        let funs: Vec<_> =
            loads.iter().map(|load| load.get("fun").and_then(Value::as_str).unwrap()).collect();
        assert_eq!(funs, ["b", "c"]);
        assert_eq!(loads[0].get("tgt"), Some(&"m*".into()));
        assert!(super::super::Job::from_load(loads[0].clone()).is_some());
    }

    #[test]
    fn asks_from_the_time_of_a_jid_and_not_without_one() {
        assert_eq!(start_time("20261125230102000003").as_deref(), Some("2026-11-25 23:01:02"));
        assert_eq!(start_time(""), None);
        assert_eq!(start_time("req"), None);
    }
}
