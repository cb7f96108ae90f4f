//! From a master's name to its addresses, asked anew for every dial.
//!
//! Nothing is remembered here and nothing is put in an answer's place: a name without an address is an error of this dial.

use std::{io, net::SocketAddr};

/// Who knows the addresses of names.
#[derive(Clone, Debug, Default)]
pub enum Names {
    /// The system's resolver.
    #[default]
    System,
    /// A table that a test may change at any time.
    #[cfg(test)]
    Table(std::sync::Arc<std::sync::Mutex<std::collections::BTreeMap<String, Vec<std::net::IpAddr>>>>),
}

impl Names {
    /// The addresses of a name at this moment.
    ///
    /// # Errors
    /// What the resolver says.
    pub async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
            #[cfg(test)]
            Self::Table(table) => match table.lock().unwrap().get(host) {
                Some(found) => Ok(found.iter().map(|address| SocketAddr::new(*address, port)).collect()),
                None => Err(io::Error::other("the table has no such name")),
            },
        }
    }
}
