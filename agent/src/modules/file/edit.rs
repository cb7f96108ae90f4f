//! Changes within files: `line`, `replace`, `blockreplace`, `comment`, `uncomment`, `comment_line`.
//!
//! The text is edited by [`crate::text_edit`], as the file states do it; here a file is read, held to the local policy's
//! writable folders, kept beside itself when a backup is wanted, and written in place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fancy_regex::Regex;
use states::Value;

use super::{may_write, path, uncaught};
use crate::{
    config::Config,
    modules::{Arguments, ModuleError},
    text_edit::{Block, LineEdit, Location, NotFound, Place, Replacement, comment_lines, diff, flags},
};

pub(super) fn answer(fun: &str, args: &Arguments, config: &Config) -> Result<Option<Value>, ModuleError> {
    Ok(Some(match fun {
        "line" => line(args, config)?,
        "replace" => replace(args, config)?,
        "blockreplace" => block(args, config)?,
        "comment" => comment(args, config, true)?,
        "uncomment" => comment(args, config, false)?,
        "comment_line" => comment(args, config, args.truth("cmnt"))?,
        _ => return Ok(None),
    }))
}

/// A file that is edited.
struct Edited {
    path: PathBuf,
    old: String,
}

impl Edited {
    fn open(args: &Arguments, config: &Config) -> Result<Self, ModuleError> {
        let path = path(args, "path")?;
        let path = fs::canonicalize(&path).unwrap_or(path);
        if !path.is_file() {
            return Err(ModuleError::Invocation(format!("File not found: {}", path.display())));
        }
        may_write(config, &path)?;
        let content = fs::read(&path).map_err(|error| uncaught(&error, &path))?;
        let binary = |_| {
            let text = format!("Cannot perform string replacements on a binary file: {}", path.display());
            ModuleError::Invocation(text)
        };
        let old = String::from_utf8(content).map_err(binary)?;
        Ok(Self { path, old })
    }

    /// Writes the new text, unless nothing changed or nothing is to be changed. Whether it differs.
    fn write(&self, new: &str, backup: Option<&str>, dry: bool) -> Result<bool, ModuleError> {
        let changed = new != self.old;
        if changed && !dry {
            let refuse = |error: std::io::Error| uncaught(&error, &self.path);
            if let Some(ending) = backup {
                let mut kept = self.path.clone().into_os_string();
                kept.push(ending);
                fs::copy(&self.path, Path::new(&kept)).map_err(refuse)?;
            }
            fs::write(&self.path, new).map_err(refuse)?;
        }
        Ok(changed)
    }

    fn difference(&self, new: &str) -> String {
        diff::unified(self.old.as_bytes(), new.as_bytes())
    }
}

fn backup(args: &Arguments) -> Option<String> {
    Some(args.get("backup")).filter(|ending| ending.is_truthy()).map(ToString::to_string)
}

/// The difference, or whether there is one.
fn told(edited: &Edited, new: &str, changed: bool, args: &Arguments) -> Value {
    if args.truth("show_changes") { edited.difference(new).into() } else { changed.into() }
}

fn line(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let file = path(args, "path")?;
    if !file.is_file() {
        if args.truth("quiet") {
            return Ok(false.into());
        }
        let text = format!("File \"{}\" does not exists or is not a file.", file.display());
        return Err(ModuleError::Execution(text));
    }
    let Some(mode) = args.optional_text("mode")? else {
        return Err(ModuleError::Execution("Mode was not defined. How to process the file?".to_owned()));
    };
    let edit = LineEdit {
        content: args.optional_text("content")?,
        matching: args.optional_text("match")?,
        mode: mode.to_lowercase(),
        location: match args.optional_text("location")?.as_deref() {
            Some("start") => Some(Location::Start),
            Some("end") => Some(Location::End),
            _ => None,
        },
        before: args.optional_text("before")?,
        after: args.optional_text("after")?,
        indent: args.truth("indent"),
    };
    let edited = Edited::open(args, config)?;
    let new = edit.apply(&edited.old).map_err(ModuleError::Execution)?;
    let stamp = chrono::Local::now().format(".%Y-%m-%d-%H-%M-%S").to_string();
    let kept = args.truth("backup").then_some(stamp.as_str());
    let changed = edited.write(&new, kept, false)?;
    Ok(if changed { told(&edited, &new, true, args) } else { false.into() })
}

