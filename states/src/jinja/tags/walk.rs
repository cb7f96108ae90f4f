//! Walks the statements of a template: what it sets, where a macro ends, what encloses a place.

use std::collections::BTreeSet;

use super::{Tag, find_end, find_tag, is_word, raw_block};

/// A tag of the source, comments and raw blocks left out.
struct Piece<'a> {
    /// Where it starts and ends, delimiters and all.
    start: usize,
    end: usize,
    /// What stands between the delimiters.
    inside: &'a str,
    /// `None` for an expression.
    tag: Option<Tag<'a>>,
}

fn pieces(source: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + find_tag(&source[at..])?;
            let text = &source[start..];
            let close = if text.starts_with("{{") { "}}" } else { "%}" };
            if text.starts_with("{#") {
                at = start + text.find("#}")? + 2;
                continue;
            }
            let end = start + find_end(text, close)? + 2;
            let inside = &source[start + 2..end - 2];
            let tag = (close == "%}").then(|| Tag::split(inside));
            at = end;
            if tag.as_ref().is_some_and(|tag| tag.word == "raw") {
                let (length, closing) = raw_block(&source[end..]);
                at = end + length + closing;
                continue;
            }
            return Some(Piece { start, end, inside, tag });
        }
    })
}

/// The names that a template sets, sorted, with commas between: what an import without context does not see.
pub(super) fn set_names(source: &str) -> String {
    let mut names = BTreeSet::new();
    for tag in pieces(source).filter_map(|piece| piece.tag) {
        let (_, rest) = tag.rest();
        let rest = rest.strip_suffix("with context").unwrap_or(rest);
        match tag.word {
            "set" => names.extend(words(rest.split(['=', '|']).next().unwrap_or_default())),
            "for" => names.extend(words(rest.split(" in ").next().unwrap_or_default())),
            "macro" => names.extend(words(rest.split('(').next().unwrap_or_default())),
            "import" | "import_yaml" | "import_json" | "import_text" | "load_yaml" | "load_json"
            | "load_text" => {
                names.extend(rest.rsplit_once(" as ").and_then(|(_, name)| words(name).next()));
            }
            "from" => {
                let parts = rest.split_once(" import ").map_or("", |(_, parts)| parts).split(',');
                names.extend(
                    parts.filter_map(|part| words(part).filter(|word| !CONTEXT.contains(word)).last()),
                );
            }
            "with" => names.extend(rest.split(',').filter_map(|part| words(part.split_once('=')?.0).last())),
            _ => {}
        }
    }
    names.into_iter().collect::<Vec<_>>().join(",")
}

const CONTEXT: [&str; 3] = ["with", "without", "context"];

fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|letter: char| !letter.is_ascii() || !is_word(letter as u8));
    parts.filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
}

/// The text up to the `endmacro` of a macro that is open.
pub(super) fn macro_body(text: &str) -> Option<&str> {
    let mut open = 0usize;
    let end = pieces(text).find(|piece| match piece.tag.as_ref().map(|tag| tag.word) {
        Some("macro") => {
            open += 1;
            false
        }
        Some("endmacro") if open == 0 => true,
        Some("endmacro") => {
            open -= 1;
            false
        }
        Some(_) | None => false,
    })?;
    Some(&text[..end.start])
}

/// Whether a place lies in a conditional expression, or in an `if` with no other block between: what is missing there Jinja
/// finds when it comes to it, and says so in other words.
pub(in crate::jinja) fn is_conditional(source: &str, place: usize) -> bool {
    let mut open: Vec<&str> = Vec::new();
    for piece in pieces(source) {
        let word = piece.tag.as_ref().map_or("", |tag| tag.word);
        if piece.end > place {
            let own = matches!(word, "if" | "elif") || (word != "for" && piece.inside.contains(" if "));
            return piece.start <= place && own || open.last() == Some(&"if");
        }
        let opens = match word {
            "set" => !piece.inside.contains('='),
            other => matches!(other, "if" | "for" | "macro" | "call" | "filter" | "block" | "with"),
        };
        if opens {
            open.push(word);
        } else if word.starts_with("end") {
            open.pop();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditional(source: &str) -> bool {
        is_conditional(source, source.find("|x").unwrap())
    }

    #[test]
    fn tells_what_encloses_a_place() {
        for source in [
            "{% if a %}{{ b|x }}{% endif %}",
            "{% if a|x %}{% endif %}",
            "{% if a %}{% else %}{{ b|x }}{% endif %}",
            "{{ b|x if c else d }}",
            "{% for a in b %}{% if a %}{% set c = d|x %}{% endif %}{% endfor %}",
        ] {
            assert!(conditional(source), "{source}");
        }
        for source in [
            "{{ b|x }}",
            "{# {% if a %} #}{{ b|x }}",
            "{% raw %}{% if a %}{% endraw %}{{ b|x }}",
            "{% if a %}{% endif %}{{ b|x }}",
            "{% if a %}{% for c in d %}{{ c|x }}{% endfor %}{% endif %}",
            "{% if a %}{% set c %}{{ c|x }}{% endset %}{% endif %}",
            "{% for a in b|x if c %}{% endfor %}",
        ] {
            assert!(!conditional(source), "{source}");
        }
    }
}
