//! Salt on the wire: bytes in, values out.
//!
//! This crate owns what a minion and a master say to each other, byte for byte: ZMTP, msgpack in Salt's dialect, the
//! envelope, the Crypticle, RSA keys, authentication, publishes, requests and pillar. It opens no socket and no file
//! and reads no clock; time and randomness come in as parameters, and bytes from outside never panic.

pub mod auth;
mod crypticle;
pub mod envelope;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod golden;
pub mod jid;
pub mod job;
pub mod key;
mod minion_id;
pub mod msgpack;
mod nonce;
pub mod pillar;
pub mod publish;
pub mod request;
pub mod serve;
pub mod target;
mod value;
mod x931;
pub mod zmtp;

pub use crypticle::{Crypticle, CrypticleError};
pub use job::{Event, JobReturn};
pub use key::{EncryptionAlgorithm, Fingerprint, KeyError, PrivateKey, PublicKey, SigningAlgorithm};
pub use minion_id::{MinionId, MinionIdError};
pub use msgpack::Strings;
pub use nonce::Nonce;
pub use pillar::PillarRequest;
pub use publish::{Call, Calls, PublishLoad};
pub use request::{ReplyError, Session};
pub use rsa::rand_core::CryptoRngCore as Random;
pub use value::{ConvertError, Map, Value, to_value, try_to_value};
