//! This agent's answer to a case, in the shape of the oracle's.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use agent::{
    channel::LocalLink,
    config::Config,
    modules::{CallContext, ModuleError},
    services::Services,
    store::Store,
    tasks::Tasks,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use states::{Map, Value, json};
use tokio::runtime::Runtime;

use super::map;

/// Held by a case that sets variables of the environment, which minions of one process share.
static ENVIRONMENT: Mutex<()> = Mutex::new(());

/// Answers one case after the other, each with a minion of its own.
pub struct Agent {
    series: String,
    runtime: Runtime,
}

/// One case's minion and folders.
struct Minion {
    root: tempfile::TempDir,
    services: Arc<Services>,
}

impl Agent {
    pub fn new(series: &str) -> Self {
        Self { series: series.to_owned(), runtime: Runtime::new().unwrap() }
    }

    /// What the program `agent call --local` makes of the case's run.
    pub fn of_the_program(&self, program: &Path, case: &Value) -> Value {
        let root = tempfile::Builder::new().prefix("case").tempdir().unwrap();
        let scratch = Minion::lay_out(root.path(), case);
        let layout = json::Layout { indent: None, sort_keys: false, ascii: false };
        let text = json::dump(&options(root.path(), case, &self.series).into(), &layout);
        fs::write(root.path().join("etc/minion"), text).unwrap();
        let mut command = Command::new(program);
        command.args(["call", "--local", "--out=json", "-c"]).arg(root.path().join("etc"));
        if case.get("highstate").is_some() {
            command.arg("state.highstate");
        } else {
            let mods =
                case.get("sls").and_then(Value::as_list).map_or_else(|| vec!["a".into()], <[Value]>::to_vec);
            let mods: Vec<String> = mods.iter().map(ToString::to_string).collect();
            command.arg("state.sls").arg(mods.join(","));
        }
        if let Some(pillar) = case.get("pillar") {
            command.arg(format!("pillar={}", json::dump(&own(pillar, &scratch), &layout)));
        }
        if let Some(exclude) = case.get("exclude") {
            command.arg(format!("exclude={}", json::dump(exclude, &layout)));
        }
        let done = command.stdin(Stdio::null()).env_remove("SHELL").output().unwrap();
        let printed: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&done.stderr)));
        strip(printed.get("local").unwrap_or(&printed), &scratch)
    }

    /// The parts that Salt answered as well.
    pub fn answer(&self, case: &Value, salts: &Value) -> Value {
        let asked: Vec<Value> = order(salts.as_map().into_iter().flat_map(Map::keys).cloned().collect());
        let alone = case
            .to_string()
            .contains("environ.")
            .then(|| ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner));
        let answer = self.runtime.block_on(async {
            let minion = Minion::of(case, &self.series);
            minion.services.refresh_grains().await;
            let _ = agent::pillar::refresh(&minion.services).await;
            let answer = minion.answer(case, asked).await;
            minion.services.tasks.shutdown(std::time::Duration::from_secs(5)).await;
            answer
        });
        if alone.is_some() {
            for name in agent::environment::changed().keys() {
                agent::environment::set(name, None);
            }
        }
        answer
    }
}

impl Minion {
    fn of(case: &Value, series: &str) -> Self {
        let root = tempfile::Builder::new().prefix("case").tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        Self::lay_out(root.path(), case);
        let config = Arc::new(Config::from_options(&at("etc"), options(root.path(), case, series)).unwrap());
        let store = Arc::new(Store::open(&at("store.sqlite")).unwrap());
        let services = Services::new(config, Arc::new(LocalLink), store, Tasks::new());
        Self { root, services }
    }

