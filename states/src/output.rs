//! Salt's output layouts: what `--out nested|highstate|json|yaml|txt|raw|quiet` prints.
//!
//! Functions from values to text, without the final newline; equal byte for byte to Salt's own outputters, which
//! the tests hold. Escape sequences in data are disarmed, so that a minion cannot write to the operator's terminal.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use crate::yaml::{self, Style};
use crate::{Map, Value, json};

mod color;
mod highstate;
mod nested;

use color::Colors;

/// How to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether to colour.
    pub color: bool,
    /// Whether states without changes are shown (`state_verbose`).
    pub state_verbose: bool,
    /// How much of each state is shown (`state_output`).
    pub state_output: StateOutput,
    /// Whether start and duration are shown (`state_output_profile`).
    pub state_output_profile: bool,
    /// Whether the ID stands in for the name (`state_output: full_id` and its like).
    pub show_id_for_name: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            color: false,
            state_verbose: true,
            state_output: StateOutput::Full,
            state_output_profile: true,
            show_id_for_name: false,
        }
    }
}

/// Salt's `state_output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StateOutput {
    /// Every state in full.
    #[default]
    Full,
    /// One line per state.
    Terse,
    /// Failed states in full, the others in a line.
    Mixed,
    /// Changed and failed states in full, the others in a line.
    Changes,
}

/// Salt's outputters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputter {
    /// Indented and coloured by type.
    Nested,
    /// State runs.
    Highstate,
    /// JSON, indented by four.
    Json,
    /// YAML.
    Yaml,
    /// `key: line`.
    Txt,
    /// Python's text of the data.
    Raw,
    /// Nothing.
    Quiet,
}

impl Outputter {
    /// The outputter of that name.
    pub fn from_name(name: &str) -> Option<Outputter> {
        Some(match name {
            "nested" => Outputter::Nested,
            "highstate" => Outputter::Highstate,
            "json" => Outputter::Json,
            "yaml" => Outputter::Yaml,
            "txt" => Outputter::Txt,
            "raw" | "pprint" => Outputter::Raw,
            "quiet" => Outputter::Quiet,
            _ => return None,
        })
    }

    /// The outputter for a return: what the return asks for by its `out`, nested otherwise.
    pub fn for_return(out: Option<&str>) -> Outputter {
        out.and_then(Outputter::from_name).unwrap_or(Outputter::Nested)
    }
}

/// Prints data, usually a mapping of minion IDs to returns.
pub fn print(outputter: Outputter, data: &Value, options: &Options) -> String {
    let colors = Colors::new(options.color);
    let printed = match outputter {
        Outputter::Nested => nested::print(data, 0, &colors),
        Outputter::Highstate => highstate::print(data, options, &colors),
        Outputter::Json => {
            json::dump(data, &json::Layout { indent: Some(4), sort_keys: false, ascii: false })
        }
        Outputter::Yaml => yaml::dump(data, Style::Block),
        Outputter::Txt => txt(data),
        Outputter::Raw => data.to_string(),
        Outputter::Quiet => String::new(),
    };
    printed.trim_end().to_owned()
}

/// Prints the return of one minion.
pub fn print_minion(outputter: Outputter, id: &str, ret: &Value, options: &Options) -> String {
    print(outputter, &Value::Map(Map::from_iter([(id, ret.clone())])), options)
}

fn txt(data: &Value) -> String {
    let Value::Map(map) = data else { return format!("{data}\n") };
    let mut out = String::new();
    for (key, value) in map {
        match value {
            Value::Str(text) => {
                for line in lines(text) {
                    out.push_str(&format!("{key}: {line}\n"));
                }
            }
            other => out.push_str(&format!("{key}: {other}\n")),
        }
    }
    out
}

/// Python's `splitlines`.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_break) {
        lines.push(&rest[..at]);
        let length = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

fn is_break(letter: char) -> bool {
    matches!(
        letter,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Text that cannot command a terminal.
fn disarmed(text: &str) -> String {
    text.replace('\u{1b}', "?")
}

#[cfg(test)]
mod tests;
