//! ZMTP frames: one flag byte, a length of one or eight bytes, the body.
//!
//! Refuses a frame by its announced length, before its body is taken in. RFC 37/ZMTP, "Framing".

use super::{Limits, ZmtpError};

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// A part with parts to follow.
    More,
    /// The last part of a message.
    Last,
    /// A command.
    Command,
}

/// One frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) body: Vec<u8>,
}

/// Outcome of looking for a frame at the head of a buffer.
#[derive(Debug)]
pub(super) enum Decoded {
    /// More bytes are needed, this many at least.
    Partial { missing: usize },
    /// A frame, and how many bytes it took.
    Whole { frame: Frame, used: usize },
}

/// Appends one frame to `out`.
pub(super) fn encode(out: &mut Vec<u8>, kind: FrameKind, body: &[u8]) {
    let flags = match kind {
        FrameKind::More => MORE,
        FrameKind::Last => 0,
        FrameKind::Command => COMMAND,
    };
    out.reserve(9 + body.len());
    if let Ok(len) = u8::try_from(body.len()) {
        out.extend_from_slice(&[flags, len]);
    } else {
        out.push(flags | LONG);
        out.extend_from_slice(&(body.len() as u64).to_be_bytes());
    }
    out.extend_from_slice(body);
}

/// Reads the frame at the head of `bytes`, if it is all there.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, ZmtpError> {
    let Some(flags) = bytes.first().copied() else { return Ok(Decoded::Partial { missing: 2 }) };
    let kind = frame_kind(flags)?;
    let header = if flags & LONG == 0 { 2 } else { 9 };
    let Some(length) = bytes.get(1..header) else {
        return Ok(Decoded::Partial { missing: header - bytes.len() });
    };
    let size = length.iter().fold(0, |size: u64, byte| (size << 8) | u64::from(*byte));
    let (what, limit) = match kind {
        FrameKind::Command => ("a command", limits.command),
        FrameKind::More | FrameKind::Last => ("a frame", limits.frame),
    };
    let body_len = usize::try_from(size).ok().filter(|_| size <= limit);
    let Some(body_len) = body_len else { return Err(ZmtpError::TooLarge { what, size, limit }) };
    match bytes[header..].get(..body_len) {
        Some(body) => {
            Ok(Decoded::Whole { frame: Frame { kind, body: body.to_vec() }, used: header + body_len })
        }
        None => Ok(Decoded::Partial { missing: header + body_len - bytes.len() }),
    }
}

fn frame_kind(flags: u8) -> Result<FrameKind, ZmtpError> {
    match flags & !LONG {
        MORE => Ok(FrameKind::More),
        0 => Ok(FrameKind::Last),
        COMMAND => Ok(FrameKind::Command),
        _ => Err(ZmtpError::Malformed("a frame has unknown flags")),
    }
}
