//! The minion's side: one attempt at `_auth`, from request to answer.
//!
//! Salt's minion decrypts before it checks the outer signature; here every signature is checked first, so no private
//! operation runs on bytes the pinned master did not sign. The set of accepted answers is the same, except that Salt
//! stores a first-seen key before it compares `master_finger` and this does not: nothing is pinned by a failure.

use sha2::{Digest, Sha256};

use crate::envelope::{Enc, Envelope, EnvelopeError};
use crate::key::HashType;
use crate::msgpack::{self, DecodeError};
use crate::request::Session;
use crate::{Crypticle, CrypticleError, EncryptionAlgorithm, Fingerprint, KeyError, Map, MinionId, Nonce};
use crate::{PrivateKey, PublicKey, Random, SigningAlgorithm, Value};

/// Who the minion is and whom it trusts.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The minion's id.
    pub id: MinionId,
    /// `minion.pem`.
    pub key: PrivateKey,
    /// `minion.pub`.
    pub public_key: PublicKey,
    /// `encryption_algorithm`.
    pub encryption: EncryptionAlgorithm,
    /// `signing_algorithm`.
    pub signing: SigningAlgorithm,
    /// The grains named by `autosign_grains`, with their values.
    pub autosign_grains: Option<Map>,
    /// Which master key is taken.
    pub trust: MasterTrust,
}

/// Which master key is taken.
#[derive(Debug, Clone, Default)]
pub struct MasterTrust {
    /// `minion_master.pub`, if a master was met before.
    pub pinned: Option<PublicKey>,
    /// `master_finger` and the `hash_type` it was made with.
    pub finger: Option<(Fingerprint, HashType)>,
    /// `master_sign.pub`, when `verify_master_pubkey_sign` is on.
    pub signer: Option<PublicKey>,
    /// `always_verify_signature`: the operator's signature must also cover a key that is already pinned.
    pub always_verify_signature: bool,
}

/// One attempt: a request that was made, and what is needed to judge its answer.
#[derive(Debug)]
pub struct AuthSession<'a> {
    settings: &'a AuthSettings,
    nonce: Nonce,
    token: Option<String>,
    request: Vec<u8>,
}

/// What a well-formed answer says.
#[derive(Debug)]
pub enum Next {
    /// The key is accepted and these are the shared keys.
    Accepted(Box<Accepted>),
    /// The key waits for the operator.
    Pending,
    /// The key is rejected or denied at the master.
    Rejected,
    /// The master has `max_minions` already.
    Full,
}

/// An accepted minion's shared keys.
#[derive(Debug)]
pub struct Accepted {
    /// Seals requests and opens their replies.
    pub session: Session,
    /// Opens publishes.
    pub aes: Crypticle,
    /// Where the master publishes.
    pub publish_port: u16,
    /// The master's key.
    pub master_key: PublicKey,
    /// Whether the caller has to store the master's key.
    pub pin: Pin,
}

/// How an accepted master key relates to the pinned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// It is the pinned key.
    Known,
    /// There was none: store it.
    FirstSeen,
    /// It differs, and the operator's signature covers it: store it.
    Replaced,
}

