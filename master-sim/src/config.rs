//! The master's configuration: Salt's own file, key names and defaults.
//!
//! `<config-dir>/master` is read first, then `master.d/*.conf` in name order, each overriding the one before.
//! Relative to Salt one default differs: without `root_dir`, everything lies below the configuration folder unless
//! that is Salt's own `/etc/salt`, so that a first hour needs no other folder. Options of features this master does
//! not have are read and ignored. Specified by Salt's `salt/config/__init__.py` (`DEFAULT_MASTER_OPTS`).

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use states::{Map, Value};
use thiserror::Error;

/// The exit code of a bad configuration (EX_USAGE).
pub const EXIT_BAD_CONFIG: u8 = 64;

/// Why the configuration cannot be used. The operator's to mend.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file could not be read.
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
    #[error("the option `{key}` must be {expected}, not {found}")]
    Option {
        /// The option's name.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

/// The whole configuration of one process. Immutable after load.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder the files were read from.
    pub config_dir: PathBuf,
    /// `interface`: the address to listen on.
    pub interface: String,
    /// `publish_port`; 0 chooses a free one.
    pub publish_port: u16,
    /// `ret_port`; 0 chooses a free one.
    pub ret_port: u16,
    /// `pki_dir`: the key folders and `master.pem`.
    pub pki_dir: PathBuf,
    /// `cachedir`: jobs, received files, sessions.
    pub cachedir: PathBuf,
    /// `file_roots`, by environment.
    pub file_roots: Roots,
    /// `pillar_roots`, by environment.
    pub pillar_roots: Roots,
    /// `file_recv`: whether minions may send files.
    pub file_recv: bool,
    /// `file_recv_max_size` in MiB.
    pub file_recv_max_size: u64,
    /// `auto_accept`: whether new keys are accepted without a look.
    pub auto_accept: bool,
    /// `autosign_grains_dir`: a file per grain, listing the values whose minions are accepted without a look.
    pub autosign_grains_dir: Option<PathBuf>,
    /// `max_minions`; 0 is no limit.
    pub max_minions: u64,
    /// `keysize` of a new master key.
    pub keysize: usize,
    /// `timeout`: how long `run` waits before it asks what became of a job.
    pub timeout: Duration,
    /// `gather_job_timeout`: how long it waits for that answer.
    pub gather_job_timeout: Duration,
    /// `log_level`.
    pub log_level: String,
    /// `worker_threads`: requests served at once.
    pub worker_threads: usize,
    /// `keep_jobs_seconds` (or `keep_jobs`, in hours): how long returns are kept.
    pub keep_jobs: Duration,
    /// `publish_session`: how long a shared key lives.
    pub publish_session: Duration,
    /// `request_server_ttl`: the oldest request taken, by the minion's clock; zero is no limit.
    pub request_server_ttl: Duration,
    /// `ping_on_rotate`: whether a `test.ping` follows a new AES key, so that minions authenticate at once.
    pub ping_on_rotate: bool,
    /// `zmq_filtering`: whether publishes carry topics.
    pub zmq_filtering: bool,
    /// `require_minion_sign_messages`: refuse returns without a minion's signature.
    pub require_minion_sign_messages: bool,
    /// `drop_messages_signature_fail`: refuse returns whose signature is wrong.
    pub drop_messages_signature_fail: bool,
    /// Every option as it was read, for templates and `_master_opts`.
    pub opts: Map,
}

/// Folders by environment, in the order they are searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots(pub Vec<(String, Vec<PathBuf>)>);

impl Roots {
    /// The folders of an environment.
    pub fn of(&self, saltenv: &str) -> &[PathBuf] {
        self.0.iter().find(|(env, _)| env == saltenv).map_or(&[], |(_, folders)| folders)
    }

    /// The environments, in the order of the configuration.
    pub fn envs(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(env, _)| env.as_str())
    }
}

