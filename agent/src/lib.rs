//! The minion: the one program that touches a practice server. See the crate's modules for its rooms.

pub mod store;
