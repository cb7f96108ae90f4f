//! The minion's configuration: Salt's own file, key names and defaults.
//!
//! `<config-dir>/minion` is read first, then `minion.d/*.conf` (the `default_include` pattern) in name
//! order, each overriding the one before. [`Config::opts`] holds the merged options as `opts` in
//! templates and `config.get` see them; the typed accessors parse the ones the agent itself obeys.
//! What Salt has no name for sits under the one key `agent:`. The configuration is read whole before
//! any task starts; a bad one ends the process with exit code 64 (EX_USAGE).
//! Specified by Salt's `salt/config/__init__.py` (`DEFAULT_MINION_OPTS`, `prepend_root_dir`).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use proto::MinionId;
use states::{Map, Value};
use thiserror::Error;

use crate::platform::paths;

mod defaults;

/// The exit code of a bad configuration (EX_USAGE).
pub const EXIT_BAD_CONFIG: u8 = 64;

/// What the command line sets over the files.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--local`: no master; files and pillar come from local roots.
    pub local: bool,
    /// `--id`.
    pub id: Option<String>,
    /// `--file-root`: the `base` environment's file root.
    pub file_root: Option<PathBuf>,
    /// `--pillar-root`: the `base` environment's pillar root.
    pub pillar_root: Option<PathBuf>,
    /// `--master`: the master to ask, in place of the configured ones.
    pub master: Option<String>,
    /// `-l`.
    pub log_level: Option<String>,
}

/// Why the configuration cannot be used. The operator's to mend.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file of the configuration could not be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not YAML, or not a mapping.
    #[error("the configuration file {} cannot be used: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The YAML error with its line.
        why: String,
    },
    /// An option has a value of the wrong kind.
    #[error("the option `{key}` must be {expected}")]
    Option {
        /// The option's name.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The minion id is one that no master accepts.
    #[error(
        "the minion id {id:?} is not usable: it must not be empty, longer than 255 bytes, nor contain '/', '\\' or a control character"
    )]
    Id {
        /// The refused id.
        id: String,
    },
}

/// The whole configuration of one process. Immutable after load.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds `minion`, `minion.d` and `minion_id`.
    pub config_dir: PathBuf,
    /// The minion's id.
    pub id: MinionId,
    /// Whether this process works without a master (`--local`, or `file_client: local`).
    pub local: bool,
    /// Salt's `root_dir`.
    pub root_dir: PathBuf,
    /// Salt's `pki_dir`: `minion.pem`, `minion.pub`, `minion_master.pub`.
    pub pki_dir: PathBuf,
    /// Salt's `cachedir`: fetched files live below it; safe to delete.
    pub cachedir: PathBuf,
    /// `agent: data_dir`: the store and the spool; not safe to delete.
    pub data_dir: PathBuf,
    /// Every option, Salt's defaults filled in.
    pub opts: Map,
}

