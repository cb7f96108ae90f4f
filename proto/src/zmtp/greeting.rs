//! The 64-byte ZMTP greeting: signature, version, mechanism.
//!
//! Accepts any 3.x peer that offers the NULL mechanism and refuses all else as early as its bytes allow, so that a
//! port with another protocol behind it is told from a slow master. RFC 37/ZMTP, "Version negotiation".

use super::ZmtpError;

/// Bytes in a greeting.
pub(super) const GREETING_LEN: usize = 64;

/// Major and minor version of ZMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u8,
    minor: u8,
}

impl Version {
    /// Heartbeats by nobody's promise, subscriptions as messages.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// Heartbeats, subscriptions as commands.
    pub const V3_1: Self = Self { major: 3, minor: 1 };
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The greeting of this side.
pub(super) fn encode_greeting(version: Version) -> [u8; GREETING_LEN] {
    let mut greeting = [0; GREETING_LEN];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = version.major;
    greeting[11] = version.minor;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// Reads the peer's greeting; `None` while bytes are missing and those there could still be one.
pub(super) fn parse_greeting(bytes: &[u8]) -> Result<Option<Version>, ZmtpError> {
    // The eight bytes between are padding with no meaning in 3.x.
    if bytes.first().is_some_and(|first| *first != 0xff) || bytes.get(9).is_some_and(|last| *last != 0x7f) {
        return Err(ZmtpError::NotZmtp);
    }
    if let Some(major) = bytes.get(10).filter(|major| **major < 3) {
        return Err(ZmtpError::OldVersion(*major));
    }
    let Some(greeting) = bytes.get(..GREETING_LEN) else { return Ok(None) };
    let mechanism = String::from_utf8_lossy(&greeting[12..32]).trim_end_matches('\0').to_owned();
    if mechanism != "NULL" {
        return Err(ZmtpError::Mechanism(mechanism));
    }
    Ok(Some(Version { major: greeting[10], minor: greeting[11] }))
}
