//! The simulator whole, as a process of its own: FreeTDS' tsql, pymssql, python-tds, tedious and tiberius log in and
//! read the synthetic practice.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails its test")]

#[path = "support/process.rs"]
mod process;
#[path = "wire/raw.rs"]
mod raw;
#[path = "support/running.rs"]
mod support;

use std::process::Command;

use process::Sim;
use raw::{RawClient, last_done};
use serde_json::{Value, json};
use support::{client_modules, client_python, run, skipped};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
const ROWS: u64 = 300;

/// One answer per statement of a Python or JavaScript client, values as SQL text.
fn query(client: &str, sim: &Sim, tls: &str, statements: &[&str]) -> Option<Vec<Value>> {
    query_within(client, sim, (tls, 60), statements)
}

/// The same with a limit of seconds on each statement.
fn query_within(
    client: &str,
    sim: &Sim,
    (tls, seconds): (&str, u32),
    statements: &[&str],
) -> Option<Vec<Value>> {
    let mut command = if client == "tedious" {
        let mut command = Command::new("node");
        command.env("NODE_PATH", client_modules()?).arg(format!("{CLIENTS}/query.js"));
        command
    } else {
        let mut command = Command::new(client_python()?);
        command.args([&format!("{CLIENTS}/query.py"), client]);
        command
    };
    command
        .args([&sim.port.to_string(), "sa", "Main_OMS", tls])
        .env("TDS_PASSWORD", &sim.password)
        .env("TDS_TIMEOUT", seconds.to_string())
        .env("TDS_PLAIN", "1");
    let input: String = statements.iter().map(|text| format!("{}\n", Value::from(*text))).collect();
    let output = run(&mut command, &input);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{client}: {}{text}", String::from_utf8_lossy(&output.stderr));
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn scripting_clients_log_in_and_read_the_practice() {
    let sim = Sim::start(&["--rows", &ROWS.to_string(), "--tls", "login"]);
    for (client, tls) in [
        ("pymssql", "off"),
        ("pymssql", "login"),
        ("pymssql", "on"),
        ("pytds", "off"),
        ("tedious", "off"),
        ("tedious", "on"),
    ] {
        let statements = [
            "SELECT COUNT(*) AS n, MIN(AppointmentID) AS low, MAX(AppointmentID) AS high FROM dbo.Appointment",
            "SELECT TOP (1) AppointmentID, RowVer FROM dbo.Appointment ORDER BY RowVer, AppointmentID",
            "SELECT nope FROM dbo.Appointment",
            "SELECT DB_NAME() AS db, SUSER_SNAME() AS login_",
        ];
        let Some(answers) = query(client, &sim, tls, &statements) else {
            skipped("scripting_clients_log_in_and_read_the_practice", &format!("{client} is not there"));
            continue;
        };
        let rows = |index: usize| answers[index]["results"][0]["rows"].clone();
        assert_eq!(rows(0), json!([["300", "1", "300"]]), "{client} {tls}: {}", answers[0]);
        assert_eq!(rows(1)[0][0], "1", "{client} {tls}: {}", answers[1]);
        assert_eq!(rows(1)[0][1].as_str().map(str::len), Some(18), "{client} {tls}: {}", answers[1]);
        assert_eq!(answers[2]["error"][0], 207, "{client} {tls}: {}", answers[2]);
        assert_eq!(rows(3), json!([["Main_OMS", "sa"]]), "{client} {tls}: {}", answers[3]);
    }
}

#[test]
fn tsql_logs_in_and_reads_the_practice() {
    if Command::new("tsql").arg("-C").output().is_err() {
        return skipped("tsql_logs_in_and_reads_the_practice", "FreeTDS' tsql is not there");
    }
    let sim = Sim::start(&["--rows", &ROWS.to_string(), "--tls", "on"]);
    let conf = sim.dir.path().join("freetds.conf");
    for version in ["7.3", "7.4"] {
        let text = format!(
            "[sim]\nhost = 127.0.0.1\nport = {}\ntds version = {version}\nencryption = require\nclient charset = UTF-8\n",
            sim.port
        );
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new("tsql");
        command.env("FREETDSCONF", &conf).args([
            "-S",
            "sim",
            "-U",
            "sa",
            "-P",
            &sim.password,
            "-D",
            "Main_OMS",
            "-o",
            "q",
        ]);
        let script = "select count(*) from dbo.Appointment\ngo\nselect * from dbo.Missing\ngo\nexit\n";
        let output = run(&mut command, script);
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(text.lines().any(|line| line.trim() == "300"), "{version}: {text}");
        assert!(text.contains("Msg 208 (severity 16, state 1) from EHRSIM Line 1"), "{version}: {text}");
        assert!(text.contains("Invalid object name 'dbo.Missing'."), "{version}: {text}");
    }
}

#[test]
fn a_wrong_password_is_refused_with_18456() {
    let sim = Sim::start(&["--rows", "10", "--tls", "login"]);
    let Some(python) = client_python() else {
        return skipped(
            "a_wrong_password_is_refused_with_18456",
            "the clients of tests/setup-tds-clients are not there",
        );
    };
    let mut command = Command::new(python);
    command.args([&format!("{CLIENTS}/query.py"), "pymssql", &sim.port.to_string(), "sa", "master", "login"]);
    let output = run(command.env("TDS_PASSWORD", "wrong"), "");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Login failed for user 'sa'.") && text.contains("18456"), "{text}");
}

#[test]
fn an_unknown_database_is_refused_with_4060() {
    if Command::new("tsql").arg("-C").output().is_err() {
        return skipped("an_unknown_database_is_refused_with_4060", "FreeTDS' tsql is not there");
    }
    let sim = Sim::start(&["--rows", "10", "--tls", "login"]);
    let mut command = Command::new("tsql");
    command.args([
        "-H",
        "127.0.0.1",
        "-p",
        &sim.port.to_string(),
        "-U",
        "sa",
        "-P",
        &sim.password,
        "-D",
        "Nowhere",
    ]);
    let output = run(&mut command, "exit\n");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("Msg 4060") && text.contains("\"Nowhere\" requested by the login"), "{text}");
}

