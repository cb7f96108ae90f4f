//! String functions.

use super::{Builtin, first, int, int_of, long_text, nvarchar_4000, same_text, text_of};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::plan::Bound;
use crate::engine::value::{convert, text};
use crate::types::{Datum, Length, SqlType, utf16};
use std::sync::Arc;

pub const LIST: &[Builtin] = &[
    Builtin::new("LEN", (1, 1), int, len),
    Builtin::new("DATALENGTH", (1, 1), int, data_length),
    Builtin::new("UPPER", (1, 1), same_text, |_, a| map(&a[0], |s| s.chars().map(upper).collect())),
    Builtin::new("LOWER", (1, 1), same_text, |_, a| map(&a[0], |s| s.chars().map(lower).collect())),
    Builtin::new("LTRIM", (1, 1), same_text, |_, a| map(&a[0], |s| s.trim_start_matches(' ').to_owned())),
    Builtin::new("RTRIM", (1, 1), same_text, |_, a| map(&a[0], |s| s.trim_end_matches(' ').to_owned())),
    Builtin::new("TRIM", (1, 1), same_text, |_, a| map(&a[0], |s| s.trim_matches(' ').to_owned())),
    Builtin::new("REVERSE", (1, 1), same_text, |_, a| map(&a[0], |s| s.chars().rev().collect())),
    Builtin::new("LEFT", (2, 2), same_text, |_, a| side(a, Side::Left)),
    Builtin::new("RIGHT", (2, 2), same_text, |_, a| side(a, Side::Right)),
    Builtin::new("SUBSTRING", (3, 3), substring_type, substring),
    Builtin::new("CHARINDEX", (2, 3), int, char_index),
    Builtin::new("PATINDEX", (2, 2), int, pat_index),
    Builtin::new("REPLACE", (3, 3), long_text, replace),
    Builtin::new("REPLICATE", (2, 2), long_text, replicate),
    Builtin::new("SPACE", (1, 1), spaces_type, space),
    Builtin::new("STUFF", (4, 4), long_text, stuff),
    Builtin::new("CONCAT", (2, 254), concat_type, concat),
    Builtin::new("CONCAT_WS", (3, 254), nvarchar_4000, concat_ws),
    Builtin::new("QUOTENAME", (1, 2), quotename_type, quotename),
    Builtin::new("ASCII", (1, 1), int, ascii),
    Builtin::new("UNICODE", (1, 1), int, unicode),
    Builtin::new("CHAR", (1, 1), |_| Ok(SqlType::Char(1)), char_of),
    Builtin::new("NCHAR", (1, 1), |_| Ok(SqlType::NChar(1)), nchar),
    Builtin::new("STR", (1, 3), |_| Ok(SqlType::VarChar(Length::Of(8000))), str_of),
    Builtin::new("HASHBYTES", (2, 2), |_| Ok(SqlType::VarBinary(Length::Of(8000))), hash_bytes),
    Builtin::new("CHECKSUM", (1, 254), int, checksum),
    Builtin::new("NULLIF", (2, 2), first, |_, a| Ok(a[0].clone())),
    Builtin::new("ISNULL", (2, 2), first, |_, a| Ok(a[0].clone())),
    Builtin::new("COALESCE", (2, 254), first, |_, a| Ok(a[0].clone())),
];

