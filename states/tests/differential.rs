//! Every case of `cases/*.yaml` gives what an unmodified salt-call gave, for each series, key by key.
//!
//! The answers of Salt are beside the cases; `cases/make_oracle.py` says how they were made. What differs on purpose
//! is listed in `DIFFERENCES` with the reason, and must differ.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]
#![expect(clippy::print_stdout, reason = "the share of equal cases is the result")]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use states::{Compiler, Map, Request, RunOptions, Series, Value, compile};

/// Cases that differ, with the reason. A case of one series only starts with it.
const DIFFERENCES: &[(&str, &str)] = &[
    ("compile: duplicate key", "says in which file, and shows the line"),
    ("misc: tab", "says in which file, and shows the line"),
    ("compile: single without a dot", "a list of one text, as all refusals"),
    ("3006 random: random 0", PULLED_IN),
    ("3006 random: random 9", PULLED_IN),
    ("3006 random: random 25", PULLED_IN),
    ("3006 random: random 38", PULLED_IN),
    ("3006 random: random 49", PULLED_IN),
    ("3006 random: random 54", PULLED_IN),
];

/// Salt 3006 does not pull in what `onfail_all` names, and loses count around `prereq` in a tangle; both end in
/// "Recursive requisite found" on states that are not.
const PULLED_IN: &str = "a tangle in which Salt 3006 sees recursion where there is none";

#[test]
fn every_case_gives_what_salt_3008_gives() {
    compare("3008", Series::V3008);
}

#[test]
fn every_case_gives_what_salt_3006_gives() {
    compare("3006", Series::V3006);
}

fn compare(name: &str, series: Series) {
    let mut failures = Vec::new();
    let (mut total, mut equal) = (0, 0);
    for file in case_files() {
        let feature = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let cases = states::yaml::load(&fs::read_to_string(&file).unwrap()).unwrap();
        let oracle = file.with_file_name(format!("{feature}.{name}.json"));
        let oracle: Value = serde_json::from_str(&fs::read_to_string(oracle).unwrap()).unwrap();
        for case in cases.as_list().unwrap() {
            let title = format!("{name} {feature}: {}", text(case, "name"));
            let expected = oracle.get(&text(case, "name")).unwrap_or_else(|| panic!("{title} has no oracle"));
            if expected.get("ret").is_some_and(|ret| ret.get("__exception__").is_some()) {
                // Salt itself broke off, with a Python exception.
                continue;
            }
            let differs = difference(case, expected, series);
            let known = DIFFERENCES.iter().any(|(known, _)| title.ends_with(known));
            total += 1;
            equal += usize::from(differs.is_none());
            match (differs, known) {
                (None, false) | (Some(_), true) => {}
                (None, true) => failures.push(format!("{title}: listed as different, but equal")),
                (Some(differs), false) => failures.push(format!("{title}: {differs}")),
            }
        }
    }
    println!("Salt {name}: {equal} of {total} cases equal");
    assert!(failures.is_empty(), "{} of {total}:\n{}", failures.len(), failures.join("\n\n"));
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    files.sort();
    files
}

fn text(case: &Value, key: &str) -> String {
    case.get(key).map(Value::to_string).unwrap_or_default()
}

fn difference(case: &Value, expected: &Value, series: Series) -> Option<String> {
    let (high, ret) = answer(case, series);
    let pairs = [("high", Some(high)), ("ret", Some(ret))];
    for (part, ours) in pairs {
        let (Some(ours), Some(salts)) = (ours, expected.get(part)) else { continue };
        let (ours, salts) = (comparable(&ours), comparable(salts));
        if ours != salts {
            return Some(format!("{part}\n{}", parts_that_differ(&ours, &salts)));
        }
    }
    None
}

