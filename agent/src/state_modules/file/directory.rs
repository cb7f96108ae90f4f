//! `file.directory`: a folder, and if wanted the owners and modes of what is in it, and nothing else in it.

use std::path::{Path, PathBuf};

use states::{Map, StateReturn, Value};

use super::{
    allowed,
    disk::{self, Permissions},
    recurse::{self, Patterns},
    target,
};
use crate::state_modules::{RunMode, StateArgs, StateContext};

/// What `recurse` names.
struct Recurse {
    user: bool,
    group: bool,
    mode: bool,
    files: bool,
    dirs: bool,
    silent: bool,
}

/// The arguments, checked.
struct Wanted {
    path: PathBuf,
    own: Permissions,
    files: Permissions,
    dirs: Permissions,
    recurse: Option<Recurse>,
    deepest: Option<usize>,
    clean: bool,
    children_only: bool,
    exclude: Patterns,
    kept: Vec<PathBuf>,
}

pub(super) async fn directory(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    if args.name.is_empty() {
        return Err("Must provide name to file.directory".to_owned());
    }
    let kept = if args.flag("clean", false) { recurse::kept(args, run).await? } else { Vec::new() };
    let dry = run.mode == RunMode::Test;
    let wanted = match Wanted::read(args, kept.clone()) {
        // A state before this one might make the owner.
        Err(why) if dry && why.contains("is not available") => {
            let mut without = args.clone();
            without.args.remove("user");
            without.args.remove("group");
            Wanted::read(&without, kept)
        }
        other => other,
    }?;
    let mut forced = Map::new();
    if let Some(answer) = make_way(args, run, &wanted.path, &mut forced)? {
        return Ok(answer);
    }
    let mut planned = forced.clone();
    let found = wanted.differing();
    planned.extend(found.clone());
    let name = shown(&wanted.path);
    let comment = match found.is_empty() {
        true => format!("The directory {name} is in the correct state"),
        false => listed(&found),
    };
    if run.mode == RunMode::Test {
        return Ok(match found.is_empty() {
            true => StateReturn { changes: planned.into(), ..StateReturn::ok(comment) },
            false => StateReturn::would_change(comment, planned),
        });
    }
    if planned.is_empty() {
        return Ok(StateReturn::ok(comment));
    }
    allowed(run, &wanted.path)?;
    if !wanted.path.is_dir() {
        return Ok(match wanted.make(args.flag("makedirs", false)) {
            Ok(()) => StateReturn::changed("", planned),
            Err(why) => StateReturn { changes: planned.into(), ..StateReturn::failed(why) },
        });
    }
    wanted.enforce(planned)
}