fn replace(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let (append, prepend) = (args.truth("append_if_not_found"), args.truth("prepend_if_not_found"));
    if args.truth("search_only") && (append || prepend) {
        let text = "search_only cannot be used with append/prepend_if_not_found";
        return Err(ModuleError::Invocation(text.to_owned()));
    }
    if append && prepend {
        let text = "Only one of append and prepend_if_not_found is permitted";
        return Err(ModuleError::Invocation(text.to_owned()));
    }
    if args.truth("ignore_if_missing") && !path(args, "path")?.exists() {
        return Ok(if args.truth("search_only") { false.into() } else { told_missing(args) });
    }
    let edited = Edited::open(args, config)?;
    let (pattern, repl) = (args.text("pattern")?, args.text("repl")?);
    let inline = flags(args.get("flags")).map_err(ModuleError::Invocation)?;
    if args.truth("search_only") {
        let regex = regex(&format!("{inline}{pattern}"))?;
        return Ok(regex.is_match(&edited.old).unwrap_or(false).into());
    }
    let missing = args.optional_text("not_found_content")?.unwrap_or_else(|| repl.clone());
    let edit = Replacement {
        pattern,
        repl,
        count: usize::try_from(args.integer("count")?).unwrap_or(0),
        flags: inline,
        not_found: match (append, prepend) {
            (true, _) => NotFound::Append(missing),
            (_, true) => NotFound::Prepend(missing),
            _ => NotFound::Leave,
        },
        literal: args.truth("backslash_literal"),
    };
    let new = edit.apply(&edited.old).map_err(ModuleError::Execution)?;
    let changed = edited.write(&new, backup(args).as_deref(), args.truth("dry_run"))?;
    Ok(told(&edited, &new, changed, args))
}

fn told_missing(args: &Arguments) -> Value {
    if args.truth("show_changes") { "".into() } else { false.into() }
}

fn block(args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let given = |name: &str| args.optional_text(name).map(|text| text.filter(|text| !text.is_empty()));
    let places = [
        args.truth("append_if_not_found").then_some(Place::End),
        args.truth("prepend_if_not_found").then_some(Place::Start),
        given("insert_before_match")?.map(Place::Before),
        given("insert_after_match")?.map(Place::After),
    ];
    let mut places = places.into_iter().flatten();
    let place = places.next().unwrap_or(Place::Nowhere);
    if places.next().is_some() {
        return Err(ModuleError::Invocation(ONE_PLACE.to_owned()));
    }
    let edited = Edited::open(args, config)?;
    let edit = Block {
        start: args.text("marker_start")?,
        end: args.text("marker_end")?,
        content: args.text("content")?,
        place,
        newline: args.get("append_newline").as_bool(),
    };
    let new = edit.apply(&edited.old).map_err(ModuleError::Execution)?;
    let changed = edited.write(&new, backup(args).as_deref(), args.truth("dry_run"))?;
    Ok(told(&edited, &new, changed, args))
}

/// Puts a sign before the lines that a regular expression matches, or takes it away.
fn comment(args: &Arguments, config: &Config, on: bool) -> Result<Value, ModuleError> {
    let edited = Edited::open(args, config)?;
    let exception = |message| ModuleError::Exception { class: "re.error", message };
    let new = comment_lines(&edited.old, &args.text("regex")?, &args.text("char")?, on).map_err(exception)?;
    let Some(new) = new else { return Ok(false.into()) };
    edited.write(&new, backup(args).as_deref(), false)?;
    // The lines that changed alone, as Salt compares them.
    let pairs = edited.old.split_inclusive('\n').zip(new.split_inclusive('\n'));
    let (before, after): (Vec<&str>, Vec<&str>) = pairs.filter(|(old, new)| old != new).unzip();
    Ok(diff::unified(before.concat().as_bytes(), after.concat().as_bytes()).into())
}

fn regex(pattern: &str) -> Result<Regex, ModuleError> {
    Regex::new(pattern)
        .map_err(|error| ModuleError::Exception { class: "re.error", message: format!("{pattern}: {error}") })
}

const ONE_PLACE: &str = "Only one of append_if_not_found, prepend_if_not_found, insert_before_match, and insert_after_match is permitted";
