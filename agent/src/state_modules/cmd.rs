//! Salt's `cmd` state module: `run`, `script` and their waiting forms, when the local policy allows commands.

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    command::{self, CommandError, Output},
    modules::cmd::{all, request},
    policy,
    state_modules::{RunMode, StateArgs, StateContext, StateModule, file},
};

/// The module.
pub struct Cmd;

impl StateModule for Cmd {
    fn name(&self) -> &'static str {
        "cmd"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["mod_watch", "run", "script", "wait", "wait_script"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let sfun = args.text("sfun").unwrap_or_default();
            let done = match fun {
                // Only a watch that fires runs it.
                "wait" | "wait_script" => Ok(StateReturn::ok("")),
                "script" => script(args, run).await,
                "mod_watch" if matches!(sfun.as_str(), "script" | "wait_script") => script(args, run).await,
                _ => ran(args, run).await,
            };
            done.unwrap_or_else(StateReturn::failed)
        })
    }
}

/// `stateful`, when it asks for more than yes or no.
struct Stateful {
    wanted: bool,
    test_name: Option<String>,
}

impl Stateful {
    fn of(args: &StateArgs) -> Self {
        match args.given("stateful") {
            Some(Value::List(items)) => {
                let test_name = items.iter().find_map(|item| item.get("test_name")).map(ToString::to_string);
                Self { wanted: !items.is_empty(), test_name }
            }
            other => Self { wanted: other == Some(&Value::Bool(true)), test_name: None },
        }
    }
}

async fn ran(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let stateful = Stateful::of(args);
    let dry = run.mode == RunMode::Test;
    let name = stateful.test_name.as_ref().filter(|_| dry).unwrap_or(&args.name);
    policy::may_run(&run.services.config, name).map_err(|error| error.to_string())?;
    if dry && stateful.test_name.is_none() {
        let changes: Map = [("cmd", name.as_str())].into_iter().collect();
        let comment = format!("Command \"{name}\" would have been executed");
        let ret = StateReturn::would_change(comment, changes);
        return Ok(if stateful.wanted { told(ret) } else { ret });
    }
    let output = output(name, args, run).await?;
    Ok(ended(output, format!("Command \"{name}\" run"), &stateful, dry))
}

async fn script(args: &StateArgs, run: &StateContext) -> Result<StateReturn, String> {
    let (stateful, name) = (Stateful::of(args), &args.name);
    let dry = run.mode == RunMode::Test;
    policy::may_run(&run.services.config, name).map_err(|error| error.to_string())?;
    if dry && stateful.test_name.is_none() {
        let comment = format!("Command '{name}' would have been executed");
        let ret = StateReturn::would_change(comment, Map::new());
        return Ok(if stateful.wanted { told(ret) } else { ret });
    }
    let source = args.text("source").unwrap_or_else(|| name.clone());
    if !source.contains("://") && !source.starts_with('/') && !std::path::Path::new(&source).is_absolute() {
        let path = source.split_whitespace().next().unwrap_or_default();
        return Err(format!("Path '{path}' is not absolute"));
    }
    let Ok(text) = file::script(args, &source, run).await else {
        let comment = format!("Unable to cache script {source} from saltenv '{}'", args.saltenv);
        let changes =
            [("pid", Value::Int(0)), ("retcode", 1.into()), ("stdout", "".into()), ("stderr", "".into())];
        let mut changes: Map = changes.into_iter().collect();
        changes.insert("cache_error", true);
        return Ok(StateReturn { changes: changes.into(), ..StateReturn::failed(comment) });
    };
    let place = kept(&text, &source, run).map_err(|error| format!("the script cannot be kept: {error}"))?;
    let given = args.text("args").or_else(|| name.split_once(' ').map(|(_, args)| args.to_owned()));
    let line = format!("{} {}", place.display(), given.unwrap_or_default());
    let output = output(line.trim_end(), args, run).await?;
    Ok(ended(output, format!("Command '{name}' run"), &stateful, dry))
}

/// Writes a script where only this process may read and run it; it goes when the value does.
fn kept(text: &[u8], source: &str, run: &StateContext) -> std::io::Result<tempfile::TempPath> {
    let ending = source.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    let ending = ending.map(|ending| format!(".{ending}")).unwrap_or_default();
    let folder = run.services.config.cachedir.join("scripts");
    std::fs::create_dir_all(&folder)?;
    let file = tempfile::Builder::new().suffix(&ending).tempfile_in(folder)?;
    std::fs::write(file.path(), text)?;
    executable(file.path())?;
    // The open file would keep the system from running it.
    Ok(file.into_temp_path())
}

#[cfg(unix)]
fn executable(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o500))
}

#[cfg(not(unix))]
fn executable(_path: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}

