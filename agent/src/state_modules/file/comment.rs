//! `file.comment` and `file.uncomment`: lines that a regular expression finds get a sign before them, or lose it.

use fancy_regex::Regex;
use states::{Map, StateReturn};

use super::edit::Target;
use crate::{
    state_modules::{RunMode, StateArgs, StateContext},
    text_edit::{comment_lines, diff},
};

pub(super) fn comment(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let wanted = Wanted::read("comment", args)?;
    let target = Target::open(args, run)?;
    let bare = unanchored(&wanted.regex);
    let before = format!("^(?!\\s*{})\\s*{bare}", wanted.sign);
    let after = format!("{}{bare}", wanted.sign);
    if !found(&before, &target.old)? {
        return if found(&after, &target.old)? {
            Ok(StateReturn::ok("Pattern already commented"))
        } else if args.flag("ignore_missing", false) {
            Ok(StateReturn::ok("Pattern not found and ignore_missing set to True"))
        } else {
            Err(format!("{bare}: Pattern not found"))
        };
    }
    wanted.apply(
        &target,
        true,
        &after,
        ["Commented lines successfully", "Expected commented lines not found"],
    )
}

pub(super) fn uncomment(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let wanted = Wanted::read("uncomment", args)?;
    let target = Target::open(args, run)?;
    let bare = wanted.regex.trim_start_matches('^');
    let before = format!("{}[ \\t]*{bare}", wanted.sign);
    let after = format!("^[ \\t]*{bare}");
    if !found(&before, &target.old)? {
        return if found(&after, &target.old)? {
            Ok(StateReturn::ok("Pattern already uncommented"))
        } else {
            Err(format!("{}: Pattern not found", wanted.regex))
        };
    }
    let said = ["Uncommented lines successfully", "Expected uncommented lines not found"];
    wanted.apply(&target, false, &after, said)
}

struct Wanted {
    regex: String,
    sign: String,
    backup: Option<String>,
}

impl Wanted {
    fn read(fun: &str, args: &StateArgs) -> Result<Self, String> {
        if args.name.is_empty() {
            return Err(format!("Must provide name to file.{fun}"));
        }
        let regex =
            args.text("regex").ok_or_else(|| format!("Missing parameter regex for state file.{fun}"))?;
        let sign = args.text("char").unwrap_or_else(|| "#".to_owned());
        Ok(Self { regex, sign, backup: super::edit::ending(args) })
    }

    /// Changes the lines; `after` is what must then be found, `said` what is told of both outcomes.
    fn apply(
        &self,
        target: &Target<'_>,
        on: bool,
        after: &str,
        said: [&str; 2],
    ) -> Result<StateReturn, String> {
        let name = &target.args.name;
        if target.run.mode == RunMode::Test {
            let changes = [(name.as_str(), "updated")].into_iter().collect();
            return Ok(StateReturn::would_change(format!("File {name} is set to be updated"), changes));
        }
        let new = comment_lines(&target.old, &self.regex, &self.sign, on)?;
        if let Some(new) = new.as_ref() {
            if let Some(ending) = &self.backup {
                target.keep_copy(ending)?;
            }
            target.write(new)?;
        }
        let new = new.unwrap_or_else(|| target.old.clone());
        let mut changes = Map::new();
        if new != target.old {
            changes.insert("diff", diff::unified(target.old.as_bytes(), new.as_bytes()));
        }
        let [done, missed] = said;
        let reached = found(after, &new)?;
        let mut ret = StateReturn::changed(if reached { done } else { missed }, changes);
        ret.result = Some(reached);
        Ok(ret)
    }
}

/// A pattern without inline flags at its start, and without `^` and `$`.
fn unanchored(regex: &str) -> &str {
    let flags = regex.strip_prefix("(?").and_then(|rest| rest.split_once(')'));
    let bare = match flags {
        Some((flag, rest)) if flag.len() == 1 && "iLmsux".contains(flag) => rest,
        Some(_) | None => regex,
    };
    let bare = bare.strip_prefix('^').unwrap_or(bare);
    bare.strip_suffix('$').unwrap_or(bare)
}

fn found(pattern: &str, text: &str) -> Result<bool, String> {
    let regex = Regex::new(&format!("(?m){pattern}"))
        .map_err(|error| format!("An exception occurred in this state: re.error: {error}"))?;
    Ok(regex.is_match(text).unwrap_or(false))
}
