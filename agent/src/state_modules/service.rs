//! Salt's `service` state module: services that run, are dead, start at boot or do not.
//!
//! Everything is asked of and done by the execution module `service`, which holds changes to the local policy. The one of
//! Windows, known by its `info`, knows three ways to start (`Auto`, `Manual`, `Disabled`), and each state asks for its own.

use std::time::Duration;

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    modules::ModuleError,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct Service;

impl StateModule for Service {
    fn name(&self) -> &'static str {
        "service"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["dead", "disabled", "enabled", "mod_watch", "running"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let unit = Unit { name: &args.name, args, run };
            let done = match fun {
                "running" => unit.toggled(Wanted::Running).await,
                "dead" => unit.toggled(Wanted::Dead).await,
                "enabled" => unit.at_boot(true, Started::Unknown, Some(true)).await,
                "disabled" => unit.at_boot(false, Started::Unknown, Some(true)).await,
                _ => unit.watched().await,
            };
            done.unwrap_or_else(|error| StateReturn::failed(error.to_string()))
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Running,
    Dead,
}

/// What the comment about starting at boot adds.
#[derive(Clone, Copy, PartialEq)]
enum Started {
    Yes,
    No,
    Unknown,
}

impl Started {
    fn of(running: bool) -> Self {
        if running { Self::Yes } else { Self::No }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Yes => "is running",
            Self::No => "is dead",
            Self::Unknown => "is in the desired state",
        }
    }
}

struct Unit<'a> {
    name: &'a str,
    args: &'a StateArgs,
    run: &'a StateContext,
}

