//! End-to-end harness: real salt-masters and salt-minions, our own binaries, and the patience to wait for them.
//!
//! Owns processes and their folders; every process lives in a process group that dies with its owner, every folder is
//! removed with it, every port is chosen free, every server binds 127.0.0.1. Nothing here knows the product's insides: what
//! a case asserts, it sees through a master, a log or a file. A case that cannot run here says so through [`skip::skipped`].

pub mod binaries;
pub mod bundled_master;
pub mod canary;
pub mod ehr;
pub mod fake_clock;
pub mod memory;
pub mod minion;
pub mod process;
pub mod received;
pub mod relay;
pub mod s3;
pub mod salt;
pub mod scratch;
pub mod skip;
pub mod source;
pub mod wait;