impl Config {
    /// Reads the configuration of `config_dir`. A missing `master` file counts as empty, as in Salt.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(config_dir: &Path) -> Result<Self, ConfigError> {
        let mut opts = read_file(&config_dir.join("master"))?;
        for path in included(&config_dir.join("master.d"))? {
            for (key, value) in read_file(&path)? {
                opts.insert(key, value);
            }
        }
        Self::from_options(config_dir, opts)
    }

    /// The address at which a command line on this machine reaches the master.
    pub fn local_interface(&self) -> &str {
        if self.interface == "0.0.0.0" { "127.0.0.1" } else { &self.interface }
    }

    fn from_options(config_dir: &Path, opts: Map) -> Result<Self, ConfigError> {
        let own_root = config_dir != Path::new(SALT_CONFIG_DIR);
        let root = match text(&opts, "root_dir")? {
            Some(root) => PathBuf::from(root),
            None if own_root => config_dir.to_owned(),
            None => PathBuf::from("/"),
        };
        let path = |key: &str, salts: &str, ours: &str| -> Result<PathBuf, ConfigError> {
            let given = text(&opts, key)?.unwrap_or_else(|| if own_root { ours } else { salts }.to_owned());
            Ok(if Path::new(&given).starts_with(&root) {
                PathBuf::from(given)
            } else {
                root.join(given.trim_start_matches('/'))
            })
        };
        let hours: u64 = number(&opts, "keep_jobs", "a number of hours", 24)?;
        let roots_below =
            |folder: &str| if own_root { root.join(folder) } else { Path::new("/srv").join(folder) };
        Ok(Self {
            config_dir: config_dir.to_owned(),
            interface: text(&opts, "interface")?.unwrap_or_else(|| "0.0.0.0".to_owned()),
            publish_port: number(&opts, "publish_port", "a port number (0 to 65535)", 4505)?,
            ret_port: number(&opts, "ret_port", "a port number (0 to 65535)", 4506)?,
            pki_dir: path("pki_dir", "/etc/salt/pki/master", "pki/master")?,
            cachedir: path("cachedir", "/var/cache/salt/master", "cache")?,
            file_roots: roots(&opts, "file_roots", &roots_below("salt"))?,
            pillar_roots: roots(&opts, "pillar_roots", &roots_below("pillar"))?,
            file_recv: flag(&opts, "file_recv")?,
            file_recv_max_size: number(&opts, "file_recv_max_size", "a number of MiB", 100)?,
            auto_accept: flag(&opts, "auto_accept")?,
            autosign_grains_dir: text(&opts, "autosign_grains_dir")?
                .map(|_| path("autosign_grains_dir", "", ""))
                .transpose()?,
            max_minions: number(&opts, "max_minions", "a number of minions", 0)?,
            keysize: number(&opts, "keysize", "a number of bits", 2048)?,
            timeout: Duration::from_secs(number(&opts, "timeout", "a number of seconds", 5)?),
            gather_job_timeout: Duration::from_secs(number(
                &opts,
                "gather_job_timeout",
                "a number of seconds",
                10,
            )?),
            log_level: text(&opts, "log_level")?.unwrap_or_else(|| "warning".to_owned()),
            worker_threads: number(&opts, "worker_threads", "a number of threads", 5_usize)?.clamp(1, 64),
            keep_jobs: Duration::from_secs(number(
                &opts,
                "keep_jobs_seconds",
                "a number of seconds",
                hours * 3600,
            )?),
            publish_session: Duration::from_secs(number(
                &opts,
                "publish_session",
                "a number of seconds",
                86_400,
            )?),
            request_server_ttl: Duration::from_secs(number(
                &opts,
                "request_server_ttl",
                "a number of seconds",
                0,
            )?),
            ping_on_rotate: flag(&opts, "ping_on_rotate")?,
            zmq_filtering: flag(&opts, "zmq_filtering")?,
            require_minion_sign_messages: flag(&opts, "require_minion_sign_messages")?,
            drop_messages_signature_fail: flag(&opts, "drop_messages_signature_fail")?,
            opts,
        })
    }
}

fn read_file(path: &Path) -> Result<Map, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    let refuse = |why: String| ConfigError::Parse { path: path.to_owned(), why };
    match states::yaml::load(&text) {
        Ok(Value::Map(map)) => Ok(map),
        Ok(Value::Nil) => Ok(Map::new()),
        Ok(_) => Err(refuse("it must be a mapping of option names to values".to_owned())),
        Err(error) => Err(refuse(format!("line {}, column {}: {error}", error.line, error.column))),
    }
}