/// Who has to act on a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The master or its configuration, or somebody who poses as it.
    Master,
    /// This minion or its configuration.
    Minion,
    /// What lies between; another attempt may well succeed.
    Wire,
}

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The request could not be made.
    #[error("the authentication request cannot be made with this minion's keys")]
    Request(#[source] KeyError),
    /// A plain refusal, such as `bad load`.
    #[error("the master refused to read the authentication request: it answered {answer:?}")]
    Refused {
        /// The answer.
        answer: String,
    },
    /// No envelope.
    #[error("the master's answer is malformed")]
    Envelope(#[source] EnvelopeError),
    /// The signed load is not msgpack.
    #[error("the master's signed answer cannot be decoded")]
    Decode(#[source] DecodeError),
    /// A field is missing or of the wrong kind.
    #[error("the master's answer has no valid {field:?}")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// The master does not support an algorithm.
    #[error(
        "the master does not support {algorithm}: change `{option}` on this minion, or the master's FIPS setting"
    )]
    Algorithm {
        /// The algorithm offered.
        algorithm: &'static str,
        /// The minion's option for it.
        option: &'static str,
    },
    /// A cluster of masters that is not ready.
    #[error("the master's cluster is not ready to answer")]
    ClusterNotReady,
    /// The answer is not signed.
    #[error("the master's answer is not signed")]
    Unsigned,
    /// The master shows another key than the pinned one.
    #[error(
        "Invalid master key: the master now shows {offered}, pinned is {pinned}. If the master was replaced on \
         purpose, remove minion_master.pub; if not, somebody poses as the master"
    )]
    MasterKeyChanged {
        /// Fingerprint of the pinned key.
        pinned: Fingerprint,
        /// Fingerprint of the key shown.
        offered: Fingerprint,
    },
    /// The master's key is not the one `master_finger` names.
    #[error("the master's key {offered} does not match master_finger {expected}")]
    MasterFinger {
        /// What is configured.
        expected: Fingerprint,
        /// What the master shows.
        offered: Fingerprint,
    },
    /// The answer is not signed by the master's key.
    #[error("Invalid signature: the answer is not signed by the master key {expected}")]
    Signature {
        /// Fingerprint of the key that should have signed.
        expected: Fingerprint,
    },
    /// The answer belongs to another request.
    #[error("Invalid nonce: the answer belongs to another request")]
    Nonce,
    /// The shared keys are not encrypted for this minion.
    #[error("the master's {field:?} is not encrypted for this minion's key")]
    Secret {
        /// Which.
        field: &'static str,
    },
    /// A shared key is not a Crypticle key.
    #[error("the master's {field:?} is not a shared key")]
    SharedKey {
        /// Which.
        field: &'static str,
        /// Why.
        source: CrypticleError,
    },
    /// The signature over the shared key is not the master's.
    #[error("the shared key is not signed by the master key {expected}")]
    SharedKeySignature {
        /// Fingerprint of the key that should have signed.
        expected: Fingerprint,
    },
    /// The master did not prove that it holds its private key.
    #[error("the master failed to decrypt the random minion token")]
    Token,
    /// `verify_master_pubkey_sign` is on and the master sends no signature.
    #[error(
        "the master did not send its public-key signature, but verify_master_pubkey_sign is on: \
         turn master_sign_pubkey on at the master, or this off"
    )]
    PublicKeyUnsigned,
    /// The master sends a signature, and `verify_master_pubkey_sign` is off.
    #[error(
        "the master sends its public-key signature, but verify_master_pubkey_sign is off: \
         turn it on, or master_sign_pubkey off at the master"
    )]
    PublicKeySignedUnasked,
    /// The signature over the master's key is not the operator's.
    #[error("the operator's signature does not cover the master key {offered}")]
    PublicKeySignature {
        /// Fingerprint of the key shown.
        offered: Fingerprint,
    },
}

impl AuthError {
    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Request(_) | Self::Algorithm { .. } | Self::PublicKeySignedUnasked => Fault::Minion,
            Self::Envelope(_) | Self::Decode(_) | Self::Nonce | Self::ClusterNotReady => Fault::Wire,
            Self::Refused { .. } | Self::Field { .. } | Self::Unsigned | Self::MasterKeyChanged { .. } => {
                Fault::Master
            }
            Self::MasterFinger { .. } | Self::Signature { .. } | Self::Secret { .. } => Fault::Master,
            Self::SharedKey { .. } | Self::SharedKeySignature { .. } | Self::Token => Fault::Master,
            Self::PublicKeyUnsigned | Self::PublicKeySignature { .. } => Fault::Master,
        }
    }

    /// True when the next attempt may succeed without anybody acting.
    pub fn is_retryable(&self) -> bool {
        self.fault() == Fault::Wire
    }
}

impl<'a> AuthSession<'a> {
    /// Makes the request of one attempt. Repeat it as it is when no answer comes in time.
    ///
    /// # Errors
    /// [`AuthError::Request`] when the minion's or the pinned key cannot be used.
    pub fn new(settings: &'a AuthSettings, rng: &mut dyn Random) -> Result<Self, AuthError> {
        let nonce = Nonce::generate(rng);
        let mut load = Map::new();
        load.insert("cmd", "_auth");
        load.insert("id", settings.id.as_str());
        load.insert("nonce", nonce.as_str());
        load.insert("enc_algo", settings.encryption.name());
        load.insert("sig_algo", settings.signing.name());
        if let Some(grains) = &settings.autosign_grains {
            load.insert("autosign_grains", grains.clone());
        }
        let mut token = None;
        if let Some(pinned) = &settings.trust.pinned {
            let text = Crypticle::generate(rng).text().to_owned();
            let sealed =
                pinned.encrypt(text.as_bytes(), settings.encryption, rng).map_err(AuthError::Request)?;
            load.insert("token", sealed);
            token = Some(text);
        }
        load.insert("pub", settings.public_key.pem());
        Ok(Self { settings, nonce, token, request: Envelope::clear(load).encode() })
    }