impl Unit<'_> {
    async fn ask(&self, fun: &str) -> Result<bool, ModuleError> {
        let taken: &[&str] = match fun {
            "start" | "stop" => &["timeout"],
            "enable" => &["start_type", "start_delayed"],
            _ => &[],
        };
        let given = taken.iter().filter(|_| self.on_windows());
        let options = given.filter_map(|key| Some((*key, self.args.given(key)?.clone()))).collect();
        let answer = self.run.execute(&format!("service.{fun}"), vec![self.name.into()], options).await?;
        Ok(answer.is_truthy())
    }

    fn on_windows(&self) -> bool {
        self.run.offers("service.info")
    }

    /// Whether the service starts in one of these ways, asked of Windows; elsewhere what `fun` answers.
    async fn starts(&self, ways: &[&str], fun: &str) -> Result<bool, ModuleError> {
        if !self.on_windows() {
            return self.ask(fun).await;
        }
        let info = self.run.execute("service.info", vec![self.name.into()], Map::new()).await?;
        Ok(info.get("StartType").and_then(Value::as_str).is_some_and(|held| ways.contains(&held)))
    }

    fn dry(&self) -> bool {
        self.run.mode == RunMode::Test
    }

    fn not_there(&self, would: &str) -> StateReturn {
        let name = self.name;
        let comment =
            format!("Service {name} not present; if created in this state run, it would have been {would}");
        StateReturn::would_change(comment, Map::new())
    }

    fn unavailable(&self) -> String {
        format!("The named service {} is not available", self.name)
    }

    /// `enable`, as a truth value even when it was written as text.
    fn enable(&self) -> Option<bool> {
        self.args.given("enable").map(|value| match value.as_str() {
            Some(text) => matches!(text.to_lowercase().as_str(), "true" | "yes" | "on" | "1"),
            None => value.is_truthy(),
        })
    }

    async fn delay(&self) -> Option<f64> {
        let seconds = self.args.given("init_delay").and_then(Value::as_float)?;
        tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
        Some(seconds)
    }

    /// `running` and `dead`.
    async fn toggled(&self, wanted: Wanted) -> Result<StateReturn, ModuleError> {
        let name = self.name;
        if self.args.args.contains_key("enabled") {
            return Ok(StateReturn::failed(format!(
                "Service {name} uses non-existent option \"enabled\".  Perhaps \"enable\" option was intended?"
            )));
        }
        if !self.ask("available").await? {
            return Ok(match (self.dry(), wanted) {
                (true, Wanted::Running) => self.not_there("started"),
                (true, Wanted::Dead) => self.not_there("stopped"),
                (false, Wanted::Running) => StateReturn::failed(self.unavailable()),
                (false, Wanted::Dead) => StateReturn::ok(self.unavailable()),
            });
        }
        let runs = self.ask("status").await?;
        let boots = match wanted {
            Wanted::Running => self.ask("enabled").await?,
            // What is started by hand can still be disabled.
            Wanted::Dead => self.starts(&["Auto", "Manual"], "enabled").await?,
        };
        if runs == (wanted == Wanted::Running) {
            return self.already(wanted, boots).await;
        }
        if self.dry() {
            let what = if wanted == Wanted::Running { "start" } else { "be killed" };
            return Ok(StateReturn::would_change(format!("Service {name} is set to {what}"), Map::new()));
        }
        self.toggle(wanted, boots).await
    }

    async fn already(&self, wanted: Wanted, boots: bool) -> Result<StateReturn, ModuleError> {
        let word = if wanted == Wanted::Running { "running" } else { "dead" };
        match self.enable() {
            Some(enable) if enable != boots => self.at_boot(enable, Started::Unknown, Some(true)).await,
            Some(_) | None => Ok(StateReturn::ok(format!("The service {} is already {word}", self.name))),
        }
    }

    async fn toggle(&self, wanted: Wanted, mut boots: bool) -> Result<StateReturn, ModuleError> {
        let name = self.name;
        let mut enable = self.enable();
        if self.on_windows() && wanted == Wanted::Running && !boots {
            // Windows does not start a disabled service.
            if enable != Some(true) {
                return Ok(StateReturn::failed(format!(
                    "The service {name} is disabled but enable is not True. Set enable to True to successfully start the service."
                )));
            }
            self.at_boot(true, Started::Unknown, Some(true)).await?;
            enable = None;
            boots = false;
        }
        let (fun, failed) = match wanted {
            Wanted::Running => ("start", format!("Service {name} failed to start")),
            Wanted::Dead => ("stop", format!("Service {name} failed to die")),
        };
        let done = self.ask(fun).await?;
        let delayed = if done { self.delay().await } else { None };
        let runs = if done { self.ask("status").await? } else { wanted == Wanted::Dead };
        let changed = done && (runs == (wanted == Wanted::Running) || boots != self.ask("enabled").await?);
        let mut ret = match (wanted, runs) {
            _ if !done => StateReturn::failed(failed),
            (Wanted::Running, true) => StateReturn::ok(format!("Started service {name}")),
            (Wanted::Dead, false) => StateReturn::ok(format!("Service {name} was killed")),
            (Wanted::Running, false) | (Wanted::Dead, true) => StateReturn::failed(failed),
        };
        if changed {
            ret.changes = Value::Map([(name, runs)].into_iter().collect());
        }
        if let Some(enable) = enable {
            let boot = self.at_boot(enable, Started::of(runs), ret.result).await?;
            ret.comment = boot.comment;
            ret.result = boot.result;
            if boot.changes.is_truthy() {
                ret.changes = boot.changes;
            }
        }
        if let Some(seconds) = delayed {
            ret.comment.push_str(&format!("\nDelayed return for {} seconds", Value::Float(seconds)));
        }
        Ok(ret)
    }

    /// Starting at boot, or not.
    async fn at_boot(
        &self,
        wanted: bool,
        started: Started,
        result: Option<bool>,
    ) -> Result<StateReturn, ModuleError> {
        let (name, words) = (self.name, started.words());
        let (fun, done, not_to) =
            if wanted { ("enable", "enabled", "") } else { ("disable", "disabled", "not ") };
        if !self.ask("available").await? {
            return Ok(match (wanted, self.dry()) {
                (true, true) => self.not_there("enabled"),
                (true, false) => StateReturn::failed(self.unavailable()),
                (false, _) => StateReturn::ok(self.unavailable()),
            });
        }
        let held = if wanted { self.ask(done).await? } else { self.starts(&["Disabled"], done).await? };
        if held {
            let comment = format!("Service {name} is already {done}, and {words}");
            return Ok(StateReturn { result, ..StateReturn::ok(comment) });
        }
        if self.dry() {
            return Ok(StateReturn::would_change(format!("Service {name} set to be {done}"), Map::new()));
        }
        if self.ask(fun).await? {
            let changes: Map =
                if self.ask(done).await? { [(name, true)].into_iter().collect() } else { Map::new() };
            let comment = format!("Service {name} has been {done}, and {words}");
            return Ok(StateReturn { result, ..StateReturn::changed(comment, changes) });
        }
        let state = match started {
            Started::Yes if wanted => "but the service is running",
            Started::Yes => "and is running",
            Started::No => "and the service is dead",
            Started::Unknown => "but the service was already running",
        };
        let comma = if !wanted && started != Started::Yes { "" } else { "," };
        Ok(StateReturn::failed(format!(
            "Failed when setting service {name} to {not_to}start at boot{comma} {state}"
        )))
    }

    async fn watched(&self) -> Result<StateReturn, ModuleError> {
        let runs = self.ask("status").await?;
        let sfun = self.args.text("sfun").unwrap_or_default();
        let (fun, verb) = match (sfun.as_str(), runs) {
            ("dead", true) => ("stop", "stopp"),
            ("dead", false) => return Ok(StateReturn::ok("Service is already stopped")),
            ("running", true) if self.args.flag("reload", false) => match self.args.flag("force", false) {
                true => ("force_reload", "forcefully reload"),
                false => ("reload", "reload"),
            },
            ("running", true) => ("restart", "restart"),
            ("running", false) => ("start", "start"),
            _ => return Ok(StateReturn::failed(format!("Unable to trigger watch for service.{sfun}"))),
        };
        if self.dry() {
            return Ok(StateReturn::would_change(format!("Service is set to be {verb}ed"), Map::new()));
        }
        let done = self.ask(fun).await?;
        self.delay().await;
        let changes: Map = [(self.name, done)].into_iter().collect();
        let verb_alone = if fun == "stop" { "stop" } else { verb };
        let comment =
            if done { format!("Service {verb}ed") } else { format!("Failed to {verb_alone} the service") };
        Ok(StateReturn { result: Some(done), ..StateReturn::changed(comment, changes) })
    }
}

#[cfg(test)]
mod tests;
