//! Publishes: jobs that a master sends to all minions at once, and each minion opens and matches for itself.
//!
//! A publish is a box under the master-wide `aes` key, signed by the master's RSA key, holding the job and a `serial`
//! that only grows for as long as that key lives. Opening checks signature, HMAC, serial and the fields a job needs,
//! in this order; a failing HMAC means that the key was rotated, so the same publish is worth another try after
//! authenticating again. With `zmq_filtering` a topic frame comes first; see [`topic`].

use std::str::FromStr;

use sha1::{Digest, Sha1};

use crate::envelope::{Enc, Envelope, EnvelopeError};
use crate::jid::{Jid, JidError};
use crate::msgpack::Strings;
use crate::{
    Crypticle, CrypticleError, KeyError, Map, MinionId, PrivateKey, PublicKey, Random, SigningAlgorithm,
};
use crate::{Value, msgpack};

/// One job as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishLoad {
    /// The job's id.
    pub jid: Jid,
    /// What is to be called.
    pub calls: Calls,
    /// Which minions are meant, in the form of `tgt_type`.
    pub tgt: Value,
    /// How `tgt` is read, in Salt's word; `glob` when absent.
    pub tgt_type: String,
    /// What separates the parts of a grain or pillar target.
    pub delimiter: String,
    /// Returners besides the master; empty for none.
    pub ret: String,
    /// Who published it.
    pub user: String,
    /// Everything published, `serial` apart; returns echo some of it.
    pub load: Map,
}

/// The functions of one job.
#[derive(Debug, Clone, PartialEq)]
pub enum Calls {
    /// One function: the return is its value.
    One(Call),
    /// Several: the return is a map keyed by function.
    Many(Vec<Call>),
}

/// One function with its arguments as published; keyword arguments are a map with `__kwarg__` in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function.
    pub fun: String,
    /// Its arguments.
    pub arg: Vec<Value>,
}

impl Call {
    /// Positional arguments and keyword arguments apart.
    pub fn arguments(&self) -> (Vec<Value>, Map) {
        let mut args = Vec::new();
        let mut kwargs = Map::new();
        for value in &self.arg {
            let marked = value.as_map().filter(|map| map.get("__kwarg__").is_some_and(Value::is_truthy));
            let Some(map) = marked else {
                args.push(value.clone());
                continue;
            };
            for (name, value) in map.iter().filter(|(name, _)| name.as_str() != Some("__kwarg__")) {
                kwargs.insert(name.clone(), value.clone());
            }
        }
        (args, kwargs)
    }
}

/// Why a publish is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No envelope.
    #[error("the publish is malformed")]
    Envelope(#[from] EnvelopeError),
    /// Not encrypted.
    #[error("the publish is not encrypted (enc {enc:?})")]
    Enc {
        /// What the envelope says.
        enc: String,
    },
    /// Not signed, though signatures are required.
    #[error("the publish is not signed: the master has sign_pub_messages off, and this minion requires it")]
    Unsigned,
    /// Signed with an algorithm that Salt does not know.
    #[error("the publish is signed with the unknown algorithm {name:?}")]
    Algorithm {
        /// The algorithm named.
        name: String,
    },
    /// Not signed by the pinned master.
    #[error("the publish is not signed by the master's key")]
    Signature,
    /// Does not open; with [`CrypticleError::Hmac`] the key was rotated.
    #[error("the publish does not open")]
    Sealed(#[from] CrypticleError),
    /// Seen before, or older than one seen before.
    #[error("the publish has the stale serial {serial}, the last was {last}")]
    Stale {
        /// Of this publish.
        serial: u64,
        /// The highest seen.
        last: u64,
    },
    /// A field that every job needs is missing or of the wrong kind.
    #[error("the publish has no valid {field:?}")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// The jid is none.
    #[error("the publish names no job")]
    Jid(#[from] JidError),
}

impl PublishError {
    /// True when authenticating again may make this very publish readable.
    pub fn needs_auth(&self) -> bool {
        match self {
            Self::Sealed(error) => matches!(error, CrypticleError::Hmac),
            // The master may have been replaced together with its keys, and only `_auth` can tell.
            Self::Signature => true,
            Self::Envelope(_) | Self::Enc { .. } | Self::Unsigned | Self::Algorithm { .. } => false,
            Self::Stale { .. } | Self::Field { .. } | Self::Jid(_) => false,
        }
    }
}

/// Whether a publish without signature is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnsignedPublishes {
    /// Dropped.
    #[default]
    Refuse,
    /// Taken, as Salt's minion does by default. A signature that is there is still verified.
    Take,
}

/// A minion's reader of publishes under one `aes` key. Make a new one for each key: serials start again.
#[derive(Debug, Clone)]
pub struct PublishReader {
    aes: Crypticle,
    master_key: PublicKey,
    unsigned: UnsignedPublishes,
    last_serial: Option<u64>,
}

impl PublishReader {
    /// A reader for the key and the master of an accepted `_auth`.
    pub fn new(aes: Crypticle, master_key: PublicKey, unsigned: UnsignedPublishes) -> Self {
        Self { aes, master_key, unsigned, last_serial: None }
    }

    /// True when this reader already has that key, so that its serials go on.
    pub fn has_key(&self, aes: &Crypticle) -> bool {
        self.aes == *aes
    }

    /// The serial of the latest publish opened; a jump over more than one tells how many never came.
    pub fn last_serial(&self) -> Option<u64> {
        self.last_serial
    }

    /// Opens a publish: the last frame of the message.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn open(&mut self, frame: &[u8]) -> Result<PublishLoad, PublishError> {
        let envelope = Envelope::decode(frame)?;
        if envelope.enc != Enc::Aes {
            return Err(PublishError::Enc { enc: envelope.enc.name().to_owned() });
        }
        let boxed = envelope.load.as_bytes().ok_or(PublishError::Field { field: "load" })?;
        // A rotated key is the common case and says nothing of the signature, so it is reported as what it is.
        let opened = self.aes.open(boxed, Strings::Text);
        if opened != Err(CrypticleError::Hmac) {
            self.check_signature(&envelope, boxed)?;
        }
        let mut load = opened?.into_map().ok_or(PublishError::Field { field: "load" })?;
        self.check_serial(load.remove("serial"))?;
        PublishLoad::from_map(load)
    }

    fn check_signature(&self, envelope: &Envelope, boxed: &[u8]) -> Result<(), PublishError> {
        let Some(signature) = envelope.signature() else {
            return match self.unsigned {
                UnsignedPublishes::Take => Ok(()),
                UnsignedPublishes::Refuse => Err(PublishError::Unsigned),
            };
        };
        let name = envelope.text("sig_algo").unwrap_or(SigningAlgorithm::default().name());
        let algorithm = SigningAlgorithm::from_name(name)
            .ok_or_else(|| PublishError::Algorithm { name: crate::envelope::shortened(name) })?;
        if self.master_key.verify(boxed, signature, algorithm) {
            Ok(())
        } else {
            Err(PublishError::Signature)
        }
    }

    /// A clustered master sends none.
    fn check_serial(&mut self, serial: Option<Value>) -> Result<(), PublishError> {
        let Some(serial) = serial else { return Ok(()) };
        let serial = serial.as_u64().ok_or(PublishError::Field { field: "serial" })?;
        if let Some(last) = self.last_serial
            && serial <= last
        {
            return Err(PublishError::Stale { serial, last });
        }
        self.last_serial = Some(serial);
        Ok(())
    }
}

