//! tedious, the JavaScript client, against the parrot: encryption, types, parameters and prepared statements.

use std::process::Command;

use ehr_sim::tds::prelogin::TlsMode;
use serde_json::{Value, json};

use crate::parrot::{PASSWORD, Parrot};
use crate::support::{Running, client_modules, run, skipped};

const QUERY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/query.js");

fn query(server: &Running, tls: &str, password: &str, statements: &str) -> Option<Vec<Value>> {
    let mut command = Command::new("node");
    command.env("NODE_PATH", client_modules()?).env("TDS_PASSWORD", password);
    command.arg(QUERY).args([&server.address.port().to_string(), "sa", "Main_OMS", tls]);
    let output = run(&mut command, statements);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}{text}", String::from_utf8_lossy(&output.stderr));
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn tedious_connects_reads_types_and_is_refused() {
    for (mode, tls) in [(TlsMode::Off, "off"), (TlsMode::Login, "login"), (TlsMode::On, "on")] {
        let server = Running::start(Parrot::default(), mode);
        let Some(answers) = query(&server, tls, PASSWORD, "rows 3000\ntypes\nerror\n") else {
            return skipped("tedious_connects_reads_types_and_is_refused", "tedious is not there");
        };
        assert_eq!(answers[0]["results"][0]["rows"][2999], json!(["2999", "\"row 2999\""]), "{tls}");
        let types = &answers[1]["results"][0];
        let value = |name: &str| {
            let columns = types["columns"].as_array().unwrap();
            let index = columns.iter().position(|column| column == name).unwrap();
            (
                types["rows"][0][index].as_str().unwrap().to_owned(),
                types["rows"][1][index].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(value("bigint"), ("\"9223372036854775807\"".into(), "null".into()));
        assert_eq!(value("nvarchar"), ("\"naïve 🦷\"".into(), "null".into()));
        assert_eq!(value("varchar"), ("\"Zoë €\"".into(), "null".into()));
        assert_eq!(value("datetime2_7"), ("2024-01-02T12:30:00.123Z".into(), "null".into()));
        assert_eq!(value("decimal9"), ("-1234567.89".into(), "null".into()));
        assert_eq!(value("rowversion").0, "0x00000000000007d1");
        assert_eq!(answers[2], json!({"error": [50_000, "Ümlaut failure"], "line": 7}));
        let refused = query(&server, tls, "wrong", "").unwrap();
        assert!(
            refused[0]["error"][1].as_str().unwrap().contains("Login failed for user 'sa'."),
            "{}",
            refused[0]
        );
    }
}

#[test]
fn tedious_passes_parameters() {
    let server = Running::start(Parrot::default(), TlsMode::Login);
    let statements = "params: {\"a\": [\"Int\", 5], \"b\": [\"NVarChar\", \"Zoë\"], \"c\": [\"Bit\", true], \
                      \"d\": [\"VarChar\", null], \"e\": [\"Float\", 2.5]} echo\nrows 1\n";
    let Some(answers) = query(&server, "login", PASSWORD, statements) else {
        return skipped("tedious_passes_parameters", "tedious is not there");
    };
    assert_eq!(
        answers[0]["results"][0]["rows"],
        json!([["5", "\"Zoë\"", "true", "null", "2.5"]]),
        "{}",
        answers[0]
    );
    assert_eq!(answers[1]["results"][0]["rows"], json!([["0", "\"row 0\""]]));
}
