//! Salt's `cmd` module: commands of the operating system.
//!
//! Off unless the local policy allows commands (`agent: allow_commands: true`); `cmd.which` and `cmd.has_exec` only
//! look and are always there.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::{path::PathBuf, time::Duration};

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    command::{self, CommandError, Identity, Line, Output, Request, which},
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
};

/// The module.
pub struct Cmd;

impl Module for Cmd {
    fn name(&self) -> &'static str {
        "cmd"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "which" => {
                    Ok(which(&args.text("cmd")?).map(|path| path.to_string_lossy().into_owned()).into())
                }
                "has_exec" => Ok(which(&args.text("cmd")?).is_some().into()),
                "which_bin" => Ok(which_bin(&args).into()),
                "shells" => Ok(shells().into()),
                _ => run(fun, &args, call).await,
            }
        })
    }
}

async fn run(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let options: Map =
        args.named.iter().chain(args.keywords.iter()).map(|(k, v)| (k.clone(), v.clone())).collect();
    let merged =
        matches!(fun, "run" | "shell") || options.get("redirect_stderr").is_some_and(Value::is_truthy);
    // Salt gives a job's command to a shell, and one from a template or a state function not.
    let shell = fun == "shell" || call.jid.is_some();
    let request = request(args.get("cmd"), &options, merged, shell).map_err(ModuleError::Execution)?;
    let mut output = match command::run(&call.services.config, request, &call.cancel).await {
        Ok(output) => output,
        Err(error @ CommandError::TimedOut { .. }) => {
            Output { pid: 0, retcode: 1, stdout: error.to_string(), stderr: String::new() }
        }
        Err(CommandError::Cancelled) => return Err(ModuleError::Cancelled),
        Err(error) => return Err(ModuleError::Execution(error.to_string())),
    };
    let expected = options.get("success_retcodes").and_then(Value::as_list).unwrap_or_default();
    if expected.contains(&Value::Int(output.retcode)) {
        output.retcode = 0;
    }
    if !options.get("ignore_retcode").is_some_and(Value::is_truthy) {
        call.set_retcode(output.retcode);
    }
    if options.get("hide_output").is_some_and(Value::is_truthy) {
        (output.stdout, output.stderr) = (String::new(), String::new());
    }
    Ok(match fun {
        "run_all" => all(output).into(),
        "retcode" => output.retcode.into(),
        "run_stderr" => output.stderr.into(),
        "run" | "shell" if cfg!(windows) && !output.stderr.is_empty() => {
            format!("{}\n{}", output.stdout, output.stderr).trim_start().into()
        }
        _ => output.stdout.into(),
    })
}

/// The map of `cmd.run_all`.
pub(crate) fn all(output: Output) -> Map {
    [
        ("pid", Value::Int(output.pid)),
        ("retcode", output.retcode.into()),
        ("stdout", output.stdout.into()),
        ("stderr", output.stderr.into()),
    ]
    .into_iter()
    .collect()
}

