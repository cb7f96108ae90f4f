//! The environment that commands get: the process' own, with what states and functions set over it.
//!
//! The process' own variables are never changed, because other threads read them; a variable that is set or unset
//! here is seen by commands, by `environ` functions and states, and by nothing else.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// What was set (`Some`) or unset (`None`) over the process' own variables.
static CHANGED: Mutex<BTreeMap<String, Option<String>>> = Mutex::new(BTreeMap::new());

/// A variable's value.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    let name = key(name);
    match CHANGED.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
        Some(changed) => changed.clone(),
        None => std::env::var(&name).ok(),
    }
}

/// Every variable.
#[must_use]
pub fn all() -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((key(&name.into_string().ok()?), value.into_string().ok()?)))
        .collect();
    for (name, value) in changed() {
        match value {
            Some(value) => drop(all.insert(name, value)),
            None => drop(all.remove(&name)),
        }
    }
    all
}

/// Sets a variable, or unsets it.
pub fn set(name: &str, value: Option<&str>) {
    let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    changed.insert(key(name), value.map(str::to_owned));
}

/// Sets variables for programs that are started later, in the registry of Windows: of the agent's account, or with `HKLM`
/// of the whole machine. Elsewhere there is nothing of the kind, and Salt passes over the wish as well.
///
/// # Errors
/// What the local policy or the registry said.
#[cfg(windows)]
pub fn keep(
    values: &states::Map,
    unset_false: bool,
    permanent: &states::Value,
    config: &crate::config::Config,
) -> Result<(), String> {
    use crate::registry::{Key, Kind, Registry, RegistryError, System};
    if !permanent.is_truthy() {
        return Ok(());
    }
    let key = match permanent.as_str() {
        Some("HKLM") => {
            Key::new("HKLM", r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment", false)
        }
        Some(_) | None => Key::new("HKCU", "Environment", false),
    };
    let key = key.map_err(|error| error.to_string())?;
    crate::policy::may_write_registry(config, &key).map_err(|error| error.to_string())?;
    for (name, value) in values {
        let (name, value) =
            (name.to_string(), if value.is_truthy() { value.to_string() } else { String::new() });
        let done = if value.is_empty() && unset_false {
            System.delete_value(&key, &name)
        } else {
            let raw = Kind::Sz.encode(&value.into()).map_err(|error| error.to_string())?;
            System.write(&key, &name, &raw)
        };
        match done {
            Ok(()) | Err(RegistryError::NoValue { .. } | RegistryError::NoKey(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// As on Windows, where there is nothing to do.
///
/// # Errors
/// None.
#[cfg(not(windows))]
pub fn keep(
    _values: &states::Map,
    _unset_false: bool,
    _permanent: &states::Value,
    _config: &crate::config::Config,
) -> Result<(), String> {
    Ok(())
}

/// What differs from the process' own variables.
#[must_use]
pub fn changed() -> BTreeMap<String, Option<String>> {
    CHANGED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Windows does not tell the case of names apart.
fn key(name: &str) -> String {
    if cfg!(windows) { name.to_uppercase() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_or_unset_covers_the_process_own() {
        assert_eq!(get("AGENT_TEST_ENVIRONMENT"), None);
        set("AGENT_TEST_ENVIRONMENT", Some("x"));
        assert_eq!(get("AGENT_TEST_ENVIRONMENT").as_deref(), Some("x"));
        assert_eq!(all().get("AGENT_TEST_ENVIRONMENT").map(String::as_str), Some("x"));
        set("AGENT_TEST_ENVIRONMENT", None);
        assert!(!all().contains_key("AGENT_TEST_ENVIRONMENT"));
        let own = std::env::vars().next().map(|(name, _)| name);
        assert_eq!(own.as_deref().and_then(get), own.and_then(|name| std::env::var(name).ok()));
    }
}
