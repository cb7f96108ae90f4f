//! The minion: the one program that touches a practice server. See the crate's modules for its rooms.

pub mod access;
pub mod beacons;
pub mod channel;
pub mod cli;
mod clock;
pub mod command;
pub mod config;
pub mod data_store;
#[cfg(any(windows, test))]
pub mod defender;
pub mod doctor;
pub mod environment;
pub mod files;
#[cfg(any(windows, test))]
pub mod firewall;
pub mod grains;
pub mod http;
pub mod job;
pub mod mine;
pub mod minion;
pub mod modules;
pub mod mssql;
pub mod pillar;
pub mod platform;
pub mod policy;
#[cfg(any(windows, test))]
pub mod registry;
pub mod release;
pub mod schedule;
pub mod schema;
#[cfg(not(windows))]
pub mod service_manager;
pub mod services;
pub mod state_modules;
pub mod state_run;
pub mod status;
pub mod store;
pub mod sync;
pub mod tasks;
pub mod text_edit;
pub mod version;
#[cfg(any(windows, test))]
pub mod win_service;
pub mod write;
