//! A client that sends bytes as the specification lays them out, for what no client library lets a test do: attentions
//! at a chosen moment, small packets, resets, broken messages.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A logged-in plain connection.
pub struct RawClient {
    pub stream: TcpStream,
    pub login_answer: Vec<u8>,
    /// The session's id, from the header of the last packet.
    pub spid: u16,
    packet_size: usize,
}

impl RawClient {
    /// Logs `sa` in with `password`, asking for `packet_size`.
    pub fn login(address: SocketAddr, password: &str, packet_size: u32) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut client = Self { stream, login_answer: Vec::new(), spid: 0, packet_size: 4096 };
        client.send(0x12, 0, &[1, 0, 6, 0, 1, 0xFF, 2]);
        let answer = client.receive();
        assert!(answer.contains(&0xFF), "no prelogin answer");
        client.send(0x10, 0, &login7(password, packet_size));
        client.login_answer = client.receive();
        client.packet_size = packet_size as usize;
        client
    }

    /// Sends one message; `status` is added to its first packet.
    pub fn send(&mut self, kind: u8, status: u8, payload: &[u8]) {
        let body = self.packet_size - 8;
        let count = payload.len().div_ceil(body).max(1);
        for index in 0..count {
            let chunk = &payload[index * body..payload.len().min((index + 1) * body)];
            let end = u8::from(index + 1 == count);
            let first = if index == 0 { status } else { 0 };
            let length = u16::try_from(chunk.len() + 8).unwrap().to_be_bytes();
            let mut packet = vec![kind, end | first, length[0], length[1], 0, 0, index as u8 + 1, 0];
            packet.extend_from_slice(chunk);
            self.stream.write_all(&packet).unwrap();
        }
    }

    /// Sends a SQL batch.
    pub fn batch(&mut self, text: &str, status: u8) {
        let mut payload = 22u32.to_le_bytes().to_vec();
        payload.extend_from_slice(&18u32.to_le_bytes());
        payload.extend_from_slice(&2u16.to_le_bytes());
        payload.extend_from_slice(&[0; 8]);
        payload.extend_from_slice(&1u32.to_le_bytes());
        payload.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        self.send(0x01, status, &payload);
    }

    /// Sends a batch after the server chose `packet_size`.
    pub fn batch_sized(&mut self, text: &str, packet_size: usize) {
        self.packet_size = packet_size;
        self.batch(text, 0);
    }

    /// Sends an attention.
    pub fn attention(&mut self) {
        self.send(0x06, 0, &[]);
    }

    /// Reads past what an attention cut short, up to the message that acknowledges it.
    pub fn acknowledgement(&mut self) -> (u8, u16, u64) {
        loop {
            let done = last_done(&self.receive());
            if done.1 & 0x20 != 0 {
                return done;
            }
        }
    }

    /// One packet: its status and body.
    pub fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).unwrap();
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        self.spid = u16::from_be_bytes([header[4], header[5]]);
        assert!(length <= self.packet_size, "a packet of {length} bytes");
        let mut body = vec![0; length - 8];
        self.stream.read_exact(&mut body).unwrap();
        (header[1], body)
    }

    /// One whole message.
    pub fn receive(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let (status, body) = self.packet();
            message.extend(body);
            if status & 1 != 0 {
                return message;
            }
        }
    }

    /// Whether the server closes the connection, whatever it says before.
    pub fn is_ended(&mut self) -> bool {
        !matches!(self.stream.read_to_end(&mut Vec::new()), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }
}

/// The DONE token a message ends with: status and row count.
pub fn last_done(message: &[u8]) -> (u8, u16, u64) {
    let token = &message[message.len() - 13..];
    let status = u16::from_le_bytes([token[1], token[2]]);
    (token[0], status, u64::from_le_bytes(token[5..].try_into().unwrap()))
}

fn login7(password: &str, packet_size: u32) -> Vec<u8> {
    let texts = ["RAW", "sa", password, "raw", "", "", "raw", "", "", "", "", ""];
    let (mut fixed, mut data) = (Vec::new(), Vec::new());
    for value in [0x7400_0004, packet_size, 7, 1, 0] {
        fixed.extend_from_slice(&u32::to_le_bytes(value));
    }
    fixed.extend_from_slice(&[0xE0, 0x03, 0, 0]);
    fixed.extend_from_slice(&[0; 8]);
    for (index, text) in texts.iter().enumerate() {
        if index == 9 {
            fixed.extend_from_slice(&[0; 6]);
        }
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        fixed.extend_from_slice(&u16::try_from(94 + data.len()).unwrap().to_le_bytes());
        fixed.extend_from_slice(&u16::try_from(units.len() / 2).unwrap().to_le_bytes());
        data.extend(units.iter().map(|byte| if index == 2 { byte.rotate_left(4) ^ 0xA5 } else { *byte }));
    }
    fixed.extend_from_slice(&[0; 4]);
    let mut out = u32::try_from(4 + fixed.len() + data.len()).unwrap().to_le_bytes().to_vec();
    out.extend(fixed);
    out.extend(data);
    out
}
