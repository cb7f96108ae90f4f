//! ZMTP commands: READY, ERROR, SUBSCRIBE, CANCEL, PING, PONG.
//!
//! A command body is a name with its length in front, then what the name prescribes; READY carries metadata as
//! (length, name, length, value). Commands of other names are kept apart as unknown and do no harm. RFC 37/ZMTP.

use super::{SocketType, ZmtpError};

/// Longest context of a PING.
pub(super) const CONTEXT_MAX: usize = 16;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Ready { socket: SocketType, identity: Vec<u8> },
    Error(String),
    Subscribe(Vec<u8>),
    Cancel(Vec<u8>),
    Ping { ttl: u16, context: Vec<u8> },
    Pong { context: Vec<u8> },
    Unknown,
}

impl Command {
    /// READY of this side; the identity is announced by the socket types that have one.
    pub(super) fn ready(socket: &SocketType, identity: &[u8]) -> Self {
        Self::Ready { socket: socket.clone(), identity: identity.to_vec() }
    }

    /// The body of the command's frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready { socket, identity } => {
                let mut body = named("READY", &[]);
                push_property(&mut body, "Socket-Type", socket.name().as_bytes());
                if socket.announces_identity() || !identity.is_empty() {
                    push_property(&mut body, "Identity", identity);
                }
                body
            }
            Self::Error(reason) => {
                let reason = &reason.as_bytes()[..reason.len().min(255)];
                let mut body = named("ERROR", &[reason.len() as u8]);
                body.extend_from_slice(reason);
                body
            }
            Self::Subscribe(prefix) => named("SUBSCRIBE", prefix),
            Self::Cancel(prefix) => named("CANCEL", prefix),
            Self::Ping { ttl, context } => {
                let mut body = named("PING", &ttl.to_be_bytes());
                body.extend_from_slice(context);
                body
            }
            Self::Pong { context } => named("PONG", context),
            Self::Unknown => named("UNKNOWN", &[]),
        }
    }

    /// Reads the body of a command frame.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ZmtpError> {
        let (name, rest) = short_string(body).ok_or(ZmtpError::Malformed("a command has no name"))?;
        Ok(match name {
            b"READY" => parse_ready(rest)?,
            b"ERROR" => {
                let (reason, _) = short_string(rest).ok_or(ZmtpError::Malformed("an ERROR has no reason"))?;
                Self::Error(String::from_utf8_lossy(reason).escape_debug().to_string())
            }
            b"SUBSCRIBE" => Self::Subscribe(rest.to_vec()),
            b"CANCEL" => Self::Cancel(rest.to_vec()),
            b"PING" => {
                let (ttl, context) =
                    rest.split_first_chunk::<2>().ok_or(ZmtpError::Malformed("a PING has no ttl"))?;
                // Longer contexts are cut, as libzmq cuts them.
                let context = context[..context.len().min(CONTEXT_MAX)].to_vec();
                Self::Ping { ttl: u16::from_be_bytes(*ttl), context }
            }
            b"PONG" => Self::Pong { context: rest.to_vec() },
            _ => Self::Unknown,
        })
    }
}

fn parse_ready(mut rest: &[u8]) -> Result<Command, ZmtpError> {
    const BROKEN: ZmtpError = ZmtpError::Malformed("the metadata of READY is cut short");
    let mut socket = None;
    let mut identity = Vec::new();
    while !rest.is_empty() {
        let (name, after) = short_string(rest).ok_or(BROKEN)?;
        let (len, after) = after.split_first_chunk::<4>().ok_or(BROKEN)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (value, after) = after.split_at_checked(len).ok_or(BROKEN)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            socket = Some(SocketType::from_name(&String::from_utf8_lossy(value)));
        } else if name.eq_ignore_ascii_case(b"Identity") {
            identity = value.to_vec();
        }
        rest = after;
    }
    let socket = socket.ok_or(ZmtpError::Malformed("READY names no Socket-Type"))?;
    Ok(Command::Ready { socket, identity })
}

fn named(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(1 + name.len() + rest.len());
    body.push(name.len() as u8);
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(rest);
    body
}

fn push_property(body: &mut Vec<u8>, name: &str, value: &[u8]) {
    body.push(name.len() as u8);
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(&(value.len() as u32).to_be_bytes());
    body.extend_from_slice(value);
}

fn short_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}
