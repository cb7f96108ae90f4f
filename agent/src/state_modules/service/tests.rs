//! The states over the module of Windows and a service manager in memory.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    channel::LocalLink,
    config::Config,
    modules::{ModuleTable, win_service::WinService},
    services::Services,
    store::Store,
    tasks::Tasks,
    win_service::{AUTO, DISABLED, MANUAL, memory::Memory},
};

struct Machine {
    services: Arc<Services>,
    _folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opts: Map =
            [("root_dir", folder.path().to_str().unwrap()), ("master", "localhost"), ("id", "m1")]
                .into_iter()
                .collect();
        let config = Arc::new(Config::from_options(&folder.path().join("etc"), opts).unwrap());
        let store = Arc::new(Store::open(&config.data_dir.join("store.sqlite")).unwrap());
        let mut services = Services::new(config, Arc::new(LocalLink), store, Tasks::new());
        let manager = Memory::of(&[("Auto", AUTO), ("Manual", MANUAL), ("Disabled", DISABLED)]);
        Arc::get_mut(&mut services).unwrap().modules =
            ModuleTable::new(vec![Box::new(WinService(Arc::new(manager)))]);
        Self { services, _folder: folder }
    }

    async fn state(&self, fun: &str, name: &str, args: &str, mode: RunMode) -> StateReturn {
        let run = StateContext {
            accumulators: Arc::default(),
            services: Arc::clone(&self.services),
            mode,
            pillar: Arc::default(),
            grains: Arc::default(),
            low: Arc::default(),
            cancel: CancellationToken::new(),
        };
        let text = |value: &str| value.to_owned();
        let args = StateArgs {
            name: text(name),
            id: text("i"),
            sls: text("a"),
            saltenv: text("base"),
            args: states::yaml::load(args).unwrap().as_map().cloned().unwrap_or_default(),
            require: Vec::new(),
        };
        Service.call(fun, &args, &run).await
    }

    async fn told(&self, fun: &str, name: &str, args: &str) -> (Option<bool>, String, Value) {
        let ret = self.state(fun, name, args, RunMode::Apply).await;
        (ret.result, ret.comment, ret.changes)
    }
}

fn only(name: &str, changed: bool) -> Value {
    Value::Map([(name, changed)].into_iter().collect())
}

fn none() -> Value {
    Value::Map(Map::new())
}

#[tokio::test]
async fn what_does_not_start_with_the_machine_is_started_only_when_enabled() {
    let machine = Machine::new();
    for name in ["Manual", "Disabled"] {
        let (result, comment, changes) = machine.told("running", name, "").await;
        let expected = format!(
            "The service {name} is disabled but enable is not True. Set enable to True to successfully start the service."
        );
        assert_eq!((result, comment, changes), (Some(false), expected, none()));
        let (result, comment, changes) = machine.told("running", name, "enable: true").await;
        assert_eq!((result, comment), (Some(true), format!("Started service {name}")));
        assert_eq!(changes, only(name, true));
    }
    let (result, comment, _) = machine.told("running", "Auto", "timeout: 5").await;
    assert_eq!((result, comment), (Some(true), "Started service Auto".to_owned()));
    let (result, comment, changes) = machine.told("running", "auto", "").await;
    assert_eq!(
        (result, comment, changes),
        (Some(true), "The service auto is already running".to_owned(), none())
    );
}

#[tokio::test]
async fn what_is_started_by_hand_is_still_to_be_disabled() {
    let machine = Machine::new();
    assert_eq!(machine.told("running", "Manual", "enable: true").await.0, Some(true));
    let dry = machine.state("dead", "Manual", "enable: false", RunMode::Test).await;
    assert_eq!((dry.result, dry.comment.as_str()), (None, "Service Manual is set to be killed"));
    let (result, comment, changes) = machine.told("dead", "Manual", "enable: false").await;
    assert_eq!((result, comment), (Some(true), "Service Manual has been disabled, and is dead".to_owned()));
    assert_eq!(changes, only("Manual", true));
    let (result, comment, changes) = machine.told("dead", "Manual", "enable: false").await;
    assert_eq!(
        (result, comment, changes),
        (Some(true), "The service Manual is already dead".to_owned(), none())
    );
    let (_, comment, changes) = machine.told("disabled", "Auto", "").await;
    assert_eq!(comment, "Service Auto has been disabled, and is in the desired state");
    assert_eq!(changes, only("Auto", true));
    let (_, comment, _) = machine.told("disabled", "Auto", "").await;
    assert_eq!(comment, "Service Auto is already disabled, and is in the desired state");
    let (_, comment, _) = machine.told("enabled", "Auto", "{start_delayed: true}").await;
    assert_eq!(comment, "Service Auto has been enabled, and is in the desired state");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_as_everywhere() {
    let machine = Machine::new();
    let (result, comment, _) = machine.told("running", "Nothing", "").await;
    assert_eq!((result, comment), (Some(false), "The named service Nothing is not available".to_owned()));
    let (result, _, _) = machine.told("dead", "Nothing", "").await;
    assert_eq!(result, Some(true));
    let (_, comment, changes) = machine.told("mod_watch", "Auto", "sfun: running").await;
    assert_eq!((comment, changes), ("Service started".to_owned(), only("Auto", true)));
}
