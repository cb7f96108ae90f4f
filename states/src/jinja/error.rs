//! Why a template or an SLS did not render: Salt's words, the place, and the excerpt with the arrow.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::fmt;

use minijinja::{Error, ErrorKind};

use super::imports::{PREFIX_END, unmarked};
use super::{TemplateSpec, tags::is_conditional};
use crate::{FunctionError, Series};

/// Why rendering failed. Displays as Salt prints it after "Rendering SLS 'base:x' failed: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// What is wrong.
    pub message: String,
    /// The file below the file root, when it is not the SLS itself or a column is known.
    pub file: Option<String>,
    /// The line, counted from 1; 0 when unknown.
    pub line: usize,
    /// The column, counted from 1, where it is known.
    pub column: Option<usize>,
    /// The lines around it, with the arrow.
    pub excerpt: String,
}

impl std::error::Error for RenderError {}

impl fmt::Display for RenderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        match (&self.file, self.column) {
            (Some(file), Some(column)) => {
                write!(out, "\n  in \"salt://{file}\", line {}, column {column}\n\n", self.line)?;
            }
            (Some(file), None) => write!(out, "\nsalt://{file}({}):\n", self.line)?,
            (None, _) if self.line > 0 => write!(out, "; line {}\n\n", self.line)?,
            (None, _) => {}
        }
        out.write_str(&self.excerpt)
    }
}

impl RenderError {
    /// A failure without a place.
    pub(crate) fn plain(message: impl Into<String>) -> RenderError {
        RenderError { message: message.into(), file: None, line: 0, column: None, excerpt: String::new() }
    }

    /// A failure at a line and column of a file.
    pub(crate) fn at(message: String, file: &str, text: &str, (line, column): (usize, usize)) -> RenderError {
        RenderError {
            message,
            file: Some(file.to_owned()),
            line,
            column: Some(column),
            excerpt: excerpt(text, line),
        }
    }

    pub(super) fn from_jinja(
        error: &Error,
        text: &str,
        spec: &TemplateSpec<'_>,
        words: &Words<'_>,
    ) -> RenderError {
        let error = innermost(error);
        let line = error.line().unwrap_or(0);
        let message = message(error, words);
        let elsewhere = error.name().map(unmarked).filter(|name| *name != spec.path && *name != "template");
        let source = match (elsewhere, error.template_source()) {
            // What imported templates are prefixed with is on their first line.
            (Some(_), Some(source)) => source.split_once(PREFIX_END).map_or(source, |(_, rest)| rest),
            (_, _) => text,
        };
        let excerpt = if line > 0 { excerpt(source, line) } else { String::new() };
        RenderError { message, file: elsewhere.map(str::to_owned), line, column: None, excerpt }
    }
}

/// The lines around a line, five either side, with Salt's arrow at the line.
fn excerpt(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if line == 0 || line > lines.len() {
        return text.to_owned();
    }
    let start = line.saturating_sub(6);
    let end = (line + 5).min(lines.len());
    let mut shown = vec!["---".to_owned()];
    if start > 0 {
        shown.push("[...]".to_owned());
    }
    for (number, content) in (start + 1..).zip(&lines[start..end]) {
        let arrow = if number == line { "    <======================" } else { "" };
        shown.push(format!("{content}{arrow}"));
    }
    if end < lines.len() {
        shown.push("[...]".to_owned());
    }
    shown.push("---".to_owned());
    shown.join("\n")
}

/// What the words of an error depend on.
pub(super) struct Words<'a> {
    pub(super) series: Series,
    /// The type of an expression's value, as Python calls it.
    pub(super) owner: &'a dyn Fn(&str) -> Option<&'static str>,
}

/// Errors of includes wrap the error of what they include.
fn innermost(error: &Error) -> &Error {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    match source {
        Some(inner) if inner.line().is_some() => innermost(inner),
        Some(_) | None => error,
    }
}

