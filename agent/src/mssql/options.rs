//! Where and as whom to connect: Salt's `mssql.*` options and the keyword arguments that override them.
//!
//! Names and defaults are those of Salt's `mssql` module (`server`, `port`, `user`, `password`, `database`); ours are
//! `encrypt` (`true`, `login`, `false`; default `true`), `trust_server_certificate`, `ca` and `lock_timeout` (milliseconds).
//! `server` may be `host`, `host\INSTANCE`, `host,port` or `host:port`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::Secret;

/// Everything a connection needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// Where.
    pub server: ServerName,
    /// SQL login.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Database to open; the login's default when empty.
    pub database: String,
    /// How far TLS reaches.
    pub encryption: Encryption,
    /// How the server's certificate is judged.
    pub trust: Trust,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
}

/// A host and how its port is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerName {
    /// Host name or address.
    pub host: String,
    /// Port, or the instance whose port SQL Browser tells.
    pub endpoint: Endpoint,
}

/// How the port of an instance is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// By number.
    Port(u16),
    /// By name, asked of SQL Browser on UDP 1434.
    Instance(String),
}

/// How far TLS reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// The whole connection; refused when the server cannot.
    Required,
    /// The login packet only.
    Login,
    /// Nothing.
    Off,
}

/// How the server's certificate is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// By the system's certificate authorities.
    System,
    /// By this CA file as well.
    Ca(PathBuf),
    /// Not at all: for a server with a self-made certificate on the same machine.
    Anyone,
}

/// A connection option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mssql.{name}: '{given}' is not {expected}")]
pub struct OptionsError {
    /// The option without its `mssql.` prefix.
    pub name: &'static str,
    /// What was given (never a password).
    pub given: String,
    /// What it should be.
    pub expected: &'static str,
}

impl ConnectionOptions {
    /// Reads the options; `lookup` gives the text of a scalar by its name without prefix, keyword arguments first.
    ///
    /// # Errors
    /// A port, switch or number that does not read as one.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, OptionsError> {
        let server = lookup("server").unwrap_or_else(|| "localhost".to_owned());
        let port = number(&lookup, "port", "a port number")?;
        let trust = match (switch(&lookup, "trust_server_certificate")?, lookup("ca")) {
            (Some(true), _) => Trust::Anyone,
            (Some(false) | None, Some(ca)) if !ca.is_empty() => Trust::Ca(ca.into()),
            (Some(false) | None, _) => Trust::System,
        };
        let lock_timeout =
            number(&lookup, "lock_timeout", "a number of milliseconds")?.unwrap_or(DEFAULT_LOCK_TIMEOUT_MS);
        Ok(Self {
            server: ServerName::read(&server, port)?,
            user: lookup("user").unwrap_or_else(|| "sysdba".to_owned()),
            password: Secret::new(lookup("password").unwrap_or_default()),
            database: lookup("database").unwrap_or_default(),
            encryption: Encryption::read(lookup("encrypt").as_deref())?,
            trust,
            lock_timeout: Duration::from_millis(u64::from(lock_timeout)),
        })
    }

    /// The same connection as another login.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: Secret) -> Self {
        user.clone_into(&mut self.user);
        self.password = password;
        self
    }

    /// The same connection into another database.
    #[must_use]
    pub fn with_database(mut self, database: &str) -> Self {
        database.clone_into(&mut self.database);
        self
    }
}

impl ServerName {
    fn read(text: &str, port: Option<u16>) -> Result<Self, OptionsError> {
        let refused = || OptionsError {
            name: "server",
            given: text.to_owned(),
            expected: "a host, 'host\\INSTANCE' or 'host,port'",
        };
        let (host, endpoint) = if let Some((host, instance)) = text.split_once('\\') {
            match port {
                Some(port) if port != DEFAULT_PORT => (host, Endpoint::Port(port)),
                _ => (host, Endpoint::Instance(instance.to_owned())),
            }
        } else if let Some((host, given)) = split_port(text) {
            (host, Endpoint::Port(given.trim().parse().map_err(|_| refused())?))
        } else {
            (text, Endpoint::Port(port.unwrap_or(DEFAULT_PORT)))
        };
        let host = if host == "." || host == "(local)" { "localhost" } else { host };
        if host.is_empty() {
            return Err(refused());
        }
        Ok(Self { host: host.to_owned(), endpoint })
    }
}

/// `host,port` as SQL Server's tools write it, or `host:port`; an IPv6 address alone has more than one colon.
fn split_port(text: &str) -> Option<(&str, &str)> {
    text.split_once(',').or_else(|| text.split_once(':').filter(|(_, port)| !port.contains(':')))
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Port(port) => write!(f, "{}:{port}", self.host),
            Endpoint::Instance(name) => write!(f, "{}\\{name}", self.host),
        }
    }
}

impl Encryption {
    fn read(text: Option<&str>) -> Result<Self, OptionsError> {
        match text.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "true" | "yes" | "on" | "required" | "mandatory") => Ok(Self::Required),
            Some("login") => Ok(Self::Login),
            Some("false" | "no" | "off") => Ok(Self::Off),
            Some(other) => Err(OptionsError {
                name: "encrypt",
                given: other.to_owned(),
                expected: "true, login or false",
            }),
        }
    }
}

fn number<T: FromStr>(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<T>, OptionsError> {
    lookup(name)
        .filter(|text| !text.is_empty())
        .map(|text| text.trim().parse().map_err(|_| OptionsError { name, given: text.clone(), expected }))
        .transpose()
}

fn switch(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<bool>, OptionsError> {
    match lookup(name).map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("") => Ok(None),
        Some("true" | "yes" | "on" | "1") => Ok(Some(true)),
        Some("false" | "no" | "off" | "0") => Ok(Some(false)),
        Some(other) => Err(OptionsError { name, given: other.to_owned(), expected: "true or false" }),
    }
}

const DEFAULT_PORT: u16 = 1433;
const DEFAULT_LOCK_TIMEOUT_MS: u32 = 5000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<ConnectionOptions, OptionsError> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        ConnectionOptions::read(|name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn defaults_are_salts_and_tls_is_on() {
        let options = read(&[]).unwrap();
        assert_eq!(
            (options.server.to_string().as_str(), options.user.as_str()),
            ("localhost:1433", "sysdba")
        );
        assert_eq!((options.encryption, options.trust), (Encryption::Required, Trust::System));
    }

    #[test]
    fn a_server_is_read_in_every_way_it_is_written() {
        let server = |pairs: &[(&str, &str)]| read(pairs).unwrap().server.to_string();
        assert_eq!(server(&[("server", "db"), ("port", "1444")]), "db:1444");
        assert_eq!(server(&[("server", "db,1444")]), "db:1444");
        assert_eq!(server(&[("server", "db:1444")]), "db:1444");
        assert_eq!(server(&[("server", ".\\SQLEXPRESS")]), "localhost\\SQLEXPRESS");
        assert_eq!(server(&[("server", "db\\X"), ("port", "1444")]), "db:1444");
        assert_eq!(server(&[("server", "fe80::1"), ("port", "1444")]), "fe80::1:1444");
    }

    #[test]
    fn a_bad_option_is_named() {
        let error = read(&[("port", "many")]).unwrap_err();
        assert_eq!(error.to_string(), "mssql.port: 'many' is not a port number");
        assert!(read(&[("encrypt", "perhaps")]).is_err());
        assert!(read(&[("trust_server_certificate", "perhaps")]).is_err());
    }

    #[test]
    fn the_password_does_not_show_in_debug() {
        assert!(!format!("{:?}", read(&[("password", "hunter2")]).unwrap()).contains("hunter2"));
    }
}
