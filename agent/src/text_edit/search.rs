//! Whether a chunk of text is in a file already, as `file.append` and `file.prepend` ask.

use fancy_regex::Regex;

/// A pattern that finds a chunk whatever its white space (Salt's `build_whitespace_split_regex`).
///
/// # Errors
/// The chunk cannot be made a pattern.
pub fn whitespace_insensitive(chunk: &str) -> Result<Regex, String> {
    const GAP: &str = r"(?:[\s]+)?";
    let mut pattern = String::from("(?m)^");
    for line in lines_of(chunk) {
        let parts: Vec<String> =
            line.split_whitespace().map(|part| fancy_regex::escape(part).into_owned()).collect();
        pattern.push_str(&format!("{GAP}{}{GAP}", parts.join(GAP)));
    }
    pattern.push('$');
    Regex::new(&pattern).map_err(|error| error.to_string())
}

/// The lines of a text without their ends, as Python's `splitlines`.
#[must_use]
pub fn lines_of(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.trim_end_matches('\r')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_chunk_whatever_its_white_space() {
        let found = |chunk: &str, text: &str| whitespace_insensitive(chunk).unwrap().is_match(text).unwrap();
        assert!(found("a  b", "x\n a b \ny\n"));
        assert!(found("one\ntwo", "one\n\ntwo\n"));
        assert!(!found("a b", "a b c\n"));
        assert!(found("(x)*", "(x)*\n"));
    }
}
