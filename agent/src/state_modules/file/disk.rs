//! Files on the disk: modes and owners, replacing in one step, backups, folders.
//!
//! Owners and modes are those of the operating system where it has them; elsewhere they are nothing and a wish for
//! them was refused before. A replaced file keeps its owner and mode. Backups lie where Salt's minion keeps them,
//! below `<cachedir>/file_backup`.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use states::Map;

/// Numbers of a user and a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::state_modules) struct Owner {
    pub(in crate::state_modules) user: Option<u32>,
    pub(in crate::state_modules) group: Option<u32>,
}

impl Owner {
    /// The numbers of names; Salt's sentence for those that are not there.
    pub(in crate::state_modules) fn of(user: Option<&str>, group: Option<&str>) -> Result<Self, String> {
        if cfg!(windows) {
            return Ok(Self::default());
        }
        let mut missing = String::new();
        let mut find = |name: Option<&str>, table: &str, missing_text: &dyn Fn(&str) -> String| {
            let name = name?;
            let found = number(name, table);
            if found.is_none() {
                missing.push_str(&missing_text(name));
            }
            found
        };
        let user = find(user, "/etc/passwd", &|name| format!("User {name} is not available "));
        let group = find(group, "/etc/group", &|name| format!("Group {name} is not available"));
        if missing.is_empty() { Ok(Self { user, group }) } else { Err(missing) }
    }
}

/// The wanted owner and mode of one path, with the names to show.
#[derive(Clone, Debug, Default)]
pub(super) struct Permissions {
    pub(super) owner: Owner,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) mode: Option<u32>,
}

impl Permissions {
    pub(super) fn of(user: Option<String>, group: Option<String>, mode: Option<u32>) -> Result<Self, String> {
        let owner = Owner::of(user.as_deref(), group.as_deref())?;
        Ok(Self { owner, user, group, mode: mode.filter(|_| !cfg!(windows)) })
    }

    /// What differs at a path, as Salt shows it.
    pub(super) fn differing(&self, path: &Path) -> Map {
        let held = held_owner(path);
        let mut changes = Map::new();
        if let (Some(wanted), Some(name)) = (self.owner.user, &self.user)
            && held.user != Some(wanted)
        {
            changes.insert("user", name.as_str());
        }
        if let (Some(wanted), Some(name)) = (self.owner.group, &self.group)
            && held.group != Some(wanted)
        {
            changes.insert("group", name.as_str());
        }
        if let Some(mode) = self.mode
            && !is_link(path)
            && held_mode(path) != Some(mode)
        {
            changes.insert("mode", mode_text(mode));
        }
        changes
    }

    /// Makes the path so, and tells what differed.
    pub(super) fn enforce(&self, path: &Path) -> io::Result<Map> {
        let changes = self.differing(path);
        if changes.contains_key("user") || changes.contains_key("group") {
            set_owner(path, self.owner)?;
        }
        if !is_link(path) {
            set_mode(path, self.mode)?;
        }
        Ok(changes)
    }
}

/// A mode as Salt writes it.
pub(super) fn mode_text(mode: u32) -> String {
    format!("{mode:04o}")
}

/// A mode as Salt normalises it: digits are octal, however they were written.
pub(super) fn octal(mode: &str) -> Result<u32, String> {
    let digits = mode.trim_start_matches("0o");
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| format!("The mode {mode:?} is not an octal number"))
}

/// Whether something is there, a dangling link included.
pub(in crate::state_modules) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub(super) fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_symlink())
}

