//! `file.symlink`.

use std::path::{Path, PathBuf};

use states::{Map, StateReturn};

use super::{allowed, disk, expanded};
use crate::state_modules::{RunMode, StateArgs, StateContext};

/// The arguments, checked.
struct Link {
    name: String,
    path: PathBuf,
    target: String,
    user: String,
    group: String,
    owner: disk::Owner,
    force: bool,
}

impl Link {
    fn read(args: &StateArgs) -> Result<Self, String> {
        if args.name.is_empty() {
            return Err("Must provide name to file.symlink".to_owned());
        }
        let target = args.text("target").ok_or("Missing parameter target for state file.symlink")?;
        let user = args.text("user").unwrap_or_else(disk::own_user);
        let group = args.text("group").unwrap_or_else(|| disk::group_of(&user));
        let mut errors = missing_owners(args);
        let path = expanded(&args.name);
        if !path.is_absolute() {
            errors.push(format!("Specified file {} is not an absolute path", args.name));
        }
        if !errors.is_empty() {
            let end = if errors.len() > 1 { "." } else { "" };
            return Err(format!("{}{end}", errors.join(". ")));
        }
        let owner = disk::Owner::of(Some(&user), Some(&group))?;
        Ok(Self {
            name: args.name.clone(),
            path,
            target,
            user,
            group,
            owner,
            force: args.flag("force", false),
        })
    }

    fn held_target(&self) -> Option<String> {
        std::fs::read_link(&self.path).ok().map(|target| target.to_string_lossy().into_owned())
    }

    fn owner_differs(&self) -> bool {
        !cfg!(windows) && disk::held_owner(&self.path) != self.owner
    }

    /// What `test=True` says.
    fn predicted(&self) -> StateReturn {
        let (name, target) = (&self.name, &self.target);
        let change = |key: &str| -> Map { [(key, name.as_str())].into_iter().collect() };
        if !self.path.exists() && !disk::is_link(&self.path) {
            let comment = format!("Symlink {name} to {target} is set for creation");
            return StateReturn::would_change(comment, change("new"));
        }
        match self.held_target() {
            Some(held) if held != *target => {
                let comment = format!("Link {name} target is set to be changed to {target}");
                StateReturn::would_change(comment, change("change"))
            }
            Some(_) if self.owner_differs() => {
                let held = self.held_names();
                let comment = format!(
                    "The symlink {name} is present, but the ownership of the symlink would be changed from {held} to {}:{}",
                    self.user, self.group
                );
                StateReturn::would_change(comment, [("ownership", held)].into_iter().collect())
            }
            Some(_) => StateReturn::ok(format!("The symlink {name} is present")),
            None if self.force => StateReturn::would_change(
                format!(
                    "The file or directory {name} is set for removal to make way for a new symlink targeting {target}"
                ),
                Map::new(),
            ),
            None => StateReturn::failed(format!(
                "File or directory exists where the symlink {name} should be. Did you mean to use force?"
            )),
        }
    }

    fn held_names(&self) -> String {
        let held = disk::held_owner(&self.path);
        let named = |number: Option<u32>, table: &str| {
            number.and_then(|number| disk::name_of(number, table)).unwrap_or_default()
        };
        format!("{}:{}", named(held.user, "/etc/passwd"), named(held.group, "/etc/group"))
    }
}

/// What is to be said of an owner that is not there.
pub(super) fn missing_owners(args: &StateArgs) -> Vec<String> {
    if cfg!(windows) {
        return Vec::new();
    }
    let user = args.text("user").unwrap_or_else(disk::own_user);
    let group = args.text("group").unwrap_or_else(|| disk::group_of(&user));
    let mut errors = Vec::new();
    if disk::Owner::of(Some(&user), None).is_err() {
        errors.push(format!("User {user} does not exist"));
    }
    if disk::Owner::of(None, Some(&group)).is_err() {
        errors.push(format!("Group {group} does not exist"));
    }
    errors
}

