//! `_auth`: how a minion and a master get to trust each other and to share keys.
//!
//! Parties and keys: the minion has an RSA pair and shows its public half; the master has one, which the minion pins
//! at first sight or knows beforehand by fingerprint or by the operator's signature. The outcome is two shared keys:
//! `aes`, one for all minions, under which publishes come, and `session`, this minion's own, for requests.
//!
//! [`minion`] is one attempt as a state machine by value; [`master`] reads requests and builds every answer. Only
//! version 3 is spoken: all current masters refuse less, and a master's answer can never make the minion weaken an
//! algorithm. Salt's minion options `open_mode` (take any master key) and `auth_mode` are not offered.

pub mod master;
pub mod minion;

pub use master::{AuthRequest, MasterIdentity, Verdict};
pub use minion::{Accepted, AuthError, AuthSession, AuthSettings, Fault, MasterTrust, Next, Pin};

#[cfg(test)]
mod tests;
