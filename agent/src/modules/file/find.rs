//! `file.find` and globs over the file system.
//!
//! Of Salt's finder are here: `name`, `iname`, `regex`, `iregex`, `type`, `owner`, `group`, `size`, `mtime`, `maxdepth`,
//! `mindepth` and `print`. `grep`, `exec` and `delete` are refused: they read or change files.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use fancy_regex::Regex;
use proto::target::fnmatch;
use states::Value;

use super::{expanded, shown};
use crate::modules::{Arguments, ModuleError};

pub(super) fn find(args: &Arguments) -> Result<Value, ModuleError> {
    let given =
        args.keywords.iter().filter(|(key, _)| !key.as_str().is_some_and(|key| key.starts_with("__")));
    let given: Vec<(String, Value)> = given.map(|(key, value)| (key.to_string(), value.clone())).collect();
    let finder = match Finder::read(&given) {
        Ok(finder) => finder,
        Err(why) => return Ok(format!("error: {why}").into()),
    };
    let mut found = Vec::new();
    for root in globbed(&expanded(&args.text("path")?)) {
        finder.walk(&root, 0, &mut found);
    }
    let mut printed: Vec<Value> = found.iter().map(|path| finder.printed(path)).collect();
    printed.sort_by_cached_key(|shown| match shown {
        Value::List(parts) => parts.iter().map(ToString::to_string).collect(),
        one => vec![one.to_string()],
    });
    Ok(printed.into())
}

/// The bytes of all files below a folder, hard links counted once.
pub(super) fn disk_usage(path: &Path) -> i64 {
    let mut seen = std::collections::BTreeSet::new();
    i64::try_from(used(path, &mut seen)).unwrap_or(i64::MAX)
}

fn used(path: &Path, seen: &mut std::collections::BTreeSet<u64>) -> u64 {
    let Ok(found) = fs::metadata(path) else { return 0 };
    if found.is_file() {
        return if seen.insert(inode(&found)) { found.len() } else { 0 };
    }
    let entries =
        fs::read_dir(path).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    let inner = entries.iter().filter(|entry| !entry.path().is_symlink() || entry.path().is_file());
    inner.map(|entry| used(&entry.path(), seen)).sum()
}

#[cfg(unix)]
fn inode(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn inode(_found: &fs::Metadata) -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The paths that a glob names; a path without wildcards names itself when it exists.
pub(super) fn globbed(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy().into_owned();
        found = if text.contains(['*', '?', '[']) {
            found.iter().flat_map(|folder| named(folder, &text)).collect()
        } else {
            let steps = found.into_iter().map(|path| path.join(part));
            steps.filter(|path| fs::symlink_metadata(path).is_ok()).collect()
        };
    }
    found.sort();
    found
}

fn named(folder: &Path, glob: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let hidden = |name: &str| name.starts_with('.') && !glob.starts_with('.');
    names.filter(|name| fnmatch(name, glob) && !hidden(name)).map(|name| folder.join(name)).collect()
}

#[derive(Default)]
struct Finder {
    tests: Vec<Test>,
    least: usize,
    most: Option<usize>,
    print: Vec<String>,
}

enum Test {
    Name(String),
    Iname(String),
    Regex(Regex),
    Kinds(String),
    #[cfg(unix)]
    Owner(Vec<u32>),
    #[cfg(unix)]
    Group(Vec<u32>),
    Size(Ordering, u64, u64),
    Age(Ordering, f64, f64),
}

#[derive(Clone, Copy)]
enum Ordering {
    Least,
    Most,
    About,
}

impl Finder {
    fn read(given: &[(String, Value)]) -> Result<Self, String> {
        let mut finder = Self { print: vec!["path".to_owned()], ..Self::default() };
        for (key, value) in given {
            let text = value.to_string();
            let depth = || text.parse().map_err(|_| format!("invalid value for \"{key}\": \"{text}\""));
            match key.as_str() {
                "maxdepth" => finder.most = Some(depth()?),
                "mindepth" => finder.least = depth()?,
                "print" => finder.print = text.split([',', ' ']).map(str::to_owned).collect(),
                _ => finder.tests.push(Test::read(key, &text)?),
            }
        }
        Ok(finder)
    }

    fn walk(&self, path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        let Ok(own) = fs::symlink_metadata(path) else { return };
        let facts = followed(path, &own);
        if depth >= self.least && self.tests.iter().all(|test| test.holds(path, &facts)) {
            found.push(path.to_owned());
        }
        if !own.is_dir() || self.most.is_some_and(|most| depth >= most) {
            return;
        }
        let Ok(entries) = fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            self.walk(&entry.path(), depth + 1, found);
        }
    }

    fn printed(&self, path: &Path) -> Value {
        let facts = fs::symlink_metadata(path).ok().map(|own| followed(path, &own));
        let one = |what: &String| -> Value {
            match what.as_str() {
                "name" => path.file_name().map(|name| name.to_string_lossy().into_owned()).into(),
                "size" => facts.as_ref().and_then(|facts| i64::try_from(facts.len()).ok()).into(),
                "type" => facts.as_ref().map(|facts| letter(facts)).into(),
                "mtime" => facts.as_ref().and_then(|facts| i64::try_from(modified(facts)).ok()).into(),
                _ => shown(path).into(),
            }
        };
        match self.print.as_slice() {
            [what] => one(what),
            several => several.iter().map(one).collect::<Vec<_>>().into(),
        }
    }
}

