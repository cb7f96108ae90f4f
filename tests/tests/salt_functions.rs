//! Execution functions, signatures and grains beside those of an unmodified Salt on the same machine.
//!
//! One process of Salt (`tests/salt/functions.py`) answers a list of calls without a master; the agent's modules answer the
//! same list in this process. Both work in a folder of their own with the same content, so that calls that change files can
//! be compared as well. What the agent does otherwise, and why, is listed beside the comparison.
#![expect(clippy::unwrap_used, reason = "every line of this file is a test")]

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use agent::{
    channel::LocalLink,
    config::{Config, Overrides},
    modules::{CallContext, ModuleError},
    services::Services,
    store::Store,
    tasks::Tasks,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{binaries::workspace_root, salt::Series, scratch::Scratch, skip::skipped};
use tokio_util::sync::CancellationToken;

#[path = "salt_functions/calls.rs"]
mod calls;
#[path = "salt_functions/grains.rs"]
mod grains;
#[path = "salt_functions/signatures.rs"]
mod signatures;

/// One call of a function.
#[derive(Clone, Debug)]
struct Call {
    fun: String,
    args: Value,
    kwargs: Value,
}

impl Call {
    fn new(fun: &str, args: Value, kwargs: Value) -> Self {
        Self { fun: fun.to_owned(), args, kwargs }
    }
}

/// A folder with a minion's configuration (`etc`) and a root to work in (`root`).
struct Side {
    scratch: Scratch,
}

impl Side {
    fn new() -> Result<Self> {
        let scratch = Scratch::new()?;
        let path = |name: &str| scratch.join(name).to_string_lossy().into_owned();
        for folder in ["etc", "root/work/sub", "root/work/bin", "root/empty"] {
            std::fs::create_dir_all(scratch.join(folder))?;
        }
        let config = json!({
            "id": "m1", "master": "localhost", "file_client": "local", "root_dir": path("root"), "pki_dir": path("etc/pki"),
            "cachedir": path("root/cache"), "sock_dir": path("root/run"), "log_file": path("log"),
            "extension_modules": path("root/ext"), "sqlite_queue_dir": path("root/queue"), "pidfile": path("pid"),
            "file_roots": { "base": [path("root/srv")] }, "pillar_roots": { "base": [path("root/pillar")] },
            "enable_gpu_grains": false, "enable_fqdns_grains": false,
            "grains": { "practice": "dolphin", "rooms": ["red", "blue"], "site": { "state": "TX", "chairs": 4 } },
            "agent": { "data_dir": path("data"), "allow_commands": true },
        });
        std::fs::write(scratch.join("etc/minion"), serde_json::to_string_pretty(&config)?)?;
        std::fs::write(scratch.join("root/work/lines.txt"), "one\ntwo three\nfour\n")?;
        std::fs::write(scratch.join("root/work/bare.txt"), "no line break")?;
        std::fs::write(scratch.join("root/work/sub/deep.conf"), "x = 1\n")?;
        let tool = scratch.join("root/work/bin/tool");
        std::fs::write(&tool, "#!/bin/sh\necho tool\n")?;
        std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        std::os::unix::fs::symlink("lines.txt", scratch.join("root/work/link"))?;
        Ok(Self { scratch })
    }

    fn root(&self) -> String {
        self.scratch.join("root").to_string_lossy().into_owned()
    }

    /// The agent's answers: `{"ret": ..}` or `{"error": [class, text]}`, as the Salt side gives them.
    async fn agent(&self, calls: &[Call]) -> Result<Vec<Value>> {
        let config = Arc::new(Config::load(
            &self.scratch.join("etc"),
            &Overrides { local: true, ..Overrides::default() },
        )?);
        let store = Arc::new(Store::open(&self.scratch.join("data/store.sqlite"))?);
        let services = Services::new(config, Arc::new(LocalLink), store, Tasks::new());
        services.refresh_grains().await;
        let call = CallContext::new(Arc::clone(&services), CancellationToken::new());
        let mut answers = Vec::new();
        for wanted in calls {
            let args: Vec<states::Value> = serde_json::from_value(wanted.args.clone())?;
            let kwargs: states::Map = serde_json::from_value(wanted.kwargs.clone())?;
            answers.push(match services.modules.call(&wanted.fun, args, kwargs, &call).await {
                Ok(value) => json!({ "ret": plain(&value) }),
                Err(error) => json!({ "error": [class(&error), error_text(&error)] }),
            });
        }
        Ok(answers)
    }

    /// Salt's answers to the same calls.
    fn salt(&self, series: Series, calls: &[Call]) -> Result<Vec<Value>> {
        let asked: Vec<Value> = calls
            .iter()
            .map(|call| json!({ "fun": call.fun, "args": call.args, "kwargs": call.kwargs }))
            .collect();
        let mut child = Command::new(series.bin().join("python"))
            .arg(workspace_root().join("tests/salt/functions.py"))
            .arg(self.scratch.join("etc"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = serde_json::to_vec(&asked)?;
        std::io::Write::write_all(&mut child.stdin.take().context("no stdin")?, &input)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).with_context(|| format!("Salt said:\n{said}"))
    }
}

/// A JSON picture of a value, bytes as the Salt side shows them.
fn plain(value: &states::Value) -> Value {
    match value {
        states::Value::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "__bytes__": digits })
        }
        states::Value::List(items) => items.iter().map(plain).collect(),
        states::Value::Map(map) => map.iter().map(|(key, value)| (key.to_string(), plain(value))).collect(),
        states::Value::Nil
        | states::Value::Bool(_)
        | states::Value::Int(_)
        | states::Value::Float(_)
        | states::Value::Str(_) => json!(value),
    }
}

