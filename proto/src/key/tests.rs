use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::*;

/// See tests/oracle/make.py.
fn oracle() -> serde_json::Value {
    serde_json::from_str(include_str!("../../tests/oracle/crypto.json")).unwrap()
}

fn text(of: &serde_json::Value) -> &str {
    of.as_str().unwrap()
}

fn unhex(of: &serde_json::Value) -> Vec<u8> {
    let text = text(of);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn pair() -> (PrivateKey, PublicKey) {
    let oracle = oracle();
    (
        PrivateKey::from_pem(text(&oracle["private"])).unwrap(),
        PublicKey::from_pem(text(&oracle["public"])).unwrap(),
    )
}

#[test]
fn pem_texts_are_the_ones_salt_writes() {
    let (private, public) = pair();
    let oracle = oracle();
    assert_eq!(private.to_pem().unwrap().trim(), text(&oracle["private"]).trim());
    assert_eq!(private.public_key().unwrap().pem(), text(&oracle["public"]).trim());
    let windows = text(&oracle["public"]).replace('\n', "\r\n");
    assert_eq!(PublicKey::from_pem(&windows).unwrap().pem(), public.pem());
}

#[test]
fn fingerprints_are_the_ones_salt_prints() {
    let (_, public) = pair();
    for (name, finger) in oracle()["fingers"].as_object().unwrap() {
        let hash = HashType::from_name(name).unwrap();
        assert_eq!(public.fingerprint_with(hash).to_string(), text(finger), "{name}");
    }
    assert_eq!(
        Fingerprint::parse(&format!(" {} ", public.fingerprint()).to_uppercase()),
        public.fingerprint()
    );
}

#[test]
fn opens_what_salt_encrypted() {
    let (private, _) = pair();
    let oracle = oracle();
    for (name, ciphertext) in oracle["oaep"].as_object().unwrap() {
        let algorithm = EncryptionAlgorithm::from_name(name).unwrap();
        let message = private.decrypt(&unhex(ciphertext), algorithm, &mut rand::thread_rng()).unwrap();
        assert_eq!(message, unhex(&oracle["message"]), "{name}");
    }
}

#[test]
fn signs_and_verifies_as_salt_does() {
    let (private, public) = pair();
    let oracle = oracle();
    let message = unhex(&oracle["message"]);
    for (name, signature) in oracle["signatures"].as_object().unwrap() {
        let algorithm = SigningAlgorithm::from_name(name).unwrap();
        let signature = unhex(signature);
        assert!(public.verify(&message, &signature, algorithm), "{name}");
        assert_eq!(private.sign(&message, algorithm, &mut rand::thread_rng()).unwrap(), signature, "{name}");
        assert!(!public.verify(b"another message", &signature, algorithm), "{name}");
    }
}

#[test]
fn x931_signatures_are_the_ones_salt_makes() {
    let (private, public) = pair();
    for (message, signature) in oracle()["x931"].as_object().unwrap() {
        let signature = unhex(signature);
        let ours = private.sign_x931(message.as_bytes(), &mut rand::thread_rng()).unwrap();
        assert_eq!(ours, signature, "{message}");
        assert_eq!(public.recover_x931(&signature).unwrap(), message.as_bytes(), "{message}");
    }
}

#[test]
fn x931_recovers_from_no_other_bytes() {
    let (private, public) = pair();
    let good = private.sign_x931(b"salt", &mut rand::thread_rng()).unwrap();
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..50 {
        let mut bad = good.clone();
        random.fill_bytes(&mut bad[100..116]);
        assert_ne!(public.recover_x931(&bad).as_deref(), Some(&b"salt"[..]));
    }
    assert_eq!(public.recover_x931(&[0xff; 256]), None);
    assert_eq!(public.recover_x931(&[]), None);
    assert_eq!(public.recover_x931(&[0xff; 300]), None);
}

#[test]
fn another_key_opens_nothing() {
    let (private, public) = pair();
    let mut random = StdRng::seed_from_u64(1);
    let other = PrivateKey::generate(1024, &mut random).unwrap();
    let ciphertext = public.encrypt(b"text", EncryptionAlgorithm::OaepSha1, &mut random).unwrap();
    let opened = other.decrypt(&ciphertext, EncryptionAlgorithm::OaepSha1, &mut random);
    assert_eq!(opened, Err(KeyError::Decrypt));
    let opened = private.decrypt(&ciphertext, EncryptionAlgorithm::OaepSha224, &mut random);
    assert_eq!(opened, Err(KeyError::Decrypt));
    assert_ne!(other.public_key().unwrap(), public);
}

#[test]
fn refuses_what_is_no_key() {
    assert!(matches!(PrivateKey::from_pem("hello"), Err(KeyError::Pem { kind: "private", .. })));
    assert!(matches!(PublicKey::from_pem("hello"), Err(KeyError::Pem { kind: "public", .. })));
    let (private, public) = pair();
    assert!(PrivateKey::from_pem(public.pem()).is_err());
    assert!(PublicKey::from_pem(&private.to_pem().unwrap()).is_err());
}

#[test]
fn a_key_shows_nothing_secret_in_debug_output() {
    let (private, public) = pair();
    assert_eq!(format!("{private:?}"), "PrivateKey(2048 bits)");
    assert_eq!(format!("{public:?}"), format!("PublicKey({})", public.fingerprint()));
}

#[test]
fn a_key_of_8192_bits_is_read_and_used() {
    // `openssl genrsa 8192`; the private half was thrown away.
    let public = PublicKey::from_pem(include_str!("../../tests/oracle/rsa8192.pub")).unwrap();
    let sealed = public.encrypt(b"text", EncryptionAlgorithm::OaepSha1, &mut rand::thread_rng()).unwrap();
    assert_eq!(sealed.len(), 1024);
}

#[test]
fn a_key_of_another_kind_is_named() {
    // `openssl genpkey -algorithm ed25519 | openssl pkey -pubout`
    let ed25519 = "-----BEGIN PUBLIC KEY-----\n\
                   MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let error = PublicKey::from_pem(ed25519).unwrap_err();
    assert!(error.to_string().ends_with("the key is none of RSA"), "{error}");
}

#[test]
fn a_public_key_is_also_read_in_its_older_form() {
    use rsa::pkcs1::EncodeRsaPublicKey;

    let (_, public) = pair();
    let older = public.key.to_pkcs1_pem(LineEnding::LF).unwrap();
    assert_eq!(PublicKey::from_pem(&older).unwrap(), public);
}