fn message(error: &Error, words: &Words<'_>) -> String {
    let detail = error.detail().unwrap_or_default();
    if let Some(called) = find_source::<FunctionError>(error) {
        return match called {
            FunctionError::NotFound(name) => missing_function(name),
            FunctionError::Failed(reason) => {
                format!("Problem running salt function in Jinja template: {reason}")
            }
        };
    }
    match error.kind() {
        ErrorKind::UndefinedError => {
            // Inside macros the engine knows the place, not the expression.
            let expression = error.range().and_then(|range| error.template_source()?.get(range));
            let detail = match expression {
                Some(expression) if detail.is_empty() => format!("`{expression}`"),
                Some(_) | None => detail.to_owned(),
            };
            format!("Jinja variable {}", undefined_words(&detail, words))
        }
        ErrorKind::SyntaxError => format!("Jinja syntax error: {}", syntax_words(detail)),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest => {
            let kind = if error.kind() == ErrorKind::UnknownFilter { "filter" } else { "test" };
            let name = detail.split(' ').nth(1).unwrap_or(detail);
            let place = error.range().map_or(0, |range| range.start);
            let found = if error.template_source().is_some_and(|source| is_conditional(source, place)) {
                " found"
            } else {
                ""
            };
            format!("Jinja syntax error: No {kind} named '{name}'{found}.")
        }
        ErrorKind::TemplateNotFound => {
            let name = detail.split(['"', '\'']).nth(1).unwrap_or(detail);
            format!("Jinja error: {}", unmarked(name))
        }
        ErrorKind::UnknownFunction => {
            let name = detail.strip_suffix(" is unknown").unwrap_or(detail);
            format!("Jinja variable '{name}' is undefined")
        }
        _ if detail.ends_with(" is undefined)") && detail.contains("(`") => {
            let from = detail.rfind("(`").map_or(detail, |at| &detail[at + 1..]);
            format!("Jinja variable {}", undefined_words(from, words))
        }
        _ if detail.starts_with("Encountered error loading") || detail.starts_with("Unable to load") => {
            format!("Jinja syntax error: {detail}")
        }
        _ if detail.is_empty() => format!("Jinja error: {}", error.kind()),
        _ => format!("Jinja error: {}", python_words(detail)),
    }
}

/// Python's words for operations that cannot be done.
fn python_words(detail: &str) -> String {
    if detail.starts_with("unable to calculate ") && detail.ends_with("/ 0") {
        return "division by zero".to_owned();
    }
    let parts = detail.strip_prefix("tried to use ").and_then(|rest| {
        let (operator, types) = rest.split_once(" operator on unsupported types ")?;
        let (left, right) = types.split_once(" and ")?;
        Some((operator, python_type(left), python_type(right)))
    });
    match parts {
        Some(("+", left @ ("str" | "list"), right)) => {
            format!("can only concatenate {left} (not \"{right}\") to {left}")
        }
        Some((operator, left, right)) => {
            format!("unsupported operand type(s) for {operator}: '{left}' and '{right}'")
        }
        None => detail.to_owned(),
    }
}

fn python_type(name: &str) -> &str {
    match name {
        "string" => "str",
        "number" => "int",
        "sequence" | "iterator" => "list",
        "map" => "dict",
        "none" => "NoneType",
        other => other,
    }
}

fn missing_function(name: &str) -> String {
    let module = name.split('.').next().unwrap_or(name);
    format!("Jinja variable 'salt.utils.templates.AliasedLoader object' has no attribute '{module}'")
}

fn find_source<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let source = error.source()?;
    source.downcast_ref::<T>().or_else(|| find_source(source))
}

/// Jinja's words for what is undefined, from the expression between backticks.
fn undefined_words(detail: &str, words: &Words<'_>) -> String {
    let Some(expression) = detail.split('`').nth(1) else {
        return if detail.is_empty() { "is undefined".to_owned() } else { detail.to_owned() };
    };
    if expression.contains("caller") {
        return "No caller defined".to_owned();
    }
    let Some((owner, attribute)) = split_attribute(expression) else {
        return format!("'{expression}' is undefined");
    };
    let kind = (words.owner)(owner).unwrap_or("dict");
    let owner = match owner {
        "salt" => "salt.utils.templates.AliasedLoader object".to_owned(),
        "pillar" | "grains" | "opts" if words.series == Series::V3008 => {
            "salt.utils.optsdict.DictProxy object".to_owned()
        }
        _ if kind == "NoneType" => "None".to_owned(),
        _ => format!("{kind} object"),
    };
    if attribute.parse::<i64>().is_ok() {
        return format!("{owner} has no element {attribute}");
    }
    format!("'{owner}' has no attribute '{attribute}'")
}

/// `a.b['c']` is owner `a.b` and attribute `c`.
fn split_attribute(expression: &str) -> Option<(&str, &str)> {
    if let Some(inside) = expression.strip_suffix(']') {
        let at = inside.rfind('[')?;
        return Some((&inside[..at], inside[at + 1..].trim().trim_matches(['\'', '"'])));
    }
    let (owner, attribute) = expression.rsplit_once('.')?;
    attribute.chars().all(|c| c.is_alphanumeric() || c == '_').then_some((owner, attribute))
}

/// Jinja's words for a syntax error where they are known.
fn syntax_words(detail: &str) -> String {
    let tokens =
        [("end of variable block", "'end of print statement'"), ("end of block", "'end of statement block'")];
    let mut words = detail.to_owned();
    if let Some(name) = detail.strip_prefix("unknown statement ") {
        return format!("Encountered unknown tag '{name}'.");
    }
    if detail.starts_with("unexpected end of input") {
        return format!("Unexpected end of template. {detail}");
    }
    for (ours, theirs) in tokens {
        words = words.replace(ours, theirs);
    }
    words
}
