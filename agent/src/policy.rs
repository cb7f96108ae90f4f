//! The practice's own say: what a master may make this agent do to files of this machine, and what is paused (`switches`).
//!
//! Without any setting, files are written only below the agent's own folders. `agent: writable_paths` in the
//! local configuration lists further folders; the master cannot change it. Symbolic links are followed before a
//! path is judged, so a link out of an allowed folder does not help.

pub mod switches;

use std::path::{Component, Path, PathBuf};

use states::Value;
use thiserror::Error;

use crate::config::Config;

/// What the local policy forbids, and how to allow it.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// A file outside the allowed folders was to be written.
    #[error(
        "the local policy of this agent does not allow writing {}: it is outside the agent's own folders. To allow it, list its folder under `agent: writable_paths:` in the minion configuration on this machine and restart the agent",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
    },
    /// A command was to be run.
    #[error(
        "the local policy of this agent does not allow commands, so {line:?} was not run. To allow them, set `agent: allow_commands: true` in the minion configuration on this machine and restart the agent"
    )]
    Run {
        /// The command.
        line: String,
    },
    /// A service was to be started, stopped or changed.
    #[error(
        "the local policy of this agent does not allow changing the service {name:?}. To allow it, list it under `agent: manageable_services:` in the minion configuration on this machine (globs are understood) and restart the agent"
    )]
    Service {
        /// The service.
        name: String,
    },
    /// A key of the registry outside those listed was to be written.
    #[error(
        "the local policy of this agent does not allow changing the registry key {key}. To allow it, list it under `agent: writable_registry:` in the minion configuration on this machine (globs are understood) and restart the agent"
    )]
    Registry {
        /// The key.
        key: String,
    },
    /// The firewall was to be changed.
    #[error(
        "the local policy of this agent does not allow changing the firewall. To allow it, set `agent: allow_firewall: true` in the minion configuration on this machine and restart the agent"
    )]
    Firewall,
    /// What Defender leaves alone was to be changed.
    #[error(
        "the local policy of this agent does not allow changing whether Defender leaves {name} alone. To allow it, list it under `agent: defender_exclusions:` in the minion configuration on this machine and restart the agent"
    )]
    Defender {
        /// The path, program or ending.
        name: String,
    },
    /// Code of the master was to be taken.
    #[error(
        "the local policy of this agent does not allow taking {kinds} from the master, and this agent runs no code of a master: what it can do is built in and is updated with it. To have this answered without a refusal, set `agent: allow_code_sync: true` in the minion configuration on this machine and restart the agent; the files are left alone then as well"
    )]
    Code {
        /// The kinds of code.
        kinds: String,
    },
    /// A file outside the allowed folders was to be sent away.
    #[error(
        "the local policy of this agent does not allow reading {} for a push: list its folder under `agent: readable_paths:` in the minion configuration on this machine and restart the agent",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
    },
}

/// Whether commands may be run.
///
/// # Errors
/// [`PolicyError::Run`].
pub fn may_run(config: &Config, line: &str) -> Result<(), PolicyError> {
    match config.agent_opt("allow_commands").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        Some(false) | None => Err(PolicyError::Run { line: line.to_owned() }),
    }
}

/// Whether a service may be started, stopped or changed: any, unless the practice lists those that may.
///
/// # Errors
/// [`PolicyError::Service`].
pub fn may_manage_service(config: &Config, name: &str) -> Result<(), PolicyError> {
    let plain = name.strip_suffix(".service").unwrap_or(name);
    let listed = match config.agent_opt("manageable_services") {
        None | Some(Value::Nil | Value::Bool(true)) => return Ok(()),
        Some(Value::Str(one)) => vec![one.clone()],
        Some(Value::List(several)) => several.iter().map(ToString::to_string).collect(),
        Some(Value::Bool(false) | Value::Int(_) | Value::Float(_) | Value::Bytes(_) | Value::Map(_)) => {
            Vec::new()
        }
    };
    if listed.iter().any(|glob| proto::target::fnmatch(plain, glob)) {
        return Ok(());
    }
    Err(PolicyError::Service { name: name.to_owned() })
}

/// Whether a key of the registry may be changed: none, unless the practice lists it.
///
/// # Errors
/// [`PolicyError::Registry`].
#[cfg(any(windows, test))]
pub fn may_write_registry(config: &Config, key: &crate::registry::Key) -> Result<(), PolicyError> {
    let listed = match config.agent_opt("writable_registry") {
        Some(Value::Str(one)) => vec![one.clone()],
        Some(Value::List(several)) => several.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    // A glob names keys however their hive is written.
    let allowed = listed.iter().any(|glob| {
        let glob =
            crate::registry::Key::parse(glob, false).map_or_else(|_| glob.clone(), |key| key.canonical());
        let text = key.canonical();
        proto::target::fnmatch(&text, &glob) || text.starts_with(&format!("{glob}\\"))
    });
    if allowed { Ok(()) } else { Err(PolicyError::Registry { key: key.to_string() }) }
}

/// Whether the firewall may be changed.
///
/// # Errors
/// [`PolicyError::Firewall`].
#[cfg(any(windows, test))]
pub fn may_change_firewall(config: &Config) -> Result<(), PolicyError> {
    match config.agent_opt("allow_firewall").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        Some(false) | None => Err(PolicyError::Firewall),
    }
}

