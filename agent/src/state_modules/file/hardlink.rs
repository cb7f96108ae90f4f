//! `file.hardlink`.

use std::path::{Path, PathBuf};

use states::{Map, StateReturn};

use super::{allowed, disk, expanded};
use crate::state_modules::{RunMode, StateArgs, StateContext};

struct Link {
    name: String,
    path: PathBuf,
    target: String,
    to: PathBuf,
    force: bool,
}

impl Link {
    fn read(args: &StateArgs) -> Result<Self, String> {
        let target = args.text("target").ok_or("Missing parameter target for state file.hardlink")?;
        let mut errors = super::links::missing_owners(args);
        let (path, to) = (expanded(&args.name), PathBuf::from(&target));
        if !path.is_absolute() {
            errors.push(format!("Specified file {} is not an absolute path", args.name));
        }
        if !to.is_absolute() {
            errors.push(format!("Specified target {target} is not an absolute path"));
        }
        if !errors.is_empty() {
            let end = if errors.len() > 1 { "." } else { "" };
            return Err(format!("{}{end}", errors.join(". ")));
        }
        Ok(Self { name: args.name.clone(), path, target, to, force: args.flag("force", false) })
    }

    fn predicted(&self) -> Result<StateReturn, String> {
        let Self { name, target, .. } = self;
        let change = |key: &str| [(key, name.as_str())].into_iter().collect::<Map>();
        if !self.to.exists() {
            return Err(format!("Target {target} for hard link does not exist"));
        }
        if self.to.is_dir() {
            return Err(format!("Unable to hard link from directory {target}"));
        }
        if self.path.is_dir() {
            return Err(format!("Unable to hard link to directory {name}"));
        }
        if !self.path.exists() {
            let comment = format!("Hard link {name} to {target} is set for creation");
            return Ok(StateReturn::would_change(comment, change("new")));
        }
        if has_other_names(&self.path) {
            return Ok(if is_same(&self.path, &self.to) {
                StateReturn::ok(format!("The hard link {name} is presently targetting {target}"))
            } else {
                let comment = format!("Link {name} target is set to be changed to {target}");
                StateReturn::would_change(comment, change("change"))
            });
        }
        if self.force {
            let comment = format!(
                "The file or directory {name} is set for removal to make way for a new hard link targeting {target}"
            );
            return Ok(StateReturn::would_change(comment, Map::new()));
        }
        Err(format!(
            "File or directory exists where the hard link {name} should be. Did you mean to use force?"
        ))
    }
}

pub(super) fn hardlink(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    if args.name.is_empty() {
        return Err("Must provide name to file.hardlink".to_owned());
    }
    let link = Link::read(args)?;
    if run.mode == RunMode::Test {
        return link.predicted();
    }
    let (name, target) = (&link.name, &link.target);
    for (direction, item, path) in [("to", name, &link.path), ("from", target, &link.to)] {
        if path.is_dir() {
            return Err(format!("Unable to hard link {direction} directory {item}"));
        }
    }
    if !link.to.exists() {
        return Err(format!("Target {target} for hard link does not exist"));
    }
    allowed(run, &link.path)?;
    // Whoever writes to the one name writes to the other.
    allowed(run, &link.to)?;
    let folder = link.path.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        if !args.flag("makedirs", false) {
            return Err(format!("Directory {} for hard link is not present", folder.display()));
        }
        let mode = args.text("dir_mode").map(|mode| disk::octal(&mode)).transpose()?;
        disk::make_folders(folder, disk::dir_mode(mode)).map_err(|error| format!("{name}: {error}"))?;
    }
    let mut changes = Map::new();
    let mut verb = "Created new hard link";
    if link.path.is_file() && !has_other_names(&link.path) {
        if !link.force {
            return Err(format!("File exists where the hard link {name} should be"));
        }
        disk::remove(&link.path).map_err(|error| format!("{name}: {error}"))?;
        changes.insert("forced", "File for hard link was forcibly replaced");
    } else if link.path.is_file() {
        if is_same(&link.path, &link.to) {
            return Ok(StateReturn::ok(format!(
                "Target of hard link {name} is already pointing to {target}"
            )));
        }
        disk::remove(&link.path).map_err(|error| format!("{name}: {error}"))?;
        verb = "Set target of hard link";
    }
    std::fs::hard_link(&link.to, &link.path).map_err(|error| {
        let what = if verb.starts_with("Set") { "set target of" } else { "create new" };
        format!("Unable to {what} hard link {name} -> {target}: {error}")
    })?;
    changes.insert("new", name.as_str());
    Ok(StateReturn::changed(format!("{verb} {name} -> {target}"), changes))
}

#[cfg(unix)]
fn has_other_names(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.nlink() > 1)
}

#[cfg(unix)]
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()));
    inode(one).is_some_and(|held| inode(other) == Some(held))
}

/// Windows tells the number of names only to who opens the file; a file in the way is one without.
#[cfg(not(unix))]
fn has_other_names(_path: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn is_same(_one: &Path, _other: &Path) -> bool {
    false
}
