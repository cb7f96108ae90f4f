//! Beacons: this minion looks at something at intervals and tells the master by an event.
//!
//! Configured as Salt's are (`beacons:` in the configuration, in `minion.d/beacons.conf` and in the pillar): a list of maps, or
//! a map, by name, with `interval`, `enabled`, `beacon_module`, `run_once`, `disable_during_state_run`. Events are
//! `salt/beacon/<id>/<name>/<tag>`; those that the master could not be told wait in memory, the newest [`run::MOST_WAITING`] of
//! them. Kinds: Salt's `service`, `diskusage`, `load` and `memusage`, and `mssql` for the reachability of SQL Server.
//! Behaviour: `salt/beacons/__init__.py`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use states::{
    Map, Value,
    yaml::{self, Style},
};
use tokio::sync::Notify;

use crate::config::Config;

pub mod kind;
mod mssql;
pub mod run;
mod service;

pub use kind::Kind;

/// The beacons of this process.
#[derive(Debug, Default)]
pub struct Beacons {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    options: Map,
    pillar: Map,
    /// What `enabled` of the whole says, once it says something.
    enabled: Option<bool>,
}

/// Why a beacon was not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// It comes from the pillar.
    Pillar,
    /// There is none of that name.
    Unknown,
}

impl Beacons {
    /// The beacons of the configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let beacons = Self::default();
        let given = config.opts.get("beacons").and_then(Value::as_map).cloned().unwrap_or_default();
        beacons.replace(given);
        beacons
    }

    /// Replaces the beacons that are not the pillar's.
    pub fn replace(&self, mut given: Map) {
        let mut state = self.state();
        state.enabled = given.remove("enabled").map(|enabled| enabled.is_truthy());
        state.options = given;
        drop(state);
        self.changed.notify_one();
    }

    /// Takes a pillar's beacons in.
    pub fn take_pillar(&self, pillar: &Value) {
        let mut given = pillar.get("beacons").and_then(Value::as_map).cloned().unwrap_or_default();
        let mut state = self.state();
        if let Some(enabled) = given.remove("enabled")
            && state.enabled.is_none()
        {
            state.enabled = Some(enabled.is_truthy());
        }
        state.pillar = given;
        drop(state);
        self.changed.notify_one();
    }

    /// The configured beacons, the configuration's winning; `enabled` among them once it was said.
    #[must_use]
    pub fn all(&self, include_pillar: bool, include_options: bool) -> Map {
        let state = self.state();
        let mut all = if include_pillar { state.pillar.clone() } else { Map::new() };
        if include_options {
            all.extend(state.options.clone());
            if let Some(enabled) = state.enabled {
                all.insert("enabled", enabled);
            }
        }
        all
    }

    /// Those that run, by name, with their settings as one map.
    #[must_use]
    pub fn active(&self) -> Vec<(String, Map)> {
        let all = self.all(true, true);
        if all.get("enabled").is_some_and(|enabled| !enabled.is_truthy()) {
            return Vec::new();
        }
        let flat = all.iter().map(|(name, config)| (name.to_string(), flat(config)));
        flat.filter(|(name, config)| name != "enabled" && config.get("enabled").is_none_or(Value::is_truthy))
            .collect()
    }

    /// Sets a beacon.
    ///
    /// # Errors
    /// [`Refused::Pillar`].
    pub fn set(&self, name: &str, config: Value) -> Result<(), Refused> {
        let mut state = self.state();
        if state.pillar.contains_key(name) {
            return Err(Refused::Pillar);
        }
        state.options.insert(name, config);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes a beacon out.
    ///
    /// # Errors
    /// [`Refused::Pillar`].
    pub fn remove(&self, name: &str) -> Result<(), Refused> {
        let mut state = self.state();
        if state.pillar.contains_key(name) {
            return Err(Refused::Pillar);
        }
        state.options.remove(name);
        Ok(())
    }

    /// Turns a beacon on or off.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn enable(&self, name: &str, enabled: bool) -> Result<(), Refused> {
        let mut state = self.state();
        if state.pillar.contains_key(name) {
            return Err(Refused::Pillar);
        }
        match state.options.get_mut(name) {
            Some(Value::List(parts)) => {
                let held =
                    parts.iter_mut().filter_map(Value::as_map_mut).find(|part| part.contains_key("enabled"));
                match held {
                    Some(part) => drop(part.insert("enabled", enabled)),
                    None => parts.push(Value::Map([("enabled", enabled)].into_iter().collect())),
                }
            }
            Some(Value::Map(map)) => drop(map.insert("enabled", enabled)),
            Some(
                Value::Nil
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Str(_)
                | Value::Bytes(_),
            )
            | None => return Err(Refused::Unknown),
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Turns all beacons on or off.
    pub fn enable_all(&self, enabled: bool) {
        self.state().enabled = Some(enabled);
        self.changed.notify_one();
    }

    /// Writes the beacons that are not the pillar's to `minion.d/beacons.conf`, which is given back.
    ///
    /// # Errors
    /// The system's reason.
    pub fn save(&self, config: &Config) -> std::io::Result<std::path::PathBuf> {
        let path = config.config_dir.join("minion.d").join("beacons.conf");
        let kept = self.all(false, true);
        let text = if kept.is_empty() {
            String::new()
        } else {
            yaml::dump(&Value::Map([("beacons", kept)].into_iter().collect()), Style::Block)
        };
        crate::files::replace(&path, text.as_bytes())?;
        Ok(path)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settings given as a list of maps, or as one map, as one map.
#[must_use]
pub fn flat(config: &Value) -> Map {
    match config {
        Value::Map(map) => map.clone(),
        Value::List(parts) => parts.iter().filter_map(Value::as_map).flat_map(Map::clone).collect(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bytes(_) => {
            Map::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacons(text: &str) -> Beacons {
        let beacons = Beacons::default();
        beacons.replace(states::yaml::load(text).unwrap().as_map().cloned().unwrap());
        beacons
    }

    fn names(beacons: &Beacons) -> Vec<String> {
        beacons.active().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn reads_lists_of_maps_and_leaves_out_what_is_off() {
        let beacons = beacons(
            "{load: [{averages: {1m: [0, 1]}}, {interval: 5}], diskusage: [{/: 1%}, {enabled: false}]}",
        );
        assert_eq!(names(&beacons), ["load"]);
        let (_, config) = beacons.active().remove(0);
        assert_eq!(config.get("interval"), Some(&5.into()));
        beacons.enable("diskusage", true).unwrap();
        assert_eq!(names(&beacons), ["load", "diskusage"]);
        beacons.enable_all(false);
        assert!(names(&beacons).is_empty());
    }

    #[test]
    fn the_pillars_beacons_run_and_cannot_be_changed_here() {
        let beacons = beacons("{}");
        beacons.take_pillar(&states::yaml::load("{beacons: {memusage: [{percent: 50%}]}}").unwrap());
        assert_eq!(names(&beacons), ["memusage"]);
        assert_eq!(beacons.enable("memusage", false), Err(Refused::Pillar));
        assert_eq!(beacons.remove("memusage"), Err(Refused::Pillar));
        assert_eq!(beacons.enable("load", false), Err(Refused::Unknown));
    }
}
