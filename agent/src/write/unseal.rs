//! Parameters that were sealed before they were submitted, so that a master's job cache and event bus hold none in clear.
//!
//! The agent has an age identity of its own; `mssql_write.recipient` tells its public half. What is sealed for it is a JSON
//! mapping of parameters, given in base64 or armored, and is held to exactly what clear parameters are. Sealing hides;
//! it proves nothing about who sealed: whoever may submit may still submit anything that the definition allows.
//!
//! The private half lies beside the store, protected as the store's own key is. It outlives a store that is made anew, so
//! an integrator need not ask again. Invariant: no error here quotes what was given or what was in it.

use std::fmt;
use std::io::Read;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use states::{Map, Value};

use crate::store::{Store, StoreError};

use super::error::WriteError;

/// The parameters of a submission as they came.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// In clear.
    Clear(Map),
    /// An age file, in base64 or armored.
    Sealed(String),
}

/// The agent's own identity, made on first use.
#[derive(Clone)]
pub struct OwnIdentity {
    store: Arc<Store>,
    identity: Arc<OnceLock<Identity>>,
}

impl fmt::Debug for OwnIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnIdentity(***)")
    }
}

impl OwnIdentity {
    /// The identity that lies beside `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, identity: Arc::default() }
    }

    /// What to seal for: an age public key.
    ///
    /// # Errors
    /// The key file cannot be read or made.
    pub fn recipient(&self) -> Result<String, StoreError> {
        Ok(self.identity()?.to_public().to_string())
    }

    /// The parameters in clear.
    ///
    /// # Errors
    /// [`WriteError::Sealed`] when they cannot be opened, or the key file cannot be used.
    pub fn open(&self, given: &Given) -> Result<Map, WriteError> {
        match given {
            Given::Clear(params) => Ok(params.clone()),
            Given::Sealed(text) => {
                let identity = self.identity()?;
                let refused = |why| WriteError::Sealed { why, recipient: identity.to_public().to_string() };
                parameters(&opened(identity, text).map_err(refused)?).ok_or_else(|| refused(NO_MAPPING))
            }
        }
    }

    fn identity(&self) -> Result<&Identity, StoreError> {
        if let Some(identity) = self.identity.get() {
            return Ok(identity);
        }
        let made = || Identity::generate().to_string().expose_secret().as_bytes().to_vec();
        let bytes = self.store.key_beside(SUFFIX, made)?;
        let read = std::str::from_utf8(&bytes).ok().and_then(|text| Identity::from_str(text.trim()).ok());
        let identity = read.ok_or_else(|| self.store.bad_key_beside(SUFFIX))?;
        Ok(self.identity.get_or_init(|| identity))
    }
}

fn opened(identity: &Identity, text: &str) -> Result<Vec<u8>, &'static str> {
    if text.len() > LARGEST {
        return Err("it is larger than 1 MiB");
    }
    let given = text.trim();
    if given.starts_with(ARMOR) {
        return decrypted(identity, age::armor::ArmoredReader::new(given.as_bytes()));
    }
    let given: String = given.split_ascii_whitespace().collect();
    let file = STANDARD.decode(given).map_err(|_| NO_AGE_FILE)?;
    // `base64` of an armored file is what a pipe easily makes; the reader takes both.
    decrypted(identity, age::armor::ArmoredReader::new(&*file))
}

fn decrypted(identity: &Identity, file: impl Read) -> Result<Vec<u8>, &'static str> {
    let decryptor = age::Decryptor::new(file).map_err(|_| NO_AGE_FILE)?;
    let reader = decryptor
        .decrypt(std::iter::once(identity as &dyn age::Identity))
        .map_err(|_| "it is not sealed for this minion, or was changed")?;
    let mut clear = Vec::new();
    reader.take(LARGEST as u64).read_to_end(&mut clear).map_err(|_| "it was cut or changed on its way")?;
    Ok(clear)
}

fn parameters(clear: &[u8]) -> Option<Map> {
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(clear).ok()?;
    match states::to_value(&json) {
        Value::Map(map) => Some(map),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::List(_) => None,
    }
}

const SUFFIX: &str = ".params.key";
const ARMOR: &str = "-----BEGIN AGE";
const NO_AGE_FILE: &str = "it is no age file";
const NO_MAPPING: &str = "what was sealed is no JSON mapping of parameters";
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn own(folder: &tempfile::TempDir) -> OwnIdentity {
        OwnIdentity::new(Arc::new(Store::open(&folder.path().join("store.sqlite")).unwrap()))
    }

    fn sealed_for(recipient: &str, clear: &[u8]) -> Vec<u8> {
        let key = age::x25519::Recipient::from_str(recipient).unwrap();
        let encryptor =
            age::Encryptor::with_recipients(std::iter::once(&key as &dyn age::Recipient)).unwrap();
        let mut file = Vec::new();
        let mut writer = encryptor.wrap_output(&mut file).unwrap();
        writer.write_all(clear).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn what_was_sealed_for_the_agent_opens_after_a_restart_and_without_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let recipient = own(&folder).recipient().unwrap();
        let file = sealed_for(&recipient, br#"{"id": 7, "note": "a", "fee": "12.50", "gone": null}"#);
        let text = STANDARD.encode(&file);
        let wrapped: String =
            text.as_bytes().chunks(76).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
        std::fs::remove_file(folder.path().join("store.sqlite")).unwrap();
        for given in [text, wrapped] {
            let params = own(&folder).open(&Given::Sealed(given)).unwrap();
            assert_eq!(params.get("id"), Some(&Value::from(7)));
            assert_eq!((params.get("fee"), params.get("gone")), (Some(&"12.50".into()), Some(&Value::Nil)));
        }
        assert_eq!(own(&folder).recipient().unwrap(), recipient);
    }

    #[test]
    fn what_cannot_be_opened_is_refused_in_words_that_quote_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let own = own(&folder);
        let recipient = own.recipient().unwrap();
        let other = Identity::generate().to_public().to_string();
        let whole = sealed_for(&recipient, br#"{"note": "canary"}"#);
        let cut = &whole[..whole.len() - 3];
        let cases = [
            ("canary".to_owned(), NO_AGE_FILE),
            (STANDARD.encode("canary"), NO_AGE_FILE),
            (STANDARD.encode(sealed_for(&other, br#"{"note": "canary"}"#)), "not sealed for this minion"),
            (STANDARD.encode(cut), "cut or changed"),
            (STANDARD.encode(sealed_for(&recipient, b"[\"canary\"]")), NO_MAPPING),
            (STANDARD.encode(sealed_for(&recipient, b"canary: {")), NO_MAPPING),
            ("x".repeat(LARGEST + 1), "larger than"),
        ];
        for (given, why) in cases {
            let error = own.open(&Given::Sealed(given)).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("canary"), "{error}");
            assert!(error.contains(&recipient), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_agent_reads_its_identity() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let shown = format!("{:?}", {
            let own = own(&folder);
            own.recipient().unwrap();
            own
        });
        assert!(!shown.contains("AGE-SECRET"));
        let mode =
            std::fs::metadata(folder.path().join("store.sqlite.params.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
