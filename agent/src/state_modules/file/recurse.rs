//! `file.recurse`: a folder of the file server laid out on this machine.
//!
//! Which files, folders and links belong to it is decided once from the file server's lists; each is then managed as
//! `file.managed`, `file.directory` and `file.symlink` would, and their returns are gathered.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use fancy_regex::Regex;
use states::{Map, StateReturn, Value, fnmatch};

use super::{allowed, directory, disk, expanded, links, managed, target};
use crate::{
    files::SaltPath,
    state_modules::{RunMode, StateArgs, StateContext},
};

/// `include_pat` and `exclude_pat`: globs, or regular expressions after `E@`.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Patterns {
    pub(super) fn of(include: Option<&Value>, exclude: Option<&Value>) -> Self {
        let list = |value: Option<&Value>| match value {
            None | Some(Value::Nil) => Vec::new(),
            Some(Value::List(items)) => items.iter().map(Value::to_string).collect(),
            Some(one) => vec![one.to_string()],
        };
        Self { include: list(include), exclude: list(exclude) }
    }

    /// Whether a relative path is to be looked at.
    pub(super) fn take(&self, path: &str) -> bool {
        let hit = |pattern: &String| match pattern.strip_prefix("E@") {
            Some(regex) => Regex::new(regex).is_ok_and(|regex| regex.is_match(path).unwrap_or(false)),
            None => fnmatch(path, pattern),
        };
        (self.include.is_empty() || self.include.iter().any(hit)) && !self.exclude.iter().any(hit)
    }
}

/// What belongs to the folder.
#[derive(Debug, Default)]
struct Layout {
    files: BTreeMap<PathBuf, String>,
    dirs: BTreeSet<PathBuf>,
    links: BTreeMap<PathBuf, String>,
    keep: BTreeSet<PathBuf>,
}

impl Layout {
    async fn of(args: &StateArgs, run: &StateContext, name: &Path) -> Result<Self, String> {
        let failed = |error: &dyn ToString| format!("Recurse failed: {}", error.to_string());
        let mut layout = Self::default();
        let mut found = false;
        for source in sources(args)? {
            let (path, env) = SaltPath::parse(&source).map_err(|error| failed(&error))?;
            let env = env.unwrap_or_else(|| args.saltenv.clone());
            let root = format!("{}/", path.as_str());
            let listed = run.services.files.list(&env, &root).await.map_err(|error| failed(&error))?;
            let dirs = run.services.files.dirs(&env).await.map_err(|error| failed(&error))?;
            if listed.is_empty() && !dirs.iter().any(|dir| dir == path.as_str()) {
                continue;
            }
            found = true;
            let mut files: Vec<String> = listed;
            if args.flag("keep_symlinks", false) {
                let links = run.services.files.symlinks(&env, &root).await.map_err(|error| failed(&error))?;
                files.retain(|file| {
                    !links.iter().any(|(link, _)| file == link || file.starts_with(&format!("{link}/")))
                });
                for (link, to) in links {
                    layout.add_link(args, name, (&root, &link), to);
                }
            }
            for file in files {
                layout.add_file(args, name, (&root, &file), &env);
            }
            if args.flag("include_empty", false) {
                for dir in dirs {
                    layout.add_dir(args, name, &root, &dir);
                }
            }
            if !args.flag("merge", false) {
                break;
            }
        }
        if found { Ok(layout) } else { Err(failed(&"none of the specified sources were found")) }
    }

    fn add_file(&mut self, args: &StateArgs, name: &Path, (root, file): (&str, &str), env: &str) {
        let Some(relative) = relative(args, root, file) else { return };
        let dest = name.join(&relative);
        if self.occupied(&dest) {
            return;
        }
        self.dirs.extend(dest.parent().map(Path::to_owned));
        self.keep.insert(dest.clone());
        self.files.insert(dest, format!("salt://{file}?saltenv={env}"));
    }

    fn add_dir(&mut self, args: &StateArgs, name: &Path, root: &str, dir: &str) {
        if let Some(relative) = relative(args, root, dir) {
            let dest = name.join(relative);
            if !self.occupied(&dest) {
                self.keep.insert(dest.clone());
                self.dirs.insert(dest);
            }
        }
    }

