//! Salt's `service` module: the services of this machine.
//!
//! Shapes and texts are those of Salt's systemd module. Starting, stopping and the like is held to the local policy
//! (`agent: manageable_services`).

use futures_util::future::BoxFuture;
use proto::target::fnmatch;
use states::{Map, Value};

use crate::{
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    policy,
    service_manager::{self as manager, Action, Installed, ServiceError},
};

/// The module.
pub struct Service;

impl Module for Service {
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
        Box::pin(async move {
            let name = || args.text("name");
            Ok(match fun {
                "start" => act(Action::Start, &args, call).await?,
                "stop" => act(Action::Stop, &args, call).await?,
                "restart" => act(Action::Restart, &args, call).await?,
                "reload" => act(Action::Reload, &args, call).await?,
                "force_reload" => act(Action::ForceReload, &args, call).await?,
                "enable" => act(Action::Enable, &args, call).await?,
                "disable" => act(Action::Disable, &args, call).await?,
                "mask" | "unmask" => mask(fun, &args, call).await?,
                "status" => status(&name()?).await?,
                "available" => manager::is_available(&name()?).await.map_err(failed)?.into(),
                "missing" => (!manager::is_available(&name()?).await.map_err(failed)?).into(),
                "enabled" => manager::is_enabled(&name()?).await.map_err(failed)?.into(),
                "disabled" => (!manager::is_enabled(&name()?).await.map_err(failed)?).into(),
                "masked" => manager::is_masked(&name()?, args.truth("runtime")).into(),
                "systemctl_reload" => {
                    allowed("systemctl daemon-reload", call)?;
                    manager::reload_units().await.map(|()| true.into()).map_err(failed)?
                }
                "show" => show(&name()?).await?,
                _ => lists(fun).await?,
            })
        })
    }
}

fn failed(error: ServiceError) -> ModuleError {
    ModuleError::Execution(match &error {
        ServiceError::Run { source, .. } => format!("{error}: {source}"),
        ServiceError::NoManager | ServiceError::Refused { .. } => error.to_string(),
    })
}

fn allowed(name: &str, call: &CallContext) -> Result<(), ModuleError> {
    policy::may_manage_service(&call.services.config, name)
        .map_err(|error| ModuleError::Execution(error.to_string()))
}

async fn act(action: Action, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let name = args.text("name")?;
    allowed(&name, call)?;
    let given = |key: &str| args.keyword(key).is_some_and(Value::is_truthy);
    for (wanted, runtime) in [(given("unmask"), false), (given("unmask_runtime"), true)] {
        if wanted && manager::is_masked(&name, runtime) {
            manager::mask(&name, "unmask", runtime).await.map_err(failed)?;
        }
    }
    match (action, manager::act(&name, action, given("no_block")).await) {
        (_, Ok(())) => Ok(true.into()),
        // Salt answers these with False; the others raise with the manager's words.
        (Action::Stop | Action::Enable | Action::Disable, Err(ServiceError::Refused { said })) => {
            tracing::error!(name, said, "the service manager refused");
            Ok(false.into())
        }
        (_, Err(error)) => Err(failed(error)),
    }
}

