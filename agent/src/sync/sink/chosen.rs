//! The sink that the pillar or the minion's configuration asks for, looked up at every delivery: a pillar that arrives
//! later, or changes, needs no restart. What the pillar says of `agent:sync` outranks the configuration.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use states::Value;

use crate::channel::MasterLink;
use crate::config::Config;
use crate::store::sync::BatchRow;
use crate::sync::faults::Faults;
use crate::tasks::Tasks;

use super::object_store::{ObjectStoreSink, StoreSettings};
use super::{BadSink, FolderSink, MasterSink, Sink, SinkError};

/// What the current pillar is.
pub type CurrentPillar = Arc<dyn Fn() -> Arc<Value> + Send + Sync>;

/// Delivers to whatever is asked for at that moment.
pub struct ChosenSink {
    config: Arc<Config>,
    pillar: CurrentPillar,
    link: Arc<dyn MasterLink>,
    tasks: Tasks,
    open: Mutex<Option<(Choice, Arc<dyn Sink>)>>,
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
        self.choice().map(drop)
    }

    fn choice(&self) -> Result<Choice, BadSink> {
        let pillar = (self.pillar)();
        let looked_up = |name: &str| {
            let told =
                pillar.get("agent").and_then(|agent| agent.get("sync")).and_then(|sync| sync.get(name));
            let told = told.filter(|value| !value.is_nil()).cloned();
            told.or_else(|| self.config.agent_opt(&format!("sync:{name}")).cloned())
        };
        let text = |name: &str| looked_up(name).and_then(|value| value.as_str().map(str::to_owned));
        match text("sink").as_deref() {
            None | Some("master") => Ok(Choice::Master),
            Some("folder") => text("folder").map(Choice::Folder).ok_or(BadSink::NoFolder),
            Some("object_store") => {
                let options = looked_up("object_store").unwrap_or_default();
                let settings = StoreSettings::read(&options, &self.config.id.to_string())?;
                match settings.folder() {
                    Some(folder) => Ok(Choice::Folder(folder)),
                    None => Ok(Choice::ObjectStore(Box::new(settings))),
                }
            }
            Some(other) => Err(BadSink::Unknown { given: other.to_owned() }),
        }
    }

    fn sink(&self) -> Result<Arc<dyn Sink>, SinkError> {
        let choice = self.choice()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, sink)) = open.as_ref()
            && *known == choice
        {
            return Ok(Arc::clone(sink));
        }
        let sink: Arc<dyn Sink> = match &choice {
            Choice::Master => Arc::new(MasterSink::new(Arc::clone(&self.link))),
            Choice::Folder(folder) => Arc::new(FolderSink::new(folder, self.tasks.clone())),
            Choice::ObjectStore(settings) => Arc::new(ObjectStoreSink::open(settings, self.tasks.clone())?),
        };
        *open = Some((choice, Arc::clone(&sink)));
        Ok(sink)
    }
}

impl Sink for ChosenSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a BatchRow,
        file: &'a Path,
        faults: &'a Faults,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move { self.sink()?.deliver(batch, file, faults).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::LocalLink;

    fn chosen(minion: &str, pillar: &str) -> Result<Choice, String> {
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
        sink.choice().map_err(|error| error.to_string())
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
    fn a_sink_that_is_none_says_what_is_missing() {
        let said = |minion| chosen(minion, "{}").unwrap_err();
        assert!(said("{sync: {sink: ftp}}").contains("it must be master, folder or object_store"));
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
