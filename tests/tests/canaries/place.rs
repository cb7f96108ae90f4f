//! A master of either kind, and what each keeps where.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    binaries::workspace_root,
    bundled_master::BundledMaster,
    minion::Minion,
    process::{Process, read_lossy},
    salt::{MasterSettings, SaltMaster, Series},
};

/// The master of a case.
pub enum Place {
    /// Salt's, with `salt-run state.event` beside it.
    Salt(Box<SaltMaster>, Process),
    /// Ours.
    Bundled(BundledMaster),
}

impl Place {
    /// A salt-master whose bus is watched from its first event on.
    pub fn salt(series: Series) -> Result<Self> {
        let master = SaltMaster::launch(series, &MasterSettings::default())?;
        let mut command = Command::new(series.bin().join("salt-run"));
        command.arg("-c").arg(master.path("")).args(["state.event", "pretty=False"]);
        let bus = Process::spawn("salt-run state.event", &mut command, &master.path(BUS))?;
        Ok(Self::Salt(Box::new(master), bus))
    }

    /// The bundled master.
    pub fn bundled() -> Result<Self> {
        Ok(Self::Bundled(BundledMaster::start(&[&workspace_root().join("states/tree")])?))
    }

    /// Where minions send requests and where they listen.
    pub fn ports(&self) -> (u16, u16) {
        match self {
            Self::Salt(master, _) => (master.ret_port, master.publish_port),
            Self::Bundled(master) => (master.ret_port, master.publish_port),
        }
    }

    /// Everything it has.
    pub fn root(&self) -> PathBuf {
        match self {
            Self::Salt(master, _) => master.path(""),
            Self::Bundled(master) => master.path(""),
        }
    }

    /// The pillar of minion [`ID`], and a state file.
    pub fn prepare(&self, pillar: &Value, sls: &str) -> Result<()> {
        match self {
            Self::Salt(master, _) => {
                fs::write(master.path("pillar").join(format!("{ID}.sls")), pillar.to_string())?;
                Ok(fs::write(master.path("srv/canary.sls"), sls)?)
            }
            Self::Bundled(master) => {
                master.pillar(&pillar.to_string())?;
                master.file("canary.sls", sls.as_bytes())
            }
        }
    }

    /// Accepts the minion and waits until it answers.
    pub fn accept(&self, minion: &Minion) -> Result<()> {
        match self {
            Self::Salt(master, _) => {
                master.wait_for_key("minions_pre", ID)?;
                master.key("accept", ID)?;
                minion.wait_for_start(master, 1)?;
                minion.wait_for_ping(master)
            }
            Self::Bundled(master) => {
                master.accept(ID)?;
                master.wait_for_ping(ID)
            }
        }
    }

    /// The jid and the return of a function called with keywords.
    pub fn call(&self, fun: &str, keywords: &Value) -> Result<(String, Value)> {
        match self {
            Self::Salt(master, _) => {
                let answer = master.cmd(ID, fun, &json!([]), json!({ "kwarg": keywords, "timeout": 240 }))?;
                let answer = &answer[ID];
                Ok((answer["jid"].as_str().unwrap_or_default().to_owned(), answer["ret"].clone()))
            }
            Self::Bundled(master) => {
                let known = jids(&master.path("cache/jobs"));
                let given = keywords.as_object().into_iter().flatten();
                let words: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
                let call: Vec<&str> = std::iter::once(fun).chain(words.iter().map(String::as_str)).collect();
                let ret = master.call(ID, &call)?;
                let jid = jids(&master.path("cache/jobs")).into_iter().find(|jid| !known.contains(jid));
                Ok((jid.unwrap_or_default(), ret))
            }
        }
    }

    /// The files in which the arguments of these jobs stand.
    pub fn job_arguments(&self, jids: &[String]) -> Vec<PathBuf> {
        match self {
            // Salt names the folder of a job by a hash of its jid, and keeps the jid in it.
            Self::Salt(master, _) => {
                let folders = folders_of_jobs(&master.path("cache/jobs"));
                let of = |folder: &PathBuf| {
                    fs::read_to_string(folder.join("jid")).is_ok_and(|jid| jids.contains(&jid))
                };
                folders.into_iter().filter(of).map(|folder| folder.join(".load.p")).collect()
            }
            Self::Bundled(master) => {
                jids.iter().map(|jid| master.path("cache/jobs").join(jid).join("load")).collect()
            }
        }
    }

    /// Whether a pillar stands in that file: where the operator wrote it, or in the master's cache of rendered ones.
    pub fn holds_pillar(&self, file: &Path) -> bool {
        let root = self.root();
        let place = file.strip_prefix(&root).unwrap_or(file);
        place.starts_with("pillar") || PILLAR_CACHES.iter().any(|cache| place.starts_with(cache))
    }

    /// Whether [`Place::events`] reads that file.
    pub fn is_event_log(&self, file: &Path) -> bool {
        self.event_logs().iter().any(|log| self.root().join(log) == file)
    }

    /// The bus, an event a line.
    pub fn events(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for log in self.event_logs() {
            let text = read_lossy(&self.root().join(log));
            ensure!(text.contains("agent/sync/canary.codes/batch"), "{log} holds no events");
            lines.extend(text.lines().map(str::to_owned));
        }
        Ok(lines)
    }

    /// Ends what watches or serves, so that files rest.
    pub fn end(&mut self) -> Result<()> {
        match self {
            Self::Salt(master, bus) => {
                bus.stop(Duration::from_secs(60))?;
                master.stop(false)
            }
            Self::Bundled(master) => master.finish(),
        }
    }

    fn event_logs(&self) -> &'static [&'static str] {
        match self {
            Self::Salt(..) => &[BUS, "events.jsonl"],
            Self::Bundled(_) => &["cache/events.jsonl"],
        }
    }
}

fn jids(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn folders_of_jobs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    folders.flat_map(|path| folders_of_jobs(&path).into_iter().chain([path]).collect::<Vec<_>>()).collect()
}

/// The minion; a salt-master's pillar top file has a file for each `sql-` minion.
pub const ID: &str = "sql-canary";
const BUS: &str = "bus";
/// Both keep what a minion may be targeted by: its grains and its pillar (`minion_data_cache`).
const PILLAR_CACHES: &[&str] = &["cache/minions/sql-canary/data.p", "cache/grains", "cache/pillar"];