impl Config {
    /// Reads the configuration of `config_dir`. A missing `minion` file counts as empty, as in Salt.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(config_dir: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut opts = defaults::options();
        let main = config_dir.join("minion");
        merge(&mut opts, read_file(&main)?);
        for path in included(config_dir, &opts)? {
            merge(&mut opts, read_file(&path)?);
        }
        apply(&mut opts, overrides);
        Self::from_options(config_dir, opts)
    }

    /// Builds the configuration from merged options; `id` and paths are settled here.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn from_options(config_dir: &Path, mut opts: Map) -> Result<Self, ConfigError> {
        let id = choose_id(config_dir, &opts)?;
        let id = MinionId::parse(&id).map_err(|_| ConfigError::Id { id })?;
        opts.insert("id", id.as_str());
        opts.insert("config_dir", config_dir.to_string_lossy().into_owned());
        opts.insert("conf_file", config_dir.join("minion").to_string_lossy().into_owned());
        let root_dir = PathBuf::from(text(&opts, "root_dir")?.unwrap_or_else(|| paths::ROOT_DIR.to_owned()));
        for key in ROOTED_PATHS {
            if let Some(path) = text(&opts, key)? {
                opts.insert(*key, rooted(&root_dir, &path).to_string_lossy().into_owned());
            }
        }
        let path = |key: &str| Ok(PathBuf::from(text(&opts, key)?.unwrap_or_default()));
        let (pki_dir, cachedir) = (path("pki_dir")?, path("cachedir")?);
        let data_dir = match agent_text(&opts, "data_dir")? {
            Some(dir) => rooted(&root_dir, &dir),
            None => rooted(&root_dir, paths::DATA_DIR),
        };
        let local = text(&opts, "file_client")?.as_deref() == Some("local");
        let config = Self {
            config_dir: config_dir.to_owned(),
            id,
            local,
            root_dir,
            pki_dir,
            cachedir,
            data_dir,
            opts,
        };
        config.check()?;
        Ok(config)
    }

    /// A text option; `None` when unset or null. Numbers are given as their text.
    #[must_use]
    pub fn str_opt(&self, key: &str) -> Option<String> {
        text(&self.opts, key).ok().flatten()
    }

    /// A yes/no option, `default` when unset or of another kind.
    #[must_use]
    pub fn bool_opt(&self, key: &str, default: bool) -> bool {
        self.opts.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    /// A whole number, `None` when unset or of another kind.
    #[must_use]
    pub fn int_opt(&self, key: &str) -> Option<i64> {
        self.opts.get(key).and_then(Value::as_int)
    }

    /// A number of seconds (fractions allowed), `None` when unset, negative or of another kind.
    #[must_use]
    pub fn seconds_opt(&self, key: &str) -> Option<Duration> {
        self.opts.get(key).and_then(Value::as_float).and_then(|secs| Duration::try_from_secs_f64(secs).ok())
    }

    /// A list of texts; a single text is a list of one.
    #[must_use]
    pub fn list_opt(&self, key: &str) -> Vec<String> {
        strings(self.opts.get(key))
    }

    /// A value under the `agent:` key, nested names separated by `:`.
    #[must_use]
    pub fn agent_opt(&self, path: &str) -> Option<&Value> {
        let mut at = self.opts.get("agent")?;
        for step in path.split(':') {
            at = at.as_map()?.get(step)?;
        }
        Some(at)
    }

    /// The masters to connect to, in order.
    #[must_use]
    pub fn masters(&self) -> Vec<String> {
        self.list_opt("master")
    }

    /// The local file or pillar roots of an environment (`file_roots` / `pillar_roots`).
    #[must_use]
    pub fn roots(&self, key: &str, saltenv: &str) -> Vec<PathBuf> {
        let envs = self.opts.get(key).and_then(Value::as_map);
        envs.map(|envs| strings(envs.get(saltenv)))
            .unwrap_or_default()
            .into_iter()
            .map(PathBuf::from)
            .collect()
    }

    /// The environments of `file_roots` / `pillar_roots`.
    #[must_use]
    pub fn root_envs(&self, key: &str) -> Vec<String> {
        let envs = self.opts.get(key).and_then(Value::as_map);
        envs.map(|envs| envs.iter().filter_map(|(env, _)| env.as_str().map(str::to_owned)).collect())
            .unwrap_or_default()
    }

    /// Refuses values that would only fail once a task runs.
    fn check(&self) -> Result<(), ConfigError> {
        for key in ["master_port", "publish_port", "mssql.port"] {
            let valid = match self.opts.get(key) {
                None | Some(Value::Nil) => true,
                Some(value) => value.as_int().is_some_and(|port| u16::try_from(port).is_ok()),
            };
            if !valid {
                return Err(wrong(key, "a port number (0 to 65535)"));
            }
        }
        for key in ["grains", "file_roots", "pillar_roots", "agent"] {
            if !matches!(self.opts.get(key), None | Some(Value::Nil | Value::Map(_))) {
                return Err(wrong(key, "a mapping"));
            }
        }
        if !self.local && self.masters().is_empty() {
            return Err(wrong("master", "a host name or a list of host names"));
        }
        Ok(())
    }
}

/// The folder that Salt reads its configuration from on this platform.
#[must_use]
pub fn default_config_dir() -> PathBuf {
    PathBuf::from(paths::CONFIG_DIR)
}

/// The options as they may be shown: what names a password, a token or a key is masked.
#[must_use]
pub fn shown(config: &Config) -> Map {
    fn mask(key: &str, value: &Value) -> Value {
        let secret =
            ["password", "passwd", "secret", "token", "private"].iter().any(|word| key.contains(word));
        match value {
            Value::Map(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), mask(&key.to_string(), value)))
                .collect::<Map>()
                .into(),
            Value::Str(text) if secret && !text.is_empty() => "**********".into(),
            other => other.clone(),
        }
    }
    config.opts.iter().map(|(key, value)| (key.clone(), mask(&key.to_string(), value))).collect()
}

fn wrong(key: &str, expected: &'static str) -> ConfigError {
    ConfigError::Option { key: key.to_owned(), expected }
}

fn read_file(path: &Path) -> Result<Map, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    let refuse = |why: String| ConfigError::Parse { path: path.to_owned(), why };
    match states::yaml::load(&text).map_err(|error| refuse(located(&error)))? {
        Value::Map(map) => Ok(map),
        Value::Nil => Ok(Map::new()),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::List(_) => Err(refuse("it must be a mapping of option names to values".to_owned())),
    }
}

/// A YAML error with its place.
fn located(error: &states::yaml::YamlError) -> String {
    format!("{error} (line {}, column {})", error.line, error.column)
}

/// The files of `default_include`: one folder and a `*.ext` pattern, in name order.
fn included(config_dir: &Path, opts: &Map) -> Result<Vec<PathBuf>, ConfigError> {
    let pattern = text(opts, "default_include")?.unwrap_or_default();
    let pattern = config_dir.join(pattern);
    let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(Vec::new());
    };
    let suffix = name.strip_prefix('*').unwrap_or(name).to_owned();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Read { path: dir.to_owned(), source }),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(&suffix))
        })
        .collect();
    files.sort();
    Ok(files)
}

