//! The conformance suite: `conformance/*.sql` through FreeTDS' tsql, pymssql, python-tds and tedious, never through our
//! own client.
//!
//! Each script runs in a database of its own. The suite runs against the simulator always, and unchanged against a real
//! SQL Server when `EHR_SQLSERVER_URL` (`mssql://user:password@host:port`, a login that may create databases) is set.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails its test")]

#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/script.rs"]
mod script;
#[path = "support/running.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use ehr_sim::engine::{Engine, EngineOptions};
use ehr_sim::tds::prelogin::TlsMode;
use script::Script;
use serde_json::{Value, json};
use support::{Running, client_modules, client_python, run, skipped};

const PASSWORD: &str = "C0nformance!";
const CLIENTS: [&str; 4] = ["tsql", "pymssql", "pytds", "tedious"];

/// Where a suite runs.
struct Target {
    host: String,
    port: u16,
    user: String,
    password: String,
    tls: &'static str,
}

#[test]
fn the_simulator_answers_as_the_documentation_says() {
    let engine = Engine::new(EngineOptions { sa_password: PASSWORD.into(), ..EngineOptions::default() });
    let server = Running::start(engine, TlsMode::Off);
    judge(&Target {
        host: "127.0.0.1".into(),
        port: server.address.port(),
        user: "sa".into(),
        password: PASSWORD.into(),
        tls: "off",
    });
}

#[test]
fn a_real_sql_server_answers_as_the_documentation_says() {
    let Ok(url) = std::env::var("EHR_SQLSERVER_URL") else {
        return skipped(
            "a_real_sql_server_answers_as_the_documentation_says",
            "EHR_SQLSERVER_URL is not set",
        );
    };
    let rest = url.strip_prefix("mssql://").unwrap();
    let (credentials, address) = rest.rsplit_once('@').unwrap();
    let (user, password) = credentials.split_once(':').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "1433"));
    judge(&Target {
        host: host.into(),
        port: port.parse().unwrap(),
        user: user.into(),
        password: password.into(),
        tls: "off",
    });
}

/// Runs every script through every client and fails with everything that differs.
fn judge(target: &Target) {
    let scripts = Script::all(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance")));
    let mut differences = Vec::new();
    for client in CLIENTS {
        let Some(program) = program(client) else {
            skipped("conformance", &format!("{client} is not there (tests/run, tests/setup-tds-clients)"));
            continue;
        };
        for script in &scripts {
            let answers = answers(client, &program, target, script);
            for (batch, answer) in script.batches.iter().zip(&answers) {
                if let Some(difference) = compare::difference(batch, answer) {
                    differences.push(format!("{}.sql:{} {client}: {difference}", script.name, batch.line));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn program(client: &str) -> Option<PathBuf> {
    match client {
        "tedious" => client_modules(),
        // Its reader needs nothing but Python itself.
        "tsql" => Command::new("tsql").arg("-C").output().is_ok().then(|| PathBuf::from("python3")),
        _ => client_python(),
    }
}

/// One answer per batch of `script`, run in a database made for it.
fn answers(client: &str, program: &Path, target: &Target, script: &Script) -> Vec<Value> {
    let database = format!("conformance_{client}_{}", script.name);
    let alone = |text: String| json!({ "text": text, "session": 1, "wait": true });
    let mut lines = vec![alone(format!("CREATE DATABASE [{database}]"))];
    let sessions: BTreeSet<u64> = script.batches.iter().map(|batch| batch.session).chain([1]).collect();
    let everywhere =
        |text: &str| sessions.iter().map(|n| json!({ "text": text, "session": n })).collect::<Vec<_>>();
    lines.extend(everywhere(&format!("USE [{database}]")));
    let first = lines.len();
    lines.extend(
        script.batches.iter().map(|b| json!({ "text": b.text, "session": b.session, "wait": b.wait })),
    );
    lines.extend(everywhere("USE master"));
    lines.push(alone(format!("DROP DATABASE [{database}]")));
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut command = Command::new(if client == "tedious" { Path::new("node") } else { program });
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients"));
    if client == "tedious" {
        command.env("NODE_PATH", program).arg("query.js");
    } else {
        command.args(["query.py", client]);
    }
    command.args([target.port.to_string().as_str(), &target.user, "master", target.tls]);
    command.env("TDS_HOST", &target.host).env("TDS_PASSWORD", &target.password).env("TDS_PLAIN", "1");
    let output = run(&mut command, &input);
    let text = String::from_utf8_lossy(&output.stdout);
    let mut answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(answers.len(), lines.len(), "{client} {}: {complaint}{text}", script.name);
    answers.sort_by_key(|answer| answer["at"].as_u64());
    answers[first..first + script.batches.len()].to_vec()
}
