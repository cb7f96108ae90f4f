//! The module over a service manager in memory.

use super::*;
use crate::{modules::Signature, win_service::memory::Memory};

struct Machine(Arc<dyn Manager>, Config);

impl Machine {
    fn new(agent: &str) -> Self {
        let memory = Memory::of(&[("Spooler", AUTO), ("W32Time", MANUAL), ("RemoteRegistry", DISABLED)]);
        let opts = format!("{{root_dir: /nowhere, master: localhost, id: m1, agent: {agent}}}");
        let opts = states::yaml::load(&opts).unwrap().as_map().cloned().unwrap();
        let config = Config::from_options(std::path::Path::new("/nowhere/etc"), opts).unwrap();
        Self(Arc::new(memory), config)
    }

    async fn call(&self, fun: &str, args: &[&str], kwargs: &str) -> Result<Value, ModuleError> {
        let spec = FUNCTIONS.iter().find(|spec| spec.name == fun).unwrap();
        let kwargs = states::yaml::load(kwargs).unwrap().as_map().cloned().unwrap_or_default();
        let args = args.iter().map(|arg| Value::from(*arg)).collect();
        let bound = Signature::parse(spec.signature).bind(fun, args, kwargs)?;
        let tasks = Tasks::new();
        Asked { manager: &self.0, tasks: &tasks, config: &self.1 }.answer(fun, bound).await
    }

    async fn is(&self, fun: &str, name: &str) -> bool {
        self.call(fun, &[name], "").await.unwrap() == true.into()
    }
}

#[tokio::test]
async fn services_are_started_stopped_and_asked_for_in_any_case() {
    let machine = Machine::new("{}");
    assert!(machine.is("available", "spooler").await && machine.is("missing", "Nothing").await);
    assert!(!machine.is("status", "spooler").await);
    assert!(machine.is("start", "spooler").await && machine.is("status", "Spooler").await);
    assert!(machine.is("restart", "spooler").await && machine.is("stop", "spooler").await);
    assert_eq!(machine.call("status", &["Nothing"], "").await.unwrap(), "Not Found".into());
    let found = machine.call("status", &["*o*"], "").await.unwrap();
    let names: Vec<_> = found.as_map().unwrap().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["RemoteRegistry", "Spooler"]);
    let error = machine.call("start", &["Nothing"], "").await.unwrap_err().to_string();
    assert!(error.contains("Failed To Open Nothing: The specified service does not exist"), "{error}");
}

#[tokio::test]
async fn a_disabled_service_is_started_by_hand() {
    let machine = Machine::new("{}");
    assert!(machine.is("start", "RemoteRegistry").await);
    let info = machine.call("info", &["RemoteRegistry"], "").await.unwrap();
    assert_eq!(
        (info.get("StartType"), info.get("Status")),
        (Some(&"Manual".into()), Some(&"Running".into()))
    );
}

#[tokio::test]
async fn the_start_with_the_machine_is_set_and_told() {
    let machine = Machine::new("{}");
    assert!(machine.is("enabled", "Spooler").await && machine.is("disabled", "W32Time").await);
    assert!(machine.is("enable", "W32Time").await && machine.is("enabled", "W32Time").await);
    assert!(machine.is("disable", "W32Time").await && machine.is("disabled", "W32Time").await);
    let late = machine.call("enable", &["W32Time"], "{start_delayed: true}").await.unwrap();
    let info = machine.call("info", &["W32Time"], "").await.unwrap();
    assert_eq!((late, info.get("StartTypeDelayed")), (true.into(), Some(&true.into())));
    assert!(machine.is("disable", "Spooler").await);
    let disabled = machine.call("get_disabled", &[], "").await.unwrap();
    assert_eq!(disabled, Value::List(vec!["RemoteRegistry".into(), "Spooler".into()]));
    let error = machine.call("enable", &["Spooler", "sometimes"], "").await.unwrap_err().to_string();
    assert!(error.contains("Invalid Start Type: sometimes"), "{error}");
}

#[tokio::test]
async fn settings_are_changed_and_what_is_the_installers_is_refused() {
    let machine = Machine::new("{}");
    let asked = "{display_name: Printing, start_type: manual, start_delayed: true}";
    let told = machine.call("modify", &["Spooler"], asked).await.unwrap();
    assert_eq!(
        (told.get("DisplayName"), told.get("StartType")),
        (Some(&"Printing".into()), Some(&"Manual".into()))
    );
    assert_eq!(told.get("Warning"), Some(&"start_delayed: Requires start_type \"auto\"".into()));
    let names = machine.call("get_service_name", &["spooler"], "").await.unwrap();
    assert_eq!(names.get("Printing"), Some(&"Spooler".into()));
    let error = machine.call("modify", &["Spooler"], "{account_name: LocalSystem}").await.unwrap_err();
    assert!(error.to_string().contains("account_name"), "{error}");
}

#[tokio::test]
async fn what_the_practice_keeps_to_itself_and_the_own_service_are_left_alone() {
    let machine = Machine::new("{manageable_services: ['W32*']}");
    for fun in ["start", "stop", "restart", "enable", "disable", "modify"] {
        let error = machine.call(fun, &["Spooler"], "").await.unwrap_err().to_string();
        assert!(error.contains("manageable_services"), "{fun}: {error}");
    }
    assert!(machine.is("start", "W32Time").await);
    let machine = Machine::new("{}");
    let error = machine.call("restart", &[service::NAME], "").await.unwrap_err().to_string();
    assert!(error.contains("the agent's own service"), "{error}");
}
