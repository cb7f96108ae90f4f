//! The release repository: what the operator signs, and the master only carries.
//!
//! TUF metadata (by `tough`) below `<file root>/release`: `metadata/` and `targets/`. The root role has several keys and a
//! threshold and is meant to stay offline; targets, snapshot and timestamp have a key each. A target is one program of one
//! version for one platform; what channels offer it to whom is signed with it (`custom: {agent: …}`). A version may carry a
//! later supervisor, a target of its own (`custom: {supervisor: …}`). Every change writes new
//! versions of targets, snapshot and timestamp; metadata is written before what points to it.
//!
//! Refuses to take a version that is there already with other bytes, and to sign without enough keys.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use chrono::{Duration, SecondsFormat, Utc};
use ring::{
    digest::{SHA256, digest},
    signature::Ed25519KeyPair,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tough::{
    TargetName,
    editor::{RepositoryEditor, signed::SignedRole},
    key_source::{KeySource, LocalKeySource},
    schema::{KeyHolder, Root, Signed, Snapshot, Target, Targets, Timestamp},
    sign::parse_keypair,
};

use crate::disk;

/// What a target says of itself to the agents.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Offer {
    /// The version.
    pub version: String,
    /// `x86_64-windows`, `x86_64-linux` …
    pub platform: String,
    /// The oldest version that may go to this one directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<String>,
    /// The share of the fleet that each channel offers it to, in percent.
    #[serde(default)]
    pub channels: BTreeMap<String, u8>,
    /// Whether those who run it are to leave it.
    #[serde(default)]
    pub withdrawn: bool,
}

/// How long each role's signature lasts, in days.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// The root's.
    pub root: u32,
    /// Targets' and snapshot's.
    pub targets: u32,
    /// The timestamp's: how long a master can hide a newer release.
    pub timestamp: u32,
}

/// A repository and the keys that sign it.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The folder `release` of a file root.
    pub folder: PathBuf,
    /// The folder of the private keys.
    pub keys: PathBuf,
    /// How long signatures last.
    pub lifetimes: Lifetimes,
}

impl Repository {
    /// Makes keys and an empty repository.
    ///
    /// # Errors
    /// There is one already, or a file cannot be written.
    pub async fn create(&self, root_keys: u8, threshold: u8) -> Result<PathBuf> {
        ensure!(
            !self.metadata("1.root.json").exists(),
            "{} holds a repository already",
            self.folder.display()
        );
        ensure!(
            (1..=root_keys).contains(&threshold),
            "the threshold must be between 1 and the number of root keys"
        );
        let mut roles: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let roots =
            (1..=root_keys).map(|number| self.new_key(&format!("root-{number}"))).collect::<Result<_>>()?;
        roles.insert("root".into(), roots);
        for role in ["targets", "snapshot", "timestamp"] {
            roles.insert(role.into(), vec![self.new_key(role)?]);
        }
        let root = self.root_of(&roles, threshold, 1)?;
        self.sign_root(root, None).await?;
        let editor = RepositoryEditor::new(self.metadata("root.json")).await?;
        self.publish(editor, 1, 1, 1).await?;
        Ok(self.metadata("root.json"))
    }

    /// Adds a program; no channel offers it yet.
    ///
    /// # Errors
    /// It is there with other bytes, or cannot be signed.
    pub async fn add(&self, offer: &Offer, program: &Path) -> Result<String> {
        let name = name_of(&offer.version, &offer.platform, "agent");
        self.put(name, program, json!({ "agent": offer })).await
    }

    /// Adds the later supervisor that a version carries. It comes before the version, which is never without it.
    ///
    /// # Errors
    /// It is there with other bytes, or cannot be signed.
    pub async fn add_supervisor(&self, version: &str, platform: &str, program: &Path) -> Result<String> {
        let name = name_of(version, platform, "supervisor");
        let custom = json!({ "supervisor": { "version": version, "platform": platform } });
        self.put(name, program, custom).await
    }

    async fn put(&self, name: String, program: &Path, custom: Value) -> Result<String> {
        let bytes = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
        let sha256 = digest(&SHA256, &bytes);
        let targets = self.targets()?;
        let key = TargetName::new(name.as_str())?;
        if let Some(held) = targets.signed.targets.get(&key) {
            ensure!(
                held.hashes.sha256.as_ref() == sha256.as_ref(),
                "{name} is there already with other bytes: a version is never changed, take a new number"
            );
            return Ok(name);
        }
        let place = self.folder.join("targets").join(&name);
        place.parent().map(fs::create_dir_all).transpose()?;
        fs::write(&place, &bytes).with_context(|| format!("writing {}", place.display()))?;
        let target: Target = serde_json::from_value(json!({
            "length": bytes.len(), "hashes": { "sha256": hex(sha256.as_ref()) }, "custom": custom,
        }))?;
        self.change(|all| {
            all.insert(key, target);
            Ok(())
        })
        .await?;
        Ok(name)
    }