impl Test {
    fn read(key: &str, text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid {key}: \"{text}\"");
        match key {
            "name" => Ok(Self::Name(text.to_owned())),
            "iname" => Ok(Self::Iname(text.to_lowercase())),
            "regex" => Regex::new(text)
                .map(Self::Regex)
                .map_err(|_| format!("invalid regular expression: \"{text}\"")),
            "iregex" => {
                let regex = Regex::new(&format!("(?i){text}"));
                regex.map(Self::Regex).map_err(|_| format!("invalid regular expression: \"{text}\""))
            }
            "type" => Ok(Self::Kinds(text.replace([',', ' '], ""))),
            #[cfg(unix)]
            "owner" | "group" => {
                let table =
                    if key == "owner" { super::owners::Table::Users } else { super::owners::Table::Groups };
                let number = |name: &str| {
                    let given = name.parse().map_or_else(|_| Value::from(name), Value::Int);
                    table.number(&given).ok_or_else(|| {
                        format!("no such {}: \"{name}\"", if key == "owner" { "user" } else { "group" })
                    })
                };
                let names: Vec<u32> =
                    text.split(',').map(|name| number(name.trim())).collect::<Result<_, _>>()?;
                Ok(if key == "owner" { Self::Owner(names) } else { Self::Group(names) })
            }
            "size" => {
                let (order, number, unit) = quantity(text, &SIZES).ok_or_else(wrong)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a size in bytes"
                )]
                Ok(Self::Size(order, (number * unit) as u64, unit as u64))
            }
            "mtime" => {
                let (order, number, unit) = quantity(text, &AGES).ok_or_else(wrong)?;
                Ok(Self::Age(order, number * unit, unit))
            }
            "grep" | "exec" | "delete" => {
                Err(format!("the option \"{key}\" is not supported by this minion"))
            }
            other => Err(format!("invalid criterion or action: \"{other}\"")),
        }
    }

    fn holds(&self, path: &Path, facts: &fs::Metadata) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match self {
            Self::Name(glob) => fnmatch(&name, glob),
            Self::Iname(glob) => fnmatch(&name.to_lowercase(), glob),
            Self::Regex(regex) => regex.is_match(&name).unwrap_or(false),
            Self::Kinds(kinds) => kinds.contains(letter(facts)),
            #[cfg(unix)]
            Self::Owner(numbers) => numbers.contains(&std::os::unix::fs::MetadataExt::uid(facts)),
            #[cfg(unix)]
            Self::Group(numbers) => numbers.contains(&std::os::unix::fs::MetadataExt::gid(facts)),
            Self::Size(order, wanted, unit) => match order {
                Ordering::Least => facts.len() >= *wanted,
                Ordering::Most => facts.len() <= *wanted,
                Ordering::About => (*wanted..=wanted + unit.saturating_sub(1)).contains(&facts.len()),
            },
            Self::Age(order, wanted, unit) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                #[expect(clippy::cast_precision_loss, reason = "an age in seconds")]
                let age = now.as_secs_f64() - modified(facts) as f64;
                match order {
                    Ordering::Least => age >= *wanted,
                    Ordering::Most => age <= *wanted,
                    Ordering::About => (*wanted..wanted + unit).contains(&age),
                }
            }
        }
    }
}

/// `+1m`, `-2g`, `30`: an ordering, a number and its unit.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<(Ordering, f64, f64)> {
    let (order, rest) = match text.strip_prefix('+') {
        Some(rest) => (Ordering::Least, rest),
        None => text.strip_prefix('-').map_or((Ordering::About, text), |rest| (Ordering::Most, rest)),
    };
    let digits = rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = rest[digits.len()..].to_lowercase();
    let unit = units.iter().find(|(name, _)| *name == unit).map(|(_, unit)| *unit)?;
    Some((order, digits.parse().ok()?, unit))
}

/// What a link leads to, as Salt's finder looks at it; the link itself where it leads nowhere.
fn followed(path: &Path, own: &fs::Metadata) -> fs::Metadata {
    fs::metadata(path).unwrap_or_else(|_| own.clone())
}

fn modified(facts: &fs::Metadata) -> u64 {
    let at = facts.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    at.unwrap_or_default().as_secs()
}

/// Salt's letter of a file's kind.
fn letter(facts: &fs::Metadata) -> &'static str {
    let kind = facts.file_type();
    if kind.is_symlink() {
        return "l";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_block_device() {
            return "b";
        }
        if kind.is_char_device() {
            return "c";
        }
        if kind.is_fifo() {
            return "p";
        }
        if kind.is_socket() {
            return "s";
        }
    }
    if kind.is_dir() { "d" } else { "f" }
}

const SIZES: [(&str, f64); 6] = [
    ("", 1.0),
    ("b", 1.0),
    ("k", 1024.0),
    ("m", 1_048_576.0),
    ("g", 1_073_741_824.0),
    ("t", 1_099_511_627_776.0),
];
const AGES: [(&str, f64); 6] =
    [("", 86_400.0), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 604_800.0)];
