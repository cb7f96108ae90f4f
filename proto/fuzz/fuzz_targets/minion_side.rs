//! What a hostile master may send to a minion. The first byte chooses the reader, the rest is what it reads.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use proto::auth::{
    Accepted, AuthRequest, AuthSession, AuthSettings, MasterIdentity, MasterTrust, Next, Verdict,
};
use proto::envelope::Envelope;
use proto::pillar::PillarKeys;
use proto::publish::{PublishReader, UnsignedPublishes};
use proto::{
    Crypticle, EncryptionAlgorithm, MinionId, PrivateKey, PublishLoad, SigningAlgorithm, Strings, Value,
    msgpack,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

struct Scene {
    settings: AuthSettings,
    identity: MasterIdentity,
    session: Crypticle,
    accepted: Accepted,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(1);
    let key = PrivateKey::generate(1024, &mut rng).expect("a key");
    let master = PrivateKey::generate(1024, &mut rng).expect("a key");
    let identity =
        MasterIdentity { public_key: master.public_key().expect("its half"), key: master, signer: None };
    let settings = AuthSettings {
        id: MinionId::parse("m1").expect("an id"),
        public_key: key.public_key().expect("its half"),
        key,
        encryption: EncryptionAlgorithm::default(),
        signing: SigningAlgorithm::default(),
        autosign_grains: None,
        trust: MasterTrust { pinned: Some(identity.public_key.clone()), ..MasterTrust::default() },
    };
    let (session, aes) = (Crypticle::generate(&mut rng), Crypticle::generate(&mut rng));
    let attempt = AuthSession::new(&settings, &mut rng).expect("a request");
    let load = Envelope::decode(attempt.request()).expect("an envelope").load;
    let request = AuthRequest::from_load(load.as_map().expect("a map")).expect("a request");
    let verdict = Verdict::Accepted { aes: &aes, session: &session, publish_port: 1 };
    let answer = identity.answer(&request, verdict, &mut rng).expect("an answer");
    let Next::Accepted(accepted) = attempt.handle(&answer, &mut rng).expect("taken") else {
        panic!("accepted")
    };
    Scene { settings, identity, session, accepted: *accepted }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&reader, bytes)) = bytes.split_first() else { return };
    let mut rng = StdRng::seed_from_u64(2);
    let scene = &*SCENE;
    let session = &scene.accepted.session;
    let sealed = session.seal("x", proto::Map::new(), 1, &mut rng);
    match reader % 6 {
        0 => {
            let attempt = AuthSession::new(&scene.settings, &mut rng).expect("a request");
            assert!(attempt.handle(bytes, &mut rng).is_err());
        }
        1 => {
            // Signed by the true master: only the load is hostile.
            let attempt = AuthSession::new(&scene.settings, &mut rng).expect("a request");
            let mut envelope = Envelope::clear(proto::Map::new());
            let algorithm = SigningAlgorithm::default();
            let signature = scene.identity.key.sign(bytes, algorithm, &mut rng).expect("a signature");
            envelope.load = Value::from(bytes);
            envelope.rest.insert("sig", signature);
            let _ = attempt.handle(&envelope.encode(), &mut rng);
        }
        2 => assert!(session.open(bytes, &sealed.nonce, Strings::Text).is_err()),
        3 => {
            let plain = [b"pickle::", sealed.nonce.as_str().as_bytes(), bytes].concat();
            let reply = msgpack::encode(&scene.session.encrypt(&plain, &mut rng).into());
            let _ = session.open(&reply, &sealed.nonce, Strings::Text);
        }
        4 => {
            let keys = PillarKeys { minion: &scene.settings.key, master: &scene.identity.public_key };
            let _ = session.open_pillar(bytes, &sealed.nonce, keys, &mut rng);
        }
        _ => {
            let aes = scene.accepted.aes.clone();
            let master_key = scene.identity.public_key.clone();
            let mut publishes = PublishReader::new(aes, master_key, UnsignedPublishes::Refuse);
            assert!(publishes.open(bytes).is_err());
            if let Ok(Value::Map(load)) = msgpack::decode(bytes) {
                let _ = PublishLoad::from_map(load);
            }
        }
    }
});
