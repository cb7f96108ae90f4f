//! The bundled master: keys, publisher, request server, file server, pillar, job cache.
//!
//! To a minion it is a salt-master; to an operator a small one that needs no installation. Keys, received files and
//! configuration lie where Salt keeps them, so that a fleet can move to Salt itself without touching a practice.

pub mod arguments;
pub mod cli;
pub mod client;
pub mod config;
mod disk;
pub mod events;
pub mod file_server;
pub mod jobs;
pub mod master;
pub mod minion_cache;
pub mod pillar;
pub mod pki;
pub mod release;
pub mod rollout;
pub mod secrets;
pub mod server;
pub mod targeting;
mod tasks;
pub mod tree;
