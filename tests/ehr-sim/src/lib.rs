//! A strict simulated SQL Server with synthetic EHR databases, for tests and the demo.
//!
//! [`types`] is the seam between the wire and the [`engine`]; [`data`] fills an engine with a synthetic EHR.

pub mod cli;
pub mod client;
pub mod data;
pub mod engine;
pub mod server;
pub mod tds;
pub mod types;
pub mod workload;