/// One letter for one: ß has no capital of its own length.
fn upper(c: char) -> char {
    let mut large = c.to_uppercase();
    match (large.next(), large.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn lower(c: char) -> char {
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn map(value: &Datum, f: impl Fn(&str) -> String) -> Result<Datum> {
    Ok(text_of(value)?.map_or(Datum::Null, |s| Datum::text(f(&s))))
}

fn len(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    if let Datum::Binary(bytes) = &args[0] {
        return Ok(Datum::Int(bytes.len() as i32));
    }
    Ok(text_of(&args[0])?.map_or(Datum::Null, |s| Datum::Int(text::units(s.trim_end_matches(' ')) as i32)))
}

fn data_length(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let bytes = match &args[0] {
        Datum::Null => return Ok(Datum::Null),
        Datum::VarChar(s) => text::units(s),
        Datum::NVarChar(s) | Datum::Xml(s) => text::units(s) * 2,
        Datum::Binary(b) => b.len(),
        Datum::Bit(_) | Datum::TinyInt(_) => 1,
        Datum::SmallInt(_) => 2,
        Datum::Int(_) | Datum::Real(_) | Datum::SmallMoney(_) | Datum::SmallDateTime(_) => 4,
        Datum::BigInt(_) | Datum::Float(_) | Datum::Money(_) | Datum::DateTime(_) | Datum::RowVersion(_) => 8,
        Datum::Decimal(d) => match d.precision {
            0..=9 => 5,
            10..=19 => 9,
            20..=28 => 13,
            _ => 17,
        },
        Datum::Date(_) => 3,
        Datum::Time(_) => 5,
        Datum::DateTime2(_) => 8,
        Datum::DateTimeOffset(_) => 10,
        Datum::Guid(_) => 16,
    };
    Ok(Datum::Int(bytes as i32))
}

enum Side {
    Left,
    Right,
}

fn side(args: &[Datum], side: Side) -> Result<Datum> {
    let (Some(s), Some(n)) = (text_of(&args[0])?, int_of(&args[1])?) else { return Ok(Datum::Null) };
    let n = usize::try_from(n).map_err(|_| match side {
        Side::Left => message::invalid_length(),
        Side::Right => message::invalid_right(),
    })?;
    Ok(Datum::text(match side {
        Side::Left => text::first_units(&s, n).to_owned(),
        Side::Right => {
            let skip = text::units(&s).saturating_sub(n);
            s[text::first_units(&s, skip).len()..].to_owned()
        }
    }))
}

fn substring_type(args: &[Bound]) -> Result<SqlType> {
    match args[0].ty {
        t if t.is_binary() => Ok(SqlType::VarBinary(Length::Of(8000))),
        t if t.is_text() || args[0].is_null_literal() => same_text(args),
        t => Err(message::invalid_argument(t.name(), 1, "substring")),
    }
}

fn substring(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(start), Some(count)) = (int_of(&args[1])?, int_of(&args[2])?) else { return Ok(Datum::Null) };
    if count < 0 {
        return Err(message::invalid_length());
    }
    let end = start.saturating_add(count).saturating_sub(1).max(0) as usize;
    let skip = start.saturating_sub(1).max(0) as usize;
    if let Datum::Binary(bytes) = &args[0] {
        let end = end.min(bytes.len());
        return Ok(Datum::Binary(Arc::from(&bytes[skip.min(end)..end])));
    }
    let Some(s) = text_of(&args[0])? else { return Ok(Datum::Null) };
    let upto = text::first_units(&s, end);
    let from = text::first_units(upto, skip).len();
    Ok(Datum::text(&upto[from..]))
}

fn folded(s: &str) -> Vec<String> {
    s.chars().map(|c| text::fold_name(&c.to_string())).collect()
}

fn find_from(needle: &str, hay: &str, from: usize) -> usize {
    let (needle, hay) = (folded(needle), folded(hay));
    if needle.is_empty() {
        return 0;
    }
    (from..(hay.len() + 1).saturating_sub(needle.len()))
        .find(|at| hay[*at..at + needle.len()] == needle[..])
        .map_or(0, |at| at + 1)
}

fn char_index(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(needle), Some(hay)) = (text_of(&args[0])?, text_of(&args[1])?) else { return Ok(Datum::Null) };
    let from = match args.get(2) {
        Some(start) => int_of(start)?.unwrap_or(1).max(1) as usize - 1,
        None => 0,
    };
    Ok(Datum::Int(find_from(&needle, &hay, from) as i32))
}

fn pat_index(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(pattern), Some(hay)) = (text_of(&args[0])?, text_of(&args[1])?) else { return Ok(Datum::Null) };
    let floating = pattern.starts_with('%');
    let tail = pattern.strip_prefix('%').unwrap_or(&pattern);
    let starts: Vec<usize> = hay.char_indices().map(|(at, _)| at).collect();
    let found = starts
        .iter()
        .take(if floating { usize::MAX } else { 1 })
        .position(|at| text::like(&hay[*at..], tail, None));
    Ok(Datum::Int(found.map_or(0, |at| at as i32 + 1)))
}

fn replace(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(s), Some(from), Some(to)) = (text_of(&args[0])?, text_of(&args[1])?, text_of(&args[2])?) else {
        return Ok(Datum::Null);
    };
    let chars: Vec<char> = s.chars().collect();
    let (hay, needle) = (folded(&s), folded(&from));
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        if !needle.is_empty() && hay[at..].starts_with(&needle) {
            out.push_str(&to);
            at += needle.len();
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    Ok(Datum::text(out))
}

fn replicate(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(s), Some(n)) = (text_of(&args[0])?, int_of(&args[1])?) else { return Ok(Datum::Null) };
    // Without a max type the result ends at 8000 bytes.
    Ok(if n < 0 { Datum::Null } else { Datum::text(s.repeat((n as usize).min(8000 / s.len().max(1) + 1))) })
}

fn spaces_type(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::VarChar(Length::Of(8000)))
}

fn space(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    Ok(match int_of(&args[0])? {
        Some(n) if n >= 0 => Datum::text(" ".repeat((n as usize).min(8000))),
        _ => Datum::Null,
    })
}

fn stuff(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(s), Some(start), Some(count)) = (text_of(&args[0])?, int_of(&args[1])?, int_of(&args[2])?)
    else {
        return Ok(Datum::Null);
    };
    let units = text::units(&s) as i64;
    if start < 1 || start > units || count < 0 {
        return Ok(Datum::Null);
    }
    let before = text::first_units(&s, start as usize - 1);
    let upto = text::first_units(&s, (start - 1).saturating_add(count) as usize);
    let insert = text_of(&args[3])?.unwrap_or_default();
    Ok(Datum::text(format!("{before}{insert}{}", &s[upto.len()..])))
}

