//! The SQL Server Browser as clients ask it: by datagram, and through python-tds' `SERVER\INSTANCE`.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use ehr_sim::server::ServerOptions;
use ehr_sim::tds::prelogin::TlsMode;

use crate::parrot::{PASSWORD, Parrot};
use crate::support::{Running, client_python, run, skipped};

fn options(browser_port: u16) -> ServerOptions {
    ServerOptions {
        tls: TlsMode::Off,
        server_name: "FRONT\\EHR".into(),
        browser_port: Some(browser_port),
        ..ServerOptions::default()
    }
}

#[test]
fn a_datagram_with_the_instance_is_answered_with_its_port() {
    let server = Running::with(Parrot::default(), options(0)).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket.send_to(b"\x04EHR\0", server.browser.unwrap()).unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer[3..length]);
    assert!(text.contains(&format!(
        "InstanceName;EHR;IsClustered;No;Version;15.0.2000.5;tcp;{};",
        server.address.port()
    )));
}

#[test]
fn pytds_finds_a_named_instance() {
    let test = "pytds_finds_a_named_instance";
    let Some(python) = client_python() else {
        return skipped(test, "the clients of tests/setup-tds-clients are not there");
    };
    // The port is fixed by the protocol; another server on this machine may hold it.
    let Ok(_server) = Running::with(Parrot::default(), options(1434)) else {
        return skipped(test, "UDP port 1434 is taken");
    };
    let script = "import os, pytds\n\
                  c = pytds.connect(dsn='127.0.0.1\\\\EHR', user='sa', password=os.environ['TDS_PASSWORD'])\n\
                  k = c.cursor(); k.execute('rows 2'); print(k.fetchall())\n";
    let output = run(Command::new(python).arg("-c").arg(script).env("TDS_PASSWORD", PASSWORD), "");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("(1, 'row 1')"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