    /// The message to send.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Judges the answer.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub fn handle(self, answer: &[u8], rng: &mut dyn Random) -> Result<Next, AuthError> {
        let envelope = Envelope::decode(answer).map_err(|error| match error {
            EnvelopeError::Answer(answer) => AuthError::Refused { answer },
            EnvelopeError::Decode(_) | EnvelopeError::Form { .. } => AuthError::Envelope(error),
        })?;
        if envelope.enc != Enc::Clear {
            return Err(AuthError::Field { field: "enc" });
        }
        if let Some(load) = envelope.load.as_map() {
            return Err(self.unsigned(load));
        }
        let signed = envelope.load.as_bytes().ok_or(AuthError::Field { field: "load" })?;
        let signature = envelope.signature().ok_or(AuthError::Unsigned)?;
        let load = msgpack::decode(signed).map_err(AuthError::Decode)?;
        let load = load.into_map().ok_or(AuthError::Field { field: "load" })?;
        if load.contains_key("pub_key") {
            let (master_key, pin) = self.judge_master_key(&load)?;
            self.check_signature(&master_key, signed, signature)?;
            self.check_nonce(&load)?;
            self.accept(&load, master_key, pin, rng)
        } else {
            if let Some(pinned) = &self.settings.trust.pinned {
                self.check_signature(pinned, signed, signature)?;
            }
            self.check_nonce(&load)?;
            not_accepted(&load)
        }
    }

    /// An answer without signature is never more than a reason to give up this attempt.
    fn unsigned(&self, load: &Map) -> AuthError {
        if load.get("cluster_retry").is_some_and(Value::is_truthy) {
            return AuthError::ClusterNotReady;
        }
        match load.get("ret").and_then(Value::as_str) {
            Some("bad sig algo") => {
                AuthError::Algorithm { algorithm: self.settings.signing.name(), option: "signing_algorithm" }
            }
            Some("bad enc algo") => AuthError::Algorithm {
                algorithm: self.settings.encryption.name(),
                option: "encryption_algorithm",
            },
            Some(_) | None => AuthError::Unsigned,
        }
    }

    fn judge_master_key(&self, load: &Map) -> Result<(PublicKey, Pin), AuthError> {
        let pem = text(load, "pub_key")?;
        let offered = PublicKey::from_pem(pem).map_err(|_| AuthError::Field { field: "pub_key" })?;
        let trust = &self.settings.trust;
        let pin = match &trust.pinned {
            None => Pin::FirstSeen,
            Some(pinned) if *pinned == offered => Pin::Known,
            Some(_) => Pin::Replaced,
        };
        self.check_operator_signature(load, pem, &offered, pin)?;
        if let (Pin::Replaced, None, Some(pinned)) = (pin, &trust.signer, &trust.pinned) {
            let (pinned, offered) = (pinned.fingerprint(), offered.fingerprint());
            return Err(AuthError::MasterKeyChanged { pinned, offered });
        }
        if let Some((expected, hash)) = &trust.finger
            && offered.fingerprint_with(*hash) != *expected
        {
            let offered = offered.fingerprint_with(*hash);
            return Err(AuthError::MasterFinger { expected: expected.clone(), offered });
        }
        Ok((offered, pin))
    }

    fn check_operator_signature(
        &self,
        load: &Map,
        pem: &str,
        offered: &PublicKey,
        pin: Pin,
    ) -> Result<(), AuthError> {
        let trust = &self.settings.trust;
        match (&trust.signer, load.get("pub_sig")) {
            (None, None) => Ok(()),
            // A changed key is the graver news than a setting that differs.
            (None, Some(_)) if pin == Pin::Replaced => Ok(()),
            (None, Some(_)) => Err(AuthError::PublicKeySignedUnasked),
            (Some(_), None) => Err(AuthError::PublicKeyUnsigned),
            (Some(_), Some(_)) if pin == Pin::Known && !trust.always_verify_signature => Ok(()),
            (Some(signer), Some(signature)) => {
                let signature = signature.as_bytes().and_then(super::master::from_base64).unwrap_or_default();
                if signer.verify(pem.as_bytes(), &signature, self.settings.signing) {
                    Ok(())
                } else {
                    Err(AuthError::PublicKeySignature { offered: offered.fingerprint() })
                }
            }
        }
    }

    fn check_signature(&self, key: &PublicKey, signed: &[u8], signature: &[u8]) -> Result<(), AuthError> {
        if key.verify(signed, signature, self.settings.signing) {
            Ok(())
        } else {
            Err(AuthError::Signature { expected: key.fingerprint() })
        }
    }

    fn check_nonce(&self, load: &Map) -> Result<(), AuthError> {
        if load.get("nonce").and_then(Value::as_str) == Some(self.nonce.as_str()) {
            Ok(())
        } else {
            Err(AuthError::Nonce)
        }
    }

    fn accept(
        self,
        load: &Map,
        master_key: PublicKey,
        pin: Pin,
        rng: &mut dyn Random,
    ) -> Result<Next, AuthError> {
        let settings = self.settings;
        let aes_text = self.secret(load, "aes", rng)?;
        check_shared_key(&master_key, &aes_text, bytes(load, "sig")?)?;
        if pin == Pin::Known {
            self.check_token(load, rng)?;
        }
        let session_text = self.secret(load, "session", rng)?;
        let publish_port = load.get("publish_port").and_then(Value::as_u64);
        let publish_port = publish_port.and_then(|port| u16::try_from(port).ok());
        let tok = settings.key.sign_x931(b"salt", rng).map_err(AuthError::Request)?;
        let session = Session::new(settings, shared_key("session", &session_text)?, tok);
        Ok(Next::Accepted(Box::new(Accepted {
            session,
            aes: shared_key("aes", &aes_text)?,
            publish_port: publish_port.ok_or(AuthError::Field { field: "publish_port" })?,
            master_key,
            pin,
        })))
    }

    fn check_token(&self, load: &Map, rng: &mut dyn Random) -> Result<(), AuthError> {
        let Some(sent) = &self.token else { return Ok(()) };
        let returned = self.secret(load, "token", rng).map_err(|_| AuthError::Token)?;
        if returned == *sent { Ok(()) } else { Err(AuthError::Token) }
    }

    fn secret(&self, load: &Map, field: &'static str, rng: &mut dyn Random) -> Result<String, AuthError> {
        let settings = self.settings;
        let opened = settings.key.decrypt(bytes(load, field)?, settings.encryption, rng);
        let opened = opened.map_err(|_| AuthError::Secret { field })?;
        String::from_utf8(opened).map_err(|_| AuthError::Secret { field })
    }
}

