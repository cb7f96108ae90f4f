//! Slots: `__slot__:salt:test.echo(x).key ~ text` in an argument is what the function returns when the state is called.
//!
//! Salt documents them in `doc/topics/slots/index.rst`. Looked at are texts, and texts one level down in mappings and lists.
//! What is no well-formed slot stays as it is, with a warning in the log.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::iter::Peekable;
use std::str::Chars;

use states::{Map, Value};

use crate::{
    modules::ModuleError,
    state_modules::{StateArgs, StateContext},
};

/// Puts the results of functions in the places of slots.
///
/// # Errors
/// What a function refused with.
pub(super) async fn fill(args: &mut StateArgs, context: &StateContext) -> Result<(), ModuleError> {
    if args.name.starts_with(SLOT) {
        args.name = result(&args.name, context).await?.to_string();
    }
    for value in args.args.values_mut() {
        match value {
            Value::Map(map) => fill_map(map, context).await?,
            Value::List(items) => {
                for item in items {
                    match item {
                        Value::Map(map) => fill_map(map, context).await?,
                        other => fill_text(other, context).await?,
                    }
                }
            }
            other => fill_text(other, context).await?,
        }
    }
    Ok(())
}

async fn fill_map(map: &mut Map, context: &StateContext) -> Result<(), ModuleError> {
    for value in map.values_mut() {
        fill_text(value, context).await?;
    }
    Ok(())
}

async fn fill_text(value: &mut Value, context: &StateContext) -> Result<(), ModuleError> {
    if let Some(text) = value.as_str().filter(|text| text.starts_with(SLOT)) {
        *value = result(text, context).await?;
    }
    Ok(())
}

async fn result(text: &str, context: &StateContext) -> Result<Value, ModuleError> {
    let Some(slot) = Slot::parse(text).filter(|slot| context.offers(&slot.fun)) else {
        tracing::warn!(slot = text, "a slot is malformed or names no function; it is left as it is");
        return Ok(text.into());
    };
    let mut value = context.execute(&slot.fun, slot.args, slot.kwargs).await?;
    if let Some(path) = slot.path {
        value = traversed(value, &path);
    }
    match (slot.appended, value) {
        (Some(more), Value::Str(text)) => Ok(format!("{text}{more}").into()),
        (_, value) => Ok(value),
    }
}

fn traversed(value: Value, path: &str) -> Value {
    let found = path.split('.').try_fold(&value, |at, key| match at {
        Value::List(items) => key.parse::<usize>().ok().and_then(|at| items.get(at)),
        other => other.get(key),
    });
    found.cloned().unwrap_or_default()
}

/// A slot taken apart.
#[derive(Debug, PartialEq)]
struct Slot {
    fun: String,
    args: Vec<Value>,
    kwargs: Map,
    /// What of the result is wanted.
    path: Option<String>,
    /// What follows it.
    appended: Option<String>,
}

impl Slot {
    fn parse(text: &str) -> Option<Self> {
        let said = text.strip_prefix(SLOT)?.strip_prefix("salt:")?;
        let (fun, args, kwargs) = function(said)?;
        let (call, appended) = match said.split_once('~') {
            Some((call, more)) => (call, Some(unquoted(&more.split('~').collect::<Vec<_>>().join(" ")))),
            None => (said, None),
        };
        let after = call.rsplit_once(')').map_or("", |(_, after)| after);
        let path = after.split_once('.').map(|(_, path)| path.trim().to_owned());
        Some(Self { fun, args, kwargs, path, appended })
    }
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text).to_owned()
}

/// `module.function(argument, key=argument)`, as Salt's `parse_function` reads it: every argument is a text.
fn function(text: &str) -> Option<(String, Vec<Value>, Map)> {
    let mut tokens = Tokens(text.chars().peekable());
    let mut fun = String::new();
    loop {
        match tokens.next()? {
            Token::Sign('(') if !fun.is_empty() => break,
            Token::Sign('(') => return None,
            Token::Sign(sign) => fun.push(sign),
            Token::Word(word) => fun.push_str(&word),
        }
    }
    let (mut args, mut kwargs) = (Vec::new(), Map::new());
    let (mut key, mut word, mut open) = (None::<String>, None::<String>, Vec::new());
    loop {
        match tokens.next()? {
            Token::Sign(sign @ (',' | ')')) if open.is_empty() => {
                match (key.take(), word.take()) {
                    (Some(key), word) => {
                        kwargs.insert(key, word.unwrap_or_default());
                    }
                    (None, Some(word)) => args.push(word.into()),
                    (None, None) => {}
                }
                if sign == ')' {
                    return Some((fun, args, kwargs));
                }
            }
            Token::Sign('=') if open.is_empty() => key = Some(word.take().unwrap_or_default()),
            Token::Sign(sign) => {
                if "([{".contains(sign) {
                    open.push(sign);
                } else if let Some(at) = ")]}".find(sign) {
                    let opening = open.pop()?;
                    if "([{".find(opening) != Some(at) {
                        return None;
                    }
                }
                word.get_or_insert_default().push(sign);
            }
            Token::Word(more) => word.get_or_insert_default().push_str(&more),
        }
    }
}

enum Token {
    Word(String),
    Sign(char),
}

/// Words, quoted or not, and single signs, as Python's `shlex` tells them apart.
struct Tokens<'t>(Peekable<Chars<'t>>);

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        while self.0.next_if(|sign| sign.is_whitespace()).is_some() {}
        let first = self.0.peek().copied()?;
        if !(is_word(first) || is_quote(first) || first == '\\') {
            self.0.next();
            return Some(Token::Sign(first));
        }
        let mut word = String::new();
        while let Some(sign) = self.0.next_if(|sign| is_word(*sign) || is_quote(*sign) || *sign == '\\') {
            match sign {
                '\\' => word.extend(self.0.next()),
                quote if is_quote(quote) => self.quoted(quote, &mut word)?,
                sign => word.push(sign),
            }
        }
        Some(Token::Word(word))
    }
}

impl Tokens<'_> {
    fn quoted(&mut self, quote: char, word: &mut String) -> Option<()> {
        loop {
            match self.0.next()? {
                end if end == quote => return Some(()),
                '\\' => {
                    let escaped = self.0.next()?;
                    if escaped != quote && escaped != '\\' {
                        word.push('\\');
                    }
                    word.push(escaped);
                }
                sign => word.push(sign),
            }
        }
    }
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

fn is_quote(sign: char) -> bool {
    matches!(sign, '"' | '\'')
}

const SLOT: &str = "__slot__:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_taken_apart_as_salt_does() {
        let slot =
            Slot::parse("__slot__:salt:test.arg(1, 'two words', k=\"v, w\", l=[a,(b)]).kwargs.k ~ ' more'")
                .unwrap();
        assert_eq!(slot.fun, "test.arg");
        assert_eq!(slot.args, [Value::from("1"), "two words".into()]);
        assert_eq!(slot.kwargs, [("k", "v, w"), ("l", "[a,(b)]")].into_iter().collect::<Map>());
        assert_eq!(slot.path.as_deref(), Some("kwargs.k"));
        assert_eq!(slot.appended.as_deref(), Some(" more"));
        let plain = Slot::parse("__slot__:salt:test.ping()").unwrap();
        assert_eq!((plain.args.len(), plain.path, plain.appended), (0, None, None));
    }

    #[test]
    fn what_is_no_call_is_no_slot() {
        for text in
            ["__slot__:pillar:x", "__slot__:salt:test.echo", "__slot__:salt:(x)", "__slot__:salt:a.b([x)"]
        {
            assert_eq!(Slot::parse(text), None, "{text}");
        }
    }
}
