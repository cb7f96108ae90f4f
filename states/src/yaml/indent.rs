//! Lists, mappings and quoted texts that go on over lines further left than YAML allows, as a template's
//! `{{ names | yaml }}` makes them: libyaml takes them, the parser here does not.
//!
//! Where the parser refuses such a line, the lines up to the end of the list or text are moved to the right, which changes
//! nothing in what they mean, and the text is parsed again. Columns of errors are told as they were.

use std::borrow::Cow;
use std::collections::BTreeSet;

use saphyr_parser::ScanError;

use super::YamlError;

/// A text on its way through the parser, with the lines that were moved.
pub(super) struct Text<'t> {
    text: Cow<'t, str>,
    /// Counted from 1.
    moved: BTreeSet<usize>,
}

/// Further right than any block reaches.
const SHIFT: usize = 400;

impl<'t> Text<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), moved: BTreeSet::new() }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Moves the lines that the parser refused; whether there were any.
    pub(super) fn deepen(&mut self, error: &ScanError) -> bool {
        let (line, column) = (error.marker().line(), error.marker().col());
        let lines = match error.info() {
            "invalid indentation" | "invalid indentation in flow construct" => {
                let end = self.end_of_flow(self.offset(line, 0));
                line..=line + self.breaks(self.offset(line, 0), end)
            }
            "invalid indentation in quoted scalar" => {
                let start = self.offset(line, column);
                line + 1..=line + self.breaks(start, self.end_of_quotes(start))
            }
            "':' must be followed by a valid YAML whitespace" => {
                return self.space_out(self.offset(line, column));
            }
            _ => return false,
        };
        let lines: Vec<usize> = lines.filter(|line| !self.moved.contains(line)).collect();
        if lines.is_empty() {
            return false;
        }
        self.moved.extend(&lines);
        let mut out = String::with_capacity(self.text.len() + lines.len() * SHIFT);
        for (number, content) in (1..).zip(self.text.split_inclusive('\n')) {
            if lines.binary_search(&number).is_ok() && !content.trim().is_empty() {
                out.extend(std::iter::repeat_n(' ', SHIFT));
            }
            out.push_str(content);
        }
        self.text = Cow::Owned(out);
        true
    }

    /// Makes blanks of the tabs between a key's colon and its value, which libyaml takes for blanks; whether there were any.
    fn space_out(&mut self, value: usize) -> bool {
        let before = self.text.get(..value).unwrap_or_default();
        let bare = before.trim_end_matches('\t');
        if bare.len() == before.len() || !bare.ends_with(':') {
            return false;
        }
        let blanks = " ".repeat(before.len() - bare.len());
        self.text = Cow::Owned(format!("{bare}{blanks}{}", &self.text[value..]));
        true
    }

    /// An error with its column as it was before lines moved.
    pub(super) fn located(&self, error: YamlError) -> YamlError {
        let moved = self.moved.contains(&error.line) && error.column > SHIFT;
        YamlError { column: if moved { error.column - SHIFT } else { error.column }, ..error }
    }

    /// The byte at a line counted from 1 and a column counted from 0.
    fn offset(&self, line: usize, column: usize) -> usize {
        let start: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = self.text.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
    }

    fn breaks(&self, start: usize, end: usize) -> usize {
        self.text.get(start..end).unwrap_or_default().matches('\n').count()
    }

    /// Past the quote that closes the one here.
    fn end_of_quotes(&self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let quote = bytes.get(start).copied().unwrap_or_default();
        let mut at = start + 1;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' if quote == b'"' => at += 1,
                b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 1,
                byte if *byte == quote => return at + 1,
                _ => {}
            }
            at += 1;
        }
        bytes.len()
    }

    /// Past the bracket that closes the list or mapping around this place.
    fn end_of_flow(&self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let (mut at, mut depth, mut before) = (start, 1usize, b',');
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' | b'\'' if b",[{:\n".contains(&before) => at = self.end_of_quotes(at) - 1,
                b'#' if at
                    .checked_sub(1)
                    .and_then(|at| bytes.get(at))
                    .is_none_or(u8::is_ascii_whitespace) =>
                {
                    at +=
                        bytes.get(at..).unwrap_or_default().iter().take_while(|byte| **byte != b'\n').count();
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at + 1;
            }
            if !matches!(byte, b' ' | b'\t' | b'\n') {
                before = *byte;
            }
            at += 1;
        }
        bytes.len()
    }
}
