//! Grains: facts of this machine under Salt's names and in Salt's shapes.
//!
//! Gathered on a blocking thread beside the first connection, never before it, and without a name server
//! or a child process, so that no slow fact delays connecting. Custom grains come from the configuration's
//! `grains` and from `<config-dir>/grains`, which wins, as in Salt. Left out are grains of the Python runtime
//! (`pythonversion`, `zmqversion`, ...) and of tools the agent does not drive (`package`, `gpus`, ...).
//! Names: `salt/grains/core.py`.

use std::path::Path;

use states::{Map, Value};

use crate::{config::Config, version};

mod hardware;
mod host;
mod network;
mod os;

/// Gathers all grains of this machine. Blocks on small files only.
#[must_use]
pub fn gather(config: &Config) -> Map {
    let mut grains = Map::new();
    host::collect(config, &mut grains);
    network::collect(&mut grains);
    os::collect(&mut grains);
    hardware::collect(&mut grains);
    grains.insert("saltversion", version::SALT_COMPATIBLE);
    let info = version::SALT_COMPATIBLE_INFO.iter().map(|part| Value::Int(*part)).collect();
    grains.insert("saltversioninfo", Value::List(info));
    grains.insert("agent", [("version", version::AGENT)].into_iter().collect::<Map>());
    for custom in
        [config.opts.get("grains").and_then(Value::as_map).cloned(), custom_file(&config.config_dir)]
    {
        for (key, value) in custom.unwrap_or_default() {
            grains.insert(key, value);
        }
    }
    grains
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
