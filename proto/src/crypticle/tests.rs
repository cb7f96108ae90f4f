use proptest::prelude::*;

use super::*;
use crate::Map;
use crate::msgpack::tests::any_value;

/// See tests/oracle/make.py.
fn oracle(name: &str) -> String {
    let oracle: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/oracle/crypto.json")).unwrap();
    oracle["crypticle"][name].as_str().unwrap().to_owned()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn load() -> Value {
    let mut kwargs = Map::new();
    kwargs.insert("__kwarg__", true);
    kwargs.insert("x", "é");
    let mut load = Map::new();
    load.insert("fun", "test.ping");
    load.insert("arg", Value::List(vec![1.into(), Value::Nil, 2.5.into(), kwargs.into()]));
    load.insert("data", vec![0xff_u8, 0]);
    load.into()
}

#[test]
fn opens_what_salt_sealed() {
    let crypticle = Crypticle::from_text(&oracle("text")).unwrap();
    assert_eq!(crypticle.open(&unhex(&oracle("sealed")), Strings::Text).unwrap(), load());
    let nonce = Nonce::parse(&oracle("nonce")).unwrap();
    let reply = unhex(&oracle("reply"));
    assert_eq!(crypticle.open_reply(&reply, &nonce, Strings::Text).unwrap(), load());
    let other = Nonce::generate(&mut rand::thread_rng());
    assert_eq!(crypticle.open_reply(&reply, &other, Strings::Text), Err(CrypticleError::Nonce));
}

#[test]
fn both_dialects_are_byte_for_byte_salts() {
    assert_eq!(msgpack::encode(&load()), unhex(&oracle("wire")));
    assert_eq!(msgpack::encode_modern(&load()), unhex(&oracle("modern")));
}

#[test]
fn refuses_every_flipped_bit_before_decrypting() {
    let mut rng = rand::thread_rng();
    let crypticle = Crypticle::generate(&mut rng);
    let boxed = crypticle.seal(&load(), &mut rng);
    for at in 0..boxed.len() {
        let mut bad = boxed.clone();
        bad[at] ^= 1;
        assert_eq!(crypticle.open(&bad, Strings::Text), Err(CrypticleError::Hmac), "byte {at}");
        assert!(crypticle.open(&boxed[..at], Strings::Text).is_err());
    }
    assert_eq!(Crypticle::generate(&mut rng).open(&boxed, Strings::Text), Err(CrypticleError::Hmac));
}

#[test]
fn refuses_authentic_plaintext_that_is_no_payload() {
    let mut rng = rand::thread_rng();
    let crypticle = Crypticle::generate(&mut rng);
    let boxed = crypticle.encrypt(b"hello", &mut rng);
    assert_eq!(crypticle.open(&boxed, Strings::Text), Err(CrypticleError::Payload));
    let boxed = crypticle.encrypt(b"pickle::", &mut rng);
    assert!(matches!(crypticle.open(&boxed, Strings::Text), Err(CrypticleError::Decode(_))));
}

#[test]
fn refuses_a_key_of_another_size() {
    assert_eq!(Crypticle::from_text("c2hvcnQ="), Err(CrypticleError::Key));
    assert_eq!(Crypticle::from_text("not base64!"), Err(CrypticleError::Key));
    let crypticle = Crypticle::generate(&mut rand::thread_rng());
    assert_eq!(crypticle.text().len(), 76);
    assert_eq!(Crypticle::from_text(crypticle.text()).unwrap(), crypticle);
    assert_eq!(format!("{crypticle:?}"), "Crypticle(..)");
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_the_same(value in any_value()) {
        let mut rng = rand::thread_rng();
        let crypticle = Crypticle::generate(&mut rng);
        let boxed = crypticle.seal(&value, &mut rng);
        prop_assert_eq!(crypticle.open(&boxed, Strings::Text).unwrap(), value);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut rng = rand::thread_rng();
        let crypticle = Crypticle::generate(&mut rng);
        prop_assert!(crypticle.decrypt(&bytes).is_err());
        let boxed = crypticle.encrypt(&bytes, &mut rng);
        prop_assert_eq!(crypticle.decrypt(&boxed).unwrap(), bytes.clone());
        let _ = crypticle.open(&boxed, Strings::Raw);
    }
}
