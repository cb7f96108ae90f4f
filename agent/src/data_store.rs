//! Salt's data store of a minion: small values that an operator keeps here and can target by.
//!
//! Salt keeps them in `<cachedir>/datastore` as msgpack; so does this, so that a store made by salt-minion is read.

use std::path::PathBuf;

use proto::{Map, Value, msgpack};

use crate::config::Config;

/// Everything that is kept. A file that is missing or no map counts as empty, as in Salt.
#[must_use]
pub fn load(config: &Config) -> Map {
    let held = std::fs::read(path(config)).ok().and_then(|bytes| msgpack::decode(&bytes).ok());
    held.and_then(Value::into_map).unwrap_or_default()
}

/// Replaces everything.
///
/// # Errors
/// The system's reason.
pub fn save(config: &Config, held: &Map) -> std::io::Result<()> {
    crate::files::replace(&path(config), &msgpack::encode_map(held))
}

fn path(config: &Config) -> PathBuf {
    config.cachedir.join("datastore")
}
