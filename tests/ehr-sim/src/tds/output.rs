//! The engine's results on their way to the socket: encoded into one buffer, cut into packets, handed over in chunks.
//!
//! Runs on the thread that executes the request; [`Output`] calls block while the client is slow. Invariants:
//! - `last-done`: a DONE is held back until it is known whether something follows, so exactly the last one lacks MORE;
//! - `bounded`: at most [`CHUNKS`] chunks of about [`CHUNK`] bytes wait for the socket;
//! - `attention-answered`: a request stopped by an attention ends with DONE and bit 0x20.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::column::{self, WireColumn};
use super::encode::{self, Mismatch};
use super::packet::{PacketKind, Packetizer};
use super::token;
use crate::types::{
    Cancel, ClientWait, Column, Datum, Done, DoneKind, EnvChange, Output, Param, SqlMessage, Stopped,
};

/// Chunks waiting for the socket, at most.
pub const CHUNKS: usize = 4;
/// Bytes gathered before a chunk is handed over.
pub const CHUNK: usize = 64 << 10;

/// How a request's output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All was said.
    Complete,
    /// A message of class 20 or above went out: the connection ends.
    Fatal,
}

/// What a response needs to know of its connection.
#[derive(Debug, Clone)]
pub struct ResponseContext {
    /// Negotiated packet size.
    pub packet_size: usize,
    /// The session's id, for packet headers.
    pub spid: u16,
    /// `@@SERVERNAME`, for ERROR and INFO.
    pub server: Arc<str>,
}

/// Encodes one response.
pub struct PacketOutput {
    packets: Packetizer,
    payload: Vec<u8>,
    columns: Vec<WireColumn>,
    held: Option<Done>,
    chunks: mpsc::Sender<Vec<u8>>,
    cancel: Cancel,
    server: Arc<str>,
    fatal: bool,
    client: Option<Arc<dyn ClientWait>>,
}

impl PacketOutput {
    /// A response whose packets go to `chunks`; `cancel` is the request's flag.
    pub fn new(context: &ResponseContext, chunks: mpsc::Sender<Vec<u8>>, cancel: Cancel) -> Self {
        Self {
            packets: Packetizer::new(PacketKind::Tabular, context.packet_size, context.spid),
            payload: Vec::with_capacity(CHUNK + CHUNK / 4),
            columns: Vec::new(),
            held: None,
            chunks,
            cancel,
            server: context.server.clone(),
            fatal: false,
            client: None,
        }
    }

    /// Tells `client` when the socket does not take what is there for it.
    pub fn tell(&mut self, client: Option<Arc<dyn ClientWait>>) {
        self.client = client;
    }

    /// Writes tokens the [`Output`] trait has no call for.
    pub fn raw(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Stopped> {
        self.release();
        write(&mut self.payload);
        self.flush_full()
    }

    /// Whether a message of class 20 or above went out.
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The session ends here: the client is told, and the connection closes after it.
    pub fn kill(&mut self) {
        self.release();
        self.fatal = true;
        let message = SqlMessage {
            number: 596,
            state: 1,
            class: 21,
            text: "Cannot continue the execution because the session is in the kill state.".into(),
            line: 0,
            procedure: String::new(),
        };
        token::message(&mut self.payload, &message, &self.server);
        self.held = Some(Done { error: true, ..EMPTY });
    }

    /// The response ends with a DONE that says so.
    pub fn mark_failed(&mut self) {
        self.release();
        self.held = Some(Done { error: true, ..EMPTY });
    }

    /// Ends the message. What an attention cut short ends as failed; the acknowledgement is a message of its own.
    pub fn finish(mut self) -> Result<Ending, Stopped> {
        if self.cancel.is_cancelled() && !self.fatal {
            self.mark_failed();
        }
        let last = self.held.take().unwrap_or(EMPTY);
        token::done(&mut self.payload, &last, false);
        let mut chunk = Vec::new();
        self.packets.last(&mut self.payload, &mut chunk);
        self.chunks.blocking_send(chunk).map_err(|_| Stopped)?;
        Ok(if self.fatal { Ending::Fatal } else { Ending::Complete })
    }

    fn release(&mut self) {
        if let Some(done) = self.held.take() {
            token::done(&mut self.payload, &done, true);
        }
    }

    fn flush_full(&mut self) -> Result<(), Stopped> {
        if self.payload.len() < CHUNK {
            return Ok(());
        }
        if self.cancel.is_cancelled() {
            return Err(Stopped);
        }
        let mut chunk = Vec::with_capacity(self.payload.len() + self.payload.len() / 16);
        self.packets.full(&mut self.payload, &mut chunk);
        match self.chunks.try_send(chunk) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Stopped),
            Err(TrySendError::Full(chunk)) => self.wait_for_client(chunk),
        }
    }

    fn wait_for_client(&self, chunk: Vec<u8>) -> Result<(), Stopped> {
        let (mut chunk, mut sent) = (Some(chunk), Err(Stopped));
        let mut send = || {
            if let Some(chunk) = chunk.take() {
                sent = self.chunks.blocking_send(chunk).map_err(|_| Stopped);
            }
        };
        match &self.client {
            Some(client) => client.wait(&mut send),
            None => send(),
        }
        sent
    }

    /// A value of the wrong type is this server's fault: say so and end the connection rather than guess.
    fn fail(&mut self, mismatch: Mismatch) -> Stopped {
        tracing::error!(ty = %mismatch.0, "the engine gave a value that does not fit its column's announced type");
        self.kill();
        Stopped
    }
}

impl Output for PacketOutput {
    fn columns(&mut self, columns: &[Column]) -> Result<(), Stopped> {
        self.release();
        self.columns.clear();
        self.columns.extend(columns.iter().map(WireColumn::from));
        column::metadata(&mut self.payload, columns);
        self.flush_full()
    }

    fn row(&mut self, row: &[Datum]) -> Result<(), Stopped> {
        match encode::row(&mut self.payload, &self.columns, row) {
            Ok(()) => self.flush_full(),
            Err(mismatch) => Err(self.fail(mismatch)),
        }
    }

    fn done(&mut self, done: Done) -> Result<(), Stopped> {
        self.release();
        self.held = Some(done);
        self.flush_full()
    }

    fn message(&mut self, message: &SqlMessage) -> Result<(), Stopped> {
        self.release();
        self.fatal |= message.class >= FATAL_CLASS;
        token::message(&mut self.payload, message, &self.server);
        self.flush_full()
    }

    fn env(&mut self, change: &EnvChange) -> Result<(), Stopped> {
        self.raw(|out| token::env_change(out, change))
    }

    fn return_status(&mut self, status: i32) -> Result<(), Stopped> {
        self.raw(|out| token::return_status(out, status))
    }

    fn return_value(&mut self, ordinal: u16, param: &Param) -> Result<(), Stopped> {
        self.release();
        match token::return_value(&mut self.payload, ordinal, param) {
            Ok(()) => self.flush_full(),
            Err(mismatch) => Err(self.fail(mismatch)),
        }
    }
}

const FATAL_CLASS: u8 = 20;
const EMPTY: Done = Done { kind: DoneKind::Statement, count: None, error: false, command: 0 };