fn class(error: &ModuleError) -> &'static str {
    match error {
        ModuleError::NotAvailable { .. } => "NotAvailable",
        ModuleError::Execution(_) => "CommandExecutionError",
        ModuleError::Invocation(_) => "SaltInvocationError",
        ModuleError::Arguments(_) => "TypeError",
        ModuleError::Exception { class, .. } => class,
        ModuleError::Cancelled => "Cancelled",
    }
}

fn error_text(error: &ModuleError) -> String {
    match error {
        ModuleError::Exception { message, .. } => message.clone(),
        ModuleError::NotAvailable { .. }
        | ModuleError::Execution(_)
        | ModuleError::Invocation(_)
        | ModuleError::Arguments(_)
        | ModuleError::Cancelled => error.to_string(),
    }
}

/// Runs a case with the series that is installed, or says why it cannot.
fn with_salt(name: &str, case: impl FnOnce(Series) -> Result<()>) {
    let series = Series::S3008;
    match series.installed() {
        Ok(()) => case(series).unwrap_or_else(|error| panic!("{error:#}")),
        Err(why) => skipped(name, &why).unwrap(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// The text of a path below a side's root, as it was before the root was chosen.
fn without_root(value: &Value, root: &str) -> Value {
    match value {
        Value::String(text) => json!(text.replace(root, "@")),
        Value::Array(items) => items.iter().map(|item| without_root(item, root)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, item)| (key.replace(root, "@"), without_root(item, root))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The same with `@` replaced by a root.
fn with_root(value: &Value, root: &str) -> Value {
    match value {
        Value::String(text) => json!(text.replace('@', root)),
        Value::Array(items) => items.iter().map(|item| with_root(item, root)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), with_root(item, root))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// What a value is made of: names and kinds, no figures.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("nothing"),
        Value::Bool(_) => json!("truth"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(items) => items.first().map_or_else(|| json!([]), |first| json!([shape(first)])),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), shape(item))).collect(),
    }
}

fn exists(path: &Path) -> Result<()> {
    ensure!(path.exists(), "{} is missing", path.display());
    Ok(())
}
