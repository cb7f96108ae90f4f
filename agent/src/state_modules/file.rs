//! Salt's `file` state module.
//!
//! `managed` makes one [`plan::Plan`] and applies exactly it; with `test=True` the plan alone makes the return. Files
//! are replaced in one step, never half written. Paths are held to the local policy (`agent: writable_paths`).
//! Comments and changes are Salt's (`salt/states/file.py`, `salt/modules/file.py`).

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use states::{StateReturn, Value};

use crate::{
    command,
    files::{hash_file, is_web},
    modules, policy,
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

mod accumulated;
mod append;
mod comment;
mod content;
mod directory;
mod disk;
mod edit;
mod hardlink;
mod links;
mod moves;
mod options;
mod plan;
mod recurse;
mod serialize;

pub use accumulated::Accumulators;
pub(super) use disk::{Owner, is_there, remove, walk};
use options::{Options, Source};
use plan::Plan;

/// The module.
pub struct File;

impl StateModule for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn functions(&self) -> &'static [&'static str] {
        &[
            "absent",
            "accumulated",
            "append",
            "blockreplace",
            "comment",
            "copy",
            "directory",
            "exists",
            "hardlink",
            "keyvalue",
            "line",
            "managed",
            "missing",
            // A file is checked before it is put in place, so the run leaves `check_cmd` to this module.
            "mod_run_check_cmd",
            "prepend",
            "recurse",
            "rename",
            "replace",
            "serialize",
            "symlink",
            "touch",
            "uncomment",
        ]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let refused = if cfg!(windows) { not_on_windows(fun, args) } else { None };
            if let Some(why) = refused {
                return StateReturn::failed(why);
            }
            let done = match fun {
                "absent" => absent(args, run),
                "accumulated" => accumulated::accumulated(args, run),
                "append" => append::append(args, run).await,
                "blockreplace" => edit::blockreplace(args, run).await,
                "comment" => comment::comment(args, run),
                "copy" => moves::copy(args, run),
                "directory" => directory::directory(args, run).await,
                "exists" | "missing" => presence(fun, args),
                "hardlink" => hardlink::hardlink(args, run),
                "keyvalue" => edit::keyvalue(args, run),
                "line" => edit::line(args, run),
                "managed" => managed(args, run).await,
                "prepend" => append::prepend(args, run).await,
                "recurse" => recurse::recurse(args, run).await,
                "rename" => moves::rename(args, run),
                "replace" => edit::replace(args, run),
                "serialize" => serialize::serialize(args, run),
                "symlink" => links::symlink(args, run),
                "touch" => moves::touch(args, run),
                "uncomment" => comment::uncomment(args, run),
                _ => Err(format!("State 'file.{fun}' was not found")),
            };
            let mut ret = done.unwrap_or_else(StateReturn::failed);
            if cfg!(windows) && args.given("group").is_some() {
                ret.warnings.push(IGNORED_GROUP.to_owned());
            }
            ret
        })
    }
}

/// What Windows does not have, or this minion does not do there: why the state is refused.
fn not_on_windows(fun: &str, args: &StateArgs) -> Option<String> {
    let given = |option: &&str| args.given(option).is_some();
    if let Some(option) =
        ["user", "win_owner", "win_perms", "win_deny_perms"].iter().find(|option| given(option))
    {
        return Some(format!(
            "The '{option}' option is not supported by this minion on Windows, which leaves owners and access lists \
             as they are. Leave the option out there."
        ));
    }
    let modes = ["dir_mode", "file_mode"];
    if fun == "recurse" && modes.iter().any(given) {
        return Some("mode management is not supported on Windows".to_owned());
    }
    None
}

const IGNORED_GROUP: &str = "The 'group' option has been ignored as this is a Windows system.";

async fn managed(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let mut options = Options::read(args)?;
    if let Some(gathered) = run.accumulators.of(&args.name) {
        options.variables.insert("accumulator", gathered);
    }
    if !options.create && !expanded(&args.name).is_file() {
        return Ok(StateReturn::ok(format!("File {} is not present and is not set for creation", args.name)));
    }
    let dry = run.mode == RunMode::Test;
    match disk::Owner::of(options.user.as_deref(), options.group.as_deref()) {
        Ok(_) => {}
        // A state before this one might make them.
        Err(_) if dry => (options.user, options.group) = (None, None),
        Err(why) => return Err(why),
    }
    let path = target(&args.name)?;
    if path.is_dir() {
        return Err(format!("Specified target {} is a directory", args.name));
    }
    allowed(run, &path)?;
    if is_current(&options, args, run, &path).await {
        options.replace = false;
    }
    let content = match content::wanted(&options, args, run).await {
        Err(why) if dry && !why.ends_with("none of the specified sources were found") => {
            return Err(why.trim_start_matches("Unable to manage file: ").to_owned());
        }
        other => other?,
    };
    if options.keep_mode {
        options.mode = content.mode;
    }
    let (name, check) = (args.name.clone(), options.check_cmd.clone());
    let planned = run.services.tasks.blocking(move || Plan::make(name, path, content.bytes, &options)).await;
    let plan = planned.map_err(|error| format!("Unable to manage file: {error}"))??;
    if dry {
        return Ok(plan.predicted());
    }
    if let Some(check) = check.filter(|_| !plan.is_nothing())
        && let Some(refusal) = refused(&check, &plan, args, run).await?
    {
        return Ok(refusal);
    }
    let cachedir = run.services.config.cachedir.clone();
    let applied = run.services.tasks.blocking(move || plan.apply(&cachedir)).await;
    applied.map_err(|error| format!("Unable to manage file: {error}"))?
}

