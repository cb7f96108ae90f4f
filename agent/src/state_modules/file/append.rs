//! `file.append` and `file.prepend`: chunks of text that a file must hold.

use std::path::Path;

use fancy_regex::Regex;
use states::{Map, StateReturn, Value};

use super::{allowed, content, disk, expanded, moves, target};
use crate::{
    state_modules::{RunMode, StateArgs, StateContext},
    text_edit::{diff, lines_of, whitespace_insensitive},
};

/// A file that is there, or the return when it is not.
enum Opened {
    Text(String),
    Answer(StateReturn),
}

fn opened(args: &StateArgs, run: &StateContext) -> Result<Opened, String> {
    let path = expanded(&args.name);
    let dry = run.mode == RunMode::Test;
    let makedirs = args.args.get("makedirs") == Some(&Value::Bool(true));
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    if makedirs && !dry && !folder.is_dir() {
        allowed(run, &path)?;
        disk::make_folders(&folder, 0o755).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let path = target(&args.name)?;
    if !path.exists() {
        let touched = moves::touch(args, run);
        if dry {
            return touched.map(Opened::Answer);
        }
        if touched.is_err() || !path.exists() {
            return Err(format!("{}: file not found", args.name));
        }
    }
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", args.name))?;
    Ok(Opened::Text(String::from_utf8(bytes).map_err(|_| format!("{} is not a text file", args.name))?))
}

/// The chunks, from `text` or from templates.
async fn chunks(args: &StateArgs, run: &StateContext) -> Result<Vec<String>, String> {
    let rendered = content::templated(args, run).await?;
    if !rendered.is_empty() {
        return Ok(rendered);
    }
    Ok(match args.args.get("text") {
        Some(Value::List(items)) => items.iter().map(Value::to_string).collect(),
        Some(other) => vec![other.to_string()],
        None => vec![Value::Nil.to_string()],
    })
}

fn holds(old: &str, chunk: &str, ignore_whitespace: bool) -> Result<bool, String> {
    let regex = if ignore_whitespace {
        whitespace_insensitive(chunk)?
    } else {
        Regex::new(&format!("(?m){chunk}")).map_err(|error| error.to_string())?
    };
    regex.is_match(old).map_err(|error| error.to_string())
}

pub(super) async fn append(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let old = match opened(args, run)? {
        Opened::Text(old) => old,
        Opened::Answer(answer) => return Ok(answer),
    };
    let mut missing = Vec::new();
    for chunk in chunks(args, run).await? {
        if !holds(&old, &chunk, args.flag("ignore_whitespace", true))? {
            missing.extend(lines_of(&chunk).into_iter().map(str::to_owned));
        }
    }
    let name = &args.name;
    if missing.is_empty() {
        return Ok(StateReturn::ok(format!("File {name} is in correct state")));
    }
    let old_lines = lines_of(&old);
    let mut new_lines = old_lines.clone();
    new_lines.extend(missing.iter().map(String::as_str));
    let changes = changes(args, &diff::unified_lines(&old_lines, &new_lines), "\n");
    if run.mode == RunMode::Test {
        return Ok(StateReturn::would_change(format!("File {name} is set to be updated"), changes));
    }
    let mut new = old.clone();
    if !new.is_empty() && !new.ends_with('\n') {
        new.push('\n');
    }
    for line in &missing {
        new.push_str(line);
        new.push('\n');
    }
    write(run, name, &new)?;
    Ok(StateReturn::changed(format!("Appended {} lines", missing.len()), changes))
}

fn changes(args: &StateArgs, diff: &[String], joint: &str) -> Map {
    let shown =
        if args.flag("show_changes", true) { diff.join(joint) } else { "<show_changes=False>".to_owned() };
    [("diff", shown)].into_iter().collect()
}

fn write(run: &StateContext, name: &str, new: &str) -> Result<(), String> {
    let path = expanded(name);
    allowed(run, &path)?;
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    disk::replace(&path, new.as_bytes(), None).map_err(|error| format!("{name} not writable: {error}"))
}

pub(super) async fn prepend(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let old = match opened(args, run)? {
        Opened::Text(old) => old,
        Opened::Answer(answer) => return Ok(answer),
    };
    let header = args.flag("header", false);
    let mut preface = Vec::new();
    for chunk in chunks(args, run).await? {
        if header || !holds(&old, &chunk, true)? {
            preface.extend(lines_of(&chunk).into_iter().map(str::to_owned));
        }
    }
    let name = &args.name;
    let old_lines: Vec<&str> = old.split_inclusive('\n').collect();
    let there = header && lines_of(&old).iter().take(preface.len()).eq(preface.iter());
    let dry = run.mode == RunMode::Test;
    if preface.is_empty() || there && !dry {
        return Ok(StateReturn::ok(format!("File {name} is in correct state")));
    }
    let ended: Vec<String> = preface.iter().map(|line| format!("{line}\n")).collect();
    let new_lines: Vec<&str> = ended.iter().map(String::as_str).chain(old_lines.iter().copied()).collect();
    let changes = changes(args, &diff::unified_lines(&old_lines, &new_lines), "");
    if dry {
        return Ok(StateReturn::would_change(format!("File {name} is set to be updated"), changes));
    }
    write(run, name, &new_lines.concat())?;
    Ok(StateReturn::changed(format!("Prepended {} lines", preface.len()), changes))
}