/// Removes or keeps aside what stands where the folder is to be; the return when that is the end.
fn make_way(
    args: &StateArgs,
    run: &StateContext,
    path: &Path,
    forced: &mut Map,
) -> Result<Option<StateReturn>, String> {
    let (force, follow) = (args.flag("force", false), args.flag("allow_symlink", true));
    let link = disk::is_link(path);
    if !(path.is_file() || link && (!follow || force)) {
        return Ok(None);
    }
    let (name, dry) = (shown(path), run.mode == RunMode::Test);
    let failed = |error: std::io::Error| format!("{name}: {error}");
    if let Some(backup) = args.text("backupname") {
        let backup = PathBuf::from(backup);
        if disk::is_there(&backup) {
            if !force {
                return Err(format!("File exists where the backup target {} should go", backup.display()));
            }
            if dry {
                let text = format!("Existing file at backup path {} would be removed", backup.display());
                forced.insert("forced", text);
            } else {
                allowed(run, &backup)?;
                disk::remove(&backup).map_err(failed)?;
            }
        }
        if dry {
            forced.insert("backup", format!("{name} would be renamed to {}", backup.display()));
            forced.insert(name.as_str(), new_directory());
            let comment = format!("{name} would be backed up and replaced with a new directory");
            return Ok(Some(StateReturn::would_change(comment, std::mem::take(forced))));
        }
        allowed(run, path)?;
        allowed(run, &backup)?;
        std::fs::rename(path, &backup).map_err(failed)?;
        return Ok(None);
    }
    if !force {
        let kind = if path.is_file() { "file" } else { "symlink" };
        return Err(format!("Specified location {name} exists and is a {kind}"));
    }
    let kind = if path.is_file() { "File" } else { "Symlink" };
    if dry {
        forced.insert("forced", format!("{kind} would be forcibly replaced"));
        return Ok(None);
    }
    allowed(run, path)?;
    disk::remove(path).map_err(failed)?;
    forced.insert("forced", format!("{kind} was forcibly replaced"));
    Ok(None)
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn new_directory() -> Map {
    [("directory", "new")].into_iter().collect()
}

/// The comment that names every change.
fn listed(changes: &Map) -> String {
    let mut comment = String::from("The following files will be changed:\n");
    for (path, change) in changes {
        for (key, value) in change.as_map().into_iter().flatten() {
            comment.push_str(&format!("{path}: {key} - {value}\n"));
        }
    }
    comment
}

impl Wanted {
    fn read(args: &StateArgs, kept: Vec<PathBuf>) -> Result<Self, String> {
        let name = if args.name.len() > 1 { args.name.trim_end_matches('/') } else { &args.name };
        let clean = args.flag("clean", false);
        let deepest =
            args.given("max_depth").and_then(Value::as_int).and_then(|depth| usize::try_from(depth).ok());
        if deepest.is_some() && clean {
            return Err("Cannot specify both max_depth and clean".to_owned());
        }
        let (user, group) = (args.text("user"), args.text("group"));
        let dir_mode = args.text("dir_mode").or_else(|| args.text("mode"));
        let file_mode = args.text("file_mode").or_else(|| dir_mode.clone());
        let mode = |mode: Option<String>| mode.map(|mode| disk::octal(&mode)).transpose();
        let (dir_mode, file_mode) = (mode(dir_mode)?, mode(file_mode)?);
        let own = Permissions::of(user.clone(), group.clone(), dir_mode)?;
        let recurse = reach(args)?;
        let within = |set: &Recurse, mode: Option<u32>| {
            Permissions::of(
                user.clone().filter(|_| set.user),
                group.clone().filter(|_| set.group),
                mode.filter(|_| set.mode),
            )
        };
        let (files, dirs) = match &recurse {
            Some(set) => (within(set, file_mode)?, within(set, dir_mode)?),
            None => (Permissions::default(), Permissions::default()),
        };
        Ok(Self {
            path: target(name)?,
            own,
            files,
            dirs,
            recurse,
            deepest,
            clean,
            children_only: args.flag("children_only", false),
            exclude: Patterns::of(None, args.given("exclude_pat")),
            kept,
        })
    }

    /// What would change, by path.
    fn differing(&self) -> Map {
        let mut changes = Map::new();
        for (path, permissions) in self.within() {
            let change = permissions.differing(&path);
            if !change.is_empty() {
                changes.insert(shown(&path), change);
            }
        }
        if !self.children_only {
            let change = if self.path.exists() { self.own.differing(&self.path) } else { new_directory() };
            if !change.is_empty() {
                changes.insert(shown(&self.path), change);
            }
        }
        for path in self.superfluous() {
            let removed: Map = [("removed", "Removed due to clean")].into_iter().collect();
            changes.insert(shown(&path), removed);
        }
        if !self.path.is_dir() {
            changes.insert(shown(&self.path), new_directory());
        }
        changes
    }

    /// What `recurse` reaches, with what each must be.
    fn within(&self) -> Vec<(PathBuf, &Permissions)> {
        let Some(set) = &self.recurse else { return Vec::new() };
        // A depth of one is what lies in the folder itself.
        let found = match self.deepest {
            Some(0) => Vec::new(),
            deepest => disk::walk(&self.path, deepest.map(|depth| depth - 1)),
        };
        found
            .into_iter()
            .filter_map(|path| match path.is_dir() && !disk::is_link(&path) {
                true => set.dirs.then_some((path, &self.dirs)),
                false => set.files.then_some((path, &self.files)),
            })
            .collect()
    }

    /// What `clean` would remove.
    fn superfluous(&self) -> Vec<PathBuf> {
        if self.clean { superfluous(&self.path, &self.kept, &self.exclude) } else { Vec::new() }
    }

    fn make(&self, makedirs: bool) -> Result<(), String> {
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        let mode = self.own.mode.unwrap_or(0o755);
        let name = shown(&self.path);
        let failed = |error: std::io::Error| format!("Failed to create directory {name}: {error}");
        let mut made = Vec::new();
        if !parent.is_dir() {
            if !makedirs {
                return Err(format!("No directory to create {name} in"));
            }
            made = parent.ancestors().take_while(|dir| !dir.is_dir()).map(Path::to_owned).collect();
            disk::make_folders(parent, mode).map_err(failed)?;
        }
        disk::make_folders(&self.path, mode).map_err(failed)?;
        made.push(self.path.clone());
        made.iter().try_for_each(|dir| self.own.enforce(dir).map(drop)).map_err(failed)
    }

    /// Owners, modes and what does not belong.
    fn enforce(&self, mut changes: Map) -> Result<StateReturn, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let (superfluous, within) = (self.superfluous(), self.within());
        if !self.children_only {
            // Salt shows the folder's own change twice: by its path, and bare.
            changes.extend(self.own.enforce(&self.path).map_err(failed)?);
        }
        if self.recurse.as_ref().is_some_and(|set| set.silent) {
            changes = [("recursion", "Changes silenced")].into_iter().collect();
        }
        for (path, permissions) in within {
            changes.extend(permissions.enforce(&path).map_err(failed)?);
        }
        let mut comment = String::new();
        if !superfluous.is_empty() {
            let mut removed = Vec::new();
            for path in superfluous.iter().filter(|path| disk::is_there(path)) {
                disk::remove(path).map_err(failed)?;
                removed.push(Value::from(shown(path)));
            }
            changes.insert("removed", removed);
            comment = format!("Files cleaned from directory {}", shown(&self.path));
        }
        if comment.is_empty() {
            let below = if self.children_only { "/*" } else { "" };
            comment = format!("Directory {}{below} updated", shown(&self.path));
        }
        Ok(StateReturn::changed(comment, changes))
    }
}

