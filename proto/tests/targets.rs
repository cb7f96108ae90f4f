//! Target matching against the answers of Salt's own matchers.
//!
//! `targets/answers.json` was written by `targets/oracle.py`, which calls the matcher functions of an installed Salt
//! (3006.28, 3007.15 and 3008.3 give the same answers). Where Salt's minion would raise, and so drop the publish, an
//! error or "no" is right here. Where Salt is installed, a round of random facts and expressions is asked of it as well;
//! `TARGETS_ROUND=200000 TARGETS_SEED=7 cargo test -p proto --test targets random` makes it a long one over other facts.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

use std::{io::Write, path::PathBuf, process::Command};

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
            wrong.extend(difference(&tgt, &tgt_type, &facts, case[2].as_str().unwrap(), answer));
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn gives_salts_answer_to_random_targets() {
    let Some(python) = installed_salt() else { return skipped() };
    let count = std::env::var("TARGETS_ROUND").ok().and_then(|count| count.parse().ok()).unwrap_or(3000_u32);
    let seed = std::env::var("TARGETS_SEED").unwrap_or_else(|_| "2".to_owned());
    let oracle = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/targets/oracle.py");
    let output = Command::new(python).arg(oracle).args(["live", &seed, &count.to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let round: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let facts: Vec<[Value; 4]> = round["facts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|facts| ["id", "grains", "pillar", "data"].map(|part| value(&facts[part])))
        .collect();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for case in round["cases"].as_array().unwrap() {
        let (tgt_type, tgt) = (TargetType::from(case[0].as_str().unwrap()), value(&case[1]));
        for answer in case[3].as_array().unwrap() {
            let at = usize::try_from(answer[0].as_u64().unwrap()).unwrap();
            let [id, grains, pillar, data] = &facts[at];
            let minion = MinionFacts { id: id.as_str().unwrap(), grains, pillar, data };
            asked += 1;
            let different = difference(&tgt, &tgt_type, &minion, case[2].as_str().unwrap(), &answer[1]);
            wrong.extend(different.map(|text| format!("{text}\n    facts {}", round["facts"][at])));
        }
    }
    let shown: Vec<&String> = wrong.iter().take(10).collect();
    assert!(
        wrong.is_empty(),
        "{} of {asked} answers differ with TARGETS_SEED={seed}:\n{shown:#?}",
        wrong.len()
    );
}

/// What is wrong about our answer, when something is.
fn difference(
    tgt: &Value,
    tgt_type: &TargetType,
    facts: &MinionFacts<'_>,
    delimiter: &str,
    answer: &serde_json::Value,
) -> Option<String> {
    let ours = matches(tgt, tgt_type, facts, delimiter);
    let refused = tgt.as_str().is_some_and(|tgt| REFUSED.iter().any(|word| tgt.contains(word)));
    let right = match answer.as_bool() {
        Some(answer) => ours == Ok(answer) || (refused && ours.is_err()),
        None => ours != Ok(true),
    };
    let shown =
        || format!("{tgt_type} {tgt:?} ({delimiter}) for {:?}: {ours:?}, Salt says {answer}", facts.id);
    (!right).then(shown)
}

/// The Python of an installed Salt.
fn installed_salt() -> Option<PathBuf> {
    if std::env::var_os("TESTS_WITHOUT_SALT").is_some() {
        return None;
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let python = cache.join("salt-peers/salt-3008.3/bin/python");
    let whole = cache.join("salt-peers/salt-3008.3/bin/salt-minion");
    (python.exists() && whole.exists()).then_some(python)
}

/// Says so past the test runner's capture; in CI, where Salt is installed, that is a failure.
fn skipped() {
    std::io::stderr().write_all(b"SKIPPED random targets: Salt 3008.3 is not installed here\n").unwrap();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "random targets must be asked in CI");
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
