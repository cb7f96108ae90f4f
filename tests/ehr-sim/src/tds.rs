//! TDS 7.3 and 7.4 as a server speaks them: packets, prelogin, LOGIN7, requests in, tokens and rows out.
//!
//! Specification: MS-TDS. What is left out is refused, never half-answered: Windows and token authentication, MARS,
//! bulk load, distributed transactions, table-valued and CLR parameters, column encryption. Knows the engine's
//! [`types`](crate::types) but no engine, no TLS and no socket.

pub mod collation;
pub mod column;
pub mod decode;
pub mod encode;
pub mod error;
pub mod login7;
pub mod output;
pub mod packet;
pub mod prelogin;
pub mod read;
pub mod request;
pub mod token;
