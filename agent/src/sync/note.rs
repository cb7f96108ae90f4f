//! How a job stands, after its last pass: how fresh its data is, and in plain words what keeps it from being fresher.
//!
//! Notes lie in the store, so that `agent status` tells them without the service, and a restarted agent tells them before
//! its first pass. They hold no row values.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::platform::space;
use crate::schema::{Drift, EhrVersion};

use super::governor::Cost;
use super::pass::{Ending, PassReport};

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Note {
    /// When the last pass ended, in seconds since 1970.
    pub ended: u64,
    /// What was committed before is read, in seconds since 1970; nothing before the first pass that caught up.
    pub fresh: Option<u64>,
    /// Why the last pass failed.
    pub error: Option<String>,
    /// Why it is behind although the pass did not fail.
    pub behind: Option<String>,
    /// What was added to the table since the job was declared.
    #[serde(default)]
    pub added: Vec<String>,
    /// How the table differs from what was approved.
    #[serde(default)]
    pub drift: Option<Drift>,
    /// The EHR's version; none where the job does not say where it stands.
    #[serde(default)]
    pub ehr_version: Option<EhrVersion>,
    /// What the last pass cost the server, also when it failed; nothing when that is not known.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// Rows read by the last good pass.
    pub read: u64,
    /// Rows it delivered.
    pub rows: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How long of that it left the server to others who worked on it, in milliseconds.
    #[serde(default)]
    pub rested_ms: u64,
}

impl Note {
    /// The note after a pass; `former` is the one before it.
    #[must_use]
    pub fn after(former: Option<Self>, outcome: Result<&PassReport, String>, now: SystemTime) -> Self {
        let former = former.unwrap_or_default();
        let ended = unix(now);
        match outcome {
            Err(error) => Self { ended, error: Some(error), cost: None, ..former },
            Ok(report) => {
                let behind = behind(report);
                let fresh = if behind.is_none() { Some(unix(report.began)) } else { former.fresh };
                Self {
                    ended,
                    fresh,
                    error: None,
                    behind,
                    added: report.added.clone(),
                    drift: former.drift,
                    ehr_version: former.ehr_version,
                    cost: Some(report.cost),
                    read: report.read,
                    rows: report.rows,
                    took_ms: millis(report.took),
                    rested_ms: millis(report.rested),
                }
            }
        }
    }

    /// How old the data is.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        self.fresh.map(|fresh| Duration::from_secs(unix(now).saturating_sub(fresh)))
    }

    /// What keeps it from being fresher; nothing when it is as fresh as its last pass.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.error.as_deref().or(self.behind.as_deref())
    }

    /// Rows read in a second by the last good pass.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.read * 1000 / self.took_ms.max(1)
    }
}

fn behind(report: &PassReport) -> Option<String> {
    match report.ending {
        Ending::SpoolFull => {
            Some("the spool is full: batches wait for their sink, and reading waits for them".to_owned())
        }
        Ending::SpoolOld => Some(
            "batches have waited for their sink for too long (agent:sync:spool_max_hours), and reading waits for them"
                .to_owned(),
        ),
        Ending::DiskFull => Some(format!(
            "less than {} MB are free on the disk of the spool, and reading waits so that the server keeps them",
            space::KEPT_FREE >> 20
        )),
        Ending::GaveWay => Some("reading goes on after other jobs".to_owned()),
        Ending::Quiet => Some("quiet hours".to_owned()),
        Ending::CaughtUp | Ending::Busy => report.cause.clone(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unix(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ending: Ending, cause: Option<&str>) -> PassReport {
        PassReport {
            read: 500,
            rows: 5,
            deletes: 0,
            batches: 1,
            bad_cells: 0,
            reach: None,
            began: UNIX_EPOCH + Duration::from_secs(90),
            took: Duration::from_millis(250),
            rested: Duration::ZERO,
            cost: crate::sync::governor::Cost::default(),
            cause: cause.map(str::to_owned),
            added: Vec::new(),
            ending,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn only_a_pass_that_caught_up_makes_data_fresh() {
        let fresh = Note::after(None, Ok(&report(Ending::CaughtUp, None)), at(100));
        assert_eq!((fresh.fresh, fresh.cause(), fresh.rate()), (Some(90), None, 2000));
        assert_eq!(fresh.age(at(150)), Some(Duration::from_secs(60)));
        let held = report(Ending::CaughtUp, Some("held back by session 71"));
        let held = Note::after(Some(fresh.clone()), Ok(&PassReport { began: at(200), ..held }), at(210));
        assert_eq!((held.fresh, held.cause()), (Some(90), Some("held back by session 71")));
        let failed = Note::after(Some(held), Err("no".into()), at(300));
        assert_eq!((failed.fresh, failed.cause(), failed.ended), (Some(90), Some("no"), 300));
        let again = Note::after(Some(failed), Ok(&report(Ending::SpoolFull, None)), at(310));
        assert!(again.cause().unwrap().contains("spool is full"));
    }
}
