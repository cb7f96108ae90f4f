//! Templates that other templates name: relative names, and imports without context.
//!
//! The engine runs an import in the importer's context. An import that must not see it has the importer's variables in front
//! of its name, between two marks; its source then begins by making nothing of them and by telling its own place, which
//! one that runs in its importer's context takes from there. What the marks enclose is in no message.

use std::borrow::Cow;

use minijinja::value::Value as Jinja;
use minijinja::{Error, ErrorKind};

/// In no path, and printed as it is.
const MARK: char = '\u{2016}';

/// What ends the part of a source that its file does not have.
pub(super) const PREFIX_END: &str = "{#!#}";

/// The function around the file of an import without context.
pub(super) fn alone(file: Jinja, names: &str) -> Result<Jinja, Error> {
    if let Some(name) = file.as_str() {
        return Ok(Jinja::from(format!("{MARK}{names}{MARK}{name}")));
    }
    if file.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let several = file.try_iter()?.map(|name| alone(name, names)).collect::<Result<Vec<_>, _>>()?;
    Ok(Jinja::from(several))
}

/// The names to forget, and the file.
fn split(name: &str) -> (Option<&str>, &str) {
    match name.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK)) {
        Some((names, file)) => (Some(names), file),
        None => (None, name),
    }
}

/// The file of a name.
pub(super) fn unmarked(name: &str) -> &str {
    split(name).1
}

/// A name as written in a template, relative to the importing one when it starts with a dot.
pub(super) fn join<'s>(marked: &'s str, parent: &'s str) -> Cow<'s, str> {
    let (names, name) = split(marked);
    if !name.starts_with("./") && !name.starts_with("../") {
        return Cow::Borrowed(marked);
    }
    let mut parts: Vec<&str> = unmarked(parent).split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            // Above the root nothing is found; the name says so in the error.
            ".." if parts.pop().is_none() => return Cow::Borrowed(marked),
            ".." => {}
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    Cow::Owned(names.map_or_else(|| path.clone(), |names| format!("{MARK}{names}{MARK}{path}")))
}

/// What stands before the source of a template that another one names.
pub(super) fn prefix(marked: &str) -> String {
    let (Some(names), path) = split(marked) else { return String::new() };
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let quote = |text: &str| crate::value::text_repr(text);
    let mut prefix = format!(
        "{{% set tplfile={} %}}{{% set tpldir={} %}}{{% set tpldot={} %}}",
        quote(path),
        quote(if dir.is_empty() { "." } else { dir }),
        quote(&dir.replace('/', "."))
    );
    for name in names.split(',').filter(|name| !name.is_empty()) {
        prefix.push_str(&format!("{{% set {name} = __nothing() %}}"));
    }
    prefix + PREFIX_END
}
