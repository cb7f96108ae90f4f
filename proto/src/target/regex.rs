//! Python's `re.match` on top of another regular expression engine.
//!
//! Anchored at the start only. Python's spelling is translated where it differs and where targets use it: `\Z`, and
//! characters that are plain inside Python's classes but not in the engine's. Python's `re.ASCII` and `re.LOCALE`
//! flags are refused, and flags for the whole expression anywhere but at its start, as Python refuses them.

use fancy_regex::Regex;

use super::TargetError;

/// A compiled expression that matches from the start of a text.
pub(super) struct StartPattern(Regex);

impl StartPattern {
    /// Compiles Python's spelling of an expression.
    pub(super) fn new(pattern: &str) -> Result<Self, TargetError> {
        let failed = |why: fancy_regex::Error| TargetError::Pattern {
            pattern: pattern.to_owned(),
            why: why.to_string(),
        };
        let translated = translate(pattern);
        if flags_within(&translated) {
            let why = "global flags not at the start of the expression".to_owned();
            return Err(TargetError::Pattern { pattern: pattern.to_owned(), why });
        }
        Regex::new(&translated).map(Self).map_err(failed)
    }

    /// Whether a match starts at the first character.
    pub(super) fn fits(&self, text: &str) -> Result<bool, TargetError> {
        // Start positions are tried from the left, so a match at 0 exists exactly when the first one found is there.
        match self.0.find(text) {
            Ok(found) => Ok(found.is_some_and(|found| found.start() == 0)),
            Err(why) => {
                Err(TargetError::Pattern { pattern: self.0.as_str().to_owned(), why: why.to_string() })
            }
        }
    }
}

/// Whether `pattern` matches from the start of `text`.
pub(super) fn matches_at_start(pattern: &str, text: &str) -> Result<bool, TargetError> {
    StartPattern::new(pattern)?.fits(text)
}

/// Whether flags such as `(?i)` stand behind other parts of an expression. Classes and escapes are passed over.
fn flags_within(pattern: &str) -> bool {
    let (mut escaped, mut in_class) = (false, false);
    for (at, letter) in pattern.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            '[' => in_class = true,
            '(' if !in_class && at > 0 => {
                let flags = pattern[at + 1..].strip_prefix('?').and_then(|rest| rest.split_once(')'));
                let all =
                    |flags: &str| !flags.is_empty() && flags.chars().all(|flag| "aiLmsux".contains(flag));
                if flags.is_some_and(|(flags, _)| all(flags)) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    while let Some(one) = chars.next() {
        match one {
            '\\' => match chars.next() {
                Some('Z') => out.push_str("\\z"),
                Some(escaped) => out.extend(['\\', escaped]),
                None => out.push('\\'),
            },
            '[' => translate_class(&mut out, &mut chars),
            other => out.push(other),
        }
    }
    out
}

/// Copies a class whose `[` was read, up to and with its `]`.
fn translate_class(out: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if chars.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    while let Some(one) = chars.next() {
        match one {
            ']' => {
                out.push(']');
                return;
            }
            '\\' => {
                out.push('\\');
                out.extend(chars.next());
            }
            '[' | '&' | '~' => out.extend(['\\', one]),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_anchored_at_the_start_only() {
        assert!(matches_at_start("web", "web1.example").unwrap());
        assert!(!matches_at_start("eb", "web1").unwrap());
        assert!(matches_at_start("x|web", "web1").unwrap());
        assert!(matches_at_start("", "web1").unwrap());
        assert!(!matches_at_start("web$", "web1").unwrap());
    }

    #[test]
    fn reads_pythons_spelling() {
        assert!(matches_at_start(r"(?P<kind>web|db)\d+\Z", "web12").unwrap());
        assert!(!matches_at_start(r"(?P<kind>web|db)\d\Z", "web12").unwrap());
        assert!(matches_at_start(r"(?P<x>a)(?P=x)b", "aab").unwrap());
        assert!(matches_at_start(r"(?!db).*", "web1").unwrap());
        assert!(!matches_at_start(r"(?!web).*", "web1").unwrap());
        assert!(matches_at_start(r"(?i)WEB", "web1").unwrap());
        assert!(matches_at_start(r"[[a]+x", "[a[x").unwrap());
        assert!(matches_at_start(r"[]&&~]+x", "]&~x").unwrap());
        assert!(matches_at_start(r"[\]\\]+x", r"]\x").unwrap());
    }

    #[test]
    fn says_what_is_wrong_with_an_expression() {
        let error = matches_at_start("web(", "web1").unwrap_err();
        assert!(error.to_string().contains("web("), "{error}");
    }
}
