//! Changes to files: content, names, links, folders, owners and modes. Held to the local policy's writable folders.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use states::Value;

use super::{absolute, map, may_write, os_text, path, paths, reason, shown, uncaught};
use crate::{
    config::Config,
    modules::{Arguments, ModuleError},
};

pub(super) fn answer(fun: &str, args: &Arguments, config: &Config) -> Result<Option<Value>, ModuleError> {
    Ok(Some(match fun {
        "touch" => touch(args, config)?,
        "write" | "append" | "prepend" => lines(fun, args, config)?,
        "truncate" => truncate(args, config)?,
        "seek_write" => seek_write(args, config)?,
        "remove" => remove(args, config)?,
        "rmdir" => rmdir(args, config)?,
        "mkdir" => mkdir(args, config)?,
        "makedirs" => makedirs(args, config)?,
        "rename" | "move" => rename(fun, args, config)?,
        "copy" => copy(args, config)?,
        _ => return links::answer(fun, args, config),
    }))
}

const NOT_ABSOLUTE: &str = "File path must be absolute.";

fn touch(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let file = path(args, "name")?;
    may_write(config, &file)?;
    let time = |key: &str| match args.get(key) {
        Value::Nil => Ok(SystemTime::now()),
        value => {
            let seconds = value.as_float().or_else(|| value.as_str()?.parse().ok());
            let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let wrong = || ModuleError::Invocation("atime and mtime must be integers".to_owned());
            since.map(|since| SystemTime::UNIX_EPOCH + since).ok_or_else(wrong)
        }
    };
    let times = fs::FileTimes::new().set_accessed(time("atime")?).set_modified(time("mtime")?);
    let options = if file.is_dir() { fs::File::open(&file) } else { opened(&file) };
    let done = options.and_then(|open| open.set_times(times));
    done.map_err(|error| ModuleError::Execution(reason(&error)))?;
    Ok(file.exists().into())
}

fn opened(file: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).open(file)
}

/// `write`, `append` and `prepend`: lines, given one by one or as `args=[..]`.
fn lines(fun: &str, args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let file = path(args, "path")?;
    may_write(config, &file)?;
    let given = match args.keywords.get("args") {
        Some(Value::List(several)) => several.clone(),
        Some(one) => vec![one.clone()],
        None => args.rest.clone(),
    };
    let new: String = given.iter().map(|line| format!("{line}\n")).collect();
    let held = || fs::read_to_string(&file);
    let refuse = |error: std::io::Error| uncaught(&error, &file);
    let whole = match fun {
        "write" => new,
        "prepend" => format!("{new}{}", held().unwrap_or_default()),
        _ => {
            let mut held = held().map_err(refuse)?;
            if !held.is_empty() && !held.ends_with('\n') {
                held.push('\n');
            }
            held + &new
        }
    };
    fs::write(&file, whole).map_err(refuse)?;
    let verb = if fun == "prepend" { "Prepended" } else { "Wrote" };
    Ok(format!("{verb} {} lines to \"{}\"", given.len(), file.display()).into())
}

fn truncate(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let file = path(args, "path")?;
    may_write(config, &file)?;
    let length = u64::try_from(args.integer("length")?).unwrap_or(0);
    let open = fs::OpenOptions::new().write(true).open(&file);
    open.and_then(|open| open.set_len(length)).map_err(|error| uncaught(&error, &file))?;
    Ok(Value::Nil)
}

fn seek_write(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let file = path(args, "path")?;
    may_write(config, &file)?;
    let offset = u64::try_from(args.integer("offset")?).unwrap_or(0);
    let data = match args.get("data") {
        Value::Bytes(bytes) => bytes.clone(),
        other => other.to_string().into_bytes(),
    };
    let write = || {
        let mut open = fs::OpenOptions::new().write(true).open(&file)?;
        open.seek(SeekFrom::Start(offset))?;
        open.write_all(&data)?;
        open.sync_all()
    };
    write().map_err(|error| uncaught(&error, &file))?;
    Ok(Value::Int(i64::try_from(data.len()).unwrap_or(i64::MAX)))
}

fn remove(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let file = path(args, "path")?;
    if !file.is_absolute() {
        return Err(ModuleError::Invocation(format!("File path must be absolute: {}", file.display())));
    }
    let Ok(found) = fs::symlink_metadata(&file) else { return Ok(false.into()) };
    may_write(config, &file)?;
    let removed = if found.is_dir() { fs::remove_dir_all(&file) } else { fs::remove_file(&file) };
    let failed = |error| {
        let text = format!("Could not remove '{}': {}", file.display(), os_text(&error, &file));
        ModuleError::Execution(text)
    };
    removed.map(|()| true.into()).map_err(failed)
}