    /// Writes what the case has on the file server, in the pillar and on the disk; gives the scratch folder.
    fn lay_out(root: &Path, case: &Value) -> PathBuf {
        let at = |name: &str| root.join(name);
        for name in ["files", "pillar", "scratch", "cache", "etc"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let scratch = at("scratch");
        let given = |key: &str| case.get(key).and_then(Value::as_map).cloned().unwrap_or_default();
        let mut files = given("files");
        if let Some(sls) = case.get("a") {
            files.insert("a", sls.clone());
        }
        write(&at("files"), &named(files), &scratch);
        write(&at("pillar"), &named(given("pillar_files")), &scratch);
        write(&scratch, &given("disk"), &scratch);
        scratch
    }

    fn scratch(&self) -> PathBuf {
        self.root.path().join("scratch")
    }

    async fn answer(&self, case: &Value, asked: Vec<Value>) -> Value {
        let mut kwargs = Map::new();
        if let Some(pillar) = case.get("pillar") {
            kwargs.insert("pillar", own(pillar, &self.scratch()));
        }
        if let Some(Value::List(calls)) = case.get("calls") {
            return self.calls(calls).await;
        }
        let mods: Vec<Value> =
            case.get("sls").and_then(Value::as_list).map_or_else(|| vec!["a".into()], <[Value]>::to_vec);
        let highstate = case.get("highstate").is_some();
        let args = || if highstate { Vec::new() } else { vec![Value::List(mods.clone())] };
        let (high, low, run) = match highstate {
            true => ("state.show_highstate", "state.show_lowstate", "state.highstate"),
            false => ("state.show_sls", "state.show_low_sls", "state.sls"),
        };
        let shown = kwargs.clone();
        if let Some(exclude) = case.get("exclude") {
            kwargs.insert("exclude", exclude.clone());
        }
        let mut dry = kwargs.clone();
        dry.insert("test", true);
        let mut answer = Map::new();
        for part in asked {
            let value = match part.as_str() {
                Some("high") => self.call(high, args(), shown.clone()).await,
                Some("low") => self.call(low, args(), shown.clone()).await,
                Some("top") => self.call("state.show_top", Vec::new(), Map::new()).await,
                Some("test") => self.call(run, args(), dry.clone()).await,
                Some("disk") => self.tree(),
                _ => self.call(run, args(), kwargs.clone()).await,
            };
            answer.insert(part, value);
        }
        answer.into()
    }

    async fn calls(&self, calls: &[Value]) -> Value {
        let mut answers = Vec::new();
        for call in calls {
            let Value::List(parts) = own(call, &self.scratch()) else { panic!("a call is a list: {call}") };
            let [fun, args @ .., Value::Map(kwargs)] = parts.as_slice() else {
                panic!("fun, args, kwargs: {call}")
            };
            answers.push(self.call(&fun.to_string(), args.to_vec(), kwargs.clone()).await);
        }
        Value::Map(map([("calls", answers.into())]))
    }

    async fn call(&self, fun: &str, args: Vec<Value>, kwargs: Map) -> Value {
        let services = Arc::clone(&self.services);
        let context = CallContext::new(Arc::clone(&services), services.tasks.token());
        let value = match services.modules.call(fun, args, kwargs, &context).await {
            Ok(value) => value,
            Err(error) => Value::Map(map([("__exception__", said(&error).into())])),
        };
        // Through JSON, as salt-call prints it.
        let text = json::dump(&value, &json::Layout { indent: None, sort_keys: false, ascii: false });
        self.strip(&serde_json::from_str(&text).unwrap())
    }

    fn strip(&self, value: &Value) -> Value {
        strip(value, &self.scratch())
    }

    fn tree(&self) -> Value {
        let mut found = Map::new();
        let scratch = self.scratch();
        let mut open = vec![scratch.clone()];
        while let Some(folder) = open.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let short = path.strip_prefix(&scratch).unwrap().to_string_lossy().into_owned();
                let meta = fs::symlink_metadata(&path).unwrap();
                let mode = meta.permissions().mode() & 0o7777;
                let shown = if meta.is_symlink() {
                    format!("-> {}", fs::read_link(&path).unwrap().display())
                } else if meta.is_dir() {
                    open.push(path);
                    format!("dir {mode:o}")
                } else {
                    format!("{mode:o} {}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
                };
                found.insert(short, shown);
            }
        }
        self.strip(&found.into())
    }
}

