//! The minion's side of requests: sealed under its session key, each bound to its reply by a nonce.
//!
//! Every request carries `id`, `ts`, `nonce` and `tok`, the X9.31 signature of `salt` that proves which key is behind
//! it. A master that cannot open a request answers with a bare text, which is no proof of anything; it and a reply
//! under another key mean that the session is over ([`ReplyError::needs_auth`]): authenticate once and ask again.

use crate::auth::AuthSettings;
use crate::envelope::{Enc, Envelope, VERSION, shortened};
use crate::msgpack::{self, DecodeError, Strings};
use crate::{Crypticle, CrypticleError, EncryptionAlgorithm, KeyError, Map, MinionId, Nonce, PrivateKey};
use crate::{Random, SigningAlgorithm, Value};

/// What an accepted minion needs to ask its master.
#[derive(Debug, Clone)]
pub struct Session {
    id: MinionId,
    crypticle: Crypticle,
    tok: Vec<u8>,
    pub(crate) encryption: EncryptionAlgorithm,
    pub(crate) signing: SigningAlgorithm,
}

/// A request ready to be sent.
#[derive(Debug, Clone)]
pub struct SealedRequest {
    /// The message.
    pub bytes: Vec<u8>,
    /// What its reply must carry.
    pub nonce: Nonce,
}

/// Why a reply is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The message is not msgpack.
    #[error("the master's reply cannot be decoded")]
    Decode(#[from] DecodeError),
    /// The master could not or would not serve the request and says so in clear, for instance `bad load`.
    #[error("the master did not serve the request: it answered {answer:?}")]
    Answer {
        /// What it said.
        answer: String,
    },
    /// The reply is not under this session's key, is another request's, or is no payload.
    #[error("the master's reply does not open")]
    Sealed(#[source] CrypticleError),
    /// A private reply, such as pillar, lacks a field.
    #[error("the master's reply has no valid {field:?}")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// A private reply's key is not encrypted for this minion.
    #[error("the master's reply is not encrypted for this minion's key")]
    Key(#[source] KeyError),
    /// A private reply is not signed by the master, or its signed content contradicts what surrounds it.
    #[error("the master's reply is not signed by its key")]
    Signature,
}

impl ReplyError {
    /// True when authenticating again and asking once more is the remedy.
    pub fn needs_auth(&self) -> bool {
        match self {
            Self::Answer { answer } => answer.starts_with("bad load"),
            Self::Sealed(error) => matches!(error, CrypticleError::Hmac),
            Self::Field { .. } | Self::Key(_) | Self::Signature => true,
            Self::Decode(_) => false,
        }
    }

    /// True when asking again may succeed without anybody acting.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Decode(_) | Self::Answer { .. } | Self::Sealed(_) | Self::Key(_) => true,
            Self::Field { .. } | Self::Signature => false,
        }
    }
}

impl Session {
    pub(crate) fn new(settings: &AuthSettings, crypticle: Crypticle, tok: Vec<u8>) -> Self {
        let (encryption, signing) = (settings.encryption, settings.signing);
        Self { id: settings.id.clone(), crypticle, tok, encryption, signing }
    }

    /// The minion whose session this is.
    pub fn id(&self) -> &MinionId {
        &self.id
    }

    /// Seals one request. `now` is in seconds since the epoch. Fields of `load` named `cmd`, `id`, `ts`, `tok` and
    /// `nonce` are set here, whatever they were.
    pub fn seal(&self, cmd: &str, load: Map, now: i64, rng: &mut dyn Random) -> SealedRequest {
        let nonce = Nonce::generate(rng);
        let mut load = load;
        load.insert("cmd", cmd);
        load.insert("id", self.id.as_str());
        load.insert("nonce", nonce.as_str());
        load.insert("ts", now);
        load.insert("tok", self.tok.clone());
        let boxed = self.crypticle.seal(&load.into(), rng);
        let mut envelope = Envelope { enc: Enc::Aes, load: boxed.into(), version: VERSION, rest: Map::new() };
        envelope.rest.insert("id", self.id.as_str());
        envelope.rest.insert("enc_algo", self.encryption.name());
        envelope.rest.insert("sig_algo", self.signing.name());
        SealedRequest { bytes: envelope.encode(), nonce }
    }

    /// Seals one request with `minion_sign_messages`: the load without nonce and tok is signed in the modern dialect.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn seal_signed(
        &self,
        (cmd, load): (&str, Map),
        key: &PrivateKey,
        now: i64,
        rng: &mut dyn Random,
    ) -> Result<SealedRequest, KeyError> {
        let mut load = load;
        load.insert("cmd", cmd);
        load.insert("id", self.id.as_str());
        load.insert("ts", now);
        let signature = key.sign(&as_decoded(&load), self.signing, rng)?;
        load.insert("sig", signature);
        Ok(self.seal(cmd, load, now, rng))
    }

    /// Opens the reply to the request that carried `nonce`.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub fn open(&self, reply: &[u8], nonce: &Nonce, strings: Strings) -> Result<Value, ReplyError> {
        let message = msgpack::decode_raw(reply)?;
        let Some(boxed) = message.as_bytes() else { return Err(plain_answer(&message)) };
        self.crypticle.open_reply(boxed, nonce, strings).map_err(|error| match (&error, message.as_str()) {
            (CrypticleError::Hmac, Some(text)) => ReplyError::Answer { answer: shortened(text) },
            _ => ReplyError::Sealed(error),
        })
    }
}

/// The signed form of a load: the modern dialect of what the master will decode, where all UTF-8 is text.
pub(crate) fn as_decoded(load: &Map) -> Vec<u8> {
    let load = msgpack::decode(&msgpack::encode_map(load));
    msgpack::encode_modern(&load.unwrap_or_default())
}

/// A map in clear where a box should be: masters explain themselves under various names.
fn plain_answer(message: &Value) -> ReplyError {
    let said = ["error", "msg", "load", "ret"].iter().find_map(|name| message.get(name));
    let answer = match said {
        Some(value) => value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned),
        None => format!("a {} in clear", message.kind()),
    };
    ReplyError::Answer { answer: shortened(&answer) }
}

#[cfg(test)]
mod tests;
