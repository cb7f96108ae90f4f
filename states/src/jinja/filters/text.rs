//! Filters over text: quoting for YAML, regular expressions, digests, conversions.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fancy_regex::{Captures, Regex};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Args, FilterFn, Outcome, text_of};
use crate::yaml::{self, Style};
use crate::{Series, Value};

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("base64_decode", base64_decode),
    ("base64_encode", base64_encode),
    ("check_whitelist_blacklist", check_whitelist_blacklist),
    ("contains_whitespace", |args| Ok(Value::Bool(args.text()?.contains(char::is_whitespace)))),
    ("date_format", strftime),
    ("hmac", hmac),
    ("hmac_compute", |args| Ok(Value::from(hex(&mac(args)?)))),
    ("human_to_bytes", human_to_bytes),
    ("is_hex", |args| Ok(Value::Bool(args.text()?.chars().all(|c| c.is_ascii_hexdigit())))),
    ("mac_str_to_bytes", mac_str_to_bytes),
    ("md5", |args| Ok(Value::from(hex(&md5::Md5::digest(bytes_of(args.value())))))),
    ("quote", quote),
    ("regex_escape", |args| Ok(Value::from(regex_escape(args.text()?)))),
    ("regex_match", |args| find(args, Anchor::Start)),
    ("regex_replace", regex_replace),
    ("regex_search", |args| find(args, Anchor::Anywhere)),
    ("sha1", |args| Ok(Value::from(hex(&Sha1::digest(bytes_of(args.value())))))),
    ("sha256", |args| Ok(Value::from(hex(&Sha256::digest(bytes_of(args.value())))))),
    ("sha512", |args| Ok(Value::from(hex(&Sha512::digest(bytes_of(args.value())))))),
    ("skip", |_| Ok(Value::from(""))),
    ("str_to_num", to_num),
    ("strftime", strftime),
    ("string", |args| Ok(Value::from(args.value().to_string()))),
    ("to_bool", to_bool),
    ("to_bytes", |args| Ok(Value::Bytes(bytes_of(args.value())))),
    ("to_camelcase", to_camelcase),
    ("to_num", to_num),
    ("to_snake_case", to_snake_case),
    ("uuid", uuid),
    ("yaml_dquote", |args| Ok(Value::from(yaml::quoted(args.text()?)))),
    ("yaml_encode", yaml_encode),
    ("yaml_squote", |args| Ok(Value::from(format!("'{}'", args.text()?.replace('\'', "''"))))),
];

#[derive(Clone, Copy, PartialEq)]
enum Anchor {
    Start,
    Anywhere,
}

/// Compiles the pattern at position 1 with the flags at the given position and the next.
fn pattern(args: &Args, anchor: Anchor, flags: usize) -> Result<Regex, String> {
    let pattern = text_of(args.required(1, "rgx")?)?;
    let mut prefix = String::new();
    if args.is_set(flags, "ignorecase") {
        prefix.push_str("(?i)");
    }
    if args.is_set(flags + 1, "multiline") {
        prefix.push_str("(?m)");
    }
    let start = if anchor == Anchor::Start { r"\A" } else { "" };
    let pattern = pattern.replace("(?P<", "(?<");
    Regex::new(&format!("{prefix}{start}(?:{pattern})"))
        .map_err(|error| format!("not a regular expression: {error}"))
}

pub(super) fn is_match(args: &Args) -> Outcome {
    let text = args.text()?;
    let found = pattern(args, Anchor::Start, 2)?.is_match(text);
    found.map(Value::Bool).map_err(|error| error.to_string())
}

fn find(args: &Args, anchor: Anchor) -> Outcome {
    let text = args.text()?;
    let regex = pattern(args, anchor, 2)?;
    let Some(found) = regex.captures(text).map_err(|error| error.to_string())? else {
        return Ok(Value::Nil);
    };
    let group = |at: usize| Value::from(found.get(at).map(|group| group.as_str()));
    if found.len() == 1 && args.series >= Series::V3008 {
        return Ok(Value::List(vec![group(0)]));
    }
    Ok(Value::List((1..found.len()).map(group).collect()))
}

fn regex_replace(args: &Args) -> Outcome {
    let text = args.text()?;
    let template = text_of(args.required(2, "val")?)?;
    let regex = pattern(args, Anchor::Anywhere, 3)?;
    let replaced = regex.try_replacen(text, 0, |found: &Captures<'_, str>| expand(template, found));
    replaced.map(|text| Value::from(text.into_owned())).map_err(|error| error.to_string())
}

/// Python's replacement templates: `\1`, `\g<1>`, `\g<name>`, `\n`.
fn expand(template: &str, found: &Captures<'_, str>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some((name, after)) = rest.strip_prefix("g<").and_then(|rest| rest.split_once('>')) {
            let group = name.parse().map_or_else(|_| found.name(name), |number: usize| found.get(number));
            out.push_str(group.map_or("", |group| group.as_str()));
            rest = after;
            continue;
        }
        let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let number: usize = rest[..digits].parse().unwrap_or(0);
            out.push_str(found.get(number).map_or("", |group| group.as_str()));
            rest = &rest[digits..];
            continue;
        }
        let Some(letter) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        match letter {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '\\' => out.push('\\'),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
        rest = &rest[letter.len_utf8()..];
    }
    out.push_str(rest);
    out
}

/// Python's `re.escape`.
fn regex_escape(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

fn quote(args: &Args) -> Outcome {
    let text = args.text()?;
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%_-+=:,./".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return Ok(Value::from(text));
    }
    Ok(Value::from(format!("'{}'", text.replace('\'', "'\"'\"'"))))
}

