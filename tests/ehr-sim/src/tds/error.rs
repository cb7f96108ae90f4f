//! What can go wrong on the wire, each variant saying who is at fault.
//!
//! A `TdsError` ends the connection, except [`TdsError::Rpc`], which SQL Server answers with an error token in the
//! 8009..8064 range and then goes on.

use std::io;

use thiserror::Error;

/// A fault of the byte stream, of the peer or of the socket.
#[derive(Debug, Error)]
pub enum TdsError {
    /// The client sent fewer bytes than the field it announced.
    #[error("the client's {0} ends before its announced length")]
    Truncated(&'static str),
    /// The client sent a field whose value the specification does not allow.
    #[error("the client's {part} is malformed: {detail}")]
    Malformed {
        /// The message or field.
        part: &'static str,
        /// What was found, without any row value.
        detail: String,
    },
    /// The client sent a message longer than the server takes.
    #[error("the client's message passes {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The client asked for a protocol version below TDS 7.3.
    #[error("the client speaks TDS version {0:#010x}; TDS 7.3 is the oldest this server speaks")]
    OldVersion(u32),
    /// The client left before its message was whole.
    #[error("the client closed the connection inside a message")]
    Disconnected,
    /// A remote procedure call that SQL Server answers with an error token.
    #[error("{text}")]
    Rpc {
        /// SQL Server's error number.
        number: i32,
        /// SQL Server's text.
        text: String,
    },
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl TdsError {
    /// A [`TdsError::Malformed`] for `part`.
    pub fn malformed(part: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed { part, detail: detail.into() }
    }
}
