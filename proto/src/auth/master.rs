//! The master's side: reading `_auth` requests and building every answer. What to answer is the caller's decision.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::envelope::Envelope;
use crate::msgpack;
use crate::{Crypticle, EncryptionAlgorithm, KeyError, Map, MinionId, Nonce, PrivateKey, PublicKey, Random};
use crate::{SigningAlgorithm, Value};

/// A minion's request.
#[derive(Debug, Clone)]
pub struct AuthRequest {
    /// Who asks.
    pub id: MinionId,
    /// The key it shows.
    pub public_key: PublicKey,
    /// Grains for autosigning.
    pub autosign_grains: Option<Map>,
    nonce: Nonce,
    token: Option<Vec<u8>>,
    enc_algo: String,
    sig_algo: String,
}

/// A request that cannot be read; Salt answers `bad load`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the authentication request has no valid {field:?}")]
pub struct AuthRequestError {
    field: &'static str,
}

/// The answer to give.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'a> {
    /// The key waits for the operator.
    Pending,
    /// The key is rejected, or differs from the accepted one.
    Rejected,
    /// There is no room for another minion.
    Full,
    /// The key is accepted.
    Accepted {
        /// The key of all publishes.
        aes: &'a Crypticle,
        /// This minion's own key.
        session: &'a Crypticle,
        /// Where the master publishes.
        publish_port: u16,
    },
}

/// The master's keys.
#[derive(Debug, Clone)]
pub struct MasterIdentity {
    /// `master.pem`.
    pub key: PrivateKey,
    /// `master.pub`.
    pub public_key: PublicKey,
    /// `master_sign.pem`, when `master_sign_pubkey` is on.
    pub signer: Option<PrivateKey>,
}

impl AuthRequest {
    /// Reads the load of a clear envelope whose `cmd` is `_auth`.
    ///
    /// # Errors
    /// Names the field that is missing or of the wrong kind.
    pub fn from_load(load: &Map) -> Result<Self, AuthRequestError> {
        let text =
            |field: &'static str| load.get(field).and_then(Value::as_str).ok_or(AuthRequestError { field });
        let algorithm = |field, default: &str| text(field).unwrap_or(default).to_owned();
        Ok(Self {
            id: MinionId::parse(text("id")?).map_err(|_| AuthRequestError { field: "id" })?,
            public_key: PublicKey::from_pem(text("pub")?).map_err(|_| AuthRequestError { field: "pub" })?,
            autosign_grains: load.get("autosign_grains").and_then(Value::as_map).cloned(),
            nonce: Nonce::parse(text("nonce")?).ok_or(AuthRequestError { field: "nonce" })?,
            token: load.get("token").and_then(Value::as_bytes).map(<[u8]>::to_vec),
            enc_algo: algorithm("enc_algo", EncryptionAlgorithm::default().name()),
            sig_algo: algorithm("sig_algo", SigningAlgorithm::default().name()),
        })
    }
}

impl MasterIdentity {
    /// Builds the answer to a request.
    ///
    /// # Errors
    /// When a key cannot be used, for instance a minion's that is too small.
    pub fn answer(
        &self,
        request: &AuthRequest,
        verdict: Verdict<'_>,
        rng: &mut dyn Random,
    ) -> Result<Vec<u8>, KeyError> {
        let Some(signing) = SigningAlgorithm::from_name(&request.sig_algo) else {
            return Ok(unsigned("bad sig algo"));
        };
        let ret: Value = match verdict {
            Verdict::Pending => true.into(),
            Verdict::Rejected => false.into(),
            Verdict::Full => "full".into(),
            Verdict::Accepted { aes, session, publish_port } => {
                let Some(encryption) = EncryptionAlgorithm::from_name(&request.enc_algo) else {
                    return Ok(unsigned("bad enc algo"));
                };
                let mut load = Map::new();
                load.insert("enc", "pub");
                load.insert("pub_key", self.public_key.pem());
                load.insert("publish_port", publish_port);
                self.sign_public_key(&mut load, signing, rng)?;
                self.return_token(&mut load, request, encryption, rng)?;
                self.share_keys(&mut load, (aes, session), (request, encryption), rng)?;
                return self.signed(load, request, signing, rng);
            }
        };
        self.signed([("ret", ret)].into(), request, signing, rng)
    }

    fn sign_public_key(
        &self,
        load: &mut Map,
        signing: SigningAlgorithm,
        rng: &mut dyn Random,
    ) -> Result<(), KeyError> {
        if let Some(signer) = &self.signer {
            let signature = signer.sign(self.public_key.pem().as_bytes(), signing, rng)?;
            load.insert("pub_sig", STANDARD.encode(signature) + "\n");
        }
        Ok(())
    }

    /// A token that does not open is left out, as Salt does; the minion then knows that this is another master.
    fn return_token(
        &self,
        load: &mut Map,
        request: &AuthRequest,
        encryption: EncryptionAlgorithm,
        rng: &mut dyn Random,
    ) -> Result<(), KeyError> {
        let Some(token) = &request.token else { return Ok(()) };
        if let Ok(token) = self.key.decrypt(token, encryption, rng) {
            load.insert("token", request.public_key.encrypt(&token, encryption, rng)?);
        }
        Ok(())
    }

    fn share_keys(
        &self,
        load: &mut Map,
        (aes, session): (&Crypticle, &Crypticle),
        (request, encryption): (&AuthRequest, EncryptionAlgorithm),
        rng: &mut dyn Random,
    ) -> Result<(), KeyError> {
        let digest: String = Sha256::digest(aes.text()).iter().map(|byte| format!("{byte:02x}")).collect();
        load.insert("aes", request.public_key.encrypt(aes.text().as_bytes(), encryption, rng)?);
        load.insert("session", request.public_key.encrypt(session.text().as_bytes(), encryption, rng)?);
        load.insert("sig", self.key.sign_x931(digest.as_bytes(), rng)?);
        Ok(())
    }

    fn signed(
        &self,
        mut load: Map,
        request: &AuthRequest,
        signing: SigningAlgorithm,
        rng: &mut dyn Random,
    ) -> Result<Vec<u8>, KeyError> {
        load.insert("nonce", request.nonce.as_str());
        let load = msgpack::encode_map(&load);
        let signature = self.key.sign(&load, signing, rng)?;
        let mut envelope = Envelope::clear(Map::new());
        envelope.load = load.into();
        envelope.version = 0;
        envelope.rest.insert("sig", signature);
        Ok(envelope.encode())
    }
}

fn unsigned(word: &str) -> Vec<u8> {
    let mut envelope = Envelope::clear([("ret", word)].into());
    envelope.version = 0;
    envelope.encode()
}

/// Base64 as Python's `binascii` reads it: line ends do not count.
pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}
