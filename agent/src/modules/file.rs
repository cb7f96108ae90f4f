//! Salt's `file` module: facts of files, their content, and changes to them.
//!
//! Facts (existence, owner, mode, hash, names in a folder) are free. Content is given only where the local policy allows
//! reading (`agent: readable_paths`), and files are changed only where it allows writing (`agent: writable_paths`).
//! Signatures, shapes and texts: Salt's `salt/modules/file.py`.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use futures_util::future::BoxFuture;
use states::{Map, Value};

use crate::{
    config::Config,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    policy,
};

mod change;
mod content;
mod edit;
mod facts;
mod find;
#[cfg(unix)]
mod owners;
mod paths;
mod signatures;

/// The module.
pub struct File;

impl Module for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        signatures::FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            let (fun, config) = (fun.to_owned(), std::sync::Arc::clone(&call.services.config));
            let done = call.services.tasks.blocking(move || answer(&fun, &args, &config)).await;
            done.map_err(|error| ModuleError::Execution(error.to_string()))?
        })
    }
}

fn answer(fun: &str, args: &Arguments, config: &Config) -> Result<Value, ModuleError> {
    let found = match paths::answer(fun, args)? {
        Some(value) => Some(value),
        None => match facts::answer(fun, args)? {
            Some(value) => Some(value),
            None => match content::answer(fun, args, config)? {
                Some(value) => Some(value),
                None => match edit::answer(fun, args, config)? {
                    Some(value) => Some(value),
                    None => change::answer(fun, args, config)?,
                },
            },
        },
    };
    found.ok_or_else(|| ModuleError::NotAvailable { fun: format!("file.{fun}") })
}

/// A path argument, `~` followed.
fn path(args: &Arguments, name: &str) -> Result<PathBuf, ModuleError> {
    Ok(expanded(&args.text(name)?))
}

fn expanded(text: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    match text.strip_prefix('~') {
        Some("") => home().unwrap_or_else(|| PathBuf::from(text)),
        Some(rest) if rest.starts_with('/') => {
            home().map_or_else(|| PathBuf::from(text), |home| home.join(rest.trim_start_matches('/')))
        }
        Some(_) | None => PathBuf::from(text),
    }
}

/// An absolute path argument; Salt's refusal otherwise.
fn absolute(args: &Arguments, name: &str, refusal: &str) -> Result<PathBuf, ModuleError> {
    let path = path(args, name)?;
    if path.is_absolute() { Ok(path) } else { Err(ModuleError::Invocation(refusal.to_owned())) }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn may_read(config: &Config, path: &Path) -> Result<(), ModuleError> {
    policy::may_read(config, path).map_err(|error| ModuleError::Execution(error.to_string()))
}

fn may_write(config: &Config, path: &Path) -> Result<(), ModuleError> {
    policy::may_write(config, path).map_err(|error| ModuleError::Execution(error.to_string()))
}

/// The system's reason without Rust's number after it, as C's `strerror` words it.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Python's text of an `OSError` at a path.
fn os_text(error: &std::io::Error, path: &Path) -> String {
    let number = error.raw_os_error().unwrap_or_default();
    format!("[Errno {number}] {}: '{}'", reason(error), path.display())
}

/// An error that Salt's function lets through, as Python would name it.
fn uncaught(error: &std::io::Error, path: &Path) -> ModuleError {
    let class = CLASSES.iter().find(|(kind, _)| *kind == error.kind()).map_or("OSError", |(_, class)| class);
    ModuleError::Exception { class, message: os_text(error, path) }
}

const CLASSES: [(ErrorKind, &str); 5] = [
    (ErrorKind::NotFound, "FileNotFoundError"),
    (ErrorKind::PermissionDenied, "PermissionError"),
    (ErrorKind::AlreadyExists, "FileExistsError"),
    (ErrorKind::IsADirectory, "IsADirectoryError"),
    (ErrorKind::NotADirectory, "NotADirectoryError"),
];

fn map(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    pairs.into_iter().collect::<Map>().into()
}
