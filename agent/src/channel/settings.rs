//! What the configuration says about the link, read once from Salt's own options.
//!
//! Salt has no names for heartbeats of the minion's side; they are constants here, the master's own values
//! (`ZMQ_HEARTBEAT_IVL` 10 s, `ZMQ_HEARTBEAT_TIMEOUT` 30 s).

use std::{fmt, path::PathBuf, time::Duration};

use proto::{
    EncryptionAlgorithm, Fingerprint, MinionId, SigningAlgorithm, key::HashType, publish::UnsignedPublishes,
};

use rand::seq::SliceRandom as _;

use super::{
    backoff::{Growth, Waits},
    names::Names,
};
use crate::config::{Config, ConfigError};

/// A deleted key is noticed within this time even when no job comes.
const PROBE: Duration = Duration::from_secs(300);

/// Where a master listens for requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MasterAddress {
    host: String,
    port: u16,
}

impl MasterAddress {
    /// Reads one entry of `master`: a host name or address, with or without `:port`.
    ///
    /// # Errors
    /// [`ConfigError::Option`] when the host is empty or the port is none.
    pub fn parse(entry: &str, default_port: u16) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Option {
            key: "master".to_owned(),
            expected: "a host name or address, with or without `:port`",
        };
        let bracketed = entry.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match (bracketed, entry.matches(':').count()) {
            (Some((host, "")), _) => (host, None),
            (Some((host, rest)), _) => (host, Some(rest.strip_prefix(':').ok_or_else(wrong)?)),
            (None, 1) => entry.split_once(':').map(|(host, port)| (host, Some(port))).ok_or_else(wrong)?,
            // Two colons and more are an IPv6 address.
            (None, _) => (entry, None),
        };
        let port = port.map_or(Ok(default_port), str::parse).map_err(|_| wrong())?;
        if host.is_empty() { Err(wrong()) } else { Ok(Self { host: host.to_owned(), port }) }
    }

    /// Host name or address, as configured.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The request port (Salt's `master_port`).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// What a list of masters means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterOrder {
    /// All at once.
    All,
    /// One at a time, the first that takes this minion (`master_type: failover`).
    Failover,
}

/// Which publishes the minion asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// All of them; each is matched here.
    Everything,
    /// With `zmq_filtering`: broadcasts, and what the master addresses to this id.
    Filtered,
}

/// How often to show and to expect a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Silence after which the peer is pinged.
    pub interval: Duration,
    /// Silence after which the connection counts as dead.
    pub timeout: Duration,
}

/// Everything the link needs to know.
#[derive(Clone, Debug)]
pub struct ChannelSettings {
    /// The masters; in random order with `random_master`.
    pub masters: Vec<MasterAddress>,
    /// What it means that there are several.
    pub order: MasterOrder,
    /// `publish_port`, where it overrules what the master announces.
    pub publish_port: Option<u16>,
    /// The minion's id.
    pub id: MinionId,
    /// Folder of `minion.pem`, `minion.pub`, `minion_master.pub`.
    pub pki_dir: PathBuf,
    /// Bits of a new key.
    pub keysize: usize,
    /// `encryption_algorithm`.
    pub encryption: EncryptionAlgorithm,
    /// `signing_algorithm`.
    pub signing: SigningAlgorithm,
    /// `master_finger` with the `hash_type` it was made with.
    pub master_finger: Option<(Fingerprint, HashType)>,
    /// File name of the operator's key below `pki_dir`, when `verify_master_pubkey_sign` is on.
    pub master_sign_key: Option<String>,
    /// `always_verify_signature`.
    pub always_verify_signature: bool,
    /// The grains that `autosign_grains` names, for a master that accepts by them.
    pub autosign_grains: Option<proto::Map>,
    /// Whether publishes must be signed (`sign_pub_messages`).
    pub unsigned_publishes: UnsignedPublishes,
    /// `minion_sign_messages`.
    pub minion_sign_messages: bool,
    /// Which publishes to ask for.
    pub subscription: Subscription,
    /// Who knows the masters' addresses.
    pub names: Names,
    /// Deadlines, waits and heartbeats.
    pub timing: Timing,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long one authentication request waits (`auth_timeout`).
    pub auth_timeout: Duration,
    /// How often it is sent before the attempt counts as failed (`auth_tries`).
    pub auth_tries: u32,
    /// Waits while the key is pending (`acceptance_wait_time`, `acceptance_wait_time_max`).
    pub acceptance: Waits,
    /// Waits between dials (`recon_default`, `recon_max`).
    pub recon: Waits,
    /// How long one request waits for its reply (`request_channel_timeout`).
    pub request_timeout: Duration,
    /// How often it is sent (`request_channel_tries`).
    pub request_tries: u32,
    /// Heartbeats of every connection.
    pub heartbeat: Heartbeat,
    /// Silence on the request channel after which the master is asked whether it still knows this minion.
    pub probe: Duration,
}

