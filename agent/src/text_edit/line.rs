//! `file.line`: one line inserted, replaced, deleted or made sure of.

use fancy_regex::Regex;

/// Where `insert` puts a line without `before` and `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Before the first line.
    Start,
    /// After the last line.
    End,
}

/// The arguments of `file.line`.
#[derive(Clone, Debug, Default)]
pub struct LineEdit {
    /// The line.
    pub content: Option<String>,
    /// What to look for; the content when nothing is said.
    pub matching: Option<String>,
    /// `insert`, `ensure`, `delete` or `replace`.
    pub mode: String,
    /// Where to insert.
    pub location: Option<Location>,
    /// The line that comes after.
    pub before: Option<String>,
    /// The line that comes before.
    pub after: Option<String>,
    /// Whether the neighbour's indentation is taken over.
    pub indent: bool,
}

impl LineEdit {
    /// The new text.
    ///
    /// # Errors
    /// Salt's refusal.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let mut lines: Vec<String> = super::lines_kept(text).into_iter().map(str::to_owned).collect();
        if lines.last().is_some_and(|last| !end_of(last).is_empty()) {
            lines.push(String::new());
        }
        if !matches!(self.mode.as_str(), "insert" | "ensure" | "delete" | "replace") {
            return Err(format!("Unknown mode: \"{}\"", self.mode));
        }
        let Some(content) = self.content.as_deref().or((self.mode == "delete").then_some("")) else {
            return Err("Content can only be empty if mode is \"delete\"".to_owned());
        };
        let matching = match (&self.before, &self.after, self.matching.as_deref()) {
            (None, None, None | Some("")) => Some(content),
            (_, _, given) => given,
        };
        let found = Found {
            matching: find(&lines, matching)?,
            before: find(&lines, self.before.as_deref())?,
            after: find(&lines, self.after.as_deref())?,
        };
        self.change(&mut lines, content, &found)?;
        Ok(close_lines(lines))
    }

    fn change(&self, lines: &mut Vec<String>, content: &str, found: &Found) -> Result<(), String> {
        match self.mode.as_str() {
            "delete" | "replace" if lines.is_empty() => {}
            "delete" => {
                if let Some(first) = found.matching.first().map(|at| lines[*at].clone()) {
                    lines.retain(|line| *line != first);
                }
            }
            "replace" => {
                if let Some(at) = found.matching.first() {
                    lines[*at] = self.indented(&lines[*at], content);
                }
            }
            "insert" => return self.insert(lines, content, found),
            _ => return self.ensure(lines, content, found),
        }
        Ok(())
    }

    fn insert(&self, lines: &mut Vec<String>, content: &str, found: &Found) -> Result<(), String> {
        match (&self.before, &self.after, self.location) {
            (None, None, None) => {
                Err("On insert either \"location\" or \"before/after\" conditions are required.".to_owned())
            }
            (_, _, Some(Location::End)) => {
                let line =
                    lines.last().map_or_else(|| content.to_owned(), |last| self.indented(last, content));
                lines.push(line);
                Ok(())
            }
            (_, _, Some(Location::Start)) => {
                let line = with_end(lines.first().map_or("", String::as_str), content);
                lines.insert(0, line);
                Ok(())
            }
            (Some(_), Some(_), None) => {
                let before = one(&found.before, "before")?;
                one(&found.after, "after")?;
                let line = self.indented(&lines[before], content);
                lines.insert(before, line);
                Ok(())
            }
            (None, Some(_), None) => {
                let at = one(&found.after, "after")?;
                self.after(lines, at, content);
                Ok(())
            }
            (Some(_), None, None) => {
                let at = one(&found.before, "before")?;
                let previous = at.checked_sub(1).or(lines.len().checked_sub(1)).map(|at| bare(&lines[at]));
                if previous != Some(bare(content)) {
                    let line = self.indented(&lines[at], content);
                    lines.insert(at, line);
                }
                Ok(())
            }
        }
    }

    fn ensure(&self, lines: &mut Vec<String>, content: &str, found: &Found) -> Result<(), String> {
        match (&self.before, &self.after) {
            (Some(_), Some(_)) => {
                let after = one(&found.after, "after")?;
                let before = one(&found.before, "before")?;
                if lines.iter().any(|line| line.trim_start() == content) {
                    return Ok(());
                }
                let line = self.indented(&lines[after], content);
                if after + 1 == before {
                    lines.insert(after + 1, line);
                } else if after + 2 == before {
                    lines[after + 1] = line;
                } else {
                    return Err(
                        "Found more than one line between boundaries \"before\" and \"after\".".to_owned()
                    );
                }
                Ok(())
            }
            (Some(_), None) => {
                let at = one(&found.before, "before")?;
                if at == 0 || bare(&lines[at - 1]) != bare(content) {
                    let neighbour = at.checked_sub(1).unwrap_or(lines.len() - 1);
                    let line = self.indented(&lines[neighbour], content);
                    lines.insert(at, line);
                }
                Ok(())
            }
            (None, Some(_)) => {
                let at = one(&found.after, "after")?;
                self.after(lines, at, content);
                Ok(())
            }
            (None, None) => Err(
                "Wrong conditions? Unable to ensure line without knowing where to put it before and/or after."
                    .to_owned(),
            ),
        }
    }

    fn after(&self, lines: &mut Vec<String>, at: usize, content: &str) {
        if lines.get(at + 1).is_none_or(|next| bare(next) != bare(content)) {
            let line = self.indented(&lines[at], content);
            lines.insert(at + 1, line);
        }
    }

    fn indented(&self, neighbour: &str, content: &str) -> String {
        if !self.indent {
            return content.to_owned();
        }
        let width = neighbour.len() - neighbour.trim_start_matches(['\t', ' ']).len();
        format!("{}{}", &neighbour[..width], content.trim_start())
    }
}

