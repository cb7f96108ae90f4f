//! The same trees through Salt's own salt-call and through this agent, key by key.
//!
//! `tests/differential/<folder>/<file>.yaml` holds the cases, `<file>.<series>.json` beside it what an unmodified
//! salt-call made of them (`tests/differential/oracle.py` says how). Compared are what show_highstate or show_sls,
//! show_low_sls, a run with test=True, a run, what then lies on the disk, and a second run give; times, process ids
//! and run numbers apart (the order of a run is compared in the `states` package). What differs is listed with its reason in `tests/differential/differences.yaml`, and must differ.
//!
//! `DIFFERENTIAL=live` asks the installed Salt again instead of reading what was recorded; without it, a few cases are.
//! `DIFFERENTIAL_ONLY=text` runs the cases whose title holds the text, and shows every difference.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]
#![expect(clippy::print_stdout, reason = "the share of equal cases is the result")]

#[path = "differential/answer.rs"]
mod answer;
#[path = "differential/oracle.rs"]
mod oracle;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use states::{Map, Value, json, yaml};

use answer::Agent;
use tests::binaries;

/// One case with its title and what Salt answered.
struct Case {
    title: String,
    case: Value,
    salts: Value,
}

#[test]
fn every_case_gives_what_salt_3008_gives() {
    compare("3008");
}

#[test]
fn every_case_gives_what_salt_3006_gives() {
    compare("3006");
}

