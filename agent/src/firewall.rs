//! The firewall of Windows, through `netsh advfirewall`, as Salt drives it (`salt/modules/win_firewall.py`).
//!
//! What is asked and how the answer is read is decided here and tried everywhere; only [`netsh`] needs Windows.
//! A change is held to the local policy by the callers ([`crate::policy::may_change_firewall`]).

use std::{collections::BTreeMap, io, process::Stdio};

use thiserror::Error;
use tokio::process::Command;

/// Why the firewall did not do what was asked.
#[derive(Debug, Error)]
pub enum FirewallError {
    /// Its program could not be run.
    #[error("netsh could not be run: {0}")]
    Run(#[source] io::Error),
    /// It refused, in its own words.
    #[error("{0}")]
    Refused(String),
}

/// A rule of the firewall.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The ports it is about.
    pub localport: Option<String>,
    /// `tcp`, `udp`, `icmpv4`, a number …
    pub protocol: Option<String>,
    /// `allow`, `block` or `bypass`.
    pub action: Option<String>,
    /// `in` or `out`.
    pub direction: Option<String>,
    /// The addresses it is about.
    pub remoteip: Option<String>,
    /// The ports of the other side; Salt's states cannot say it.
    pub remoteport: Option<String>,
}

impl Rule {
    /// The words that add it.
    #[must_use]
    pub fn addition(&self) -> Vec<String> {
        let mut words = words("add");
        words.push(format!("name={}", self.name));
        let named = [
            ("protocol", &self.protocol),
            ("dir", &self.direction),
            ("action", &self.action),
            ("remoteip", &self.remoteip),
        ];
        words.extend(named.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))));
        for (key, port) in [("localport", &self.localport), ("remoteport", &self.remoteport)] {
            if let Some(port) = port.as_ref().filter(|_| !self.is_icmp()) {
                words.push(format!("{key}={port}"));
            }
        }
        words
    }

    /// The words that remove it, and every rule that fits.
    #[must_use]
    pub fn removal(&self) -> Vec<String> {
        let mut words = words("delete");
        words.push(format!("name={}", self.name));
        let named = [("protocol", &self.protocol), ("dir", &self.direction), ("remoteip", &self.remoteip)];
        words.extend(named.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))));
        if let Some(port) = self.localport.as_ref().filter(|_| !self.is_icmp()) {
            if self.protocol.is_none() {
                words.push("protocol=tcp".to_owned());
            }
            words.push(format!("localport={port}"));
        }
        words
    }

    fn is_icmp(&self) -> bool {
        self.protocol
            .as_ref()
            .is_some_and(|protocol| protocol.contains("icmpv4") || protocol.contains("icmpv6"))
    }
}

/// Adds a rule.
///
/// # Errors
/// See [`FirewallError`].
pub async fn add(rule: &Rule) -> Result<(), FirewallError> {
    netsh(&rule.addition()).await.map(drop)
}

/// Removes the rules that fit.
///
/// # Errors
/// See [`FirewallError`].
pub async fn delete(rule: &Rule) -> Result<(), FirewallError> {
    netsh(&rule.removal()).await.map(drop)
}

/// What netsh shows of the rules of that name.
///
/// # Errors
/// [`FirewallError::Refused`] when there is none.
pub async fn show(name: &str) -> Result<String, FirewallError> {
    let mut words = words("show");
    words.push(format!("name={name}"));
    netsh(&words).await
}

/// Whether each profile (`Domain`, `Private`, `Public`) is on.
///
/// # Errors
/// See [`FirewallError`].
pub async fn profiles() -> Result<BTreeMap<String, bool>, FirewallError> {
    let asked = ["advfirewall", "show", "allprofiles"].map(str::to_owned);
    Ok(parse_profiles(&netsh(&asked).await?))
}

/// Turns a profile (`allprofiles`, `domainprofile` …) on or off.
///
/// # Errors
/// See [`FirewallError`].
pub async fn set_profile(profile: &str, on: bool) -> Result<(), FirewallError> {
    let state = if on { "on" } else { "off" };
    let words = ["advfirewall", "set", profile, "state", state].map(str::to_owned);
    netsh(&words).await.map(drop)
}

fn words(verb: &str) -> Vec<String> {
    ["advfirewall", "firewall", verb, "rule"].map(str::to_owned).to_vec()
}

fn parse_profiles(said: &str) -> BTreeMap<String, bool> {
    let mut profiles = BTreeMap::new();
    let mut at = None;
    for line in said.lines() {
        match (at, line.split_once(" Profile Settings:")) {
            (None, Some((profile, _))) => at = Some(profile),
            (Some(profile), _) if line.starts_with("State") => {
                profiles.insert(profile.to_owned(), line.split_whitespace().nth(1) == Some("ON"));
                at = None;
            }
            (None | Some(_), _) => {}
        }
    }
    profiles
}

async fn netsh(words: &[String]) -> Result<String, FirewallError> {
    let mut command = Command::new("netsh");
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let said = command.output().await.map_err(FirewallError::Run)?;
    let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    if said.status.success() { Ok(text) } else { Err(FirewallError::Refused(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn the_words_are_those_of_salt() {
        let rule = Rule {
            name: "SQL (1433)".to_owned(),
            localport: text("1433"),
            protocol: text("tcp"),
            action: text("allow"),
            direction: text("in"),
            remoteip: text("any"),
            remoteport: None,
        };
        let shared = ["advfirewall", "firewall", "add", "rule", "name=SQL (1433)", "protocol=tcp", "dir=in"];
        let added: Vec<&str> =
            shared.into_iter().chain(["action=allow", "remoteip=any", "localport=1433"]).collect();
        assert_eq!(rule.addition(), added);
        let outward = Rule { remoteport: text("443"), ..rule.clone() };
        assert_eq!(outward.addition().last().unwrap(), "remoteport=443");
        let ping = Rule { protocol: text("icmpv4"), ..rule.clone() };
        assert!(!ping.addition().iter().any(|word| word.starts_with("localport")));
        let by_port = Rule { name: "all".to_owned(), localport: text("80"), ..Rule::default() };
        let removed =
            ["advfirewall", "firewall", "delete", "rule", "name=all", "protocol=tcp", "localport=80"];
        assert_eq!(by_port.removal(), removed);
    }

    #[test]
    fn profiles_are_read_from_what_netsh_prints() {
        let said = "\nDomain Profile Settings: \n----\nState                                 ON\nFirewall Policy  \
                    BlockInbound\n\nPrivate Profile Settings: \n----\nState        OFF\n\nPublic Profile Settings: \n----\n\
                    State   ON\nOk.\n";
        let expected = [("Domain", true), ("Private", false), ("Public", true)];
        let expected = expected.map(|(name, on)| (name.to_owned(), on)).into_iter().collect();
        assert_eq!(parse_profiles(said), expected);
    }
}
