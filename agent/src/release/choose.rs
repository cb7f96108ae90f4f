//! Which version this minion is to run: pure, from signed targets alone.
//!
//! A channel offers a version to a share of the fleet: minions whose bucket ([`proto::MinionId::bucket`]) is below its percentage.
//! The same minions are always first, so a ring is known beforehand. Nobody goes down unless the version that runs was
//! withdrawn; who is too old for a version goes over the newest one that can be reached (a bridge).

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

/// What a target says of itself, signed, under `custom: {agent: …}`.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Offer {
    /// The version.
    pub version: Version,
    /// `x86_64-windows`, `x86_64-linux` …
    pub platform: String,
    /// The oldest version that may go to this one directly.
    #[serde(default)]
    pub minimum: Option<Version>,
    /// The share of the fleet that each channel offers it to, in percent.
    #[serde(default)]
    pub channels: BTreeMap<String, u8>,
    /// Whether those who run it are to leave it.
    #[serde(default)]
    pub withdrawn: bool,
}

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// The newest that a channel offers to this minion.
    Channel(String),
    /// Exactly this one.
    Exactly(Version),
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// The running version is right; why.
    Stay(String),
    /// Go to this one.
    Go(Offer),
}

/// Why nothing can be chosen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoChoice {
    /// The repository has no such version for this platform.
    #[error("the release repository has no version {version} for {platform}")]
    Unknown {
        /// The version.
        version: Version,
        /// The platform.
        platform: String,
    },
    /// It was withdrawn.
    #[error("version {0} was withdrawn")]
    Withdrawn(Version),
    /// It is older than the one that runs.
    #[error(
        "version {wanted} is older than {current}, which was not withdrawn: going back needs a signed withdrawal"
    )]
    Downgrade {
        /// The version asked for.
        wanted: Version,
        /// The version that runs.
        current: Version,
    },
    /// The running version is too old for it, and nothing leads there.
    #[error(
        "version {wanted} needs at least {minimum}, {current} runs, and no version leads from one to the other"
    )]
    NoBridge {
        /// The version asked for.
        wanted: Version,
        /// What it needs.
        minimum: Version,
        /// The version that runs.
        current: Version,
    },
}

/// Chooses among the offers of the repository.
///
/// # Errors
/// See [`NoChoice`].
pub fn choose(
    wanted: &Wanted,
    current: &Version,
    bucket: u8,
    platform: &str,
    offers: &[Offer],
) -> Result<Choice, NoChoice> {
    let ours: Vec<&Offer> = offers.iter().filter(|offer| offer.platform == platform).collect();
    let left = ours.iter().any(|offer| offer.version == *current && offer.withdrawn);
    let goal = match wanted {
        Wanted::Exactly(version) if version == current && !left => {
            return Ok(Choice::Stay(format!("version {current} runs")));
        }
        Wanted::Exactly(version) => exactly(version, platform, &ours)?,
        Wanted::Channel(channel) => {
            let served = |offer: &&&Offer| {
                !offer.withdrawn && offer.channels.get(channel).is_some_and(|percent| bucket < *percent)
            };
            match ours.iter().filter(served).max_by(|a, b| a.version.cmp(&b.version)) {
                Some(offer) if offer.version > *current || left => offer,
                Some(_) => {
                    return Ok(Choice::Stay(format!("version {current} is the newest of channel {channel}")));
                }
                None => {
                    return Ok(Choice::Stay(format!(
                        "channel {channel} offers this minion (bucket {bucket}) nothing newer than {current}"
                    )));
                }
            }
        }
    };
    if goal.version < *current && !left {
        return Err(NoChoice::Downgrade { wanted: goal.version.clone(), current: current.clone() });
    }
    step(goal, current, &ours)
}

fn exactly<'o>(version: &Version, platform: &str, ours: &[&'o Offer]) -> Result<&'o Offer, NoChoice> {
    let found = ours
        .iter()
        .find(|offer| offer.version == *version)
        .ok_or_else(|| NoChoice::Unknown { version: version.clone(), platform: platform.to_owned() })?;
    if found.withdrawn { Err(NoChoice::Withdrawn(version.clone())) } else { Ok(found) }
}