    fn add_link(&mut self, args: &StateArgs, name: &Path, (root, link): (&str, &str), to: String) {
        if let Some(relative) = relative(args, root, link) {
            let dest = name.join(relative);
            if !self.occupied(&dest) {
                self.keep.insert(dest.clone());
                self.links.insert(dest, to);
            }
        }
    }

    /// A source before this one gave the path, or something above it that is no folder.
    fn occupied(&self, dest: &Path) -> bool {
        dest.ancestors().any(|path| self.files.contains_key(path) || self.links.contains_key(path))
    }
}

/// A path below the source, when it is one that is wanted.
fn relative(args: &StateArgs, root: &str, path: &str) -> Option<String> {
    let relative = path.strip_prefix(root)?;
    let deepest =
        args.given("maxdepth").and_then(Value::as_int).and_then(|depth| usize::try_from(depth).ok());
    let patterns = Patterns::of(args.given("include_pat"), args.given("exclude_pat"));
    let shallow = deepest.is_none_or(|deepest| relative.matches('/').count() <= deepest);
    (!relative.is_empty() && shallow && patterns.take(relative)).then(|| relative.to_owned())
}

fn sources(args: &StateArgs) -> Result<Vec<String>, String> {
    let sources: Vec<String> = match args.given("source") {
        Some(Value::List(items)) => items.iter().map(Value::to_string).collect(),
        Some(one) => vec![one.to_string()],
        None => return Err("Missing parameter source for state file.recurse".to_owned()),
    };
    let trimmed: Vec<String> = sources.iter().map(|source| source.trim_end_matches('/').to_owned()).collect();
    match trimmed.iter().find(|source| !source.starts_with("salt://")) {
        Some(wrong) => Err(format!("Recurse failed: Invalid source '{wrong}' (must be a salt:// URI)")),
        None => Ok(trimmed),
    }
}

/// What a folder that is cleaned must keep: the files of the states it requires.
pub(super) async fn kept(args: &StateArgs, run: &StateContext) -> Result<Vec<PathBuf>, String> {
    let folder = expanded(&args.name);
    let mut kept = Vec::new();
    for (_, wanted) in args.require.iter().filter(|(state, _)| state == "file") {
        for chunk in run.low.iter().filter(|chunk| chunk.name == *wanted || chunk.id == *wanted) {
            let path = PathBuf::from(&chunk.name);
            if !path.is_dir() {
                kept.push(path);
                continue;
            }
            if !path.starts_with(&folder) {
                continue;
            }
            if chunk.fun == "recurse" {
                let other = StateArgs { name: chunk.name.clone(), args: chunk.args.clone(), ..args.clone() };
                kept.extend(Layout::of(&other, run, &path).await?.keep);
            } else {
                kept.extend(disk::walk(&path, None));
                kept.push(path);
            }
        }
    }
    Ok(kept)
}

/// The returns of all parts, gathered.
struct Gathered {
    result: Option<bool>,
    comments: Map,
    changes: Map,
}

impl Gathered {
    /// The worst result wins; only what is not fine is commented on.
    fn take(&mut self, path: &Path, ret: StateReturn) {
        let path = path.to_string_lossy().into_owned();
        if ret.result == Some(false) || self.result == Some(true) {
            self.result = ret.result;
        }
        if ret.result != Some(true) && !ret.comment.is_empty() {
            self.comment(&path, ret.comment);
        }
        if ret.changes.is_truthy() {
            self.changes.insert(path, ret.changes);
        }
    }

    fn comment(&mut self, path: &str, comment: String) {
        if let Value::List(comments) = self.comments.entry_or_insert(path, Vec::new()) {
            comments.push(comment.into());
        }
    }

    fn finish(self, name: &str) -> StateReturn {
        let parts: Vec<String> = self
            .comments
            .iter()
            .map(|(path, comments)| {
                let comments: Vec<String> =
                    comments.as_list().unwrap_or_default().iter().map(Value::to_string).collect();
                format!("\n#### {path} ####\n{}", comments.join("\n"))
            })
            .collect();
        let mut comment = parts.join("\n").trim().to_owned();
        if comment.is_empty() {
            comment = format!("Recursively updated {name}");
        }
        if self.changes.is_empty() && self.result == Some(true) {
            comment = format!("The directory {name} is in the correct state");
        }
        StateReturn { result: self.result, ..StateReturn::changed(comment, self.changes) }
    }
}

