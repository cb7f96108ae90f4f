//! `file.line`, `replace`, `blockreplace` and `keyvalue`: a text read, changed and written in one step.
use std::path::{Path, PathBuf};

use states::{Map, StateReturn, Value};

use super::{allowed, content, disk, expanded};
use crate::{
    state_modules::{RunMode, StateArgs, StateContext},
    text_edit::{Block, KeyValue, LineEdit, Location, NotFound, Place, Replacement, diff, flags},
};

/// A file that is about to be edited.
pub(super) struct Target<'a> {
    pub(super) args: &'a StateArgs,
    pub(super) run: &'a StateContext,
    /// The file itself, links followed.
    path: PathBuf,
    pub(super) old: String,
}

impl<'a> Target<'a> {
    pub(super) fn open(args: &'a StateArgs, run: &'a StateContext) -> Result<Self, String> {
        let path = existing(&args.name)?;
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let bytes = std::fs::read(&path)
            .map_err(|error| format!("Unable to open file '{}'. Exception: {error}", path.display()))?;
        let old = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or_else(|| {
            format!("Cannot perform string replacements on a binary file: {}", path.display())
        })?;
        Ok(Self { args, run, path, old })
    }

    fn dry(&self) -> bool {
        self.run.mode == RunMode::Test
    }

    /// Writes the new text, and says so with the diff.
    fn finish(&self, new: &str, predicted: &str) -> Result<StateReturn, String> {
        if new == self.old {
            return Ok(StateReturn::ok("No changes needed to be made"));
        }
        let mut changes = Map::new();
        if self.args.flag("show_changes", true) {
            changes.insert("diff", diff::unified(self.old.as_bytes(), new.as_bytes()));
        } else {
            changes.insert("diff", true);
        }
        if self.dry() {
            return Ok(StateReturn::would_change(predicted, changes));
        }
        self.write(new)?;
        Ok(StateReturn::changed("Changes were made", changes))
    }

    pub(super) fn write(&self, new: &str) -> Result<(), String> {
        allowed(self.run, &self.path)?;
        disk::replace(&self.path, new.as_bytes(), None)
            .map_err(|error| format!("Unable to write file '{}'. Exception: {error}", self.path.display()))
    }

    /// A copy beside the file, with an ending.
    pub(super) fn keep_copy(&self, ending: &str) -> Result<(), String> {
        if self.dry() {
            return Ok(());
        }
        let copy = PathBuf::from(format!("{}{ending}", self.path.display()));
        allowed(self.run, &copy)?;
        disk::replace(&copy, self.old.as_bytes(), disk::held_mode(&self.path)).map_err(|error| {
            format!("Unable to create the backup file of {}. Exception: {error}", self.path.display())
        })
    }
}

/// The path of a file that must be there.
fn existing(name: &str) -> Result<PathBuf, String> {
    let path = expanded(name);
    if !path.is_absolute() {
        return Err(format!("Specified file {name} is not an absolute path"));
    }
    if path.exists() { Ok(path) } else { Err(format!("{}: file not found", path.display())) }
}

/// `backup`, which is an ending, or false.
pub(super) fn ending(args: &StateArgs) -> Option<String> {
    match args.args.get("backup") {
        None => Some(".bak".to_owned()),
        Some(Value::Bool(true)) => Some("True".to_owned()),
        Some(value) => Some(value.to_string()).filter(|_| value.is_truthy()),
    }
}

pub(super) fn line(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    if args.flag("create", false) && !Path::new(&args.name).exists() && run.mode == RunMode::Apply {
        let path = expanded(&args.name);
        allowed(run, &path)?;
        let mode = args.text("file_mode").map(|mode| disk::octal(&mode)).transpose()?;
        disk::replace(&path, b"", mode)
            .map_err(|error| format!("File {} not created: {error}", args.name))?;
    }
    let target = Target::open(args, run)?;
    let Some(mode) = args.text("mode").map(|mode| mode.to_lowercase()) else {
        return Err("Mode was not defined. How to process the file?".to_owned());
    };
    let content = args.text("content");
    if mode != "delete" && content.is_none() {
        return Err("Content can only be empty if mode is ['delete']".to_owned());
    }
    let edit = LineEdit {
        content,
        matching: args.text("match"),
        mode,
        location: match args.text("location").as_deref() {
            Some("start") => Some(Location::Start),
            Some("end") => Some(Location::End),
            _ => None,
        },
        before: args.text("before"),
        after: args.text("after"),
        indent: args.flag("indent", true),
    };
    let new = edit.apply(&target.old).map_err(|why| exception("CommandExecutionError", &why))?;
    if args.flag("backup", false) && new != target.old {
        target.keep_copy(&chrono::Local::now().format(".%Y-%m-%d-%H-%M-%S").to_string())?;
    }
    target.finish(&new, "Changes would be made")
}

/// A refusal that Salt raises in the state, so that it arrives as an exception's text.
fn exception(class: &str, why: &str) -> String {
    format!("An exception occurred in this state: {class}: {why}")
}