/// What lies in a folder and is not kept: paths that are no kept one, nor lead to one, nor are excluded.
pub(super) fn superfluous(folder: &Path, kept: &[PathBuf], exclude: &Patterns) -> Vec<PathBuf> {
    let mut found = disk::walk(folder, None);
    found.retain(|path| {
        let stays = kept.iter().any(|kept| kept.starts_with(path) || path == kept);
        let relative = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().replace('\\', "/");
        !stays && exclude.take(&relative)
    });
    found
}

fn reach(args: &StateArgs) -> Result<Option<Recurse>, String> {
    let Some(Value::List(names)) = args.given("recurse") else { return Ok(None) };
    if names.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = names.iter().map(Value::to_string).collect();
    const KNOWN: [&str; 6] = ["user", "group", "mode", "ignore_files", "ignore_dirs", "silent"];
    if names.iter().any(|name| !KNOWN.contains(&name.as_str())) {
        let known = KNOWN.map(|name| format!("\"{name}\"")).join(", ");
        return Err(format!("Types for \"recurse\" limited to {known}."));
    }
    let has = |name: &str| names.iter().any(|given| given == name);
    if has("ignore_files") && has("ignore_dirs") {
        return Err(
            "Must not specify \"recurse\" options \"ignore_files\" and \"ignore_dirs\" at the same time."
                .to_owned(),
        );
    }
    Ok(Some(Recurse {
        user: has("user"),
        group: has("group"),
        mode: has("mode"),
        files: !has("ignore_files"),
        dirs: !has("ignore_dirs"),
        silent: has("silent"),
    }))
}