/// Removes a file, a link, or a folder with all that is in it.
pub(in crate::state_modules) fn remove(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// The mode of folders made for a file: the file's, with the right to enter where there is any right.
pub(super) fn dir_mode(mode: Option<u32>) -> u32 {
    let Some(mode) = mode else { return 0o755 };
    [6, 3, 0].into_iter().fold(0, |whole, shift| {
        let part = (mode >> shift) & 7;
        whole | ((if part == 0 { 0 } else { part | 1 }) << shift)
    })
}

/// Writes beside the file and moves the result over it; owner and mode stay those of the old file.
pub(super) fn replace(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(content)?;
    set_mode(file.path(), Some(mode.or_else(|| held_mode(path)).unwrap_or(0o644)))?;
    set_owner(file.path(), held_owner(path))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Keeps a copy of a file below the agent's cache, as `backup: minion` asks.
pub(super) fn backup_minion(cachedir: &Path, path: &Path) -> io::Result<()> {
    let now = chrono::Local::now();
    let clock = if cfg!(windows) { "%a_%b_%d_%H-%M-%S" } else { "%a_%b_%d_%H:%M:%S" };
    let stamp = format!("{}_{:06}_{}", now.format(clock), now.timestamp_subsec_micros(), now.format("%Y"));
    let parts = path.components().filter_map(|part| match part {
        std::path::Component::Normal(name) => Some(PathBuf::from(name)),
        std::path::Component::Prefix(drive) => {
            Some(PathBuf::from(drive.as_os_str().to_string_lossy().replace(':', "_")))
        }
        std::path::Component::RootDir | std::path::Component::CurDir | std::path::Component::ParentDir => {
            None
        }
    });
    let mut place = parts.fold(cachedir.join("file_backup"), |place, part| place.join(part));
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    place.set_file_name(format!("{name}_{stamp}"));
    fs::create_dir_all(place.parent().unwrap_or(cachedir))?;
    fs::copy(path, &place)?;
    set_owner(&place, held_owner(path))
}

/// Everything below a folder, links not followed, with its depth; the folder itself is not in it.
pub(in crate::state_modules) fn walk(folder: &Path, deepest: Option<usize>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((dir, depth)) = open.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() && !is_link(&path) && deepest.is_none_or(|deepest| depth < deepest) {
                open.push((path.clone(), depth + 1));
            }
            found.push(path);
        }
    }
    found
}

#[cfg(unix)]
pub(super) fn held_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).ok().map(|found| found.permissions().mode() & 0o7777)
}

#[cfg(unix)]
pub(super) fn held_owner(path: &Path) -> Owner {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).map_or_else(
        |_| Owner::default(),
        |found| Owner { user: Some(found.uid()), group: Some(found.gid()) },
    )
}

#[cfg(unix)]
pub(super) fn set_mode(path: &Path, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match mode {
        Some(mode) if held_mode(path) != Some(mode) => {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
pub(super) fn set_owner(path: &Path, owner: Owner) -> io::Result<()> {
    if held_owner(path) == owner || owner == Owner::default() {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, owner.user, owner.group)
}

#[cfg(unix)]
pub(super) fn make_folders(folder: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
}

#[cfg(not(unix))]
pub(super) fn held_mode(_path: &Path) -> Option<u32> {
    None
}

#[cfg(not(unix))]
pub(super) fn held_owner(_path: &Path) -> Owner {
    Owner::default()
}

#[cfg(not(unix))]
pub(super) fn set_mode(_path: &Path, _mode: Option<u32>) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn set_owner(_path: &Path, _owner: Owner) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn make_folders(folder: &Path, _mode: u32) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// The number of a user or group: a number, or a name in the system's table.
fn number(name: &str, table: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let table = fs::read_to_string(table).ok()?;
    let line = table.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The name of a user or group number.
pub(super) fn name_of(number: u32, table: &str) -> Option<String> {
    let table = fs::read_to_string(table).ok()?;
    let line = table.lines().find(|line| line.split(':').nth(2) == Some(&number.to_string()))?;
    line.split(':').next().map(str::to_owned)
}

/// What a file that this process makes belongs to.
pub(super) fn own_owner() -> Owner {
    held_owner(Path::new("/proc/self"))
}

/// The name of the process' own user.
pub(super) fn own_user() -> String {
    let user = own_owner().user.unwrap_or(0);
    name_of(user, "/etc/passwd").unwrap_or_else(|| user.to_string())
}

/// The group a user belongs to first; a user that is not there stands for a group of that name, as with Salt.
pub(super) fn group_of(user: &str) -> String {
    let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = table.lines().find(|line| line.split(':').next() == Some(user));
    let group = line.and_then(|line| line.split(':').nth(3)?.parse::<u32>().ok());
    group.and_then(|group| name_of(group, "/etc/group")).unwrap_or_else(|| user.to_owned())
}
