//! Grains: facts of this machine under Salt's names and in Salt's shapes.
//!
//! Gathered in groups, each on a blocking thread of its own with a deadline, beside the first connection. A group that is late
//! is left out (its last values stay) and taken in when it comes, so that no slow fact delays connecting, the pillar or the
//! start events. Facts of SQL Server need a connection and therefore always come later. Custom grains come from the
//! configuration's `grains` and from `<config-dir>/grains`, which wins, as in Salt. Left out are grains of the Python runtime
//! (`pythonversion`, `zmqversion`, ...) and of tools the agent does not drive (`package`, `gpus`, ...).
//! Names: `salt/grains/core.py`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use states::{Map, Value};
use tokio::sync::Notify;

use crate::{config::Config, services::Services, tasks::Tasks, version};

mod hardware;
mod host;
mod network;
mod os;
mod sql_server;
mod windows;

/// How long a group of grains may take before the others go on without it.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// One group of grains.
pub struct Group {
    /// What the log calls it.
    pub name: &'static str,
    /// Gathers it; may block.
    pub collect: Box<dyn Fn(&Config) -> Map + Send + Sync>,
}

/// Gathers grains, and keeps what each group gave last.
pub struct Gatherer {
    groups: Vec<Arc<Group>>,
    deadline: Duration,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    held: Mutex<Held>,
    /// Told when a late group came in.
    late: Notify,
}

#[derive(Default)]
struct Held {
    last: BTreeMap<&'static str, Map>,
    busy: BTreeSet<&'static str>,
}

impl Default for Gatherer {
    fn default() -> Self {
        Self::new(built_in(), DEADLINE)
    }
}

impl Gatherer {
    /// A gatherer of the given groups.
    #[must_use]
    pub fn new(groups: Vec<Group>, deadline: Duration) -> Self {
        Self { groups: groups.into_iter().map(Arc::new).collect(), deadline, state: Arc::default() }
    }

    /// Gathers every group anew and gives all grains; what is late keeps its last values.
    pub async fn gather(&self, tasks: &Tasks, config: &Arc<Config>) -> Map {
        let end = tokio::time::Instant::now() + self.deadline;
        let running: Vec<_> =
            self.groups.iter().filter_map(|group| self.start(group, tasks, config)).collect();
        for (name, handle) in running {
            if tokio::time::timeout_at(end, handle).await.is_err() {
                tracing::warn!(group = name, "these grains are slow; they are taken in when they come");
            }
        }
        self.current(config)
    }

    /// Starts a group unless it still runs since last time.
    fn start(
        &self,
        group: &Arc<Group>,
        tasks: &Tasks,
        config: &Arc<Config>,
    ) -> Option<(&'static str, tokio::task::JoinHandle<()>)> {
        if !self.state.held().busy.insert(group.name) {
            tracing::warn!(group = group.name, "these grains are still being gathered");
            return None;
        }
        let (state, group, config, blocking) =
            (Arc::clone(&self.state), Arc::clone(group), Arc::clone(config), tasks.clone());
        let end = tokio::time::Instant::now() + self.deadline;
        let name = group.name;
        let handle = tasks.spawn(format!("grains {name}"), async move {
            let gathered = blocking.blocking(move || (group.collect)(&config)).await;
            let mut held = state.held();
            held.busy.remove(name);
            match gathered {
                Ok(grains) => drop(held.last.insert(name, grains)),
                Err(error) => tracing::error!(group = name, %error, "these grains could not be gathered"),
            }
            drop(held);
            if tokio::time::Instant::now() > end {
                state.late.notify_one();
            }
        });
        Some((name, handle))
    }

    /// Takes a group in that was gathered elsewhere.
    pub fn take(&self, name: &'static str, grains: Map) {
        self.state.held().last.insert(name, grains);
    }

    /// All grains as known, custom ones over them.
    #[must_use]
    pub fn current(&self, config: &Config) -> Map {
        let mut grains: Map = self.state.held().last.values().flat_map(Map::clone).collect();
        let custom = config.opts.get("grains").and_then(Value::as_map).cloned();
        for custom in [custom, custom_file(&config.config_dir)] {
            grains.extend(custom.unwrap_or_default());
        }
        grains
    }

    /// Waits until a late group came in.
    pub async fn late(&self) {
        self.state.late.notified().await;
    }
}

