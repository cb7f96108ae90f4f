//! Events of sync jobs on the master's bus: `agent/sync/<job>/trouble`, `…/behind`, `…/well` and `…/schema`.
//!
//! They are sent when something changes, not at every pass, and hold no row values. An event that finds no master is lost;
//! the job's note and `mssql_sync.status` keep what it said.

use std::fmt;
use std::sync::Arc;

use serde_json::json;

use crate::channel::MasterLink;
use crate::schema::EhrVersion;
use crate::tasks::Tasks;

use super::governor::BUSY_WORDS;
use super::names::JobName;
use super::note::Note;

/// Says how jobs stand.
#[derive(Clone, Default)]
pub struct Herald(Option<(Arc<dyn MasterLink>, Tasks)>);

/// What is worth saying of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct News {
    kind: &'static str,
    data: serde_json::Value,
}

impl Herald {
    /// A herald that speaks over `link`.
    pub fn new(link: Arc<dyn MasterLink>, tasks: Tasks) -> Self {
        Self(Some((link, tasks)))
    }

    /// Sends one event and waits until a master has it.
    ///
    /// # Errors
    /// Why none has.
    pub async fn fire(&self, tag: &str, data: &serde_json::Value) -> Result<(), String> {
        let Some((link, _)) = &self.0 else { return Err("there is no master".to_owned()) };
        link.fire_event(tag, proto::to_value(data)).await.map_err(|error| error.to_string())
    }

    /// Says what is new between two notes of a job.
    pub fn tell(&self, job: &JobName, before: Option<&Note>, after: &Note) {
        let Some((link, tasks)) = &self.0 else { return };
        for News { kind, data } in news(job, before, after) {
            let (link, tag) = (Arc::clone(link), format!("agent/sync/{}/{kind}", job.path_component()));
            let send = async move {
                if let Err(error) = link.fire_event(&tag, proto::to_value(&data)).await {
                    tracing::debug!(tag, "an event found no master: {error}");
                }
            };
            drop(tasks.spawn(format!("sync event {kind}"), send));
        }
    }
}

impl fmt::Debug for Herald {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Herald({})", self.0.is_some())
    }
}

fn news(job: &JobName, before: Option<&Note>, after: &Note) -> Vec<News> {
    let (error, behind) =
        (before.and_then(|note| note.error.as_deref()), before.and_then(|note| note.behind.as_deref()));
    let was_ill = error.is_some() || behind.is_some();
    let news = |kind, why: Option<&str>| News {
        kind,
        data: json!({
            "job": job.as_str(),
            "why": why,
            "fresh_as_of": after.fresh,
            "server_cost": after.cost,
        }),
    };
    let mut all = Vec::new();
    match (after.error.as_deref(), after.behind.as_deref()) {
        (Some(why), _) if error != Some(why) => all.push(news("trouble", Some(why))),
        (None, Some(why)) if !behind.is_some_and(|told| is_same(told, why)) => {
            all.push(news("behind", Some(why)));
        }
        (None, None) if was_ill => all.push(news("well", None)),
        (Some(_) | None, _) => {}
    }
    let added = before.map(|note| &note.added) != Some(&after.added) && !after.added.is_empty();
    let drifted = before.and_then(|note| note.drift.as_ref()) != after.drift.as_ref();
    if added || drifted {
        all.push(News { kind: "schema", data: schema(job, before, after) });
    }
    all
}

/// Whether `why` is no news after `told`: how busy a server is changes from look to look.
fn is_same(told: &str, why: &str) -> bool {
    told == why || (told.starts_with(BUSY_WORDS) && why.starts_with(BUSY_WORDS))
}

/// Exactly what differs, and the word that approves it.
fn schema(job: &JobName, before: Option<&Note>, note: &Note) -> serde_json::Value {
    match &note.drift {
        None => json!({
            "job": job.as_str(),
            "added": note.added,
            "changed": [],
            "writes": "go on",
            "ehr_version": version_since(before, note),
        }),
        Some(drift) => json!({
            "job": job.as_str(),
            "added": note.added,
            "database": drift.database,
            "table": drift.table,
            "changed": drift.differences,
            "approved": drift.approved,
            "fingerprint": drift.found,
            "since": drift.since,
            "ehr_version": drift.ehr_version,
            "writes": "stopped until mssql_schema.fingerprint approves it",
        }),
    }
}

/// The EHR's version after a pass that found nothing to approve, and what it was at the pass before.
fn version_since(before: Option<&Note>, after: &Note) -> Option<EhrVersion> {
    let former = before.and_then(|note| note.ehr_version.as_ref()).and_then(|version| version.former.clone());
    after.ehr_version.clone().map(|version| EhrVersion { former, ..version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Drift;

    fn note(error: Option<&str>, behind: Option<&str>) -> Note {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Note { error: text(error), behind: text(behind), ..Note::default() }
    }

    fn kinds(before: Option<&Note>, after: &Note) -> Vec<&'static str> {
        news(&JobName::new("j").unwrap(), before, after).into_iter().map(|news| news.kind).collect()
    }

    #[test]
    fn only_changes_are_told() {
        let (well, ill) = (note(None, None), note(Some("no login"), None));
        assert!(kinds(None, &well).is_empty());
        assert_eq!(kinds(Some(&well), &ill), ["trouble"]);
        assert!(kinds(Some(&ill), &ill).is_empty());
        assert_eq!(kinds(Some(&ill), &well), ["well"]);
        let held = note(None, Some("held back by session 71"));
        assert_eq!(kinds(Some(&well), &held), ["behind"]);
        assert_eq!(kinds(Some(&held), &ill), ["trouble"]);
        let busy = |tasks: u32| {
            note(None, Some(&format!("the server is busy: {tasks} tasks wait for 2 processors")))
        };
        assert_eq!(kinds(Some(&held), &busy(9)), ["behind"]);
        assert!(kinds(Some(&busy(9)), &busy(11)).is_empty(), "as busy as before, if not by the same figures");
        assert_eq!(kinds(Some(&busy(9)), &held), ["behind"]);
        let added = Note { added: vec!["Room int".into()], ..well.clone() };
        assert_eq!(kinds(Some(&well), &added), ["schema"]);
        assert!(kinds(Some(&added), &added).is_empty());
        let drift = Drift {
            job: "j".into(),
            database: "Clinic".into(),
            table: "dbo.Visit".into(),
            approved: "s1".into(),
            found: "s2".into(),
            differences: vec!["column Note of dbo.Visit is gone".into()],
            since: 7,
            ehr_version: None,
        };
        let drifted = Note { drift: Some(drift), ..well.clone() };
        assert_eq!(kinds(Some(&well), &drifted), ["schema"]);
        assert!(kinds(Some(&drifted), &drifted).is_empty());
        assert_eq!(kinds(Some(&drifted), &well), ["schema"], "an approval is told as well");
    }
}