async fn mask(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let (name, runtime) = (args.text("name")?, args.truth("runtime"));
    allowed(&name, call)?;
    let verb = if fun == "mask" { "mask" } else { "unmask" };
    if verb == "unmask" && !manager::is_masked(&name, runtime) {
        return Ok(true.into());
    }
    match manager::mask(&name, verb, runtime).await {
        Ok(()) => Ok(true.into()),
        Err(ServiceError::Refused { said }) => {
            Err(ModuleError::Execution(format!("Failed to {verb} service '{name}': {said}")))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether a service runs; for a glob, a map of those that it names.
async fn status(name: &str) -> Result<Value, ModuleError> {
    if !name.contains(['*', '?', '[']) {
        return Ok(manager::is_running(name).await.map_err(failed)?.into());
    }
    let mut found = Map::new();
    for service in manager::all().into_iter().filter(|service| fnmatch(service, name)) {
        let runs = manager::is_running(&service).await.map_err(failed)?;
        found.insert(service, runs);
    }
    Ok(found.into())
}

async fn lists(fun: &str) -> Result<Value, ModuleError> {
    let names = match fun {
        "get_all" => manager::all(),
        "get_running" => manager::running().await.map_err(failed)?,
        "get_enabled" => manager::installed(Installed::Enabled).await.map_err(failed)?,
        "get_disabled" => manager::installed(Installed::Disabled).await.map_err(failed)?,
        "get_static" => manager::installed(Installed::Static).await.map_err(failed)?,
        "offline" => return Ok((!manager::is_there()).into()),
        "execs" => return execs().await,
        _ => return Err(ModuleError::NotAvailable { fun: format!("service.{fun}") }),
    };
    Ok(names.into_iter().map(Value::from).collect::<Vec<_>>().into())
}

/// A unit's properties; those in braces as maps, those that name units as lists.
async fn show(name: &str) -> Result<Value, ModuleError> {
    let mut shown = Map::new();
    for (key, value) in manager::properties(name).await.map_err(failed)? {
        shown.insert(key.as_str(), property(&key, &value));
    }
    Ok(shown.into())
}

fn property(key: &str, value: &str) -> Value {
    if value.starts_with('{') {
        let plain = value.replace(['{', '}'], "");
        let pairs = plain.split(" ; ").filter_map(|pair| pair.split_once('='));
        return pairs.map(|(key, value)| (key.trim(), value.trim())).collect::<Map>().into();
    }
    match key {
        "Before" | "After" | "Wants" => value.split_whitespace().map(Value::from).collect::<Vec<_>>().into(),
        _ => value.into(),
    }
}

/// What each service starts.
async fn execs() -> Result<Value, ModuleError> {
    let mut found = Map::new();
    for name in manager::all() {
        let shown = show(&name).await?;
        if let Some(start) = shown.get("ExecStart") {
            let start = start.get("path").unwrap_or(start).clone();
            found.insert(name, start);
        }
    }
    Ok(found.into())
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "available", signature: "name", doc: "Tells whether there is such a service." },
    FunctionSpec {
        name: "disable",
        signature: "name, no_block=False, root=None, **kwargs",
        doc: "Does not start a service with the machine. Held to the local policy.",
    },
    FunctionSpec {
        name: "disabled",
        signature: "name, root=None",
        doc: "Tells whether a service is not started with the machine.",
    },
    FunctionSpec {
        name: "enable",
        signature: "name, no_block=False, unmask=False, unmask_runtime=False, root=None, **kwargs",
        doc: "Starts a service with the machine. Held to the local policy.",
    },
    FunctionSpec {
        name: "enabled",
        signature: "name, root=None, **kwargs",
        doc: "Tells whether a service is started with the machine.",
    },
    FunctionSpec { name: "execs", signature: "root=None", doc: "Returns the program of each service." },
    FunctionSpec {
        name: "force_reload",
        signature: "name, no_block=True, unmask=False, unmask_runtime=False",
        doc: "Reloads a service, or restarts it where it cannot reload. Held to the local policy.",
    },
    FunctionSpec { name: "get_all", signature: "root=None", doc: "Lists all services." },
    FunctionSpec {
        name: "get_disabled",
        signature: "root=None",
        doc: "Lists the services that are not started with the machine.",
    },
    FunctionSpec {
        name: "get_enabled",
        signature: "root=None",
        doc: "Lists the services that are started with the machine.",
    },
    FunctionSpec { name: "get_running", signature: "", doc: "Lists the services that run." },
    FunctionSpec {
        name: "get_static",
        signature: "root=None",
        doc: "Lists the services that can be neither enabled nor disabled.",
    },
    FunctionSpec {
        name: "mask",
        signature: "name, runtime=False, root=None",
        doc: "Forbids a service to start. Held to the local policy.",
    },
    FunctionSpec {
        name: "masked",
        signature: "name, runtime=False, root=None",
        doc: "Tells whether a service is forbidden to start.",
    },
    FunctionSpec { name: "missing", signature: "name", doc: "Tells whether there is no such service." },
    FunctionSpec {
        name: "offline",
        signature: "",
        doc: "Tells whether the service manager cannot be asked.",
    },
    FunctionSpec {
        name: "reload",
        signature: "name, no_block=False, unmask=False, unmask_runtime=False",
        doc: "Makes a service read its configuration again. Held to the local policy.",
    },
    FunctionSpec {
        name: "restart",
        signature: "name, no_block=None, unmask=False, unmask_runtime=False",
        doc: "Restarts a service. Held to the local policy.",
    },
    FunctionSpec { name: "show", signature: "name, root=None", doc: "Returns the properties of a service." },
    FunctionSpec {
        name: "start",
        signature: "name, no_block=False, unmask=False, unmask_runtime=False",
        doc: "Starts a service. Held to the local policy.",
    },
    FunctionSpec {
        name: "status",
        signature: "name, sig=None",
        doc: "Tells whether a service runs; for a glob, whether each that it names does.",
    },
    FunctionSpec {
        name: "stop",
        signature: "name, no_block=None",
        doc: "Stops a service. Held to the local policy.",
    },
    FunctionSpec {
        name: "systemctl_reload",
        signature: "",
        doc: "Makes the service manager read its unit files again.",
    },
    FunctionSpec {
        name: "unmask",
        signature: "name, runtime=False, root=None",
        doc: "Allows a masked service to start again. Held to the local policy.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_properties_as_salt_does() {
        let start =
            property("ExecStart", "{ path=/usr/sbin/cron ; argv[]=/usr/sbin/cron -f ; ignore_errors=no }");
        assert_eq!(start.get("path"), Some(&"/usr/sbin/cron".into()));
        assert_eq!(start.get("ignore_errors"), Some(&"no".into()));
        assert_eq!(
            property("After", "a.service b.target"),
            Value::List(vec!["a.service".into(), "b.target".into()])
        );
        assert_eq!(property("Id", "cron.service"), "cron.service".into());
    }
}
