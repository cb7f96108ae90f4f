//! The master's side of requests: opening what minions and command lines send, sealing the replies.
//!
//! Checks run in the order Salt's master has them: envelope, version, HMAC under the session of the envelope's id,
//! id against id, `tok` against the minion's accepted key. Whatever fails is a [`Refusal`], whose reply is the very
//! text Salt answers, and which gives away nothing but that. A master must answer everything: a minion's REQ socket
//! waits for its one reply.

use crate::envelope::{Enc, Envelope, EnvelopeError, VERSION};
use crate::msgpack::{self, Strings};
use crate::request::as_decoded;
use crate::{
    Crypticle, EncryptionAlgorithm, Map, MinionId, Nonce, PublicKey, Random, SigningAlgorithm, Value,
};

/// A message at the request port.
#[derive(Debug)]
pub enum Incoming {
    /// A load in clear: `_auth`, `ping`, a command line's `publish`.
    Clear(Map),
    /// A load under a minion's session key.
    Sealed(SealedLoad),
}

/// A request that is not opened yet.
#[derive(Debug)]
pub struct SealedLoad {
    id: MinionId,
    boxed: Vec<u8>,
    encryption: EncryptionAlgorithm,
    signing: SigningAlgorithm,
}

/// An authentic request of an accepted minion.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub id: MinionId,
    /// What for.
    pub cmd: String,
    /// The arguments, with `cmd` and `id`, without what only the wire needs.
    pub load: Map,
    /// Binds the reply.
    pub nonce: Nonce,
    /// The minion's clock, in seconds since the epoch.
    pub ts: i64,
    /// For private replies.
    pub encryption: EncryptionAlgorithm,
    /// For private replies.
    pub signing: SigningAlgorithm,
    signature: Option<Vec<u8>>,
}

/// Why a message is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No envelope.
    #[error("not an envelope")]
    Envelope(#[from] EnvelopeError),
    /// An older protocol.
    #[error("protocol version {version}, at least {VERSION} is required")]
    Version {
        /// The sender's.
        version: i64,
    },
    /// An `enc` other than clear and aes.
    #[error("unknown encryption {enc:?}")]
    Enc {
        /// What the envelope says.
        enc: String,
    },
    /// A clear load that is no map.
    #[error("the load is no map")]
    Load,
    /// A field is missing or of the wrong kind.
    #[error("no valid {field:?}")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// Not under the session key of the minion it names.
    #[error("not sealed under the session key of {id}")]
    Session {
        /// The minion named.
        id: MinionId,
    },
    /// The load names another minion than the envelope.
    #[error("the envelope is from {envelope}, its load from {load:?}")]
    IdMismatch {
        /// Outside.
        envelope: MinionId,
        /// Inside.
        load: String,
    },
    /// `tok` is not the X9.31 signature of the minion's accepted key.
    #[error("the token of {id} is not signed by its accepted key")]
    Token {
        /// The minion named.
        id: MinionId,
    },
}

impl Refusal {
    /// The message Salt answers.
    pub fn reply(&self) -> Vec<u8> {
        let text = match self {
            Self::Load => "payload and load must be a dict",
            Self::Envelope(_) | Self::Version { .. } | Self::Enc { .. } | Self::Field { .. } => "bad load",
            Self::Session { .. } | Self::IdMismatch { .. } | Self::Token { .. } => "bad load",
        };
        msgpack::encode(&text.into())
    }
}

impl Incoming {
    /// Reads a message.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn decode(message: &[u8]) -> Result<Self, Refusal> {
        let envelope = Envelope::decode(message)?;
        if envelope.version < VERSION {
            return Err(Refusal::Version { version: envelope.version });
        }
        match &envelope.enc {
            Enc::Clear => Ok(Self::Clear(envelope.load.into_map().ok_or(Refusal::Load)?)),
            Enc::Aes => Ok(Self::Sealed(SealedLoad::from_envelope(envelope)?)),
            Enc::Other(enc) => Err(Refusal::Enc { enc: enc.clone() }),
        }
    }
}

impl SealedLoad {
    /// The minion that the envelope names; nothing proves it yet.
    pub fn id(&self) -> &MinionId {
        &self.id
    }

    /// Opens the load with what the master knows of the minion it names.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn open(self, session: &Crypticle, minion_key: &PublicKey) -> Result<Request, Refusal> {
        let field = |field| Refusal::Field { field };
        let load = session.open(&self.boxed, Strings::Text);
        let load = load.map_err(|_| Refusal::Session { id: self.id.clone() })?;
        let mut load = load.into_map().ok_or(Refusal::Load)?;
        let inner = load.get("id").and_then(Value::as_str).ok_or(field("id"))?;
        if inner != self.id.as_str() {
            return Err(Refusal::IdMismatch { envelope: self.id, load: inner.to_owned() });
        }
        let tok = load.remove("tok").and_then(Value::into_bytes).ok_or(field("tok"))?;
        if minion_key.recover_x931(&tok).as_deref() != Some(b"salt") {
            return Err(Refusal::Token { id: self.id });
        }
        let nonce = load.remove("nonce");
        let nonce = nonce.as_ref().and_then(Value::as_str).and_then(Nonce::parse).ok_or(field("nonce"))?;
        Ok(Request {
            cmd: load.get("cmd").and_then(Value::as_str).ok_or(field("cmd"))?.to_owned(),
            ts: load.get("ts").and_then(Value::as_i64).ok_or(field("ts"))?,
            signature: load.remove("sig").and_then(Value::into_bytes),
            id: self.id,
            load,
            nonce,
            encryption: self.encryption,
            signing: self.signing,
        })
    }

    fn from_envelope(envelope: Envelope) -> Result<Self, Refusal> {
        let field = |field| Refusal::Field { field };
        let id = envelope.text("id").ok_or(field("id"))?;
        let encryption = envelope
            .text("enc_algo")
            .map_or(Some(EncryptionAlgorithm::default()), EncryptionAlgorithm::from_name);
        let signing =
            envelope.text("sig_algo").map_or(Some(SigningAlgorithm::default()), SigningAlgorithm::from_name);
        Ok(Self {
            id: MinionId::parse(id).map_err(|_| field("id"))?,
            encryption: encryption.ok_or(field("enc_algo"))?,
            signing: signing.ok_or(field("sig_algo"))?,
            boxed: envelope.load.into_bytes().ok_or(field("load"))?,
        })
    }
}

impl Request {
    /// With `minion_sign_messages`: whether the minion's key signed this load. `None` when it carries no signature.
    pub fn is_signed_by(&self, minion_key: &PublicKey) -> Option<bool> {
        let signature = self.signature.as_ref()?;
        Some(minion_key.verify(&as_decoded(&self.load), signature, self.signing))
    }

    /// Seals the reply.
    pub fn reply(&self, session: &Crypticle, value: &Value, rng: &mut dyn Random) -> Vec<u8> {
        msgpack::encode(&session.seal_reply(value, &self.nonce, rng).into())
    }
}

#[cfg(test)]
mod tests;
