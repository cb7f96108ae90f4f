//! Salt's `service` module on Windows: the services of this machine (`salt/modules/win_service.py`).
//!
//! Starting, stopping and changing is held to the local policy (`agent: manageable_services`). Accounts, passwords and the
//! kind of a service are its installer's: `modify` refuses them. Elsewhere the module is the one of systemd.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use proto::target::fnmatch;
use states::{Map, Value};

use crate::{
    config::Config,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    platform::service,
    policy,
    tasks::Tasks,
    win_service::{self, AUTO, Change, DISABLED, Info, MANUAL, Manager, WinServiceError},
};

/// The module over a service manager.
pub struct WinService(pub Arc<dyn Manager>);

impl Module for WinService {
    fn name(&self) -> &'static str {
        "service"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        let (tasks, config) = (&call.services.tasks, &call.services.config);
        let asked = Asked { manager: &self.0, tasks, config };
        Box::pin(async move { asked.answer(fun, args).await })
    }
}

struct Asked<'a> {
    manager: &'a Arc<dyn Manager>,
    tasks: &'a Tasks,
    config: &'a Config,
}

impl Asked<'_> {
    async fn answer(&self, fun: &str, args: Arguments) -> Result<Value, ModuleError> {
        let names = args.rest.iter().map(ToString::to_string).collect();
        if matches!(fun, "get_all" | "get_disabled" | "get_enabled" | "get_service_name") {
            return self.lists(fun.to_owned(), names).await;
        }
        let name = args.text("name")?;
        if matches!(fun, "disable" | "enable" | "modify" | "restart" | "start" | "stop") {
            policy::may_manage_service(self.config, &name)
                .map_err(|error| ModuleError::Execution(error.to_string()))?;
        }
        match fun {
            "start" => Ok(self.start(&name, timeout(&args)?).await?.into()),
            "stop" => Ok(self.stop(&name, timeout(&args)?).await?.into()),
            "restart" => self.restart(&name, timeout(&args)?).await,
            "enable" => self.enable(name, &args).await,
            "disable" => self.disable(name).await,
            "modify" => self.modify(name, &args).await,
            "status" => self.status(name).await,
            "available" => Ok(self.is_there(name).await?.into()),
            "missing" => Ok((!self.is_there(name).await?).into()),
            "enabled" => Ok((self.info(name).await?.start_type == AUTO).into()),
            "disabled" => Ok((self.info(name).await?.start_type != AUTO).into()),
            "getsid" => Ok(win_service::service_sid(&self.info(name).await?.name).into()),
            "info" => Ok(self.info(name).await?.told().into()),
            _ => Err(ModuleError::NotAvailable { fun: format!("service.{fun}") }),
        }
    }

    /// Asks the manager, which answers when it can, away from everything else.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Manager) -> Result<T, WinServiceError> + Send + 'static,
    ) -> Result<T, ModuleError> {
        let manager = Arc::clone(self.manager);
        match self.tasks.blocking(move || question(&*manager)).await {
            Ok(answer) => answer.map_err(|error| ModuleError::Execution(error.to_string())),
            Err(error) => Err(ModuleError::Execution(format!("the service manager was not asked: {error}"))),
        }
    }

    async fn info(&self, name: String) -> Result<Info, ModuleError> {
        self.ask(move |manager| manager.info(&name)).await
    }

    async fn is_there(&self, name: String) -> Result<bool, ModuleError> {
        self.ask(move |manager| manager.is_there(&name)).await
    }

    async fn change(&self, name: &str, change: Change) -> Result<Info, ModuleError> {
        let service = name.to_owned();
        self.ask(move |manager| {
            manager.change(&service, &change)?;
            manager.info(&service)
        })
        .await
    }

    /// A disabled service is set to be started by hand first: Windows would refuse to start it.
    async fn start(&self, name: &str, patience: Duration) -> Result<bool, ModuleError> {
        if self.info(name.to_owned()).await?.start_type == DISABLED {
            self.change(name, Change { start_type: Some(MANUAL), ..Change::default() }).await?;
        }
        let service = name.to_owned();
        self.ask(move |manager| manager.start(&service)).await?;
        let waiting = [win_service::START_PENDING, win_service::STOPPED];
        Ok(self.wait(name, patience, &waiting).await?.state == win_service::RUNNING)
    }

    async fn stop(&self, name: &str, patience: Duration) -> Result<bool, ModuleError> {
        let service = name.to_owned();
        self.ask(move |manager| manager.stop(&service)).await?;
        let waiting = [win_service::RUNNING, win_service::STOP_PENDING];
        Ok(self.wait(name, patience, &waiting).await?.state == win_service::STOPPED)
    }

    async fn restart(&self, name: &str, patience: Duration) -> Result<Value, ModuleError> {
        if name.eq_ignore_ascii_case(service::NAME) {
            return Err(ModuleError::Execution(format!(
                "{name} is the agent's own service: once it has stopped, nobody is left to start it; nothing was done"
            )));
        }
        Ok((self.stop(name, patience).await? && self.start(name, patience).await?).into())
    }

    /// Waits while the service is in one of the states, as often as it asks to be looked at.
    async fn wait(&self, name: &str, patience: Duration, states: &[u32]) -> Result<Info, ModuleError> {
        let end = Instant::now() + patience;
        loop {
            let info = self.info(name.to_owned()).await?;
            if !states.contains(&info.state) || Instant::now() >= end {
                return Ok(info);
            }
            let hint = Duration::from_millis(info.wait_hint.into()) / 10;
            tokio::time::sleep(hint.clamp(Duration::from_millis(250), Duration::from_secs(10))).await;
        }
    }

    async fn enable(&self, name: String, args: &Arguments) -> Result<Value, ModuleError> {
        let delayed = args.truth("start_delayed");
        let start_type = start_type(&args.text("start_type")?)?;
        // Only what starts with the machine can start late.
        let wanted = Change {
            start_type: Some(start_type),
            delayed: Some(delayed).filter(|_| start_type == AUTO),
            ..Change::default()
        };
        let held = self.change(&name, wanted).await?;
        Ok((held.start_type == start_type && (start_type != AUTO || held.delayed == delayed)).into())
    }

    async fn disable(&self, name: String) -> Result<Value, ModuleError> {
        let held = self.change(&name, Change { start_type: Some(DISABLED), ..Change::default() }).await?;
        Ok((held.start_type == DISABLED).into())
    }

    async fn modify(&self, name: String, args: &Arguments) -> Result<Value, ModuleError> {
        let (change, mut told) = modification(args)?;
        let (wanted, service) = (change.clone(), name.clone());
        self.ask(move |manager| {
            let mut change = wanted;
            let starts =
                change.start_type.map_or_else(|| manager.info(&service).map(|it| it.start_type), Ok)?;
            change.delayed = change.delayed.filter(|_| starts == AUTO);
            manager.change(&service, &change).map(|()| change.delayed)
        })
        .await
        .map(|delayed| {
            match (change.delayed, delayed) {
                (Some(delayed), Some(_)) => told.insert("StartTypeDelayed", delayed),
                (Some(_), None) => told.insert("Warning", "start_delayed: Requires start_type \"auto\""),
                (None, _) => None,
            };
            told.into()
        })
    }

    /// Whether a service runs; for a glob, a map of those that it names, in any case.
    async fn status(&self, name: String) -> Result<Value, ModuleError> {
        let said = |info: Result<Info, WinServiceError>| match info {
            Ok(info) => Ok(Value::from(info.is_running())),
            Err(WinServiceError::Open { .. }) => Ok("Not Found".into()),
            Err(error) => Err(error),
        };
        if !name.contains(['*', '?', '[']) {
            return self.ask(move |manager| said(manager.info(&name))).await;
        }
        let glob = name.to_lowercase();
        self.ask(move |manager| {
            let mut found = Map::new();
            for service in manager.all()?.into_iter().filter(|name| fnmatch(&name.to_lowercase(), &glob)) {
                let state = said(manager.info(&service))?;
                found.insert(service, state);
            }
            Ok(found.into())
        })
        .await
    }

    async fn lists(&self, fun: String, wanted: Vec<String>) -> Result<Value, ModuleError> {
        self.ask(move |manager| {
            let names = manager.all()?;
            if fun == "get_all" {
                return Ok(list(names));
            }
            // One that went away meanwhile is not listed.
            let infos = names.iter().filter_map(|name| manager.info(name).ok());
            Ok(match fun.as_str() {
                "get_enabled" => list(infos.filter(|info| info.start_type == AUTO).map(|info| info.name)),
                "get_disabled" => {
                    let rests = infos.filter(|info| matches!(info.start_type, MANUAL | DISABLED));
                    list(rests.map(|info| info.name))
                }
                _ => {
                    let named = infos.filter(|info| wanted.is_empty() || is_named(info, &wanted));
                    named.map(|info| (info.display_name, info.name)).collect::<Map>().into()
                }
            })
        })
        .await
    }
}

