//! What the master remembers of its minions: grains, pillar, mine.
//!
//! Grains and mine are kept on disk, so that a restarted master still knows whom `-G` means. Pillar holds secrets and
//! is kept in memory only; after a restart it is compiled again when a target asks for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use proto::{Map, MinionId, Value, msgpack};

use crate::config::Config;
use crate::disk;

/// The caches of all minions.
#[derive(Debug)]
pub struct MinionCache {
    folder: PathBuf,
    pillar: Mutex<HashMap<MinionId, Value>>,
}

impl MinionCache {
    /// The cache below `cachedir`.
    pub fn new(config: &Config) -> Self {
        Self { folder: config.cachedir.join("minions"), pillar: Mutex::default() }
    }

    /// The grains a minion sent last.
    pub fn grains(&self, id: &MinionId) -> Option<Map> {
        self.read(id, GRAINS)
    }

    /// Remembers grains.
    pub fn set_grains(&self, id: &MinionId, grains: &Map) {
        self.write(id, GRAINS, grains);
    }

    /// The pillar a minion got last, if this process compiled it.
    pub fn pillar(&self, id: &MinionId) -> Option<Value> {
        self.pillar.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Remembers pillar.
    pub fn set_pillar(&self, id: &MinionId, pillar: Value) {
        self.pillar.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), pillar);
    }

    /// The mine of a minion.
    pub fn mine(&self, id: &MinionId) -> Map {
        self.read(id, MINE).unwrap_or_default()
    }

    /// Replaces the mine of a minion.
    pub fn set_mine(&self, id: &MinionId, mine: &Map) {
        self.write(id, MINE, mine);
    }

    /// Forgets a minion; what it sent as files stays.
    pub fn forget(&self, id: &MinionId) {
        self.pillar.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        for name in [GRAINS, MINE] {
            let _ = std::fs::remove_file(self.folder.join(id.as_str()).join(name));
        }
    }

    fn read(&self, id: &MinionId, name: &str) -> Option<Map> {
        let file = std::fs::read(self.folder.join(id.as_str()).join(name)).ok()?;
        msgpack::decode(&file).ok()?.into_map()
    }

    fn write(&self, id: &MinionId, name: &str, map: &Map) {
        let path = self.folder.join(id.as_str()).join(name);
        if let Err(error) = disk::write(&path, &msgpack::encode_modern(&map.clone().into())) {
            tracing::warn!(path = %path.display(), %error, "a minion's cache could not be written");
        }
    }
}

const GRAINS: &str = "grains";
const MINE: &str = "mine";
