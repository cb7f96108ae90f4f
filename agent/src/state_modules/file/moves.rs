//! `file.copy`, `file.rename` and `file.touch`.

use std::path::{Path, PathBuf};

use states::{Map, StateReturn};

use super::{
    allowed,
    disk::{self, Permissions},
    expanded, target,
};
use crate::{
    policy,
    state_modules::{RunMode, StateArgs, StateContext},
};

/// The source, which must not be one that may not be read.
fn source(args: &StateArgs, run: &StateContext, fun: &str) -> Result<PathBuf, String> {
    let source =
        args.text("source").ok_or_else(|| format!("Missing parameter source for state file.{fun}"))?;
    let path = expanded(&source);
    policy::may_read(&run.services.config, &path).map_err(|error| error.to_string())?;
    Ok(path)
}

fn folder_for(path: &Path, makedirs: bool, mode: u32) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if folder.is_dir() {
        return Ok(());
    }
    if !makedirs {
        return Err(format!("The target directory {} is not present", folder.display()));
    }
    disk::make_folders(folder, mode).map_err(|error| format!("{}: {error}", folder.display()))
}

pub(super) fn copy(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let mut path = target(&args.name)?;
    let source = source(args, run, "copy")?;
    let (from, dry) = (source.display().to_string(), run.mode == RunMode::Test);
    if !source.exists() {
        return Err(format!("Source file \"{from}\" is not present"));
    }
    let (preserve, force) = (args.flag("preserve", false), args.flag("force", false));
    let permissions = wanted(args, &source, preserve)?;
    if path.is_dir() && args.flag("subdir", false) {
        path = path.join(source.file_name().unwrap_or_default());
    }
    let name = path.display().to_string();
    let mut comment = format!("Copied \"{from}\" to \"{}\"", args.name);
    let there = disk::is_there(&path);
    if there && !force {
        return Ok(StateReturn::ok(format!("The target file \"{name}\" exists and will not be overwritten")));
    }
    if there && path.is_file() && same_content(&path, &source) {
        comment.push_str(" - files are identical but force flag is set");
    }
    if dry {
        let comment = format!("File \"{from}\" is set to be copied to \"{name}\"");
        return Ok(StateReturn::would_change(comment, Map::new()));
    }
    allowed(run, &path)?;
    if there {
        disk::remove(&path)
            .map_err(|_| format!("Failed to delete \"{name}\" in preparation for forced move"))?;
    }
    let dir_mode = args.text("dir_mode").map(|mode| disk::octal(&mode)).transpose()?;
    let wished = args.text("mode").map(|mode| disk::octal(&mode)).transpose()?;
    folder_for(&path, args.flag("makedirs", false), dir_mode.unwrap_or_else(|| disk::dir_mode(wished)))?;
    let failed = |_| format!("Failed to copy \"{from}\" to \"{name}\"");
    copied(&source, &path).map_err(failed)?;
    let mut changes: Map = [(name.as_str(), from.as_str())].into_iter().collect();
    if !preserve {
        changes.extend(permissions.enforce(&path).map_err(failed)?);
    }
    Ok(StateReturn::changed(comment, changes))
}

fn wanted(args: &StateArgs, source: &Path, preserve: bool) -> Result<Permissions, String> {
    if preserve || cfg!(windows) {
        return Ok(Permissions::default());
    }
    let mode = args.text("mode").map(|mode| disk::octal(&mode)).transpose()?;
    let user = args.text("user").unwrap_or_else(disk::own_user);
    let group = args.text("group").unwrap_or_else(|| disk::group_of(&user));
    Permissions::of(Some(user), Some(group), mode.or_else(|| disk::held_mode(source)))
}

fn same_content(one: &Path, other: &Path) -> bool {
    match (std::fs::read(one), std::fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        (_, _) => false,
    }
}

