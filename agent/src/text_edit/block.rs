//! `file.blockreplace`: what stands between two marker lines.

use fancy_regex::Regex;

/// Where the block goes when its markers are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: the file is refused.
    Nowhere,
    /// At the end.
    End,
    /// At the start.
    Start,
    /// Before the first line that the expression finds.
    Before(String),
    /// After the first line that the expression finds.
    After(String),
}

/// The arguments of `file.blockreplace`.
#[derive(Clone, Debug)]
pub struct Block {
    /// Part of the line that opens the block.
    pub start: String,
    /// Part of the line that closes it.
    pub end: String,
    /// What stands between.
    pub content: String,
    /// Where it goes when it is not there.
    pub place: Place,
    /// Whether a line break follows the content; by default when it has none.
    pub newline: Option<bool>,
}

impl Block {
    /// The new text.
    ///
    /// # Errors
    /// Salt's refusal.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let old = super::lines_kept(text);
        let linesep = match old.first() {
            Some(line) if line.ends_with("\r\n") => "\r\n",
            Some(_) | None => "\n",
        };
        let mut new: Vec<String> = Vec::new();
        let (mut inside, mut found) = (false, false);
        for line in &old {
            if line.contains(&self.start) {
                inside = true;
            } else if inside {
                if let Some(at) = line.find(&self.end) {
                    (inside, found) = (false, true);
                    new.extend(self.inner(linesep, &line[at..]));
                }
                continue;
            }
            new.push((*line).to_owned());
        }
        if inside {
            return Err("Unterminated marked block. End of file reached before marker_end.".to_owned());
        }
        if !found {
            self.place_new(&old, &mut new, linesep)?;
        }
        Ok(new.concat())
    }

    /// The content's lines and the closing line.
    fn inner(&self, linesep: &str, end_line: &str) -> Vec<String> {
        let end_line = format!("{}{linesep}", end_line.trim_end_matches(['\r', '\n']));
        let newline = self.newline.unwrap_or(!self.content.ends_with('\n'));
        let content = self.content.replace("\r\n", "\n");
        let lines: Vec<&str> = content.split('\n').collect();
        let (last, rest) = lines.split_last().unwrap_or((&"", &[]));
        let mut inner: Vec<String> = rest.iter().map(|line| format!("{line}{linesep}")).collect();
        if newline {
            inner.push(format!("{last}{linesep}"));
            inner.push(end_line);
        } else {
            inner.push(format!("{last}{end_line}"));
        }
        inner
    }

    fn whole(&self, linesep: &str) -> Vec<String> {
        let mut whole = vec![format!("{}{linesep}", self.start)];
        whole.extend(self.inner(linesep, &self.end));
        whole
    }

    fn place_new(&self, old: &[&str], new: &mut Vec<String>, linesep: &str) -> Result<(), String> {
        let refusal = || "Cannot edit marked block. Markers were not found in file.".to_owned();
        let at = |pattern: &str| -> Result<usize, String> {
            let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
            old.iter().position(|line| regex.is_match(line).unwrap_or(false)).ok_or_else(refusal)
        };
        let at = match &self.place {
            Place::Nowhere => return Err(refusal()),
            Place::Start => 0,
            Place::End => {
                if let Some(last) = new.last_mut().filter(|last| !last.ends_with(linesep)) {
                    last.push_str(linesep);
                }
                new.len()
            }
            Place::Before(pattern) => at(pattern)?,
            Place::After(pattern) => at(pattern)? + 1,
        };
        new.splice(at..at, self.whole(linesep));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(content: &str, place: Place) -> Block {
        Block {
            start: "# start".to_owned(),
            end: "# end".to_owned(),
            content: content.to_owned(),
            place,
            newline: None,
        }
    }

    #[test]
    fn replaces_what_is_between_the_markers() {
        let text = "a\n# start here\nold\nolder\n# end here\nb\n";
        assert_eq!(
            block("new", Place::Nowhere).apply(text).unwrap(),
            "a\n# start here\nnew\n# end here\nb\n"
        );
        assert_eq!(
            block("new\n", Place::Nowhere).apply(text).unwrap(),
            "a\n# start here\nnew\n# end here\nb\n"
        );
    }

    #[test]
    fn places_a_block_that_is_not_there() {
        let whole = "# start\nx\n# end\n";
        assert_eq!(block("x", Place::End).apply("a").unwrap(), format!("a\n{whole}"));
        assert_eq!(block("x", Place::Start).apply("a\n").unwrap(), format!("{whole}a\n"));
        let after = Place::After("^b".to_owned());
        assert_eq!(block("x", after).apply("a\nb\nc\n").unwrap(), format!("a\nb\n{whole}c\n"));
        let before = Place::Before("^b".to_owned());
        assert_eq!(block("x", before).apply("a\nb\n").unwrap(), format!("a\n{whole}b\n"));
    }

    #[test]
    fn refuses_missing_and_unterminated_blocks() {
        assert!(block("x", Place::Nowhere).apply("a\n").unwrap_err().contains("Markers were not found"));
        assert!(block("x", Place::End).apply("# start\na\n").unwrap_err().contains("Unterminated"));
    }
}