/// The program itself, `agent call --local --out=json`, prints what salt-call prints: a few cases of every file.
#[test]
fn the_program_prints_what_salt_prints() {
    let program = binaries::binary("agent").unwrap();
    let known = differences("3008");
    let agent = Agent::new("3008");
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for Case { title, case, salts } in cases("3008") {
        let file = title.split(':').next().unwrap_or_default().to_owned();
        let tries = tried.entry(file).or_default();
        // Predictions before the run and what is set for the whole process would change what a run finds.
        let Some(expected) = salts.get("ret").filter(|_| *tries < 3 && !known.contains_key(&title)) else {
            continue;
        };
        if expected.get("__exception__").is_some() || case.to_string().contains("environ.") {
            continue;
        }
        *tries += 1;
        let ours = agent.of_the_program(&program, &case);
        if comparable(&ours) != comparable(expected) {
            failures.push(format!("{title}:\n{}", parts_that_differ(&ours, expected)));
        }
    }
    println!(
        "agent call --local: {} of {} cases equal",
        tried.values().sum::<usize>() - failures.len(),
        tried.values().sum::<usize>()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The recorded answers are what the installed Salt gives: a sample in every run, all of them when asked.
#[test]
fn recorded_answers_are_what_salt_gives() {
    let all = std::env::var("DIFFERENTIAL").is_ok_and(|mode| mode == "live");
    for (series, python) in oracle::installed() {
        let cases: Vec<Case> = cases(series)
            .into_iter()
            .enumerate()
            .filter(|(at, _)| all || at % 40 == 0)
            .map(|(_, case)| case)
            .collect();
        let live = oracle::ask(&python, &cases.iter().map(|case| case.case.clone()).collect::<Vec<_>>());
        // Cases that were run together have fewer parts.
        let part_of = |live: &Value, salts: &Value| -> Value {
            let parts = live
                .as_map()
                .into_iter()
                .flatten()
                .filter(|(part, _)| salts.get(&part.to_string()).is_some());
            Value::Map(parts.map(|(part, value)| (part.clone(), value.clone())).collect())
        };
        let live: Vec<Value> =
            live.iter().zip(&cases).map(|(live, case)| part_of(live, &case.salts)).collect();
        let wrong: Vec<String> = cases
            .iter()
            .zip(&live)
            .filter(|(case, live)| comparable(&case.salts) != comparable(live))
            .map(|(case, live)| format!("{}: {}", case.title, parts_that_differ(live, &case.salts)))
            .collect();
        println!(
            "Salt {series}: {} of {} recorded answers are what it gives",
            live.len() - wrong.len(),
            live.len()
        );
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// The table of the docs is what `differences.yaml` lists; `UPDATE=1` writes it anew.
#[test]
fn the_table_of_differences_is_current() {
    let listed = yaml::load(&fs::read_to_string(folder().join("differences.yaml")).unwrap()).unwrap();
    let mut table = String::from("| why | where | which series |\n|---|---|---|\n");
    for entry in listed.as_list().unwrap() {
        let cases: Vec<String> =
            entry.get("cases").and_then(Value::as_list).unwrap().iter().map(Value::to_string).collect();
        let series = entry.get("series").map_or_else(|| "all".to_owned(), Value::to_string);
        table.push_str(&format!("| {} | {} | {series} |\n", entry.get("reason").unwrap(), cases.join("; ")));
    }
    let path = binaries::workspace_root().join("states/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let start =
        readme.find("<!-- differences:").and_then(|at| Some(at + readme[at..].find('\n')? + 1)).unwrap();
    let stop = start + readme[start..].find("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{}{table}{}", &readme[..start], &readme[stop..])).unwrap();
        return;
    }
    assert_eq!(&readme[start..stop], table, "run with UPDATE=1 to write the table anew");
}

fn compare(series: &str) {
    let only = std::env::var("DIFFERENTIAL_ONLY").ok();
    let known = differences(series);
    let agent = Agent::new(series);
    let (mut equal, mut total) = (0, 0);
    let mut failures = Vec::new();
    for Case { title, case, salts } in cases(series) {
        if only.as_ref().is_some_and(|only| !title.contains(only.as_str())) {
            continue;
        }
        let ours = agent.answer(&case, &salts);
        let differs = comparable(&ours) != comparable(&salts);
        total += 1;
        equal += usize::from(!differs);
        let listed = known.contains_key(&title);
        match (differs, listed) {
            (true, false) => failures.push(format!("{title}:\n{}", parts_that_differ(&ours, &salts))),
            (false, true) => failures.push(format!("{title}: listed as different, but equal")),
            (true, true) | (false, false) => {}
        }
        if only.is_some() && differs {
            println!("{title}:\n{}", parts_that_differ(&ours, &salts));
        }
    }
    println!("Salt {series}: {equal} of {total} cases equal");
    assert!(failures.is_empty(), "{} of {total}:\n{}", failures.len(), failures.join("\n\n"));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential")
}

/// Every case that has an answer of this series.
fn cases(series: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut folders: Vec<PathBuf> = entries(&folder()).into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    for file in folders.iter().flat_map(|folder| entries(folder)) {
        let Some(stem) = file.to_str().and_then(|path| path.strip_suffix(".yaml")) else { continue };
        let salts: Value =
            serde_json::from_str(&fs::read_to_string(format!("{stem}.{series}.json")).unwrap()).unwrap();
        let listed = yaml::load(&fs::read_to_string(&file).unwrap()).unwrap();
        let feature =
            stem.rsplit('/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/");
        for case in listed.as_list().unwrap() {
            let name = case.get("name").unwrap().to_string();
            let salts = salts.get(&name).unwrap_or_else(|| panic!("{feature} {name} has no answer")).clone();
            cases.push(Case { title: format!("{feature}: {name}"), case: case.clone(), salts });
        }
    }
    cases
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The titles that are known to differ in a series, with the reason.
fn differences(series: &str) -> BTreeMap<String, String> {
    let listed = yaml::load(&fs::read_to_string(folder().join("differences.yaml")).unwrap()).unwrap();
    let mut known = BTreeMap::new();
    for entry in listed.as_list().unwrap() {
        let applies = entry.get("series").is_none_or(|only| only.to_string() == series);
        for title in entry.get("cases").and_then(Value::as_list).unwrap().iter().filter(|_| applies) {
            known.insert(title.to_string(), entry.get("reason").unwrap().to_string());
        }
    }
    known
}

/// Keys as JSON writes them, and names in the order of a set sorted.
#[expect(clippy::wildcard_enum_match_arm, reason = "only collections and texts need a change")]
fn comparable(value: &Value) -> Value {
    match value {
        Value::Map(map) => {
            let pairs = map.iter().map(|(key, value)| (key.to_string(), comparable(value)));
            // Cases that Salt ran together have no run numbers.
            Value::Map(pairs.filter(|(key, _)| key != "__run_num__").collect())
        }
        Value::List(items) => Value::List(items.iter().map(comparable).collect()),
        Value::Str(text) => {
            const FAILED: &str = "One or more requisite failed: ";
            const EXCEPTION: &str = "An exception occurred in this state: ";
            if text.starts_with(EXCEPTION) {
                // What follows is a traceback of Salt's.
                return EXCEPTION.into();
            }
            if text.starts_with("#### ") {
                // Salt tells of folders and files in the order of a set.
                let mut parts: Vec<&str> = text.split("#### ").map(str::trim).collect();
                parts.sort_unstable();
                return parts.join("\n").into();
            }
            let Some(names) = text.strip_prefix(FAILED) else { return value.clone() };
            let mut names: Vec<&str> = names.split(", ").collect();
            names.sort_unstable();
            format!("{FAILED}{}", names.join(", ")).into()
        }
        other => other.clone(),
    }
}

/// The innermost values that differ, with their paths.
fn parts_that_differ(ours: &Value, salts: &Value) -> String {
    let mut parts = Vec::new();
    walk("", &comparable(ours), &comparable(salts), &mut parts);
    parts.join("\n")
}

fn walk(at: &str, ours: &Value, salts: &Value, parts: &mut Vec<String>) {
    match (ours, salts) {
        (Value::Map(one), Value::Map(other)) => {
            let mut keys: Vec<&Value> = one.keys().chain(other.keys()).collect();
            keys.sort_by_key(|key| key.to_string());
            keys.dedup();
            for key in keys {
                let at = format!("{at}/{key}");
                match (one.get_value(key), other.get_value(key)) {
                    (Some(ours), Some(salts)) => walk(&at, ours, salts, parts),
                    (ours, salts) => {
                        parts.push(format!("  {at}\n    ours: {}\n    salt: {}", side(ours), side(salts)))
                    }
                }
            }
        }
        (ours, salts) if ours == salts => {}
        (ours, salts) => {
            parts.push(format!("  {at}\n    ours: {}\n    salt: {}", side(Some(ours)), side(Some(salts))))
        }
    }
}

fn side(value: Option<&Value>) -> String {
    let layout = json::Layout { indent: None, sort_keys: true, ascii: false };
    value.map_or_else(|| "nothing".to_owned(), |value| json::dump(value, &layout))
}

/// A map of text keys.
fn map<const N: usize>(pairs: [(&str, Value); N]) -> Map {
    pairs.into_iter().collect()
}