/// Leaves out what differs from run to run.
#[expect(clippy::wildcard_enum_match_arm, reason = "only collections and texts need a change")]
fn strip(value: &Value, scratch: &Path) -> Value {
    match value {
        Value::Map(map) => {
            let pairs = map
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), Some("start_time" | "duration" | "pid")));
            Value::Map(pairs.map(|(key, value)| (strip(key, scratch), strip(value, scratch))).collect())
        }
        Value::List(items) => Value::List(items.iter().map(|item| strip(item, scratch)).collect()),
        Value::Str(text) => text.replace(&*scratch.to_string_lossy(), "@ROOT@").into(),
        other => other.clone(),
    }
}

/// The parts in the order in which they are asked.
fn order(mut parts: Vec<Value>) -> Vec<Value> {
    const ORDER: [&str; 7] = ["high", "low", "top", "test", "ret", "disk", "again"];
    parts.sort_by_key(|part| ORDER.iter().position(|known| part.as_str() == Some(*known)));
    parts
}

/// What Salt's caller raises says the exception's own words.
fn said(error: &ModuleError) -> String {
    error.to_string()
}

fn options(root: &Path, case: &Value, series: &str) -> Map {
    let at = |name: &str| Value::from(root.join(name).to_string_lossy().into_owned());
    let grains = states::yaml::load("{role: web, site: {rooms: [1, 2]}}").unwrap();
    let mut grains = grains.as_map().cloned().unwrap();
    grains.extend(case.get("grains").and_then(Value::as_map).cloned().unwrap_or_default());
    let mut opts = map([
        ("id", "m1".into()),
        ("file_client", "local".into()),
        ("root_dir", at("")),
        ("pki_dir", at("pki")),
        ("cachedir", at("cache")),
        ("grains", grains.into()),
    ]);
    let roots = map([("base", vec![at("files")].into()), ("dev", vec![at("files/_dev")].into())]);
    opts.insert("file_roots", roots);
    opts.insert("pillar_roots", map([("base", vec![at("pillar")].into())]));
    opts.extend(case.get("conf").and_then(Value::as_map).cloned().unwrap_or_default());
    let mut own = opts.get("agent").and_then(Value::as_map).cloned().unwrap_or_default();
    own.insert("salt_series", series);
    own.insert("allow_commands", true);
    own.insert("data_dir", at("data"));
    opts.insert("agent", own);
    opts
}

/// A name without an ending is an SLS.
fn named(files: Map) -> Map {
    let name = |path: String| if path.contains('.') { path } else { format!("{path}.sls") };
    files.into_iter().map(|(path, text)| (name(path.to_string()), text)).collect()
}

fn write(root: &Path, files: &Map, scratch: &Path) {
    for (path, text) in files {
        let path = root.join(own(path, scratch).to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(archive) = text.get("base64") {
            fs::write(&path, STANDARD.decode(archive.to_string()).unwrap()).unwrap();
            continue;
        }
        match (own(text, scratch), text.get("link")) {
            (_, Some(to)) => symlink(own(to, scratch).to_string(), &path).unwrap(),
            (Value::Map(_), None) => fs::create_dir_all(&path).unwrap(),
            (text, None) => fs::write(&path, text.to_string()).unwrap(),
        }
    }
}

/// Puts the scratch folder for its word.
#[expect(clippy::wildcard_enum_match_arm, reason = "only collections and texts need a change")]
fn own(value: &Value, scratch: &Path) -> Value {
    match value {
        Value::Map(map) => {
            Value::Map(map.iter().map(|(key, value)| (own(key, scratch), own(value, scratch))).collect())
        }
        Value::List(items) => Value::List(items.iter().map(|item| own(item, scratch)).collect()),
        Value::Str(text) => text.replace("@ROOT@", &scratch.to_string_lossy()).replace("@I@", "").into(),
        other => other.clone(),
    }
}
