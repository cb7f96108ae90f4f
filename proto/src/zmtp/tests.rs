//! The engine against itself, against literal bytes of the RFC, and against every way to cut a stream.

use proptest::prelude::*;

use super::*;

const READY_SUB: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB";

fn engine(socket: SocketType) -> Engine {
    Engine::new(Config::new(socket))
}

fn old_engine(socket: SocketType) -> Engine {
    Engine::new(Config { version: Version::V3_0, ..Config::new(socket) })
}

/// Carries bytes to and fro until both sides are silent.
fn settle(left: &mut Engine, right: &mut Engine) -> Result<(), ZmtpError> {
    loop {
        let (from_left, from_right) = (left.outgoing(), right.outgoing());
        if from_left.is_empty() && from_right.is_empty() {
            return Ok(());
        }
        right.receive(&from_left)?;
        left.receive(&from_right)?;
    }
}

fn events(engine: &mut Engine) -> Vec<Event> {
    std::iter::from_fn(|| engine.poll()).collect()
}

fn connected(mut left: Engine, mut right: Engine) -> (Engine, Engine) {
    settle(&mut left, &mut right).unwrap();
    assert!(matches!(events(&mut left)[..], [Event::Handshake(_)]));
    assert!(matches!(events(&mut right)[..], [Event::Handshake(_)]));
    (left, right)
}

fn greeting_of(minor: u8) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, minor];
    bytes.extend_from_slice(b"NULL");
    bytes.resize(64, 0);
    bytes
}

