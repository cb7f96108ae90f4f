//! The sink that the pillar or the minion's configuration asks for, looked up at every delivery: a pillar that arrives
//! later, or changes, needs no restart. What the pillar says of `agent:sync` outranks the configuration.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use states::Value;

use crate::channel::MasterLink;
use crate::config::Config;
use crate::store::sync::BatchRow;
use crate::sync::faults::Faults;
use crate::sync::spec::Retention;
use crate::tasks::Tasks;

use super::object_store::{ObjectStoreSink, StoreSettings};
use super::{BadSink, FolderSink, MasterSink, Replaced, Sink, SinkError, Told};

/// What the current pillar is.
pub type CurrentPillar = Arc<dyn Fn() -> Arc<Value> + Send + Sync>;

/// Delivers to whatever is asked for at that moment.
pub struct ChosenSink {
    config: Arc<Config>,
    pillar: CurrentPillar,
    link: Arc<dyn MasterLink>,
    tasks: Tasks,
    /// By the name that jobs give, the agent's own under none.
    open: Mutex<HashMap<Option<String>, Open>>,
}

/// An open sink and what was asked for when it was opened.
type Open = (Choice, Arc<dyn Sink>);

/// Where it is said which sink takes what.
#[derive(Debug, Clone, Copy)]
pub struct SinkOptions<'a> {
    /// The minion's own.
    pub config: &'a Config,
    /// What outranks it.
    pub pillar: &'a Value,
}

/// Where batches go.
#[derive(Debug, Clone, PartialEq)]
enum Choice {
    Master,
    Folder(String),
    ObjectStore(Box<StoreSettings>),
}

impl ChosenSink {
    /// A sink that asks configuration and pillar.
    #[must_use]
    pub fn new(config: Arc<Config>, pillar: CurrentPillar, link: Arc<dyn MasterLink>, tasks: Tasks) -> Self {
        Self { config, pillar, link, tasks, open: Mutex::default() }
    }

    /// Whether what is asked for can be.
    ///
    /// # Errors
    /// No such sink, or one of its options is missing or wrong.
    pub fn check(&self) -> Result<(), BadSink> {
        self.choice(None).map(drop)
    }

    fn choice(&self, name: Option<&str>) -> Result<Choice, BadSink> {
        SinkOptions { config: &self.config, pillar: &(self.pillar)() }.choice(name)
    }

    fn sink(&self, name: Option<&str>) -> Result<Arc<dyn Sink>, SinkError> {
        let choice = self.choice(name)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, sink)) = open.get(&name.map(str::to_owned))
            && *known == choice
        {
            return Ok(Arc::clone(sink));
        }
        let sink: Arc<dyn Sink> = match &choice {
            Choice::Master => Arc::new(MasterSink::new(Arc::clone(&self.link))),
            Choice::Folder(folder) => Arc::new(FolderSink::new(folder, self.tasks.clone())),
            Choice::ObjectStore(settings) => Arc::new(ObjectStoreSink::open(settings, self.tasks.clone())?),
        };
        open.insert(name.map(str::to_owned), (choice, Arc::clone(&sink)));
        Ok(sink)
    }
}

impl SinkOptions<'_> {
    /// Whether a job can have that sink and that retention.
    ///
    /// # Errors
    /// No such sink, one of its options is missing or wrong, or it removes nothing.
    pub fn check(&self, name: Option<&str>, retention: Option<Retention>) -> Result<(), BadSink> {
        match (self.choice(name)?, retention) {
            (Choice::Master, Some(_)) => Err(BadSink::KeepsAll),
            (Choice::Master | Choice::Folder(_) | Choice::ObjectStore(_), _) => Ok(()),
        }
    }

    fn choice(&self, name: Option<&str>) -> Result<Choice, BadSink> {
        let named = name.and_then(|name| self.find("sinks")?.get(name).cloned());
        let look = |key: &str| match &named {
            Some(sink) => sink.get(key).cloned(),
            None => self.find(key),
        };
        let text = |key: &str| look(key).and_then(|value| value.as_str().map(str::to_owned));
        let kind = if named.is_some() { None } else { name.map(str::to_owned) };
        match kind.or_else(|| text("sink")).as_deref() {
            None | Some("master") => Ok(Choice::Master),
            Some("folder") => text("folder").map(Choice::Folder).ok_or(BadSink::NoFolder),
            Some("object_store") => {
                let options = look("object_store").unwrap_or_default();
                let settings = StoreSettings::read(&options, &self.config.id.to_string())?;
                match settings.folder() {
                    Some(folder) => Ok(Choice::Folder(folder)),
                    None => Ok(Choice::ObjectStore(Box::new(settings))),
                }
            }
            Some(other) => Err(BadSink::Unknown { given: other.to_owned() }),
        }
    }

    fn find(&self, key: &str) -> Option<Value> {
        let told = self.pillar.get("agent").and_then(|agent| agent.get("sync")?.get(key));
        let told = told.filter(|value| !value.is_nil()).cloned();
        told.or_else(|| self.config.agent_opt(&format!("sync:{key}")).cloned())
    }
}

