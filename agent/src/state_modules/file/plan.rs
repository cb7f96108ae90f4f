//! What would change about one file, and the change itself.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use states::{Map, StateReturn, Value};

use super::{
    diff,
    options::{Options, Source},
};

/// The one plan that test and apply share.
#[derive(Debug)]
pub(super) struct Plan {
    name: String,
    /// The file itself, links followed.
    path: PathBuf,
    /// The new content, when it differs.
    write: Option<Vec<u8>>,
    existed: bool,
    replaces: bool,
    makedirs: Option<u32>,
    mode: Option<u32>,
    owner: Owner,
    changes: Map,
    predicted: Map,
}

/// Numbers to set, when they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

impl Plan {
    /// Looks at the file and decides.
    pub(super) fn make(
        name: String,
        path: PathBuf,
        content: Option<Vec<u8>>,
        options: &Options,
    ) -> Result<Self, String> {
        let path = fs::canonicalize(&path).unwrap_or(path);
        let unreadable = |error: io::Error| format!("Unable to manage file: {}: {error}", path.display());
        let existed = path.exists();
        let current =
            if existed && options.replace { Some(fs::read(&path).map_err(unreadable)?) } else { None };
        let content = if existed && !options.replace { None } else { content };
        let (mut changes, mut predicted) = (Map::new(), Map::new());
        let write = match (existed, content) {
            (false, content) => {
                let shown = new_file(content.as_deref().unwrap_or_default(), options);
                match &content {
                    Some(_) => changes.insert("diff", shown.as_str()),
                    None => changes.insert("new", format!("file {name} created")),
                };
                let key = if options.new_file_diff { "diff" } else { "newfile" };
                predicted.insert(key, if options.new_file_diff { shown } else { name.clone() });
                Some(content.unwrap_or_default())
            }
            (true, Some(content)) if current.as_ref() != Some(&content) => {
                let old = current.unwrap_or_default();
                let shown =
                    if options.show_changes { diff::unified(&old, &content) } else { HIDDEN.to_owned() };
                changes.insert("diff", shown.as_str());
                predicted.insert("diff", shown);
                Some(content)
            }
            (true, _) => None,
        };
        let mut plan = Self {
            makedirs: (!existed && options.makedirs)
                .then(|| options.dir_mode.unwrap_or_else(|| dir_mode(options.mode))),
            name,
            path,
            write,
            existed,
            replaces: options.replace,
            mode: None,
            owner: Owner::default(),
            changes,
            predicted,
        };
        plan.decide_owner(options)?;
        plan.decide_mode(options);
        Ok(plan)
    }

    fn decide_owner(&mut self, options: &Options) -> Result<(), String> {
        if cfg!(windows) {
            return Ok(());
        }
        let user = options.user.as_deref().map(|user| number(user, "/etc/passwd").ok_or(user)).transpose();
        let user = user.map_err(|user| format!("User {user} is not available "))?;
        let group =
            options.group.as_deref().map(|group| number(group, "/etc/group").ok_or(group)).transpose();
        let group = group.map_err(|group| format!("Group {group} is not available"))?;
        let (held_user, held_group) = held_owner(&self.path);
        self.owner.user = user.filter(|user| held_user != Some(*user));
        self.owner.group = group.filter(|group| held_group != Some(*group));
        for (key, wanted, name) in
            [("user", self.owner.user, &options.user), ("group", self.owner.group, &options.group)]
        {
            if let (Some(_), Some(name)) = (wanted, name) {
                self.changes.insert(key, name.as_str());
                if self.existed {
                    self.predicted.insert(key, name.as_str());
                }
            }
        }
        Ok(())
    }

    /// A new file shows its mode as a change where Salt does: Salt makes it with the mode 0600 when it comes from a
    /// source or has a mode of its own, with 0644 otherwise, and then corrects it.
    fn decide_mode(&mut self, options: &Options) {
        let held = held_mode(&self.path);
        let starts = match options.source {
            Source::Files(_) => 0o600,
            Source::None | Source::Contents(_) | Source::Pillar(_) | Source::Grains(_)
                if options.mode.is_some() =>
            {
                0o600
            }
            Source::None | Source::Contents(_) | Source::Pillar(_) | Source::Grains(_) => 0o644,
        };
        let wanted = options.mode.or_else(|| held.is_none().then_some(0o644));
        if let Some(mode) = wanted.filter(|mode| *mode != held.unwrap_or(starts) && !cfg!(windows)) {
            let text = format!("{mode:04o}");
            self.changes.insert("mode", text.as_str());
            if self.existed {
                self.predicted.insert("mode", text);
            }
        }
        // A replaced file keeps its mode.
        self.mode = wanted.or(held);
    }

