use rand::thread_rng;

use super::*;
use crate::envelope::Envelope;
use crate::fixture::{self, master, master_key, other_key, public, request, settings, shared};
use crate::key::HashType;
use crate::{Fingerprint, KeyError, Map, SigningAlgorithm, Value, msgpack};

/// One attempt whose answer may be changed on its way.
fn attempt(
    settings: &AuthSettings,
    answer: impl FnOnce(&AuthRequest) -> Result<Vec<u8>, KeyError>,
) -> Result<Next, AuthError> {
    let session = AuthSession::new(settings, &mut thread_rng()).unwrap();
    let answer = answer(&request(&session)).unwrap();
    session.handle(&answer, &mut thread_rng())
}

fn accept(master: &MasterIdentity, settings: &AuthSettings) -> Result<Next, AuthError> {
    let shared = shared();
    attempt(settings, |request| master.answer(request, shared.verdict(), &mut thread_rng()))
}

fn pin(next: Result<Next, AuthError>) -> Pin {
    match next.unwrap() {
        Next::Accepted(accepted) => accepted.pin,
        other @ (Next::Pending | Next::Rejected | Next::Full) => panic!("{other:?}"),
    }
}

fn pinned(key: &crate::PrivateKey) -> AuthSettings {
    let mut settings = settings();
    settings.trust.pinned = Some(public(key));
    settings
}

/// Takes a signed answer apart, changes its load, and signs it again with any key.
fn resigned(answer: Vec<u8>, key: &crate::PrivateKey, change: impl FnOnce(&mut Map)) -> Vec<u8> {
    let mut envelope = Envelope::decode(&answer).unwrap();
    let mut load = msgpack::decode(envelope.load.as_bytes().unwrap()).unwrap().into_map().unwrap();
    change(&mut load);
    let load = msgpack::encode_map(&load);
    let signature = key.sign(&load, SigningAlgorithm::default(), &mut thread_rng()).unwrap();
    envelope.load = load.into();
    envelope.rest.insert("sig", signature);
    envelope.encode()
}

#[test]
fn a_first_contact_shares_the_keys_and_asks_to_pin() {
    let shared = shared();
    let accepted = fixture::accepted(&settings(), &shared);
    assert_eq!(accepted.aes, shared.aes);
    assert_eq!(accepted.pin, Pin::FirstSeen);
    assert_eq!(accepted.master_key, public(&master_key()));
    assert_eq!(accepted.publish_port, 4505);
}

#[test]
fn a_known_master_proves_itself_with_the_token() {
    assert_eq!(pin(accept(&master(), &pinned(&master_key()))), Pin::Known);
}

#[test]
fn every_algorithm_pair_works() {
    for encryption in [crate::EncryptionAlgorithm::OaepSha1, crate::EncryptionAlgorithm::OaepSha224] {
        for signing in [SigningAlgorithm::Pkcs1v15Sha1, SigningAlgorithm::Pkcs1v15Sha224] {
            let settings = AuthSettings { encryption, signing, ..pinned(&master_key()) };
            assert_eq!(pin(accept(&master(), &settings)), Pin::Known);
        }
    }
}

#[test]
fn answers_other_than_acceptance_are_told_apart() {
    for settings in [settings(), pinned(&master_key())] {
        let next =
            |verdict| attempt(&settings, |request| master().answer(request, verdict, &mut thread_rng()));
        assert!(matches!(next(Verdict::Pending), Ok(Next::Pending)));
        assert!(matches!(next(Verdict::Rejected), Ok(Next::Rejected)));
        assert!(matches!(next(Verdict::Full), Ok(Next::Full)));
    }
}

#[test]
fn a_changed_master_key_is_refused_with_both_fingerprints() {
    let error = accept(&master(), &pinned(&other_key())).unwrap_err();
    let expected = AuthError::MasterKeyChanged {
        pinned: public(&other_key()).fingerprint(),
        offered: public(&master_key()).fingerprint(),
    };
    assert_eq!(error, expected);
    assert_eq!(error.fault(), Fault::Master);
    assert!(error.to_string().contains(&public(&master_key()).fingerprint().to_string()));
}

#[test]
fn a_pending_answer_of_another_master_is_refused() {
    let answer = attempt(&pinned(&other_key()), |request| {
        master().answer(request, Verdict::Pending, &mut thread_rng())
    });
    assert!(matches!(answer, Err(AuthError::Signature { .. })));
}

#[test]
fn an_impostor_that_shows_the_pinned_key_fails_at_its_signature() {
    let shared = shared();
    let impostor = MasterIdentity { key: other_key(), ..master() };
    for settings in [settings(), pinned(&master_key())] {
        let next =
            attempt(&settings, |request| impostor.answer(request, shared.verdict(), &mut thread_rng()));
        assert!(matches!(next, Err(AuthError::Signature { .. })));
    }
}

#[test]
fn the_master_finger_is_compared_before_anything_is_pinned() {
    let mut settings = settings();
    settings.trust.finger = Some((public(&master_key()).fingerprint(), HashType::Sha256));
    assert_eq!(pin(accept(&master(), &settings)), Pin::FirstSeen);
    settings.trust.finger = Some((Fingerprint::parse("aa:bb"), HashType::Sha256));
    assert!(matches!(accept(&master(), &settings), Err(AuthError::MasterFinger { .. })));
}

