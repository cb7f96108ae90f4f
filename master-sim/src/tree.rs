//! The ring of a state tree: which share of the fleet takes its states from another environment than `base`.
//!
//! The ring is pillar, so an unmodified salt-master serves it as well: `state_ring.sls` in the first pillar root of `base`,
//! which the pillar's `top.sls` gives to everybody and the state tree's `top.sls` reads. A minion is in it when its bucket
//! ([`proto::MinionId::bucket`]) is below the percentage; the same minions are always first.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;
use states::Value;

use crate::config::Config;

/// Who gets the new tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ring {
    /// The environment with the new tree.
    pub saltenv: String,
    /// The share of the fleet.
    pub percent: u8,
    /// When the ring was opened, as Salt stamps events.
    pub since: String,
    /// Why it was closed, when it closed by itself.
    pub halted: Option<String>,
}

/// The file that holds it.
#[derive(Debug)]
pub struct RingFile {
    path: PathBuf,
    envs: Vec<String>,
}

impl RingFile {
    /// The file of a master's configuration.
    ///
    /// # Errors
    /// There is no pillar root.
    pub fn of(config: &Config) -> Result<Self> {
        let root = config.pillar_roots.of("base").first();
        let root = root.context(
            "the environment base has no pillar root (pillar_roots of the master's configuration)",
        )?;
        let envs = config.file_roots.envs().map(str::to_owned).collect();
        Ok(Self { path: root.join("state_ring.sls"), envs })
    }

    /// The ring; `None` when none was ever opened.
    ///
    /// # Errors
    /// The file is there and is none of ours.
    pub fn read(&self) -> Result<Option<Ring>> {
        let shown = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
        };
        let value = states::yaml::load(&text).map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
        let ring = value.get("state_ring").with_context(|| format!("{shown} has no state_ring"))?;
        let word = |name: &str| ring.get(name).and_then(Value::as_str).map(str::to_owned);
        let percent =
            ring.get("percent").and_then(Value::as_int).and_then(|percent| u8::try_from(percent).ok());
        Ok(Some(Ring {
            saltenv: word("saltenv").with_context(|| format!("{shown}: saltenv is missing"))?,
            percent: percent
                .filter(|percent| *percent <= 100)
                .with_context(|| format!("{shown}: percent must be 0 to 100"))?,
            since: word("since").unwrap_or_default(),
            halted: word("halted"),
        }))
    }

    /// Replaces the ring, whole or not at all.
    ///
    /// # Errors
    /// The environment is none of this master, or the file cannot be written.
    pub fn write(&self, ring: &Ring) -> Result<()> {
        if ring.saltenv == "base" || !self.envs.contains(&ring.saltenv) {
            bail!(
                "{} is no environment a ring can have: `file_roots` of the master's configuration knows {}",
                ring.saltenv,
                self.envs.join(", ")
            );
        }
        // A JSON string is a YAML string.
        let text = format!(
            "# Written by `master-sim tree`; the state tree's top.sls reads it.\nstate_ring:\n  saltenv: {}\n  percent: {}\n  since: {}\n  halted: {}\n",
            json!(ring.saltenv),
            ring.percent,
            json!(ring.since),
            json!(ring.halted)
        );
        let part = self.path.with_extension("part");
        let done = fs::write(&part, text).and_then(|()| fs::rename(&part, &self.path));
        done.with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// What is missing for the ring to reach anybody, in words.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let top = self.path.with_file_name("top.sls");
        let told =
            fs::read_to_string(&top).unwrap_or_default().lines().any(|line| line.trim() == "- state_ring");
        (!told).then(|| format!("{} does not give `state_ring` to anybody: add it for '*'", top.display()))
    }
}
