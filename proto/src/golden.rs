//! Every golden frame of tests/golden, opened with this crate: what unmodified masters and minions of three series
//! said to each other must read as Salt itself read it, and encode back to the very bytes.

use std::fs;
use std::path::PathBuf;

use rand::thread_rng;
use serde_json::Value as Json;

use crate::auth::{AuthRequest, AuthSession, AuthSettings, MasterTrust, Next, Pin};
use crate::envelope::Envelope;
use crate::pillar::PillarKeys;
use crate::publish::{PublishReader, UnsignedPublishes};
use crate::serve::Incoming;
use crate::{
    Crypticle, EncryptionAlgorithm, MinionId, Nonce, PrivateKey, PublicKey, Session, SigningAlgorithm,
};
use crate::{Strings, Value, msgpack};

const SERIES: [&str; 3] = ["3006.28", "3007.15", "3008.3"];

struct Keys {
    id: MinionId,
    minion: PrivateKey,
    master: PublicKey,
}

struct Golden {
    name: String,
    json: Json,
}

fn folder(series: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", series].iter().collect()
}

fn read(path: &PathBuf) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn keys(series: &str) -> Keys {
    let json = read(&folder(series).join("keys.json"));
    let text = |name: &str| json[name].as_str().unwrap();
    Keys {
        id: MinionId::parse(text("minion_id")).unwrap(),
        minion: PrivateKey::from_pem(text("minion_pem")).unwrap(),
        master: PublicKey::from_pem(text("master_pub")).unwrap(),
    }
}

fn all(series: &str, wanted: impl Fn(&str) -> bool) -> Vec<Golden> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(series)).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if wanted(&stem) && stem != "keys" && stem != "zmtp" {
            found.push(Golden { name: format!("{series}/{stem}"), json: read(&path) });
        }
    }
    assert!(!found.is_empty(), "no golden frames of {series}");
    found
}

impl Golden {
    fn frame(&self, side: &str) -> Vec<u8> {
        unhex(self.json[side].as_array().unwrap().last().unwrap().as_str().unwrap())
    }

    fn key(&self, name: &str) -> Crypticle {
        Crypticle::from_text(self.json["keys"][name].as_str().unwrap()).unwrap()
    }

    fn nonce(&self) -> Nonce {
        Nonce::parse(self.json["opened_request"]["nonce"].as_str().unwrap()).unwrap()
    }
}

impl Keys {
    fn settings(&self, pinned: Option<PublicKey>) -> AuthSettings {
        AuthSettings {
            id: self.id.clone(),
            key: self.minion.clone(),
            public_key: self.minion.public_key().unwrap(),
            encryption: EncryptionAlgorithm::default(),
            signing: SigningAlgorithm::default(),
            autosign_grains: None,
            trust: MasterTrust { pinned, ..MasterTrust::default() },
        }
    }