fn included(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Read { path: folder.to_owned(), source }),
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    Ok(files)
}

fn text(opts: &Map, key: &str) -> Result<Option<String>, ConfigError> {
    match opts.get(key) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Str(text)) => Ok(Some(text.clone())),
        Some(Value::Int(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(wrong(key, "a text", &kind(other))),
    }
}

fn number<T: TryFrom<i64>>(
    opts: &Map,
    key: &str,
    expected: &'static str,
    default: T,
) -> Result<T, ConfigError> {
    match opts.get(key) {
        None | Some(Value::Nil) => Ok(default),
        Some(Value::Int(number)) => T::try_from(*number).map_err(|_| wrong(key, expected, number)),
        Some(other) => Err(wrong(key, expected, &kind(other))),
    }
}

fn flag(opts: &Map, key: &str) -> Result<bool, ConfigError> {
    match opts.get(key) {
        None | Some(Value::Nil) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong(key, "true or false", &kind(other))),
    }
}

fn roots(opts: &Map, key: &str, default: &Path) -> Result<Roots, ConfigError> {
    const EXPECTED: &str = "a mapping of environments to lists of folders";
    let envs = match opts.get(key) {
        None | Some(Value::Nil) => return Ok(Roots(vec![("base".to_owned(), vec![default.to_owned()])])),
        Some(Value::Map(envs)) => envs,
        Some(other) => return Err(wrong(key, EXPECTED, &kind(other))),
    };
    let mut roots = Roots::default();
    for (env, folders) in envs.iter() {
        let env = env.as_str().ok_or_else(|| wrong(key, EXPECTED, &kind(env)))?;
        let folders = folders.as_list().ok_or_else(|| wrong(key, EXPECTED, &kind(folders)))?;
        let folders = folders.iter().map(|folder| folder.as_str().map(PathBuf::from)).collect::<Option<_>>();
        roots.0.push((
            env.to_owned(),
            folders.ok_or_else(|| wrong(key, EXPECTED, &"a folder that is no text"))?,
        ));
    }
    Ok(roots)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "null",
        Value::Bool(_) => "true or false",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Str(_) | Value::Bytes(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

fn wrong(key: &str, expected: &'static str, found: &dyn Display) -> ConfigError {
    ConfigError::Option { key: key.to_owned(), expected, found: found.to_string() }
}

/// Where Salt keeps its configuration.
pub const SALT_CONFIG_DIR: &str = "/etc/salt";

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("master"), text).unwrap();
        Config::load(folder.path())
    }

    #[test]
    fn an_empty_folder_gives_salts_defaults_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::load(folder.path()).unwrap();
        assert_eq!((config.publish_port, config.ret_port), (4505, 4506));
        assert_eq!(config.pki_dir, folder.path().join("pki/master"));
        assert_eq!(config.file_roots.of("base"), [folder.path().join("salt")]);
        assert!(!config.auto_accept && !config.file_recv);
    }

    #[test]
    fn later_files_override_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("master.d")).unwrap();
        std::fs::write(folder.path().join("master"), "timeout: 7\nfile_recv: true\n").unwrap();
        std::fs::write(folder.path().join("master.d/a.conf"), "timeout: 8\n").unwrap();
        std::fs::write(folder.path().join("master.d/b.txt"), "timeout: 9\n").unwrap();
        let config = Config::load(folder.path()).unwrap();
        assert_eq!(config.timeout, Duration::from_secs(8));
        assert!(config.file_recv);
    }

    #[test]
    fn a_wrong_value_names_option_and_what_it_must_be() {
        let error = load("ret_port: 70000\n").unwrap_err().to_string();
        assert_eq!(error, "the option `ret_port` must be a port number (0 to 65535), not 70000");
        assert!(load("file_roots: [a]\n").unwrap_err().to_string().contains("file_roots"));
        assert!(load("auto_accept: sure\n").unwrap_err().to_string().contains("true or false"));
    }

    #[test]
    fn broken_yaml_names_file_and_line() {
        let error = load("a: 1\nb: [1\n").unwrap_err().to_string();
        assert!(error.contains("master") && error.contains("line 3"), "{error}");
    }
}