/// Whether the file is what a web source promises, so that nothing need be fetched.
async fn is_current(options: &Options, args: &StateArgs, run: &StateContext, path: &Path) -> bool {
    let Source::Files(sources) = &options.source else { return false };
    let Some(source) = sources.first().filter(|source| is_web(source)) else { return false };
    if !options.replace || options.template.is_some() || options.source_hash.is_none() || !path.is_file() {
        return false;
    }
    let Ok(Some(wanted)) = content::expected(source, options, args, run).await else { return false };
    hash_file(path, wanted.kind()).is_ok_and(|held| held.as_deref() == Some(wanted.hash()))
}

/// Runs `check_cmd` on a copy of the new content; the return when it says no.
async fn refused(
    check: &str,
    plan: &Plan,
    args: &StateArgs,
    run: &StateContext,
) -> Result<Option<StateReturn>, String> {
    let failed = |error: &dyn ToString| format!("Unable to check_cmd file: {}", error.to_string());
    let Some(content) = plan.new_content() else { return Ok(None) };
    let ending = args.text("tmp_ext").unwrap_or_default();
    let folder = args.text("tmp_dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let file =
        tempfile::Builder::new().suffix(&ending).tempfile_in(folder).map_err(|error| failed(&error))?;
    std::fs::write(file.path(), content).map_err(|error| failed(&error))?;
    let line = format!("{check} {}", file.path().display());
    let request = modules::cmd::request(&line.into(), &states::Map::new(), false, true)?;
    let output =
        command::run(&run.services.config, request, &run.cancel).await.map_err(|error| failed(&error))?;
    if output.retcode == 0 {
        return Ok(None);
    }
    let parts = ["check_cmd execution failed", &output.stdout, &output.stderr];
    let said = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    let mut ret = StateReturn::failed(said);
    ret.extra.insert("skip_watch", true);
    Ok(Some(ret))
}

/// A local file with the `source` of a state of another module, fetched and checked by its `source_hash`.
pub(super) async fn cached_source(args: &StateArgs, run: &StateContext) -> Result<PathBuf, String> {
    let known = ["source", "source_hash", "source_hash_name", "skip_verify"];
    let map = known.iter().filter_map(|key| Some((*key, args.given(key)?.clone()))).collect();
    let own = StateArgs { args: map, ..args.clone() };
    let options = Options::read(&own)?;
    content::cached(&options, &own, run).await
}

/// The text of a script that a state of another module names: `source` or the name, rendered when it is a template.
pub(super) async fn script(args: &StateArgs, source: &str, run: &StateContext) -> Result<Vec<u8>, String> {
    let mut own = args.clone();
    own.args.insert("source", source);
    match own.text("template").as_deref() {
        Some("jinja") => Ok(content::templated(&own, run).await?.concat().into_bytes()),
        Some(other) => Err(format!("Specified template format {other} is not supported")),
        None => {
            let file = cached_source(&own, run).await?;
            tokio::fs::read(&file).await.map_err(|error| format!("{}: {error}", file.display()))
        }
    }
}

/// Gives a path to an owner; whether it had another.
pub(super) fn give(path: &Path, owner: Owner) -> std::io::Result<bool> {
    let held = disk::held_owner(path);
    let differs = owner.user.is_some_and(|user| held.user != Some(user))
        || owner.group.is_some_and(|group| held.group != Some(group));
    if differs {
        disk::set_owner(path, owner)?;
    }
    Ok(differs)
}

/// A name with `~` for the own user's folder.
fn expanded(name: &str) -> PathBuf {
    match (name.strip_prefix('~'), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            PathBuf::from(home).join(rest.trim_start_matches('/'))
        }
        (_, _) => PathBuf::from(name),
    }
}

fn target(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("Destination file name is required".to_owned());
    }
    let path = expanded(name);
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
    // A link's own place counts, not where it leads.
    let place = if found.is_symlink() { path.parent().unwrap_or(&path) } else { &path };
    allowed(run, place)?;
    disk::remove(&path).map_err(|error| format!("Failed to remove {name}: {error}"))?;
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
