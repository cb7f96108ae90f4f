//! Filters of Jinja that write HTML: `xmlattr`, `urlize` (`jinja2/utils.py`).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use fancy_regex::Regex;

use super::builtin::escaped;
use super::{Args, FilterFn, Outcome};
use crate::Value;

pub(super) const TABLE: &[(&str, FilterFn)] = &[("urlize", urlize), ("xmlattr", xmlattr)];

fn xmlattr(args: &Args) -> Outcome {
    let map = args.value().as_map().ok_or("expected a mapping")?;
    let mut pairs = Vec::new();
    for (key, value) in map.iter().filter(|(_, value)| !value.is_nil()) {
        let key = key.to_string();
        if key.contains(|letter: char| letter.is_whitespace() || "/>=".contains(letter)) {
            return Err(format!("Invalid character in attribute name: {}", Value::from(key).repr()));
        }
        pairs.push(format!("{}=\"{}\"", escaped(&key), escaped(&value.to_string())));
    }
    let space =
        if pairs.is_empty() || !args.get(1, "autospace").is_none_or(Value::is_truthy) { "" } else { " " };
    Ok(Value::from(format!("{space}{}", pairs.join(" "))))
}

static WEB: LazyLock<Result<Regex, fancy_regex::Error>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^((https?://|www\.)(([\w%-]+\.)+)?([a-z]{2,63}|xn--[\w%]{2,59})|([\w%-]{2,63}\.)+(com|net|int|edu|gov|org|info|mil)|(https?://)((([\d]{1,3})(\.[\d]{1,3}){3})|(\[([\da-f]{0,4}:){2}([\da-f]{0,4}:?){1,6}])))(?::[\d]{1,5})?(?:[/?#]\S*)?$",
    )
});

static MAIL: LazyLock<Result<Regex, fancy_regex::Error>> =
    LazyLock::new(|| Regex::new(r"^\S+@\w[\w.-]*\.\w+$"));

fn matches(pattern: &Result<Regex, fancy_regex::Error>, text: &str) -> bool {
    pattern.as_ref().is_ok_and(|pattern| pattern.is_match(text).unwrap_or(false))
}

fn urlize(args: &Args) -> Outcome {
    let text = escaped(&args.value().to_string());
    let limit =
        args.get(1, "trim_url_limit").and_then(Value::as_int).and_then(|limit| usize::try_from(limit).ok());
    let given = args.get(4, "rel").map(ToString::to_string).unwrap_or_default();
    let mut rel: BTreeSet<&str> = given.split_whitespace().collect();
    rel.insert("noopener");
    if args.is_set(2, "nofollow") {
        rel.insert("nofollow");
    }
    let mut attributes = format!(" rel=\"{}\"", escaped(&rel.into_iter().collect::<Vec<_>>().join(" ")));
    if let Some(target) = args.get(3, "target").filter(|target| target.is_truthy()) {
        attributes.push_str(&format!(" target=\"{}\"", escaped(&target.to_string())));
    }
    let mut out = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end_matches(char::is_whitespace);
        out.push_str(&linked(bare, limit, &attributes));
        out.push_str(&word[bare.len()..]);
    }
    Ok(Value::from(out))
}

fn linked(word: &str, limit: Option<usize>, attributes: &str) -> String {
    let (head, middle, tail) = parts(word);
    let shown = match limit {
        Some(limit) if middle.chars().count() > limit => {
            format!("{}...", middle.chars().take(limit).collect::<String>())
        }
        Some(_) | None => middle.clone(),
    };
    let address = middle.strip_prefix("mailto:");
    let link = if matches(&WEB, &middle) {
        let scheme =
            if middle.starts_with("http://") || middle.starts_with("https://") { "" } else { "https://" };
        format!("<a href=\"{scheme}{middle}\"{attributes}>{shown}</a>")
    } else if let Some(address) = address.filter(|address| matches(&MAIL, address)) {
        format!("<a href=\"{middle}\">{address}</a>")
    } else if middle.contains('@')
        && !middle.starts_with("www.")
        && !middle.starts_with('@')
        && !middle.contains(':')
        && matches(&MAIL, &middle)
    {
        format!("<a href=\"mailto:{middle}\">{middle}</a>")
    } else {
        middle
    };
    format!("{head}{link}{tail}")
}

/// A word without the brackets before it and the punctuation after it, brackets kept in pairs.
fn parts(word: &str) -> (String, String, String) {
    let mut start = word;
    while let Some(rest) = ["(", "<", "&lt;"].iter().find_map(|open| start.strip_prefix(open)) {
        start = rest;
    }
    let head = &word[..word.len() - start.len()];
    let mut end = start;
    while let Some(rest) = [")", ">", ".", ",", "&gt;"].iter().find_map(|close| end.strip_suffix(close)) {
        end = rest;
    }
    let (mut middle, mut tail) = (end.to_owned(), start[end.len()..].to_owned());
    for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
        let opened = middle.matches(open).count();
        if opened <= middle.matches(close).count() {
            continue;
        }
        for _ in 0..opened.min(tail.matches(close).count()) {
            let Some(at) = tail.find(close) else { break };
            middle.push_str(&tail[..at + close.len()]);
            tail.drain(..at + close.len());
        }
    }
    (head.to_owned(), middle, tail)
}
