//! The kinds of beacon: what they need, what they look at, what they tell.
//!
//! Deciding is apart from looking: [`diskusage`], [`load`], [`memusage`] are functions from settings and figures to events.

use std::{sync::Arc, time::Instant};

use states::{Map, Value};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{mssql, service};
use crate::services::Services;

/// A kind of beacon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// File systems that are fuller than they should be.
    Diskusage,
    /// Load averages outside their bounds.
    Load,
    /// Memory that is fuller than it should be.
    Memusage,
    /// Whether SQL Server can be reached.
    Mssql,
    /// Whether services run.
    Service,
}

/// What a beacon remembers between two looks.
#[derive(Debug, Default)]
pub struct Memory {
    /// Load averages at the last look.
    loads: Option<[f64; 3]>,
    /// States at the last look, by what was looked at.
    pub(super) states: std::collections::BTreeMap<String, Seen>,
}

/// A state as it was seen last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) good: bool,
    /// When it changed, while that was not told yet.
    pub(super) since: Option<Instant>,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Diskusage, Self::Load, Self::Memusage, Self::Mssql, Self::Service];

    /// Salt's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Diskusage => "diskusage",
            Self::Load => "load",
            Self::Memusage => "memusage",
            Self::Mssql => "mssql",
            Self::Service => "service",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether settings can be used; Salt's words when not.
    ///
    /// # Errors
    /// What is wrong.
    pub fn validate(self, config: &Value) -> Result<(), String> {
        if !matches!(config, Value::List(_) | Value::Map(_)) {
            return Err(format!("Configuration for {} beacon must be a list.", self.name()));
        }
        let flat = super::flat(config);
        match self {
            Self::Diskusage | Self::Mssql => Ok(()),
            Self::Load => load_settings(&flat),
            Self::Memusage if flat.contains_key("percent") => Ok(()),
            Self::Memusage => Err("Configuration for memusage beacon requires percent.".to_owned()),
            Self::Service => service::validate(&flat),
        }
    }

    /// Looks, and gives the events to tell; `tag` in one becomes the end of its tag.
    ///
    /// # Errors
    /// Why it could not look.
    pub async fn look(
        self,
        config: &Map,
        memory: &mut Memory,
        services: &Arc<Services>,
    ) -> Result<Vec<Map>, String> {
        match self {
            Self::Diskusage => {
                let settings = config.clone();
                let looked = services.tasks.blocking(move || diskusage(&settings, &file_systems())).await;
                looked.map_err(|error| error.to_string())
            }
            Self::Load => {
                let load = System::load_average().map_err(|error| error.to_string())?;
                Ok(self::load(config, [load.one, load.five, load.fifteen], memory))
            }
            Self::Memusage => Ok(memusage(config, memory_percent()?)),
            Self::Mssql => mssql::look(config, memory, services).await,
            Self::Service => service::look(config, memory, services).await,
        }
    }
}

/// Settings of every beacon that are not its own.
const COMMON: &[&str] =
    &["interval", "enabled", "beacon_module", "run_once", "disable_during_state_run", "_beacon_name"];

/// `63%`, `63` or `63.5` as a number.
fn percent(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_str()?.trim().trim_end_matches('%').trim().parse().ok())
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// An event for each file system at or over its threshold. Mount points are regular expressions, as in Salt.
fn diskusage(config: &Map, file_systems: &[(String, f64)]) -> Vec<Map> {
    let mut events = Vec::new();
    let own = config.iter().filter(|(key, _)| !key.as_str().is_some_and(|key| COMMON.contains(&key)));
    for (mount, threshold) in own {
        let mount = mount.to_string();
        let pattern = if mount.ends_with('$') { mount.clone() } else { format!("{mount}$") };
        let Ok(regex) = fancy_regex::Regex::new(&format!("^(?:{pattern})")) else {
            tracing::error!(mount, "this mount point of the diskusage beacon is no regular expression");
            continue;
        };
        let Some(threshold) = percent(threshold) else {
            tracing::error!(mount, "the threshold of this mount point is no percentage");
            continue;
        };
        let matching = file_systems.iter().filter(|(place, _)| regex.is_match(place).unwrap_or(false));
        for (place, used) in matching.filter(|(_, used)| *used >= threshold) {
            events.push(
                [("diskusage", Value::Float(*used)), ("mount", place.as_str().into())].into_iter().collect(),
            );
        }
    }
    events
}

/// Each mount point and how full it is for users, in percent, as psutil reckons.
#[cfg(unix)]
fn file_systems() -> Vec<(String, f64)> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned);
    let full = |place: String| {
        let found = rustix::fs::statvfs(place.as_str()).ok()?;
        let used = found.f_blocks.saturating_sub(found.f_bfree);
        let whole = used + found.f_bavail;
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let share = if whole == 0 { 0.0 } else { rounded(used as f64 / whole as f64 * 100.0) };
        Some((place, share))
    };
    places.filter_map(full).collect()
}

#[cfg(not(unix))]
fn file_systems() -> Vec<(String, f64)> {
    let Ok(disks) = sysinfo::Disks::new_with_refreshed_list() else { return Vec::new() };
    let full = |disk: &sysinfo::Disk| {
        let (total, free) = (disk.total_space(), disk.available_space());
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let share = if total == 0 { 0.0 } else { rounded((total - free) as f64 / total as f64 * 100.0) };
        (disk.mount_point().to_string_lossy().into_owned(), share)
    };
    disks.iter().map(full).collect()
}

const AVERAGES: [&str; 3] = ["1m", "5m", "15m"];