/// The keys whose values differ, with both values; everything when there are no keys.
fn parts_that_differ(ours: &Value, salts: &Value) -> String {
    let (Value::Map(one), Value::Map(other)) = (ours, salts) else {
        return format!("  ours: {}\n  salt: {}", pretty(ours), pretty(salts));
    };
    let mut keys: Vec<&Value> = one.keys().chain(other.keys()).collect();
    keys.sort_by_key(|key| key.to_string());
    keys.dedup();
    let differing = keys.into_iter().filter(|key| one.get_value(key) != other.get_value(key));
    let shown = differing.map(|key| {
        let side = |map: &Map| map.get_value(key).map_or_else(|| "nothing".to_owned(), Value::repr);
        format!("  {key}\n    ours: {}\n    salt: {}", side(one), side(other))
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn pretty(value: &Value) -> String {
    let layout = states::json::Layout { indent: Some(1), sort_keys: true, ascii: false };
    states::json::dump(value, &layout)
}

/// Our answer to a case: the high data, and what the run returned.
fn answer(case: &Value, series: Series) -> (Value, Value) {
    let files: BTreeMap<String, String> = case
        .get("files")
        .and_then(Value::as_map)
        .into_iter()
        .flatten()
        .map(|(path, text)| {
            let path = path.to_string();
            (if path.contains('.') { path } else { format!("{path}.sls") }, text.to_string())
        })
        .collect();
    let sources = harness::sources(files);
    let pillar = case.get("pillar").cloned().unwrap_or_else(|| Value::Map(Map::new()));
    let context = harness::context(series, pillar);
    let test = case.get("test").and_then(Value::as_bool).unwrap_or(false);
    let request = request(case);
    let compiler = Compiler::new(&sources, &context);
    let shown = match &request {
        Request::Sls { mods, .. } => compiler.show_sls(mods),
        Request::Highstate { .. } | Request::Single { .. } | Request::High(_) | Request::Template(_) => {
            compiler.high(&request)
        }
    };
    let high = match shown {
        Ok(state) => Value::Map(state.high),
        Err(errors) => list(errors),
    };
    let ret = match compile(&request, &sources, &context) {
        Ok(low) => Value::Map(harness::run(low, RunOptions { test, series, ..RunOptions::default() })),
        Err(errors) => list(errors),
    };
    (high, ret)
}

fn list(errors: Vec<String>) -> Value {
    Value::List(errors.into_iter().map(Value::from).collect())
}

fn request(case: &Value) -> Request {
    if let Some([fun, name, kwargs]) = case.get("single").and_then(Value::as_list) {
        let kwargs = kwargs.as_map().cloned().unwrap_or_default();
        return Request::Single { fun: fun.to_string(), name: name.to_string(), kwargs };
    }
    let exclude = case.get("exclude").and_then(Value::as_list).unwrap_or_default().to_vec();
    if case.get("highstate").is_some() {
        return Request::Highstate { exclude };
    }
    let mods = case.get("sls").and_then(Value::as_list);
    let mods = mods.map_or_else(|| vec!["a".to_owned()], |mods| mods.iter().map(Value::to_string).collect());
    Request::Sls { mods, exclude }
}

/// Leaves out what differs from run to run, and writes keys as JSON does.
#[expect(clippy::wildcard_enum_match_arm, reason = "only collections and texts need a change")]
fn comparable(value: &Value) -> Value {
    match value {
        Value::Map(map) => Value::Map(
            map.iter()
                .map(|(key, value)| (key.to_string(), comparable(value)))
                .filter(|(key, _)| key != "start_time" && key != "duration")
                .collect(),
        ),
        Value::List(items) => Value::List(items.iter().map(comparable).collect()),
        Value::Str(text) => Value::from(sorted_names(text)),
        other => other.clone(),
    }
}

/// Salt names failed requisites in the order of a set, which no two runs share.
fn sorted_names(text: &str) -> String {
    const FAILED: &str = "One or more requisite failed: ";
    let Some(names) = text.strip_prefix(FAILED) else { return text.to_owned() };
    let mut names: Vec<&str> = names.split(", ").collect();
    names.sort_unstable();
    format!("{FAILED}{}", names.join(", "))
}
