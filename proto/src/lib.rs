//! See the package description.

pub mod jid;
pub mod zmtp;
