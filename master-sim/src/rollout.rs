//! How a release or a state tree fares in the fleet, and when its rollout halts by itself.
//!
//! The record is the event log: of a release, what agents say at the end of a trial (`agent/release/confirmed`,
//! `agent/release/rejected`); of a state tree, the returns of state runs and the events of writes that failed by a fault of
//! their definition (`agent/write/<name>/failed`), of the minions in the ring since it was opened. The last word of a minion
//! counts. When too large a share of them failed, nobody gets it any more and the operator decides.
//!
//! The log is the bundled master's `events.jsonl` or, beside an unmodified salt-master, what `salt-run state.event` prints.

use std::{collections::BTreeMap, fs, path::Path};

use proto::MinionId;
use serde_json::Value;

/// When a rollout halts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The largest share of failures, in percent of those who tried.
    pub percent: u8,
    /// How many must have failed before a share means anything.
    pub least: usize,
}

/// What is rolled out.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// A version of the agent.
    Release(&'a str),
    /// A state tree.
    Tree {
        /// When its ring was opened, as Salt stamps events.
        since: &'a str,
        /// The share of the fleet that has it.
        percent: u8,
    },
}

/// Who tried it, and how it went.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcomes {
    /// By minion id: nothing when it went well, else what was wrong.
    pub tried: BTreeMap<String, Option<String>>,
}

impl Outcomes {
    /// Reads what the event log says; a log that is not there says nothing.
    #[must_use]
    pub fn of_log(log: &Path, of: Of<'_>) -> Self {
        let mut outcomes = Self::default();
        for path in [log.with_extension("jsonl.1"), log.to_owned()] {
            for line in fs::read_to_string(path).unwrap_or_default().lines() {
                let Some((tag, event)) = read(line) else { continue };
                let word = match of {
                    Of::Release(version) => of_release(&tag, &event, version),
                    Of::Tree { since, percent } => of_tree(&tag, &event, since, percent),
                };
                if let (Some(id), Some(word)) = (event["id"].as_str(), word) {
                    outcomes.tried.insert(id.to_owned(), word);
                }
            }
        }
        outcomes
    }

    /// Those for whom it went wrong, and how.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tried.iter().filter_map(|(id, why)| Some((id.as_str(), why.as_deref()?)))
    }

    /// Whether the rollout is to halt; why.
    #[must_use]
    pub fn halts(&self, limit: Limit) -> Option<String> {
        let failed = self.failed().count();
        let over = failed * 100 > usize::from(limit.percent) * self.tried.len();
        if failed < limit.least.max(1) || !over {
            return None;
        }
        let (id, why) = self.failed().next()?;
        Some(format!("it failed on {failed} of {} that tried it; on {id}: {why}", self.tried.len()))
    }
}

/// Tag and data of a line: ours is one JSON object, that of `salt-run state.event` is the tag, a tab and the data.
fn read(line: &str) -> Option<(String, Value)> {
    if let Some((tag, data)) = line.split_once('\t').filter(|_| !line.starts_with('{')) {
        return Some((tag.to_owned(), serde_json::from_str(data).ok()?));
    }
    let mut line: Value = serde_json::from_str(line).ok()?;
    let (tag, stamp) = (line["tag"].as_str()?.to_owned(), line["_stamp"].take());
    let mut data = line["data"].take();
    if data["_stamp"].is_null() {
        data.as_object_mut()?.insert("_stamp".to_owned(), stamp);
    }
    Some((tag, data))
}

/// A word about a release: nothing when it was confirmed, else why it was taken back.
fn of_release(tag: &str, event: &Value, version: &str) -> Option<Option<String>> {
    let own = &event["data"];
    if own["version"].as_str() != Some(version) {
        return None;
    }
    match tag {
        "agent/release/confirmed" => Some(None),
        "agent/release/rejected" => {
            Some(Some(format!("it {}", own["why"].as_str().unwrap_or("was taken back"))))
        }
        _ => None,
    }
}

/// A word about a state tree: nothing when the states of the run succeeded, else what failed.
fn of_tree(tag: &str, event: &Value, since: &str, percent: u8) -> Option<Option<String>> {
    let id = MinionId::parse(event["id"].as_str()?).ok()?;
    if id.bucket() >= percent || event["_stamp"].as_str()? < since {
        return None;
    }
    if tag.starts_with("agent/write/") && tag.ends_with("/failed") {
        let (write, own) = (tag.split('/').nth(2)?, &event["data"]);
        let word = |name: &str| own[name].as_str().unwrap_or_default().to_owned();
        return Some(Some(format!("the write {write}: {}, {}", word("outcome"), word("reason"))));
    }
    let fun = event["fun"].as_str().filter(|fun| STATE_RUNS.contains(fun))?;
    if !tag.starts_with("salt/job/") || !tag.contains("/ret/") {
        return None;
    }
    match event["retcode"].as_i64() {
        Some(0) => Some(None),
        Some(code) => {
            Some(Some(format!("{fun} of job {} has retcode {code}", event["jid"].as_str().unwrap_or("?"))))
        }
        None => None,
    }
}

