//! What would change about one file, and the change itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use states::{Map, StateReturn, Value};

use super::{
    disk::{
        self, Owner, dir_mode, held_mode, held_owner, is_link, make_folders, mode_text, set_mode, set_owner,
    },
    options::{Options, Source},
};
use crate::text_edit::diff;

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
    backup: bool,
    changes: Map,
    predicted: Map,
}

impl Plan {
    /// Looks at the file and decides.
    pub(super) fn make(
        name: String,
        path: PathBuf,
        content: Option<Vec<u8>>,
        options: &Options,
    ) -> Result<Self, String> {
        let replaced_link = is_link(&path) && !options.follow_symlinks;
        let path = if replaced_link { path } else { fs::canonicalize(&path).unwrap_or(path) };
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
            (true, Some(content)) if replaced_link => {
                changes.insert("diff", REPLACED_LINK);
                predicted.insert("diff", REPLACED_LINK);
                Some(content)
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
            backup: options.backup && existed && !replaced_link,
            changes,
            predicted,
        };
        plan.decide_owner(options)?;
        plan.decide_mode(options);
        Ok(plan)
    }

    fn decide_owner(&mut self, options: &Options) -> Result<(), String> {
        let wanted = Owner::of(options.user.as_deref(), options.group.as_deref())?;
        let held = if self.existed { held_owner(&self.path) } else { disk::own_owner() };
        self.owner.user = wanted.user.filter(|user| held.user != Some(*user));
        self.owner.group = wanted.group.filter(|group| held.group != Some(*group));
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
        let plain = 0o666 & !options.umask.unwrap_or(0o022);
        let starts = match options.source {
            Source::Files(_) => 0o600,
            Source::None | Source::Contents(_) | Source::Pillar(_) | Source::Grains(_)
                if options.mode.is_some() =>
            {
                0o600
            }
            Source::None | Source::Contents(_) | Source::Pillar(_) | Source::Grains(_) => plain,
        };
        let wanted = options.mode.or_else(|| held.is_none().then_some(plain));
        if let Some(mode) = wanted.filter(|mode| *mode != held.unwrap_or(starts) && !cfg!(windows)) {
            let text = mode_text(mode);
            self.changes.insert("mode", text.as_str());
            if self.existed {
                self.predicted.insert("mode", text);
            }
        }
        // A replaced file keeps its mode.
        self.mode = wanted.or(held);
    }

    /// Whether anything would be written or set.
    pub(super) fn is_nothing(&self) -> bool {
        self.write.is_none() && self.changes.is_empty()
    }

    /// The content that would be written.
    pub(super) fn new_content(&self) -> Option<&[u8]> {
        self.write.as_deref()
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
        if let (false, Some(mode)) = (self.replaces, self.predicted.get("mode")) {
            let held = held_mode(&self.path).map(mode_text).unwrap_or_default();
            let comment = format!(
                "File {name} will be updated with permissions {mode} from its current state of {held}"
            );
            return StateReturn::would_change(comment, self.predicted);
        }
        let comment = format!(
            "The file {name} is set to be changed\nNote: No changes made, actual changes may\nbe different due to other states."
        );
        StateReturn::would_change(comment, self.predicted)
    }

    /// Makes the changes of this plan, and no others.
    pub(super) fn apply(self, cachedir: &Path) -> Result<StateReturn, String> {
        let name = &self.name;
        let failed = |error: io::Error| format!("Failed to commit change: {error}");
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            let Some(mode) = self.makedirs else { return Err("Parent directory not present".to_owned()) };
            make_folders(folder, mode).map_err(failed)?;
        }
        if self.backup && self.write.is_some() {
            disk::backup_minion(cachedir, &self.path).map_err(failed)?;
        }
        match &self.write {
            Some(content) => disk::replace(&self.path, content, self.mode).map_err(failed)?,
            None => set_mode(&self.path, self.mode).map_err(failed)?,
        }
        set_owner(&self.path, self.owner).map_err(failed)?;
        let created_empty = matches!(self.changes.get("new"), Some(Value::Str(_)));
        Ok(match (self.changes.is_empty(), self.replaces) {
            (false, _) if created_empty => StateReturn::changed("Empty file", self.changes),
            (false, false) if self.existed => StateReturn::changed("", self.changes),
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

const REPLACED_LINK: &str = "Replace symbolic link with regular file";
const HIDDEN: &str = "<show_changes=False>";
