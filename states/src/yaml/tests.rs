#![expect(clippy::wildcard_enum_match_arm, reason = "only lists of pairs are of interest")]

use super::*;
use crate::{Map, Value};

/// What Salt's own loader and dumper gave; `tests/oracle/make_yaml.py` says how.
const ORACLE: &str = include_str!("../../tests/oracle/yaml.json");

fn oracle() -> Value {
    serde_json::from_str(ORACLE).unwrap()
}

fn rows(oracle: &Value, part: &str) -> Vec<Vec<Value>> {
    let rows = oracle.get(part).unwrap().as_list().unwrap();
    rows.iter().map(|row| row.as_list().unwrap().to_vec()).collect()
}

fn differs_from_salt(text: &str, expected: &Value) -> Option<String> {
    match (load(text), expected.get("repr"), expected.get("error")) {
        (Ok(value), Some(repr), _) if value.repr() == repr.as_str().unwrap() => None,
        (Err(error), _, Some(problem)) => {
            let line = expected.get("line").and_then(Value::as_int);
            let same_line = line.is_none_or(|line| line == error.line as i64);
            // Salt shows the insides of its parser for an unacceptable key.
            let problem = problem.as_str().unwrap().split(" [").next().unwrap();
            (!error.problem.contains(problem) || !same_line)
                .then(|| format!("{text:?}: {error:?} instead of {}", expected.repr()))
        }
        (ours, _, _) => Some(format!("{text:?}: {ours:?} instead of {}", expected.repr())),
    }
}

#[test]
fn resolves_every_scalar_as_salt_does() {
    let oracle = oracle();
    let differing: Vec<String> = rows(&oracle, "scalars")
        .iter()
        .filter_map(|row| differs_from_salt(&format!("a: {}", row[0]), &row[1]))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn loads_documents_and_refuses_broken_ones_as_salt_does() {
    let oracle = oracle();
    let differing: Vec<String> = rows(&oracle, "documents")
        .iter()
        .filter_map(|row| differs_from_salt(row[0].as_str().unwrap(), &row[1]))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// JSON has no whole numbers as keys; such mappings are stored as pairs.
fn from_pairs(value: &Value) -> Value {
    match value {
        Value::List(items)
            if !items.is_empty()
                && items.iter().all(|item| {
                    item.as_list().is_some_and(|pair| pair.len() == 2 && pair[0].as_int().is_some())
                }) =>
        {
            let pairs = items.iter().filter_map(Value::as_list);
            Value::Map(pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect::<Map>())
        }
        other => other.clone(),
    }
}

#[test]
fn dumps_as_salt_does() {
    let oracle = oracle();
    let mut differing = Vec::new();
    for row in rows(&oracle, "dumps") {
        let value = from_pairs(&row[0]);
        for (style, expected) in [(Style::Block, &row[1]), (Style::Flow, &row[2])] {
            let ours = dump(&value, style);
            if ours != expected.as_str().unwrap() {
                differing.push(format!("{style:?} ours:\n{ours}\nsalt:\n{expected}"));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn refuses_a_text_whose_aliases_expand_without_bound() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(load(&text).unwrap_err().problem.contains("nodes"));
}

#[test]
fn refuses_nesting_without_bound() {
    let text = "[".repeat(100_000);
    assert!(load(&text).is_err());
    let text = "- ".repeat(5_000);
    assert!(load(&text).is_err());
}

#[test]
fn lists_and_quotes_go_on_further_left_than_their_block() {
    let text = "a:\n    b:\n      - c: ['one',\n  it's, # no 'quote\n\n  {d: 'two\n\nlines', e:\n [1]}\n ]\n      - f: \"x\n  y\"\n";
    let expected = load("a: {b: [{c: [one, it's, {d: \"two\\nlines\", e: [1]}]}, {f: x y}]}").unwrap();
    assert_eq!(load(text).unwrap(), expected);
    let broken = load("a:\n    b: [1,\n  2,\n  @x]\n").unwrap_err();
    assert_eq!((broken.line, broken.column), (4, 3));
}

#[test]
fn a_tab_may_stand_between_a_key_and_its_value() {
    assert_eq!(
        load("a:\n  - b:\t1\n  - c:\t\tx\ty\n").unwrap(),
        load("a: [{b: 1}, {c: \"x\\ty\"}]").unwrap()
    );
}