impl ChannelSettings {
    /// Reads the options.
    ///
    /// # Errors
    /// [`ConfigError::Option`] names the option that cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        if config.str_opt("transport").is_some_and(|transport| transport != "zeromq") {
            return Err(wrong("transport", "`zeromq`, the only one this agent speaks"));
        }
        Ok(Self {
            masters: masters(config)?,
            order: master_order(config)?,
            // Salt compares with 4506, so that one value of `publish_port` counts as unset; so does this.
            publish_port: port(config, "publish_port")?.filter(|port| *port != 4506),
            id: config.id.clone(),
            pki_dir: config.pki_dir.clone(),
            keysize: keysize(config)?,
            encryption: algorithm(config, "encryption_algorithm", EncryptionAlgorithm::from_name)?,
            signing: algorithm(config, "signing_algorithm", SigningAlgorithm::from_name)?,
            master_finger: master_finger(config)?,
            master_sign_key: config.bool_opt("verify_master_pubkey_sign", false).then(|| {
                config.str_opt("master_sign_key_name").unwrap_or_else(|| "master_sign".to_owned()) + ".pub"
            }),
            always_verify_signature: config.bool_opt("always_verify_signature", false),
            autosign_grains: autosign_grains(config),
            unsigned_publishes: match config.bool_opt("sign_pub_messages", true) {
                true => UnsignedPublishes::Refuse,
                false => UnsignedPublishes::Take,
            },
            minion_sign_messages: config.bool_opt("minion_sign_messages", false),
            subscription: match config.bool_opt("zmq_filtering", false) {
                true => Subscription::Filtered,
                false => Subscription::Everything,
            },
            names: Names::System,
            timing: Timing::from_config(config),
        })
    }
}

impl Timing {
    fn from_config(config: &Config) -> Self {
        Self {
            auth_timeout: seconds(config, "auth_timeout", 5.0),
            auth_tries: count(config, "auth_tries", 7),
            acceptance: Waits {
                first: seconds(config, "acceptance_wait_time", 10.0),
                max: config.seconds_opt("acceptance_wait_time_max").unwrap_or_default(),
                growth: Growth::Steps,
            },
            recon: Waits {
                first: millis(config, "recon_default", 1_000),
                max: millis(config, "recon_max", 10_000),
                growth: Growth::Doubling,
            },
            request_timeout: seconds(config, "request_channel_timeout", 60.0),
            request_tries: count(config, "request_channel_tries", 3),
            heartbeat: Heartbeat::default(),
            probe: PROBE,
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(30) }
    }
}

fn wrong(key: &str, expected: &'static str) -> ConfigError {
    ConfigError::Option { key: key.to_owned(), expected }
}

fn port(config: &Config, key: &str) -> Result<Option<u16>, ConfigError> {
    let port = config.int_opt(key).map(u16::try_from).transpose();
    port.map_err(|_| wrong(key, "a port number (0 to 65535)"))
}