#[test]
fn tedious_prepares_once_and_executes_twice() {
    let sim = Sim::start(&["--rows", "20", "--tls", "login"]);
    let statements = [
        "prepare: SELECT AppointmentID FROM dbo.Appointment WHERE AppointmentID = @n",
        "prepare: SELECT nope nope nope",
        "SELECT @@TRANCOUNT AS n",
    ];
    let Some(answers) = query("tedious", &sim, "off", &statements) else {
        return skipped("tedious_prepares_once_and_executes_twice", "tedious is not there");
    };
    let rows: Vec<&Value> =
        answers[0]["results"].as_array().unwrap().iter().map(|r| &r["rows"][0][0]).collect();
    assert_eq!(rows, ["7", "8"], "{}", answers[0]);
    assert_eq!(answers[1]["error"][0], 102, "{}", answers[1]);
    assert_eq!(answers[2]["results"][0]["rows"], json!([["0"]]));
}

#[test]
fn a_statement_waiting_for_a_lock_is_stopped_by_an_attention() {
    let sim = Sim::start(&["--rows", "20", "--tls", "off"]);
    let address = ([127, 0, 0, 1], sim.port).into();
    let mut holder = RawClient::login(address, &sim.password, 4096);
    holder
        .batch("USE Main_OMS; BEGIN TRAN; UPDATE dbo.Appointment SET ChairID = 1 WHERE AppointmentID = 1", 0);
    assert_eq!(last_done(&holder.receive()), (0xFD, 0x10, 1));
    let mut waiter = RawClient::login(address, &sim.password, 4096);
    waiter.batch("USE Main_OMS; SELECT ChairID FROM dbo.Appointment WHERE AppointmentID = 1", 0);
    waiter.attention();
    assert_eq!(last_done(&waiter.receive()).1 & 0x22, 2, "what is cut short has failed");
    assert_eq!(waiter.acknowledgement(), (0xFD, 0x20, 0));
    waiter.batch("WAITFOR DELAY '01:00:00'", 0);
    waiter.attention();
    assert_eq!(waiter.acknowledgement(), (0xFD, 0x20, 0));
    waiter.batch("SELECT 1", 0);
    assert_eq!(last_done(&waiter.receive()), (0xFD, 0x10, 1));
}

#[test]
fn kill_ends_idle_and_running_sessions() {
    let sim = Sim::start(&["--rows", "20", "--tls", "off"]);
    let address = ([127, 0, 0, 1], sim.port).into();
    let mut killer = RawClient::login(address, &sim.password, 4096);
    let mut idle = RawClient::login(address, &sim.password, 4096);
    killer.batch(&format!("KILL {}", idle.spid), 0);
    killer.receive();
    assert!(idle.is_closed());
    let mut running = RawClient::login(address, &sim.password, 4096);
    running.batch("WAITFOR DELAY '01:00:00'", 0);
    killer.batch(&format!("KILL {}", running.spid), 0);
    killer.receive();
    assert!(running.is_ended());
}

