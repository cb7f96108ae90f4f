//! Values as YAML text, laid out as PyYAML's dumper lays them out for Salt: sorted keys, lists flush
//! with their key, plain scalars where they read back as text, folded at 80 columns.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use super::resolve::{Kind, kind_of};
use crate::value::float_repr;
use crate::{Map, Value};

/// The layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One item per line.
    Block,
    /// Brackets and braces.
    Flow,
}

/// Writes a value as one YAML document, ending with a newline.
pub fn dump(value: &Value, style: Style) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    match (style, value) {
        (Style::Block, Value::Map(map)) if !map.is_empty() => writer.block_map(map, 0),
        (Style::Block, Value::List(items)) if !items.is_empty() => writer.block_list(items, 0),
        (_, Value::Map(_) | Value::List(_)) => writer.flow(value, 0),
        (_, scalar) => writer.scalar(scalar, 0, Place::Block),
    }
    writer.put("\n");
    writer.out
}

/// A text as YAML's double quoted scalar, on one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    writer.double_quoted(text, 0, false);
    writer.out
}

/// Where a scalar stands, which decides what may stay plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Block,
    Flow,
    Key,
    FlowKey,
}

struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        match text.rfind('\n') {
            Some(at) => self.column = text[at + 1..].chars().count(),
            None => self.column += text.chars().count(),
        }
    }

    fn line(&mut self, indent: usize) {
        self.put("\n");
        self.put(&" ".repeat(indent));
    }

    fn block_map(&mut self, map: &Map, indent: usize) {
        for (index, (key, value)) in sorted(map).into_iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            self.key(key, indent);
            match value {
                Value::Map(inner) if !inner.is_empty() => {
                    self.line(indent + 2);
                    self.block_map(inner, indent + 2);
                }
                Value::List(items) if !items.is_empty() => {
                    self.line(indent);
                    self.block_list(items, indent);
                }
                other => {
                    self.put(" ");
                    self.leaf(other, indent + 2);
                }
            }
        }
    }

    fn key(&mut self, key: &Value, indent: usize) {
        match key {
            Value::List(_) | Value::Map(_) => {
                self.put("? ");
                self.flow(key, indent + 2);
                self.line(indent);
            }
            scalar => self.scalar(scalar, indent, Place::Key),
        }
        self.put(":");
    }

    fn block_list(&mut self, items: &[Value], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            self.put("- ");
            match item {
                Value::Map(map) if !map.is_empty() => self.block_map(map, indent + 2),
                Value::List(items) if !items.is_empty() => self.block_list(items, indent + 2),
                other => self.leaf(other, indent + 2),
            }
        }
    }

    fn leaf(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Map(_) => self.put("{}"),
            Value::List(_) => self.put("[]"),
            scalar => self.scalar(scalar, indent, Place::Block),
        }
    }

    fn flow(&mut self, value: &Value, indent: usize) {
        match value {
            Value::List(items) => {
                self.put("[");
                for (index, item) in items.iter().enumerate() {
                    self.flow_separator(index, indent + 2);
                    self.flow(item, indent + 2);
                }
                self.put("]");
            }
            Value::Map(map) => {
                self.put("{");
                for (index, (key, item)) in sorted(map).into_iter().enumerate() {
                    self.flow_separator(index, indent + 2);
                    self.scalar(key, indent + 2, Place::FlowKey);
                    self.put(": ");
                    self.flow(item, indent + 2);
                }
                self.put("}");
            }
            scalar => self.scalar(scalar, indent + 2, Place::Flow),
        }
    }

    fn flow_separator(&mut self, index: usize, indent: usize) {
        if index > 0 {
            self.put(",");
            if self.column <= WIDTH {
                self.put(" ");
            }
        }
        if self.column > WIDTH {
            self.line(indent);
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, place: Place) {
        let indent = indent.max(2);
        match value {
            Value::Str(text) => self.text(text, indent, place),
            Value::Nil => self.put("null"),
            Value::Bool(truth) => self.put(if *truth { "true" } else { "false" }),
            Value::Int(number) => self.put(&number.to_string()),
            Value::Float(number) => self.put(&float_text(*number)),
            Value::Bytes(bytes) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                self.put("!!binary |");
                for chunk in text.as_bytes().chunks(76) {
                    self.line(indent);
                    self.put(&String::from_utf8_lossy(chunk));
                }
            }
            Value::List(_) | Value::Map(_) => self.put(&value.repr()),
        }
    }

    fn text(&mut self, text: &str, indent: usize, place: Place) {
        let shape = Shape::of(text);
        let is_key = matches!(place, Place::Key | Place::FlowKey);
        let resolves = !matches!(kind_of(text), Kind::Text | Kind::Merge) || is_reserved(text);
        let plain_fits = match place {
            Place::Block | Place::Key => shape.block_plain,
            Place::Flow | Place::FlowKey => shape.flow_plain,
        };
        let fits_key = !is_key || !shape.multiline;
        if plain_fits && !resolves && fits_key && !text.is_empty() {
            self.folded(text, indent, !is_key);
            return;
        }
        if shape.single_quoted && fits_key {
            self.put("'");
            self.folded(&text.replace('\'', "''"), indent, !is_key);
            self.put("'");
        } else {
            self.double_quoted(text, indent, !is_key);
        }
    }

    /// Plain and single quoted text: lines fold at single spaces past the width, breaks double.
    fn folded(&mut self, text: &str, indent: usize, fold: bool) {
        let letters: Vec<char> = text.chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            let single = *letter == ' '
                && at > 0
                && at + 1 < letters.len()
                && letters[at - 1] != ' '
                && letters[at + 1] != ' ';
            match letter {
                ' ' if fold && single && self.column > WIDTH => self.line(indent),
                '\n' => {
                    if at == 0 || letters[at - 1] != '\n' {
                        self.out.push('\n');
                    }
                    self.out.push('\n');
                    self.column = 0;
                    if at + 1 < letters.len() && letters[at + 1] != '\n' || at + 1 == letters.len() {
                        self.put(&" ".repeat(indent));
                    }
                }
                letter => self.put(letter.encode_utf8(&mut [0; 4])),
            }
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, fold: bool) {
        self.put("\"");
        let last = text.chars().count().saturating_sub(1);
        let mut was_folded = false;
        for (at, letter) in text.chars().enumerate() {
            if fold && letter == ' ' && at > 0 && at < last && self.column > WIDTH && !was_folded {
                self.line(indent);
                // A leading space of a continuation line would be lost without the escape.
                if text.chars().nth(at + 1) == Some(' ') {
                    self.put("\\");
                }
                was_folded = true;
                continue;
            }
            was_folded = false;
            self.put(&double_quoted_letter(letter));
        }
        self.put("\"");
    }
}