    fn session(&self, golden: &Golden) -> Session {
        Session::new(&self.settings(None), golden.key("session"), Vec::new())
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The capture's JSON as a value: see tests/golden/README.md.
fn from_json(json: &Json) -> Value {
    match json {
        Json::Object(map) if map.len() == 1 && map.contains_key("bytes") => {
            Value::Bytes(unhex(map["bytes"].as_str().unwrap()))
        }
        Json::Object(map) if map.len() == 1 && map.contains_key("pairs") => {
            let pairs = map["pairs"].as_array().unwrap().iter();
            Value::Map(pairs.map(|pair| (from_json(&pair[0]), from_json(&pair[1]))).collect())
        }
        Json::Object(map) => Value::Map(map.iter().map(|(key, value)| (key, from_json(value))).collect()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => crate::to_value(json),
    }
}

/// What Salt read, except for the fields that only the wire needs.
fn expected(json: &Json) -> Value {
    let mut value = from_json(json);
    if let Value::Map(map) = &mut value {
        for name in ["nonce", "tok", "serial"] {
            map.remove(name);
        }
    }
    // The capture tells text from bytes as Python's types do; here the wire's rule counts.
    msgpack::decode(&msgpack::encode(&value)).unwrap()
}

#[test]
fn every_request_opens_to_what_salt_read() {
    for series in SERIES {
        let keys = keys(series);
        let public = keys.minion.public_key().unwrap();
        for golden in all(series, |stem| !stem.starts_with("auth") && !stem.starts_with("publish")) {
            let Ok(Incoming::Sealed(sealed)) = Incoming::decode(&golden.frame("request")) else {
                panic!("{}", golden.name)
            };
            let request = sealed.open(&golden.key("session"), &public).unwrap();
            assert_eq!(request.nonce, golden.nonce(), "{}", golden.name);
            let load = Value::Map(request.load);
            assert_eq!(load, expected(&golden.json["opened_request"]), "{}", golden.name);
        }
    }
}

#[test]
fn every_reply_opens_to_what_salt_read() {
    for series in SERIES {
        let keys = keys(series);
        let plain = |stem: &str| !["auth", "publish", "pillar"].iter().any(|name| stem.starts_with(name));
        for golden in all(series, plain) {
            let opened = keys.session(&golden).open(&golden.frame("reply"), &golden.nonce(), Strings::Text);
            assert_eq!(opened.unwrap(), expected(&golden.json["opened_reply"]), "{}", golden.name);
        }
    }
}

#[test]
fn every_publish_opens_to_what_salt_read() {
    for series in SERIES {
        for golden in all(series, |stem| stem.starts_with("publish")) {
            let master = keys(series).master;
            let mut reader = PublishReader::new(golden.key("aes"), master, UnsignedPublishes::Refuse);
            let publish = reader.open(&golden.frame("message")).unwrap();
            assert_eq!(Value::Map(publish.load), expected(&golden.json["opened_message"]), "{}", golden.name);
        }
    }
}

#[test]
fn every_pillar_opens_to_what_salt_read() {
    for series in SERIES {
        let keys = keys(series);
        for golden in all(series, |stem| stem == "pillar") {
            let checks = PillarKeys { minion: &keys.minion, master: &keys.master };
            let session = keys.session(&golden);
            let pillar =
                session.open_pillar(&golden.frame("reply"), &golden.nonce(), checks, &mut thread_rng());
            assert_eq!(
                pillar.unwrap(),
                expected(&golden.json["opened_reply"]["signed"]["pillar"]),
                "{}",
                golden.name
            );
        }
    }
}

#[test]
fn every_authentication_ends_as_it_did_for_salt() {
    for series in SERIES {
        let keys = keys(series);
        for golden in all(series, |stem| stem.starts_with("auth") && stem != "auth_again") {
            for pinned in [None, Some(keys.master.clone())] {
                let settings = keys.settings(pinned.clone());
                let session = AuthSession::resume(&settings, golden.nonce());
                let next = session.handle(&golden.frame("reply"), &mut thread_rng()).unwrap();
                let expected = golden.json["name"].as_str().unwrap();
                match next {
                    Next::Pending => assert_eq!(expected, "auth_pending"),
                    Next::Rejected => assert_eq!(expected, "auth_rejected"),
                    Next::Full => panic!("{}", golden.name),
                    Next::Accepted(accepted) => {
                        assert_eq!(expected, "auth_accepted");
                        assert_eq!(accepted.aes, golden.key("aes"));
                        assert_eq!(accepted.master_key, keys.master);
                        assert_eq!(accepted.pin, if pinned.is_some() { Pin::Known } else { Pin::FirstSeen });
                    }
                }
            }
        }
    }
}

#[test]
fn a_known_master_returns_the_token_that_was_sent() {
    for series in SERIES {
        let keys = keys(series);
        let json = read(&folder(series).join("keys.json"));
        let master = PrivateKey::from_pem(json["master_pem"].as_str().unwrap()).unwrap();
        for golden in all(series, |stem| stem == "auth_again") {
            let sent = from_json(&golden.json["opened_request"]["token"]).into_bytes().unwrap();
            let token = master.decrypt(&sent, EncryptionAlgorithm::default(), &mut thread_rng()).unwrap();
            let settings = keys.settings(Some(keys.master.clone()));
            let mut session = AuthSession::resume(&settings, golden.nonce());
            session.expect_token(String::from_utf8(token).unwrap());
            let next = session.handle(&golden.frame("reply"), &mut thread_rng()).unwrap();
            assert!(matches!(next, Next::Accepted(accepted) if accepted.aes == golden.key("aes")));
        }
    }
}

#[test]
fn every_authentication_request_reads_as_salt_wrote_it() {
    for series in SERIES {
        let keys = keys(series);
        for golden in all(series, |stem| stem.starts_with("auth")) {
            let Ok(Incoming::Clear(load)) = Incoming::decode(&golden.frame("request")) else {
                panic!("{}", golden.name)
            };
            let request = AuthRequest::from_load(&load).unwrap();
            assert_eq!(request.public_key, keys.minion.public_key().unwrap(), "{}", golden.name);
        }
    }
}

/// Salt's own bytes, decoded and encoded again, must not change: otherwise our dialect is not Salt's.
#[test]
fn every_message_encodes_back_to_the_same_bytes() {
    for series in SERIES {
        for golden in all(series, |_| true) {
            for side in ["request", "reply", "message"] {
                if golden.json[side].is_null() {
                    continue;
                }
                let frame = golden.frame(side);
                let value = msgpack::decode(&frame).unwrap();
                assert_eq!(msgpack::encode(&value), frame, "{} {side}", golden.name);
                let Ok(envelope) = Envelope::decode(&frame) else { continue };
                let Some(boxed) = envelope.load.as_bytes() else { continue };
                let key = if side == "message" { "aes" } else { "session" };
                let Ok(plain) = Crypticle::decrypt(&golden.key_or_any(key), boxed) else { continue };
                let load = plain.strip_prefix(b"pickle::").unwrap();
                let value = msgpack::decode(load).unwrap();
                assert_eq!(msgpack::encode(&value), load, "{} {side} inside", golden.name);
            }
        }
    }
}

impl Golden {
    /// The key, or one that opens nothing where the capture has none.
    fn key_or_any(&self, name: &str) -> Crypticle {
        let text = self.json["keys"][name].as_str();
        text.map_or_else(
            || Crypticle::generate(&mut thread_rng()),
            |text| Crypticle::from_text(text).unwrap(),
        )
    }
}

#[test]
fn the_token_of_every_request_is_the_one_this_crate_signs() {
    for series in SERIES {
        let keys = keys(series);
        let tok = keys.minion.sign_x931(b"salt", &mut thread_rng()).unwrap();
        for golden in all(series, |stem| stem.starts_with("return") || stem == "pillar") {
            let sent = from_json(&golden.json["opened_request"]["tok"]);
            assert_eq!(sent.as_bytes().unwrap(), tok, "{}", golden.name);
        }
    }
}