fn masters(config: &Config) -> Result<Vec<MasterAddress>, ConfigError> {
    let port = port(config, "master_port")?.unwrap_or(4506);
    let entries = config.masters();
    let masters = entries.iter().map(|entry| MasterAddress::parse(entry, port));
    let mut masters: Vec<_> = masters.collect::<Result<_, _>>()?;
    if config.bool_opt("random_master", false) {
        masters.shuffle(&mut rand::thread_rng());
    }
    Ok(masters)
}

fn keysize(config: &Config) -> Result<usize, ConfigError> {
    let bits = usize::try_from(config.int_opt("keysize").unwrap_or(2048)).ok();
    let bits = bits.filter(|bits| (2048..=8192).contains(bits));
    bits.ok_or_else(|| wrong("keysize", "a number of bits from 2048 to 8192"))
}

/// A wait that cannot be zero: a link must never spin.
fn seconds(config: &Config, key: &str, default: f64) -> Duration {
    let given = config.seconds_opt(key).filter(|given| !given.is_zero());
    given.unwrap_or_else(|| Duration::from_secs_f64(default))
}

fn millis(config: &Config, key: &str, default: u64) -> Duration {
    let given = config.int_opt(key).and_then(|given| u64::try_from(given).ok()).filter(|given| *given > 0);
    Duration::from_millis(given.unwrap_or(default))
}

fn count(config: &Config, key: &str, default: u32) -> u32 {
    config
        .int_opt(key)
        .and_then(|given| u32::try_from(given).ok())
        .filter(|given| *given > 0)
        .unwrap_or(default)
}

fn algorithm<T: Default>(config: &Config, key: &str, named: fn(&str) -> Option<T>) -> Result<T, ConfigError> {
    match config.str_opt(key) {
        None => Ok(T::default()),
        Some(name) => named(&name).ok_or_else(|| wrong(key, "an algorithm that Salt's wire knows")),
    }
}

fn master_order(config: &Config) -> Result<MasterOrder, ConfigError> {
    match config.str_opt("master_type").as_deref() {
        None | Some("str" | "standard") => Ok(MasterOrder::All),
        Some("failover") => Ok(MasterOrder::Failover),
        Some(_) => Err(wrong("master_type", "`str` or `failover` (this agent offers no other)")),
    }
}

/// The values of the grains that `autosign_grains` names. Only grains of the configuration are known this early; the
/// master takes what it can read from them.
fn autosign_grains(config: &Config) -> Option<proto::Map> {
    let configured = config.opts.get("grains");
    let grains: proto::Map = config
        .list_opt("autosign_grains")
        .into_iter()
        .filter_map(|name| {
            let value = configured?.as_map()?.get(&name).map(proto::to_value);
            if value.is_none() {
                tracing::warn!(
                    name,
                    "autosign_grains names a grain that is not in the configuration's grains"
                );
            }
            Some((name, value?))
        })
        .collect();
    (!grains.is_empty()).then_some(grains)
}

