//! YAML as Salt loads it: YAML 1.1 as PyYAML resolves it, with Salt's own changes.
//!
//! `saphyr-parser` gives the events; resolution and construction are here, because no YAML crate
//! resolves as Salt does. Salt's changes (its `yamlloader`): whole numbers lose leading zeros (`0644` is 644),
//! dates stay text, a mapping with the same key twice is refused, merged keys come first.
//! Bounded: nesting and the number of nodes after alias expansion are capped.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::Value;

mod construct;
mod dump;
mod indent;
mod resolve;

pub(crate) use dump::quoted;
pub use dump::{Style, dump};

/// Loads one YAML document; an empty text is `Nil`.
pub fn load(text: &str) -> Result<Value, YamlError> {
    printable(text)?;
    match compose(text)? {
        Some(root) => construct::construct(&root),
        None => Ok(Value::Nil),
    }
}

/// Refuses the characters that YAML 1.1 has no place for.
fn printable(text: &str) -> Result<(), YamlError> {
    let bad = |letter: &char| {
        matches!(letter, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}')
            || matches!(letter, '\u{fffe}' | '\u{ffff}')
    };
    let Some(letter) = text.chars().find(bad) else { return Ok(()) };
    let before = &text[..text.find(letter).unwrap_or(0)];
    let number = u32::from(letter);
    Err(YamlError {
        problem: format!("unacceptable character #x{number:04x}: control characters are not allowed"),
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
    })
}

/// Why a text is not YAML that Salt would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct YamlError {
    /// What is wrong, in the words of Salt's YAML library where it has words for it.
    pub problem: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
}

impl YamlError {
    fn at(problem: impl Into<String>, node: &Node) -> YamlError {
        YamlError { problem: problem.into(), line: node.line, column: node.column }
    }
}

fn locate(error: ScanError, text: &str) -> YamlError {
    let problem = libyaml_words(error.info());
    // The parser points at the start of what is never closed; Salt at where the text ends.
    if problem == "found unexpected end of stream" {
        return YamlError { problem, line: text.lines().count() + 1, column: 1 };
    }
    YamlError { problem, line: error.marker().line(), column: error.marker().col() + 1 }
}

/// The words of libyaml, which Salt shows, for what the parser here calls otherwise.
fn libyaml_words(info: &str) -> String {
    let known = [
        ("expected ',' or ']'", "did not find expected ',' or ']'"),
        ("found unknown anchor", "found undefined alias"),
        ("invalid trailing content after double-quoted scalar", "did not find expected key"),
        ("simple key expect", "could not find expected ':'"),
        ("tabs disallowed", "found character that cannot start any token"),
        ("unexpected character", "found character that cannot start any token"),
    ];
    if let Some((_, theirs)) = known.iter().find(|(ours, _)| info.contains(ours)) {
        return (*theirs).to_owned();
    }
    // libyaml keeps "while ..." apart from the problem.
    let problem = info.strip_prefix("while ").and_then(|rest| rest.split_once(", "));
    problem.map_or(info, |(_, problem)| problem).to_owned()
}

/// A composed node: aliases already point at their target.
#[derive(Debug)]
struct Node {
    content: Content,
    tag: Option<String>,
    line: usize,
    column: usize,
}

#[derive(Debug)]
enum Content {
    Scalar { text: String, plain: bool },
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    fn kind(&self) -> &'static str {
        match self.content {
            Content::Scalar { .. } => "scalar",
            Content::List(_) => "sequence",
            Content::Map(_) => "mapping",
        }
    }
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    tag: Option<String>,
    line: usize,
    column: usize,
    is_map: bool,
    children: Vec<Rc<Node>>,
}

impl Open {
    fn close(self) -> Node {
        let content = if self.is_map {
            let mut pairs = Vec::with_capacity(self.children.len() / 2);
            let mut children = self.children.into_iter();
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                pairs.push((key, value));
            }
            Content::Map(pairs)
        } else {
            Content::List(self.children)
        };
        Node { content, tag: self.tag, line: self.line, column: self.column }
    }
}

/// Builds the node tree of the only document.
#[derive(Default)]
struct Composer {
    anchors: HashMap<usize, Rc<Node>>,
    open: Vec<Open>,
    root: Option<Rc<Node>>,
    documents: usize,
}

fn compose(text: &str) -> Result<Option<Rc<Node>>, YamlError> {
    let mut text = indent::Text::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    loop {
        match composed(text.as_str()) {
            Err(Refusal::Scan(error)) if text.deepen(&error) => {}
            Err(Refusal::Scan(error)) => return Err(text.located(locate(error, text.as_str()))),
            Err(Refusal::Data(error)) => return Err(text.located(error)),
            Ok(root) => return Ok(root),
        }
    }
}

/// What composing broke off with: the parser's refusal, or ours.
enum Refusal {
    Scan(ScanError),
    Data(YamlError),
}

fn composed(text: &str) -> Result<Option<Rc<Node>>, Refusal> {
    let mut composer = Composer::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(Refusal::Scan)?;
        composer.take(event, span).map_err(Refusal::Data)?;
    }
    Ok(composer.root)
}

impl Composer {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.start_document(line, column),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.place(Rc::clone(node)),
                None => Err(YamlError {
                    problem: "found an alias inside its own anchor".to_owned(),
                    line,
                    column,
                }),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.into_owned(), plain };
                let node = Node { content, tag: tag.as_deref().map(tag_name), line, column };
                self.finish(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.open(anchor, tag.as_deref(), false, (line, column)),
            Event::MappingStart(anchor, tag) => self.open(anchor, tag.as_deref(), true, (line, column)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let anchor = open.anchor;
                    self.finish(open.close(), anchor)
                }
                None => Ok(()),
            },
        }
    }

    fn start_document(&mut self, line: usize, column: usize) -> Result<(), YamlError> {
        self.documents += 1;
        if self.documents > 1 {
            let problem = "expected a single document in the stream, but found another document".to_owned();
            return Err(YamlError { problem, line, column });
        }
        Ok(())
    }

    fn open(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        is_map: bool,
        (line, column): (usize, usize),
    ) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            let problem = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(YamlError { problem, line, column });
        }
        let tag = tag.map(tag_name);
        self.open.push(Open { anchor, tag, line, column, is_map, children: Vec::new() });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place(node)
    }

    fn place(&mut self, node: Rc<Node>) -> Result<(), YamlError> {
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }
}

/// The full name of a tag, `tag:yaml.org,2002:str`.
fn tag_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

/// Deeper than any SLS, shallow enough for the stack.
const MAX_DEPTH: usize = 200;

#[cfg(test)]
mod tests;
