//! What several unit tests share: one master, one minion, keys made for tests (see tests/oracle/make.py).

use std::sync::LazyLock;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::auth::{
    Accepted, AuthRequest, AuthSession, AuthSettings, MasterIdentity, MasterTrust, Next, Verdict,
};
use crate::envelope::Envelope;
use crate::{Crypticle, EncryptionAlgorithm, MinionId, PrivateKey, PublicKey, SigningAlgorithm};

static KEYS: LazyLock<[PrivateKey; 3]> = LazyLock::new(|| {
    [11, 12, 13].map(|seed| PrivateKey::generate(2048, &mut StdRng::seed_from_u64(seed)).unwrap())
});

pub(crate) fn master_key() -> PrivateKey {
    KEYS[0].clone()
}

pub(crate) fn minion_key() -> PrivateKey {
    KEYS[1].clone()
}

pub(crate) fn other_key() -> PrivateKey {
    KEYS[2].clone()
}

pub(crate) fn public(key: &PrivateKey) -> PublicKey {
    key.public_key().unwrap()
}

pub(crate) fn master() -> MasterIdentity {
    MasterIdentity { public_key: public(&master_key()), key: master_key(), signer: None }
}

pub(crate) fn settings() -> AuthSettings {
    AuthSettings {
        id: MinionId::parse("m1").unwrap(),
        public_key: public(&minion_key()),
        key: minion_key(),
        encryption: EncryptionAlgorithm::default(),
        signing: SigningAlgorithm::default(),
        autosign_grains: None,
        trust: MasterTrust::default(),
    }
}

/// The shared keys of one master.
pub(crate) struct Shared {
    pub(crate) aes: Crypticle,
    pub(crate) session: Crypticle,
}

pub(crate) fn shared() -> Shared {
    let mut rng = rand::thread_rng();
    Shared { aes: Crypticle::generate(&mut rng), session: Crypticle::generate(&mut rng) }
}

impl Shared {
    pub(crate) fn verdict(&self) -> Verdict<'_> {
        Verdict::Accepted { aes: &self.aes, session: &self.session, publish_port: 4505 }
    }
}

/// What the master reads out of a session's request.
pub(crate) fn request(session: &AuthSession<'_>) -> AuthRequest {
    let envelope = Envelope::decode(session.request()).unwrap();
    AuthRequest::from_load(envelope.load.as_map().unwrap()).unwrap()
}

/// A whole authentication that the master accepts.
pub(crate) fn accepted(settings: &AuthSettings, shared: &Shared) -> Accepted {
    let mut rng = rand::thread_rng();
    let session = AuthSession::new(settings, &mut rng).unwrap();
    let answer = master().answer(&request(&session), shared.verdict(), &mut rng).unwrap();
    match session.handle(&answer, &mut rng).unwrap() {
        Next::Accepted(accepted) => *accepted,
        other @ (Next::Pending | Next::Rejected | Next::Full) => panic!("{other:?}"),
    }
}