#[test]
fn the_operators_signature_lets_a_master_be_replaced() {
    let signed = MasterIdentity { signer: Some(other_key()), ..master() };
    let mut settings = pinned(&other_key());
    settings.trust.signer = Some(public(&other_key()));
    assert_eq!(pin(accept(&signed, &settings)), Pin::Replaced);
    assert!(matches!(accept(&master(), &settings), Err(AuthError::PublicKeyUnsigned)));
    settings.trust.signer = Some(public(&fixture::minion_key()));
    assert!(matches!(accept(&signed, &settings), Err(AuthError::PublicKeySignature { .. })));
    settings.trust.pinned = Some(public(&master_key()));
    assert_eq!(pin(accept(&signed, &settings)), Pin::Known);
    settings.trust.always_verify_signature = true;
    assert!(matches!(accept(&signed, &settings), Err(AuthError::PublicKeySignature { .. })));
    settings.trust.signer = None;
    assert!(matches!(accept(&signed, &settings), Err(AuthError::PublicKeySignedUnasked)));
}

#[test]
fn refuses_an_answer_to_another_request() {
    let settings = pinned(&master_key());
    let other = AuthSession::new(&settings, &mut thread_rng()).unwrap();
    for verdict in [Verdict::Pending, shared().verdict()] {
        let next = attempt(&settings, |_| master().answer(&request(&other), verdict, &mut thread_rng()));
        assert!(matches!(next, Err(AuthError::Nonce)));
    }
}

#[test]
fn refuses_keys_that_the_master_did_not_sign_or_cannot_have_read() {
    let shared = shared();
    let changed = |change: fn(&mut Map)| {
        attempt(&pinned(&master_key()), |request| {
            let answer = master().answer(request, shared.verdict(), &mut thread_rng())?;
            Ok(resigned(answer, &master_key(), change))
        })
        .unwrap_err()
    };
    let unsigned = changed(|load| {
        load.insert("sig", vec![7_u8; 256]);
    });
    assert!(matches!(unsigned, AuthError::SharedKeySignature { .. }), "{unsigned:?}");
    let foreign = changed(|load| {
        load.insert("session", vec![7_u8; 256]);
    });
    assert_eq!(foreign, AuthError::Secret { field: "session" });
    for field in ["aes", "session", "sig", "publish_port"] {
        let missing = attempt(&pinned(&master_key()), |request| {
            let answer = master().answer(request, shared.verdict(), &mut thread_rng())?;
            Ok(resigned(answer, &master_key(), |load| {
                load.remove(field);
            }))
        });
        assert_eq!(missing.unwrap_err(), AuthError::Field { field });
    }
    let tokenless = changed(|load| {
        load.remove("token");
    });
    assert_eq!(tokenless, AuthError::Token);
}

#[test]
fn an_unsigned_answer_accepts_and_weakens_nothing() {
    let plain = |load: Map| attempt(&settings(), |_| Ok(Envelope::clear(load).encode())).unwrap_err();
    assert_eq!(plain([("ret", true)].into()), AuthError::Unsigned);
    let error = plain([("ret", "bad sig algo")].into());
    assert_eq!(error, AuthError::Algorithm { algorithm: "PKCS1v15-SHA1", option: "signing_algorithm" });
    let mut retry: Map = [("ret", false)].into();
    retry.insert("cluster_retry", true);
    assert!(plain(retry).is_retryable());
    let mut full: Map = [("pub_key", public(&other_key()).pem())].into();
    full.insert("publish_port", 4505);
    assert_eq!(plain(full), AuthError::Unsigned);
}

#[test]
fn an_algorithm_the_master_does_not_know_is_named() {
    let session = settings();
    let session = AuthSession::new(&session, &mut thread_rng()).unwrap();
    let mut load = Envelope::decode(session.request()).unwrap().load.into_map().unwrap();
    load.insert("sig_algo", "PKCS1v15-MD5");
    let request = AuthRequest::from_load(&load).unwrap();
    let answer = master().answer(&request, Verdict::Pending, &mut thread_rng()).unwrap();
    assert!(matches!(session.handle(&answer, &mut thread_rng()), Err(AuthError::Algorithm { .. })));
}

#[test]
fn a_plain_refusal_is_shown_as_the_master_said_it() {
    let error = attempt(&settings(), |_| Ok(msgpack::encode(&"bad load".into()))).unwrap_err();
    assert_eq!(error, AuthError::Refused { answer: "bad load".into() });
}

#[test]
fn no_changed_byte_is_accepted() {
    let shared = shared();
    let settings = pinned(&master_key());
    let session = AuthSession::new(&settings, &mut thread_rng()).unwrap();
    let good = master().answer(&request(&session), shared.verdict(), &mut thread_rng()).unwrap();
    for at in (0..good.len()).step_by(97) {
        let session = AuthSession::new(&settings, &mut thread_rng()).unwrap();
        let mut bad = master().answer(&request(&session), shared.verdict(), &mut thread_rng()).unwrap();
        let at = at.min(bad.len() - 1);
        bad[at] ^= 1;
        assert!(session.handle(&bad, &mut thread_rng()).is_err(), "byte {at}");
    }
}

#[test]
fn refuses_a_request_without_its_fields() {
    let session = settings();
    let session = AuthSession::new(&session, &mut thread_rng()).unwrap();
    let load = Envelope::decode(session.request()).unwrap().load.into_map().unwrap();
    for field in ["id", "pub", "nonce"] {
        let mut load = load.clone();
        load.insert(field, "../x");
        assert!(AuthRequest::from_load(&load).is_err(), "{field}");
        load.insert(field, Value::Nil);
        assert!(AuthRequest::from_load(&load).is_err(), "{field}");
    }
}