impl State {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes in what comes late, asks SQL Server, and gathers anew every `grains_refresh_every` minutes. The master is told of what
/// changed by asking it for the pillar.
pub async fn follow(services: Arc<Services>) {
    let token = services.tasks.token();
    let minutes =
        services.config.int_opt("grains_refresh_every").and_then(|minutes| u64::try_from(minutes).ok());
    let every =
        minutes.filter(|minutes| *minutes > 0).map_or(NEVER, |minutes| Duration::from_secs(minutes * 60));
    let mut gather_at = tokio::time::Instant::now() + every;
    let mut ask_at = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = services.gatherer.late() => {}
            () = tokio::time::sleep_until(ask_at) => {
                ask_at = tokio::time::Instant::now() + SQL_SERVER_EVERY;
                match sql_server::gather(&services).await {
                    Some(Ok(grains)) => services.gatherer.take("sql_server", grains),
                    Some(Err(error)) => tracing::info!(%error, "SQL Server could not be asked for its grains"),
                    None => {}
                }
            }
            () = tokio::time::sleep_until(gather_at) => {
                gather_at = tokio::time::Instant::now() + every;
                services.gatherer.gather(&services.tasks, &services.config).await;
            }
            () = token.cancelled() => return,
        }
        if services.take_late_grains()
            && let Err(error) = crate::pillar::refresh(&services).await
        {
            tracing::info!(%error, "the master was not told of the changed grains yet");
        }
    }
}

/// How often SQL Server is asked for its grains.
const SQL_SERVER_EVERY: Duration = Duration::from_secs(600);
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// The groups that this agent knows. Later names win where two give the same grain.
fn built_in() -> Vec<Group> {
    let group = |name, collect: fn(&Config, &mut Map)| Group {
        name,
        collect: Box::new(move |config| {
            let mut grains = Map::new();
            collect(config, &mut grains);
            grains
        }),
    };
    vec![
        group("agent", own),
        group("hardware", |_, grains| hardware::collect(grains)),
        group("host", host::collect),
        group("network", |_, grains| network::collect(grains)),
        group("os", |_, grains| os::collect(grains)),
        group("systemd", |_, grains| os::systemd(grains)),
        group("windows", |_, grains| windows::collect(grains)),
    ]
}

fn own(_config: &Config, grains: &mut Map) {
    grains.insert("saltversion", version::SALT_COMPATIBLE);
    let info = version::SALT_COMPATIBLE_INFO.iter().map(|part| Value::Int(*part)).collect();
    grains.insert("saltversioninfo", Value::List(info));
    if let Ok(program) = std::env::current_exe() {
        grains.insert("saltpath", program.to_string_lossy().into_owned());
    }
    grains.insert("agent", [("version", version::AGENT)].into_iter().collect::<Map>());
}

/// The static grains file beside the configuration, when there is one that parses.
fn custom_file(config_dir: &Path) -> Option<Map> {
    let path = config_dir.join("grains");
    let text = std::fs::read_to_string(&path).ok()?;
    match states::yaml::load(&text) {
        Ok(Value::Map(map)) => Some(map),
        Ok(Value::Nil) => None,
        Ok(_) => {
            tracing::warn!(path = %path.display(), "the grains file is not a mapping and was not used");
            None
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the grains file is not YAML and was not used");
            None
        }
    }
}

/// The trimmed content of a small file; `None` when it cannot be read or is empty.
fn read_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim().trim_matches('\0');
    (!text.is_empty()).then(|| text.to_owned())
}

fn texts<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(|item| Value::Str(item.into())).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn config() -> Arc<Config> {
        let opts = states::yaml::load("{id: m1, master: localhost, grains: {site: here}}").unwrap();
        Arc::new(Config::from_options(Path::new("/nowhere"), opts.as_map().cloned().unwrap()).unwrap())
    }

    fn group(name: &'static str, collect: impl Fn() + Send + Sync + 'static) -> Group {
        let collect = move |_: &Config| {
            collect();
            [(name, "gathered")].into_iter().collect()
        };
        Group { name, collect: Box::new(collect) }
    }

    #[tokio::test]
    async fn a_slow_grain_delays_nothing_and_is_taken_in_when_it_comes() {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let slow = group("slow", move || held.lock().unwrap().recv().unwrap());
        let gatherer = Gatherer::new(vec![group("quick", || {}), slow], Duration::from_millis(200));
        let (tasks, config) = (Tasks::new(), config());
        let grains = gatherer.gather(&tasks, &config).await;
        assert!(grains.contains_key("quick") && grains.contains_key("site") && !grains.contains_key("slow"));
        // Asked for again while it still runs, it is not started twice.
        let again = gatherer.gather(&tasks, &config).await;
        assert!(!again.contains_key("slow"));
        release.send(()).unwrap();
        gatherer.late().await;
        assert!(gatherer.current(&config).contains_key("slow"));
    }

    #[tokio::test]
    async fn a_grain_that_fails_leaves_the_others() {
        let gatherer = Gatherer::new(
            vec![group("quick", || {}), group("bad", || panic!("of the test"))],
            Duration::from_secs(60),
        );
        let grains = gatherer.gather(&Tasks::new(), &config()).await;
        assert!(grains.contains_key("quick") && !grains.contains_key("bad"));
    }
}
