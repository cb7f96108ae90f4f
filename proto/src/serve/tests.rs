use proptest::prelude::*;
use rand::thread_rng;

use super::*;
use crate::fixture::{self, Shared, minion_key, other_key, public};
use crate::{ReplyError, Session};

struct Pair {
    session: Session,
    shared: Shared,
}

fn pair() -> Pair {
    let shared = fixture::shared();
    Pair { session: fixture::accepted(&fixture::settings(), &shared).session, shared }
}

impl Pair {
    fn open(&self, message: &[u8]) -> Result<Request, Refusal> {
        match Incoming::decode(message)? {
            Incoming::Sealed(sealed) => sealed.open(&self.shared.session, &public(&minion_key())),
            Incoming::Clear(load) => panic!("{load:?}"),
        }
    }

    /// A message sealed under the session key, with whatever load.
    fn sealed(&self, load: Map) -> Vec<u8> {
        let boxed = self.shared.session.seal(&load.into(), &mut thread_rng());
        let mut envelope = Envelope { enc: Enc::Aes, load: boxed.into(), version: VERSION, rest: Map::new() };
        envelope.rest.insert("id", "m1");
        envelope.encode()
    }
}

#[test]
fn a_request_and_its_reply_come_through() {
    let pair = pair();
    let sealed = pair.session.seal("_return", [("jid", "1")].into(), 1_700_000_000, &mut thread_rng());
    let request = pair.open(&sealed.bytes).unwrap();
    assert_eq!((request.cmd.as_str(), request.id.as_str(), request.ts), ("_return", "m1", 1_700_000_000));
    assert_eq!(request.load.get("jid"), Some(&"1".into()));
    assert!(!request.load.contains_key("tok") && !request.load.contains_key("nonce"));
    let reply = request.reply(&pair.shared.session, &"thanks".into(), &mut thread_rng());
    assert_eq!(pair.session.open(&reply, &sealed.nonce, Strings::Text).unwrap(), "thanks".into());
    let raw = pair.session.open(&reply, &sealed.nonce, Strings::Raw).unwrap();
    assert_eq!(raw, Value::Bytes(b"thanks".to_vec()));
}

#[test]
fn a_reply_to_another_request_is_refused() {
    let pair = pair();
    let first = pair.session.seal("a", Map::new(), 1, &mut thread_rng());
    let second = pair.session.seal("b", Map::new(), 1, &mut thread_rng());
    let reply = pair.open(&first.bytes).unwrap().reply(&pair.shared.session, &Value::Nil, &mut thread_rng());
    let error = pair.session.open(&reply, &second.nonce, Strings::Text).unwrap_err();
    assert_eq!(error, ReplyError::Sealed(crate::CrypticleError::Nonce));
}

#[test]
fn a_reply_under_another_key_asks_for_authentication() {
    let pair = pair();
    let sealed = pair.session.seal("a", Map::new(), 1, &mut thread_rng());
    let reply = pair.open(&sealed.bytes).unwrap().reply(&pair.shared.aes, &Value::Nil, &mut thread_rng());
    assert!(pair.session.open(&reply, &sealed.nonce, Strings::Text).unwrap_err().needs_auth());
}

#[test]
fn the_minions_signature_covers_the_load_as_the_master_reads_it() {
    let pair = pair();
    let mut load: Map = [("return", Value::Bytes(b"text".to_vec()))].into();
    load.insert("binary", vec![0xff_u8]);
    let key = minion_key();
    let sealed = pair.session.seal_signed(("_return", load.clone()), &key, 5, &mut thread_rng()).unwrap();
    let mut request = pair.open(&sealed.bytes).unwrap();
    assert_eq!(request.is_signed_by(&public(&key)), Some(true));
    assert_eq!(request.is_signed_by(&public(&other_key())), Some(false));
    request.load.insert("return", "other");
    assert_eq!(request.is_signed_by(&public(&key)), Some(false));
    let unsigned = pair.session.seal("_return", load, 5, &mut thread_rng());
    assert_eq!(pair.open(&unsigned.bytes).unwrap().is_signed_by(&public(&key)), None);
}

#[test]
fn refuses_a_minion_that_poses_as_another() {
    let pair = pair();
    let mut load: Map = [("cmd", "_return"), ("id", "m2")].into();
    load.insert("tok", minion_key().sign_x931(b"salt", &mut thread_rng()).unwrap());
    let refusal = pair.open(&pair.sealed(load.clone())).unwrap_err();
    assert!(matches!(refusal, Refusal::IdMismatch { .. }));
    load.insert("id", "m1");
    load.insert("tok", other_key().sign_x931(b"salt", &mut thread_rng()).unwrap());
    let refusal = pair.open(&pair.sealed(load.clone())).unwrap_err();
    assert!(matches!(refusal, Refusal::Token { .. }));
    load.remove("tok");
    assert_eq!(pair.open(&pair.sealed(load)).unwrap_err(), Refusal::Field { field: "tok" });
}

#[test]
fn every_refusal_is_answered_in_salts_words() {
    let pair = pair();
    let bad_load = msgpack::encode(&"bad load".into());
    let old = Envelope { version: 2, ..Envelope::clear(Map::new()) };
    assert_eq!(pair.open(&old.encode()).unwrap_err(), Refusal::Version { version: 2 });
    let odd = Envelope { enc: Enc::Other("pub".into()), ..Envelope::clear(Map::new()) };
    let listed = Envelope { load: Value::List(vec![]), ..Envelope::clear(Map::new()) };
    for message in [old.encode(), odd.encode(), vec![0xc1], vec![]] {
        assert_eq!(pair.open(&message).unwrap_err().reply(), bad_load);
    }
    let refusal = pair.open(&listed.encode()).unwrap_err();
    assert_eq!(refusal.reply(), msgpack::encode(&"payload and load must be a dict".into()));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Incoming::Sealed(_)) = Incoming::decode(&bytes) {
            prop_assert!(false, "random bytes are no sealed load");
        }
    }
}