    /// Changes what a version says of itself, on every platform.
    ///
    /// # Errors
    /// There is no such version, or it cannot be signed.
    pub async fn amend(&self, version: &str, amend: impl Fn(&mut Offer)) -> Result<()> {
        self.change(|all| {
            let mut found = false;
            for target in all.values_mut() {
                let Some(held) = target.custom.get("agent") else { continue };
                let mut offer: Offer = serde_json::from_value(held.clone())?;
                if offer.version == version {
                    amend(&mut offer);
                    target.custom.insert("agent".into(), serde_json::to_value(&offer)?);
                    found = true;
                }
            }
            ensure!(found, "the repository has no version {version}");
            Ok(())
        })
        .await
    }

    /// Signs everything but the root anew, so that nothing expires.
    ///
    /// # Errors
    /// It cannot be signed.
    pub async fn refresh(&self) -> Result<()> {
        self.change(|_| Ok(())).await
    }

    /// Whether half of the timestamp's lifetime is over.
    ///
    /// # Errors
    /// The metadata cannot be read.
    pub fn is_half_expired(&self) -> Result<bool> {
        let timestamp: Signed<Timestamp> = self.read("timestamp.json")?;
        let half = moment(self.lifetimes.timestamp.div_ceil(2)).parse()?;
        Ok(timestamp.signed.expires < half)
    }

    /// Replaces the keys of a role; the new root is signed by the old root keys and, when they change, the new ones.
    ///
    /// # Errors
    /// There is no such role, or not enough root keys are there.
    pub async fn rotate(&self, role: &str) -> Result<()> {
        ensure!(["root", "targets", "snapshot", "timestamp"].contains(&role), "{role} is no role");
        let old: Signed<Root> = self.read("root.json")?;
        let number = old.signed.version.get() + 1;
        let threshold =
            old.signed.roles.get(&tough::schema::RoleType::Root).map_or(1, |keys| keys.threshold.get());
        let mut roles: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for name in ["root", "targets", "snapshot", "timestamp"] {
            roles.insert(name.into(), self.keys_of(name)?);
        }
        let former = roles.get("root").cloned().unwrap_or_default();
        let count = roles.get(role).map_or(0, Vec::len);
        let fresh = (1..=count)
            .map(|at| {
                self.new_key(&if role == "root" {
                    format!("root-{at}.v{number}")
                } else {
                    format!("{role}.v{number}")
                })
            })
            .collect::<Result<Vec<_>>>()?;
        for retired in roles.insert(role.into(), fresh).unwrap_or_default() {
            if role != "root" {
                fs::rename(&retired, retired.with_extension("retired"))?;
            }
        }
        let root = self.root_of(&roles, u8::try_from(threshold)?, number)?;
        self.sign_root(root, Some((&old.signed, &former))).await?;
        if role == "root" {
            for retired in &former {
                fs::rename(retired, retired.with_extension("retired"))?;
            }
        }
        self.refresh().await
    }