fn list(names: impl IntoIterator<Item = String>) -> Value {
    Value::List(names.into_iter().map(Value::from).collect())
}

fn is_named(info: &Info, wanted: &[String]) -> bool {
    let lower = info.name.to_lowercase();
    wanted.iter().any(|name| *name == info.display_name || *name == info.name || *name == lower)
}

fn timeout(args: &Arguments) -> Result<Duration, ModuleError> {
    Ok(Duration::from_secs(u64::try_from(args.integer("timeout")?).unwrap_or(0)))
}

fn start_type(name: &str) -> Result<u32, ModuleError> {
    win_service::start_type(name).ok_or_else(|| ModuleError::Execution(format!("Invalid Start Type: {name}")))
}

/// What `service.modify` is asked to change, and how it tells so.
fn modification(args: &Arguments) -> Result<(Change, Map), ModuleError> {
    for key in ["account_name", "account_password", "run_interactive", "service_type"] {
        if !args.get(key).is_nil() {
            return Err(ModuleError::Execution(format!(
                "The '{key}' option of service.modify is not supported by this minion: it is the installer's of the service"
            )));
        }
    }
    let (mut change, mut told) = (Change::default(), Map::new());
    if let Some(path) = args.optional_text("bin_path")? {
        let path = path.trim_matches(['"', '\'']);
        let with = args.optional_text("exe_args")?.map(|with| format!(" {with}")).unwrap_or_default();
        change.bin_path = Some(format!("\"{path}\"{with}"));
    }
    if let Some(kind) = args.optional_text("start_type")? {
        change.start_type = Some(start_type(&kind)?);
    }
    if let Some(kind) = args.optional_text("error_control")? {
        let number = win_service::error_control(&kind);
        let invalid = || ModuleError::Execution(format!("Invalid Error Control: {kind}"));
        change.error_control = Some(number.ok_or_else(invalid)?);
    }
    change.display_name = args.optional_text("display_name")?;
    change.description = args.optional_text("description")?;
    change.load_order_group = args.optional_text("load_order_group")?;
    let dependencies = args.get("dependencies");
    change.dependencies = match dependencies.as_list() {
        Some(names) => Some(names.iter().map(ToString::to_string).collect()),
        None => args.optional_text("dependencies")?.map(|one| vec![one]),
    };
    change.delayed = Some(args.get("start_delayed")).filter(|value| !value.is_nil()).map(Value::is_truthy);
    let texts = [
        ("BinaryPath", &change.bin_path),
        ("DisplayName", &change.display_name),
        ("Description", &change.description),
        ("LoadOrderGroup", &change.load_order_group),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            told.insert(key, text.as_str());
        }
    }
    if let Some(start_type) = change.start_type {
        told.insert("StartType", Info { start_type, ..Info::default() }.start_type_name());
    }
    if let Some(number) = change.error_control {
        told.insert("ErrorControl", win_service::error_control_name(number));
    }
    if let Some(names) = &change.dependencies {
        told.insert("Dependencies", list(names.clone()));
    }
    Ok((change, told))
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "available", signature: "name", doc: "Tells whether there is such a service." },
    FunctionSpec {
        name: "disable",
        signature: "name, **kwargs",
        doc: "Disables a service, so that nobody can start it. Held to the local policy.",
    },
    FunctionSpec {
        name: "disabled",
        signature: "name",
        doc: "Tells whether a service is not started with the machine.",
    },
    FunctionSpec {
        name: "enable",
        signature: "name, start_type='auto', start_delayed=False, **kwargs",
        doc: "Starts a service with the machine. Held to the local policy.",
    },
    FunctionSpec {
        name: "enabled",
        signature: "name, **kwargs",
        doc: "Tells whether a service is started with the machine.",
    },
    FunctionSpec { name: "get_all", signature: "", doc: "Lists all services." },
    FunctionSpec {
        name: "get_disabled",
        signature: "",
        doc: "Lists the services that are not started with the machine.",
    },
    FunctionSpec {
        name: "get_enabled",
        signature: "",
        doc: "Lists the services that are started with the machine.",
    },
    FunctionSpec {
        name: "get_service_name",
        signature: "*args",
        doc: "Returns the names of services by their names in the console: of all, or of those given.",
    },
    FunctionSpec {
        name: "getsid",
        signature: "name",
        doc: "Returns the identifier of a service's own account.",
    },
    FunctionSpec { name: "info", signature: "name", doc: "Returns everything known of a service." },
    FunctionSpec { name: "missing", signature: "name", doc: "Tells whether there is no such service." },
    FunctionSpec {
        name: "modify",
        signature: "name, bin_path=None, exe_args=None, display_name=None, description=None, service_type=None, start_type=None, start_delayed=None, error_control=None, load_order_group=None, dependencies=None, account_name=None, account_password=None, run_interactive=None",
        doc: "Changes the settings of a service. Held to the local policy.",
    },
    FunctionSpec {
        name: "restart",
        signature: "name, timeout=90",
        doc: "Restarts a service. Held to the local policy.",
    },
    FunctionSpec {
        name: "start",
        signature: "name, timeout=90",
        doc: "Starts a service; a disabled one becomes one that is started by hand. Held to the local policy.",
    },
    FunctionSpec {
        name: "status",
        signature: "name, *args, **kwargs",
        doc: "Tells whether a service runs; for a glob, whether each that it names does.",
    },
    FunctionSpec {
        name: "stop",
        signature: "name, timeout=90",
        doc: "Stops a service. Held to the local policy.",
    },
];

#[cfg(test)]
mod tests;
