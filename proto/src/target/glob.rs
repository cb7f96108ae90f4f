//! Python's `fnmatch`, in time bounded by the product of the two lengths.
//!
//! `*`, `?`, `[seq]`, `[!seq]`, ranges; no escape character. An unclosed `[` stands for itself, a range whose ends are
//! the wrong way round is empty, as in Python 3.11 (`fnmatch.translate`). Case counts.

/// One element of a pattern.
enum Token {
    Any,
    Many,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// Whether the whole `name` fits the shell pattern.
pub fn fnmatch(name: &str, pattern: &str) -> bool {
    let tokens = parse(pattern);
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut token) = (0, 0);
    // Where to take up again after the latest star took one character more.
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() {
        if let Some(Token::Many) = tokens.get(token) {
            retry = Some((at, token + 1));
            token += 1;
        } else if tokens.get(token).is_some_and(|one| one.fits(name[at])) {
            at += 1;
            token += 1;
        } else if let Some((from, after)) = retry {
            retry = Some((from + 1, after));
            (at, token) = (from + 1, after);
        } else {
            return false;
        }
    }
    tokens[token..].iter().all(|rest| matches!(rest, Token::Many))
}

impl Token {
    fn fits(&self, one: char) -> bool {
        match self {
            Self::Any | Self::Many => true,
            Self::Char(exact) => *exact == one,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&one)) != *negated
            }
        }
    }
}

fn parse(pattern: &str) -> Vec<Token> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(one) = chars.get(at) {
        at += 1;
        match one {
            '*' if matches!(tokens.last(), Some(Token::Many)) => {}
            '*' => tokens.push(Token::Many),
            '?' => tokens.push(Token::Any),
            '[' => match class_end(&chars, at) {
                Some(end) => {
                    tokens.push(parse_class(&chars[at..end]));
                    at = end + 1;
                }
                None => tokens.push(Token::Char('[')),
            },
            other => tokens.push(Token::Char(*other)),
        }
    }
    tokens
}

/// Index of the `]` that closes the class opened before `start`.
fn class_end(chars: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    if chars.get(at) == Some(&'!') {
        at += 1;
    }
    if chars.get(at) == Some(&']') {
        at += 1;
    }
    (at..chars.len()).find(|index| chars[*index] == ']')
}

fn parse_class(content: &[char]) -> Token {
    let (negated, mut rest) = match content.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, content),
    };
    let mut ranges = Vec::new();
    while let [first, after @ ..] = rest {
        if let ['-', last, remaining @ ..] = after {
            ranges.push((*first, *last));
            rest = remaining;
        } else {
            ranges.push((*first, *first));
            rest = after;
        }
    }
    Token::Class { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::fnmatch;

    #[test]
    fn gives_the_answers_of_pythons_fnmatch() {
        // Each line was run through fnmatch.fnmatch of Python 3.11.
        for (name, pattern, expected) in [
            ("web1", "*", true),
            ("", "*", true),
            ("", "", true),
            ("web1", "", false),
            ("web1", "web?", true),
            ("web12", "web?", false),
            ("web1.example", "web*.ex*le", true),
            ("aXbXc", "a*X*c", true),
            ("web1", "web[12]", true),
            ("web3", "web[12]", false),
            ("web3", "web[!12]", true),
            ("web5", "web[1-5]", true),
            ("web-", "web[1-]", true),
            ("web]", "web[]]", true),
            ("web!", "web[!]", false),
            ("web[!]", "web[!]", true),
            ("web[", "web[", true),
            ("web3", "web[5-1]", false),
            ("web3", "web[!5-1]", true),
            ("web-", "web[a-c-e]", true),
            ("webd", "web[a-c-e]", false),
            ("WEB1", "web1", false),
            ("a\\b", "a\\b", true),
            ("a\nb", "a*b", true),
            ("zürich", "z?rich", true),
        ] {
            assert_eq!(fnmatch(name, pattern), expected, "{name:?} against {pattern:?}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        let name = "a".repeat(2_000);
        assert!(!fnmatch(&name, &format!("{}b", "a*".repeat(500))));
    }
}