    /// The offers, by target name.
    ///
    /// # Errors
    /// The metadata cannot be read.
    pub fn offers(&self) -> Result<BTreeMap<String, Offer>> {
        let mut offers = BTreeMap::new();
        for (name, target) in self.targets()?.signed.targets {
            if let Some(offer) = target.custom.get("agent") {
                offers.insert(name.raw().to_owned(), serde_json::from_value(offer.clone())?);
            }
        }
        Ok(offers)
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut HashMap<TargetName, Target>) -> Result<()>,
    ) -> Result<()> {
        let mut targets = self.targets()?;
        let snapshot: Signed<Snapshot> = self.read("snapshot.json")?;
        let timestamp: Signed<Timestamp> = self.read("timestamp.json")?;
        let next = targets.signed.version.get() + 1;
        change(&mut targets.signed.targets)?;
        let mut editor = RepositoryEditor::new(self.metadata("root.json")).await?;
        editor.targets(targets)?;
        self.publish(editor, next, snapshot.signed.version.get() + 1, timestamp.signed.version.get() + 1)
            .await
    }

    async fn publish(
        &self,
        mut editor: RepositoryEditor,
        targets: u64,
        snapshot: u64,
        timestamp: u64,
    ) -> Result<()> {
        let version = |number| NonZeroU64::new(number).context("a version is never 0");
        editor
            .targets_version(version(targets)?)?
            .targets_expires(moment(self.lifetimes.targets).parse()?)?;
        editor.snapshot_version(version(snapshot)?).snapshot_expires(moment(self.lifetimes.targets).parse()?);
        editor
            .timestamp_version(version(timestamp)?)
            .timestamp_expires(moment(self.lifetimes.timestamp).parse()?);
        let mut keys = Vec::new();
        for role in ["targets", "snapshot", "timestamp"] {
            keys.extend(sources(&self.keys_of(role)?));
        }
        let signed = editor
            .sign(&keys)
            .await
            .context("signing; are the keys of targets, snapshot and timestamp there?")?;
        // Written beside and moved one after the other, so that a reader sees each file whole.
        let beside = tempfile::tempdir_in(&self.folder)?;
        signed.write(beside.path()).await?;
        for name in ["targets.json", "snapshot.json", "timestamp.json"] {
            fs::rename(beside.path().join(name), self.metadata(name))?;
        }
        Ok(())
    }

    fn root_of(&self, roles: &BTreeMap<String, Vec<PathBuf>>, threshold: u8, version: u64) -> Result<Root> {
        let (mut keys, mut named) = (serde_json::Map::new(), serde_json::Map::new());
        for (role, paths) in roles {
            let mut ids = Vec::new();
            for path in paths {
                let key = parse_keypair(&fs::read(path)?)?;
                let key = tough::sign::Sign::tuf_key(&key);
                let id = serde_json::to_value(key.key_id()?)?;
                keys.insert(
                    id.as_str().context("a key id is a text")?.to_owned(),
                    serde_json::to_value(&key)?,
                );
                ids.push(id);
            }
            let needed = if role == "root" { threshold } else { 1 };
            named.insert(role.clone(), json!({ "keyids": ids, "threshold": needed }));
        }
        Ok(serde_json::from_value(json!({
            "_type": "root", "spec_version": "1.0.0", "consistent_snapshot": false, "version": version,
            "expires": moment(self.lifetimes.root), "keys": keys, "roles": named,
        }))?)
    }

    /// Signs a root by its own keys and by those of the one before, and writes it.
    async fn sign_root(&self, root: Root, former: Option<(&Root, &[PathBuf])>) -> Result<()> {
        let (version, random) = (root.version.get(), SystemRandom::new());
        let own = sources(&self.keys_of("root")?);
        let mut signed = SignedRole::new(root.clone(), &KeyHolder::Root(root.clone()), &own, &random).await?;
        if let Some((before, keys)) = former {
            let holder = KeyHolder::Root(before.clone());
            let by_former = SignedRole::new(root, &holder, &sources(keys), &random).await?;
            let held = signed.signed().signatures.clone();
            let missing = by_former.signed().signatures.iter().filter(|signature| !held.contains(signature));
            let missing = missing.cloned().collect();
            signed = signed.add_old_signatures(missing)?;
        }
        fs::create_dir_all(self.metadata(""))?;
        fs::write(self.metadata(&format!("{version}.root.json")), signed.buffer())?;
        fs::write(self.metadata("root.json"), signed.buffer())?;
        Ok(())
    }

    fn new_key(&self, name: &str) -> Result<PathBuf> {
        let path = self.keys.join(format!("{name}.key"));
        if path.exists() {
            bail!("{} is there already and is not overwritten", path.display());
        }
        let made = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new());
        let made = made.map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
        disk::write(&path, made.as_ref()).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// The key files of a role.
    fn keys_of(&self, role: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.keys).with_context(|| format!("reading {}", self.keys.display()))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let of_role = name.split(['-', '.']).next() == Some(role);
            if of_role && name.ends_with(".key") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    fn targets(&self) -> Result<Signed<Targets>> {
        self.read("targets.json")
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.metadata(name);
        let text = fs::read(&path).with_context(|| {
            format!("reading {}; `master-sim release keygen` makes a repository", path.display())
        })?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.folder.join("metadata").join(name)
    }
}

fn sources(paths: &[PathBuf]) -> Vec<Box<dyn KeySource>> {
    paths.iter().map(|path| Box::new(LocalKeySource { path: path.clone() }) as Box<dyn KeySource>).collect()
}

/// The path of a program below `targets`.
fn name_of(version: &str, platform: &str, program: &str) -> String {
    let ending = if platform.ends_with("windows") { ".exe" } else { "" };
    format!("{version}/{platform}/{program}{ending}")
}

fn moment(days: u32) -> String {
    (Utc::now() + Duration::days(days.into())).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The offers as `release list` prints them.
#[must_use]
pub fn shown(offers: &BTreeMap<String, Offer>) -> Value {
    serde_json::to_value(offers).unwrap_or_default()
}
