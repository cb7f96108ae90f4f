//! TDS packets (MS-TDS 2.2.3): the eight-byte header, messages put together from packets, and messages cut into them.
//!
//! Invariants: a message never passes its reader's limit; a partly read message survives a dropped `next()` future, so
//! a reader may be polled beside a running request.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::TdsError;

/// Bytes of a packet header.
pub const HEADER: usize = 8;
/// The packet size every connection starts with.
pub const DEFAULT_PACKET: usize = 4096;
/// The longest message a logged-in client may send, in bytes.
pub const MESSAGE_LIMIT: usize = 64 << 20;
/// The longest message before login: LOGIN7 itself is bounded by 128 KiB.
pub const LOGIN_LIMIT: usize = 128 << 10;

/// The kind of message a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// SQL batch (0x01).
    Batch,
    /// Remote procedure call (0x03).
    Rpc,
    /// Tabular result, server to client (0x04).
    Tabular,
    /// Attention (0x06).
    Attention,
    /// Bulk load data (0x07).
    BulkLoad,
    /// Transaction manager request (0x0E).
    Transaction,
    /// LOGIN7 (0x10).
    Login,
    /// SSPI (0x11).
    Sspi,
    /// Prelogin, and the wrapped TLS handshake (0x12).
    Prelogin,
    /// Anything else.
    Other(u8),
}

impl PacketKind {
    /// The kind a header's first byte names.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0x01 => Self::Batch,
            0x03 => Self::Rpc,
            0x04 => Self::Tabular,
            0x06 => Self::Attention,
            0x07 => Self::BulkLoad,
            0x0E => Self::Transaction,
            0x10 => Self::Login,
            0x11 => Self::Sspi,
            0x12 => Self::Prelogin,
            other => Self::Other(other),
        }
    }

    /// The header's first byte.
    pub fn byte(self) -> u8 {
        match self {
            Self::Batch => 0x01,
            Self::Rpc => 0x03,
            Self::Tabular => 0x04,
            Self::Attention => 0x06,
            Self::BulkLoad => 0x07,
            Self::Transaction => 0x0E,
            Self::Login => 0x10,
            Self::Sspi => 0x11,
            Self::Prelogin => 0x12,
            Self::Other(byte) => byte,
        }
    }
}

/// What a request asks of the session's state before it runs (header status bits 0x08 and 0x10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionReset {
    /// Nothing.
    Keep,
    /// Everything back to the state after login.
    Reset,
    /// The same, but an open transaction stays.
    KeepTransaction,
}

/// A whole message of a client.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: PacketKind,
    /// What it asks of the session's state first.
    pub reset: ConnectionReset,
    /// Its bytes, headers taken away.
    pub payload: Vec<u8>,
    /// The client gave it up while sending it: nothing is to be done, but it is answered.
    pub given_up: bool,
    /// In how many packets it came.
    pub packets: u32,
}

/// Puts messages together from a byte stream.
#[derive(Debug)]
pub struct MessageReader {
    limit: usize,
    buffer: BytesMut,
    payload: Vec<u8>,
    first: Option<(PacketKind, u8)>,
    packets: u32,
}

impl MessageReader {
    /// A reader that takes messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: BytesMut::new(), payload: Vec::new(), first: None, packets: 0 }
    }

    /// The next message, or `None` when the client closed between messages. Dropping the future loses nothing.
    pub async fn next<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<Option<Message>, TdsError> {
        loop {
            while let Some(packet) = self.packet()? {
                if let Some(message) = self.gather(packet)? {
                    return Ok(Some(message));
                }
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() && self.first.is_none() {
                    true => Ok(None),
                    false => Err(TdsError::Disconnected),
                };
            }
        }
    }

    /// Whether bytes were read that belong to no returned message.
    pub fn has_surplus(&self) -> bool {
        !self.buffer.is_empty() || self.first.is_some()
    }

    fn packet(&mut self) -> Result<Option<(u8, u8, BytesMut)>, TdsError> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let (kind, status) = (header[0], header[1]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if length < HEADER {
            return Err(TdsError::malformed("packet header", format!("length {length}")));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let mut packet = self.buffer.split_to(length);
        packet.advance(HEADER);
        Ok(Some((kind, status, packet)))
    }

    fn gather(&mut self, (kind, status, bytes): (u8, u8, BytesMut)) -> Result<Option<Message>, TdsError> {
        let kind = PacketKind::from_byte(kind);
        let (first, first_status) = *self.first.get_or_insert((kind, status));
        if first != kind {
            let detail =
                format!("packet type {:#04x} inside a message of type {:#04x}", kind.byte(), first.byte());
            return Err(TdsError::malformed("packet header", detail));
        }
        if self.payload.len() + bytes.len() > self.limit {
            return Err(TdsError::TooLong { limit: self.limit });
        }
        self.payload.extend_from_slice(&bytes);
        self.packets += 1;
        if status & STATUS_END == 0 {
            return Ok(None);
        }
        self.first = None;
        let payload = std::mem::take(&mut self.payload);
        let packets = std::mem::take(&mut self.packets);
        let reset = match first_status {
            bits if bits & STATUS_RESET_KEEP != 0 => ConnectionReset::KeepTransaction,
            bits if bits & STATUS_RESET != 0 => ConnectionReset::Reset,
            _ => ConnectionReset::Keep,
        };
        let given_up = status & STATUS_IGNORE != 0;
        Ok(Some(Message { kind, reset, payload, given_up, packets }))
    }
}