fn concat_type(args: &[Bound]) -> Result<SqlType> {
    let unicode = args.iter().any(|a| a.ty.is_unicode());
    let max =
        args.iter().any(|a| matches!(a.ty, SqlType::NVarChar(Length::Max) | SqlType::VarChar(Length::Max)));
    Ok(match (unicode, max) {
        (true, true) => SqlType::NVarChar(Length::Max),
        (true, false) => SqlType::NVarChar(Length::Of(4000)),
        (false, true) => SqlType::VarChar(Length::Max),
        (false, false) => SqlType::VarChar(Length::Of(8000)),
    })
}

fn concat(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let mut out = String::new();
    for arg in args {
        out.push_str(&text_of(arg)?.unwrap_or_default());
    }
    Ok(Datum::text(out))
}

fn concat_ws(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let separator = text_of(&args[0])?.unwrap_or_default();
    let mut parts = Vec::new();
    for arg in &args[1..] {
        parts.extend(text_of(arg)?);
    }
    Ok(Datum::text(parts.join(&separator)))
}

fn quotename_type(_: &[Bound]) -> Result<SqlType> {
    Ok(SqlType::NVarChar(Length::Of(258)))
}

fn quotename(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(name) = text_of(&args[0])?.filter(|n| text::units(n) <= 128) else { return Ok(Datum::Null) };
    let quote = match args.get(1) {
        Some(quote) => text_of(quote)?.unwrap_or_default(),
        None => "[".to_owned(),
    };
    let (open, close) = match quote.as_str() {
        "[" | "]" => ('[', ']'),
        "'" => ('\'', '\''),
        "\"" => ('"', '"'),
        "(" | ")" => ('(', ')'),
        "<" | ">" => ('<', '>'),
        "{" | "}" => ('{', '}'),
        "`" => ('`', '`'),
        _ => return Ok(Datum::Null),
    };
    Ok(Datum::text(format!("{open}{}{close}", name.replace(close, &format!("{close}{close}")))))
}

fn ascii(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let first = text_of(&args[0])?.and_then(|s| text::code_page_bytes(&s).first().copied());
    Ok(first.map_or(Datum::Null, |b| Datum::Int(i32::from(b))))
}

fn unicode(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let first = text_of(&args[0])?.and_then(|s| utf16::units(&s).next());
    Ok(first.map_or(Datum::Null, |u| Datum::Int(i32::from(u))))
}

fn char_of(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    Ok(match int_of(&args[0])?.and_then(|n| u8::try_from(n).ok()) {
        Some(byte) => {
            let bytes = [byte];
            Datum::VarChar(Arc::from(
                encoding_rs::WINDOWS_1252.decode_without_bom_handling(&bytes).0.as_ref(),
            ))
        }
        None => Datum::Null,
    })
}

fn nchar(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let unit = int_of(&args[0])?.and_then(|n| u16::try_from(n).ok());
    Ok(unit.map_or(Datum::Null, |unit| Datum::text(utf16::text(std::iter::once(unit)))))
}

fn str_of(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let number = convert::convert(&args[0], SqlType::Float, 0, convert::Fit::Cut)?;
    let Some(f) = convert::to_float(&number) else { return Ok(Datum::Null) };
    let length = args.get(1).map_or(Ok(Some(10)), int_of)?.unwrap_or(10).clamp(0, 8000) as usize;
    let decimals = args.get(2).map_or(Ok(Some(0)), int_of)?.unwrap_or(0).clamp(0, 16) as usize;
    let text = format!("{f:>length$.decimals$}");
    Ok(Datum::text(if text.len() > length { "*".repeat(length) } else { text }))
}

fn hash_bytes(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    use sha1::Digest;
    let Some(algorithm) = text_of(&args[0])? else { return Ok(Datum::Null) };
    if args[1].is_null() {
        return Ok(Datum::Null);
    }
    let bytes = convert::to_bytes(&args[1], 0)?;
    Ok(match algorithm.to_ascii_uppercase().as_str() {
        "SHA" | "SHA1" => Datum::Binary(Arc::from(sha1::Sha1::digest(&bytes).as_slice())),
        "SHA2_256" => Datum::Binary(Arc::from(sha2::Sha256::digest(&bytes).as_slice())),
        "SHA2_512" => Datum::Binary(Arc::from(sha2::Sha512::digest(&bytes).as_slice())),
        "MD2" | "MD4" | "MD5" => return Err(message::not_supported(algorithm)),
        _ => Datum::Null,
    })
}

/// Its values are the server's own affair ("CHECKSUM"): an int that differs for most changes.
fn checksum(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let mut key = Vec::new();
    for arg in args {
        crate::engine::value::compare::append_key(arg, false, &mut key);
    }
    let sum = key.iter().fold(0u32, |sum, byte| sum.rotate_left(4) ^ u32::from(*byte));
    Ok(Datum::Int(sum as i32))
}