#[test]
fn greets_and_gets_ready_with_the_bytes_of_the_rfc() {
    let mut sub = engine(SocketType::Sub);
    let mut greeting = greeting_of(1);
    greeting[8] = 0;
    assert_eq!(sub.outgoing(), greeting);
    sub.receive(&greeting_of(1)).unwrap();
    assert_eq!(sub.outgoing(), READY_SUB);
    sub.receive(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB").unwrap();
    let peer = Peer { version: Version::V3_1, socket: SocketType::Pub, identity: Vec::new() };
    assert_eq!(sub.poll(), Some(Event::Handshake(peer)));
}

#[test]
fn subscribes_by_command_to_a_new_peer_and_by_message_to_an_old_one() {
    let (mut sub, mut publisher) = connected(engine(SocketType::Sub), engine(SocketType::Pub));
    sub.subscribe(b"ab").unwrap();
    let bytes = sub.outgoing();
    assert_eq!(bytes, b"\x04\x0c\x09SUBSCRIBEab");
    publisher.receive(&bytes).unwrap();
    sub.cancel(b"ab").unwrap();
    publisher.receive(&sub.outgoing()).unwrap();
    assert_eq!(events(&mut publisher), [Event::Subscribe(b"ab".to_vec()), Event::Cancel(b"ab".to_vec())]);

    let (mut sub, mut publisher) = connected(engine(SocketType::Sub), old_engine(SocketType::Pub));
    sub.subscribe(b"ab").unwrap();
    let bytes = sub.outgoing();
    assert_eq!(bytes, b"\x00\x03\x01ab");
    publisher.receive(&bytes).unwrap();
    sub.cancel(b"ab").unwrap();
    publisher.receive(&sub.outgoing()).unwrap();
    assert_eq!(events(&mut publisher), [Event::Subscribe(b"ab".to_vec()), Event::Cancel(b"ab".to_vec())]);
}

#[test]
fn answers_every_ping_with_its_context_even_from_a_3_0_peer() {
    let mut sub = old_engine(SocketType::Sub);
    sub.receive(&greeting_of(1)).unwrap();
    sub.receive(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB").unwrap();
    sub.outgoing();
    sub.receive(b"\x04\x0a\x04PING\x00\x64abc").unwrap();
    assert_eq!(sub.outgoing(), b"\x04\x08\x04PONGabc");
    assert_eq!(events(&mut sub)[1..], [Event::Ping { ttl: 100 }]);
}

#[test]
fn pings_a_3_1_peer_and_reports_its_pong() {
    let (mut left, mut right) = connected(engine(SocketType::Dealer), engine(SocketType::Router));
    left.ping(300, b"seven").unwrap();
    settle(&mut left, &mut right).unwrap();
    assert_eq!(events(&mut right), [Event::Ping { ttl: 300 }]);
    assert_eq!(events(&mut left), [Event::Pong { context: b"seven".to_vec() }]);
    assert!(matches!(left.ping(1, &[0; 17]), Err(ZmtpError::MessageRefused(_))));
}

#[test]
fn never_pings_a_peer_that_greeted_3_0() {
    let (mut left, _right) = connected(engine(SocketType::Req), old_engine(SocketType::Router));
    assert_eq!(left.ping(1, b""), Err(ZmtpError::PeerTooOld));
    assert!(left.outgoing().is_empty());
}

#[test]
fn carries_identity_both_ways() {
    let mut config = Config::new(SocketType::Dealer);
    config.identity = b"minion-7".to_vec();
    let (mut left, mut right) = (Engine::new(config), engine(SocketType::Router));
    settle(&mut left, &mut right).unwrap();
    let Some(Event::Handshake(peer)) = right.poll() else { panic!("no handshake") };
    assert_eq!((peer.identity, peer.socket), (b"minion-7".to_vec(), SocketType::Dealer));
}

#[test]
fn refuses_a_peer_that_is_no_zmtp_peer_at_its_first_byte() {
    for (bytes, error) in [
        (&b"H"[..], ZmtpError::NotZmtp),
        (b"\xff\0\0\0\0\0\0\0\x01\x00", ZmtpError::NotZmtp),
        (b"\xff\0\0\0\0\0\0\0\x01\x7f\x01", ZmtpError::OldVersion(1)),
    ] {
        let mut sub = engine(SocketType::Sub);
        assert_eq!(sub.receive(bytes), Err(error.clone()));
        assert_eq!(sub.receive(&greeting_of(1)), Err(error), "a failed engine stays failed");
    }
    let mut curve = greeting_of(1);
    curve[12..17].copy_from_slice(b"CURVE");
    assert_eq!(engine(SocketType::Sub).receive(&curve), Err(ZmtpError::Mechanism("CURVE".into())));
}

#[test]
fn refuses_a_socket_on_the_wrong_port() {
    let (mut sub, mut router) = (engine(SocketType::Sub), engine(SocketType::Router));
    let error = settle(&mut sub, &mut router).unwrap_err();
    assert!(matches!(error, ZmtpError::IncompatibleSocket { .. }), "{error}");
}

#[test]
fn refuses_to_send_before_the_handshake() {
    let mut req = engine(SocketType::Req);
    assert_eq!(req.send(&[b"x"]), Err(ZmtpError::NotReady));
    assert_eq!(req.subscribe(b""), Err(ZmtpError::NotReady));
    let none: [&[u8]; 0] = [];
    let (mut left, _right) = connected(engine(SocketType::Req), engine(SocketType::Rep));
    assert!(matches!(left.send(&none), Err(ZmtpError::MessageRefused(_))));
}

#[test]
fn reports_the_reason_of_a_refused_handshake() {
    let mut req = engine(SocketType::Req);
    req.receive(&greeting_of(1)).unwrap();
    assert_eq!(req.receive(b"\x04\x09\x05ERROR\x02no"), Err(ZmtpError::Refused("no".into())));
}

#[test]
fn stops_at_every_limit_before_the_data_is_taken_in() {
    let limits = Limits { frame: 10, command: 40, message: 15, parts: 3 };
    let build = || {
        let mut rep = Engine::new(Config { limits, ..Config::new(SocketType::Rep) });
        rep.receive(&greeting_of(1)).unwrap();
        rep.receive(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ").unwrap();
        rep
    };
    let too_large = |what, size, limit| Err(ZmtpError::TooLarge { what, size, limit });
    assert_eq!(build().receive(b"\x00\x0b"), too_large("a frame", 11, 10));
    assert_eq!(build().receive(b"\x02\xff\xff\xff\xff\xff\xff\xff\xff"), too_large("a frame", u64::MAX, 10));
    assert_eq!(build().receive(b"\x04\x29"), too_large("a command", 41, 40));
    assert_eq!(build().receive(b"\x01\x0a0123456789\x00\x0a0123456789"), too_large("a message", 20, 15));
    assert_eq!(build().receive(b"\x01\x00\x01\x00\x01\x00\x01\x00"), too_large("parts", 4, 3));
}

#[test]
fn refuses_frames_and_commands_that_zmtp_does_not_know() {
    for bytes in [&b"\x08\x00"[..], b"\x05\x00", b"\x04\x00", b"\x04\x05\x05PING", b"\x04\x05\x04PING"] {
        let (mut left, _right) = connected(engine(SocketType::Req), engine(SocketType::Rep));
        assert!(matches!(left.receive(bytes), Err(ZmtpError::Malformed(_))), "{bytes:?}");
    }
    let (mut left, _right) = connected(engine(SocketType::Req), engine(SocketType::Rep));
    left.receive(b"\x04\x06\x05LATER").unwrap();
    assert_eq!(left.poll(), None, "an unknown command is skipped");
}

#[test]
fn refuses_ready_that_is_cut_or_has_no_socket_type() {
    for ready in
        [&b"\x04\x06\x05READY"[..], b"\x04\x07\x05READY\x0b", b"\x04\x0e\x05READY\x03abc\x00\x00\x00\x09"]
    {
        let mut req = engine(SocketType::Req);
        req.receive(&greeting_of(1)).unwrap();
        assert!(matches!(req.receive(ready), Err(ZmtpError::Malformed(_))), "{ready:?}");
    }
    let mut req = engine(SocketType::Req);
    req.receive(&greeting_of(1)).unwrap();
    assert!(matches!(req.receive(b"\x00\x01x"), Err(ZmtpError::Malformed(_))), "a message before READY");
}

fn message() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let part = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => proptest::collection::vec(any::<u8>(), 250..260),
        1 => proptest::collection::vec(any::<u8>(), 70_000..70_010),
    ];
    proptest::collection::vec(part, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_message_survives_the_round_trip(messages in proptest::collection::vec(message(), 1..6)) {
        let (mut left, mut right) = connected(engine(SocketType::Dealer), engine(SocketType::Router));
        for parts in &messages {
            left.send(parts).unwrap();
        }
        settle(&mut left, &mut right).unwrap();
        let expected: Vec<_> = messages.into_iter().map(Event::Message).collect();
        prop_assert_eq!(events(&mut right), expected);
    }

    #[test]
    fn the_cut_of_the_stream_changes_nothing(
        messages in proptest::collection::vec(message(), 1..4),
        cuts in proptest::collection::vec(1_usize..200, 1..200),
    ) {
        let mut left = engine(SocketType::Dealer);
        let mut stream = left.outgoing();
        left.receive(&greeting_of(1)).unwrap();
        left.receive(b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER").unwrap();
        stream.extend(left.outgoing());
        for (at, parts) in messages.iter().enumerate() {
            left.ping(at as u16, b"").unwrap();
            left.send(parts).unwrap();
        }
        stream.extend(left.outgoing());

        let mut whole = engine(SocketType::Router);
        whole.receive(&stream).unwrap();
        let mut chopped = engine(SocketType::Router);
        let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            chopped.receive(chunk).unwrap();
            rest = after;
        }
        prop_assert_eq!(chopped.outgoing(), whole.outgoing());
        prop_assert_eq!(events(&mut chopped), events(&mut whole));
    }

    #[test]
    fn no_bytes_make_it_panic(after_greeting: bool, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut sub = engine(SocketType::Sub);
        if after_greeting {
            sub.receive(&greeting_of(1)).unwrap();
            sub.receive(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB").unwrap();
        }
        let _ = sub.receive(&bytes);
        let _ = events(&mut sub);
    }
}