/// Runs `ehr-sim fault` against the simulator.
fn fault(sim: &Sim, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ehr-sim"));
    command.args(["fault", "--port", &sim.port.to_string(), "--tls", "off"]).args(arguments);
    let output = run(command.env("EHR_SIM_SA_PASSWORD", &sim.password), "");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a batch that must meet the error, or none.
fn meets(client: &mut RawClient, batch: &str, error: Option<u32>) {
    client.batch(batch, 0);
    let answer = client.receive();
    let found = error.map(u32::to_le_bytes).map(|bytes| answer.windows(4).any(|window| window == bytes));
    assert_ne!(found, Some(false), "{batch}: no error {error:?}");
    assert_eq!(last_done(&answer).1 & 0x2 != 0, error.is_some(), "{batch}");
}

#[test]
fn faults_come_and_go_on_command() {
    let sim = Sim::start(&["--rows", "20", "--tls", "off"]);
    let address: std::net::SocketAddr = ([127, 0, 0, 1], sim.port).into();
    let mut desk = RawClient::login(address, &sim.password, 4096);
    let write = "UPDATE Main_OMS.dbo.Patient SET Phone = '1' WHERE PatientID = 1";
    fault(&sim, &["fill-log"]);
    meets(&mut desk, write, Some(9002));
    fault(&sim, &["free-log"]);
    meets(&mut desk, write, None);
    fault(&sim, &["hold-lock", "dbo.Patient"]);
    meets(&mut desk, &format!("SET LOCK_TIMEOUT 50; {write}"), Some(1222));
    fault(&sim, &["release-locks"]);
    meets(&mut desk, write, None);
    fault(&sim, &["change-schema", "dbo.Patient"]);
    meets(&mut desk, "UPDATE Main_OMS.dbo.Patient SET AddedByUpgrade = 1", None);
    meets(&mut desk, "BEGIN TRAN; UPDATE Main_OMS.dbo.Patient SET AddedByUpgrade = 2", None);
    fault(&sim, &["restart", "--down-ms", "200"]);
    assert!(desk.is_ended());
    support::wait_for("the server to listen again", || std::net::TcpStream::connect(address).is_ok());
    let mut again = RawClient::login(address, &sim.password, 4096);
    let kept = "IF (SELECT MAX(AddedByUpgrade) FROM Main_OMS.dbo.Patient) <> 1 THROW 50001, 'lost', 1";
    meets(&mut again, kept, None);
    let mut idle = RawClient::login(address, &sim.password, 4096);
    fault(&sim, &["kill", &idle.spid.to_string()]);
    assert!(idle.is_closed());
}

#[test]
fn foreign_clients_give_up_a_statement_that_waits_and_go_on() {
    let sim = Sim::start(&["--rows", "20", "--tls", "login"]);
    let mut holder = RawClient::login(([127, 0, 0, 1], sim.port).into(), &sim.password, 4096);
    meets(
        &mut holder,
        "BEGIN TRAN; UPDATE Main_OMS.dbo.Appointment SET ChairID = 1 WHERE AppointmentID = 1",
        None,
    );
    for client in ["pytds", "tedious"] {
        let statements = ["SELECT ChairID FROM dbo.Appointment WHERE AppointmentID = 1", "SELECT 5 AS n"];
        let Some(answers) = query_within(client, &sim, ("off", 1), &statements) else {
            skipped(
                "foreign_clients_give_up_a_statement_that_waits_and_go_on",
                &format!("{client} is not there"),
            );
            continue;
        };
        assert!(answers[0]["error"].is_array(), "{client}: {}", answers[0]);
        assert_eq!(answers[1]["results"][0]["rows"], json!([["5"]]), "{client}: {}", answers[1]);
    }
}

#[test]
fn freebcp_takes_a_table_out() {
    if Command::new("freebcp").arg("-v").output().is_err() {
        return skipped("freebcp_takes_a_table_out", "FreeTDS' freebcp is not there");
    }
    let sim = Sim::start(&["--rows", "500", "--tls", "off"]);
    let (conf, out) = (sim.dir.path().join("freetds.conf"), sim.dir.path().join("out"));
    let text = format!("[sim]\nhost = 127.0.0.1\nport = {}\ntds version = 7.4\nencryption = off\n", sim.port);
    std::fs::write(&conf, text).unwrap();
    let mut command = Command::new("freebcp");
    command.env("FREETDSCONF", &conf).args(["Main_OMS.dbo.Legacy", "out"]).arg(&out);
    command.args(["-c", "-S", "sim", "-U", "sa", "-P", &sim.password]);
    let output = run(&mut command, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Text comes in the code page of the locale, whichever that is.
    let lines = || String::from_utf8_lossy(&std::fs::read(&out).unwrap()).lines().count();
    assert_eq!(lines(), 10);

    // A name without a database is looked for in the login's own, as on any server: `-D` says which.
    let copy = |more: &[&str]| {
        let mut command = Command::new("freebcp");
        command.env("FREETDSCONF", &conf).args(["dbo.Appointment", "out"]).arg(&out);
        command.args(["-c", "-S", "sim", "-U", "sa", "-P", &sim.password]).args(more);
        run(&mut command, "")
    };
    let elsewhere = copy(&[]);
    let told = [elsewhere.stdout, elsewhere.stderr].concat();
    assert!(String::from_utf8_lossy(&told).contains("Invalid object name 'dbo.Appointment'"));
    let output = copy(&["-D", "Main_OMS"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(), 500);
}