/// The goal, or the newest version on the way to it.
fn step(goal: &Offer, current: &Version, ours: &[&Offer]) -> Result<Choice, NoChoice> {
    let reachable = |offer: &Offer| offer.minimum.as_ref().is_none_or(|minimum| minimum <= current);
    if reachable(goal) {
        return Ok(Choice::Go(goal.clone()));
    }
    let bridge = ours
        .iter()
        .filter(|offer| !offer.withdrawn && offer.version > *current && offer.version < goal.version)
        .filter(|offer| reachable(offer))
        .max_by(|a, b| a.version.cmp(&b.version));
    match bridge {
        Some(bridge) => Ok(Choice::Go((*bridge).clone())),
        None => Err(NoChoice::NoBridge {
            wanted: goal.version.clone(),
            minimum: goal.minimum.clone().unwrap_or_else(|| goal.version.clone()),
            current: current.clone(),
        }),
    }
}

/// The platform of this program, as targets name it.
#[must_use]
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn offer(text: &str, percent: u8) -> Offer {
        Offer {
            version: version(text),
            platform: "p".into(),
            minimum: None,
            channels: [("stable".to_owned(), percent)].into(),
            withdrawn: false,
        }
    }

    fn pick(current: &str, bucket: u8, offers: &[Offer]) -> Result<Choice, NoChoice> {
        choose(&Wanted::Channel("stable".into()), &version(current), bucket, "p", offers)
    }

    fn goes_to(choice: Result<Choice, NoChoice>) -> Option<String> {
        match choice.unwrap() {
            Choice::Go(offer) => Some(offer.version.to_string()),
            Choice::Stay(_) => None,
        }
    }

    #[test]
    fn a_ring_takes_the_same_minions_first() {
        let offers = [offer("1.0.0", 100), offer("1.1.0", 25)];
        assert_eq!(goes_to(pick("1.0.0", 24, &offers)), Some("1.1.0".into()));
        assert_eq!(goes_to(pick("1.0.0", 25, &offers)), None);
    }

    #[test]
    fn nobody_goes_down_unless_the_running_version_was_withdrawn() {
        let mut offers = [offer("1.0.0", 100), offer("1.1.0", 0)];
        assert_eq!(goes_to(pick("1.1.0", 5, &offers)), None);
        let exactly = Wanted::Exactly(version("1.0.0"));
        let refused = choose(&exactly, &version("1.1.0"), 5, "p", &offers).unwrap_err();
        assert!(matches!(refused, NoChoice::Downgrade { .. }), "{refused}");
        offers[1].withdrawn = true;
        assert_eq!(goes_to(pick("1.1.0", 5, &offers)), Some("1.0.0".into()));
        assert_eq!(goes_to(choose(&exactly, &version("1.1.0"), 5, "p", &offers)), Some("1.0.0".into()));
        let withdrawn = choose(&Wanted::Exactly(version("1.1.0")), &version("1.0.0"), 5, "p", &offers);
        assert_eq!(withdrawn.unwrap_err(), NoChoice::Withdrawn(version("1.1.0")));
    }

    #[test]
    fn a_version_that_is_too_old_goes_over_a_bridge() {
        let mut offers = [offer("1.0.0", 100), offer("1.5.0", 0), offer("2.0.0", 100)];
        offers[2].minimum = Some(version("1.5.0"));
        assert_eq!(goes_to(pick("1.0.0", 5, &offers)), Some("1.5.0".into()));
        assert_eq!(goes_to(pick("1.5.0", 5, &offers)), Some("2.0.0".into()));
        offers[1].withdrawn = true;
        assert!(matches!(pick("1.0.0", 5, &offers), Err(NoChoice::NoBridge { .. })));
    }

    #[test]
    fn another_platforms_program_is_never_chosen() {
        let mut offers = [offer("1.1.0", 100)];
        offers[0].platform = "other".into();
        assert_eq!(goes_to(pick("1.0.0", 5, &offers)), None);
        let exactly = choose(&Wanted::Exactly(version("1.1.0")), &version("1.0.0"), 5, "p", &offers);
        assert!(matches!(exactly, Err(NoChoice::Unknown { .. })));
    }
}