/// The places of the lines that an expression finds.
struct Found {
    matching: Vec<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
}

fn find(lines: &[String], wanted: Option<&str>) -> Result<Vec<usize>, String> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(Vec::new()) };
    let regex = Regex::new(&format!("(?s){wanted}")).map_err(|error| format!("{error}: '{wanted}'"))?;
    let hits = |line: &&String| regex.is_match(line).unwrap_or(false) || line.contains(wanted);
    // A line that is there twice counts twice, but its place is that of the first.
    let place = |line: &String| lines.iter().position(|other| other == line);
    Ok(lines.iter().filter(hits).filter_map(place).collect())
}

fn one(found: &[usize], name: &str) -> Result<usize, String> {
    match found {
        [at] => Ok(*at),
        [] => Err(format!("Found less than expected occurrences in \"{name}\" expression")),
        _ => Err(format!("Found more than expected occurrences in \"{name}\" expression")),
    }
}

fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn end_of(line: &str) -> &str {
    &line[bare(line).len()..]
}

/// The line with the neighbour's ending.
fn with_end(neighbour: &str, line: &str) -> String {
    let end = if end_of(neighbour).is_empty() { "\n" } else { end_of(neighbour) };
    format!("{}{end}", line.trim_end())
}

/// Every line but the last has an end; the empty one that stood for the end is dropped.
fn close_lines(mut lines: Vec<String>) -> String {
    for at in 0..lines.len() {
        if end_of(&lines[at]).is_empty() && at + 1 < lines.len() {
            let neighbour = match at {
                0 | 1 => 1,
                at => at - 1,
            };
            lines[at] = with_end(&lines[neighbour].clone(), &lines[at]);
        }
    }
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(mode: &str, content: &str) -> LineEdit {
        LineEdit {
            content: Some(content.to_owned()),
            mode: mode.to_owned(),
            indent: true,
            ..LineEdit::default()
        }
    }

    #[test]
    fn replaces_the_first_match_with_its_indentation() {
        let edit = LineEdit { matching: Some("b.*".to_owned()), ..edit("replace", "new") };
        assert_eq!(edit.apply("a\n  b1\n  b2\n").unwrap(), "a\n  new\n  b2\n");
    }

    #[test]
    fn deletes_every_line_equal_to_the_first_match() {
        let edit = edit("delete", "b");
        assert_eq!(edit.apply("a\nb\nc\nb\n").unwrap(), "a\nc\n");
    }

    #[test]
    fn inserts_at_both_ends_and_beside_a_line() {
        let at = |location| LineEdit { location: Some(location), ..edit("insert", "x") };
        // As Salt has it, with the empty line.
        assert_eq!(at(Location::End).apply("a\nb\n").unwrap(), "a\nb\n\nx");
        assert_eq!(at(Location::Start).apply("a\nb\n").unwrap(), "x\na\nb\n");
        let after = LineEdit { after: Some("a".to_owned()), ..edit("ensure", "x") };
        assert_eq!(after.apply("a\nb\n").unwrap(), "a\nx\nb\n");
        assert_eq!(after.apply("a\nx\nb\n").unwrap(), "a\nx\nb\n");
    }

    #[test]
    fn refuses_what_is_found_twice_or_not_at_all() {
        let after = LineEdit { after: Some("a".to_owned()), ..edit("ensure", "x") };
        assert!(after.apply("a\na1\n").unwrap_err().contains("more than expected"));
        assert!(after.apply("b\n").unwrap_err().contains("less than expected"));
    }
}