fn merge(into: &mut Map, from: Map) {
    for (key, value) in from {
        into.insert(key, value);
    }
}

fn apply(opts: &mut Map, overrides: &Overrides) {
    let root = |dir: &Path| {
        let mut envs = Map::new();
        envs.insert("base", Value::List(vec![Value::from(dir.to_string_lossy().into_owned())]));
        Value::Map(envs)
    };
    if overrides.local {
        opts.insert("file_client", "local");
        opts.insert("local", true);
    }
    if let Some(id) = &overrides.id {
        opts.insert("id", id.as_str());
    }
    if let Some(dir) = &overrides.file_root {
        opts.insert("file_roots", root(dir));
    }
    if let Some(dir) = &overrides.pillar_root {
        opts.insert("pillar_roots", root(dir));
    }
    if let Some(master) = &overrides.master {
        opts.insert("master", master.as_str());
        opts.insert("master_type", "str");
    }
    if let Some(level) = &overrides.log_level {
        opts.insert("log_level", level.as_str());
    }
}

/// The `id` option, the cached `minion_id` file, or the host's name, as Salt chooses.
fn choose_id(config_dir: &Path, opts: &Map) -> Result<String, ConfigError> {
    if let Some(id) = text(opts, "id")?.filter(|id| !id.is_empty()) {
        return Ok(id);
    }
    if let Ok(id) = std::fs::read_to_string(config_dir.join("minion_id"))
        && !id.trim().is_empty()
    {
        return Ok(id.trim().to_owned());
    }
    Ok(sysinfo::System::host_name().unwrap_or_else(|_| "localhost".to_owned()))
}

/// Puts a path below `root_dir` unless it already is, as Salt's `prepend_root_dir` does.
fn rooted(root_dir: &Path, path: &str) -> PathBuf {
    let given = Path::new(path);
    if given.starts_with(root_dir) || paths::names_a_drive(path) {
        return given.to_owned();
    }
    path.split('/').filter(|part| !part.is_empty()).fold(root_dir.to_owned(), |whole, part| whole.join(part))
}

fn text(opts: &Map, key: &str) -> Result<Option<String>, ConfigError> {
    match opts.get(key) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Str(text)) => Ok(Some(text.clone())),
        Some(Value::Int(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(_) | Value::Float(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_)) => {
            Err(wrong(key, "a text"))
        }
    }
}

fn agent_text(opts: &Map, key: &str) -> Result<Option<String>, ConfigError> {
    match opts.get("agent") {
        Some(Value::Map(agent)) => text(agent, key),
        _ => Ok(None),
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Str(text)) => vec![text.clone()],
        Some(Value::List(items)) => {
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

/// The options that name a path below `root_dir`.
const ROOTED_PATHS: &[&str] =
    &["pki_dir", "cachedir", "sock_dir", "extension_modules", "log_file", "pidfile"];

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("minion.d")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Config::load(folder.path(), &Overrides::default())
    }

    #[test]
    fn included_files_win_in_name_order() {
        let files = [
            ("minion", "id: m1\nmaster: a\nlog_level: info\n"),
            ("minion.d/20.conf", "master: c\n"),
            ("minion.d/10.conf", "master: b\nlog_level: debug\n"),
            ("minion.d/ignored.txt", "master: d\n"),
        ];
        let config = load(&files).unwrap();
        assert_eq!(config.masters(), ["c"]);
        assert_eq!(config.str_opt("log_level").as_deref(), Some("debug"));
        assert_eq!(config.int_opt("auth_timeout"), Some(5));
    }

    #[test]
    fn names_file_and_place_of_what_does_not_parse() {
        let error = load(&[("minion", "id: m1\nmaster: [a\nx: y\n")]).unwrap_err().to_string();
        assert!(error.contains("minion") && error.contains("line "), "{error}");
        assert!(
            load(&[("minion", "id: m1\nmaster_port: 70000\n")])
                .unwrap_err()
                .to_string()
                .contains("`master_port`")
        );
        assert!(load(&[("minion", "id: a/b\n")]).unwrap_err().to_string().contains("minion id"));
    }

    #[test]
    fn paths_go_below_root_dir_once() {
        let config =
            load(&[("minion", "id: m1\nroot_dir: /srv/r\ncachedir: /srv/r/cache\nlog_file: /var/log/x\n")])
                .unwrap();
        assert_eq!(config.cachedir, Path::new("/srv/r/cache"));
        assert_eq!(config.str_opt("log_file").as_deref(), Some("/srv/r/var/log/x"));
        assert_eq!(config.data_dir, Path::new("/srv/r/var/lib/agent"));
        assert_eq!(config.pki_dir, Path::new("/srv/r/etc/salt/pki/minion"));
    }

    #[test]
    fn shows_options_without_their_secrets() {
        let config = load(&[("minion", "id: m1\nmssql.password: geheim\nmssql.user: sa\n")]).unwrap();
        let shown = shown(&config);
        assert_eq!(shown.get("mssql.password"), Some(&"**********".into()));
        assert_eq!(shown.get("mssql.user"), Some(&"sa".into()));
    }
}
