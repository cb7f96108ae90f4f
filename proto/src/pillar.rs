//! `_pillar`: the request a minion makes and the private reply it gets.
//!
//! The reply is in clear but for its content: `{key, pillar}`, where `key` is a fresh shared key encrypted for the
//! minion's RSA key and `pillar` a box under it, holding the signed bytes of `{key, pillar, nonce}`. The signature,
//! the repeated key and the nonce are all checked before a value is believed. Pillar values are secrets: nothing here
//! puts them into an error.

use crate::msgpack::{self, Strings};
use crate::request::{ReplyError, Session};
use crate::serve::Request;
use crate::{Crypticle, CrypticleError, KeyError, Map, Nonce, PrivateKey, PublicKey, Random, Value};

/// What a minion tells the master to get its pillar.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PillarRequest {
    /// All grains; the master's cache of them is what `-G` matches.
    pub grains: Map,
    /// `saltenv`.
    pub saltenv: Option<String>,
    /// `pillarenv`.
    pub pillarenv: Option<String>,
    /// Pillar given on the command line, which the master merges in.
    pub pillar_override: Map,
    /// Passed to external pillars.
    pub extra_minion_data: Map,
}

impl PillarRequest {
    /// The load of the `_pillar` request.
    pub fn into_load(self) -> Map {
        let mut load = Map::new();
        load.insert("grains", self.grains);
        load.insert("saltenv", self.saltenv);
        load.insert("pillarenv", self.pillarenv);
        load.insert("pillar_override", self.pillar_override);
        load.insert("extra_minion_data", self.extra_minion_data);
        load.insert("ver", "2");
        load.insert("cmd", "_pillar");
        load
    }

    /// Reads the load at the master. Fields of the wrong kind count as absent.
    pub fn from_load(load: &Map) -> Self {
        let map = |name| load.get(name).and_then(Value::as_map).cloned().unwrap_or_default();
        let text = |name| load.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            grains: map("grains"),
            saltenv: text("saltenv"),
            pillarenv: text("pillarenv"),
            pillar_override: map("pillar_override"),
            extra_minion_data: map("extra_minion_data"),
        }
    }
}

/// The keys that a pillar reply is checked with.
#[derive(Debug, Clone, Copy)]
pub struct PillarKeys<'a> {
    /// The minion's own key.
    pub minion: &'a PrivateKey,
    /// The pinned master's key.
    pub master: &'a PublicKey,
}

impl Session {
    /// Opens the reply to a `_pillar` request that carried `nonce`.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub fn open_pillar(
        &self,
        reply: &[u8],
        nonce: &Nonce,
        keys: PillarKeys<'_>,
        rng: &mut dyn Random,
    ) -> Result<Value, ReplyError> {
        let message = msgpack::decode_raw(reply)?;
        let (Some(sealed_key), Some(boxed)) = (bytes(&message, "key"), bytes(&message, "pillar")) else {
            // A failing master seals an empty map under the session key.
            let opened = self.open(reply, nonce, Strings::Text);
            return Err(opened.err().unwrap_or(ReplyError::Field { field: "key" }));
        };
        let text = keys.minion.decrypt(sealed_key, self.encryption, rng).map_err(ReplyError::Key)?;
        let text = String::from_utf8(text).map_err(|_| ReplyError::Key(KeyError::Decrypt))?;
        let crypticle = Crypticle::from_text(&text).map_err(ReplyError::Sealed)?;
        let envelope = crypticle.open(boxed, Strings::Raw).map_err(ReplyError::Sealed)?;
        let data = bytes(&envelope, "data").ok_or(ReplyError::Field { field: "data" })?;
        let signature = bytes(&envelope, "sig").ok_or(ReplyError::Field { field: "sig" })?;
        if !keys.master.verify(data, signature, self.signing) {
            return Err(ReplyError::Signature);
        }
        let data = msgpack::decode(data)?;
        if bytes(&data, "key") != Some(sealed_key) {
            return Err(ReplyError::Signature);
        }
        if bytes(&data, "nonce") != Some(nonce.as_str().as_bytes()) {
            return Err(ReplyError::Sealed(CrypticleError::Nonce));
        }
        data.into_map()
            .and_then(|mut data| data.remove("pillar"))
            .ok_or(ReplyError::Field { field: "pillar" })
    }
}

impl Request {
    /// Builds the reply to a `_pillar` request.
    ///
    /// # Errors
    /// When a key cannot be used.
    pub fn reply_pillar(
        &self,
        pillar: &Value,
        minion: &PublicKey,
        master: &PrivateKey,
        rng: &mut dyn Random,
    ) -> Result<Vec<u8>, KeyError> {
        let crypticle = Crypticle::generate(rng);
        let key = minion.encrypt(crypticle.text().as_bytes(), self.encryption, rng)?;
        let mut data = Map::new();
        data.insert("key", key.clone());
        data.insert("pillar", pillar.clone());
        data.insert("nonce", self.nonce.as_str());
        let data = msgpack::encode_map(&data);
        let mut envelope = Map::new();
        envelope.insert("sig", master.sign(&data, self.signing, rng)?);
        envelope.insert("data", data);
        let mut reply = Map::new();
        reply.insert("key", key);
        reply.insert("pillar", crypticle.seal(&envelope.into(), rng));
        Ok(msgpack::encode_map(&reply))
    }
}

fn bytes<'a>(value: &'a Value, field: &str) -> Option<&'a [u8]> {
    value.get(field)?.as_bytes()
}

#[cfg(test)]
mod tests;
