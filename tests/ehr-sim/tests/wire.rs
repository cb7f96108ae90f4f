//! The wire apart from the engine: a backend that produces every type and token, read by a byte-level client, by
//! tiberius and by clients nobody here wrote.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails its test")]

#[path = "wire/browser.rs"]
mod browser;
#[path = "wire/foreign.rs"]
mod foreign;
#[path = "wire/parrot.rs"]
mod parrot;
#[path = "wire/raw.rs"]
mod raw;
#[path = "wire/rust_client.rs"]
mod rust_client;
#[path = "support/running.rs"]
mod support;
#[path = "wire/tedious.rs"]
mod tedious;

use std::sync::atomic::Ordering;

use ehr_sim::tds::prelogin::TlsMode;
use parrot::{PASSWORD, Parrot};
use raw::{RawClient, last_done};
use support::{Running, wait_for};

const DONE: u8 = 0xFD;
const ATTENTION: u16 = 0x20;
const MORE: u16 = 0x01;

fn server() -> (Parrot, Running) {
    let parrot = Parrot::default();
    (parrot.clone(), Running::start(parrot, TlsMode::Login))
}

#[test]
fn an_attention_stops_a_running_statement_and_is_acknowledged() {
    let (parrot, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("wait", 0);
    client.attention();
    assert_eq!(last_done(&client.receive()).1 & (ATTENTION | MORE), 0);
    assert_eq!(client.acknowledgement(), (DONE, ATTENTION, 0));
    assert_eq!(parrot.cancelled.load(Ordering::SeqCst), 1);
    client.batch("rows 3", 0);
    assert_eq!(last_done(&client.receive()), (DONE, 0x10, 3));
}

#[test]
fn an_attention_stops_an_answer_the_client_does_not_read() {
    let (_, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("rows 20000000", 0);
    let (first, _) = client.packet();
    assert_eq!(first & 1, 0);
    client.attention();
    assert_eq!(client.acknowledgement(), (DONE, ATTENTION, 0));
}

#[test]
fn a_request_given_up_while_it_is_sent_is_answered_as_not_done() {
    let (_, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.send(0x01, 0x02, b"half a batch");
    assert_eq!(last_done(&client.receive()), (DONE, 0x02, 0));
    client.batch("rows 1", 0);
    assert_eq!(last_done(&client.receive()), (DONE, 0x10, 1));
}

#[test]
fn an_attention_without_a_request_is_acknowledged_too() {
    let (_, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.attention();
    assert_eq!(last_done(&client.receive()), (DONE, ATTENTION, 0));
}

#[test]
fn a_client_that_leaves_cancels_what_it_was_running() {
    let (parrot, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("wait", 0);
    drop(client);
    wait_for("the cancel", || parrot.cancelled.load(Ordering::SeqCst) == 1);
}

#[test]
fn packets_keep_to_the_size_the_client_asked_for() {
    let (_, server) = server();
    for (asked, used) in [(512, 512), (100, 512), (0, 4096), (32_767, 32_767), (99_999, 32_767)] {
        let mut client = RawClient::login(server.address, PASSWORD, asked);
        client.batch_sized("rows 9000", used);
        let (status, body) = client.packet();
        assert_eq!((status, body.len() + 8), (0, used));
        assert_eq!(last_done(&client.receive()), (DONE, 0x10, 9000));
    }
}

#[test]
fn only_the_last_done_of_an_answer_lacks_more() {
    let (_, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("two", 0);
    let answer = client.receive();
    assert_eq!(last_done(&answer), (DONE, 0x10, 3));
    let first = [DONE, 0x11, 0, 0xC1, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    assert!(answer.windows(13).any(|token| token == first));
}

#[test]
fn a_reset_is_done_before_the_request_and_acknowledged() {
    let (parrot, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("rows 1", 0x08);
    assert!(client.receive().starts_with(&[0xE3, 3, 0, 18, 0, 0]));
    assert_eq!(parrot.resets.load(Ordering::SeqCst), 1);
}

#[test]
fn a_refused_login_gets_its_message_and_the_connection_ends() {
    let (_, server) = server();
    let mut client = RawClient::login(server.address, "wrong", 4096);
    let text: Vec<u8> = "Login failed for user 'sa'.".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(client.login_answer.windows(text.len()).any(|window| window == text));
    assert_eq!(last_done(&client.login_answer), (DONE, 2, 0));
    assert!(client.is_closed());
}

#[test]
fn a_fatal_message_ends_the_connection_after_it_was_sent() {
    let (_, server) = server();
    for batch in ["fatal", "wrong"] {
        let mut client = RawClient::login(server.address, PASSWORD, 4096);
        client.batch(batch, 0);
        let answer = client.receive();
        assert!(answer.contains(&0xAA));
        assert!(client.is_closed());
    }
}

#[test]
fn a_killed_session_is_closed_while_it_is_idle() {
    let (parrot, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("rows 1", 0);
    client.receive();
    parrot.kill.cancel();
    assert!(client.is_closed());
}

#[test]
fn a_broken_message_ends_only_its_own_connection() {
    let (_, server) = server();
    for (kind, payload) in
        [(0x01, vec![9, 9]), (0x03, vec![4, 0, 0, 0, 0xFF, 0xFF, 99, 0]), (0x07, vec![1]), (0x42, vec![])]
    {
        let mut client = RawClient::login(server.address, PASSWORD, 4096);
        client.send(kind, 0, &payload);
        assert!(client.is_closed());
    }
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("rows 1", 0);
    assert_eq!(last_done(&client.receive()), (DONE, 0x10, 1));
}

#[test]
fn a_parameter_of_an_unknown_type_is_refused_with_8009_and_the_session_goes_on() {
    let (_, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    let mut payload = vec![4, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 0];
    payload.extend_from_slice(&[0, 0, 0xF3, 0, 0, 0]);
    client.send(0x03, 0, &payload);
    let answer = client.receive();
    assert_eq!((answer[0], &answer[3..7]), (0xAA, 8009u32.to_le_bytes().as_slice()));
    assert_eq!(last_done(&answer), (DONE, 2, 0));
    client.batch("rows 1", 0);
    assert_eq!(last_done(&client.receive()), (DONE, 0x10, 1));
}

#[test]
fn a_killed_session_is_told_while_it_runs() {
    let (parrot, server) = server();
    let mut client = RawClient::login(server.address, PASSWORD, 4096);
    client.batch("suicide", 0);
    assert!(find(&client.receive(), &596u32.to_le_bytes()));
    assert!(client.is_closed());
    assert_eq!(parrot.cancelled.load(Ordering::SeqCst), 0);
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