fn load_settings(config: &Map) -> Result<(), String> {
    for key in ["emitatstartup", "onchangeonly"] {
        if config.get(key).is_some_and(|value| value.as_bool().is_none()) {
            return Err(format!("Configuration for load beacon option {key} must be a boolean."));
        }
    }
    let Some(averages) = config.get("averages") else {
        return Err("Averages configuration is required for load beacon.".to_owned());
    };
    if !AVERAGES.iter().any(|key| averages.get(key).is_some()) {
        return Err("Averages configuration for load beacon must contain 1m, 5m or 15m items.".to_owned());
    }
    let bad = |key: &&str| {
        averages.get(key).is_some_and(|bounds| bounds.as_list().is_none_or(|bounds| bounds.len() != 2))
    };
    if AVERAGES.iter().any(bad) {
        return Err(
            "Configuration for load beacon: 1m, 5m and 15m items must be a list of two items.".to_owned()
        );
    }
    Ok(())
}

/// One event with all averages when one is outside of its bounds; with `onchangeonly`, when it just went there.
fn load(config: &Map, now: [f64; 3], memory: &mut Memory) -> Vec<Map> {
    let flag = |key: &str, default: bool| config.get(key).map_or(default, Value::is_truthy);
    let changes_only = flag("onchangeonly", false);
    let last = memory.loads.replace(now);
    if changes_only && last.is_none() && !flag("emitatstartup", true) {
        return Vec::new();
    }
    let last = last.unwrap_or(now);
    let outside = |(at, key): (usize, &&str)| {
        let bounds = config.get("averages").and_then(|averages| averages.get(key)).and_then(Value::as_list);
        let Some((low, high)) =
            bounds.and_then(|bounds| Some((bounds.first()?.as_float()?, bounds.get(1)?.as_float()?)))
        else {
            return false;
        };
        if changes_only {
            (now[at] > high && last[at] < high) || (now[at] < low && last[at] > low)
        } else {
            now[at] < low || now[at] > high
        }
    };
    if AVERAGES.iter().enumerate().any(outside) {
        vec![AVERAGES.iter().zip(now).map(|(key, load)| (*key, load)).collect()]
    } else {
        Vec::new()
    }
}

fn memusage(config: &Map, used: f64) -> Vec<Map> {
    match config.get("percent").and_then(percent) {
        Some(threshold) if used >= threshold => vec![[("memusage", used)].into_iter().collect()],
        _ => Vec::new(),
    }
}

fn memory_percent() -> Result<f64, String> {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what).map_err(|error| error.to_string())?;
    let total = system.total_memory();
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let share = total.saturating_sub(system.available_memory()) as f64 / total.max(1) as f64;
    Ok(rounded(share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Map {
        super::super::flat(&states::yaml::load(text).unwrap())
    }

    #[test]
    fn tells_of_file_systems_at_their_threshold() {
        let disks = [("/".to_owned(), 63.0), ("/home".to_owned(), 20.0), ("/srv".to_owned(), 99.9)];
        let events = diskusage(&config("[{/: 63%}, {'^/(?!home).*$': 90}, {interval: 5}]"), &disks);
        let mounts: Vec<String> =
            events.iter().map(|event| event.get("mount").unwrap().to_string()).collect();
        assert_eq!(mounts, ["/", "/srv"]);
        assert_eq!(events[0].get("diskusage"), Some(&63.0.into()));
        assert!(diskusage(&config("[{/: 64%}]"), &disks).is_empty());
    }

    #[test]
    fn tells_of_loads_outside_of_their_bounds() {
        let settings = config("[{averages: {1m: [0.1, 2.0], 5m: [0.0, 9.0]}}]");
        let mut memory = Memory::default();
        let high = load(&settings, [3.0, 1.0, 1.0], &mut memory);
        assert_eq!(high[0].get("15m"), Some(&1.0.into()));
        assert!(load(&settings, [1.0, 1.0, 1.0], &mut memory).is_empty());
        assert_eq!(load(&settings, [0.05, 1.0, 1.0], &mut memory).len(), 1);
    }

    #[test]
    fn tells_of_a_load_once_when_only_changes_are_wanted() {
        let settings = config("[{averages: {1m: [0.5, 2.0]}}, {onchangeonly: true}]");
        let mut memory = Memory::default();
        let told: Vec<usize> = [1.0, 3.0, 3.0, 1.0, 0.1, 0.1, 3.0]
            .map(|one| load(&settings, [one, 1.0, 1.0], &mut memory).len())
            .to_vec();
        assert_eq!(told, [0, 1, 0, 0, 1, 0, 1]);
    }

    #[test]
    fn tells_of_memory_over_its_threshold() {
        assert_eq!(memusage(&config("[{percent: 50%}]"), 50.0).len(), 1);
        assert!(memusage(&config("[{percent: 51}]"), 50.0).is_empty());
        assert!((0.0..=100.0).contains(&memory_percent().unwrap()));
    }

    #[test]
    fn refuses_settings_in_salts_words() {
        let refused = |kind: Kind, text: &str| kind.validate(&states::yaml::load(text).unwrap()).unwrap_err();
        assert_eq!(refused(Kind::Load, "x"), "Configuration for load beacon must be a list.");
        assert_eq!(refused(Kind::Load, "[]"), "Averages configuration is required for load beacon.");
        assert_eq!(refused(Kind::Memusage, "[]"), "Configuration for memusage beacon requires percent.");
        assert_eq!(refused(Kind::Service, "[]"), "Configuration for service beacon requires services.");
        assert!(Kind::Diskusage.validate(&states::yaml::load("[{/: 1%}]").unwrap()).is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sees_the_root_file_system() {
        assert!(file_systems().iter().any(|(place, used)| place == "/" && (0.0..=100.0).contains(used)));
    }
}