impl Sink for ChosenSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        faults: &'a Faults,
    ) -> BoxFuture<'a, Result<Told, SinkError>> {
        Box::pin(async move { self.sink(batch.sink.as_deref())?.deliver(batch, file, faults).await })
    }

    fn prune<'a>(&'a self, replaced: &'a Replaced) -> BoxFuture<'a, Result<usize, SinkError>> {
        Box::pin(async move { self.sink(replaced.sink.as_deref())?.prune(replaced).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::LocalLink;

    fn chosen(minion: &str, pillar: &str) -> Result<Choice, String> {
        chosen_by(None, minion, pillar)
    }

    fn chosen_by(name: Option<&str>, minion: &str, pillar: &str) -> Result<Choice, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut opts = states::Map::new();
        opts.insert("id", "smile");
        opts.insert("file_client", "local");
        opts.insert("root_dir", folder.path().to_string_lossy().into_owned());
        opts.insert("agent", states::yaml::load(minion).unwrap());
        let config = Arc::new(Config::from_options(folder.path(), opts).unwrap());
        let pillar = Arc::new(states::yaml::load(pillar).unwrap());
        let current: CurrentPillar = Arc::new(move || Arc::clone(&pillar));
        let sink = ChosenSink::new(config, current, Arc::new(LocalLink), Tasks::new());
        sink.choice(name).map_err(|error| error.to_string())
    }

    #[test]
    fn the_pillar_outranks_the_configuration() {
        let folder = "{sync: {sink: folder, folder: /srv/a}}";
        assert_eq!(chosen("{}", "{}").unwrap(), Choice::Master);
        assert_eq!(chosen(folder, "{}").unwrap(), Choice::Folder("/srv/a".into()));
        assert_eq!(chosen(folder, "{agent: {sync: {sink: master}}}").unwrap(), Choice::Master);
        let local = "{agent: {sync: {sink: object_store, object_store: {url: 'file:///srv/b'}}}}";
        assert_eq!(chosen("{}", local).unwrap(), Choice::Folder("/srv/b".into()));
    }

    #[test]
    fn a_job_names_a_sink_of_its_own() {
        let pillar = "{agent: {sync: {sink: folder, folder: /srv/a, sinks: {archive: {sink: folder, folder: /srv/b}, \
                      odd: {sink: folder}}}}}";
        let by = |name| chosen_by(name, "{}", pillar);
        assert_eq!(by(None).unwrap(), Choice::Folder("/srv/a".into()));
        assert_eq!(by(Some("archive")).unwrap(), Choice::Folder("/srv/b".into()));
        assert_eq!(by(Some("folder")).unwrap(), Choice::Folder("/srv/a".into()), "the kind, as for all");
        assert_eq!(by(Some("master")).unwrap(), Choice::Master);
        assert!(
            by(Some("odd")).unwrap_err().contains("does not say which"),
            "nothing is taken of the others"
        );
        assert!(by(Some("nowhere")).unwrap_err().contains("a name of agent:sync:sinks"));
    }

    #[test]
    fn a_sink_that_is_none_says_what_is_missing() {
        let said = |minion| chosen(minion, "{}").unwrap_err();
        assert!(said("{sync: {sink: ftp}}").contains("it must be master, folder, object_store, or"));
        assert!(said("{sync: {sink: folder}}").contains("agent:sync:folder"));
        assert!(said("{sync: {sink: object_store}}").contains("agent:sync:object_store:url"));
        let keyless =
            said("{sync: {sink: object_store, object_store: {url: 's3://b', region: eu-central-1}}}");
        assert!(keyless.contains("access_key_id"), "{keyless}");
    }

    #[test]
    fn secrets_are_in_no_text() {
        let store = "{agent: {sync: {sink: object_store, object_store: {url: 's3://b/p', endpoint: 'https://s3.example', \
                     access_key_id: AKID, secret_access_key: hunter2, session_token: hunter3}}}}";
        let choice = chosen("{}", store).unwrap();
        let told = format!("{choice:?}");
        assert!(told.contains("s3.example") && !told.contains("hunter"), "{told}");
    }
}