fn double_quoted_letter(letter: char) -> String {
    let named = match letter {
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{a0}' => "\\_",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        letter if is_printable(letter) => return letter.to_string(),
        letter if (letter as u32) <= 0xff => return format!("\\x{:02X}", letter as u32),
        letter if (letter as u32) <= 0xffff => return format!("\\u{:04X}", letter as u32),
        letter => return format!("\\U{:08X}", letter as u32),
    };
    named.to_owned()
}

/// What a text's characters allow, as YAML's emitters analyse it.
struct Shape {
    multiline: bool,
    flow_plain: bool,
    block_plain: bool,
    single_quoted: bool,
}

impl Shape {
    fn of(text: &str) -> Shape {
        let letters: Vec<char> = text.chars().collect();
        let mut block = text.starts_with("---") || text.starts_with("...");
        let mut flow = block;
        let (mut multiline, mut special, mut break_space, mut space_break) = (false, false, false, false);
        for (at, letter) in letters.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| letters[at]);
            let after = letters.get(at + 1).copied();
            let white_after = after.is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            let (in_block, in_flow) = indicator(*letter, before, white_after);
            block |= in_block;
            flow |= in_flow;
            multiline |= *letter == '\n';
            special |= *letter != '\n' && !is_printable(*letter);
            break_space |= *letter == ' ' && before == Some('\n');
            space_break |= *letter == '\n' && before == Some(' ');
        }
        let edge = |c: Option<&char>| matches!(c, Some(' ' | '\n'));
        let edges = edge(letters.first()) || edge(letters.last());
        let plain = !edges && !break_space && !space_break && !special && !multiline;
        Shape {
            multiline,
            flow_plain: plain && !flow,
            block_plain: plain && !block,
            single_quoted: !break_space && !space_break && !special,
        }
    }
}

/// Whether a character is an indicator there, in block and in flow context.
fn indicator(letter: char, before: Option<char>, white_after: bool) -> (bool, bool) {
    match (letter, before) {
        (
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`',
            None,
        ) => (true, true),
        ('?' | ':', None) => (white_after, true),
        ('-', None) => (white_after, white_after),
        (',' | '?' | '[' | ']' | '{' | '}', Some(_)) => (false, true),
        (':', Some(_)) => (white_after, true),
        ('#', Some(' ' | '\t' | '\n')) => (true, true),
        (_, _) => (false, false),
    }
}

fn is_printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && letter != '\u{feff}'
        && !matches!(letter, '\u{2028}' | '\u{2029}')
}

/// Text that would read back as something else, beside what `kind_of` finds: YAML 1.1's timestamps, `=`.
fn is_reserved(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |from: usize, to: usize| bytes.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let is_date = bytes.len() >= 8
        && digits(0, 4)
        && bytes[4] == b'-'
        && (bytes.len() == 10 && digits(5, 7) && bytes[7] == b'-' && digits(8, 10)
            || bytes.len() > 10
                && text[5..].contains('-')
                && text.contains(':')
                && bytes[5..].iter().all(|b| {
                    b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b'T' | b't' | b'Z' | b'+' | b' ')
                }));
    is_date || text == "=" || text == "<<"
}

/// The pairs in the order of their keys, as Python sorts them; as they come when keys differ in type.
fn sorted(map: &Map) -> Vec<(&Value, &Value)> {
    let mut pairs: Vec<_> = map.iter().collect();
    if pairs.iter().all(|(key, _)| key.as_str().is_some()) {
        pairs.sort_by(|(one, _), (other, _)| one.as_str().cmp(&other.as_str()));
    } else if pairs.iter().all(|(key, _)| key.as_float().is_some()) {
        pairs.sort_by(|(one, _), (other, _)| {
            one.as_float().partial_cmp(&other.as_float()).unwrap_or(std::cmp::Ordering::Equal)
        });
    }
    pairs
}

fn float_text(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = float_repr(number);
    // `1e+20` would read back as text: YAML wants the point.
    if !text.contains('.') && text.contains('e') { text.replacen('e', ".0e", 1) } else { text }
}

/// Where PyYAML folds.
const WIDTH: usize = 80;
