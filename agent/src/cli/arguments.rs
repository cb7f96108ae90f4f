//! Command line arguments as Salt reads them: `name=value` keywords, values typed as YAML.
//!
//! Behaviour: `salt/utils/args.py` (`parse_input`, `parse_kwarg`, `yamlify_arg`), odd cases included.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use states::{Map, Value};

/// Parts the arguments of a call into positional and keyword ones, all typed.
#[must_use]
pub fn parse(args: &[String]) -> (Vec<Value>, Map) {
    let (mut positional, mut keywords) = (Vec::new(), Map::new());
    for arg in args {
        match keyword(arg) {
            Some((name, value)) => {
                keywords.insert(name, yamlify(value));
            }
            None => positional.push(yamlify(arg)),
        }
    }
    (positional, keywords)
}

/// `name=value`, when the name is a Python identifier and the text has no line break.
#[must_use]
pub fn keyword(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let mut letters = name.chars();
    let first = letters.next()?;
    let valid = (first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_' || letter == '-' || letter == '.');
    (valid && !value.starts_with('=') && !text.contains('\n')).then_some((name, value))
}

/// A text as the YAML value it spells; the text itself where Salt keeps it.
#[must_use]
pub fn yamlify(text: &str) -> Value {
    let kept = || Value::from(text);
    let trimmed = text.trim();
    let only_digits = text.contains('_') && trimmed.chars().all(|c| c.is_ascii_digit() || c == '_');
    if matches!(trimmed, "" | "---" | "...") || only_digits || text.contains(['\t', '\r', '\n']) {
        return kept();
    }
    if text == "None" {
        return Value::Nil;
    }
    let Ok(value) = states::yaml::load(text) else { return kept() };
    match value {
        Value::Str(_) | Value::Nil if text.contains('#') => kept(),
        Value::Map(_) if !text.starts_with('{') => kept(),
        Value::List(_) if !text.starts_with('[') => kept(),
        Value::Str(loaded) if loaded.is_empty() && matches!(text, "|" | "!") => kept(),
        Value::Nil if text == "!" => kept(),
        Value::Bytes(_) => kept(),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> String {
        yamlify(text).repr()
    }

    #[test]
    fn types_values_as_salt_call_does() {
        for (text, expected) in [
            ("1", "1"),
            ("3.1", "3.1"),
            ("True", "True"),
            ("yes", "True"),
            ("None", "None"),
            ("null", "None"),
            ("two words", "'two words'"),
            ("{a: 1, b: hello}", "{'a': 1, 'b': 'hello'}"),
            ("[1, x]", "[1, 'x']"),
            ("a: b", "'a: b'"),
            ("- x", "'- x'"),
            ("1_000", "'1_000'"),
            ("0644", "644"),
            ("a # b", "'a # b'"),
            ("#", "'#'"),
            ("", "''"),
            ("!", "'!'"),
            ("{broken", "'{broken'"),
        ] {
            assert_eq!(typed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn takes_keywords_only_from_identifiers_on_one_line() {
        assert_eq!(keyword("a=b=c"), Some(("a", "b=c")));
        assert_eq!(keyword("saltenv=base"), Some(("saltenv", "base")));
        assert_eq!(keyword("a==b"), None);
        assert_eq!(keyword("=b"), None);
        assert_eq!(keyword("a b=c"), None);
        assert_eq!(keyword("a=b\nc"), None);
        assert_eq!(keyword("1a=b"), None);
    }
}
