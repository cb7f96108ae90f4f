//! The form of a conformance script: batches separated by `GO`, each followed by `--> ` lines that say what comes back.
//!
//! A result set is a line of column names and a line per row, values separated by ` | `; an empty `-->` separates result
//! sets. `--> error N` or `--> error N: text` expects an error and nothing else; no line at all expects no result set.
//! A batch whose first line is `-- session N` runs on connection N, and with `-- session N, without waiting` the script
//! goes on at once, so that a batch may wait for another's lock. `-- page:` cites the page of Microsoft's documentation that the expectation comes from.

use std::fs;
use std::path::Path;

/// One script.
pub struct Script {
    pub name: String,
    pub batches: Vec<Batch>,
}

/// One batch and what it must answer.
pub struct Batch {
    /// Where it starts in the file.
    pub line: usize,
    pub text: String,
    /// The connection it runs on, from 1.
    pub session: u64,
    /// Whether the script goes on only when it is done.
    pub wait: bool,
    pub expected: Expected,
}

/// What a batch must answer.
#[derive(Debug)]
pub enum Expected {
    Results(Vec<ResultSet>),
    Error { number: i64, text: Option<String> },
}

/// Column names and rows of text.
#[derive(Debug, Default)]
pub struct ResultSet {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Script {
    /// Every script of the suite, by name.
    pub fn all(folder: &Path) -> Vec<Self> {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(text.contains("-- page:"), "{name} cites no page");
        let mut batches = Vec::new();
        let (mut start, mut sql, mut says) = (1, String::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            if line.trim().eq_ignore_ascii_case("go") {
                batches.push(Batch::new(start, std::mem::take(&mut sql), &says));
                says.clear();
                start = index + 2;
            } else if let Some(said) = line.strip_prefix("-->") {
                says.push(said.trim().to_owned());
            } else {
                sql.push_str(line);
                sql.push('\n');
            }
        }
        assert!(sql.trim().is_empty(), "{name} does not end with GO");
        Self { name, batches }
    }
}

impl Batch {
    fn new(line: usize, text: String, says: &[String]) -> Self {
        let named = text.lines().find_map(|line| line.strip_prefix("-- session "));
        let wait = !named.is_some_and(|named| named.ends_with(", without waiting"));
        let number = named.map(|named| named.chars().take_while(char::is_ascii_digit).collect::<String>());
        let session = number.map_or(1, |number| number.parse().unwrap());
        Self { line, text, session, wait, expected: Expected::parse(says) }
    }
}

impl Expected {
    fn parse(says: &[String]) -> Self {
        if let Some(error) = says.first().and_then(|line| line.strip_prefix("error ")) {
            let (number, text) =
                error.split_once(": ").map_or((error, None), |(n, text)| (n, Some(text.to_owned())));
            return Self::Error { number: number.parse().unwrap(), text };
        }
        let sets = says.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
        Self::Results(sets.map(ResultSet::parse).collect())
    }
}

impl ResultSet {
    fn parse(lines: &[String]) -> Self {
        let cells = |line: &String| line.split(" | ").map(|cell| cell.trim().to_owned()).collect();
        Self { columns: cells(&lines[0]), rows: lines[1..].iter().map(cells).collect() }
    }
}