/// The functions that run states of a tree.
const STATE_RUNS: [&str; 4] = ["state.apply", "state.highstate", "state.sls", "state.sls_id"];

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { percent: 10, least: 2 };

    fn line(word: &str, id: &str, version: &str) -> String {
        format!(
            "{{\"tag\": \"agent/release/{word}\", \"data\": {{\"id\": \"{id}\", \"data\": {{\"version\": \"{version}\", \"why\": \"hung\"}}}}}}\n"
        )
    }

    #[test]
    fn halts_on_a_share_and_not_on_a_single_failure() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("events.jsonl");
        let outcomes = || Outcomes::of_log(&log, Of::Release("1.1.0"));
        assert_eq!(outcomes().halts(LIMIT), None);
        let mut text = line("rejected", "a", "1.1.0") + &line("rejected", "x", "1.0.0");
        fs::write(&log, &text).unwrap();
        assert_eq!(outcomes().halts(LIMIT), None, "one failure is no share");
        text += &(line("rejected", "b", "1.1.0") + &line("confirmed", "c", "1.1.0"));
        fs::write(&log, &text).unwrap();
        let why = outcomes().halts(LIMIT).unwrap();
        assert_eq!(why, "it failed on 2 of 3 that tried it; on a: it hung");
        for number in 0..17 {
            text += &line("confirmed", &format!("good-{number}"), "1.1.0");
        }
        fs::write(log.with_extension("jsonl.1"), &text).unwrap();
        fs::write(&log, "no event\n").unwrap();
        assert_eq!(outcomes().halts(LIMIT), None, "2 of 20 are 10 percent");
        fs::write(&log, line("confirmed", "a", "1.1.0")).unwrap();
        assert_eq!(outcomes().failed().count(), 1, "the last word counts");
    }

    /// A return as `salt-run state.event` prints it.
    fn printed(id: &str, fun: &str, retcode: u8, minute: u8) -> String {
        format!(
            "salt/job/20261126/ret/{id}\t{{\"id\": \"{id}\", \"fun\": \"{fun}\", \"retcode\": {retcode}, \"jid\": \"20261126\", \
             \"_stamp\": \"2026-11-26T06:{minute:02}:00.000001\"}}\n"
        )
    }

    #[test]
    fn of_a_state_tree_the_ring_counts_since_it_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("events");
        let ids: Vec<String> = (0..200).map(|number| format!("practice-{number}")).collect();
        let inside = |id: &&String| MinionId::parse(id).unwrap().bucket() < 10;
        let (ring, others): (Vec<_>, Vec<_>) = ids.iter().partition(|id| inside(id));
        let mut text = printed(ring[0], "state.apply", 2, 1) + &printed(others[0], "state.apply", 2, 31);
        text += &printed(ring[1], "test.ping", 1, 31);
        text += &printed(ring[2], "state.highstate", 0, 31);
        fs::write(&log, &text).unwrap();
        let outcomes = || Outcomes::of_log(&log, Of::Tree { since: "2026-11-26T06:30", percent: 10 });
        assert_eq!(outcomes().tried, [(ring[2].clone(), None)].into());
        text += &printed(ring[0], "state.sls", 2, 32);
        let data = "{\"outcome\": \"permission\", \"reason\": \"UPDATE was denied\"}";
        text += &format!(
            "agent/write/recall/failed\t{{\"id\": \"{}\", \"data\": {data}, \"_stamp\": \"2026-11-26T06:33:00\"}}\n",
            ring[2]
        );
        fs::write(&log, &text).unwrap();
        let why = outcomes().halts(LIMIT).unwrap();
        assert!(why.starts_with("it failed on 2 of 2"), "{why}");
        let told: Vec<_> = outcomes().failed().map(|(_, why)| why.to_owned()).collect();
        assert!(told.contains(&"the write recall: permission, UPDATE was denied".to_owned()), "{told:?}");
        assert!(told.contains(&"state.sls of job 20261126 has retcode 2".to_owned()), "{told:?}");
    }
}