/// Removes an empty folder; with `recurse`, the empty folders in it as well.
fn rmdir(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let folder = absolute(args, "path", NOT_ABSOLUTE)?;
    if !folder.is_dir() {
        let text = format!("A valid directory was not specified: {}", folder.display());
        return Err(ModuleError::Invocation(text));
    }
    may_write(config, &folder)?;
    let mut wanted = Vec::new();
    if args.truth("recurse") {
        folders_within(&folder, &mut wanted);
    }
    wanted.push(folder);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for folder in wanted {
        match fs::remove_dir(&folder) {
            Ok(()) => deleted.push(Value::from(shown(&folder))),
            Err(error) => {
                errors.push(Value::List(vec![shown(&folder).into(), os_text(&error, &folder).into()]))
            }
        }
    }
    let result = errors.is_empty();
    if !args.truth("verbose") {
        return Ok(result.into());
    }
    Ok(map([("deleted", deleted.into()), ("errors", errors.into()), ("result", result.into())]))
}

/// The folders below a folder, the innermost first.
fn folders_within(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        folders_within(&entry.path(), found);
        found.push(entry.path());
    }
}

fn mkdir(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let folder = path(args, "dir_path")?;
    if !folder.is_dir() {
        may_write(config, &folder)?;
        fs::create_dir_all(&folder).map_err(|error| uncaught(&error, &folder))?;
        links::own(&folder, args)?;
    }
    Ok(true.into())
}

/// Makes the folders above a path; the path itself when it ends with a separator.
fn makedirs(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let given = path(args, "path")?;
    let folder = paths::normal(&paths::split(&shown(&given)).0);
    let folder = Path::new(&folder);
    if folder.is_dir() {
        return Ok(format!("Directory '{}' already exists", folder.display()).into());
    }
    if folder.exists() {
        let text = format!("The path '{}' already exists and is not a directory", folder.display());
        return Ok(text.into());
    }
    may_write(config, folder)?;
    fs::create_dir_all(folder).map_err(|error| uncaught(&error, folder))?;
    links::own(folder, args)?;
    Ok(Value::Nil)
}

fn rename(fun: &str, args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let moved = fun == "move" && !args.truth("disallow_copy_and_unlink");
    let refusal = if moved { "Source path must be absolute." } else { NOT_ABSOLUTE };
    let source = absolute(args, "src", refusal)?;
    let mut target = path(args, "dst")?;
    if moved && !target.is_absolute() {
        return Err(ModuleError::Invocation("Destination path must be absolute.".to_owned()));
    }
    may_write(config, &source)?;
    may_write(config, &target)?;
    let (from, to) = (shown(&source), shown(&target));
    if moved && target.is_dir() {
        target.push(source.file_name().unwrap_or_default());
    }
    match fs::rename(&source, &target) {
        Ok(()) if moved => {
            Ok(map([("result", true.into()), ("comment", format!("'{from}' moved to '{to}'").into())]))
        }
        Ok(()) => Ok(true.into()),
        Err(error) if moved => {
            let text = format!("Unable to move '{from}' to '{to}': {}", os_text(&error, &source));
            Err(ModuleError::Execution(text))
        }
        Err(_) => Err(ModuleError::Execution(format!("Could not rename '{from}' to '{to}'"))),
    }
}

