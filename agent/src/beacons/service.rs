//! The `service` beacon: whether services run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use states::{Map, Value};

use super::kind::{Memory, Seen};
use crate::services::Services;

pub(super) fn validate(config: &Map) -> Result<(), String> {
    let Some(services) = config.get("services") else {
        return Err("Configuration for service beacon requires services.".to_owned());
    };
    let Some(services) = services.as_map() else {
        return Err("Services configuration item for service beacon must be a dictionary.".to_owned());
    };
    if services.values().any(|options| options.as_map().is_none()) {
        return Err("Configuration for service beacon must be a list of dictionaries.".to_owned());
    }
    Ok(())
}

pub(super) async fn look(
    config: &Map,
    memory: &mut Memory,
    services: &Arc<Services>,
) -> Result<Vec<Map>, String> {
    let mut events = Vec::new();
    for (name, options) in config.get("services").and_then(Value::as_map).into_iter().flat_map(Map::iter) {
        let name = name.to_string();
        let running = is_running(&name, services).await?;
        let empty = Map::new();
        let options = options.as_map().unwrap_or(&empty);
        if is_told(&name, running, options, memory, Instant::now()) {
            events.push(event(&name, running, options));
        }
    }
    Ok(events)
}

#[cfg(not(windows))]
async fn is_running(name: &str, _services: &Services) -> Result<bool, String> {
    crate::service_manager::is_running(name).await.map_err(|error| error.to_string())
}

#[cfg(windows)]
async fn is_running(name: &str, services: &Services) -> Result<bool, String> {
    use crate::win_service::{Manager as _, System, WinServiceError};
    let name = name.to_owned();
    match services.tasks.blocking(move || System.info(&name)).await {
        Ok(Ok(info)) => Ok(info.is_running()),
        Ok(Err(WinServiceError::Open { .. })) => Ok(false),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a state is told: always, or, with `onchangeonly`, after a change that lasted `delay` seconds.
pub(super) fn is_told(name: &str, good: bool, options: &Map, memory: &mut Memory, now: Instant) -> bool {
    let flag = |key: &str, default: bool| options.get(key).map_or(default, Value::is_truthy);
    if !flag("onchangeonly", false) {
        return true;
    }
    let delay = options.get("delay").and_then(Value::as_float).unwrap_or(0.0).max(0.0);
    let delay = Duration::try_from_secs_f64(delay).unwrap_or_default();
    let held = memory.states.get(name).copied();
    let changed = held.is_none_or(|held| held.good != good);
    if held.is_none() && !flag("emitatstartup", true) {
        memory.states.insert(name.to_owned(), Seen { good, since: None });
        return false;
    }
    let since = if changed { Some(now) } else { held.and_then(|held| held.since) };
    let told = since.is_some_and(|since| now.duration_since(since) >= delay);
    memory.states.insert(name.to_owned(), Seen { good, since: since.filter(|_| !told) });
    told
}

fn event(name: &str, running: bool, options: &Map) -> Map {
    let mut state: Map = [("running", running)].into_iter().collect();
    if let Some(file) = options.get("uncleanshutdown").filter(|_| !running) {
        state.insert("uncleanshutdown", std::path::Path::new(&file.to_string()).exists());
    }
    [(name, Value::Map(state)), ("service_name", name.into()), ("tag", name.into())].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Map {
        states::yaml::load(text).unwrap().as_map().cloned().unwrap()
    }

    #[test]
    fn tells_every_time_or_only_of_changes() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let always = options("{}");
        assert!(
            is_told("a", true, &always, &mut memory, now) && is_told("a", true, &always, &mut memory, now)
        );
        let changes = options("{onchangeonly: true}");
        let told: Vec<bool> =
            [true, true, false, false, true].map(|up| is_told("b", up, &changes, &mut memory, now)).to_vec();
        assert_eq!(told, [true, false, true, false, true]);
        let quiet = options("{onchangeonly: true, emitatstartup: false}");
        let told: Vec<bool> = [true, false].map(|up| is_told("c", up, &quiet, &mut memory, now)).to_vec();
        assert_eq!(told, [false, true]);
    }

    #[test]
    fn waits_with_a_change_until_it_lasted() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        let options = options("{onchangeonly: true, delay: 30, emitatstartup: false}");
        let mut at =
            |up, seconds| is_told("a", up, &options, &mut memory, start + Duration::from_secs(seconds));
        assert!(!at(true, 0));
        assert!(!at(false, 10) && !at(false, 20));
        assert!(at(false, 40));
        assert!(!at(false, 50));
    }

    #[test]
    fn an_event_has_salts_shape() {
        let event = event("cron", false, &options("{uncleanshutdown: /no/such/pid}"));
        assert_eq!(event.get("service_name"), Some(&"cron".into()));
        assert_eq!(event.get("cron").unwrap().get("running"), Some(&false.into()));
        assert_eq!(event.get("cron").unwrap().get("uncleanshutdown"), Some(&false.into()));
    }
}
