//! Salt on the wire: bytes in, values out.
//!
//! This crate owns what a minion and a master say to each other, byte for byte: ZMTP, msgpack in Salt's dialect, the
//! envelope, the Crypticle, RSA keys, authentication, publishes, requests and pillar. It opens no socket and no file
//! and reads no clock; time and randomness come in as parameters, and bytes from outside never panic.

pub mod jid;
pub mod msgpack;
mod value;
pub mod zmtp;

pub use rsa::rand_core::CryptoRngCore as Random;
pub use value::{ConvertError, Map, Value, to_value, try_to_value};
