//! The envelope around every message: `{enc, load, version, ..}` in Salt's wire msgpack.
//!
//! `enc: clear` carries a map, `enc: aes` a Crypticle box, and the answer to `_auth` is clear with a signed load.
//! What is not an envelope at all is usually a master's plain refusal such as the text `bad load`; it is kept as
//! [`EnvelopeError::Answer`] so that the reader sees what the peer said.

use crate::msgpack::{self, DecodeError};
use crate::{Map, Value};

/// The protocol version that current masters insist on.
pub const VERSION: i64 = 3;

/// How an envelope's load is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enc {
    /// Not at all; the load may still be signed.
    Clear,
    /// A Crypticle box.
    Aes,
    /// Any other word.
    Other(String),
}

impl Enc {
    /// Salt's word.
    pub fn name(&self) -> &str {
        match self {
            Self::Clear => "clear",
            Self::Aes => "aes",
            Self::Other(name) => name,
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "clear" => Self::Clear,
            "aes" => Self::Aes,
            _ => Self::Other(name.to_owned()),
        }
    }
}

/// One message between minion and master.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// How the load is protected.
    pub enc: Enc,
    /// A map, or the bytes of a box or of a signed load.
    pub load: Value,
    /// The sender's protocol version; 0 when absent.
    pub version: i64,
    /// Everything else in the envelope: `id`, `enc_algo`, `sig_algo`, `sig` and what a newer peer may add.
    pub rest: Map,
}

/// A message that is no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not msgpack.
    #[error("the message cannot be decoded")]
    Decode(#[from] DecodeError),
    /// A bare text, which is how a master refuses.
    #[error("the peer answered {0:?}")]
    Answer(String),
    /// A map without `enc` or `load`, or something else altogether.
    #[error("the message is a {kind} and no envelope: it has no {missing}")]
    Form {
        /// What it is.
        kind: &'static str,
        /// What it lacks.
        missing: &'static str,
    },
}

impl Envelope {
    /// A clear envelope of the current version.
    pub fn clear(load: Map) -> Self {
        Self { enc: Enc::Clear, load: load.into(), version: VERSION, rest: Map::new() }
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// See [`EnvelopeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let value = msgpack::decode(bytes)?;
        if let Some(text) = value.as_str() {
            return Err(EnvelopeError::Answer(shortened(text)));
        }
        let kind = value.kind();
        let form = |missing| EnvelopeError::Form { kind, missing };
        let mut rest = value.into_map().ok_or(form("map"))?;
        let enc =
            rest.remove("enc").as_ref().and_then(Value::as_str).map(Enc::from_name).ok_or(form("enc"))?;
        let load = rest.remove("load").ok_or(form("load"))?;
        let version = rest.remove("version").as_ref().and_then(Value::as_i64).unwrap_or(0);
        Ok(Self { enc, load, version, rest })
    }

    /// Encodes the message, the fields in the order Salt writes them.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::new();
        map.insert("enc", self.enc.name());
        map.insert("load", self.load.clone());
        for (key, value) in self.rest.iter() {
            map.insert(key.clone(), value.clone());
        }
        if self.version > 0 {
            map.insert("version", self.version);
        }
        msgpack::encode_map(&map)
    }

    /// A text field beside the load.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.rest.get(name)?.as_str()
    }

    /// The signature beside the load.
    pub fn signature(&self) -> Option<&[u8]> {
        self.rest.get("sig")?.as_bytes()
    }
}

/// What a peer said, short enough for a log line.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let mut envelope = Envelope::clear([("cmd", "_auth")].into());
        envelope.rest.insert("id", "m1");
        assert_eq!(Envelope::decode(&envelope.encode()).unwrap(), envelope);
    }

    #[test]
    fn a_masters_refusal_is_kept() {
        let refusal = msgpack::encode(&"bad load".into());
        assert_eq!(Envelope::decode(&refusal), Err(EnvelopeError::Answer("bad load".into())));
    }

    #[test]
    fn names_what_is_missing() {
        let message = msgpack::encode_map(&[("msg", "bad load")].into());
        assert_eq!(Envelope::decode(&message), Err(EnvelopeError::Form { kind: "map", missing: "enc" }));
        let message = msgpack::encode(&5.into());
        assert_eq!(Envelope::decode(&message), Err(EnvelopeError::Form { kind: "int", missing: "map" }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::decode(&bytes);
        }
    }
}
