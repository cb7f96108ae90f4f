//! A real salt-master in a folder of its own, every path explicit, on free ports of 127.0.0.1.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value, json};

use super::{Driver, Series};
use crate::{
    binaries::workspace_root,
    process::read_lossy,
    scratch::Scratch,
    wait::{PATIENCE, wait_for},
};

/// What a case changes about its master.
#[derive(Clone, Debug, Default)]
pub struct MasterSettings {
    /// Laid over the harness's own options.
    pub options: Map<String, Value>,
    /// The folder of another master's keys, to have the same: masters of one minion share theirs.
    pub keys_of: Option<PathBuf>,
}

/// A running master with its state tree (`srv`), its pillar (`pillar`) and its driver.
#[derive(Debug)]
pub struct SaltMaster {
    /// The series it belongs to.
    pub series: Series,
    /// The request port.
    pub ret_port: u16,
    /// The publish port.
    pub publish_port: u16,
    driver: Driver,
    scratch: Scratch,
}

impl SaltMaster {
    /// The master that the cases of one series share; it ends with the test process.
    ///
    /// # Errors
    /// When it does not start.
    pub fn shared(series: Series) -> Result<&'static Self> {
        static MASTERS: [OnceLock<Result<SaltMaster, String>>; 3] = [const { OnceLock::new() }; 3];
        static STARTING: Mutex<()> = Mutex::new(());
        let slot = &MASTERS[series as usize];
        if slot.get().is_none() {
            let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
            slot.get_or_init(|| {
                Self::launch(series, &MasterSettings::default()).map_err(|error| format!("{error:#}"))
            });
        }
        let master = slot.get().context("invariant: the slot was filled")?;
        master.as_ref().map_err(|error| anyhow!("the shared master did not start: {error}"))
    }

    /// Starts a master of its own for a case that stops it, restarts it or lies to it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn launch(series: Series, settings: &MasterSettings) -> Result<Self> {
        let scratch = Scratch::new()?;
        let (ret_port, publish_port) = free_ports()?;
        copy_tree(&workspace_root().join("tests/salt/srv"), &scratch.join("srv"))?;
        copy_tree(&workspace_root().join("tests/salt/pillar"), &scratch.join("pillar"))?;
        let mut options = options(scratch.path(), ret_port, publish_port);
        options.extend(settings.options.clone());
        fs::write(scratch.join("master"), serde_json::to_string_pretty(&options)?)?;
        if let Some(keys) = &settings.keys_of {
            fs::create_dir_all(scratch.join("pki"))?;
            for name in ["master.pem", "master.pub"] {
                fs::copy(keys.join(name), scratch.join("pki").join(name))?;
            }
        }
        let driver = Driver::launch(series, scratch.path())?;
        let master = Self { series, ret_port, publish_port, driver, scratch };
        master.start()?;
        Ok(master)
    }

    /// Starts the master's processes (again).
    ///
    /// # Errors
    /// When it does not become ready, with the end of its console.
    pub fn start(&self) -> Result<()> {
        let started = self.driver.ask("start", json!({}), Duration::from_secs(200));
        started
            .map(drop)
            .with_context(|| format!("driver said:\n{}", read_lossy(&self.scratch.join("console-driver"))))
    }

    /// Stops the master's processes: `hard` as a power cut would.
    ///
    /// # Errors
    /// When the driver cannot.
    pub fn stop(&self, hard: bool) -> Result<()> {
        self.driver.ask("stop", json!({ "hard": hard }), PATIENCE).map(drop)
    }

    /// A path below the master's folder (`srv`, `pillar`, `cache`, `pki`).
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The driver, for what has no method here.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Publishes one job and collects the full returns, `{minion: {ret, retcode, jid, out?}}`.
    ///
    /// # Errors
    /// What Salt raised.
    pub fn cmd(&self, tgt: &str, fun: &str, arg: &Value, more: Value) -> Result<Value> {
        let mut request = json!({ "tgt": tgt, "fun": fun, "arg": arg, "timeout": 30 });
        if let (Some(request), Value::Object(more)) = (request.as_object_mut(), more) {
            request.extend(more);
        }
        self.driver.ask("cmd", request, Duration::from_secs(240))
    }

    /// The key lists as Salt names them (`minions`, `minions_pre`, `minions_rejected`, `minions_denied`).
    ///
    /// # Errors
    /// What Salt raised.
    pub fn key_is_in(&self, list: &str, id: &str) -> Result<bool> {
        let keys = self.driver.ask("keys", json!({}), PATIENCE)?;
        Ok(keys[list].as_array().is_some_and(|names| names.iter().any(|name| name == id)))
    }

    /// Waits for the key of `id` in a key list.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_for_key(&self, list: &str, id: &str) -> Result<()> {
        wait_for(&format!("the key of {id} in {list}"), PATIENCE, || match self.key_is_in(list, id) {
            Ok(true) => Ok(()),
            Ok(false) => Err("not there".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        })
    }

    /// `accept`, `reject` or `delete` a key with Salt's own key class.
    ///
    /// # Errors
    /// What Salt raised.
    pub fn key(&self, verb: &str, id: &str) -> Result<()> {
        self.driver.ask("key", json!({ "verb": verb, "minion": id }), PATIENCE).map(drop)
    }

    /// The fingerprint of the master's own key, as `salt-key -F` prints it.
    ///
    /// # Errors
    /// What Salt raised.
    pub fn finger_of_master(&self) -> Result<String> {
        let finger = self.driver.ask("master_finger", json!({}), PATIENCE)?;
        Ok(finger.as_str().with_context(|| format!("no fingerprint: {finger}"))?.to_owned())
    }

    /// The fingerprint of a minion's key, as `salt-key -f` prints it.
    ///
    /// # Errors
    /// What Salt raised.
    pub fn finger_of(&self, id: &str) -> Result<String> {
        let finger = self.driver.ask("finger", json!({ "minion": id }), PATIENCE)?;
        Ok(finger.as_str().with_context(|| format!("no fingerprint: {finger}"))?.to_owned())
    }

    /// Publishes one job without waiting for it; gives its jid.
    ///
    /// # Errors
    /// What Salt raised, or that it published nothing.
    pub fn start_job(&self, tgt: &str, fun: &str, arg: &Value, kwarg: &Value) -> Result<String> {
        let request = json!({ "tgt": tgt, "fun": fun, "arg": arg, "kwarg": kwarg });
        let jid = self.driver.ask("cmd_async", request, PATIENCE)?;
        Ok(jid.as_str().with_context(|| format!("no jid: {jid}"))?.to_owned())
    }

    /// What one minion returned for a job, once the master's job cache has it.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_for_return(&self, jid: &str, id: &str) -> Result<Value> {
        wait_for(&format!("the return of {id} for job {jid}"), PATIENCE, || {
            let cached = self.driver.ask("cached", json!({ "jid": jid }), PATIENCE);
            let cached = cached.map_err(|error| format!("{error:#}"))?;
            let found = &cached[id];
            if found.is_object() { Ok(found.clone()) } else { Err(cached.to_string()) }
        })
    }

    /// Waits until a minion tells of a job that runs there.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_until_running(&self, jid: &str, id: &str) -> Result<Value> {
        wait_for(&format!("{id} to tell of job {jid}"), PATIENCE, || {
            let answer = self.cmd(id, "saltutil.find_job", &json!([jid]), json!({}));
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            let found = &answer[id]["ret"];
            if found["jid"] == jid { Ok(found.clone()) } else { Err(answer.to_string()) }
        })
    }

    /// Waits for an event whose tag starts with `tag`.
    ///
    /// # Errors
    /// When none comes.
    pub fn wait_for_event(&self, tag: &str) -> Result<Value> {
        wait_for(&format!("an event {tag}"), PATIENCE, || {
            self.events(tag).into_iter().next().ok_or_else(|| "none".to_owned())
        })
    }

    /// The text Salt's own outputter makes of one minion's return.
    ///
    /// # Errors
    /// What Salt raised.
    pub fn output(&self, outputter: &str, id: &str, ret: &Value) -> Result<String> {
        let text =
            self.driver.ask("output", json!({ "outputter": outputter, "data": { id: ret } }), PATIENCE)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Every event so far whose tag starts with `tag`.
    #[must_use]
    pub fn events(&self, tag: &str) -> Vec<Value> {
        read_lossy(&self.scratch.join("events.jsonl"))
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["tag"].as_str().is_some_and(|found| found.starts_with(tag)))
            .collect()
    }

    /// Runs one of the real command-line tools (`salt`, `salt-key`, `salt-run`) against this master.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn cli(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        Command::new(self.series.bin().join(program))
            .arg("-c")
            .arg(self.scratch.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {program} of {}", self.series.version()))
    }

    /// The master's log.
    #[must_use]
    pub fn log(&self) -> String {
        read_lossy(&self.scratch.join("log"))
    }
}

