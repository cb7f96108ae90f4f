//! `file.replace`: every match of a pattern replaced, with Python's replacement templates.

use fancy_regex::{Captures, Regex};
use states::Value;

/// What to do when nothing matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// Nothing.
    Leave,
    /// This content goes to the end.
    Append(String),
    /// This content goes to the start.
    Prepend(String),
}

/// The arguments of `file.replace`.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The regular expression.
    pub pattern: String,
    /// The replacement; `\1` and `\g<name>` are groups.
    pub repl: String,
    /// How many at most; 0 is all.
    pub count: usize,
    /// Inline flags, as [`flags`] gives them.
    pub flags: String,
    /// What happens when nothing matches.
    pub not_found: NotFound,
    /// Whether backslashes of the replacement are just that.
    pub literal: bool,
}

impl Replacement {
    /// The new text.
    ///
    /// # Errors
    /// The pattern cannot be used.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let regex = compiled(&self.flags, &self.pattern)?;
        let mut hits = 0;
        let mut new = String::with_capacity(text.len());
        let mut at = 0;
        for captures in regex.captures_iter(text) {
            let captures = captures.map_err(|error| error.to_string())?;
            let Some(whole) = captures.get(0) else { continue };
            new.push_str(&text[at..whole.start()]);
            new.push_str(&if self.literal { self.repl.clone() } else { expanded(&self.repl, &captures)? });
            at = whole.end();
            hits += 1;
            if hits == self.count {
                break;
            }
        }
        new.push_str(&text[at..]);
        if hits > 0 {
            return Ok(new);
        }
        self.missing(text, new)
    }

    fn missing(&self, text: &str, mut new: String) -> Result<String, String> {
        let (NotFound::Append(content) | NotFound::Prepend(content)) = &self.not_found else {
            return Ok(new);
        };
        let there = format!("^{}($|(?=\r\n))", fancy_regex::escape(content));
        if compiled(&self.flags, &there)?.is_match(text).map_err(|error| error.to_string())? {
            return Ok(new);
        }
        if matches!(self.not_found, NotFound::Prepend(_)) {
            return Ok(format!("{content}\n{new}"));
        }
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        new.push_str(content);
        new.push('\n');
        Ok(new)
    }
}

fn compiled(flags: &str, pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("{flags}{pattern}")).map_err(|error| format!("{pattern:?} is not a pattern: {error}"))
}

/// Python's replacement template.
fn expanded(template: &str, captures: &Captures<'_, str>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(letter) = rest.chars().next() else { return Err("bad escape (end of pattern)".to_owned()) };
        let group = |name: &str| match name.parse::<usize>() {
            Ok(number) if number < captures.len() => Ok(captures.get(number)),
            Ok(number) => Err(format!("invalid group reference {number}")),
            Err(_) => Ok(captures.name(name)),
        };
        match letter {
            '1'..='9' => {
                let digits = rest.chars().take(2).take_while(char::is_ascii_digit).count();
                out.push_str(group(&rest[..digits])?.map_or("", |found| found.as_str()));
                rest = &rest[digits..];
                continue;
            }
            'g' if rest[1..].starts_with('<') => {
                let end = rest.find('>').ok_or("missing >, unterminated name")?;
                out.push_str(group(&rest[2..end])?.map_or("", |found| found.as_str()));
                rest = &rest[end + 1..];
                continue;
            }
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'f' => out.push('\u{c}'),
            'v' => out.push('\u{b}'),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            '0' => out.push('\0'),
            '\\' => out.push('\\'),
            letter if letter.is_ascii_alphabetic() => return Err(format!("bad escape \\{letter}")),
            letter => out.extend(['\\', letter]),
        }
        rest = &rest[letter.len_utf8()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Inline flags from Salt's `flags`: a number, a name or a list of names.
///
/// # Errors
/// A flag that is not known.
pub fn flags(given: &Value) -> Result<String, String> {
    let names: Vec<String> = match given {
        Value::Nil => Vec::new(),
        Value::Int(bits) => {
            let known = [(2, "i"), (8, "m"), (16, "s"), (64, "x")];
            known.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| (*letter).to_owned()).collect()
        }
        Value::List(names) => names.iter().map(|name| letter(&name.to_string())).collect::<Result<_, _>>()?,
        Value::Str(name) => vec![letter(name)?],
        Value::Bool(_) | Value::Float(_) | Value::Bytes(_) | Value::Map(_) => {
            return Err(format!("Invalid re flag given: {given}"));
        }
    };
    let letters = names.concat();
    Ok(if letters.is_empty() { letters } else { format!("(?{letters})") })
}

fn letter(name: &str) -> Result<String, String> {
    let letter = match name.to_uppercase().as_str() {
        "I" | "IGNORECASE" => "i",
        "M" | "MULTILINE" => "m",
        "S" | "DOTALL" => "s",
        "X" | "VERBOSE" => "x",
        "U" | "UNICODE" | "A" | "ASCII" | "L" | "LOCALE" => "",
        _ => return Err(format!("Invalid re flag given: {name}")),
    };
    Ok(letter.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacement(pattern: &str, repl: &str) -> Replacement {
        Replacement {
            pattern: pattern.to_owned(),
            repl: repl.to_owned(),
            count: 0,
            flags: "(?m)".to_owned(),
            not_found: NotFound::Leave,
            literal: false,
        }
    }

    #[test]
    fn puts_groups_and_escapes_into_the_replacement() {
        let text = "port = 1\nhost = x\n";
        assert_eq!(
            replacement(r"^(\w+) = (?P<v>.*)$", r"\1=\g<v>;").apply(text).unwrap(),
            "port=1;\nhost=x;\n"
        );
        let once = Replacement { count: 1, ..replacement(r"^\w+", r"a\tb") };
        assert_eq!(once.apply(text).unwrap(), "a\tb = 1\nhost = x\n");
        let literal = Replacement { literal: true, ..replacement("port", r"\1") };
        assert_eq!(literal.apply("port").unwrap(), r"\1");
        assert!(replacement("port", r"\3").apply("port").unwrap_err().contains("group reference"));
    }

    #[test]
    fn adds_what_was_not_found_once() {
        let append =
            Replacement { not_found: NotFound::Append("b: 2".to_owned()), ..replacement("^b:.*", "b: 2") };
        assert_eq!(append.apply("a: 1").unwrap(), "a: 1\nb: 2\n");
        assert_eq!(append.apply("a: 1\nb: 2\n").unwrap(), "a: 1\nb: 2\n");
        let prepend =
            Replacement { not_found: NotFound::Prepend("x".to_owned()), ..replacement("^nope", "y") };
        assert_eq!(prepend.apply("a\n").unwrap(), "x\na\n");
        assert_eq!(prepend.apply("x\na\n").unwrap(), "x\na\n");
    }

    #[test]
    fn knows_pythons_flags() {
        assert_eq!(flags(&Value::Int(8)).unwrap(), "(?m)");
        let names = Value::List(vec!["IGNORECASE".into(), "DOTALL".into()]);
        assert_eq!(flags(&names).unwrap(), "(?is)");
        assert!(flags(&"nope".into()).is_err());
    }
}
