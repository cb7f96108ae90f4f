//! Facts of files: existence, kind, owner, mode, times, hashes, names in a folder.
#![cfg_attr(
    unix,
    expect(
        clippy::wildcard_enum_match_arm,
        reason = "data is asked for the shape it can have here; any other is one case"
    )
)]

use std::{fs, path::Path};

#[cfg(unix)]
use states::Map;
use states::Value;

use super::{absolute, find, path, shown, uncaught};
#[cfg(unix)]
use super::{map, reason};
use crate::{
    files::hash_file,
    modules::{Arguments, ModuleError},
};

pub(super) fn answer(fun: &str, args: &Arguments) -> Result<Option<Value>, ModuleError> {
    Ok(Some(match fun {
        "file_exists" => path(args, "path")?.is_file().into(),
        "directory_exists" => path(args, "path")?.is_dir().into(),
        "path_exists_glob" => (!find::globbed(&path(args, "path")?).is_empty()).into(),
        "is_link" => path(args, "path")?.is_symlink().into(),
        "readdir" => readdir(args)?,
        "readlink" => readlink(args)?,
        "find" => find::find(args)?,
        "diskusage" => find::disk_usage(&path(args, "path")?).into(),
        "get_hash" | "get_sum" => {
            let (file, form) = (path(args, "path")?, args.text("form")?);
            hash(&file, &form)?.into()
        }
        "check_hash" => check_hash(args)?,
        _ => return unix::answer(fun, args),
    }))
}

fn readdir(args: &Arguments) -> Result<Value, ModuleError> {
    let folder = absolute(args, "path", "Dir path must be absolute.")?;
    if !folder.is_dir() {
        let text = format!("A valid directory was not specified: {}", folder.display());
        return Err(ModuleError::Invocation(text));
    }
    let entries = fs::read_dir(&folder).map_err(|error| uncaught(&error, &folder))?;
    let names = entries.flatten().map(|entry| Value::from(entry.file_name().to_string_lossy().into_owned()));
    Ok([".", ".."].map(Value::from).into_iter().chain(names).collect::<Vec<_>>().into())
}

fn readlink(args: &Arguments) -> Result<Value, ModuleError> {
    let link = path(args, "path")?;
    if !link.is_absolute() {
        return Err(ModuleError::Invocation(format!("Path to link must be absolute: {}", link.display())));
    }
    if !link.is_symlink() {
        return Err(ModuleError::Invocation(format!("A valid link was not specified: {}", link.display())));
    }
    let target = if args.truth("canonicalize") { fs::canonicalize(&link) } else { fs::read_link(&link) };
    target.map(|target| shown(&target).into()).map_err(|error| uncaught(&error, &link))
}

pub(super) fn hash(file: &Path, form: &str) -> Result<String, ModuleError> {
    let found = hash_file(file, form).map_err(|error| match std::fs::File::open(file) {
        Err(error) => uncaught(&error, file),
        Ok(_) => ModuleError::Execution(error.to_string()),
    })?;
    found.ok_or_else(|| ModuleError::Exception {
        class: "ValueError",
        message: format!("Invalid hash type: {form}"),
    })
}

fn check_hash(args: &Arguments) -> Result<Value, ModuleError> {
    let Some(given) = args.get("file_hash").as_str() else {
        return Err(ModuleError::Invocation("hash must be a string".to_owned()));
    };
    let (form, wanted) = match given.split_once([':', '=']) {
        Some((form, wanted)) => (form, wanted),
        None => match HASH_LENGTHS.iter().find(|(length, _)| *length == given.len()) {
            Some((_, form)) => (*form, given),
            None => {
                let known: Vec<String> =
                    HASH_LENGTHS.iter().map(|(length, form)| format!("{form} ({length})")).collect();
                return Err(ModuleError::Invocation(format!(
                    "Hash {given} (length: {}) could not be matched to a supported hash type. The supported hash types and lengths are: {}",
                    given.len(),
                    known.join(", ")
                )));
            }
        },
    };
    Ok((hash(&path(args, "path")?, form)? == wanted).into())
}