pub(super) async fn recurse(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    if args.args.contains_key("mode") {
        return Err(
            "'mode' is not allowed in 'file.recurse'. Please use 'file_mode' and 'dir_mode'.".to_owned()
        );
    }
    let modes = ["dir_mode", "file_mode", "sym_mode"];
    if cfg!(windows) && modes.iter().any(|mode| args.given(mode).is_some()) {
        return Err("mode management is not supported on Windows".to_owned());
    }
    disk::Owner::of(args.text("user").as_deref(), args.text("group").as_deref())?;
    let path = target(&args.name)?;
    let layout = Layout::of(args, run, &path).await?;
    if !path.is_dir() && path.exists() {
        return Err(format!("The path {} exists and is not a directory", args.name));
    }
    if !path.is_dir() && run.mode == RunMode::Apply {
        allowed(run, &path)?;
        let mode = args.text("dir_mode").map(|mode| disk::octal(&mode)).transpose()?;
        disk::make_folders(&path, mode.unwrap_or(0o755))
            .map_err(|error| format!("{}: {error}", args.name))?;
    }
    let mut gathered = Gathered { result: Some(true), comments: Map::new(), changes: Map::new() };
    for dir in &layout.dirs {
        let ret = directory::directory(&of_dir(args, dir), run).await;
        gathered.take(dir, ret.unwrap_or_else(StateReturn::failed));
    }
    for (file, source) in &layout.files {
        let ret = managed(&of_file(args, file, source), run).await;
        gathered.take(file, ret.unwrap_or_else(StateReturn::failed));
    }
    for (link, to) in &layout.links {
        let ret = links::symlink(&of_link(args, link, to), run);
        gathered.take(link, ret.unwrap_or_else(StateReturn::failed));
    }
    if args.flag("clean", false) {
        clean(args, run, &path, &layout, &mut gathered).await?;
    }
    Ok(gathered.finish(&args.name))
}

async fn clean(
    args: &StateArgs,
    run: &StateContext,
    path: &Path,
    layout: &Layout,
    gathered: &mut Gathered,
) -> Result<(), String> {
    let kept: Vec<PathBuf> = layout.keep.iter().cloned().chain(kept(args, run).await?).collect();
    let patterns = Patterns::of(None, args.given("exclude_pat"));
    let superfluous = directory::superfluous(path, &kept, &patterns);
    if superfluous.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = superfluous.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    if run.mode == RunMode::Test {
        gathered.result = gathered.result.filter(|result| !result);
        names.into_iter().for_each(|name| gathered.comment("removed", name));
        return Ok(());
    }
    for path in superfluous.iter().filter(|path| disk::is_there(path)) {
        allowed(run, path)?;
        disk::remove(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    gathered.changes.insert("removed", names.into_iter().map(Value::from).collect::<Vec<_>>());
    Ok(())
}

/// The arguments of one part: the named ones of the whole, under the part's own names.
fn part(args: &StateArgs, path: &Path, taken: &[(&str, &str)], own: &[(&str, Value)]) -> StateArgs {
    let mut map = Map::new();
    for (key, from) in taken {
        if let Some(value) = args.given(from) {
            map.insert(*key, value.clone());
        }
    }
    map.extend(own.iter().cloned());
    StateArgs { name: path.to_string_lossy().into_owned(), args: map, require: Vec::new(), ..args.clone() }
}

fn of_dir(args: &StateArgs, path: &Path) -> StateArgs {
    let taken = [("user", "user"), ("group", "group"), ("dir_mode", "dir_mode")];
    part(args, path, &taken, &[("makedirs", true.into())])
}

fn of_file(args: &StateArgs, path: &Path, source: &str) -> StateArgs {
    let taken = [
        ("user", "user"),
        ("group", "group"),
        ("mode", "file_mode"),
        ("template", "template"),
        ("replace", "replace"),
        ("context", "context"),
        ("defaults", "defaults"),
        ("backup", "backup"),
        ("show_changes", "show_changes"),
    ];
    part(args, path, &taken, &[("makedirs", true.into()), ("source", source.into())])
}

fn of_link(args: &StateArgs, path: &Path, to: &str) -> StateArgs {
    let taken = [("user", "user"), ("group", "group"), ("mode", "sym_mode"), ("force", "force_symlinks")];
    part(args, path, &taken, &[("makedirs", true.into()), ("target", to.into())])
}
