//! The schedule: functions that this minion runs by itself, master or no master.
//!
//! Entries come from the configuration and `minion.d/_schedule.conf` (which `schedule.add` writes, as Salt's does) and
//! from the pillar, read again with each pillar. [`entry::Entry`] is the pure part: when an entry is due;
//! `state.rs` keeps what is due when. Returns go through the durable queue under a jid that the master gives, so they
//! survive a master that is away; an entry that was changed by a job survives a restart unless `persist=False`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Local};
use states::{
    Map, Value,
    yaml::{self, Style},
};
use tokio::sync::Notify;

use crate::{config::Config, job::accept::Acceptor, services::Services};

pub mod cron;
pub mod entry;
pub mod moment;
mod state;

use entry::{Entry, EntryError};
pub use state::Record;
use state::State;

/// The schedule of this process.
#[derive(Debug, Default)]
pub struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

/// Where an entry came from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// The configuration, or `schedule.add`.
    Options,
    /// The pillar.
    Pillar,
}

impl Schedule {
    /// The schedule of the configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let schedule = Self::default();
        let map = |key: &str| config.opts.get(key).and_then(Value::as_map).cloned().unwrap_or_default();
        schedule.take(map("schedule"), Origin::Options);
        let whens = map("grains").get("whens").and_then(Value::as_map).cloned().unwrap_or_default();
        schedule.state().whens.insert("grains", whens);
        schedule
    }

    /// Takes entries of one origin in, replacing those of the same origin.
    pub fn take(&self, given: Map, origin: Origin) {
        self.state().take(given, origin);
        self.changed.notify_one();
    }

    /// Takes what a pillar says of the schedule: entries, and names for points in time.
    pub fn take_pillar(&self, pillar: &Value) {
        let map = |key: &str| pillar.get(key).and_then(Value::as_map).cloned().unwrap_or_default();
        self.state().whens.insert("pillar", map("whens"));
        self.take(map("schedule"), Origin::Pillar);
    }

    /// Every entry by name, and where it came from.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, (Map, Origin)> {
        self.state().entries.clone()
    }

    /// The options of the whole schedule as `schedule.list` shows them.
    #[must_use]
    pub fn common(&self) -> Map {
        let state = self.state();
        let mut shown: Map = state.common.values().rev().flat_map(Map::clone).collect();
        if state.switched {
            shown.insert("enabled", !state.disabled);
        }
        shown
    }

    /// Whether the schedule as a whole runs.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.state().disabled
    }

    /// Turns the whole schedule on or off.
    pub fn enable(&self, enabled: bool) {
        let mut state = self.state();
        (state.disabled, state.switched) = (!enabled, true);
        drop(state);
        self.changed.notify_one();
    }

    /// Sets an entry after checking it; it keeps its origin.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set(&self, name: &str, entry: Map) -> Result<(), EntryError> {
        let mut state = self.state();
        Entry::read(name, &entry, &state.settings())?;
        let origin = state.entries.get(name).map_or(Origin::Options, |(_, origin)| *origin);
        state.entries.insert(name.to_owned(), (entry, origin));
        state.forget(name);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes an entry out. `false` when there is none.
    pub fn remove(&self, name: &str) -> bool {
        let mut state = self.state();
        state.forget(name);
        state.entries.remove(name).is_some()
    }

    /// Runs an entry once, now.
    pub fn ask(&self, name: &str) {
        self.state().asked.push(name.to_owned());
        self.changed.notify_one();
    }

    /// What is known of an entry's runs.
    #[must_use]
    pub fn record(&self, name: &str) -> Record {
        self.state().records.get(name).cloned().unwrap_or_default()
    }

    /// Writes the entries that are not the pillar's to `minion.d/_schedule.conf`.
    ///
    /// # Errors
    /// The system's reason.
    pub fn save(&self, config: &Config) -> std::io::Result<()> {
        let state = self.state();
        let own = state.entries.iter().filter(|(_, (_, origin))| *origin == Origin::Options);
        let mut kept: Map = own.map(|(name, (entry, _))| (name.as_str(), entry.clone())).collect();
        kept.extend(state.common.get(&Origin::Options).cloned().unwrap_or_default());
        if state.switched {
            kept.insert("enabled", !state.disabled);
        }
        drop(state);
        let whole: Map = [("schedule", kept)].into_iter().collect();
        crate::files::replace(&file(config), yaml::dump(&whole.into(), Style::Block).as_bytes())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries that are due, and how long until the next one may be.
    fn due(&self, now: DateTime<Local>) -> (Vec<Entry>, Duration) {
        let mut state = self.state();
        let due = state.due(now);
        let wait = state.soonest().map(|at| (at - now).to_std().unwrap_or_default());
        let longest = if state.restless { RESTLESS_LOOK } else { LONGEST_LOOK };
        (due, wait.unwrap_or(longest).clamp(SHORTEST_LOOK, longest))
    }

    fn count(&self, name: &str, by: isize) {
        self.state().records.entry(name.to_owned()).or_default().count(by);
    }
}

/// The entries that the schedule file holds, as `schedule.list offline=True` shows them.
///
/// # Errors
/// Why the file cannot be read, in words.
pub fn saved(config: &Config) -> Result<Map, String> {
    let path = file(config);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let whole = yaml::load(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(whole.get("schedule").and_then(Value::as_map).cloned().unwrap_or_default())
}

/// Runs due entries until the process stops. A clock that jumps is followed: the next look is never far.
pub async fn run(services: Arc<Services>, acceptor: Acceptor) {
    let token = services.tasks.token();
    for name in services.schedule.entries().into_keys() {
        let read = services.schedule.state().read(&name);
        if let Some(Err(error)) = read {
            tracing::error!(name, %error, "a schedule entry cannot be used");
        }
    }
    loop {
        let (due, wait) = services.schedule.due(Local::now());
        for entry in due {
            start(&services, &acceptor, entry);
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = services.schedule.changed.notified() => {}
            () = token.cancelled() => return,
        }
    }
}

fn start(services: &Arc<Services>, acceptor: &Acceptor, entry: Entry) {
    let (services, acceptor) = (Arc::clone(services), acceptor.clone());
    let tasks = services.tasks.clone();
    services.schedule.count(&entry.name, 1);
    drop(tasks.spawn(format!("schedule {}", entry.name), async move {
        tracing::info!(name = entry.name, fun = entry.fun, "scheduled function starts");
        acceptor.scheduled(&entry).await;
        services.schedule.count(&entry.name, -1);
    }));
}

fn file(config: &Config) -> PathBuf {
    config.config_dir.join("minion.d").join("_schedule.conf")
}

const SHORTEST_LOOK: Duration = Duration::from_millis(20);
/// Explicit runs are seen within this time.
const RESTLESS_LOOK: Duration = Duration::from_secs(1);
/// A clock that jumps is seen within this time.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
