//! What a hostile minion may send to a master. The first byte chooses the reader, the rest is what it reads.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use proto::auth::AuthRequest;
use proto::envelope::{Enc, Envelope, VERSION};
use proto::serve::Incoming;
use proto::{Crypticle, Event, JobReturn, Map, PillarRequest, PrivateKey, PublicKey, Value, msgpack};
use rand::SeedableRng;
use rand::rngs::StdRng;

static MINION: LazyLock<(Crypticle, PublicKey)> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(1);
    let key = PrivateKey::generate(1024, &mut rng).expect("a key");
    (Crypticle::generate(&mut rng), key.public_key().expect("its half"))
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&reader, bytes)) = bytes.split_first() else { return };
    let (session, key) = &*MINION;
    match reader % 3 {
        0 => open(bytes, session, key),
        1 => {
            // Under the minion's own session key: only the load is hostile.
            let mut rng = StdRng::seed_from_u64(2);
            let boxed = session.encrypt(&[b"pickle::", bytes].concat(), &mut rng);
            let mut envelope =
                Envelope { enc: Enc::Aes, load: boxed.into(), version: VERSION, rest: Map::new() };
            envelope.rest.insert("id", "m1");
            open(&envelope.encode(), session, key);
        }
        _ => {
            if let Ok(Value::Map(load)) = msgpack::decode(bytes) {
                let _ = AuthRequest::from_load(&load);
                let _ = PillarRequest::from_load(&load);
                let _ = Event::from_load(&load);
                let _ = JobReturn::from_load(load);
            }
        }
    }
});

fn open(message: &[u8], session: &Crypticle, key: &PublicKey) {
    match Incoming::decode(message) {
        Ok(Incoming::Sealed(sealed)) => assert!(sealed.open(session, key).is_err(), "nobody knows the token"),
        Ok(Incoming::Clear(load)) => {
            let _ = AuthRequest::from_load(&load);
        }
        Err(refusal) => assert!(!refusal.reply().is_empty()),
    }
}