fn master_finger(config: &Config) -> Result<Option<(Fingerprint, HashType)>, ConfigError> {
    let Some(finger) = config.str_opt("master_finger").filter(|finger| !finger.is_empty()) else {
        return Ok(None);
    };
    let hash = algorithm(config, "hash_type", HashType::from_name)?;
    Ok(Some((Fingerprint::parse(&finger), hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(entry: &str) -> Option<(String, u16)> {
        MasterAddress::parse(entry, 4506).ok().map(|master| (master.host, master.port))
    }

    /// The settings of a minion file.
    fn read(file: &str) -> Result<ChannelSettings, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("minion"), format!("id: m1\n{file}")).unwrap();
        ChannelSettings::from_config(&Config::load(dir.path(), &crate::config::Overrides::default()).unwrap())
    }

    #[test]
    fn reads_hosts_with_and_without_a_port() {
        let expect = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(address("salt"), expect("salt", 4506));
        assert_eq!(address("salt.example.com:14506"), expect("salt.example.com", 14506));
        assert_eq!(address("10.0.0.1"), expect("10.0.0.1", 4506));
        assert_eq!(address("2001:db8::7"), expect("2001:db8::7", 4506));
        assert_eq!(address("[2001:db8::7]:5"), expect("2001:db8::7", 5));
        assert_eq!(address("[::1]"), expect("::1", 4506));
        for wrong in ["", ":4506", "salt:", "salt:x", "salt:70000", "[::1]x"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn random_master_takes_each_in_any_order() {
        let listed = ["a", "b", "c", "d", "e", "f"];
        let hosts = |random: bool| {
            let file = format!("master: [a, b, c, d, e, f]\nrandom_master: {random}");
            let masters = read(&file).unwrap().masters;
            masters.into_iter().map(|master| master.host).collect::<Vec<_>>()
        };
        assert_eq!(hosts(false), listed);
        let drawn: Vec<_> = (0..40).map(|_| hosts(true)).collect();
        assert!(drawn.iter().any(|hosts| *hosts != listed), "never shuffled");
        for mut hosts in drawn {
            hosts.sort();
            assert_eq!(hosts, listed, "one is missing or there twice");
        }
    }

    #[test]
    fn has_salts_defaults() {
        let settings = read("").unwrap();
        assert_eq!(settings.masters, [MasterAddress { host: "salt".to_owned(), port: 4506 }]);
        assert_eq!((settings.order, settings.publish_port), (MasterOrder::All, None));
        assert_eq!((settings.keysize, settings.subscription), (2048, Subscription::Everything));
        assert_eq!(settings.timing.auth_timeout, Duration::from_secs(5));
        assert_eq!(settings.timing.acceptance.first, Duration::from_secs(10));
        assert_eq!(settings.timing.recon.max, Duration::from_secs(10));
        assert!(settings.master_finger.is_none() && settings.master_sign_key.is_none());
        assert_eq!(settings.unsigned_publishes, UnsignedPublishes::Refuse);
    }

    #[test]
    fn reads_salts_options() {
        let settings = read(
            "master: [one, 'two:5']\nmaster_type: failover\nmaster_port: 7\npublish_port: 4505\n\
             verify_master_pubkey_sign: true\nzmq_filtering: true\nminion_sign_messages: true\n\
             signing_algorithm: PKCS1v15-SHA224\nacceptance_wait_time_max: 60\n\
             grains: {serial: 7}\nautosign_grains: [serial, other]\n",
        )
        .unwrap();
        let masters: Vec<_> = settings.masters.iter().map(|master| (master.host(), master.port())).collect();
        assert_eq!((masters, settings.order), (vec![("one", 7), ("two", 5)], MasterOrder::Failover));
        assert_eq!(settings.publish_port, Some(4505));
        assert_eq!(settings.master_sign_key.as_deref(), Some("master_sign.pub"));
        assert_eq!(settings.subscription, Subscription::Filtered);
        assert_eq!(settings.signing.name(), "PKCS1v15-SHA224");
        assert_eq!(settings.timing.acceptance.max, Duration::from_secs(60));
        assert_eq!(settings.autosign_grains, Some([("serial", 7_i64)].into()));
    }

    #[test]
    fn a_publish_port_of_4506_counts_as_unset() {
        assert_eq!(read("publish_port: 4506\n").unwrap().publish_port, None);
    }

    #[test]
    fn names_the_option_that_cannot_be_used() {
        for (file, option) in [
            ("transport: tcp\n", "transport"),
            ("master_type: func\n", "master_type"),
            ("keysize: 512\n", "keysize"),
            ("signing_algorithm: MD5\n", "signing_algorithm"),
            ("master: 'salt:x'\n", "master"),
        ] {
            let error = read(file).unwrap_err().to_string();
            assert!(error.contains(&format!("`{option}`")), "{error}");
        }
    }
}