const HASH_LENGTHS: [(usize, &str); 4] = [(40, "sha1"), (64, "sha256"), (96, "sha384"), (128, "sha512")];

#[cfg(not(unix))]
mod unix {
    use super::*;

    pub(super) fn answer(_fun: &str, _args: &Arguments) -> Result<Option<Value>, ModuleError> {
        Ok(None)
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    use super::{super::owners::Table, *};

    pub(super) fn answer(fun: &str, args: &Arguments) -> Result<Option<Value>, ModuleError> {
        let kind = |name: &str, is: fn(&fs::FileType) -> bool| -> Result<Value, ModuleError> {
            Ok(fs::metadata(path(args, name)?).is_ok_and(|found| is(&found.file_type())).into())
        };
        Ok(Some(match fun {
            "stats" => stats(args)?.into(),
            "get_mode" => fact("mode", args)?,
            "get_uid" => fact("uid", args)?,
            "get_gid" => fact("gid", args)?,
            "get_user" => fact("user", args)?,
            "get_group" => fact("group", args)?,
            "lstat" => lstat(args)?,
            "statvfs" => statvfs(args)?,
            "access" => access(args)?,
            "is_hardlink" => {
                let file = absolute(args, "path", "Path to file must be absolute.")?;
                fs::symlink_metadata(file).is_ok_and(|found| found.nlink() > 1).into()
            }
            "is_fifo" => kind("name", FileTypeExt::is_fifo)?,
            "is_blkdev" => kind("name", FileTypeExt::is_block_device)?,
            "is_chrdev" => kind("name", FileTypeExt::is_char_device)?,
            "uid_to_user" => named(Table::Users, args.get("uid")),
            "gid_to_group" => named(Table::Groups, args.get("gid")),
            "user_to_uid" => numbered(Table::Users, args.get("user")),
            "group_to_gid" => numbered(Table::Groups, args.get("group")),
            _ => return Ok(None),
        }))
    }

    fn named(table: Table, given: &Value) -> Value {
        table.number(given).map_or_else(|| "".into(), |number| table.name(number))
    }

    fn numbered(table: Table, given: &Value) -> Value {
        table.number(given).map_or_else(|| "".into(), |number| Value::Int(i64::from(number)))
    }

    fn fact(key: &str, args: &Arguments) -> Result<Value, ModuleError> {
        Ok(stats(args)?.remove(key).unwrap_or_default())
    }

    /// A file mode as Salt shows it: four octal digits.
    pub(in super::super) fn mode_text(mode: u32) -> String {
        format!("{:04o}", mode & 0o7777)
    }

    fn stats(args: &Arguments) -> Result<Map, ModuleError> {
        let file = path(args, "path")?;
        let follow = args.keyword("follow_symlinks").is_none_or(Value::is_truthy);
        let found = if follow && file.exists() { fs::metadata(&file) } else { fs::symlink_metadata(&file) };
        let missing = || ModuleError::Execution(format!("Path not found: {}", file.display()));
        let found = found.map_err(|_| missing())?;
        let seconds = |whole: i64, nanos: i64| {
            #[expect(clippy::cast_precision_loss, reason = "Python gives times as floats as well")]
            Value::Float(whole as f64 + nanos as f64 * 1e-9)
        };
        let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let target = if follow { fs::canonicalize(&file).ok() } else { None };
        let mut shown_facts: Map = [
            ("inode", whole(found.ino())),
            ("uid", Value::Int(i64::from(found.uid()))),
            ("gid", Value::Int(i64::from(found.gid()))),
            ("group", Table::Groups.name(found.gid())),
            ("user", Table::Users.name(found.uid())),
            ("atime", seconds(found.atime(), found.atime_nsec())),
            ("mtime", seconds(found.mtime(), found.mtime_nsec())),
            ("ctime", seconds(found.ctime(), found.ctime_nsec())),
            ("size", whole(found.size())),
            ("mode", mode_text(found.mode()).into()),
        ]
        .into_iter()
        .collect();
        if let Some(form) = args.keyword("hash_type").filter(|form| form.is_truthy()) {
            shown_facts.insert("sum", hash(&file, &form.to_string())?);
        }
        shown_facts.insert("type", kind_name(found.file_type()));
        shown_facts.insert("target", shown(&target.unwrap_or_else(|| file.clone())));
        Ok(shown_facts)
    }

    fn kind_name(kind: fs::FileType) -> &'static str {
        match () {
            () if kind.is_dir() => "dir",
            () if kind.is_char_device() => "char",
            () if kind.is_block_device() => "block",
            () if kind.is_symlink() => "link",
            () if kind.is_fifo() => "pipe",
            () if kind.is_socket() => "socket",
            () => "file",
        }
    }

