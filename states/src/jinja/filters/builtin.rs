//! Filters of Jinja itself that minijinja lacks or answers otherwise, and Python's `%`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use super::{Args, FilterFn, Outcome};
use crate::jinja::methods::padded;
use crate::value::float_repr;
use crate::{Map, Value};

pub(super) const TABLE: &[(&str, FilterFn)] = &[
    ("center", |args| {
        let width = args.get(1, "width").and_then(Value::as_int).unwrap_or(80);
        Ok(Value::from(padded(&args.value().to_string(), "center", usize::try_from(width).unwrap_or(0), ' ')))
    }),
    ("filesizeformat", filesizeformat),
    ("float", |args| Ok(Value::Float(number(args.value()).unwrap_or_else(|| default_number(args))))),
    ("forceescape", |args| Ok(Value::from(escaped(&args.value().to_string())))),
    ("int", int),
    ("replace", |args| {
        let (text, old) = (args.value().to_string(), args.required(1, "old")?.to_string());
        let new = args.required(2, "new")?.to_string();
        let count =
            args.get(3, "count").and_then(Value::as_int).and_then(|count| usize::try_from(count).ok());
        Ok(Value::from(match count {
            Some(count) => text.replacen(&old, &new, count),
            None => text.replace(&old, &new),
        }))
    }),
    ("pprint", |args| Ok(Value::from(args.value().repr()))),
    ("striptags", striptags),
    ("truncate", truncate),
    ("urlencode", |args| Ok(Value::from(url_encoded(args.value())))),
    ("wordcount", |args| {
        let words = args
            .value()
            .to_string()
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|w| !w.is_empty())
            .count();
        Ok(Value::Int(i64::try_from(words).unwrap_or(i64::MAX)))
    }),
    ("wordwrap", wordwrap),
];

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Str(text) => text.trim().parse().ok(),
        other => other.as_float(),
    }
}

fn default_number(args: &Args) -> f64 {
    args.get(1, "default").and_then(Value::as_float).unwrap_or(0.0)
}

fn int(args: &Args) -> Outcome {
    let base = u32::try_from(args.get(2, "base").and_then(Value::as_int).unwrap_or(10)).unwrap_or(10);
    if let Value::Str(text) = args.value()
        && (2..=36).contains(&base)
    {
        let text = text.trim().to_lowercase();
        let digits = match base {
            16 => text.trim_start_matches("0x"),
            8 => text.trim_start_matches("0o"),
            2 => text.trim_start_matches("0b"),
            _ => &text,
        };
        if let Ok(number) = i64::from_str_radix(digits, base) {
            return Ok(Value::Int(number));
        }
    }
    match number(args.value()) {
        Some(number) => Ok(Value::Int(number as i64)),
        None => Ok(args.get(1, "default").cloned().unwrap_or(Value::Int(0))),
    }
}

fn filesizeformat(args: &Args) -> Outcome {
    let bytes = number(args.value()).ok_or("not a number")?;
    let binary = args.is_set(1, "binary");
    let (base, infix) = if binary { (1024.0, "i") } else { (1000.0, "") };
    if bytes == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::from(format!("{} Bytes", bytes as i64)));
    }
    let mut unit = base;
    for prefix in ["k", "M", "G", "T", "P", "E", "Z"] {
        let letter = if binary && prefix == "k" { "K" } else { prefix };
        if bytes < unit * base || prefix == "Z" {
            return Ok(Value::from(format!("{:.1} {letter}{infix}B", bytes / unit)));
        }
        unit *= base;
    }
    Ok(Value::Nil)
}