pub(super) fn replace(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let target = match existing(&args.name) {
        Err(why) if args.flag("ignore_if_missing", false) && why.contains("file not found") => {
            return Ok(StateReturn::ok("No changes needed to be made"));
        }
        _ => Target::open(args, run)?,
    };
    let needed =
        |key: &str| args.text(key).ok_or_else(|| format!("Missing parameter {key} for state file.replace"));
    let (pattern, repl) = (needed("pattern")?, needed("repl")?);
    let (append, prepend) =
        (args.flag("append_if_not_found", false), args.flag("prepend_if_not_found", false));
    let missing = args.text("not_found_content").unwrap_or_else(|| repl.clone());
    let not_found = match (append, prepend) {
        (true, true) => {
            let why = "Only one of append and prepend_if_not_found is permitted";
            return Err(exception("SaltInvocationError", why));
        }
        (true, _) => NotFound::Append(missing),
        (_, true) => NotFound::Prepend(missing),
        _ => NotFound::Leave,
    };
    let replacement = Replacement {
        pattern,
        repl,
        count: args
            .given("count")
            .and_then(Value::as_int)
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(0),
        flags: flags(args.args.get("flags").unwrap_or(&Value::Int(8)))
            .map_err(|why| exception("CommandExecutionError", &why))?,
        not_found,
        literal: args.flag("backslash_literal", false),
    };
    let new = replacement.apply(&target.old)?;
    if let Some(ending) = ending(args).filter(|_| new != target.old) {
        target.keep_copy(&ending)?;
    }
    target.finish(&new, "Changes would have been made")
}

pub(super) async fn blockreplace(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let target = Target::open(args, run)?;
    let mut text = args.text("content").unwrap_or_default();
    for part in content::templated(args, run).await? {
        text.push_str(&part);
    }
    for line in run.accumulators.for_state(&args.name, &args.id) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line.to_string());
    }
    let wishes = [
        args.flag("append_if_not_found", false).then_some(Place::End),
        args.flag("prepend_if_not_found", false).then_some(Place::Start),
        args.given("insert_before_match").filter(|it| it.is_truthy()).map(|it| Place::Before(it.to_string())),
        args.given("insert_after_match").filter(|it| it.is_truthy()).map(|it| Place::After(it.to_string())),
    ];
    let mut places = wishes.into_iter().flatten();
    let (place, second) = (places.next(), places.next());
    let failed = |why: &str| format!("Encountered error managing block: {why}. See the log for details.");
    if second.is_some() {
        return Err(failed(
            "Only one of append_if_not_found, prepend_if_not_found, insert_before_match, and insert_after_match is permitted",
        ));
    }
    let block = Block {
        start: args.text("marker_start").unwrap_or_else(|| "#-- start managed zone --".to_owned()),
        end: args.text("marker_end").unwrap_or_else(|| "#-- end managed zone --".to_owned()),
        content: text,
        place: place.unwrap_or(Place::Nowhere),
        newline: args.given("append_newline").map(Value::is_truthy),
    };
    let new = block.apply(&target.old).map_err(|why| failed(&why))?;
    if let Some(ending) = ending(args).filter(|_| new != target.old) {
        target.keep_copy(&ending)?;
    }
    target.finish(&new, "Changes would be made")
}

pub(super) fn keyvalue(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let wanted = wanted(args)?;
    let create = args.flag("create_if_missing", false);
    let path = expanded(&args.name);
    let old = match std::fs::read_to_string(&path) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => String::new(),
        Err(_) => {
            let comment = format!("unable to open {}", args.name);
            let ignored = args.flag("ignore_if_missing", false);
            return if ignored { Ok(StateReturn::ok(comment)) } else { Err(comment) };
        }
    };
    let edit = KeyValue { append: wanted.append || create && !path.exists(), ..wanted }.apply(&old);
    if edit.changed == 0 && edit.deleted == 0 {
        return Ok(StateReturn::ok(""));
    }
    let (changed, deleted) = (edit.changed, edit.deleted);
    let shown = args.flag("show_changes", true);
    let changes: Map = shown.then(|| ("diff", edit.diff.concat())).into_iter().collect();
    if run.mode == RunMode::Test {
        let mut comment =
            format!("File {} is set to be changed ({changed} lines modified, {deleted} deleted)", args.name);
        if shown {
            comment.push_str(&format!("\nPredicted diff:\n\r\t\t{}", edit.diff.join("\r\t\t")));
        }
        return Ok(StateReturn::would_change(comment, changes));
    }
    allowed(run, &path)?;
    disk::replace(&path, edit.text.as_bytes(), None).map_err(|_| format!("{} not writable", args.name))?;
    Ok(StateReturn::changed(format!("Changed {changed}, deleted {deleted} lines"), changes))
}

fn wanted(args: &StateArgs) -> Result<KeyValue, String> {
    let pairs = match (args.given("key"), args.given("value"), args.given("key_values")) {
        (Some(key), Some(value), _) => [(key.to_string(), value.clone())].into_iter().collect(),
        (_, _, Some(Value::Map(pairs))) if !pairs.is_empty() => pairs.clone(),
        (_, _, given) => {
            let why = if given.is_some_and(Value::is_truthy) { "is not a dictionary" } else { "is empty" };
            return Err(format!("file.keyvalue key and value not supplied and key_values {why}"));
        }
    };
    Ok(KeyValue {
        pairs,
        separator: args.text("separator").unwrap_or_else(|| "=".to_owned()),
        append: args.flag("append_if_not_found", false),
        prepend: args.flag("prepend_if_not_found", false),
        count: args.given("count").and_then(Value::as_int).unwrap_or(1),
        uncomment: args.text("uncomment"),
        key_ignore_case: args.flag("key_ignore_case", false),
        value_ignore_case: args.flag("value_ignore_case", false),
        prune: args.flag("prune", false),
    })
}