    /// What `test=True` returns.
    pub(super) fn predicted(self) -> StateReturn {
        let name = &self.name;
        if self.predicted.is_empty() && self.existed && !self.replaces {
            return StateReturn::ok(format!("File {name} not updated"));
        }
        if self.predicted.is_empty() {
            return StateReturn::ok(format!("The file {name} is in the correct state"));
        }
        let comment = format!(
            "The file {name} is set to be changed\nNote: No changes made, actual changes may\nbe different due to other states."
        );
        StateReturn::would_change(comment, self.predicted)
    }

    /// Makes the changes of this plan, and no others.
    pub(super) fn apply(self) -> Result<StateReturn, String> {
        let name = &self.name;
        let failed = |error: io::Error| format!("Failed to commit change: {error}");
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            let Some(mode) = self.makedirs else { return Err("Parent directory not present".to_owned()) };
            make_folders(folder, mode).map_err(failed)?;
        }
        match &self.write {
            Some(content) => replace(&self.path, content, self.mode).map_err(failed)?,
            None => set_mode(&self.path, self.mode).map_err(failed)?,
        }
        set_owner(&self.path, self.owner).map_err(failed)?;
        let created_empty = matches!(self.changes.get("new"), Some(Value::Str(_)));
        Ok(match (self.changes.is_empty(), self.replaces) {
            (false, _) if created_empty => StateReturn::changed("Empty file", self.changes),
            (false, _) => StateReturn::changed(format!("File {name} updated"), self.changes),
            (true, false) => {
                StateReturn::ok(format!("File {name} exists with proper permissions. No changes made."))
            }
            (true, true) => StateReturn::ok(format!("File {name} is in the correct state")),
        })
    }
}

fn new_file(content: &[u8], options: &Options) -> String {
    match options.new_file_diff {
        true if !options.show_changes => HIDDEN.to_owned(),
        true => diff::unified(b"", content),
        false => "New file".to_owned(),
    }
}

/// The mode of folders made for a file: the file's, with the right to enter where there is any right.
fn dir_mode(mode: Option<u32>) -> u32 {
    let Some(mode) = mode else { return 0o755 };
    [6, 3, 0].into_iter().fold(0, |whole, shift| {
        let part = (mode >> shift) & 7;
        whole | ((if part == 0 { 0 } else { part | 1 }) << shift)
    })
}

/// Writes beside the file and moves the result over it.
fn replace(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(content)?;
    set_mode(file.path(), Some(mode.unwrap_or(0o644)))?;
    let (user, group) = held_owner(path);
    set_owner(file.path(), Owner { user, group })?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(unix)]
fn held_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).ok().map(|found| found.permissions().mode() & 0o7777)
}

#[cfg(unix)]
fn held_owner(path: &Path) -> (Option<u32>, Option<u32>) {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or((None, None), |found| (Some(found.uid()), Some(found.gid())))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match mode {
        Some(mode) if held_mode(path) != Some(mode) => {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn set_owner(path: &Path, owner: Owner) -> io::Result<()> {
    if held_owner(path) == (owner.user, owner.group) || owner == Owner::default() {
        return Ok(());
    }
    std::os::unix::fs::chown(path, owner.user, owner.group)
}

#[cfg(unix)]
fn make_folders(folder: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
}

#[cfg(not(unix))]
fn held_mode(_path: &Path) -> Option<u32> {
    None
}

#[cfg(not(unix))]
fn held_owner(_path: &Path) -> (Option<u32>, Option<u32>) {
    (None, None)
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: Option<u32>) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn set_owner(_path: &Path, _owner: Owner) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn make_folders(folder: &Path, _mode: u32) -> io::Result<()> {
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

const HIDDEN: &str = "<show_changes=False>";