/// A request from Salt's arguments; `shell` tells whether a shell reads the command when `python_shell` does not say.
pub(crate) fn request(cmd: &Value, options: &Map, merged: bool, shell: bool) -> Result<Request, String> {
    let given = |key: &str| options.get(key).filter(|value| value.is_truthy());
    if let Some(key) = UNSUPPORTED.into_iter().find(|key| given(key).is_some()) {
        return Err(format!("the option '{key}' of commands is not supported by this minion"));
    }
    let identity = match given("runas") {
        Some(name) => Identity::of(&name.to_string())?,
        None => None,
    };
    let umask = given("umask").map(ToString::to_string);
    let umask =
        umask.map(|said| u32::from_str_radix(&said, 8).map_err(|_| format!("Invalid umask: '{said}'")));
    let by_shell = match options.get("python_shell") {
        None | Some(Value::Nil) => shell,
        Some(wanted) => wanted.is_truthy(),
    };
    let line = match cmd {
        Value::List(words) => Line::Program(words.iter().map(ToString::to_string).collect()),
        line if by_shell || cfg!(windows) => Line::Shell(line.to_string()),
        line => Line::Program(shlex::split(&line.to_string()).ok_or("No closing quotation")?),
    };
    let mut env = std::collections::BTreeMap::new();
    let mut add = |map: &Map| env.extend(map.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    match given("env") {
        Some(Value::Map(map)) => add(map),
        Some(Value::List(maps)) => maps.iter().filter_map(Value::as_map).for_each(add),
        _ => {}
    }
    if !cfg!(windows) && options.get("reset_system_locale").is_none_or(Value::is_truthy) {
        for name in LOCALE {
            env.entry(name.to_owned()).or_insert_with(|| "C".to_owned());
        }
    }
    let clean_env = given("clean_env").is_some();
    if let Some(first) = given("prepend_path") {
        let own = if clean_env { None } else { std::env::var("PATH").ok() };
        let rest = env.get("PATH").cloned().or(own).unwrap_or_default();
        let between = if cfg!(windows) { ';' } else { ':' };
        env.insert("PATH".to_owned(), format!("{first}{between}{rest}"));
    }
    let timeout =
        given("timeout").and_then(Value::as_float).and_then(|secs| Duration::try_from_secs_f64(secs).ok());
    Ok(Request {
        line,
        shell: given("shell").map(ToString::to_string),
        cwd: given("cwd")
            .map(|cwd| PathBuf::from(cwd.to_string()))
            .or_else(|| identity.as_ref().map(Identity::home)),
        env,
        clean_env,
        stdin: given("stdin").map(ToString::to_string),
        timeout,
        merged,
        umask: umask.transpose()?,
        identity,
    })
}

/// The first of several programs that is on the path.
fn which_bin(args: &Arguments) -> Option<String> {
    let names = args.get("cmds").as_list().unwrap_or_default().iter().map(ToString::to_string);
    names.filter_map(|name| which(&name)).next().map(|path| path.to_string_lossy().into_owned())
}

/// The shells that the machine lists.
fn shells() -> Vec<Value> {
    let text = std::fs::read_to_string("/etc/shells").unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(Value::from).collect()
}

/// Options that would change what runs and are not honoured: a command that has one is refused.
const UNSUPPORTED: [&str; 5] = ["group", "template", "use_vt", "bg", "encoded_cmd"];

/// What commands speak by, so that what they say reads the same on every minion; `LC_ALL` is the caller's.
const LOCALE: [&str; 13] = [
    "LC_CTYPE",
    "LC_NUMERIC",
    "LC_TIME",
    "LC_COLLATE",
    "LC_MONETARY",
    "LC_MESSAGES",
    "LC_PAPER",
    "LC_NAME",
    "LC_ADDRESS",
    "LC_TELEPHONE",
    "LC_MEASUREMENT",
    "LC_IDENTIFICATION",
    "LANGUAGE",
];

const RUN_ARGS: &str = "cmd, cwd=None, stdin=None, runas=None, group=None, shell=DEFAULT_SHELL, python_shell=None, env=None, clean_env=False, template=None, rstrip=True, umask=None, output_encoding=None, output_loglevel='debug', log_callback=None, hide_output=False, timeout=None, reset_system_locale=True, ignore_retcode=False, saltenv=None, use_vt=False, redirect_stderr=True, bg=False, password=None, encoded_cmd=False, raise_err=False, prepend_path=None, success_retcodes=None, success_stdout=None, success_stderr=None, **kwargs";
const ALL_ARGS: &str = "cmd, cwd=None, stdin=None, runas=None, group=None, shell=DEFAULT_SHELL, python_shell=None, env=None, clean_env=False, template=None, rstrip=True, umask=None, output_encoding=None, output_loglevel='debug', log_callback=None, hide_output=False, timeout=None, reset_system_locale=True, ignore_retcode=False, saltenv=None, use_vt=False, redirect_stderr=False, password=None, encoded_cmd=False, prepend_path=None, success_retcodes=None, success_stdout=None, success_stderr=None, **kwargs";
const STREAM_ARGS: &str = "cmd, cwd=None, stdin=None, runas=None, group=None, shell=DEFAULT_SHELL, python_shell=None, env=None, clean_env=False, template=None, rstrip=True, umask=None, output_encoding=None, output_loglevel='debug', log_callback=None, hide_output=False, timeout=None, reset_system_locale=True, ignore_retcode=False, saltenv=None, use_vt=False, password=None, prepend_path=None, success_retcodes=None, success_stdout=None, success_stderr=None, **kwargs";
const SHELL_ARGS: &str = "cmd, cwd=None, stdin=None, runas=None, group=None, shell=DEFAULT_SHELL, env=None, clean_env=False, template=None, rstrip=True, umask=None, output_encoding=None, output_loglevel='debug', log_callback=None, hide_output=False, timeout=None, reset_system_locale=True, ignore_retcode=False, saltenv=None, use_vt=False, bg=False, password=None, prepend_path=None, success_retcodes=None, success_stdout=None, success_stderr=None, **kwargs";
const RETCODE_ARGS: &str = "cmd, cwd=None, stdin=None, runas=None, group=None, shell=DEFAULT_SHELL, python_shell=None, env=None, clean_env=False, template=None, umask=None, output_encoding=None, output_loglevel='debug', log_callback=None, timeout=None, reset_system_locale=True, ignore_retcode=False, saltenv=None, use_vt=False, password=None, success_retcodes=None, success_stdout=None, success_stderr=None, **kwargs";

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "has_exec", signature: "cmd", doc: "Tells whether a program is on the path." },
    FunctionSpec {
        name: "retcode",
        signature: RETCODE_ARGS,
        doc: "Runs a command and returns its exit code. Needs the local policy.",
    },
    FunctionSpec {
        name: "run",
        signature: RUN_ARGS,
        doc: "Runs a command and returns its output. Needs the local policy.",
    },
    FunctionSpec {
        name: "run_all",
        signature: ALL_ARGS,
        doc: "Runs a command and returns exit code, output and error stream. Needs the local policy.",
    },
    FunctionSpec {
        name: "run_stderr",
        signature: STREAM_ARGS,
        doc: "Runs a command and returns its error stream. Needs the local policy.",
    },
    FunctionSpec {
        name: "run_stdout",
        signature: STREAM_ARGS,
        doc: "Runs a command and returns its output without the error stream. Needs the local policy.",
    },
    FunctionSpec { name: "shell", signature: SHELL_ARGS, doc: "The same as cmd.run." },
    FunctionSpec { name: "which", signature: "cmd", doc: "Returns the place of a program on the path." },
    FunctionSpec { name: "shells", signature: "", doc: "Lists the shells of this machine." },
    FunctionSpec {
        name: "which_bin",
        signature: "cmds",
        doc: "Returns the place of the first of several programs that is on the path.",
    },
];
