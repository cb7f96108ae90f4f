//! Python's `fnmatch`: `*`, `?`, `[seq]`, `[!seq]`.

/// Whether a name matches a shell pattern, whole and case-sensitive.
pub fn fnmatch(name: &str, pattern: &str) -> bool {
    if !pattern.contains(['*', '?', '[']) {
        return name == pattern;
    }
    let name: Vec<char> = name.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    matches(&name, &pattern)
}

/// Whether a requisite's name is a pattern, by Salt's reckoning.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', ']'])
}

/// Greedy matching that goes back to the last `*` only, so time stays quadratic at worst.
fn matches(name: &[char], pattern: &[char]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(place) {
            Some('*') => {
                star = Some((place + 1, at));
                place += 1;
                continue;
            }
            Some(_) => {
                if let Some(next) = one(name[at], &pattern[place..]) {
                    at += 1;
                    place += next;
                    continue;
                }
            }
            None => {}
        }
        let Some((after, from)) = star else { return false };
        star = Some((after, from + 1));
        place = after;
        at = from + 1;
    }
    pattern[place..].iter().all(|letter| *letter == '*')
}

/// How much of the pattern one letter takes, when it matches.
fn one(letter: char, pattern: &[char]) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '[' => match class(letter, pattern) {
            Some((true, length)) => Some(length),
            Some((false, _)) => None,
            None => (letter == '[').then_some(1),
        },
        other => (letter == other).then_some(1),
    }
}

/// Whether the class at the start of the pattern holds the letter, and its length; `None` when it is not closed.
fn class(letter: char, pattern: &[char]) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    let first_end = if pattern.get(start) == Some(&']') { start + 1 } else { start };
    let end = first_end + pattern.get(first_end..)?.iter().position(|c| *c == ']')?;
    let members = &pattern[start..end];
    let mut found = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            found |= (members[at]..=members[at + 2]).contains(&letter);
            at += 3;
        } else {
            found |= members[at] == letter;
            at += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::fnmatch;

    #[test]
    fn matches_as_python_does() {
        for (name, pattern, expected) in [
            ("web.a", "web.*", true),
            ("web", "web.*", false),
            ("abc", "a?c", true),
            ("abc", "a[a-c]c", true),
            ("abc", "a[!b]c", false),
            ("a]c", "a[]]c", true),
            ("a[c", "a[c", true),
            ("aaab", "*a*b", true),
            ("", "*", true),
            ("x", "", false),
        ] {
            assert_eq!(fnmatch(name, pattern), expected, "{name} {pattern}");
        }
    }
}