fn copy(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let (source, target) = (absolute(args, "src", NOT_ABSOLUTE)?, path(args, "dst")?);
    if !source.exists() {
        return Err(ModuleError::Execution(format!("No such file or directory '{}'", source.display())));
    }
    super::may_read(config, &source)?;
    may_write(config, &target)?;
    let failed = |_| {
        ModuleError::Execution(format!("Could not copy '{}' to '{}'", source.display(), target.display()))
    };
    if !target.is_dir() && !source.is_dir() {
        return fs::copy(&source, &target).map(|_| true.into()).map_err(failed);
    }
    if !args.truth("recurse") {
        let text = "Cannot copy overwriting a directory without recurse flag set to true!";
        return Err(ModuleError::Invocation(text.to_owned()));
    }
    if args.truth("remove_existing") && target.exists() {
        fs::remove_dir_all(&target).map_err(failed)?;
    }
    copy_tree(&source, &target).map(|()| true.into()).map_err(failed)
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
mod links {
    use super::*;

    pub(super) fn answer(
        _fun: &str,
        _args: &Arguments,
        _config: &Config,
    ) -> Result<Option<Value>, ModuleError> {
        Ok(None)
    }

    pub(super) fn own(_path: &Path, _args: &Arguments) -> Result<(), ModuleError> {
        Ok(())
    }
}

/// Links, owners and modes.
#[cfg(unix)]
mod links {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};

    use super::{
        super::{
            facts::{failed, mode_text},
            owners::Table,
        },
        *,
    };

    pub(super) fn answer(fun: &str, args: &Arguments, config: &Config) -> Result<Option<Value>, ModuleError> {
        Ok(Some(match fun {
            "symlink" => link_to(args, config)?,
            "link" => hard_link(args, config)?,
            "set_mode" => set_mode(args, config)?,
            "chown" | "lchown" | "chgrp" => change_owner(fun, args, config)?,
            _ => return Ok(None),
        }))
    }

    fn link_to(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
        let (source, link) = (args.text("src")?, path(args, "path")?);
        let refuse = |text: String| Err(ModuleError::Execution(text));
        if !link.is_absolute() {
            return Err(ModuleError::Invocation(format!("Link path must be absolute: {}", link.display())));
        }
        let replaced = args.truth("force") || args.truth("atomic");
        if let Ok(held) = fs::read_link(&link) {
            if paths::normal(&shown(&held)) == paths::normal(&source) {
                return Ok(true.into());
            }
            if !replaced {
                return refuse(format!("Found existing symlink: {}", link.display()));
            }
        } else if link.exists() && !replaced {
            return refuse(format!("Existing path is not a symlink: {}", link.display()));
        }
        may_write(config, &link)?;
        if link.is_symlink() || link.exists() {
            fs::remove_file(&link).map_err(|error| uncaught(&error, &link))?;
        }
        match symlink(&source, &link) {
            Ok(()) => Ok(true.into()),
            Err(_) => refuse(format!("Could not create '{}'", link.display())),
        }
    }

    fn hard_link(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
        let (source, link) = (absolute(args, "src", NOT_ABSOLUTE)?, path(args, "path")?);
        may_write(config, &source)?;
        may_write(config, &link)?;
        match fs::hard_link(&source, &link) {
            Ok(()) => Ok(true.into()),
            Err(error) => Err(ModuleError::Execution(format!(
                "Could not create '{}': {} -> '{}'",
                link.display(),
                os_text(&error, &source),
                link.display()
            ))),
        }
    }

    fn set_mode(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
        let (file, given) = (path(args, "path")?, args.text("mode")?);
        let digits = given.trim_start_matches(['0', 'O', 'o']);
        let digits = if digits.is_empty() { "0" } else { digits };
        if !file.exists() {
            return Err(ModuleError::Execution(format!("{}: File not found", file.display())));
        }
        may_write(config, &file)?;
        let mode = u32::from_str_radix(digits, 8).ok().map(fs::Permissions::from_mode);
        match mode.map(|mode| fs::set_permissions(&file, mode)) {
            Some(Ok(())) => {
                let held = fs::metadata(&file).map_err(|error| failed("the mode cannot be read", &error))?;
                Ok(mode_text(held.mode()).into())
            }
            _ => Ok(format!("Invalid Mode {digits}").into()),
        }
    }

    fn change_owner(fun: &str, args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
        let file = path(args, "path")?;
        let user = if fun == "chgrp" { &Value::Nil } else { args.get("user") };
        let group = args.get("group");
        let mut errors = String::new();
        let mut number = |table: Table, given: &Value, text: &str| match table.number(given) {
            None if given.is_truthy() => {
                errors.push_str(text);
                None
            }
            found => found,
        };
        let (uid, gid) = (
            number(Table::Users, user, "User does not exist\n"),
            number(Table::Groups, group, "Group does not exist\n"),
        );
        if fs::symlink_metadata(&file).is_err() {
            errors.push_str("File not found");
        }
        if !errors.is_empty() {
            return Ok(errors.into());
        }
        may_write(config, &file)?;
        let done = if fun == "lchown" { lchown(&file, uid, gid) } else { chown(&file, uid, gid) };
        done.map(|()| Value::Nil).map_err(|error| uncaught(&error, &file))
    }

    /// `user`, `group` and `mode` of a new folder.
    pub(super) fn own(folder: &Path, args: &Arguments) -> Result<(), ModuleError> {
        let refuse = |error: std::io::Error| uncaught(&error, folder);
        if args.get("mode").is_truthy() {
            let digits = args.text("mode")?;
            let mode = u32::from_str_radix(digits.trim_start_matches(['0', 'o', 'O']), 8);
            let wrong = |_| ModuleError::Invocation(format!("{digits:?} is not a file mode"));
            fs::set_permissions(folder, fs::Permissions::from_mode(mode.map_err(wrong)?)).map_err(refuse)?;
        }
        let (uid, gid) = (Table::Users.number(args.get("user")), Table::Groups.number(args.get("group")));
        if uid.is_some() || gid.is_some() {
            chown(folder, uid, gid).map_err(refuse)?;
        }
        Ok(())
    }
}