/// Cuts one answer into packets of the negotiated size.
#[derive(Debug)]
pub struct Packetizer {
    kind: PacketKind,
    size: usize,
    spid: u16,
    number: u8,
}

impl Packetizer {
    /// Packets of `kind`, at most `size` bytes each with their header.
    pub fn new(kind: PacketKind, size: usize, spid: u16) -> Self {
        Self { kind, size, spid, number: 0 }
    }

    /// Takes every full packet out of `payload`; at least one byte stays, for the packet that ends the message.
    pub fn full(&mut self, payload: &mut Vec<u8>, out: &mut Vec<u8>) {
        let body = self.size - HEADER;
        let count = payload.len().saturating_sub(1) / body;
        out.reserve(count * self.size);
        for chunk in payload[..count * body].chunks(body) {
            self.packet(chunk, 0, out);
        }
        payload.drain(..count * body);
    }

    /// Takes the whole `payload` and ends the message.
    pub fn last(&mut self, payload: &mut Vec<u8>, out: &mut Vec<u8>) {
        self.full(payload, out);
        self.packet(payload, STATUS_END, out);
        payload.clear();
        self.number = 0;
    }

    fn packet(&mut self, body: &[u8], status: u8, out: &mut Vec<u8>) {
        let length = u16::try_from(body.len() + HEADER).unwrap_or(u16::MAX);
        self.number = self.number.wrapping_add(1);
        out.extend_from_slice(&[self.kind.byte(), status]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.spid.to_be_bytes());
        out.extend_from_slice(&[self.number, 0]);
        out.extend_from_slice(body);
    }
}

const STATUS_END: u8 = 0x01;
const STATUS_IGNORE: u8 = 0x02;
const STATUS_RESET: u8 = 0x08;
const STATUS_RESET_KEEP: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(kind: u8, status: &[u8], bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for (status, body) in status.iter().zip(bodies) {
            out.extend_from_slice(&[kind, *status]);
            out.extend_from_slice(&u16::try_from(body.len() + HEADER).unwrap().to_be_bytes());
            out.extend_from_slice(&[0, 0, 1, 0]);
            out.extend_from_slice(body);
        }
        out
    }

    #[tokio::test]
    async fn puts_a_message_together_from_its_packets() {
        let bytes = packets(1, &[0x08, 0, 1], &[b"ab", b"c", b"de"]);
        let mut reader = MessageReader::new(MESSAGE_LIMIT);
        let mut stream = bytes.as_slice();
        let message = reader.next(&mut stream).await.unwrap().unwrap();
        assert_eq!((message.kind, message.reset), (PacketKind::Batch, ConnectionReset::Reset));
        assert_eq!(message.payload, b"abcde");
        assert!(reader.next(&mut stream).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn marks_a_message_the_client_gave_up() {
        let mut bytes = packets(3, &[0, 3], &[b"ab", b"c"]);
        bytes.extend(packets(6, &[1], &[b""]));
        let mut reader = MessageReader::new(MESSAGE_LIMIT);
        let mut stream = bytes.as_slice();
        assert!(reader.next(&mut stream).await.unwrap().unwrap().given_up);
        let next = reader.next(&mut stream).await.unwrap().unwrap();
        assert_eq!((next.kind, next.given_up), (PacketKind::Attention, false));
    }

    #[tokio::test]
    async fn refuses_a_packet_shorter_than_its_header() {
        let mut reader = MessageReader::new(MESSAGE_LIMIT);
        let result = reader.next(&mut [1u8, 1, 0, 7, 0, 0, 1, 0].as_slice()).await;
        assert!(matches!(result, Err(TdsError::Malformed { .. })));
    }

    #[tokio::test]
    async fn refuses_a_message_past_the_limit_before_it_is_whole() {
        let bytes = packets(1, &[0, 0, 1], &[b"abc", b"def", b"g"]);
        let result = MessageReader::new(5).next(&mut bytes.as_slice()).await;
        assert!(matches!(result, Err(TdsError::TooLong { limit: 5 })));
    }

    #[tokio::test]
    async fn a_connection_cut_inside_a_message_is_reported() {
        let bytes = packets(1, &[0], &[b"ab"]);
        let result = MessageReader::new(MESSAGE_LIMIT).next(&mut bytes.as_slice()).await;
        assert!(matches!(result, Err(TdsError::Disconnected)));
    }

    #[tokio::test]
    async fn what_is_cut_is_put_together_again() {
        for length in [0, 1, 503, 504, 505, 1008, 5000] {
            let body: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            let mut cutter = Packetizer::new(PacketKind::Tabular, 512, 55);
            let (mut payload, mut out) = (body.clone(), Vec::new());
            cutter.full(&mut payload, &mut out);
            cutter.last(&mut payload, &mut out);
            let message = MessageReader::new(MESSAGE_LIMIT).next(&mut out.as_slice()).await.unwrap().unwrap();
            assert_eq!((message.kind, message.payload), (PacketKind::Tabular, body));
        }
    }
}
