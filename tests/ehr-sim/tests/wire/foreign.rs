//! Foreign clients against the parrot: every type, parameters, encryption and refusals as FreeTDS' `tsql`, pymssql
//! (FreeTDS inside) and python-tds see them.

use std::process::Command;

use ehr_sim::tds::prelogin::TlsMode;
use serde_json::{Value, json};

use crate::parrot::{PASSWORD, Parrot};
use crate::support::{Running, client_python, run, skipped};

const QUERY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/query.py");
const CLIENTS: [&str; 2] = ["pymssql", "pytds"];
const MODES: [(TlsMode, &str); 3] = [(TlsMode::Off, "off"), (TlsMode::Login, "login"), (TlsMode::On, "on")];

/// The answers of one Python client to `statements`, one a line.
fn query(client: &str, server: &Running, tls: &str, password: &str, statements: &str) -> Option<Vec<Value>> {
    let mut command = Command::new(client_python()?);
    command.arg(QUERY).args([client, &server.address.port().to_string(), "sa", "Main_OMS", tls]);
    command.env("TDS_PASSWORD", password).env("TDS_CERTIFICATE", server.dir.path().join("server.der"));
    let output = run(&mut command, statements);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{client}: {}{text}", String::from_utf8_lossy(&output.stderr));
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn start(mode: TlsMode) -> Running {
    Running::start(Parrot::default(), mode)
}

fn no_clients(test: &str) {
    skipped(test, "the clients of tests/setup-tds-clients are not there");
}

#[test]
fn python_clients_read_every_type() {
    let server = start(TlsMode::Off);
    for (client, expected) in CLIENTS.into_iter().zip([pymssql_reads(), pytds_reads()]) {
        let Some(answers) = query(client, &server, "off", PASSWORD, "types\n") else {
            return no_clients("python_clients_read_every_type");
        };
        let result = &answers[0]["results"][0];
        let names = result["columns"].as_array().unwrap();
        for (index, name) in names.iter().enumerate() {
            let read = result["rows"][0][index].as_str().unwrap();
            assert!(
                read == expected[index] || expected[index] == "*",
                "{client} {name}: {read} != {}",
                expected[index]
            );
            let null = result["rows"][1][index] == "None";
            let keeps = name.as_str().is_some_and(|name| name.ends_with("_nn") || name == "rowversion");
            assert_eq!(null, !keeps, "{client} {name}");
        }
    }
}

#[test]
fn python_clients_connect_under_every_encryption() {
    for (mode, tls) in MODES {
        let server = start(mode);
        for client in CLIENTS {
            let Some(answers) = query(client, &server, tls, PASSWORD, "rows 3000\nrows 1\n") else {
                return no_clients("python_clients_connect_under_every_encryption");
            };
            assert_eq!(
                answers[0]["results"][0]["rows"][2999],
                json!(["2999", "'row 2999'"]),
                "{client} {tls}"
            );
            assert_eq!(answers[1]["results"][0]["rows"], json!([["0", "'row 0'"]]), "{client} {tls}");
        }
    }
}

#[test]
fn python_clients_see_refusals_and_errors_with_number_and_text() {
    let server = start(TlsMode::Login);
    for client in CLIENTS {
        let Some(refused) = query(client, &server, "login", "wrong", "") else {
            return no_clients("python_clients_see_refusals_and_errors_with_number_and_text");
        };
        let text = refused[0].to_string();
        assert!(text.contains("Login failed for user 'sa'."), "{client}: {text}");
        let failed = query(client, &server, "login", PASSWORD, "error\nrows 1\n").unwrap();
        assert_eq!(failed[0]["error"][0], 50_000, "{client}: {}", failed[0]);
        assert!(
            failed[0]["error"][1].as_str().unwrap().contains("Ümlaut failure"),
            "{client}: {}",
            failed[0]
        );
        assert_eq!(failed[1]["results"][0]["rows"], json!([["0", "'row 0'"]]), "{client}");
    }
}

#[test]
fn python_clients_read_several_results_and_run_transactions() {
    let server = start(TlsMode::Off);
    for client in CLIENTS {
        let Some(answers) =
            query(client, &server, "off", PASSWORD, "two\ncommit\nrows 1\nrollback\nrows 2\n")
        else {
            return no_clients("python_clients_read_several_results_and_run_transactions");
        };
        let counts: Vec<usize> = answers[0]["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["rows"].as_array().unwrap().len())
            .collect();
        assert_eq!(counts, [2, 3], "{client}");
        assert_eq!(answers[1], json!({"done": "commit"}), "{client}");
        assert_eq!(answers[3], json!({"done": "rollback"}), "{client}");
        assert_eq!(answers[4]["results"][0]["rows"].as_array().unwrap().len(), 2, "{client}");
    }
}

#[test]
fn pytds_parameters_come_back_as_they_went() {
    let server = start(TlsMode::Off);
    let params = "params: [1, -2**40, 'Zoë 中', Binary(b'\\x00\\xff'), True, 2.5, Decimal('-12.34'), date(2024, 2, 29), \
                  datetime(2024, 2, 29, 23, 59, 59, 123456), time(1, 2, 3, 4), \
                  UUID('6f9619ff-8b86-d011-b42d-00c04fc964ff'), 'x' * 9000] echo %s %s %s %s %s %s %s %s %s %s %s %s\n";
    let Some(answers) = query("pytds", &server, "off", PASSWORD, params) else {
        return no_clients("pytds_parameters_come_back_as_they_went");
    };
    let expected = json!([
        "1",
        "-1099511627776",
        "'Zoë 中'",
        "b'\\x00\\xff'",
        "True",
        "2.5",
        "Decimal('-12.34')",
        "datetime.date(2024, 2, 29)",
        "datetime.datetime(2024, 2, 29, 23, 59, 59, 123456)",
        "datetime.time(1, 2, 3, 4)",
        "UUID('6f9619ff-8b86-d011-b42d-00c04fc964ff')",
        "'xxxxxxxxxxxxxxxxxxx...9000"
    ]);
    assert_eq!(answers[0]["results"][0]["rows"][0], expected, "{}", answers[0]);
}

#[test]
fn tsql_logs_in_under_every_version_and_encryption() {
    if Command::new("tsql").arg("-C").output().is_err() {
        return skipped("tsql_logs_in_under_every_version_and_encryption", "FreeTDS' tsql is not there");
    }
    for (mode, encryption) in [(TlsMode::Off, "off"), (TlsMode::Login, "request"), (TlsMode::On, "require")] {
        let server = start(mode);
        for version in ["7.3", "7.4", "auto"] {
            let conf = format!(
                "[sim]\nhost = 127.0.0.1\nport = {}\ntds version = {version}\nencryption = {encryption}\n\
                 client charset = UTF-8\n",
                server.address.port()
            );
            let path = server.dir.path().join("freetds.conf");
            std::fs::write(&path, conf).unwrap();
            let mut command = Command::new("tsql");
            command.env("FREETDSCONF", &path).args(["-S", "sim", "-U", "sa", "-P", PASSWORD, "-o", "q"]);
            let output = run(&mut command, "rows 2\ngo\nerror\ngo\nexit\n");
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("1\trow 1"), "{version} {encryption}: {text}");
            assert!(
                text.contains("Msg 50000 (severity 16, state 1) from EHRSIM Line 7"),
                "{version} {encryption}: {text}"
            );
        }
    }
}

#[test]
fn a_client_that_will_not_encrypt_is_turned_away_where_encryption_is_forced() {
    let server = start(TlsMode::On);
    let Some(answers) = query("pymssql", &server, "off", PASSWORD, "rows 1\n") else {
        return no_clients("a_client_that_will_not_encrypt_is_turned_away_where_encryption_is_forced");
    };
    assert!(answers[0]["error"].is_array(), "{}", answers[0]);
}

fn pymssql_reads() -> Vec<&'static str> {
    let mut expected = pytds_reads();
    expected[13] = "Decimal('1.0000')";
    expected
}

