//! Target matching against the answers of Salt's own matchers.
//!
//! `targets/answers.json` was written by `targets/oracle.py`, which calls the matcher functions of an installed Salt
//! (3006.28, 3007.15 and 3008.3 give the same answers). Where Salt's minion would raise, and so drop the publish, an
//! error or "no" is right here.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

use proto::Value;
use proto::target::{MinionFacts, TargetType, matches};

/// Targets that this minion refuses although Salt answers "no", or answers the rest of the sentence.
const REFUSED: [&str; 6] = ["N@", "R@", "T@", "M@", "range", "nodegroup"];

#[test]
fn gives_salts_answer_to_every_target() {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("targets/answers.json")).unwrap();
    let facts: Vec<[Value; 4]> = fixture["facts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|facts| ["id", "grains", "pillar", "data"].map(|part| value(&facts[part])))
        .collect();
    let mut wrong = Vec::new();
    for case in fixture["cases"].as_array().unwrap() {
        let (tgt_type, tgt) = (TargetType::from(case[0].as_str().unwrap()), value(&case[1]));
        for ([id, grains, pillar, data], answer) in facts.iter().zip(case[3].as_array().unwrap()) {
            let facts = MinionFacts { id: id.as_str().unwrap(), grains, pillar, data };
            let ours = matches(&tgt, &tgt_type, &facts, case[2].as_str().unwrap());
            let refused = tgt.as_str().is_some_and(|tgt| REFUSED.iter().any(|word| tgt.contains(word)));
            let right = match answer.as_bool() {
                Some(answer) => ours == Ok(answer) || (refused && ours.is_err()),
                None => ours != Ok(true),
            };
            if !right {
                wrong.push(format!("{case} for {id:?}: {ours:?}, Salt says {answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A value of the fixture, where a map is `{"map": [[key, value], ..]}`.
fn value(json: &serde_json::Value) -> Value {
    if let Some(pairs) = json.get("map") {
        let pair = |pair: &serde_json::Value| (value(&pair[0]), value(&pair[1]));
        return Value::Map(pairs.as_array().unwrap().iter().map(pair).collect());
    }
    match json.as_array() {
        Some(items) => Value::List(items.iter().map(value).collect()),
        None => serde_json::from_value(json.clone()).unwrap(),
    }
}