fn copied(source: &Path, path: &Path) -> std::io::Result<()> {
    if !source.is_dir() {
        return std::fs::copy(source, path).map(drop);
    }
    std::fs::create_dir(path)?;
    for from in disk::walk(source, None) {
        let to = path.join(from.strip_prefix(source).unwrap_or(&from));
        if disk::is_link(&from) {
            link(&std::fs::read_link(&from)?, &to)?;
        } else if from.is_dir() {
            std::fs::create_dir_all(&to)?;
        } else {
            if let Some(folder) = to.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(windows)]
fn link(to: &Path, at: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(to, at)
}

pub(super) fn rename(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let (name, path) = (&args.name, target(&args.name)?);
    let source = source(args, run, "rename")?;
    let from = source.display().to_string();
    if !disk::is_there(&source) {
        return Ok(StateReturn::ok(format!("Source file \"{from}\" has already been moved out of place")));
    }
    let there = disk::is_there(&path);
    if there && !args.flag("force", false) {
        return Ok(StateReturn::ok(format!("The target file \"{name}\" exists and will not be overwritten")));
    }
    if run.mode == RunMode::Test {
        let comment = format!("File \"{from}\" is set to be moved to \"{name}\"");
        return Ok(StateReturn::would_change(comment, Map::new()));
    }
    allowed(run, &path)?;
    allowed(run, &source)?;
    if there {
        disk::remove(&path)
            .map_err(|_| format!("Failed to delete \"{name}\" in preparation for forced move"))?;
    }
    folder_for(&path, args.flag("makedirs", false), 0o755)?;
    let moved = std::fs::rename(&source, &path)
        .or_else(|_| copied(&source, &path).and_then(|()| disk::remove(&source)));
    moved.map_err(|_| format!("Failed to move \"{from}\" to \"{name}\""))?;
    let changes = [(name.as_str(), from.as_str())].into_iter().collect();
    Ok(StateReturn::changed(format!("Moved \"{from}\" to \"{name}\""), changes))
}

pub(super) fn touch(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let (name, path) = (&args.name, target(&args.name)?);
    let times =
        ["atime", "mtime"].map(|key| args.given(key).and_then(|value| value.to_string().parse::<i64>().ok()));
    let new = || -> Map { [("new", name.as_str())].into_iter().collect() };
    if run.mode == RunMode::Test {
        return Ok(if !path.exists() {
            StateReturn::would_change(format!("File {name} is set to be created"), new())
        } else if times.iter().any(Option::is_some) {
            let touched = [("touched", name.as_str())].into_iter().collect();
            StateReturn::would_change(format!("Times set to be updated on file {name}"), touched)
        } else {
            let comment = format!("File {name} exists and has the correct times");
            StateReturn { changes: new().into(), ..StateReturn::ok(comment) }
        });
    }
    allowed(run, &path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        if !args.flag("makedirs", false) {
            return Err(format!("Directory not present to touch file {name}"));
        }
        disk::make_folders(folder, 0o755).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let existed = path.exists();
    set_times(&path, times).map_err(|error| format!("{name}: {error}"))?;
    Ok(if existed {
        let kind = if path.is_dir() { "directory" } else { "file" };
        let touched = [("touched", name.as_str())].into_iter().collect();
        StateReturn::changed(format!("Updated times on {kind} {name}"), touched)
    } else {
        StateReturn::changed(format!("Created empty file {name}"), new())
    })
}

/// Without a time given, both become the present.
fn set_times(path: &Path, [atime, mtime]: [Option<i64>; 2]) -> std::io::Result<()> {
    use std::time::{Duration, SystemTime};
    let at = |time: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0));
    let now = SystemTime::now();
    let file = match path.is_dir() {
        true => std::fs::File::open(path)?,
        false => std::fs::OpenOptions::new().append(true).create(true).open(path)?,
    };
    let times = std::fs::FileTimes::new()
        .set_accessed(atime.or(mtime).map_or(now, at))
        .set_modified(mtime.or(atime).map_or(now, at));
    file.set_times(times)
}
