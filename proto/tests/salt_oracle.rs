//! Salt's own code opens, verifies and recovers what this crate makes: `tests/oracle/make.py check`, run with the
//! Python of each Salt that is installed (see tests/run).

#![expect(clippy::unwrap_used, reason = "test helpers outside a test function")]

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use proto::{Crypticle, EncryptionAlgorithm, Map, Nonce, PrivateKey, SigningAlgorithm};
use serde_json::{Map as Json, json};

#[test]
fn salt_opens_what_this_crate_makes() {
    let mut seen = 0;
    for series in ["3006.28", "3007.15", "3008.3"] {
        let Some(python) = python(series) else { continue };
        seen += 1;
        let made = tempfile_path(series);
        std::fs::write(&made, make()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/make.py");
        let output = Command::new(python).arg(script).arg("check").arg(&made).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        std::fs::remove_file(&made).unwrap();
        assert!(output.status.success(), "Salt {series}: {said}");
    }
    if seen == 0 {
        skipped("proto on Salt's own code: no series of Salt is installed (tests/run installs them)");
    }
}

/// Says so past libtest's capture, where `tests/run` counts it; in CI real Salt must be there.
fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED {why}\n").as_bytes()).unwrap();
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!in_ci, "must run in CI: {why}");
}

fn python(series: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let python = cache.join(format!("salt-peers/salt-{series}/bin/python"));
    python.exists().then_some(python)
}

fn tempfile_path(series: &str) -> PathBuf {
    std::env::temp_dir().join(format!("proto-oracle-{}-{series}.json", std::process::id()))
}

fn make() -> String {
    let mut rng = rand::thread_rng();
    let key = PrivateKey::generate(2048, &mut rng).unwrap();
    let public = key.public_key().unwrap();
    let message = b"to be opened by Salt";
    let mut oaep = Json::new();
    for algorithm in [EncryptionAlgorithm::OaepSha1, EncryptionAlgorithm::OaepSha224] {
        oaep.insert(
            algorithm.name().into(),
            hex(&public.encrypt(message, algorithm, &mut rng).unwrap()).into(),
        );
    }
    let mut signatures = Json::new();
    for algorithm in [SigningAlgorithm::Pkcs1v15Sha1, SigningAlgorithm::Pkcs1v15Sha224] {
        signatures
            .insert(algorithm.name().into(), hex(&key.sign(message, algorithm, &mut rng).unwrap()).into());
    }
    let mut x931 = Json::new();
    for text in (0..20).map(|number| format!("salt {number}")) {
        let signature = key.sign_x931(text.as_bytes(), &mut rng).unwrap();
        x931.insert(text, hex(&signature).into());
    }
    let crypticle = Crypticle::generate(&mut rng);
    let nonce = Nonce::generate(&mut rng);
    let load = Map::from([("fun", "test.ping")]).into();
    let made = json!({
        "private": key.to_pem().unwrap(),
        "public": public.pem(),
        "message": hex(message),
        "oaep": oaep,
        "signatures": signatures,
        "x931": x931,
        "crypticle": {
            "text": crypticle.text(),
            "nonce": nonce.as_str(),
            "sealed": hex(&crypticle.seal(&load, &mut rng)),
            "reply": hex(&crypticle.seal_reply(&load, &nonce, &mut rng)),
        },
    });
    made.to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
