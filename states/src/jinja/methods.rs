//! Methods of Python's strings that `minijinja-contrib` does not bring.

use minijinja::value::{Tuple, Value as Jinja, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;

pub(super) fn unknown_method(
    state: &mut State<'_, '_>,
    value: &Jinja,
    method: &str,
    args: &[Jinja],
) -> Result<Jinja, Error> {
    match value.as_str() {
        Some(text) => match of_text(text, method, args)? {
            Some(result) => Ok(result),
            None => pycompat::unknown_method_callback(state, value, method, args),
        },
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn of_text(text: &str, method: &str, args: &[Jinja]) -> Result<Option<Jinja>, Error> {
    Ok(Some(match method {
        "partition" | "rpartition" => {
            let (separator,): (String,) = from_args(args)?;
            partition(text, method, &separator)
        }
        "swapcase" => Jinja::from(text.chars().map(swap).collect::<String>()),
        "casefold" => Jinja::from(text.to_lowercase().replace('ß', "ss")),
        "expandtabs" => {
            let (size,): (Option<usize>,) = from_args(args)?;
            Jinja::from(expanded(text, size.unwrap_or(8).min(MAX_WIDTH)))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<String>) = from_args(args)?;
            let fill = fill.and_then(|fill| fill.chars().next()).unwrap_or(' ');
            Jinja::from(padded(text, method, width, fill))
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            Jinja::from(zero_filled(text, width))
        }
        "index" | "rindex" => {
            let (part,): (String,) = from_args(args)?;
            let at = if method == "index" { text.find(&part) } else { text.rfind(&part) };
            let at = at.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "substring not found"))?;
            Jinja::from(text[..at].chars().count())
        }
        "rsplit" => {
            let (separator, limit): (Option<String>, Option<usize>) = from_args(args)?;
            split_from_end(text, separator.as_deref(), limit)
        }
        "removeprefix" => {
            let (prefix,): (String,) = from_args(args)?;
            Jinja::from(text.strip_prefix(prefix.as_str()).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (String,) = from_args(args)?;
            Jinja::from(text.strip_suffix(suffix.as_str()).unwrap_or(text))
        }
        "encode" => Jinja::from_bytes(text.as_bytes().to_vec()),
        _ => return Ok(None),
    }))
}

fn partition(text: &str, method: &str, separator: &str) -> Jinja {
    let found = if method == "partition" { text.split_once(separator) } else { text.rsplit_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if method == "partition" => [text, "", ""],
        None => ["", "", text],
    };
    Jinja::from(Tuple::from(parts.map(Jinja::from)))
}

fn swap(letter: char) -> String {
    if letter.is_uppercase() { letter.to_lowercase().collect() } else { letter.to_uppercase().collect() }
}

pub(super) fn padded(text: &str, method: &str, width: usize, fill: char) -> String {
    let missing = width.min(MAX_WIDTH).saturating_sub(text.chars().count());
    let before = match method {
        "ljust" => 0,
        "rjust" => missing,
        // Python puts the odd blank on the left only when the width is odd.
        _ => missing / 2 + (missing & width & 1),
    };
    let run = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
    format!("{}{text}{}", run(before), run(missing - before))
}

fn expanded(text: &str, size: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for letter in text.chars() {
        if letter == '\t' {
            let blanks = if size == 0 { 0 } else { size - column % size };
            out.extend(std::iter::repeat_n(' ', blanks));
            column += blanks;
        } else {
            out.push(letter);
            column = if matches!(letter, '\n' | '\r') { 0 } else { column + 1 };
        }
    }
    out
}

fn zero_filled(text: &str, width: usize) -> String {
    let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
    format!("{sign}{}", padded(digits, "rjust", width.saturating_sub(sign.len()), '0'))
}

fn split_from_end(text: &str, separator: Option<&str>, limit: Option<usize>) -> Jinja {
    let count = limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some(separator) => text.rsplitn(count, separator).collect(),
        None => text.split_whitespace().rev().collect(),
    };
    parts.reverse();
    super::objects::list(parts.into_iter().map(Jinja::from).collect())
}

/// Templates come from the master; a width beyond this is a mistake.
const MAX_WIDTH: usize = 65_536;
