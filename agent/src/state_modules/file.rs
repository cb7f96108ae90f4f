//! Salt's `file` state module: files with a given content and mode.
//!
//! `managed` makes one [`plan::Plan`] and applies exactly it; with `test=True` the plan alone makes the return. Files
//! are replaced in one step, never half written. Paths are held to the local policy (`agent: writable_paths`).
//! Comments and changes are Salt's (`salt/states/file.py`, `salt/modules/file.py`).

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use states::{StateReturn, Value};

use crate::{
    policy,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

mod content;
mod diff;
mod options;
mod plan;

use options::Options;
use plan::Plan;

/// The module.
pub struct File;

impl StateModule for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["absent", "exists", "managed", "missing"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let done = match fun {
                "managed" => managed(args, run).await,
                "absent" => absent(args, run),
                "exists" | "missing" => presence(fun, args),
                _ => Err(format!("State 'file.{fun}' was not found")),
            };
            done.unwrap_or_else(StateReturn::failed)
        })
    }
}

async fn managed(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let options = Options::read(args)?;
    let path = target(&args.name)?;
    if path.is_dir() {
        return Err(format!("Specified target {} is a directory", args.name));
    }
    let dry = run.mode == RunMode::Test;
    if !options.create && !path.is_file() {
        return Ok(StateReturn::ok(format!("File {} is not present and is not set for creation", args.name)));
    }
    allowed(run, &path)?;
    let content = match content::wanted(&options, args, run).await {
        Err(why) if dry => return Err(why.trim_start_matches("Unable to manage file: ").to_owned()),
        other => other?,
    };
    let name = args.name.clone();
    let planned = run.services.tasks.blocking(move || Plan::make(name, path, content, &options)).await;
    let plan = planned.map_err(|error| format!("Unable to manage file: {error}"))??;
    if dry {
        return Ok(plan.predicted());
    }
    let applied = run.services.tasks.blocking(move || plan.apply()).await;
    applied.map_err(|error| format!("Unable to manage file: {error}"))?
}

fn target(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("Destination file name is required".to_owned());
    }
    let path = PathBuf::from(name);
    if path.is_absolute() { Ok(path) } else { Err(format!("Specified file {name} is not an absolute path")) }
}

fn allowed(run: &StateContext, path: &Path) -> Result<(), String> {
    policy::may_write(&run.services.config, path).map_err(|error| error.to_string())
}

fn absent(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let (name, path) = (&args.name, target(&args.name)?);
    if path == Path::new("/") {
        return Err("Refusing to make \"/\" absent".to_owned());
    }
    let Ok(found) = std::fs::symlink_metadata(&path) else {
        return Ok(StateReturn::ok(format!("File {name} is not present")));
    };
    let changes = [("removed", name.as_str())].into_iter().collect();
    let kind = if found.is_dir() { "Directory" } else { "File" };
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("{kind} {name} is set for removal"), changes));
    }
    allowed(run, &path)?;
    let removed = if found.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    removed.map_err(|error| format!("Failed to remove {name}: {error}"))?;
    let kind = if found.is_dir() { "directory" } else { "file" };
    Ok(StateReturn::changed(format!("Removed {kind} {name}"), changes))
}

fn presence(fun: &str, args: &StateArgs) -> Result<StateReturn, String> {
    let (name, there) = (&args.name, target(&args.name)?.exists());
    match (fun, there) {
        ("exists", true) => Ok(StateReturn::ok(format!("Path {name} exists"))),
        ("exists", false) => Err(format!("Specified path {name} does not exist")),
        (_, true) => Err(format!("Specified path {name} exists")),
        (_, false) => Ok(StateReturn::ok(format!("Path {name} is missing"))),
    }
}

/// A value as Python would print it in a file.
fn text(value: &Value) -> String {
    value.to_string()
}
