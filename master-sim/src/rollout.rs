//! How a release fares in the fleet, and when its rollout halts by itself.
//!
//! Agents say how a trial ended: `agent/release/confirmed` or `agent/release/rejected`, with the version. The event log is the
//! record; the last word of a minion counts. When too large a share of those who tried it were taken back, nobody else is to
//! get it: its channels are set to 0 % and the operator decides.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// When a rollout halts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The largest share of failures, in percent of those who tried.
    pub percent: u8,
    /// How many must have failed before a share means anything.
    pub least: usize,
}

/// Who tried a version, and how it went.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcomes {
    /// By minion id: nothing when it was confirmed, else why it was taken back.
    pub tried: BTreeMap<String, Option<String>>,
}

impl Outcomes {
    /// Reads what the event log says of a version; a log that is not there says nothing.
    #[must_use]
    pub fn of_log(log: &Path, version: &str) -> Self {
        let mut outcomes = Self::default();
        for path in [log.with_extension("jsonl.1"), log.to_owned()] {
            for line in fs::read_to_string(path).unwrap_or_default().lines() {
                outcomes.take(line, version);
            }
        }
        outcomes
    }

    /// Those who were taken back, and why.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tried.iter().filter_map(|(id, why)| Some((id.as_str(), why.as_deref()?)))
    }

    /// Whether the rollout is to halt; why.
    #[must_use]
    pub fn halts(&self, limit: Limit) -> Option<String> {
        let failed = self.failed().count();
        let over = failed * 100 > usize::from(limit.percent) * self.tried.len();
        if failed < limit.least || !over {
            return None;
        }
        let (id, why) = self.failed().next()?;
        Some(format!("{failed} of {} that tried it were taken back; {id}: it {why}", self.tried.len()))
    }

    fn take(&mut self, line: &str, version: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else { return };
        let confirmed = match event["tag"].as_str() {
            Some("agent/release/confirmed") => true,
            Some("agent/release/rejected") => false,
            _ => return,
        };
        let (data, own) = (&event["data"], &event["data"]["data"]);
        let (Some(id), Some(of)) = (data["id"].as_str(), own["version"].as_str()) else { return };
        if of == version {
            let why = own["why"].as_str().unwrap_or_default().to_owned();
            self.tried.insert(id.to_owned(), (!confirmed).then_some(why));
        }
    }
}

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
        assert_eq!(Outcomes::of_log(&log, "1.1.0").halts(LIMIT), None);
        let mut text = line("rejected", "a", "1.1.0") + &line("rejected", "x", "1.0.0");
        fs::write(&log, &text).unwrap();
        assert_eq!(Outcomes::of_log(&log, "1.1.0").halts(LIMIT), None, "one failure is no share");
        text += &(line("rejected", "b", "1.1.0") + &line("confirmed", "c", "1.1.0"));
        fs::write(&log, &text).unwrap();
        let why = Outcomes::of_log(&log, "1.1.0").halts(LIMIT).unwrap();
        assert!(why.starts_with("2 of 3 ") && why.contains("a: it hung"), "{why}");
        for number in 0..17 {
            text += &line("confirmed", &format!("good-{number}"), "1.1.0");
        }
        fs::write(log.with_extension("jsonl.1"), &text).unwrap();
        fs::write(&log, "no event\n").unwrap();
        assert_eq!(Outcomes::of_log(&log, "1.1.0").halts(LIMIT), None, "2 of 20 are 10 percent");
        fs::write(&log, line("confirmed", "a", "1.1.0")).unwrap();
        assert_eq!(Outcomes::of_log(&log, "1.1.0").failed().count(), 1, "the last word counts");
    }
}
