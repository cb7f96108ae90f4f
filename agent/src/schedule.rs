//! The schedule: functions that this minion runs by itself, master or no master.
//!
//! Entries come from the configuration and `minion.d/_schedule.conf` (which `schedule.add` writes, as Salt's does) and
//! from the pillar, read again with each pillar. [`entry::Entry`] is the pure part: when an entry is due. Returns go
//! through the durable queue under a jid that the master gives. Not supported and refused clearly: `when`, `once`,
//! `range` and `skip_during_range`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

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

use entry::{Entry, EntryError};

/// The schedule of this process.
#[derive(Debug, Default)]
pub struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// As written by the operator, by name, and whether it came from the pillar.
    entries: BTreeMap<String, (Map, Origin)>,
    next: BTreeMap<String, DateTime<Local>>,
    running: BTreeMap<String, usize>,
    asked: Vec<String>,
    disabled: bool,
}

/// Where an entry came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
        let given = config.opts.get("schedule").and_then(Value::as_map).cloned().unwrap_or_default();
        schedule.take(given, Origin::Options);
        schedule
    }

    /// Takes entries of one origin in, replacing those of the same origin.
    pub fn take(&self, given: Map, origin: Origin) {
        let mut state = self.state();
        let before = state.entries.clone();
        state.entries.retain(|_, (_, held)| *held != origin);
        for (name, entry) in given {
            let name = name.to_string();
            match entry {
                Value::Map(entry) => {
                    state.entries.entry(name).or_insert((entry, origin));
                }
                enabled if name == "enabled" => state.disabled = !enabled.is_truthy(),
                _ => tracing::warn!(name, "a schedule entry is not a mapping and was not used"),
            }
        }
        let kept = state.entries.clone();
        state.next.retain(|name, _| before.get(name) == kept.get(name));
        drop(state);
        self.changed.notify_one();
    }

    /// Every entry by name, and where it came from.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, (Map, Origin)> {
        self.state().entries.clone()
    }

    /// Whether the schedule as a whole runs.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.state().disabled
    }

    /// Turns the whole schedule on or off.
    pub fn enable(&self, enabled: bool) {
        self.state().disabled = !enabled;
        self.changed.notify_one();
    }

    /// Sets an entry after checking it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set(&self, name: &str, entry: Map) -> Result<(), EntryError> {
        Entry::read(name, &entry)?;
        let mut state = self.state();
        state.next.remove(name);
        state.entries.insert(name.to_owned(), (entry, Origin::Options));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes an entry out. `false` when there is none.
    pub fn remove(&self, name: &str) -> bool {
        let mut state = self.state();
        state.next.remove(name);
        state.entries.remove(name).is_some()
    }

    /// Runs an entry once, now.
    pub fn ask(&self, name: &str) {
        self.state().asked.push(name.to_owned());
        self.changed.notify_one();
    }

    /// When an entry runs next.
    #[must_use]
    pub fn next_time(&self, name: &str) -> Option<DateTime<Local>> {
        self.state().next.get(name).copied()
    }

    /// Writes the entries that are not the pillar's to `minion.d/_schedule.conf`.
    ///
    /// # Errors
    /// The system's reason.
    pub fn save(&self, config: &Config) -> std::io::Result<()> {
        let state = self.state();
        let own = state.entries.iter().filter(|(_, (_, origin))| *origin == Origin::Options);
        let mut kept: Map = own.map(|(name, (entry, _))| (name.as_str(), entry.clone())).collect();
        if state.disabled {
            kept.insert("enabled", false);
        }
        drop(state);
        let whole: Map = [("schedule", kept)].into_iter().collect();
        crate::files::replace(&file(config), yaml::dump(&whole.into(), Style::Block).as_bytes())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries that are due, and how long until the next one may be.
    fn due(&self, now: DateTime<Local>, first: bool) -> (Vec<Entry>, Duration) {
        let mut state = self.state();
        let mut due = Vec::new();
        let asked = std::mem::take(&mut state.asked);
        let names: Vec<String> = state.entries.keys().cloned().collect();
        for name in names {
            let Some(entry) = state.entries.get(&name).and_then(|(entry, _)| Entry::read(&name, entry).ok())
            else {
                continue;
            };
            let wanted = asked.contains(&name);
            if (!entry.enabled || state.disabled) && !wanted {
                state.next.remove(&name);
                continue;
            }
            let at = match state.next.get(&name) {
                Some(at) => *at,
                None if first && entry.run_on_start => now,
                None => entry.after(now, &mut rand::thread_rng()),
            };
            let busy = state.running.get(&name).copied().unwrap_or_default() >= entry.max_running;
            if at > now && !wanted {
                state.next.insert(name, at);
                continue;
            }
            state.next.insert(name.clone(), entry.after(now, &mut rand::thread_rng()));
            if wanted || (entry.is_open(now) && !busy) {
                due.push(entry);
            } else if busy {
                tracing::info!(name, "a scheduled function still runs; this turn is left out");
            }
        }
        let soonest = state.next.values().min().map(|at| (*at - now).to_std().unwrap_or_default());
        (due, soonest.unwrap_or(LONGEST_LOOK).min(LONGEST_LOOK))
    }

    fn count(&self, name: &str, by: isize) {
        let mut state = self.state();
        let running = state.running.entry(name.to_owned()).or_default();
        *running = running.saturating_add_signed(by);
    }
}

/// Runs due entries until the process stops. A clock that jumps is followed: the next look is never far.
pub async fn run(services: Arc<Services>, acceptor: Acceptor) {
    let token = services.tasks.token();
    let mut first = true;
    for (name, (entry, _)) in services.schedule.entries() {
        if let Err(error) = Entry::read(&name, &entry) {
            tracing::error!(name, %error, "a schedule entry cannot be used");
        }
    }
    loop {
        let (due, wait) = services.schedule.due(Local::now(), first);
        first = false;
        for entry in due {
            start(&services, &acceptor, entry);
        }
        tokio::select! {
            () = tokio::time::sleep(wait.max(SHORTEST_LOOK)) => {}
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
const LONGEST_LOOK: Duration = Duration::from_secs(30);
