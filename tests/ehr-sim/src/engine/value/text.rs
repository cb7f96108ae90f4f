//! Text under SQL_Latin1_General_CP1_CI_AS: folding, sort keys, LIKE, the code page's limits.
//!
//! Case-insensitive, accent-sensitive, trailing blanks ignored in comparisons. The order is: blanks and
//! punctuation, digits, letters with an accented letter after its base. It is the collation's order for
//! Windows-1252 text as EHR data holds it; other scripts sort by code point after it.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The one collation of this instance.
pub const COLLATION: &str = "SQL_Latin1_General_CP1_CI_AS";

/// A character as Windows-1252 keeps it; what it lacks becomes `?`.
pub fn to_code_page(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if fits(c) { c } else { '?' }).collect())
}

fn fits(c: char) -> bool {
    let mut buffer = [0u8; 4];
    let (_, _, lossy) = encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
    !lossy
}

/// Bytes in Windows-1252.
pub fn code_page_bytes(text: &str) -> Vec<u8> {
    encoding_rs::WINDOWS_1252.encode(&to_code_page(text)).0.into_owned()
}

/// Base letter and accent rank of a lower-case letter.
fn split_accent(c: char) -> (char, u8) {
    let base = match c {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'š' => 's',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' => 'z',
        _ => return (c, 0),
    };
    (base, (c as u32 % 251) as u8 + 1)
}

fn fold(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}

fn weight(c: char) -> u8 {
    match c {
        'a'..='z' => 0x60 + (c as u8 - b'a') * 2,
        '0'..='9' => 0x50 + (c as u8 - b'0'),
        c if c.is_ascii() => 0x04 + (c as u8 & 0x7f) / 2,
        _ => 0xF0,
    }
}

/// An order-preserving key: equal keys are equal text. Ends with 0.
pub fn sort_key(text: &str, key: &mut Vec<u8>) {
    let text = text.trim_end_matches(' ');
    let mut accents: Vec<u8> = Vec::new();
    for c in text.chars() {
        let folded = fold(c);
        let (base, accent) = split_accent(folded);
        let w = weight(base);
        key.push(w);
        if w == 0xF0 {
            let mut buffer = [0u8; 4];
            key.extend_from_slice(base.encode_utf8(&mut buffer).as_bytes());
        } else if !base.is_ascii_alphanumeric() {
            key.push(base as u8 + 2);
        }
        if accent != 0 || !accents.is_empty() {
            accents.push(accent + 2);
        } else if accents.is_empty() && accent == 0 {
            continue;
        }
    }
    if !accents.is_empty() {
        key.push(1);
        let position = text.chars().position(|c| split_accent(fold(c)).1 != 0).unwrap_or(0);
        key.extend_from_slice(&(u16::MAX - position.min(60_000) as u16).to_be_bytes().map(|b| b | 1));
        key.extend_from_slice(&accents);
    }
    key.push(0);
}

/// Compares by the collation.
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (mut left, mut right) = (Vec::with_capacity(a.len() + 1), Vec::with_capacity(b.len() + 1));
    sort_key(a, &mut left);
    sort_key(b, &mut right);
    left.cmp(&right)
}

/// Whether two names or texts are equal under the collation.
pub fn equal(a: &str, b: &str) -> bool {
    a == b || a.eq_ignore_ascii_case(b) || compare(a, b) == Ordering::Equal
}

/// A name folded for lookup.
pub fn fold_name(name: &str) -> String {
    name.trim_end_matches(' ').chars().map(fold).collect()
}

/// Length in UTF-16 units, as LEN and the types count.
pub fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(crate::types::utf16::width).sum() }
}

/// The first `n` UTF-16 units.
pub fn first_units(text: &str, n: usize) -> &str {
    if text.is_ascii() {
        return &text[..n.min(text.len())];
    }
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += crate::types::utf16::width(c);
        if used > n {
            return &text[..at];
        }
    }
    text
}

/// LIKE, "LIKE (Transact-SQL)": `%`, `_`, `[set]`, `[^set]`, ESCAPE; trailing blanks of the value may be left over.
pub fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let text: Vec<char> = text.chars().map(fold).collect();
    let pattern = compile(pattern, escape);
    matches(&text, &pattern)
}

enum Piece {
    Any,
    One,
    Char(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

fn compile(pattern: &str, escape: Option<char>) -> Vec<Piece> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut pieces = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        i += 1;
        if Some(c) == escape && i < chars.len() {
            pieces.push(Piece::Char(fold(chars[i])));
            i += 1;
            continue;
        }
        match c {
            '%' => pieces.push(Piece::Any),
            '_' => pieces.push(Piece::One),
            '[' => match chars[i..].iter().position(|&c| c == ']') {
                Some(close) if close > 0 => {
                    pieces.push(set(&chars[i..i + close]));
                    i += close + 1;
                }
                _ => pieces.push(Piece::Char('[')),
            },
            _ => pieces.push(Piece::Char(fold(c))),
        }
    }
    pieces
}

fn set(inner: &[char]) -> Piece {
    let (negated, inner) = match inner {
        ['^', rest @ ..] => (true, rest),
        _ => (false, inner),
    };
    let mut ranges = Vec::new();
    let mut i = 0;
    while i < inner.len() {
        if i + 2 < inner.len() && inner[i + 1] == '-' {
            ranges.push((fold(inner[i]), fold(inner[i + 2])));
            i += 3;
        } else {
            ranges.push((fold(inner[i]), fold(inner[i])));
            i += 1;
        }
    }
    Piece::Set { negated, ranges }
}

/// Greedy match with one backtrack point: linear in practice, quadratic at worst.
fn matches(text: &[char], pattern: &[Piece]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        if p == pattern.len() {
            if text[t..].iter().all(|&c| c == ' ') {
                return true;
            }
        } else if let Piece::Any = pattern[p] {
            back = Some((t, p + 1));
            p += 1;
            continue;
        } else if t < text.len() && piece_matches(&pattern[p], text[t]) {
            t += 1;
            p += 1;
            continue;
        }
        match back {
            Some((bt, bp)) if bt < text.len() => {
                back = Some((bt + 1, bp));
                (t, p) = (bt + 1, bp);
            }
            _ => return false,
        }
    }
}

fn piece_matches(piece: &Piece, c: char) -> bool {
    match piece {
        Piece::Any | Piece::One => true,
        Piece::Char(wanted) => *wanted == c,
        Piece::Set { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_without_case_and_trailing_blanks_but_with_accents() {
        assert!(equal("Müller ", "MÜLLER"));
        assert!(!equal("Muller", "Müller"));
        assert_eq!(compare("Muller", "Müller"), Ordering::Less);
        assert_eq!(compare("Müller", "Mullet"), Ordering::Less);
        assert_eq!(compare("a", "B"), Ordering::Less);
        assert_eq!(compare("9", "a"), Ordering::Less);
        assert_eq!(compare("ab", "abc"), Ordering::Less);
        assert!(!equal("a-b", "a.b"));
    }

    #[test]
    fn like_follows_the_documented_wildcards() {
        assert!(like("Sulaiman", "s%n", None));
        assert!(like("Carson", "[CK]ars[eo]n", None));
        assert!(!like("Carlson", "[CK]ars[eo]n", None));
        assert!(!like("de", "de[^l]", None));
        assert!(like("50%", "50!%", Some('!')));
        assert!(like("abc   ", "abc", None));
        assert!(like("x[y", "x[[]y", None));
    }
}