/// The values of [`every_type`](crate::parrot::every_type), as Python prints them; `*` differs by client library.
fn pytds_reads() -> Vec<&'static str> {
    vec![
        "True",
        "False",
        "255",
        "-32768",
        "-2147483648",
        "42",
        "9223372036854775807",
        "-1",
        "1.5",
        "-2.25e-300",
        "Decimal('-1234567.89')",
        "Decimal('1000000000000000000000000000.0000000007')",
        "Decimal('-1234567890.1234')",
        "Decimal('1')",
        "Decimal('-1.2345')",
        "'ab é '",
        "'Zoë €'",
        "'xxxxxxxxxxxxxxxxxxx...20000",
        "'中é  '",
        "'naïve 🦷'",
        "''",
        "'Zoë 中 Zoë 中 Zoë 中 Z...18000",
        "''",
        "b'\\x01\\x02\\x03\\x00'",
        "b'\\x00\\x01\\x02\\x03\\x...256",
        "b'\\x00\\x01\\x02\\x03\\x...256",
        "datetime.date(2024, 1, 2)",
        "datetime.time(12, 30)",
        "datetime.time(12, 30, 0, 123456)",
        "datetime.datetime(2024, 1, 1, 12, 30, 0, 123000)",
        "datetime.datetime(2024, 1, 1, 12, 30)",
        "datetime.datetime(2024, 1, 2, 12, 30, 0, 123000)",
        "datetime.datetime(2024, 1, 2, 12, 30, 0, 123456)",
        "*",
        "UUID('6f9619ff-8b86-d011-b42d-00c04fc964ff')",
        "'<a>é</a>'",
        "b'\\x00\\x00\\x00\\x00\\x00\\x00\\x07\\xd1'",
    ]
}