async fn output(line: &str, args: &StateArgs, run: &StateContext) -> Result<Output, String> {
    // The script was rendered already.
    let own =
        |key: &Value| matches!(key.as_str(), Some("template" | "source" | "context" | "defaults" | "args"));
    let options = args.args.iter().filter(|(key, _)| !own(key));
    let options: Map = options.map(|(key, value)| (key.clone(), value.clone())).collect();
    let request = request(&line.into(), &options, false, true)?;
    if let Some(cwd) = request.cwd.as_ref().filter(|cwd: &&PathBuf| !cwd.is_dir()) {
        return Err(format!("Desired working directory \"{}\" is not available", cwd.display()));
    }
    match command::run(&run.services.config, request, &run.cancel).await {
        Ok(mut output) => {
            if success_codes(args).contains(&output.retcode) {
                output.retcode = 0;
            }
            if args.flag("hide_output", false) {
                (output.stdout, output.stderr) = (String::new(), String::new());
            }
            Ok(output)
        }
        Err(error @ CommandError::TimedOut { .. }) => {
            let ignored = args.flag("ignore_timeout", false);
            let retcode = i64::from(!ignored);
            Ok(Output { pid: 0, retcode, stdout: error.to_string(), stderr: String::new() })
        }
        Err(error) => Err(error.to_string()),
    }
}

fn success_codes(args: &StateArgs) -> Vec<i64> {
    let codes = args.args.get("success_retcodes").and_then(Value::as_list).unwrap_or_default();
    codes.iter().filter_map(Value::as_int).collect()
}

fn ended(output: Output, comment: String, stateful: &Stateful, dry: bool) -> StateReturn {
    let success = output.retcode == 0;
    let mut ret = StateReturn { result: Some(success), ..StateReturn::changed(comment, all(output)) };
    if stateful.wanted {
        ret = told(ret);
    }
    if dry && success && ret.changes.is_truthy() {
        ret.result = None;
    }
    ret
}

/// What a command's own output says of its changes: a JSON object, or a last line of `name=value` pairs.
fn told(mut ret: StateReturn) -> StateReturn {
    let shown = ret.changes.as_map().cloned().unwrap_or_default();
    ret.changes = Map::new().into();
    ret.comment = String::new();
    let out = shown.get("stdout").map(ToString::to_string).unwrap_or_default();
    if out.is_empty() {
        ret.comment = shown.get("stderr").map(ToString::to_string).unwrap_or_default();
        return ret;
    }
    let json = serde_json::from_str::<Value>(&out).ok();
    let (mut data, stdout) = match json {
        Some(Value::Map(data)) => (data, String::new()),
        Some(_) => return StateReturn { result: Some(false), comment: NO_OBJECT.to_owned(), ..ret },
        None => {
            let last = out.trim_end().rfind('\n');
            let line = last.map_or(out.as_str(), |at| &out[at + 1..]);
            // Salt cuts the last letter of an output of one line.
            let before = last.map_or_else(|| out[..out.len() - 1].to_owned(), |at| out[..at].to_owned());
            match pairs(line) {
                Some(data) => (data, before),
                None => {
                    let changes = shown.into();
                    return StateReturn { result: Some(false), comment: NO_PAIRS.to_owned(), changes, ..ret };
                }
            }
        }
    };
    let changed = data
        .get("changed")
        .is_some_and(|changed| matches!(changed.to_string().to_lowercase().as_str(), "true" | "yes" | "1"));
    if let Some(comment) = data.remove("comment") {
        ret.comment = comment.to_string();
    }
    if changed {
        for (key, value) in shown {
            data.entry_or_insert(key, value);
        }
        data.insert("stdout", stdout);
        ret.changes = data.into();
    }
    ret
}

/// `name=value` pairs as a shell would part them.
fn pairs(line: &str) -> Option<Map> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut open) = (String::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(end), letter) if letter == end => quote = None,
            (None, '"' | '\'') => (quote, open) = (Some(letter), true),
            (None, letter) if letter.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (_, letter) => word.push(letter),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').filter(|(_, value)| !value.contains('='))?;
        Some((key.to_owned(), value.to_owned()))
    };
    words.iter().map(pair).collect()
}

const NO_OBJECT: &str = "script JSON output must be a JSON object (e.g., {})!";
const NO_PAIRS: &str = "Failed parsing script output! Stdout must be JSON or a line of name=value pairs.";

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stdout: &str) -> StateReturn {
        let changes = [("stdout", stdout), ("stderr", "")].into_iter().collect();
        told(StateReturn::changed("Command run", changes))
    }

    #[test]
    fn takes_changes_from_json_or_from_the_last_line() {
        let ret = said("some\nlog\nchanged=yes comment='all done' x=1");
        assert_eq!((ret.comment.as_str(), ret.changes.get("x")), ("all done", Some(&"1".into())));
        assert_eq!(ret.changes.get("stdout"), Some(&"some\nlog".into()));
        let ret = said("{\"changed\": true, \"comment\": \"c\"}");
        assert_eq!((ret.comment.as_str(), ret.changes.get("stdout")), ("c", Some(&"".into())));
        assert!(!said("changed=no").changes.is_truthy());
        assert_eq!(said("nonsense").result, Some(false));
    }
}