/// Whether Defender may be told to leave something alone: the agent's own folder, and what the practice lists.
///
/// # Errors
/// [`PolicyError::Defender`].
#[cfg(any(windows, test))]
pub fn may_exclude(config: &Config, name: &str) -> Result<(), PolicyError> {
    let listed = match config.agent_opt("defender_exclusions") {
        Some(Value::Str(one)) => vec![one.clone()],
        Some(Value::List(several)) => several.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let plain = |path: &str| path.trim_end_matches(['\\', '/', '*']).to_lowercase();
    let own = plain(&config.root_dir.to_string_lossy());
    let is_own = !own.is_empty() && plain(name) == own && !own.ends_with(':');
    if is_own || listed.iter().any(|listed| listed.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(PolicyError::Defender { name: name.to_owned() })
}

/// Whether a master's code is passed over in silence.
///
/// # Errors
/// [`PolicyError::Code`].
pub fn may_take_code(config: &Config, kinds: &[&str]) -> Result<(), PolicyError> {
    match config.agent_opt("allow_code_sync").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        Some(false) | None => Err(PolicyError::Code { kinds: kinds.join(", ") }),
    }
}

/// Whether a file may be written.
///
/// # Errors
/// [`PolicyError::Write`].
pub fn may_write(config: &Config, path: &Path) -> Result<(), PolicyError> {
    let allowed = allowed(config, path, "writable_paths");
    if allowed { Ok(()) } else { Err(PolicyError::Write { path: path.to_owned() }) }
}

/// Whether a file's content may be sent to the master. What may be written may be read.
///
/// # Errors
/// [`PolicyError::Read`].
pub fn may_read(config: &Config, path: &Path) -> Result<(), PolicyError> {
    let allowed = allowed(config, path, "readable_paths") || allowed(config, path, "writable_paths");
    if allowed { Ok(()) } else { Err(PolicyError::Read { path: path.to_owned() }) }
}

fn allowed(config: &Config, path: &Path, option: &str) -> bool {
    let Some(real) = resolved(path) else { return false };
    // Keys, the store and the configuration are the practice's own, and not a master's to change.
    let settings = ["minion", "minion.d", "minion_id", "grains", "release-root.json"];
    let settings = settings.map(|name| config.config_dir.join(name));
    let programs = [
        "versions",
        "incoming",
        "release.json",
        "release.lock",
        "supervisor",
        "supervisor.exe",
        "supervisor.json",
        "supervisors",
    ];
    let programs = programs.map(|name| config.root_dir.join(name));
    let kept = settings.into_iter().chain(programs).chain([config.pki_dir.clone(), config.data_dir.clone()]);
    // What holds them must not be moved or removed either.
    let holds = |path: &Path| option == "writable_paths" && path.starts_with(&real);
    if kept.into_iter().filter_map(|path| resolved(&path)).any(|path| real.starts_with(&path) || holds(&path))
    {
        return false;
    }
    let listed = match config.agent_opt(option) {
        Some(Value::Str(one)) => vec![one.clone()],
        Some(Value::List(several)) => several.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let own =
        [Some(config.cachedir.clone()), Some(config.root_dir.clone()).filter(|dir| dir != Path::new("/"))];
    let folders = own.into_iter().flatten().chain(listed.into_iter().map(PathBuf::from));
    folders.into_iter().filter_map(|dir| resolved(&dir)).any(|dir| real.starts_with(dir))
}

/// The path with links of its existing part followed; `None` when it is relative or climbs with `..`.
fn resolved(path: &Path) -> Option<PathBuf> {
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(real) = std::fs::canonicalize(at) {
            return Some(rest.iter().rev().fold(real, |path, part| path.join(part)));
        }
        if std::fs::symlink_metadata(at).is_ok() {
            // A link whose target cannot be followed.
            return None;
        }
        rest.push(at.file_name()?.to_owned());
        at = at.parent()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use states::Map;

    fn config(root: &Path, agent: &str) -> Config {
        let mut opts = Map::new();
        for (key, dir) in [("root_dir", ""), ("cachedir", "cache"), ("pki_dir", "pki")] {
            opts.insert(key, root.join(dir).to_string_lossy().into_owned());
        }
        opts.insert("master", "localhost");
        opts.insert("id", "m1");
        opts.insert("agent", states::yaml::load(agent).unwrap());
        Config::from_options(&root.join("etc"), opts).unwrap()
    }

    #[test]
    fn writes_below_its_own_root_but_not_its_keys() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "");
        assert!(may_write(&config, &dir.path().join("srv/a.txt")).is_ok());
        assert!(may_write(&config, &dir.path().join("pki/minion.pem")).is_err());
        assert!(may_write(&config, &dir.path().join("etc/minion")).is_err());
        for program in ["versions/9.0.0/agent", "supervisor.exe", "release.json", "etc/release-root.json"] {
            assert!(may_write(&config, &dir.path().join(program)).is_err(), "{program}");
        }
        assert!(may_write(&config, &dir.path().join("a/../../b")).is_err());
        assert!(may_write(&config, dir.path()).is_err(), "removing the root would remove the keys");
        let refusal = may_write(&config, Path::new("/etc/passwd")).unwrap_err().to_string();
        assert!(refusal.contains("writable_paths") && refusal.contains("/etc/passwd"), "{refusal}");
    }

    #[test]
    fn a_listed_folder_is_allowed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let agent = format!("writable_paths: ['{}']", other.path().display());
        let config = config(dir.path(), &agent);
        assert!(may_write(&config, &other.path().join("new/file")).is_ok());
    }

    #[test]
    fn services_are_free_until_the_practice_lists_them() {
        let dir = tempfile::tempdir().unwrap();
        assert!(may_manage_service(&config(dir.path(), ""), "cron").is_ok());
        let listed = config(dir.path(), "manageable_services: ['MSSQL*', dolphin]");
        assert!(may_manage_service(&listed, "MSSQLSERVER").is_ok());
        assert!(may_manage_service(&listed, "dolphin.service").is_ok());
        let refusal = may_manage_service(&listed, "ssh").unwrap_err().to_string();
        assert!(refusal.contains("manageable_services") && refusal.contains("ssh"), "{refusal}");
        assert!(may_manage_service(&config(dir.path(), "manageable_services: false"), "cron").is_err());
    }

    #[test]
    fn registry_and_firewall_are_closed_until_the_practice_opens_them() {
        let dir = tempfile::tempdir().unwrap();
        let key = |text: &str| crate::registry::Key::parse(text, false).unwrap();
        let own = config(dir.path(), "writable_registry: ['HKLM\\SOFTWARE\\Vendor']");
        assert!(may_write_registry(&own, &key("HKEY_LOCAL_MACHINE\\software\\vendor")).is_ok());
        assert!(may_write_registry(&own, &key("HKLM\\SOFTWARE\\Vendor\\App")).is_ok());
        for other in ["HKLM\\SOFTWARE\\Vendors", "HKLM\\SOFTWARE", "HKCU\\SOFTWARE\\Vendor"] {
            assert!(may_write_registry(&own, &key(other)).is_err(), "{other}");
        }
        assert!(may_write_registry(&config(dir.path(), ""), &key("HKLM\\SOFTWARE\\Vendor")).is_err());
        assert!(may_change_firewall(&config(dir.path(), "")).is_err());
        assert!(may_change_firewall(&config(dir.path(), "allow_firewall: true")).is_ok());
    }

    #[test]
    fn defender_leaves_alone_the_own_folder_and_what_the_practice_lists() {
        let own = config(Path::new("C:\\NexHealth"), "defender_exclusions: ['D:\\EHR']");
        for allowed in ["C:\\NexHealth", "c:\\nexhealth*", "C:\\NexHealth\\", "d:\\ehr"] {
            assert!(may_exclude(&own, allowed).is_ok(), "{allowed}");
        }
        for other in ["C:\\", "C:\\NexHealth2", "D:\\", "D:\\EHR\\x", "*", "exe"] {
            let refusal = may_exclude(&own, other).unwrap_err().to_string();
            assert!(refusal.contains("defender_exclusions") && refusal.contains(other), "{refusal}");
        }
        assert!(may_exclude(&config(Path::new("C:\\"), ""), "C:\\").is_err());
    }

    #[test]
    fn code_of_the_master_is_refused_with_the_way_to_allow_it() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = may_take_code(&config(dir.path(), ""), &["modules"]).unwrap_err().to_string();
        assert!(refusal.contains("allow_code_sync: true"), "{refusal}");
        assert!(may_take_code(&config(dir.path(), "allow_code_sync: true"), &["modules"]).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_an_allowed_folder_does_not_help() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = config(dir.path(), "");
        std::os::unix::fs::symlink(other.path(), dir.path().join("link")).unwrap();
        assert!(may_write(&config, &dir.path().join("link/file")).is_err());
        std::os::unix::fs::symlink(other.path().join("gone"), dir.path().join("dangling")).unwrap();
        assert!(may_write(&config, &dir.path().join("dangling")).is_err());
    }
}
