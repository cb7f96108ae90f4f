//! The minion: the one program that touches a practice server. See the crate's modules for its rooms.

pub mod channel;
pub mod config;
pub mod modules;
pub mod mssql;
pub mod services;
pub mod state_modules;
pub mod store;
pub mod sync;
pub mod tasks;