pub(super) fn symlink(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let link = Link::read(args)?;
    let folder = link.path.parent().unwrap_or(Path::new("/")).to_owned();
    let shown = folder.display();
    let makedirs = args.flag("makedirs", false);
    if run.mode == RunMode::Test {
        let mut ret = link.predicted();
        if !folder.is_dir() {
            ret.comment.push_str(&match makedirs {
                true => format!("\n{shown} will be created"),
                false => format!("\nDirectory {shown} for symlink is not present"),
            });
        }
        return Ok(ret);
    }
    if !folder.is_dir() && !makedirs {
        return Err(format!("Directory {shown} for symlink is not present"));
    }
    if let Some(held) = link.held_target() {
        if Path::new(&held).components().eq(Path::new(&link.target).components()) {
            return owned(&link, run);
        }
        allowed_link(run, &link.path)?;
        disk::remove(&link.path).map_err(|error| format!("{}: {error}", link.name))?;
    } else if link.path.exists() {
        make_way(args, run, &link)?;
    }
    allowed_link(run, &link.path)?;
    let failed = |error: std::io::Error| {
        format!("Unable to create new symlink {} -> {}: {error}", link.name, link.target)
    };
    disk::make_folders(&folder, 0o755).map_err(failed)?;
    create(&link.target, &link.path).map_err(failed)?;
    let mut ret = StateReturn::changed(
        format!("Created new symlink {} -> {}", link.name, link.target),
        [("new", link.name.as_str())].into_iter().collect(),
    );
    if link.owner_differs() && disk::set_owner(&link.path, link.owner).is_err() {
        ret.result = Some(false);
        ret.comment.push_str(&format!(", but was unable to set ownership to {}:{}", link.user, link.group));
    }
    Ok(ret)
}

/// A link's own place counts, not where it leads.
fn allowed_link(run: &StateContext, path: &Path) -> Result<(), String> {
    allowed(run, path.parent().unwrap_or(path))
}

fn owned(link: &Link, run: &StateContext) -> Result<StateReturn, String> {
    let owner = format!("{}:{}", link.user, link.group);
    if !link.owner_differs() {
        return Ok(StateReturn::ok(format!("Symlink {} is present and owned by {owner}", link.name)));
    }
    allowed_link(run, &link.path)?;
    disk::set_owner(&link.path, link.owner)
        .map_err(|_| format!("Failed to set ownership of symlink {} to {owner}", link.name))?;
    let comment = format!("Set ownership of symlink {} to {owner}", link.name);
    Ok(StateReturn::changed(comment, [("ownership", owner)].into_iter().collect()))
}

/// Keeps aside or removes what is not a link and stands in its place.
fn make_way(args: &StateArgs, run: &StateContext, link: &Link) -> Result<(), String> {
    allowed_link(run, &link.path)?;
    let Some(backup) = args.text("backupname") else {
        if !link.force {
            let kind = if link.path.is_file() { "File" } else { "Directory" };
            return Err(format!("{kind} exists where the symlink {} should be", link.name));
        }
        return disk::remove(&link.path).map_err(|error| format!("{}: {error}", link.name));
    };
    let mut place = PathBuf::from(&backup);
    if !place.is_absolute() {
        if place.file_name() != Some(place.as_os_str()) {
            return Err(format!("Backupname must be an absolute path or a file name: {backup}"));
        }
        place = link.path.with_file_name(&backup);
    }
    allowed_link(run, &place)?;
    if disk::is_there(&place) {
        if !link.force {
            return Err(format!(
                "Symlink & backup dest exists and Force not set. {} -> {} - backup: {}",
                link.name,
                link.target,
                place.display()
            ));
        }
        disk::remove(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    std::fs::rename(&link.path, &place)
        .map_err(|error| format!("Unable to rename {} to backup {} -> : {error}", link.name, place.display()))
}

#[cfg(unix)]
fn create(target: &str, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn create(target: &str, link: &Path) -> std::io::Result<()> {
    let reached = link.parent().unwrap_or(link).join(target);
    match reached.is_dir() {
        true => std::os::windows::fs::symlink_dir(target, link),
        false => std::os::windows::fs::symlink_file(target, link),
    }
}
