//! An agent without a master, its states called one by one.

use std::sync::Arc;

use agent::channel::{LocalLink, MasterLink};
use agent::config::Config;
use agent::services::Services;
use agent::state_modules::{RunMode, StateArgs, StateContext};
use agent::store::Store;
use agent::tasks::Tasks;
use states::{LowChunk, Map, StateReturn, Value};

use crate::sim::Sim;

/// An agent without a master whose options point at the sim.
pub struct Minion {
    /// Its parts.
    pub services: Arc<Services>,
    /// The chunks that the next states see in their run.
    pub chunks: Arc<Vec<LowChunk>>,
    _folder: tempfile::TempDir,
}

impl Minion {
    /// With `sa`'s credential.
    pub fn of(sim: &Sim) -> Self {
        let connection = sim.connection("Clinic");
        Self::with_login(sim, "sa", connection.password.reveal(), Arc::new(LocalLink))
    }

    /// With another credential, and events that go nowhere or are kept.
    pub fn with_login(sim: &Sim, user: &str, password: &str, link: Arc<dyn MasterLink>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = sim.connection("Clinic");
        let mut opts = Map::new();
        opts.insert("id", "test");
        opts.insert("file_client", "local");
        opts.insert("root_dir", folder.path().to_string_lossy().into_owned());
        opts.insert("mssql.server", connection.server.to_string());
        opts.insert("mssql.user", user);
        opts.insert("mssql.password", password);
        opts.insert("mssql.database", "Clinic");
        opts.insert("mssql.encrypt", false);
        let config = Arc::new(Config::from_options(folder.path(), opts).unwrap());
        let store = Arc::new(Store::open(&folder.path().join("store.sqlite")).unwrap());
        Self {
            services: Services::new(config, link, store, Tasks::new()),
            chunks: Arc::default(),
            _folder: folder,
        }
    }

    /// Calls a state once.
    pub async fn state(&self, mode: RunMode, fun: &str, name: &str, args: &str) -> StateReturn {
        let (module, function) = fun.split_once('.').unwrap();
        let args = states::yaml::load(args).unwrap().as_map().cloned().unwrap_or_default();
        let (name, id) = (name.to_owned(), "id".to_owned());
        let args =
            StateArgs { name, id, sls: "test".into(), saltenv: "base".into(), args, require: Vec::new() };
        let context = StateContext {
            accumulators: Arc::default(),
            services: Arc::clone(&self.services),
            mode,
            pillar: Arc::new(Value::Map(Map::new())),
            grains: Arc::new(Value::Map(Map::new())),
            low: Arc::clone(&self.chunks),
            cancel: self.services.tasks.token(),
        };
        self.services.state_modules.find(module, function).unwrap().call(function, &args, &context).await
    }

    /// Applies a state that must succeed, and sees that a second run has nothing to do.
    pub async fn converge(&self, fun: &str, name: &str, args: &str) -> StateReturn {
        let planned = self.state(RunMode::Test, fun, name, args).await;
        let done = self.state(RunMode::Apply, fun, name, args).await;
        assert_eq!(done.result, Some(true), "{fun} {name}: {}", done.comment);
        assert_eq!(planned.changes, done.changes, "test=True announced other changes");
        assert_eq!(planned.result, if is_empty(&done) { Some(true) } else { None });
        let again = self.state(RunMode::Apply, fun, name, args).await;
        assert_eq!((again.result, is_empty(&again)), (Some(true), true), "{fun} again: {}", again.comment);
        done
    }

    /// Applies a state that must fail and gives its comment.
    pub async fn refused(&self, fun: &str, name: &str, args: &str) -> String {
        let done = self.state(RunMode::Apply, fun, name, args).await;
        assert_eq!((done.result, is_empty(&done)), (Some(false), true), "{}", done.comment);
        done.comment
    }
}

/// True when a state changed nothing.
pub fn is_empty(done: &StateReturn) -> bool {
    done.changes.as_map().is_none_or(Map::is_empty)
}