pub(super) fn escaped(text: &str) -> String {
    let pairs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn striptags(args: &Args) -> Outcome {
    let mut out = String::new();
    let mut inside = false;
    for letter in args.value().to_string().chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => inside = false,
            letter if !inside => out.push(letter),
            _ => {}
        }
    }
    Ok(Value::from(out.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn truncate(args: &Args) -> Outcome {
    let text = args.value().to_string();
    let size = |position: usize, name: &str, default: i64| {
        let said = args.get(position, name).and_then(Value::as_int).unwrap_or(default);
        usize::try_from(said).unwrap_or(0)
    };
    let (length, leeway) = (size(1, "length", 255), size(4, "leeway", 5));
    let end = args.get(3, "end").map_or_else(|| "...".to_owned(), Value::to_string);
    if text.chars().count() <= length + leeway {
        return Ok(Value::from(text));
    }
    let cut: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let cut = match cut.rsplit_once(' ') {
        Some((words, _)) if !args.is_set(2, "killwords") => words,
        Some(_) | None => &cut,
    };
    Ok(Value::from(format!("{cut}{end}")))
}

fn wordwrap(args: &Args) -> Outcome {
    let width = args.get(1, "width").and_then(Value::as_int).unwrap_or(79);
    let width = usize::try_from(width).unwrap_or(79).max(1);
    let mut lines: Vec<String> = Vec::new();
    for paragraph in args.value().to_string().lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let gap = usize::from(!line.is_empty());
            if !line.is_empty() && line.chars().count() + gap + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    Ok(Value::from(lines.join("\n")))
}

fn url_encoded(value: &Value) -> String {
    match value {
        Value::Map(map) => {
            let pair = |(key, value): (&Value, &Value)| {
                // A query has plus signs for blanks.
                let part = |value: &Value| url_quote(&value.to_string(), "").replace("%20", "+");
                format!("{}={}", part(key), part(value))
            };
            map.iter().map(pair).collect::<Vec<_>>().join("&")
        }
        other => url_quote(&other.to_string(), "/"),
    }
}

fn url_quote(text: &str, safe: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || safe.as_bytes().contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// One conversion of a `%` format.
struct Conversion {
    left: bool,
    zero: bool,
    sign: bool,
    width: usize,
    precision: Option<usize>,
}

/// Python's `format % values`.
pub(super) fn percent(format: &str, values: &[Value]) -> Result<String, String> {
    let empty = Map::new();
    let named = values.first().and_then(Value::as_map).unwrap_or(&empty);
    let mut next = values.iter();
    let mut out = String::new();
    let mut rest = format;
    let mut used_name = false;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut name = None;
        if let Some((key, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            (name, rest) = (Some(key), after);
            used_name = true;
        }
        let (conversion, kind, after) = conversion(rest).ok_or("incomplete format")?;
        rest = after;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match name {
            Some(name) => named.get(name).ok_or_else(|| format!("'{name}'"))?,
            None => next.next().ok_or("not enough arguments for format string")?,
        };
        out.push_str(&converted(&conversion, kind, value)?);
    }
    if !used_name && next.next().is_some() {
        return Err("not all arguments converted during string formatting".to_owned());
    }
    out.push_str(rest);
    Ok(out)
}

fn conversion(text: &str) -> Option<(Conversion, char, &str)> {
    let flags = text.len() - text.trim_start_matches(['-', '0', '+', ' ', '#']).len();
    let (flags, rest) = text.split_at(flags);
    let (width, rest) = leading_number(rest);
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (precision, rest) = leading_number(rest);
            (Some(precision), rest)
        }
        None => (None, rest),
    };
    let kind = rest.chars().next()?;
    let conversion = Conversion {
        left: flags.contains('-'),
        zero: flags.contains('0'),
        sign: flags.contains('+'),
        width: width.min(65_536),
        precision: precision.map(|precision| precision.min(100)),
    };
    Some((conversion, kind, &rest[kind.len_utf8()..]))
}

fn leading_number(text: &str) -> (usize, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().unwrap_or(0), &text[end..])
}

fn converted(conversion: &Conversion, kind: char, value: &Value) -> Result<String, String> {
    let needs_number = || format!("%{kind} format: a real number is required, not {}", value.type_name());
    let whole =
        || number(value).filter(|_| value.as_str().is_none()).map(|n| n as i64).ok_or_else(needs_number);
    let real = || number(value).filter(|_| value.as_str().is_none()).ok_or_else(needs_number);
    let cut = |text: String| match conversion.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text,
    };
    let text = match kind {
        's' => return Ok(aligned(conversion, cut(value.to_string()))),
        'r' | 'a' => return Ok(aligned(conversion, cut(value.repr()))),
        'c' => return Ok(aligned(conversion, value.to_string())),
        'd' | 'i' | 'u' => whole()?.to_string(),
        'x' => format!("{:x}", whole()?),
        'X' => format!("{:X}", whole()?),
        'o' => format!("{:o}", whole()?),
        'f' | 'F' => format!("{:.*}", conversion.precision.unwrap_or(6), real()?),
        'e' | 'g' | 'G' | 'E' => float_repr(real()?),
        other => return Err(format!("unsupported format character '{other}'")),
    };
    let text = if conversion.sign && !text.starts_with('-') { format!("+{text}") } else { text };
    if conversion.zero && !conversion.left {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        let width = conversion.width.saturating_sub(sign.len());
        return Ok(format!("{sign}{}", padded(digits, "rjust", width, '0')));
    }
    Ok(aligned(conversion, text))
}

fn aligned(conversion: &Conversion, text: String) -> String {
    padded(&text, if conversion.left { "ljust" } else { "rjust" }, conversion.width, ' ')
}