fn options(root: &Path, ret_port: u16, publish_port: u16) -> Map<String, Value> {
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let options = json!({
        "interface": "127.0.0.1", "ret_port": ret_port, "publish_port": publish_port, "user": whoami(),
        "root_dir": root, "pki_dir": path("pki"), "cachedir": path("cache"), "sock_dir": path("run"), "pidfile": path("pid"),
        "log_file": path("log"), "key_logfile": path("keylog"), "token_dir": path("tokens"), "syndic_dir": path("syndic"),
        "sqlite_queue_dir": path("queue"), "extension_modules": path("ext"),
        "file_roots": { "base": [path("srv"), workspace_root().join("states/tree")] },
        "pillar_roots": { "base": [path("pillar")] },
        "worker_threads": 3, "timeout": 5, "gather_job_timeout": 10, "file_recv": true, "log_level_logfile": "info",
        // The maintenance loop looks for a wanted key rotation once in this many seconds.
        "loop_interval": 1,
    });
    match options {
        Value::Object(options) => options,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn whoami() -> String {
    let named = Command::new("id")
        .arg("-un")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    named.unwrap_or_else(|_| "root".to_owned())
}

fn free_ports() -> Result<(u16, u16)> {
    let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok((held[0].local_addr()?.port(), held[1].local_addr()?.port()))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