impl PublishLoad {
    /// Reads a published job.
    ///
    /// # Errors
    /// [`PublishError::Field`] or [`PublishError::Jid`].
    pub fn from_map(load: Map) -> Result<Self, PublishError> {
        let text = |name| load.get(name).and_then(Value::as_str).map(str::to_owned);
        let jid = text("jid").ok_or(PublishError::Field { field: "jid" })?;
        Ok(Self {
            jid: Jid::from_str(&jid)?,
            calls: Calls::from_load(&load)?,
            tgt: load.get("tgt").cloned().ok_or(PublishError::Field { field: "tgt" })?,
            tgt_type: text("tgt_type").unwrap_or_else(|| "glob".to_owned()),
            delimiter: text("delimiter").unwrap_or_else(|| ":".to_owned()),
            ret: text("ret").unwrap_or_default(),
            user: text("user").unwrap_or_default(),
            load,
        })
    }
}

impl Calls {
    fn from_load(load: &Map) -> Result<Self, PublishError> {
        let arg_error = PublishError::Field { field: "arg" };
        let args = load.get("arg").and_then(Value::as_list).ok_or(arg_error.clone())?;
        let fun = load.get("fun").ok_or(PublishError::Field { field: "fun" })?;
        if let Some(fun) = fun.as_str() {
            return Ok(Self::One(Call { fun: fun.to_owned(), arg: args.to_vec() }));
        }
        let funs = fun.as_list().ok_or(PublishError::Field { field: "fun" })?;
        let calls = funs.iter().enumerate().map(|(at, fun)| {
            let fun = fun.as_str().ok_or(PublishError::Field { field: "fun" })?.to_owned();
            let arg = args.get(at).map_or(Ok(Vec::new()), |arg| {
                arg.as_list().map(<[Value]>::to_vec).ok_or(arg_error.clone())
            })?;
            Ok(Call { fun, arg })
        });
        calls.collect::<Result<_, _>>().map(Self::Many)
    }
}

/// A master's writer of publishes under one `aes` key. Make a new one for each key.
#[derive(Debug)]
pub struct PublishWriter {
    aes: Crypticle,
    signing: SigningAlgorithm,
    serial: u64,
}

impl PublishWriter {
    /// A writer whose first publish has serial 1.
    pub fn new(aes: Crypticle, signing: SigningAlgorithm) -> Self {
        Self { aes, signing, serial: 0 }
    }

    /// Seals and signs one job.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn seal(&mut self, load: Map, key: &PrivateKey, rng: &mut dyn Random) -> Result<Vec<u8>, KeyError> {
        self.serial += 1;
        let mut load = load;
        load.insert("serial", self.serial);
        let boxed = self.aes.seal(&load.into(), rng);
        let signature = key.sign(&boxed, self.signing, rng)?;
        let mut message = Map::new();
        message.insert("enc", "aes");
        message.insert("load", boxed);
        message.insert("sig", signature);
        message.insert("sig_algo", self.signing.name());
        Ok(msgpack::encode_map(&message))
    }
}

/// The topic of one minion's own publishes under `zmq_filtering`.
pub fn topic(id: &MinionId) -> String {
    Sha1::digest(id.as_str()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The topic of publishes to all minions under `zmq_filtering`.
pub const BROADCAST: &str = "broadcast";

#[cfg(test)]
mod tests;