    fn lstat(args: &Arguments) -> Result<Value, ModuleError> {
        let file = absolute(args, "path", "Path to file must be absolute.")?;
        let Ok(found) = fs::symlink_metadata(&file) else { return Ok(Map::new().into()) };
        let seconds = |whole: i64, nanos: i64| {
            #[expect(clippy::cast_precision_loss, reason = "Python gives times as floats as well")]
            Value::Float(whole as f64 + nanos as f64 * 1e-9)
        };
        let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        Ok(map([
            ("st_atime", seconds(found.atime(), found.atime_nsec())),
            ("st_ctime", seconds(found.ctime(), found.ctime_nsec())),
            ("st_gid", Value::Int(i64::from(found.gid()))),
            ("st_mode", Value::Int(i64::from(found.mode()))),
            ("st_mtime", seconds(found.mtime(), found.mtime_nsec())),
            ("st_nlink", whole(found.nlink())),
            ("st_size", whole(found.size())),
            ("st_uid", Value::Int(i64::from(found.uid()))),
        ]))
    }

    fn statvfs(args: &Arguments) -> Result<Value, ModuleError> {
        let file = absolute(args, "path", "File path must be absolute.")?;
        let refused = |_| ModuleError::Execution(format!("Could not statvfs '{}'", file.display()));
        let found = rustix::fs::statvfs(&file).map_err(refused)?;
        let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        Ok(map([
            ("f_bavail", whole(found.f_bavail)),
            ("f_bfree", whole(found.f_bfree)),
            ("f_blocks", whole(found.f_blocks)),
            ("f_bsize", whole(found.f_bsize)),
            ("f_favail", whole(found.f_favail)),
            ("f_ffree", whole(found.f_ffree)),
            ("f_files", whole(found.f_files)),
            ("f_flag", whole(found.f_flag.bits())),
            ("f_frsize", whole(found.f_frsize)),
            ("f_namemax", whole(found.f_namemax)),
        ]))
    }

    /// Whether this process may use a file. Asked by trying, not by reckoning with modes.
    fn access(args: &Arguments) -> Result<Value, ModuleError> {
        let file = absolute(args, "path", "Path to link must be absolute.")?;
        let mode = match args.get("mode") {
            Value::Int(0) => "f".to_owned(),
            Value::Int(4) => "r".to_owned(),
            Value::Int(2) => "w".to_owned(),
            Value::Int(1) => "x".to_owned(),
            other => other.to_string(),
        };
        let Ok(found) = fs::metadata(&file) else { return Ok(false.into()) };
        Ok(match mode.as_str() {
            "f" => true.into(),
            "r" if found.is_dir() => fs::read_dir(&file).is_ok().into(),
            "r" => fs::File::open(&file).is_ok().into(),
            "w" if found.is_dir() => tempfile::tempfile_in(&file).is_ok().into(),
            "w" => fs::OpenOptions::new().append(true).open(&file).is_ok().into(),
            "x" => (found.mode() & 0o111 != 0).into(),
            _ => return Err(ModuleError::Invocation("Invalid mode specified.".to_owned())),
        })
    }
}

#[cfg(unix)]
pub(super) use unix::mode_text;

/// Why a file could not be changed, in Salt's words.
#[cfg(unix)]
pub(super) fn failed(text: &str, error: &std::io::Error) -> ModuleError {
    ModuleError::Execution(format!("{text}: {}", reason(error)))
}
