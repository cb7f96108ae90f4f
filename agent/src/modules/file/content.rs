//! What files hold: `read`, `seek_read`, `contains` and its like, `search`. Held to the local policy's readable folders.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use fancy_regex::Regex;
use proto::target::fnmatch;
use states::Value;

use super::{may_read, path, uncaught};
use crate::{
    config::Config,
    modules::{Arguments, ModuleError},
};

pub(super) fn answer(fun: &str, args: &Arguments, config: &Config) -> Result<Option<Value>, ModuleError> {
    if !FUNCTIONS.contains(&fun) {
        return Ok(None);
    }
    let file = path(args, "path")?;
    may_read(config, &file)?;
    Ok(Some(match fun {
        "read" => read(&file, args.truth("binary"))?,
        "seek_read" => seek_read(&file, args)?,
        "contains" => {
            let wanted = args.text("text")?.trim().to_owned();
            held(&file).is_some_and(|text| text.contains(&wanted)).into()
        }
        "contains_glob" => {
            let glob = args.text("glob_expr")?;
            held(&file).is_some_and(|text| fnmatch(&text, &glob)).into()
        }
        "contains_regex" => contains_regex(&file, args)?,
        _ => search(&file, args)?,
    }))
}

fn held(file: &Path) -> Option<String> {
    fs::read(file).ok().map(|content| String::from_utf8_lossy(&content).into_owned())
}

fn read(file: &PathBuf, binary: bool) -> Result<Value, ModuleError> {
    let content = fs::read(file).map_err(|error| uncaught(&error, file))?;
    if binary {
        return Ok(Value::Bytes(content));
    }
    let text = String::from_utf8(content);
    text.map(Value::from).map_err(|error| ModuleError::Exception {
        class: "UnicodeDecodeError",
        message: format!("'utf-8' codec can't decode the file at byte {}", error.utf8_error().valid_up_to()),
    })
}

fn seek_read(file: &PathBuf, args: &Arguments) -> Result<Value, ModuleError> {
    let number = |name: &str| Ok::<_, ModuleError>(u64::try_from(args.integer(name)?).unwrap_or(0));
    let (size, offset) = (number("size")?, number("offset")?);
    let mut source = fs::File::open(file).map_err(|error| uncaught(&error, file))?;
    let mut content = Vec::new();
    let read = source
        .seek(SeekFrom::Start(offset))
        .and_then(|_| source.take(size.min(LARGEST_READ)).read_to_end(&mut content));
    read.map_err(|error| uncaught(&error, file))?;
    Ok(Value::Bytes(content))
}

fn pattern(args: &Arguments, name: &str, flags: &str) -> Result<Regex, ModuleError> {
    let text = args.text(name)?;
    Regex::new(&format!("{flags}{text}"))
        .map_err(|error| ModuleError::Exception { class: "re.error", message: format!("{text}: {error}") })
}

fn contains_regex(file: &Path, args: &Arguments) -> Result<Value, ModuleError> {
    let regex = pattern(args, "regex", "")?;
    let strip: Vec<char> = args.text("lchar")?.chars().collect();
    let Some(text) = held(file) else { return Ok(false.into()) };
    let mut lines = text.split_inclusive('\n').map(|line| line.trim_start_matches(strip.as_slice()));
    Ok(lines.any(|line| regex.is_match(line).unwrap_or(false)).into())
}

/// Salt's flags 8 is `re.MULTILINE`.
fn search(file: &Path, args: &Arguments) -> Result<Value, ModuleError> {
    if !file.exists() {
        if args.truth("ignore_if_missing") {
            return Ok(false.into());
        }
        return Err(ModuleError::Invocation(format!("File not found: {}", file.display())));
    }
    let flags = match args.get("flags") {
        Value::Int(bits) => {
            let named = [(2, 'i'), (8, 'm'), (16, 's'), (64, 'x')];
            let letters: String =
                named.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| *letter).collect();
            if letters.is_empty() { String::new() } else { format!("(?{letters})") }
        }
        Value::List(names) => {
            let letters: String = names.iter().filter_map(|name| flag(&name.to_string())).collect();
            if letters.is_empty() { String::new() } else { format!("(?{letters})") }
        }
        _ => "(?m)".to_owned(),
    };
    let regex = pattern(args, "pattern", &flags)?;
    let text = held(file).unwrap_or_default();
    Ok(regex.is_match(&text).unwrap_or(false).into())
}

fn flag(name: &str) -> Option<char> {
    match name {
        "IGNORECASE" | "I" => Some('i'),
        "MULTILINE" | "M" => Some('m'),
        "DOTALL" | "S" => Some('s'),
        "VERBOSE" | "X" => Some('x'),
        _ => None,
    }
}

const FUNCTIONS: &[&str] = &["read", "seek_read", "contains", "contains_glob", "contains_regex", "search"];

/// A return holds no more.
const LARGEST_READ: u64 = 16 * 1024 * 1024;
