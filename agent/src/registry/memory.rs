//! A registry in memory, for tests.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Key, Raw, Registry, RegistryError};

/// Keys by their canonical path, without regard to the view.
#[derive(Default)]
pub struct Memory(Mutex<BTreeMap<String, BTreeMap<String, Raw>>>);

impl Memory {
    fn with<T>(
        &self,
        key: &Key,
        work: impl FnOnce(&mut BTreeMap<String, Raw>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get_mut(&key.canonical()).map_or_else(|| Err(RegistryError::NoKey(key.to_string())), work)
    }
}

fn no_value(key: &Key, name: &str) -> RegistryError {
    RegistryError::NoValue { name: name.to_owned(), key: key.to_string() }
}

impl Registry for Memory {
    fn broadcast_change(&self) -> bool {
        true
    }

    fn keys(&self, key: &Key) -> Result<Vec<String>, RegistryError> {
        self.with(key, |_| Ok(()))?;
        let below = format!("{}\\", key.canonical());
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = keys.keys().filter_map(|path| path.strip_prefix(&below));
        Ok(names.filter(|name| !name.contains('\\')).map(str::to_owned).collect())
    }

    fn values(&self, key: &Key) -> Result<Vec<(String, Raw)>, RegistryError> {
        self.with(key, |values| Ok(values.clone().into_iter().collect()))
    }

    fn read(&self, key: &Key, name: &str) -> Result<Raw, RegistryError> {
        self.with(key, |values| values.get(name).cloned().ok_or_else(|| no_value(key, name)))
    }

    fn write(&self, key: &Key, name: &str, raw: &Raw) -> Result<(), RegistryError> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = key.canonical();
        for (at, _) in path.match_indices('\\') {
            keys.entry(path[..at].to_owned()).or_default();
        }
        keys.entry(path).or_default().insert(name.to_owned(), raw.clone());
        Ok(())
    }

    fn delete_value(&self, key: &Key, name: &str) -> Result<(), RegistryError> {
        self.with(key, |values| values.remove(name).map(drop).ok_or_else(|| no_value(key, name)))
    }

    fn delete_tree(&self, key: &Key) -> Result<(), RegistryError> {
        self.with(key, |_| Ok(()))?;
        let (own, below) = (key.canonical(), format!("{}\\", key.canonical()));
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|path, _| *path != own && !path.starts_with(&below));
        Ok(())
    }
}