fn not_accepted(load: &Map) -> Result<Next, AuthError> {
    match load.get("ret") {
        Some(Value::Bool(true)) => Ok(Next::Pending),
        Some(Value::Bool(false)) => Ok(Next::Rejected),
        Some(word) if word.as_str() == Some("full") => Ok(Next::Full),
        Some(_) | None => Err(AuthError::Field { field: "ret" }),
    }
}

/// The master signs the hex digest of the shared key's text in X9.31.
fn check_shared_key(master_key: &PublicKey, text: &str, signature: &[u8]) -> Result<(), AuthError> {
    let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    if master_key.recover_x931(signature).as_deref() == Some(digest.as_bytes()) {
        Ok(())
    } else {
        Err(AuthError::SharedKeySignature { expected: master_key.fingerprint() })
    }
}

fn shared_key(field: &'static str, text: &str) -> Result<Crypticle, AuthError> {
    Crypticle::from_text(text).map_err(|source| AuthError::SharedKey { field, source })
}

fn text<'a>(load: &'a Map, field: &'static str) -> Result<&'a str, AuthError> {
    load.get(field).and_then(Value::as_str).ok_or(AuthError::Field { field })
}

fn bytes<'a>(load: &'a Map, field: &'static str) -> Result<&'a [u8], AuthError> {
    load.get(field).and_then(Value::as_bytes).ok_or(AuthError::Field { field })
}

#[cfg(test)]
impl<'a> AuthSession<'a> {
    /// An attempt whose request was recorded.
    pub(crate) fn resume(settings: &'a AuthSettings, nonce: Nonce) -> Self {
        Self { settings, nonce, token: None, request: Vec::new() }
    }

    /// The token that the recorded request carried.
    pub(crate) fn expect_token(&mut self, token: String) {
        self.token = Some(token);
    }
}
