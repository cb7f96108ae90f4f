use super::*;

/// What Salt's own outputters printed; `tests/oracle/make_output.py` says how.
const ORACLE: &str = include_str!("../../tests/oracle/output.json");

fn options(case: &Value) -> Options {
    let mode = case.get("state_output").and_then(Value::as_str).unwrap_or("full");
    Options {
        color: case.get("color").and_then(Value::as_bool).unwrap(),
        state_verbose: case.get("state_verbose").and_then(Value::as_bool).unwrap_or(true),
        state_output: match mode.trim_end_matches("_id") {
            "terse" => StateOutput::Terse,
            "mixed" => StateOutput::Mixed,
            "changes" => StateOutput::Changes,
            _ => StateOutput::Full,
        },
        show_id_for_name: mode.ends_with("_id"),
        ..Options::default()
    }
}

#[test]
fn prints_as_salts_own_outputters_do() {
    let cases: Value = serde_json::from_str(ORACLE).unwrap();
    let mut differing = Vec::new();
    for case in cases.as_list().unwrap() {
        let name = case.get("out").unwrap().as_str().unwrap();
        let outputter = Outputter::from_name(name).unwrap();
        let ours = print(outputter, case.get("data").unwrap(), &options(case));
        let salts = case.get("printed").unwrap();
        if Value::from(ours.as_str()) != *salts {
            differing.push(format!("{name}\n--- ours\n{ours}\n--- salt\n{salts}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}

#[test]
fn quiet_prints_nothing() {
    assert_eq!(print_minion(Outputter::Quiet, "m1", &Value::Bool(true), &Options::default()), "");
}