fn to_bool(args: &Args) -> Outcome {
    let truth = match args.value() {
        Value::Nil | Value::Float(_) | Value::Bytes(_) => false,
        Value::Bool(truth) => *truth,
        Value::Int(number) => *number > 0,
        Value::Str(text) => matches!(text.to_lowercase().as_str(), "yes" | "1" | "true"),
        Value::List(items) => !items.is_empty(),
        Value::Map(map) => !map.is_empty(),
    };
    Ok(Value::Bool(truth))
}

fn to_num(args: &Args) -> Outcome {
    let Value::Str(text) = args.value() else { return Ok(args.value().clone()) };
    let clean = text.trim();
    if let Ok(number) = clean.parse::<i64>() {
        return Ok(Value::Int(number));
    }
    Ok(clean.parse::<f64>().map_or_else(|_| Value::from(text.as_str()), Value::Float))
}

fn to_camelcase(args: &Args) -> Outcome {
    let upper_first = args.is_set(1, "uppercamel");
    let mut out = String::new();
    for (at, word) in args.text()?.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if at > 0 || upper_first => {
                out.extend(first.to_uppercase());
                out.push_str(&letters.as_str().to_lowercase());
            }
            Some(_) => out.push_str(word),
            None => {}
        }
    }
    Ok(Value::from(out))
}

fn to_snake_case(args: &Args) -> Outcome {
    let letters: Vec<char> = args.text()?.chars().collect();
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || letters.get(at + 1).is_some_and(|next| next.is_lowercase()) && before != '_'
            });
        if starts_word {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    Ok(Value::from(out))
}

fn uuid(args: &Args) -> Outcome {
    let mut hash = Sha1::new();
    hash.update(NAMESPACE.as_bytes());
    hash.update(args.value().to_string().as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
    Ok(Value::from(uuid::Builder::from_sha1_bytes(first).into_uuid().to_string()))
}

fn yaml_encode(args: &Args) -> Outcome {
    match args.value() {
        value @ (Value::List(_) | Value::Map(_) | Value::Bytes(_)) => {
            Err(format!("yaml_encode() only works with YAML scalar data; failed for {}", value.type_name()))
        }
        Value::Str(text) => Ok(Value::from(yaml::quoted(text))),
        scalar => Ok(Value::from(yaml::dump(scalar, Style::Flow).trim_end())),
    }
}

/// Seconds since 1970 as a date, in UTC. Other dates need a parser that Salt does not ship either.
fn strftime(args: &Args) -> Outcome {
    let format = args.get(1, "format").map_or("%Y-%m-%d", |format| format.as_str().unwrap_or_default());
    let seconds = match args.value() {
        Value::Str(text) => text.parse().ok(),
        other => other.as_float(),
    };
    let time = seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds as i64, 0));
    let time = time.ok_or("Unable to parse date: only seconds since 1970 are understood")?;
    let mut out = String::new();
    write!(out, "{}", time.format(format)).map_err(|_| format!("not a date format: {format}"))?;
    Ok(Value::from(out))
}

fn mac(args: &Args) -> Result<Vec<u8>, String> {
    use hmac::Mac as _;
    let secret = bytes_of(args.required(1, "shared_secret")?);
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(&secret).map_err(|error| error.to_string())?;
    mac.update(&bytes_of(args.value()));
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hmac(args: &Args) -> Outcome {
    let challenge = STANDARD.decode(args.required(2, "challenge_hmac")?.to_string());
    Ok(Value::Bool(challenge.is_ok_and(|challenge| mac(args).is_ok_and(|mac| mac == challenge))))
}

fn human_to_bytes(args: &Args) -> Outcome {
    let text = args.value().to_string();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (text[..at].trim(), text[at..].trim().to_lowercase());
    let decimal = args.is_set(2, "handle_metric") && unit.len() == 2 && unit.ends_with('b');
    let base: f64 = if decimal { 1000.0 } else { 1024.0 };
    let power = unit.chars().next().and_then(|letter| "kmgtpezy".find(letter)).map_or(0, |at| at as i32 + 1);
    let number: f64 = number.parse().map_err(|_| format!("not a size: {text}"))?;
    Ok(Value::Int((number * base.powi(power)) as i64))
}

fn mac_str_to_bytes(args: &Args) -> Outcome {
    let digits: String = args.text()?.chars().filter(|c| c.is_ascii_hexdigit()).collect();
    if digits.len() != 12 {
        return Err("Invalid MAC address".to_owned());
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap_or_default();
    Ok(Value::Bytes((0..6).map(byte).collect()))
}

fn check_whitelist_blacklist(args: &Args) -> Outcome {
    let text = args.text()?;
    let fits = |position: usize, name: &str| {
        let list = args.get(position, name).filter(|list| list.is_truthy());
        list.map(|list| {
            let single = [list.clone()];
            let patterns = list.as_list().unwrap_or(&single);
            patterns.iter().any(|pattern| crate::compile::fnmatch(text, &pattern.to_string()))
        })
    };
    let blacklisted = fits(2, "blacklist").unwrap_or(false);
    Ok(Value::Bool(!blacklisted && fits(1, "whitelist").unwrap_or(true)))
}

fn base64_encode(args: &Args) -> Outcome {
    Ok(Value::from(STANDARD.encode(bytes_of(args.value()))))
}

fn base64_decode(args: &Args) -> Outcome {
    let decoded = STANDARD.decode(args.text()?.trim()).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(decoded).map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Str))
}

fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.clone(),
        other => other.to_string().into_bytes(),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The namespace Salt derives its version 5 identifiers from.
const NAMESPACE: uuid::Uuid = uuid::uuid!("91633EBF-1C86-5E33-935A-28061F4B480E");
