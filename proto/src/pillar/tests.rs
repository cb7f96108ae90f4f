use rand::thread_rng;

use super::*;
use crate::fixture::{self, master_key, minion_key, other_key, public};
use crate::request::SealedRequest;
use crate::serve::Incoming;

struct Exchange {
    session: Session,
    request: Request,
    sealed: SealedRequest,
}

fn exchange() -> Exchange {
    let shared = fixture::shared();
    let session = fixture::accepted(&fixture::settings(), &shared).session;
    let load = PillarRequest { grains: [("os", "Windows")].into(), ..PillarRequest::default() }.into_load();
    let sealed = session.seal("_pillar", load, 5, &mut thread_rng());
    let Ok(Incoming::Sealed(load)) = Incoming::decode(&sealed.bytes) else { panic!("sealed") };
    let request = load.open(&shared.session, &public(&minion_key())).unwrap();
    Exchange { session, request, sealed }
}

impl Exchange {
    fn reply(&self, minion: &PrivateKey, master: &PrivateKey) -> Vec<u8> {
        self.request.reply_pillar(&pillar(), &public(minion), master, &mut thread_rng()).unwrap()
    }

    fn open(&self, reply: &[u8]) -> Result<Value, ReplyError> {
        let keys = PillarKeys { minion: &minion_key(), master: &public(&master_key()) };
        self.session.open_pillar(reply, &self.sealed.nonce, keys, &mut thread_rng())
    }
}

fn pillar() -> Value {
    Map::from([(Value::Int(1), "one".into()), ("password".into(), Value::from("canary"))]).into()
}

#[test]
fn pillar_arrives_as_the_master_sent_it() {
    let exchange = exchange();
    assert_eq!(exchange.open(&exchange.reply(&minion_key(), &master_key())).unwrap(), pillar());
    let read = PillarRequest::from_load(&exchange.request.load);
    assert_eq!(read.grains, [("os", "Windows")].into());
}

#[test]
fn refuses_pillar_of_another_master_or_for_another_minion() {
    let exchange = exchange();
    let foreign = exchange.reply(&minion_key(), &other_key());
    assert_eq!(exchange.open(&foreign).unwrap_err(), ReplyError::Signature);
    let misdirected = exchange.reply(&other_key(), &master_key());
    assert_eq!(exchange.open(&misdirected).unwrap_err(), ReplyError::Key(KeyError::Decrypt));
}

#[test]
fn refuses_pillar_that_answers_another_request() {
    let (one, mut other) = (exchange(), exchange());
    other.sealed.nonce = one.sealed.nonce.clone();
    let reply = other.reply(&minion_key(), &master_key());
    assert_eq!(other.open(&reply).unwrap_err(), ReplyError::Sealed(CrypticleError::Nonce));
}

#[test]
fn refuses_pillar_under_a_key_that_was_swapped() {
    let exchange = exchange();
    let reply = exchange.reply(&minion_key(), &master_key());
    let mut map = msgpack::decode_raw(&reply).unwrap().into_map().unwrap();
    let text = minion_key()
        .decrypt(map.get("key").unwrap().as_bytes().unwrap(), exchange.session.encryption, &mut thread_rng())
        .unwrap();
    let again = public(&minion_key()).encrypt(&text, exchange.session.encryption, &mut thread_rng()).unwrap();
    map.insert("key", again);
    assert_eq!(exchange.open(&msgpack::encode_map(&map)).unwrap_err(), ReplyError::Signature);
}

#[test]
fn a_failing_master_is_told_from_a_lost_session() {
    let exchange = exchange();
    let error = exchange.open(&msgpack::encode(&"bad load".into())).unwrap_err();
    assert!(error.needs_auth());
    let error = exchange.open(&msgpack::encode_map(&[("error", "Nonce not included")].into())).unwrap_err();
    assert_eq!(error, ReplyError::Answer { answer: "Nonce not included".into() });
}

#[test]
fn no_pillar_value_shows_in_an_error() {
    let exchange = exchange();
    for reply in [exchange.reply(&minion_key(), &other_key()), exchange.reply(&other_key(), &master_key())] {
        let error = exchange.open(&reply).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("canary"));
    }
}
