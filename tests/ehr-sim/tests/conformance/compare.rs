//! Whether what a client printed is what a script expects, past the ways in which clients print the same value.

use serde_json::Value;

use super::script::{Batch, Expected, ResultSet};

/// What differs, or nothing.
pub fn difference(batch: &Batch, answer: &Value) -> Option<String> {
    match &batch.expected {
        Expected::Error { number, text } => error_difference(*number, text.as_deref(), answer),
        Expected::Results(expected) => {
            let Some(results) = answer["results"].as_array() else {
                return Some(format!("answered {answer}"));
            };
            let got: Vec<ResultSet> = results.iter().map(result_set).collect();
            let same = expected.len() == got.len() && expected.iter().zip(&got).all(|(a, b)| same_set(a, b));
            (!same).then(|| format!("expected {expected:?}\n     got      {got:?}"))
        }
    }
}

fn error_difference(number: i64, text: Option<&str>, answer: &Value) -> Option<String> {
    let same_number = answer["error"][0].as_i64() == Some(number);
    let same_text = text.is_none_or(|text| answer["error"][1].as_str().is_some_and(|got| got.contains(text)));
    (!same_number || !same_text).then(|| format!("expected error {number} {text:?}\n     got      {answer}"))
}

fn result_set(value: &Value) -> ResultSet {
    let texts = |value: &Value| {
        value
            .as_array()
            .map(|cells| cells.iter().map(|c| c.as_str().unwrap_or_default().trim_end().to_owned()).collect())
    };
    ResultSet {
        columns: texts(&value["columns"]).unwrap_or_default(),
        rows: value["rows"]
            .as_array()
            .map(|rows| rows.iter().filter_map(texts).collect())
            .unwrap_or_default(),
    }
}

fn same_set(expected: &ResultSet, got: &ResultSet) -> bool {
    expected.columns == got.columns
        && expected.rows.len() == got.rows.len()
        && expected
            .rows
            .iter()
            .zip(&got.rows)
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(same_value))
}

/// `*` stands for any value. Numbers are the same by value: clients print 1.50, 1.5 and 1.50E0 for one decimal; a
/// moment is the same to the millisecond, which is all that JavaScript keeps, or to the minute where tsql prints no more;
/// tsql prints bytes without 0x.
fn same_value((expected, got): (&String, &String)) -> bool {
    if expected == "*" || expected == got {
        return true;
    }
    if let (Ok(expected), Ok(got)) = (expected.parse::<f64>(), got.parse::<f64>()) {
        return (expected - got).abs() <= expected.abs() * 1e-12;
    }
    if expected.strip_prefix("0x").is_some_and(|bytes| bytes.eq_ignore_ascii_case(got)) {
        return true;
    }
    let Some(expected_moment) = moment(expected) else { return false };
    if got.len() == "yyyy-mm-dd hh:mm".len() && got.contains(' ') {
        let minute = if expected.contains('-') { 0..16 } else { 11..16 };
        return got.ends_with(&expected_moment[minute]);
    }
    moment(got).is_some_and(|got| got == expected_moment)
}

/// `yyyy-mm-dd hh:mm:ss.fff` of a date, a time or both, as clients print them.
fn moment(text: &str) -> Option<String> {
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit() || c == '-' || c == ':' || c == '.');
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (date, time),
        None if text.contains(':') => ("1970-01-01", text),
        None => (text, "00:00:00"),
    };
    if date.len() != 10 || !digits(date) || !digits(time) {
        return None;
    }
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let milliseconds: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(format!("{date} {clock}.{milliseconds}"))
}
